//! All that speaks to the log, behind one trait: [`Log`].
//!
//! `kafka` is production, `embedded` keeps the same partitions, offsets and transactions in one process on local disk,
//! `memory` is deterministic and breaks on demand. The registry gives schema ids; the codec turns messages into framed
//! Avro and back. No business word occurs here.

#![warn(missing_docs)]

mod clock;
pub mod codec;
pub mod config;
pub mod duration;
pub mod embedded;
mod error;
mod in_process;
pub mod kafka;
mod log;
pub mod memory;
pub mod metrics;
pub mod registry;
pub mod retry;
mod secret;

pub use codec::Codec;
pub use config::{Config, open, registry_routes};
pub use embedded::{EmbeddedLog, EmbeddedOptions, Fsync};
pub use error::{Class, Error};
pub use kafka::{KafkaLog, KafkaOptions};
pub use log::{
    Headers, Log, Member, MemberConfig, Membership, NewRecord, Offsets, Polled, Producer, Reader, Record, Result, Sharing, Start,
    TopicPartition,
};
pub use memory::{MemoryLog, MemoryOptions};
pub use registry::{HttpRegistry, LocalRegistry, Registry};
pub use secret::Secret;
