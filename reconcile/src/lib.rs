//! The pure core: what should follow from an event. State and event in, effects out.
//!
//! No async, no I/O, no clock, no randomness, no serialisation: times, ids and order are inputs, so that any
//! failure is a list of events somebody can replay. Whoever calls commits what comes back in one transaction.
//!
//! - [`value`]: canonical values and their equality
//! - [`mapping`]: what corresponds to what, with transforms and policies
//! - [`merge`]: the three-way merge per field: agreed pairs, writes in flight, conflicts, decisions
//! - [`convert`]: a won opportunity becomes one order
//! - [`matching`]: which records are the same customer or contact
//! - [`aggregate`]: incremental folds: receivables, orders, pipeline

pub mod aggregate;
pub mod convert;
mod error;
pub mod mapping;
pub mod matching;
pub mod merge;
pub mod value;

pub use error::{Class, Error};
pub use value::Value;
