//! Which topics there are, how many partitions they have, and making those that are missing.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use schemas::topic::{Cleanup, TopicConfig};

use super::client::{Client, blocking};
use super::{ASK, KafkaOptions, error};
use crate::error::Error;
use crate::log::{NewRecord, Result};

const DAY_MS: u64 = 24 * 3600 * 1000;
/// A new topic is there when its partitions have leaders; that takes a moment.
const READY_WITHIN: Duration = Duration::from_secs(15);

/// Topics by name, asked for once.
pub(super) struct Known {
    inspector: Arc<BaseConsumer<Client>>,
    admin: AdminClient<Client>,
    counts: RwLock<BTreeMap<String, u32>>,
}

impl Known {
    pub(super) fn new(inspector: Arc<BaseConsumer<Client>>, admin: AdminClient<Client>) -> Self {
        Self { inspector, admin, counts: RwLock::default() }
    }

    fn remembered(&self, topic: &str) -> Option<u32> {
        self.counts.read().unwrap_or_else(PoisonError::into_inner).get(topic).copied()
    }

    /// Number of partitions.
    pub(super) async fn count(&self, topic: &str) -> Result<u32> {
        match self.remembered(topic) {
            Some(count) => Ok(count),
            None => self.ask(topic).await?.ok_or_else(|| Error::UnknownTopic(topic.to_owned())),
        }
    }

    /// Asks the cluster; none when there is no such topic.
    async fn ask(&self, topic: &str) -> Result<Option<u32>> {
        let (inspector, name) = (self.inspector.clone(), topic.to_owned());
        let found = blocking(move || {
            let metadata =
                inspector.fetch_metadata(Some(&name), ASK).map_err(|error| error::map(&format!("asking for topic {name}"), &error))?;
            let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else { return Ok(None) };
            match found.error().map(RDKafkaErrorCode::from) {
                None => {}
                Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::InvalidTopic) => {
                    return Ok(None);
                }
                Some(code) => return Err(error::by_code(&format!("asking for topic {name}"), code, code.to_string(), false)),
            }
            // Just created, its partitions may not be known everywhere yet.
            let led = found.partitions().iter().all(|partition| partition.leader() >= 0 && partition.error().is_none());
            Ok((led && !found.partitions().is_empty()).then(|| found.partitions().len() as u32))
        })
        .await??;
        if let Some(count) = found {
            self.counts.write().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned(), count);
        }
        Ok(found)
    }

    /// Names of all topics.
    pub(super) async fn names(&self) -> Result<Vec<String>> {
        let inspector = self.inspector.clone();
        let metadata = blocking(move || inspector.fetch_metadata(None, ASK)).await?;
        let metadata = metadata.map_err(|error| error::map("asking for the topics", &error))?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// Creates what is missing.
    pub(super) async fn create(&self, topics: &[TopicConfig], options: &KafkaOptions) -> Result<()> {
        let mut missing = Vec::new();
        let there: std::collections::BTreeSet<String> = self.names().await?.into_iter().collect();
        for topic in topics {
            if there.contains(&topic.name) { self.check(topic).await? } else { missing.push(topic) }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let settings: Vec<Vec<(String, String)>> = missing.iter().map(|topic| settings(topic, options)).collect();
        let replication = options.replication_factor.map_or(-1, i32::from);
        let new: Vec<NewTopic<'_>> = missing
            .iter()
            .zip(&settings)
            .map(|(topic, settings)| {
                let new = NewTopic::new(&topic.name, topic.partitions as i32, TopicReplication::Fixed(replication));
                settings.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let asked = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let created = self.admin.create_topics(&new, &asked).await.map_err(|error| error::map("creating topics", &error))?;
        for result in created {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(error::by_code(&format!("creating topic {name}"), code, code.to_string(), false)),
            }
        }
        for topic in missing {
            self.check(topic).await?;
        }
        Ok(())
    }

    /// Waits until a topic is there, and compares its partitions.
    async fn check(&self, topic: &TopicConfig) -> Result<()> {
        let begun = Instant::now();
        let found = loop {
            match self.ask(&topic.name).await? {
                Some(found) => break found,
                None if begun.elapsed() > READY_WITHIN => {
                    return Err(Error::Unavailable {
                        doing: format!("creating topic {}", topic.name),
                        reason: "its partitions have no leaders yet".into(),
                    });
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        if found == topic.partitions {
            return Ok(());
        }
        Err(Error::PartitionCount { topic: topic.name.clone(), found, wanted: topic.partitions })
    }

    /// Finds each record's partition, as Java clients do.
    pub(super) async fn place(&self, record: &NewRecord) -> Result<i32> {
        let count = match self.remembered(&record.topic) {
            Some(count) => count,
            None => self.count(&record.topic).await?,
        };
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => schemas::topic::partition(key, count),
            (None, None) => 0,
        };
        if partition < count {
            return Ok(partition as i32);
        }
        Err(Error::Refused { doing: format!("a record of {}", record.topic), reason: format!("it names partition {partition} of {count}") })
    }
}

/// A topic's configuration in Kafka's words.
fn settings(topic: &TopicConfig, options: &KafkaOptions) -> Vec<(String, String)> {
    let mut settings = match topic.cleanup {
        Cleanup::Compact => vec![
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("min.compaction.lag.ms".to_owned(), options.min_compaction_lag.as_millis().to_string()),
        ],
        Cleanup::Delete { days } => {
            vec![("cleanup.policy".to_owned(), "delete".to_owned()), ("retention.ms".to_owned(), (u64::from(days) * DAY_MS).to_string())]
        }
    };
    // Room for the batch around the largest record.
    settings.push(("max.message.bytes".to_owned(), (u64::from(options.max_record_bytes) + 4096).to_string()));
    settings.retain(|(name, _)| !options.topic.contains_key(name));
    settings.extend(options.topic.iter().map(|(name, value)| (name.clone(), value.clone())));
    settings
}
