//! A log in memory, for simulation: no clock and no randomness of its own, and broken on demand.
//!
//! It promises the whole contract of [`Log`] with the clock it is given (timers are tokio's, so paused time works), and
//! a [`Faults`] handle that makes it fail in the ways real logs do. Nothing survives the last clone of it.
//!
//! Compaction runs when [`MemoryLog::compact`] is called and when a partition has become large; it leaves out disk.

mod faults;
mod records;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use schemas::topic::TopicConfig;

pub use crate::in_process::Call;
pub use faults::Faults;

use crate::error::Error;
use crate::in_process::{Broker, Cursor, Gate, Limits, Pid, State, Storage, Transaction, lock};
use crate::log::{Log, Member, MemberConfig, NewRecord, Offsets, Producer, Reader, Record, Result, Start, TopicPartition};
use records::Kept;

/// Tells the time in milliseconds since 1970-01-01T00:00:00Z.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a [`MemoryLog`] behaves.
#[derive(Clone)]
pub struct MemoryOptions {
    /// The time that records get.
    pub clock: Clock,
    /// Seed of random faults.
    pub seed: u64,
    /// Leave one offset unused after every transaction, where Kafka keeps its marker.
    pub markers: bool,
    /// Largest record, key, value and headers together.
    pub max_record_bytes: usize,
    /// After so long without a poll a member loses its partitions.
    pub member_timeout: Duration,
    /// How long compaction keeps a record without a value.
    pub tombstone_retention: Duration,
}

impl MemoryOptions {
    /// The default options with a clock.
    pub fn with_clock(clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            clock: Arc::new(clock),
            seed: 0,
            markers: false,
            max_record_bytes: 16 << 20,
            member_timeout: Duration::from_secs(300),
            tombstone_retention: Duration::from_secs(24 * 3600),
        }
    }
}

/// A log in memory. Clones are the same log.
#[derive(Clone)]
pub struct MemoryLog {
    broker: Arc<Broker>,
    kept: Arc<Mutex<Kept>>,
    faults: Faults,
    options: MemoryOptions,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(options: MemoryOptions) -> Self {
        let state = Arc::new(Mutex::new(State::with_marker(u64::from(options.markers))));
        let kept = Arc::new(Mutex::new(Kept::default()));
        let faults = Faults::new(state.clone(), options.seed);
        let storage = InMemory { state: state.clone(), kept: kept.clone(), faults: faults.clone(), options: options.clone() };
        let limits =
            Limits { record_bytes: options.max_record_bytes, transaction_bytes: usize::MAX, member_timeout: options.member_timeout };
        Self { broker: Arc::new(Broker { state, storage: Box::new(storage), limits }), kept, faults, options }
    }

    /// What can be made to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Compacts and expires as the topics' configuration says, now.
    pub fn compact(&self) {
        let state = self.broker.state();
        let now_ms = (self.options.clock)();
        let mut kept = lock(&self.kept);
        for (pid, partition) in state.partitions.iter().enumerate() {
            kept.compact(pid, partition, now_ms, self.options.tombstone_retention);
        }
    }
}

struct InMemory {
    state: Arc<Mutex<State>>,
    kept: Arc<Mutex<Kept>>,
    faults: Faults,
    options: MemoryOptions,
}

impl Storage for InMemory {
    fn now_ms(&self) -> i64 {
        (self.options.clock)()
    }

    fn gate(&self, call: Call) -> Result<Gate> {
        self.faults.gate(call)
    }

    fn create(&self, topics: Vec<TopicConfig>) -> BoxFuture<'static, Result<()>> {
        let mut state = lock(&self.state);
        let missing = state.missing_topics(&topics);
        let created = missing.map(|missing| missing.iter().for_each(|topic| state.add_topic(topic)));
        Box::pin(std::future::ready(created))
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'static, Result<BTreeMap<Pid, u64>>> {
        Box::pin(std::future::ready(self.commit_now(transaction)))
    }

    fn start(&self, pid: Pid) -> u64 {
        lock(&self.kept).start(pid)
    }

    fn at_time(&self, pid: Pid, ms: i64, end: u64) -> Result<u64> {
        Ok(lock(&self.kept).at_time(pid, ms, end))
    }

    fn cursor(&self, _at: &TopicPartition, pid: Pid, offset: u64) -> Box<dyn Cursor> {
        Box::new(InMemoryCursor { kept: self.kept.clone(), pid, offset })
    }
}

impl InMemory {
    fn commit_now(&self, mut transaction: Transaction) -> Result<BTreeMap<Pid, u64>> {
        if planted::on(planted::Bug::TornTransaction) && self.faults.disk_is_full() {
            transaction.consumed = None;
            transaction.records.truncate(transaction.records.len().div_ceil(2));
        } else if self.faults.disk_is_full() {
            return Err(Error::Storage { doing: "write".into(), path: "memory".into(), reason: "no space left on device".into() });
        }
        let now_ms = self.now_ms();
        let mut state = lock(&self.state);
        let mut staged = state.stage(transaction, now_ms)?;
        let mut kept = lock(&self.kept);
        for placed in std::mem::take(&mut staged.transaction.records) {
            let record = Record {
                partition: state.partitions[placed.pid].at.clone(),
                offset: placed.offset,
                timestamp_ms: staged.timestamp_ms,
                key: placed.key,
                value: placed.value,
                headers: placed.headers,
            };
            kept.push(placed.pid, record);
        }
        state.publish(&staged, !self.faults.visibility_held());
        for pid in staged.ends.keys().filter(|pid| kept.is_large(**pid)).copied().collect::<Vec<_>>() {
            kept.compact(pid, &state.partitions[pid], now_ms, self.options.tombstone_retention);
        }
        if planted::on(planted::Bug::TornTransaction) && self.faults.disk_is_full() {
            return Err(Error::Fenced("a torn transaction".into()));
        }
        Ok(staged.ends)
    }
}

struct InMemoryCursor {
    kept: Arc<Mutex<Kept>>,
    pid: Pid,
    offset: u64,
}

impl Cursor for InMemoryCursor {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn read(&mut self, end: u64, max: usize, bytes: usize, out: &mut Vec<Record>) -> Result<()> {
        self.offset = lock(&self.kept).read(self.pid, self.offset, end, max, bytes, out);
        Ok(())
    }
}

#[async_trait]
impl Log for MemoryLog {
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
        let ends = self.broker.ends(topic)?;
        if !self.faults.visibility_held() {
            return Ok(ends);
        }
        // What is committed counts, shown or not: whoever must have seen all of it has to wait.
        let state = self.broker.state();
        ends.into_keys().map(|at| Ok((at.clone(), state.partitions[state.pid(&at)?].next))).collect()
    }

    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        self.broker.committed(group, topics)
    }
}
