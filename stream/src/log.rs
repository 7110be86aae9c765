//! The one trait between Concord and the log, and what every implementation promises.
//!
//! - Records of one partition are read in the order they were written, with growing offsets.
//! - [`Producer::commit`] makes everything sent since [`Producer::begin`] and the consumed offsets visible at once or
//!   not at all. Readers and members never see records of open or aborted transactions, whatever they were doing when
//!   the transaction ended.
//! - Opening a producer with a transactional id fences every earlier one with that id; its commit fails with
//!   [`Error::Fenced`]. A commit that carries consumed offsets also fails so when the member it names no longer owns
//!   its partitions.
//! - What [`Log::publish`] and [`Producer::commit`] have acknowledged survives `kill -9`.
//! - A compacted topic keeps at least the latest record of each key; a record without a value removes its key some
//!   time after readers could have seen it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::topic::TopicConfig;

use crate::error::Error;

/// Result of anything that speaks to the log.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Full topic name.
    pub topic: Arc<str>,
    /// Partition number from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Header names and values, in order.
pub type Headers = Vec<(Arc<str>, Bytes)>;

/// A committed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub partition: TopicPartition,
    /// Its place there. Offsets grow but need not be contiguous.
    pub offset: u64,
    /// When it was written, milliseconds since 1970-01-01T00:00:00Z, by the log's or the writer's clock.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none removes the key from a compacted topic.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Headers,
}

impl Record {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| &**key == name).map(|(_, value)| &value[..])
    }
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Full topic name.
    pub topic: Arc<str>,
    /// Partition; none means by the murmur2 of the key ([`schemas::topic::partition`]), or 0 without a key.
    pub partition: Option<u32>,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Headers,
}

impl NewRecord {
    /// A record with key and value, placed by its key.
    pub fn new(topic: impl Into<Arc<str>>, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), partition: None, key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
    }

    /// A record that removes its key from a compacted topic.
    pub fn tombstone(topic: impl Into<Arc<str>>, key: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), partition: None, key: Some(key.into()), value: None, headers: Vec::new() }
    }

    /// The same record, placed by another key (conflicts stand with their entity).
    #[must_use]
    pub fn placed_by(mut self, key: &[u8], partitions: u32) -> Self {
        self.partition = Some(schemas::topic::partition(key, partitions));
        self
    }

    /// The same record with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Where to start reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The oldest record kept.
    Earliest,
    /// Only what is committed from now on.
    Latest,
    /// This offset, or the next one kept.
    Offset(u64),
    /// The first record written at or after this time, in milliseconds since 1970-01-01T00:00:00Z.
    Time(i64),
}

/// How a group shares its topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Partitions spread over members; partitions of the same number of all topics go to the same member, so topics
    /// of a group must have the same number of partitions.
    ByPartition,
    /// One member at a time has every partition of every topic; the others stand by.
    One,
}

/// How to join a group.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// Group name; also the name under which offsets are committed.
    pub group: String,
    /// Full names of topics to read. They must exist.
    pub topics: Vec<String>,
    /// How partitions are shared.
    pub sharing: Sharing,
    /// Where a partition without a committed offset starts.
    pub start: Start,
}

/// What a member learns from one poll.
#[derive(Debug)]
pub enum Polled {
    /// Committed records, in order within each partition; empty when the time ran out.
    Records(Vec<Record>),
    /// These partitions are now this member's too. Reading starts at the committed offset; [`Member::seek`] may move it
    /// before the next poll.
    Assigned(Vec<TopicPartition>),
    /// These partitions are another's from now on; what was not committed for them must be forgotten.
    Revoked(Vec<TopicPartition>),
}

/// Proof of membership for a commit; meaningless to anyone but the log that made it.
#[derive(Clone)]
pub struct Membership(pub(crate) Arc<dyn std::any::Any + Send + Sync>);

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Membership")
    }
}

/// The next offset to read, by partition.
pub type Offsets = BTreeMap<TopicPartition, u64>;

/// A log of topics.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Creates topics that are missing. A topic that exists keeps its partitions; one with another number is an error.
    async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()>;

    /// Names of all topics.
    async fn topics(&self) -> Result<Vec<String>>;

    /// Number of partitions of a topic; [`Error::UnknownTopic`] when there is none of that name.
    async fn partitions(&self, topic: &str) -> Result<u32>;

    /// Joins a group.
    async fn join(&self, config: MemberConfig) -> Result<Box<dyn Member>>;

    /// Opens a producer and fences every earlier one with the same transactional id; their open transactions are aborted.
    async fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>>;

    /// Reads partitions without a group.
    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> Result<Box<dyn Reader>>;

    /// Writes records outside any transaction; they are durable and visible when this returns, in this order.
    async fn publish(&self, records: Vec<NewRecord>) -> Result<()>;

    /// The offset after the last committed record of each partition of a topic: what a reader must reach to have seen
    /// everything committed before the call.
    async fn ends(&self, topic: &str) -> Result<Offsets>;

    /// Offsets a group has committed, for lag. Partitions without any are left out.
    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets>;
}

/// Membership of a group. Dropping it leaves the group.
#[async_trait]
pub trait Member: Send {
    /// Waits up to `wait` for something to happen and returns at most `max` records. Returns at once when records are
    /// there. Also keeps the membership alive: a member that does not poll for long loses its partitions.
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Polled>;

    /// Reads a partition of this member's on from another offset.
    async fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<()>;

    /// Proof for [`Producer::commit`] that offsets are committed by a member that still owns the partitions.
    fn membership(&self) -> Result<Membership>;

    /// Commits offsets on their own, for readers that write nothing to the log.
    async fn commit(&mut self, offsets: &Offsets) -> Result<()>;
}

/// A transactional producer.
#[async_trait]
pub trait Producer: Send {
    /// Begins a transaction. The one before must have been committed or aborted.
    async fn begin(&mut self) -> Result<()>;

    /// Adds records to the open transaction. Returns before they are durable.
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()>;

    /// Commits everything sent, with the offsets a member has consumed up to. Returns the offset after the last record
    /// written to each partition by this transaction.
    ///
    /// After [`Error::Fenced`] the producer is dead; after any other error the transaction must be aborted, and
    /// whether it took effect is known once the abort has answered.
    async fn commit(&mut self, consumed: Option<(Membership, Offsets)>) -> Result<Offsets>;

    /// Ends the transaction without effect.
    async fn abort(&mut self) -> Result<()>;
}

/// Reads partitions without a group.
#[async_trait]
pub trait Reader: Send {
    /// Waits up to `wait` and returns at most `max` committed records; empty when the time ran out.
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>>;

    /// The next offset to be read, by partition: past everything that was returned and past anything skipped on the way
    /// (aborted records, transaction markers, what compaction removed).
    async fn position(&mut self) -> Result<Offsets>;
}
