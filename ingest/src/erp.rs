//! ERP capture: a Postgres database's own change stream onto the log.
//!
//! ```text
//!              ┌ connection ── reader (task: socket, feedback) ──┐ chunks
//! Postgres ────┤                                                 ├─▶ source ─ pgoutput ─ table ─▶ batch ─▶ log
//!              └ tokio-postgres: catalog, publication, snapshot ─┘               (values)   (with checkpoint)
//! ```
//!
//! What it promises: every committed change of the configured tables is on the log once, in commit order, with the
//! checkpoint in the same log transaction; Postgres is told only afterwards. A restart at any line repeats nothing and
//! loses nothing. A gap (lost slot, another cluster, a slot moved by someone else) is found at start, said, and healed
//! by reading the tables again. A change that our own sink made says which write it was, and a row that is copied which write
//! was the last on it (`ours`, `ledger`). A row that cannot be turned into Avro goes to the topic's dead letters; the rest goes on.
//!
//! What it leaves out: streaming of transactions still open at the source (protocol version 2), two-phase
//! transactions, rows deleted during a gap (sweeps find them), and DDL other than new column lists.

mod arrays;
mod batch;
mod catalog;
mod check;
mod checkpoint;
mod clock;
mod config;
mod connection;
mod copy;
mod error;
mod ledger;
mod lsn;
mod metrics;
mod ours;
pub mod pgoutput;
mod publication;
mod reader;
mod snapshot;
mod socket;
mod source;
mod sql;
mod status;
mod stream;
mod sync_id;
mod table;
mod target;
pub mod values;

pub use check::{Finding, check};
pub use checkpoint::Position;
pub use config::{Config, Secret};
pub use connection::Connection;
pub use error::{Error, Result, ServerError};
pub use ledger::check_ledger;
pub use lsn::Lsn;
pub use reader::{Chunk, Replication};
pub use source::ErpSource;
pub use status::{State, Status};
pub use target::Target;
