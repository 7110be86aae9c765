//! A log on local disk, in one process.
//!
//! ```text
//!  commit ─▶ writer ─▶ journal-N            one frame per group of transactions: the commit point
//!                 └──▶ topics/T-P/BASE.log  the same records by partition: what readers read
//!  keeper: journal full ─▶ sync segments, write checkpoint.json, delete the journal; compaction; retention
//! ```
//!
//! It promises the whole contract of [`Log`]. What was acknowledged survives `kill -9` under every [`Fsync`] policy and
//! a power loss under [`Fsync::EveryCommit`]; after a power loss under the others a whole prefix of the transactions
//! is left. Opening replays at most one journal, however much is stored. One process at a time: a second is refused.
//!
//! Segments and journal are plain files with CRC-32C over every record and frame; nothing is cached but by the
//! operating system, so memory does not grow with what is stored. It leaves out replication: that is Kafka's.

mod checkpoint;
mod compaction;
mod cursor;
mod files;
mod journal;
mod keeper;
mod record;
mod recovery;
mod segment;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use schemas::topic::TopicConfig;

use crate::clock::now_ms;
use crate::error::Error;
use crate::in_process::{Broker, Call, Cursor, Gate, Limits, Pid, Storage, Transaction};
use crate::log::{Log, Member, MemberConfig, NewRecord, Offsets, Producer, Reader, Result, Start, TopicPartition};
use cursor::DiskCursor;
use files::Files;
use keeper::Keeper;
use writer::{Request, Writer};

/// When the journal is made safe against a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Before a commit is acknowledged or seen; commits that come together share one.
    EveryCommit,
    /// So often; the last commits may be lost with the power, whole and from the end.
    Interval(Duration),
    /// When the operating system sees fit.
    Never,
}

/// How an [`EmbeddedLog`] behaves.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// When commits are made safe against a loss of power.
    pub fsync: Fsync,
    /// Largest record: key, value and headers together.
    pub max_record_bytes: usize,
    /// Largest transaction; it is held in memory until it is committed.
    pub max_transaction_bytes: usize,
    /// After so long without a poll a member loses its partitions.
    pub member_timeout: Duration,
    /// A segment file of a partition is closed at this size.
    pub segment_bytes: u64,
    /// The journal is closed at this size; at most about this much is replayed when opening.
    pub journal_bytes: u64,
    /// A partition is compacted when this much was written since, and half as much as is kept.
    pub compact_bytes: u64,
    /// How long compaction keeps a record without a value.
    pub tombstone_retention: Duration,
    /// How often compaction and retention look for work.
    pub keep_every: Duration,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            fsync: Fsync::Interval(Duration::from_millis(100)),
            max_record_bytes: 16 << 20,
            max_transaction_bytes: 256 << 20,
            member_timeout: Duration::from_secs(300),
            segment_bytes: 32 << 20,
            journal_bytes: 32 << 20,
            compact_bytes: 8 << 20,
            tombstone_retention: Duration::from_secs(24 * 3600),
            keep_every: Duration::from_secs(1),
        }
    }
}

/// A log on local disk. Clones are the same log; the last one closes it.
#[derive(Clone)]
pub struct EmbeddedLog {
    broker: Arc<Broker>,
}

impl EmbeddedLog {
    /// Opens the log in a folder, creating it when it is missing. Blocks while it reads the last journal.
    ///
    /// # Errors
    /// [`Error::Refused`] when another process has it open, [`Error::Storage`] when the disk fails or what stands on
    /// it is damaged.
    pub fn open(path: impl AsRef<Path>, options: EmbeddedOptions) -> Result<Self> {
        let dir = path.as_ref();
        let held = hold(dir)?;
        let recovered = recovery::recover(dir, &options)?;
        let state = Arc::new(Mutex::new(recovered.state));
        let files = Arc::new(recovered.files);
        let (keeper, keeping) = Keeper::start(files.clone(), options.clone())?;
        let (writer, threads) = Writer::start(state.clone(), files.clone(), recovered.journal, keeper.clone(), &options)?;
        let limits = Limits {
            record_bytes: options.max_record_bytes,
            transaction_bytes: options.max_transaction_bytes,
            member_timeout: options.member_timeout,
        };
        let disk = Disk { files, writer, keeper, threads: Mutex::new(threads.into_iter().chain([keeping]).collect()), _held: held };
        Ok(Self { broker: Arc::new(Broker { state, storage: Box::new(disk), limits }) })
    }
}

/// Takes the folder for this process.
fn hold(dir: &Path) -> Result<File> {
    std::fs::create_dir_all(dir.join("topics")).map_err(|error| storage(dir, "create folders", &error))?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"));
    let file = file.map_err(|error| storage(dir, "open the lock file", &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Refused {
            doing: format!("opening {}", dir.display()),
            reason: "another process has this log open; stop it, or give this one another log.path".into(),
        }),
        Err(std::fs::TryLockError::Error(error)) => Err(storage(dir, "lock the folder", &error)),
    }
}

/// A failure of the disk.
fn storage(dir: &Path, doing: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Storage { doing: doing.to_owned(), path: dir.display().to_string(), reason: reason.to_string() }
}

struct Disk {
    files: Arc<Files>,
    writer: Arc<Writer>,
    keeper: Arc<Keeper>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _held: File,
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.writer.stop();
        self.keeper.stop();
        for thread in self.threads.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the embedded log has panicked");
            }
        }
    }
}

impl Storage for Disk {
    fn now_ms(&self) -> i64 {
        now_ms()
    }

    fn gate(&self, _call: Call) -> Result<Gate> {
        Ok(Gate::Pass)
    }

    fn create(&self, topics: Vec<TopicConfig>) -> BoxFuture<'static, Result<()>> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.writer.submit(Request::Create { topics, reply });
        Box::pin(async { answer.await.unwrap_or_else(|_| Err(closed())) })
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'static, Result<BTreeMap<Pid, u64>>> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.writer.submit(Request::Commit { transaction, reply });
        Box::pin(async { answer.await.unwrap_or_else(|_| Err(closed())) })
    }

    fn start(&self, pid: Pid) -> u64 {
        self.files.partition(pid).start()
    }

    fn at_time(&self, pid: Pid, ms: i64, end: u64) -> Result<u64> {
        DiskCursor::at_time(self.files.partition(pid), ms, end)
    }

    fn cursor(&self, at: &TopicPartition, pid: Pid, offset: u64) -> Box<dyn Cursor> {
        Box::new(DiskCursor::new(self.files.partition(pid), at.clone(), offset))
    }
}

fn closed() -> Error {
    Error::Unavailable { doing: "committing".into(), reason: "the embedded log is closed".into() }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()> {
        self.broker.create_topics(topics).await
    }

    async fn topics(&self) -> Result<Vec<String>> {
        self.broker.topics()
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.broker.partitions(topic)
    }

    async fn join(&self, config: MemberConfig) -> Result<Box<dyn Member>> {
        Ok(Box::new(self.broker.join(config)?))
    }

    async fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(self.broker.producer(transactional_id).await?))
    }

    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(self.broker.reader(partitions)?))
    }

    async fn publish(&self, records: Vec<NewRecord>) -> Result<()> {
        self.broker.publish(records).await
    }

    async fn ends(&self, topic: &str) -> Result<Offsets> {
        self.broker.ends(topic)
    }

    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        self.broker.committed(group, topics)
    }
}
