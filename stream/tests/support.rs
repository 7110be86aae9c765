//! What the cases of the contract share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::topic::{Cleanup, TopicConfig};
use stream::{Log, Member, MemberConfig, NewRecord, Offsets, Polled, Producer, Record, Sharing, Start, TopicPartition};

/// Nothing in these tests should take longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// One log, and names nobody else uses on it.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) log: Arc<dyn Log>,
    number: u64,
    /// Largest value to try.
    pub(crate) large: usize,
}

impl Fixture {
    pub(crate) fn new(log: Arc<dyn Log>, large: usize) -> Self {
        let number = u64::from(std::process::id()) * 1000 + NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { log, number, large }
    }

    pub(crate) fn name(&self, what: &str) -> String {
        format!("t{}.{what}", self.number)
    }

    pub(crate) async fn topic(&self, what: &str, partitions: u32) -> String {
        self.topic_with(what, partitions, Cleanup::Delete { days: 7 }).await
    }

    pub(crate) async fn topic_with(&self, what: &str, partitions: u32, cleanup: Cleanup) -> String {
        let name = self.name(what);
        self.log.create_topics(&[TopicConfig { name: name.clone(), partitions, cleanup }]).await.expect("creates the topic");
        name
    }

    pub(crate) async fn producer(&self, what: &str) -> Box<dyn Producer> {
        self.log.producer(&self.name(what)).await.expect("opens a producer")
    }

    pub(crate) async fn member(&self, group: &str, topics: &[&String], sharing: Sharing) -> Box<dyn Member> {
        let config = MemberConfig {
            group: self.name(group),
            topics: topics.iter().map(|topic| (*topic).clone()).collect(),
            sharing,
            start: Start::Earliest,
        };
        self.log.join(config).await.expect("joins")
    }

    /// Writes values to one partition in one transaction.
    pub(crate) async fn write(&self, producer: &mut Box<dyn Producer>, topic: &str, partition: u32, values: &[&str]) -> Offsets {
        producer.begin().await.expect("begins");
        producer.send(values.iter().map(|value| to(topic, partition, value)).collect()).await.expect("sends");
        producer.commit(None).await.expect("commits")
    }

    /// Everything committed so far in a topic, from the start.
    pub(crate) async fn all(&self, topic: &str) -> Vec<Record> {
        self.from(topic, Start::Earliest).await
    }

    /// Everything committed so far, from a start on.
    pub(crate) async fn from(&self, topic: &str, start: Start) -> Vec<Record> {
        let ends = self.log.ends(topic).await.expect("has ends");
        let mut reader = self.log.reader(ends.keys().map(|at| (at.clone(), start)).collect()).await.expect("opens a reader");
        let mut records = Vec::new();
        within(PATIENCE, async {
            loop {
                let position = reader.position().await.expect("has a position");
                if ends.iter().all(|(at, end)| position.get(at).is_some_and(|position| position >= end)) {
                    return;
                }
                records.extend(reader.poll(1000, Duration::from_millis(100)).await.expect("reads"));
            }
        })
        .await;
        records
    }
}

/// A record for one partition whose key and value are the same text.
pub(crate) fn to(topic: &str, partition: u32, value: &str) -> NewRecord {
    NewRecord { partition: Some(partition), ..NewRecord::new(topic, value.to_owned(), value.to_owned()) }
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8_lossy(record.value.as_deref().unwrap_or(b"-")).into_owned()
}

pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(text).collect()
}

/// The values of each partition, in order.
pub(crate) fn by_partition(records: &[Record]) -> BTreeMap<u32, Vec<String>> {
    let mut found: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for record in records {
        found.entry(record.partition.partition).or_default().push(text(record));
    }
    found
}

/// Fails when something takes too long.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.expect("takes too long")
}

/// Polls until partitions were assigned.
pub(crate) async fn assigned(member: &mut Box<dyn Member>) -> Vec<TopicPartition> {
    within(PATIENCE, async {
        loop {
            match member.poll(1, Duration::from_millis(100)).await.expect("polls") {
                Polled::Assigned(partitions) => return partitions,
                Polled::Records(records) => assert!(records.is_empty(), "records before an assignment"),
                Polled::Revoked(_) => {}
            }
        }
    })
    .await
}

/// Polls until so many records have come, or more.
pub(crate) async fn gather(member: &mut Box<dyn Member>, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    within(PATIENCE, async {
        while records.len() < count {
            if let Polled::Records(more) = member.poll(count, Duration::from_millis(100)).await.expect("polls") {
                records.extend(more);
            }
        }
    })
    .await;
    records
}

/// The offsets after these records.
pub(crate) fn after(records: &[Record]) -> Offsets {
    let mut offsets = Offsets::new();
    for record in records {
        offsets.insert(record.partition.clone(), record.offset + 1);
    }
    offsets
}
