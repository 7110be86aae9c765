//! Salesforce capture: the org's own change events onto the log.
//!
//! ```text
//!              ┌ pubsub (TLS, credit, watchdog) ─ avro ─ header ─ bitmap ─ layout ─▶ apply ─┐
//! Salesforce ──┤                                                       judge ▲              ├▶ batch ─▶ log
//!              └ login ─ rest ─ reading ─▶ scan (first copies, catching up) ─┴ progress ────┘ (with checkpoint)
//! ```
//!
//! What it promises: every change event of the followed objects is on the log once, in commit order, with the
//! checkpoint in the same log transaction; a restart at any line repeats nothing and loses nothing. What the stream
//! does not carry (gap and overflow events, a refused position, texts sent as differences) is read by REST, shown and
//! counted. What was read is never rolled back by an older event. While Salesforce does not answer or refuses, the
//! source says why and what helps, and goes on by itself when that is mended.
//!
//! What it leaves out: records deleted and purged from the recycle bin while nobody listened (sweeps find them),
//! merges beyond the plain delete of the loser, Bulk queries, and managed subscriptions.

mod apply;
mod avro;
mod backoff;
mod batch;
mod bitmap;
mod catalog;
mod check;
mod checkpoint;
mod clock;
mod config;
mod describe;
mod error;
mod fault;
mod header;
mod http;
mod ids;
mod layout;
mod login;
mod metrics;
mod object;
mod progress;
mod proto;
mod pubsub;
mod reading;
mod recent;
mod rest;
mod scan;
mod source;
mod status;
mod users;
mod values;

use std::sync::Arc;

pub use check::{Needs, Use, check};
pub use config::{Auth, Channel, Config};
pub use describe::Org;
pub use error::{Error, Result};
pub use fault::Fault;
pub use object::{Field, PicklistValue};
use schemas::topic::Topics;
use stream::{Codec, Log};
use tokio_util::sync::CancellationToken;

pub use crate::erp::{Finding, Secret};

/// Reads an org onto the log until told to stop.
///
/// # Errors
/// When the settings cannot be used, or the log refuses for good (another process took over, a topic is of another
/// shape). Whatever Salesforce does only pauses it.
pub async fn run(config: Config, log: Arc<dyn Log>, codec: Codec, topics: Topics, shutdown: CancellationToken) -> Result<()> {
    config.validate()?;
    let sources = match config.topic() {
        Some(topic) => vec![(config, topic)],
        None => config
            .objects
            .iter()
            .map(|object| {
                let one = Config { name: format!("{}.{object}", config.name), objects: vec![object.clone()], ..config.clone() };
                (one, format!("/data/{}", layout::event_of(object)))
            })
            .collect(),
    };
    let mut tasks = Vec::new();
    for (config, topic) in sources {
        tasks.push(source::Source::new(config, topic, log.clone(), codec.clone(), topics.clone())?.run(shutdown.clone()));
    }
    futures::future::try_join_all(tasks).await.map(|_| ())
}
