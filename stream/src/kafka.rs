//! The log on Apache Kafka, through librdkafka.
//!
//! - Transactional producers carry the consumer group's metadata, so that the broker fences zombies and stale members.
//! - Readers and members read committed records only.
//! - Nothing that waits for a broker runs on an async thread: consumers are polled without waiting when librdkafka says
//!   that something is there; all other calls run on blocking threads with a limit.
//! - An unreachable broker is one error with the reason, within [`KafkaOptions::connect_timeout`].
//!
//! It leaves out TLS and SCRAM unless built with the feature `kafka-tls`, which needs OpenSSL.

mod client;
mod error;
mod member;
mod options;
mod producer;
mod publisher;
mod reader;
mod record;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use schemas::topic::TopicConfig;
use tokio::sync::Mutex;

pub use crate::secret::Secret;
pub use options::{Compression, KafkaOptions};

use crate::error::Error;
use crate::log::{Log, Member, MemberConfig, NewRecord, Offsets, Producer, Reader, Result, Start, TopicPartition};
use client::{Client, Heard, blocking};
use member::KafkaMember;
use producer::KafkaProducer;
use publisher::Publisher;
use reader::KafkaReader;
use topics::Known;

/// How long one question to a broker may take.
const ASK: Duration = Duration::from_secs(15);
/// How soon to ask again.
const AGAIN: Duration = Duration::from_millis(20);

/// A log on Kafka. Clones share their connections.
#[derive(Clone)]
pub struct KafkaLog {
    shared: Arc<Shared>,
}

/// What everything on one cluster shares.
struct Shared {
    options: KafkaOptions,
    /// For questions: metadata, starts, offsets for times. Reads committed.
    inspector: Arc<BaseConsumer<Client>>,
    /// For ends: reads everything. See [`Shared::ends`].
    surveyor: Arc<BaseConsumer<Client>>,
    topics: Known,
    publisher: Publisher,
    /// For a group's committed offsets.
    groups: Mutex<BTreeMap<String, Arc<BaseConsumer<Client>>>>,
}

impl KafkaLog {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no broker answers within the options' time, [`Error::Refused`] for options that
    /// librdkafka does not take and credentials that the broker does not.
    pub async fn connect(options: KafkaOptions) -> Result<Self> {
        let heard = Heard::default();
        let inspector: BaseConsumer<Client> =
            client::create(options.consumer(&format!("{}-inspector", options.client_id)), Client::new(heard.clone()))?;
        let inspector = Arc::new(inspector);
        let (asked, timeout) = (inspector.clone(), options.connect_timeout);
        let doing = format!("connecting to Kafka at {}", options.bootstrap);
        blocking(move || greet(&asked, &heard, timeout, &doing)).await??;
        let mut surveying = options.consumer(&format!("{}-inspector", options.client_id));
        surveying.set("isolation.level", "read_uncommitted");
        let surveyor: BaseConsumer<Client> = client::create(surveying, Client::default())?;
        let topics = Known::new(inspector.clone(), client::create(options.client(), Client::default())?);
        let publisher = Publisher::new(&options)?;
        Ok(Self {
            shared: Arc::new(Shared { options, inspector, surveyor: Arc::new(surveyor), topics, publisher, groups: Mutex::default() }),
        })
    }
}

/// Waits until a broker answers.
fn greet(consumer: &BaseConsumer<Client>, heard: &Heard, timeout: Duration, doing: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let asked = consumer.fetch_metadata(Some("concord-greeting"), Duration::from_millis(500).min(timeout));
        // Errors of the connection wait in the queue.
        drop(consumer.poll(Duration::ZERO));
        match asked {
            Ok(_) => return Ok(()),
            Err(_) if begun.elapsed() < timeout && !heard.refused() => {}
            Err(error) => {
                let reason = heard.last().unwrap_or_else(|| error.to_string());
                return Err(if heard.refused() {
                    Error::Refused { doing: doing.to_owned(), reason }
                } else {
                    Error::Unavailable {
                        doing: doing.to_owned(),
                        reason: format!("{reason}; check log.kafka.bootstrap and that the broker runs"),
                    }
                });
            }
        }
    }
}

impl Shared {
    /// What a reader must reach to have seen everything committed so far.
    ///
    /// A commit is acknowledged when the coordinator has decided it; the markers that show it to readers follow a
    /// moment later. Until then the last stable offset still stands before the transaction. So the end is that of all
    /// records: a reader gets there as soon as the transactions that are open now have ended.
    async fn ends(&self, partitions: Vec<TopicPartition>) -> Result<Offsets> {
        let inspector = self.surveyor.clone();
        blocking(move || {
            client::listen(&inspector);
            let mut ends = Offsets::new();
            for at in partitions {
                let (_, end) =
                    patiently(&format!("asking for the end of {at}"), || inspector.fetch_watermarks(&at.topic, at.partition as i32, ASK))?;
                ends.insert(at, u64::try_from(end).unwrap_or(0));
            }
            Ok(ends)
        })
        .await?
    }

    /// Where each start is now, as a number that stays the same.
    async fn resolve(&self, starts: Vec<(TopicPartition, Start)>) -> Result<BTreeMap<TopicPartition, Resolved>> {
        let inspector = self.inspector.clone();
        blocking(move || {
            client::listen(&inspector);
            let mut found = BTreeMap::new();
            for (at, start) in starts {
                let doing = format!("finding the start in {at}");
                let (low, end) = patiently(&doing, || inspector.fetch_watermarks(&at.topic, at.partition as i32, ASK))?;
                let (low, end) = (u64::try_from(low).unwrap_or(0), u64::try_from(end).unwrap_or(0));
                let offset = match start {
                    Start::Earliest => low,
                    Start::Latest => end,
                    Start::Offset(offset) => offset.max(low),
                    Start::Time(ms) => at_time(&inspector, &at, ms, &doing)?.unwrap_or(end).min(end),
                };
                found.insert(at, Resolved { offset, end });
            }
            Ok(found)
        })
        .await?
    }

    /// Offsets that a group has committed.
    async fn committed(&self, group: &str, partitions: Vec<TopicPartition>) -> Result<Offsets> {
        let consumer = {
            let mut groups = self.groups.lock().await;
            match groups.get(group) {
                Some(consumer) => consumer.clone(),
                None => {
                    let consumer: BaseConsumer<Client> = client::create(self.options.consumer(group), Client::default())?;
                    groups.entry(group.to_owned()).or_insert(Arc::new(consumer)).clone()
                }
            }
        };
        let doing = format!("asking for the offsets of group {group}");
        blocking(move || {
            client::listen(&consumer);
            let mut list = TopicPartitionList::new();
            for at in &partitions {
                list.add_partition(&at.topic, at.partition as i32);
            }
            // A partition whose offset cannot be told now is not one without an offset.
            let told = |found: TopicPartitionList| found.elements().iter().try_for_each(|element| element.error()).map(|()| found);
            let found = patiently(&doing, || consumer.committed_offsets(list.clone(), ASK).and_then(told))?;
            Ok(record::numbers(&found))
        })
        .await?
    }

    /// All partitions of a topic.
    async fn partitions_of(&self, topic: &str) -> Result<Vec<TopicPartition>> {
        let count = self.topics.count(topic).await?;
        let name: Arc<str> = topic.into();
        Ok((0..count).map(|partition| TopicPartition { topic: name.clone(), partition }).collect())
    }
}

/// A start, and the end when it was looked up.
struct Resolved {
    offset: u64,
    end: u64,
}

/// Asks again for a while when the answer is that a leader or coordinator is just moving. For blocking threads.
fn patiently<T>(doing: &str, mut ask: impl FnMut() -> rdkafka::error::KafkaResult<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match ask().map_err(|error| error::map(doing, &error)) {
            Err(Error::Unavailable { .. }) if begun.elapsed() < ASK => std::thread::sleep(AGAIN),
            answer => return answer,
        }
    }
}

fn at_time(consumer: &BaseConsumer<Client>, at: &TopicPartition, ms: i64, doing: &str) -> Result<Option<u64>> {
    let mut list = TopicPartitionList::new();
    let added = list.add_partition_offset(&at.topic, at.partition as i32, Offset::Offset(ms.max(0)));
    added.map_err(|error| error::map(doing, &error))?;
    let found = patiently(doing, || consumer.offsets_for_times(list.clone(), ASK))?;
    Ok(record::numbers(&found).get(at).copied())
}

#[async_trait]
impl Log for KafkaLog {
    async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()> {
        self.shared.topics.create(topics, &self.shared.options).await
    }

    async fn topics(&self) -> Result<Vec<String>> {
        self.shared.topics.names().await
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.shared.topics.count(topic).await
    }

    async fn join(&self, config: MemberConfig) -> Result<Box<dyn Member>> {
        Ok(Box::new(KafkaMember::join(self.shared.clone(), config).await?))
    }

    async fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        Ok(Box::new(KafkaProducer::open(self.shared.clone(), transactional_id).await?))
    }

    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(KafkaReader::open(self.shared.clone(), partitions).await?))
    }

    async fn publish(&self, records: Vec<NewRecord>) -> Result<()> {
        self.shared.publisher.publish(&self.shared.topics, records).await
    }

    async fn ends(&self, topic: &str) -> Result<Offsets> {
        self.shared.ends(self.shared.partitions_of(topic).await?).await
    }

    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        let mut partitions = Vec::new();
        for topic in topics {
            partitions.extend(self.shared.partitions_of(topic).await?);
        }
        self.shared.committed(group, partitions).await
    }
}
