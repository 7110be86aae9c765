//! What the `embedded` and the `memory` log share: groups, fencing, offsets and wake-ups inside one process.
//!
//! A transaction is buffered by its producer and handed to the [`Storage`] as a whole, so nothing of an open one is
//! ever stored. [`State`] checks it and gives out offsets (`stage`), the storage makes it durable, and `publish` shows
//! records and group offsets at once. Between the two, the storage may collect several transactions (group commit);
//! whoever could tell the difference (a new producer of the same id, a rebalance) waits until nothing is in between.
//!
//! It leaves out storing: that is what the two logs do differently.

mod group;
mod member;
mod producer;
mod reader;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use schemas::topic::TopicConfig;

pub(crate) use member::InProcessMember;
pub(crate) use producer::InProcessProducer;
pub(crate) use reader::{InProcessReader, weight};
pub(crate) use state::{Consumed, Partition, Pid, Placed, Staged, State, Transaction};

use crate::error::Error;
use crate::log::{MemberConfig, NewRecord, Offsets, Record, Result, Start, TopicPartition};

/// Most bytes that one poll returns, unless a single record is larger.
pub(crate) const POLL_BYTES: usize = 8 << 20;
/// Most headers of a record, and longest name of one.
const HEADERS: usize = u16::MAX as usize;
/// Longest name of a group.
const GROUP_NAME: usize = 1024;

/// The calls of the trait, so that faults can be aimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `Log::create_topics`.
    CreateTopics,
    /// `Log::topics`, `Log::partitions`, `Log::ends` and `Log::committed`.
    Describe,
    /// `Log::join`.
    Join,
    /// `Log::producer`.
    OpenProducer,
    /// `Log::reader`.
    OpenReader,
    /// `Log::publish`.
    Publish,
    /// `Member::poll`.
    Poll,
    /// `Member::seek`.
    Seek,
    /// `Member::commit`.
    CommitOffsets,
    /// `Producer::begin`.
    Begin,
    /// `Producer::send`.
    Send,
    /// `Producer::commit`.
    Commit,
    /// `Producer::abort`.
    Abort,
    /// `Reader::poll`.
    Read,
}

/// What a storage lets happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The call takes its course.
    Pass,
    /// The call takes its course, and its answer is lost.
    LoseAnswer,
    /// What a poll returns is returned once more by the next.
    Repeat,
}

/// A place in a partition from which records are read on.
pub(crate) trait Cursor: Send {
    /// The next offset to be read.
    fn offset(&self) -> u64;
    /// Appends at most `max` records below `end`, of about `bytes` together but at least one if there is one, and
    /// moves on; to `end` when nothing is left below it.
    fn read(&mut self, end: u64, max: usize, bytes: usize, out: &mut Vec<Record>) -> Result<()>;
}

/// Where records are kept.
pub(crate) trait Storage: Send + Sync + 'static {
    /// The time, in milliseconds since 1970-01-01T00:00:00Z.
    fn now_ms(&self) -> i64;
    /// Asked before every call.
    fn gate(&self, call: Call) -> Result<Gate>;
    /// Makes topics durable and adds them to the state.
    fn create(&self, topics: Vec<TopicConfig>) -> BoxFuture<'static, Result<()>>;
    /// Stages, stores and publishes a transaction. Goes on when the future is dropped.
    fn commit(&self, transaction: Transaction) -> BoxFuture<'static, Result<BTreeMap<Pid, u64>>>;
    /// The oldest offset kept.
    fn start(&self, pid: Pid) -> u64;
    /// The offset of the first record below `end` written at or after a time; `end` when there is none.
    fn at_time(&self, pid: Pid, ms: i64, end: u64) -> Result<u64>;
    /// A cursor at an offset.
    fn cursor(&self, at: &TopicPartition, pid: Pid, offset: u64) -> Box<dyn Cursor>;
}

/// Bounds of a log in one process.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) record_bytes: usize,
    pub(crate) transaction_bytes: usize,
    pub(crate) member_timeout: Duration,
}

/// A log in one process: shared state and a storage.
pub(crate) struct Broker {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) limits: Limits,
}

/// Locks; a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()> {
        self.storage.gate(Call::CreateTopics)?;
        let missing = self.state().missing_topics(topics)?;
        if missing.is_empty() { Ok(()) } else { self.storage.create(missing).await }
    }

    pub(crate) fn topics(&self) -> Result<Vec<String>> {
        self.storage.gate(Call::Describe)?;
        Ok(self.state().topics.keys().map(|name| name.to_string()).collect())
    }

    pub(crate) fn partitions(&self, topic: &str) -> Result<u32> {
        self.storage.gate(Call::Describe)?;
        Ok(self.state().topic(topic)?.count)
    }

    pub(crate) fn join(self: &Arc<Self>, config: MemberConfig) -> Result<InProcessMember> {
        self.storage.gate(Call::Join)?;
        if config.group.is_empty() || config.group.len() > GROUP_NAME {
            return Err(Error::Refused { doing: "joining a group".into(), reason: format!("its name has not 1 to {GROUP_NAME} bytes") });
        }
        InProcessMember::join(self.clone(), config)
    }

    pub(crate) async fn producer(self: &Arc<Self>, id: &str) -> Result<InProcessProducer> {
        self.storage.gate(Call::OpenProducer)?;
        InProcessProducer::open(self.clone(), id).await
    }

    pub(crate) fn reader(self: &Arc<Self>, partitions: Vec<(TopicPartition, Start)>) -> Result<InProcessReader> {
        self.storage.gate(Call::OpenReader)?;
        InProcessReader::open(self.clone(), partitions)
    }

    pub(crate) async fn publish(&self, records: Vec<NewRecord>) -> Result<()> {
        let gate = self.storage.gate(Call::Publish)?;
        let mut placed = Vec::with_capacity(records.len());
        self.place(records, &mut placed)?;
        if !placed.is_empty() {
            self.storage.commit(Transaction { producer: None, records: placed, consumed: None }).await?;
        }
        answered(gate, "publishing records")
    }

    pub(crate) fn ends(&self, topic: &str) -> Result<Offsets> {
        self.storage.gate(Call::Describe)?;
        let state = self.state();
        let topic = state.topic(topic)?;
        Ok(topic.pids().map(|pid| (state.partitions[pid].at.clone(), state.partitions[pid].visible)).collect())
    }

    pub(crate) fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        self.storage.gate(Call::Describe)?;
        let state = self.state();
        let mut offsets = Offsets::new();
        for topic in topics {
            for pid in state.topic(topic)?.pids() {
                if let Some(offset) = state.groups.get(group).and_then(|group| group.committed.get(&pid)) {
                    offsets.insert(state.partitions[pid].at.clone(), *offset);
                }
            }
        }
        Ok(offsets)
    }

    /// Finds each record's partition; refuses what no partition takes. Returns the bytes of keys and values.
    pub(crate) fn place(&self, records: Vec<NewRecord>, out: &mut Vec<Placed>) -> Result<usize> {
        let state = self.state();
        let mut sum = 0;
        let mut last: Option<(Arc<str>, Pid, u32, bool)> = None;
        for record in records {
            let bytes = size(&record);
            let headers = record.headers.len().max(record.headers.iter().map(|(name, _)| name.len()).max().unwrap_or(0));
            if bytes > self.limits.record_bytes || headers > HEADERS {
                return Err(Error::TooLarge { topic: record.topic.to_string(), bytes });
            }
            sum += bytes;
            let known =
                last.as_ref().filter(|(name, ..)| *name == record.topic).map(|(_, first, count, compact)| (*first, *count, *compact));
            let (first, count, compact) = match known {
                Some(known) => known,
                None => {
                    let topic = state.topic(&record.topic)?;
                    last = Some((record.topic.clone(), topic.first, topic.count, topic.compacts()));
                    (topic.first, topic.count, topic.compacts())
                }
            };
            if compact && record.key.is_none() {
                return Err(Error::Refused {
                    doing: format!("a record of {}", record.topic),
                    reason: "a compacted topic takes only records with a key".into(),
                });
            }
            let partition = match (record.partition, &record.key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => schemas::topic::partition(key, count),
                (None, None) => 0,
            };
            if partition >= count {
                return Err(Error::Refused {
                    doing: format!("a record of {}", record.topic),
                    reason: format!("it names partition {partition} of {count}"),
                });
            }
            out.push(Placed { pid: first + partition as Pid, offset: 0, key: record.key, value: record.value, headers: record.headers });
        }
        Ok(sum)
    }

    /// The offset that a start means now.
    pub(crate) fn resolve(&self, pid: Pid, start: Start, visible: u64) -> Result<u64> {
        Ok(match start {
            Start::Earliest => self.storage.start(pid),
            Start::Latest => visible,
            Start::Offset(offset) => offset.max(self.storage.start(pid)),
            Start::Time(ms) => self.storage.at_time(pid, ms, visible)?,
        })
    }
}

/// An error instead of an answer, where the fault wants it.
pub(crate) fn answered(gate: Gate, doing: &str) -> Result<()> {
    match gate {
        Gate::Pass | Gate::Repeat => Ok(()),
        Gate::LoseAnswer => Err(Error::Unavailable { doing: doing.to_owned(), reason: "the answer was lost".into() }),
    }
}

fn size(record: &NewRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len) + headers
}
