//! Private servers on this machine, for the demo, the benchmarks and the tests.
//!
//! What it promises: a real Postgres and a real Apache Kafka on loopback and a free port, run by an unprivileged
//! user, in a directory of their own, and **nothing left behind**: a [`guardian`] process holds the read end of a
//! pipe whose only write end is ours, so the server stops and its directory goes when we stop, drop it, panic or
//! are killed with SIGKILL.
//!
//! What it leaves out: anything a production installation needs. What has to be fetched (Kafka's jars, Postgres
//! where the machine has none) comes from the ordinary package clients, once, into [`cache_dir`].

mod cache;
mod error;
mod guardian;
mod kafka;
mod port;
mod postgres;
mod user;

pub use cache::cache_dir;
pub use error::{Error, Result};
pub use kafka::{Kafka, KafkaOptions};
pub use port::free_port;
pub use postgres::{Postgres, PostgresOptions, Tls, installed_postgres, packaged_postgres};
