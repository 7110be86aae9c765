//! Reading partitions without a group.
//!
//! librdkafka's position moves past records and transaction markers as they are taken from its queue. At the end of a
//! partition whose last offsets compaction has removed there is nothing to take; there, its word that the end was
//! reached stands for the end that was asked for before. That word names only a partition number, so each topic has a
//! client of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::client::{self, Client, Heard, blocking, close};
use super::record::Names;
use super::{Shared, error, record};
use crate::error::Error;
use crate::in_process::{POLL_BYTES, weight};
use crate::log::{Offsets, Reader, Record, Result, Start, TopicPartition};

const PROBE: Duration = Duration::from_secs(1);

struct Place {
    /// Where reading is known to have got to.
    next: u64,
    /// The end when reading began.
    end: u64,
}

struct TopicReader {
    consumer: Option<Arc<BaseConsumer<Client>>>,
    topic: Arc<str>,
    places: BTreeMap<u32, Place>,
}

/// A reader.
pub(super) struct KafkaReader {
    topics: Vec<TopicReader>,
    turn: usize,
    names: Names,
    bell: Arc<Notify>,
    heard: Heard,
    down: bool,
}

impl KafkaReader {
    pub(super) async fn open(shared: Arc<Shared>, partitions: Vec<(TopicPartition, Start)>) -> Result<Self> {
        for (at, _) in &partitions {
            if at.partition >= shared.topics.count(&at.topic).await? {
                return Err(Error::UnknownTopic(at.to_string()));
            }
        }
        let mut by_topic: BTreeMap<Arc<str>, BTreeMap<u32, Place>> = BTreeMap::new();
        for (at, found) in shared.resolve(partitions).await? {
            by_topic.entry(at.topic).or_default().insert(at.partition, Place { next: found.offset, end: found.end });
        }
        let (bell, heard) = (Arc::new(Notify::new()), Heard::default());
        let mut topics = Vec::with_capacity(by_topic.len());
        for (topic, places) in by_topic {
            let mut config = shared.options.consumer(&format!("{}-reader", shared.options.client_id));
            config.set("enable.partition.eof", "true");
            let mut consumer: BaseConsumer<Client> = client::create(config, Client::new(heard.clone()))?;
            let rung = bell.clone();
            consumer.set_nonempty_callback(move || rung.notify_one());
            let starts: Offsets = places
                .iter()
                .map(|(partition, place)| (TopicPartition { topic: topic.clone(), partition: *partition }, place.next))
                .collect();
            consumer.assign(&record::list(&starts)).map_err(|error| error::map(&format!("reading {topic}"), &error))?;
            topics.push(TopicReader { consumer: Some(Arc::new(consumer)), topic, places });
        }
        Ok(Self { topics, turn: 0, names: Names::default(), bell, heard, down: false })
    }

    /// Takes what is there, without waiting.
    fn drain(&mut self, max: usize) -> Result<Vec<Record>> {
        let (mut out, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
        let count = self.topics.len().max(1);
        self.turn = (self.turn + 1) % count;
        for index in 0..self.topics.len() {
            let topic = &mut self.topics[(index + self.turn) % count];
            let Some(consumer) = &topic.consumer else { continue };
            while out.len() < max && bytes < POLL_BYTES {
                match consumer.poll(Duration::ZERO) {
                    Some(Ok(message)) => {
                        self.down = false;
                        let record = self.names.record(&message);
                        bytes += weight(&record);
                        if let Some(place) = topic.places.get_mut(&record.partition.partition) {
                            place.next = place.next.max(record.offset + 1);
                        }
                        out.push(record);
                    }
                    Some(Err(KafkaError::PartitionEOF(partition))) => {
                        if let Some(place) = topic.places.get_mut(&(partition as u32)) {
                            place.next = place.next.max(place.end);
                        }
                    }
                    Some(Err(error)) => match error.rdkafka_error_code() {
                        Some(RDKafkaErrorCode::AllBrokersDown) => self.down = true,
                        _ => match error::map(&topic.topic, &error) {
                            Error::Unavailable { reason, .. } => tracing::debug!(topic = %topic.topic, reason, "a passing failure"),
                            other => return Err(other),
                        },
                    },
                    None => break,
                }
            }
        }
        Ok(out)
    }
}

#[async_trait]
impl Reader for KafkaReader {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>> {
        let deadline = Instant::now() + wait;
        loop {
            let records = self.drain(max.max(1))?;
            if !records.is_empty() {
                return Ok(records);
            }
            let until = deadline.min(Instant::now() + PROBE);
            if timeout_at(until, self.bell.notified()).await.is_ok() || until < deadline {
                continue;
            }
            if self.down
                && let Some(consumer) = self.topics.first().and_then(|topic| topic.consumer.clone())
            {
                self.down = !blocking(move || consumer.fetch_metadata(Some("concord-greeting"), PROBE).is_ok()).await?;
                if self.down {
                    let reason = self.heard.last().unwrap_or_else(|| "all brokers are down".into());
                    return Err(Error::Unavailable { doing: "reading".into(), reason });
                }
            }
            return Ok(records);
        }
    }

    async fn position(&mut self) -> Result<Offsets> {
        let mut offsets = Offsets::new();
        for topic in &mut self.topics {
            let Some(consumer) = &topic.consumer else { continue };
            let positions = consumer.position().map_err(|error| error::map(&format!("reading {}", topic.topic), &error))?;
            for element in positions.elements() {
                if let (Offset::Offset(offset), Some(place)) = (element.offset(), topic.places.get_mut(&(element.partition() as u32))) {
                    place.next = place.next.max(u64::try_from(offset).unwrap_or(0));
                }
            }
            offsets.extend(
                topic
                    .places
                    .iter()
                    .map(|(partition, place)| (TopicPartition { topic: topic.topic.clone(), partition: *partition }, place.next)),
            );
        }
        Ok(offsets)
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        let consumers: Vec<_> = self.topics.iter_mut().filter_map(|topic| topic.consumer.take()).collect();
        close(move || drop(consumers));
    }
}
