//! Writes to the ERP, a Postgres database, each exactly once.
//!
//! ```text
//! writes.erp ─▶ batch ─▶ one transaction under origin `concord`: ledger look-up ─▶ UPDATE … WHERE key AND every
//!               written column IS NOT DISTINCT FROM expected ─▶ ledger rows ─▶ message: which write changed which row
//!               ─▶ COMMIT ─▶ outcomes + offsets
//! ```
//!
//! Promises: a write changes its row only while every written column still has the value expected; a write tried again
//! finds its answer in the ledger; a row that cannot be written, or is locked, holds up only itself. One process writes
//! at a time, because Postgres lets one session use a replication origin. Capture recognises our
//! transactions by that origin, and by the message in each of them which write made a change.

mod arrays;
mod batch;
mod beside;
mod catalog;
mod connection;
mod failure;
mod ledger;
mod plan;
mod setup;
mod stamp;
mod statement;
mod tls;
mod value;

use std::sync::Arc;
use std::time::Duration;

use schemas::message::Side;
use schemas::topic::Topics;
use serde::{Deserialize, Serialize};
use stream::{Codec, Log, duration};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, micros};
use crate::config::{Pace, Secret};
use crate::error::{Error, chain};
use crate::metrics::Metrics;
use crate::writer::{self, Answer, Applied, Job, Shell, Target};
use connection::Connection;
pub use connection::look;
pub use setup::setup;

/// How the ERP is reached and written to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, with `sslmode` one of `disable`,
    /// `prefer`, `require`, `verify-ca`, `verify-full` (the default is `prefer`).
    pub url: Secret,
    /// Replication origin under which writes are made; capture knows our changes by it.
    #[serde(default = "default_origin")]
    pub origin: String,
    /// How long a statement waits for a locked row before it goes on without it.
    #[serde(default = "default_lock_timeout", with = "duration")]
    pub lock_timeout: Duration,
    /// Longest time of one statement.
    #[serde(default = "default_statement_timeout", with = "duration")]
    pub statement_timeout: Duration,
    /// Longest time to connect.
    #[serde(default = "default_connect_timeout", with = "duration")]
    pub connect_timeout: Duration,
    /// How long answers stay in the ledger; longer than writes stay on the log.
    #[serde(default = "default_keep_ledger", with = "duration")]
    pub keep_ledger: Duration,
    /// Consumer group.
    #[serde(default = "default_group")]
    pub group: String,
    /// Tells processes of this group apart.
    #[serde(default = "default_instance")]
    pub instance: String,
    /// Batches, waits and bounds.
    #[serde(default)]
    pub pace: Pace,
}

fn default_origin() -> String {
    "concord".to_owned()
}

fn default_lock_timeout() -> Duration {
    Duration::from_millis(500)
}

fn default_statement_timeout() -> Duration {
    Duration::from_secs(30)
}

fn default_connect_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_keep_ledger() -> Duration {
    Duration::from_secs(30 * 86_400)
}

fn default_group() -> String {
    "sink.erp".to_owned()
}

fn default_instance() -> String {
    "0".to_owned()
}

impl Config {
    /// The usual settings for a database.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            origin: default_origin(),
            lock_timeout: default_lock_timeout(),
            statement_timeout: default_statement_timeout(),
            connect_timeout: default_connect_timeout(),
            keep_ledger: default_keep_ledger(),
            group: default_group(),
            instance: default_instance(),
            pace: Pace::default(),
        }
    }
}

/// The ERP sink.
pub struct ErpSink {
    config: Config,
    clock: Clock,
    metrics: Metrics,
}

impl ErpSink {
    /// A sink that has not connected yet.
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        Self { config, clock, metrics }
    }

    /// Writes what stands on `writes.erp` until `shutdown`.
    ///
    /// # Errors
    /// When the log refuses for good. Faults of the ERP pause the sink instead.
    pub async fn run(self, log: Arc<dyn Log>, codec: Codec, topics: Topics, shutdown: CancellationToken) -> Result<(), Error> {
        let shell = Shell {
            log,
            codec,
            group: topics.owned(&self.config.group),
            topics,
            clock: self.clock.clone(),
            metrics: self.metrics,
            pace: self.config.pace.clone(),
            instance: self.config.instance.clone(),
        };
        let target = Erp { config: self.config, clock: self.clock, connection: None, pruned_at: 0, deadlocks: 0 };
        writer::run(target, shell, shutdown).await
    }
}

struct Erp {
    config: Config,
    clock: Clock,
    connection: Option<Connection>,
    pruned_at: i64,
    deadlocks: u32,
}

/// The ledger is pruned this often, a little at a time.
const PRUNE_EVERY_MICROS: i64 = 60_000_000;
/// Tries of a batch that another transaction made Postgres give up.
const DEADLOCK_TRIES: u32 = 3;

impl Target for Erp {
    const SIDE: Side = Side::Erp;
    const COMPONENT: &'static str = "sink.erp";

    async fn ready(&mut self) -> Result<(), Error> {
        if self.connection.as_ref().is_none_or(Connection::is_closed) {
            self.connection = None;
            self.connection = Some(Connection::open(&self.config).await?);
        }
        Ok(())
    }

    async fn apply(&mut self, jobs: &[Job]) -> Applied {
        if let Err(error) = self.ready().await {
            return Applied::halted(jobs.len(), error);
        }
        let Some(connection) = &mut self.connection else { return Applied::halted(jobs.len(), lost("writing", "no connection")) };
        let answered = apply(connection, jobs).await;
        match answered {
            Ok(answers) => {
                self.deadlocks = 0;
                self.prune().await;
                Applied { answers, halt: None }
            }
            Err(error) => match failure::of(&error) {
                failure::Kind::Again if self.deadlocks < DEADLOCK_TRIES && !connection.is_closed() => {
                    self.deadlocks += 1;
                    let answers =
                        jobs.iter().map(|_| Answer::later(failure::code(&error), chain(&error), "It is tried again", None)).collect();
                    Applied { answers, halt: None }
                }
                _ => {
                    self.deadlocks = 0;
                    // Whatever state the session is in, a new one is clean; what was done is in the ledger.
                    self.connection = None;
                    Applied::halted(jobs.len(), failure::whole("writing", &error))
                }
            },
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("origin", self.config.origin.clone())];
        if let Some(connection) = &self.connection {
            facts.push(("server", connection.server().to_owned()));
        }
        facts
    }
}

impl Erp {
    async fn prune(&mut self) {
        let now = (self.clock)();
        if now - self.pruned_at < PRUNE_EVERY_MICROS {
            return;
        }
        self.pruned_at = now;
        if let Some(connection) = &self.connection
            && let Err(error) = ledger::prune(connection.client(), now - micros(self.config.keep_ledger)).await
        {
            tracing::warn!(error = chain(&error), "ledger not pruned");
        }
    }
}

fn lost(doing: &'static str, reason: &str) -> Error {
    Error::Reach { target: "the ERP", doing, reason: reason.to_owned() }
}

/// Tries all writes in one transaction; when one of them spoils it, again with care; when only the commit fails
/// (a constraint trigger), in halves until the culprit stands alone.
async fn apply(connection: &mut Connection, jobs: &[Job]) -> Result<Vec<Answer>, tokio_postgres::Error> {
    match batch::run(connection, jobs, batch::Care::None).await {
        Ok(answers) => return Ok(answers),
        Err(error) if failure::of(&error).of_one_row() && !connection.is_closed() => {}
        Err(error) => return Err(error),
    }
    let mut answers = Vec::with_capacity(jobs.len());
    let mut parts: Vec<&[Job]> = vec![jobs];
    while let Some(part) = parts.pop() {
        match batch::run(connection, part, batch::Care::EachRow).await {
            Ok(mut answered) => answers.append(&mut answered),
            Err(error) if !failure::of(&error).of_one_row() || connection.is_closed() => return Err(error),
            Err(error) if part.len() <= 1 => answers.push(failure::answer(&error)),
            Err(_) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
        }
    }
    Ok(answers)
}
