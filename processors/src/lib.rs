//! Matcher, reconciler and aggregates: tasks with state stores around the pure crate `reconcile`.
//!
//! ```text
//! cdc.*, ingest.checkpoint ─▶ matcher ─▶ entity.changes ─┬▶ reconciler ─▶ writes.*, conflicts, audit, golden.*
//! decisions ──────────────────────▲└───▶ entity.links,   └▶ aggregates ─▶ customer.financials, pipeline.summary
//!                                        match.reviews
//! outcomes, decisions ──────────────────────────────────────▲ (reconciler)
//! ```
//!
//! A [`task`] reads a batch, lets a processor decide record by record, and commits outputs, state changes and input
//! offsets in one log transaction. Processors read no clock and await nothing while they decide. What a
//! processor knows is in its [`store`], which is only ever a prefix of its changelog topic.
//!
//! The crate knows nothing of Postgres, Salesforce or HTTP.

pub mod aggregates;
mod canon;
mod clock;
pub mod config;
mod convert;
mod error;
mod health;
pub mod in_force;
pub mod mapping_file;
pub mod matcher;
pub mod metrics;
mod outbox;
pub mod reconciler;
mod retry;
pub mod store;
pub mod task;
mod topology;

pub use clock::{Clock, real};
pub use config::Config;
pub use error::{Class, Error, Result};
pub use topology::{Environment, Node, ProcessorName, run, topic_configs, topology};
