//! Runs a processor: reads a batch, lets it decide record by record, and commits outputs, changelog and input offsets in
//! one log transaction.
//!
//! ```text
//! poll ─▶ decode ─▶ process … process ─▶ work ─▶ begin, send, commit ─▶ apply changes to the store
//!  ▲                   │ bad record ─▶ dead letter                                │
//!  └───────────────────┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! It promises that a record's effects, the state it leaves and the offset after it take effect together or not at all.
//! After any failure that may pass, the whole session (member, producer, open batch) is given up and begun again
//! from what is committed: nothing has to know how far a broken transaction got. A bad record becomes a dead letter in
//! the same transaction, and the rest goes on. There is no waiting for more: a lone change is a batch of one.
//!
//! It leaves out clocks and business words.

mod context;
mod restore;
mod session;

use std::future::Future;
use std::sync::Arc;

use stream::{Class, Codec, Log, Offsets, Record, Sharing};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::health::Report;
use crate::metrics::Metrics;
use crate::retry::Backoff;
use crate::store::Stores;

pub use context::Context;
pub(crate) use context::{Slot, shown, sync_id};

/// What is left to do between records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Nothing.
    None,
    /// Something whose moment has not come; ask again soon.
    Soon,
    /// More; ask again after the next batch, or at once when there is none.
    More,
}

/// Decides what follows from records.
pub trait Processor: Send + Sync {
    /// A decoded record.
    type Input: Send;

    /// Decodes a record; none when it says nothing (a tombstone).
    fn decode(&self, record: &Record) -> impl Future<Output = Result<Option<Self::Input>>> + Send;

    /// Decides what follows from a record.
    ///
    /// # Errors
    /// [`Class::Record`] sets the record aside and forgets what it had begun; anything else ends the session.
    fn process(&mut self, input: Self::Input, record: &Record, context: &mut Context<'_>) -> Result<()>;

    /// Does a bounded piece of work that no single record asks for: what is left over from big ones, or a change of day.
    ///
    /// # Errors
    /// As [`Self::process`], but there is no record to set aside: every error ends the session.
    fn work(&mut self, _context: &mut Context<'_>) -> Result<Work> {
        Ok(Work::None)
    }

    /// Asks the log what [`Self::work`] has to know and no record tells; called before it. `read` is the next offset to
    /// process of each input partition, `now` the time by the clock that processors are given.
    fn ask(&mut self, _read: &Offsets, _now: i64) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// What to show of it beside its state, by name; none is not shown.
    fn facts(&self) -> std::collections::BTreeMap<&'static str, Option<String>> {
        std::collections::BTreeMap::new()
    }

    /// Forgets what it remembers beside the store: from here on the store may say something else.
    fn forget(&mut self) {}
}

/// What a task is made of.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) codec: Codec,
    /// Group, transactional id and topics carry the configured prefix.
    pub(crate) group: String,
    pub(crate) transactional_id: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) changelog: String,
    pub(crate) sharing: Sharing,
    pub(crate) stores: Stores,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) report: Arc<Report>,
    pub(crate) shutdown: CancellationToken,
}

impl Task {
    /// Runs until shutdown or an error that neither waiting nor joining again can mend.
    pub(crate) async fn run<P, F>(&self, make: impl Fn() -> F + Send + Sync) -> Result<()>
    where
        P: Processor,
        F: Future<Output = Result<P>> + Send,
    {
        let mut backoff = Backoff::new(&self.config, (self.clock)().unsigned_abs());
        // Records to take one at a time, to find the one whose outputs the log refuses.
        let mut single = 0;
        loop {
            let error = match session::run(self, &make, &mut backoff, &mut single).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
            self.metrics.retries.with_label_values(&[self.name]).inc();
            let oversized = matches!(&error, Error::Log { source: stream::Error::TooLarge { .. }, .. });
            if oversized && single == 0 {
                single = self.config.batch_records;
            } else if !error.fenced() && error.class() != Class::Transient {
                return Err(error);
            }
            let wait = backoff.wait();
            if backoff.failures() > 1 {
                self.report.paused(&error);
            }
            tracing::warn!(processor = self.name, %error, wait_ms = wait.as_millis(), "batch given up; trying again from what is committed");
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
