//! What travels on the log: message types with their Avro schemas, typed change rows, the table of
//! topics and the wire framing.
//!
//! Everything here is bytes in, values out. The crate knows nothing of Kafka, SQL, HTTP or clocks.
//! Message types are declared once with [`record!`] or [`symbols!`]; the declaration gives the Rust
//! type, the Avro schema and a binary codec that agree by construction. `avro/*.avsc` holds the
//! generated schemas, kept equal by a test, so that a schema change shows up in review.

pub mod cdc;
pub mod frame;
pub mod message;
pub mod stamp;
pub mod topic;
pub mod value;
pub mod wire;

pub use value::{Decimal, Value};
