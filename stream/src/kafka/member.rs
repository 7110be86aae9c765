//! Membership of a consumer group.
//!
//! librdkafka tells of rebalances through a callback; we only take note there, and act when the caller polls: a revoke
//! is confirmed when the caller is told, and an assignment begins with the poll after the one that told it, so that the
//! caller may move positions in between.
//!
//! [`Sharing::One`]: every member subscribes to all topics; the range assignor gives partition 0 of the first topic to
//! exactly one of them, and that one assigns all partitions of all topics to itself, the others nothing. Offsets are
//! committed with the group's generation, so the broker fences a former owner as ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::client::{self, Heard, blocking, close};
use super::record::Names;
use super::{Shared, error, record};
use crate::error::Error;
use crate::in_process::{POLL_BYTES, lock, weight};
use crate::log::{Member, MemberConfig, Membership, Offsets, Polled, Record, Result, Sharing, Start, TopicPartition};

/// How long to ask whether the cluster is back.
const PROBE: Duration = Duration::from_secs(1);
/// How long a seek may take.
const SEEK: Duration = Duration::from_secs(10);

/// What the group coordinator wants.
#[derive(Clone)]
enum Wish {
    Assign(Vec<TopicPartition>),
    Revoke,
}

/// The consumer's context: takes note.
struct Notes {
    wishes: Arc<Mutex<VecDeque<Wish>>>,
    closing: Arc<AtomicBool>,
    heard: Heard,
}

impl ClientContext for Notes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if matches!(level, RDKafkaLogLevel::Error) {
            self.heard.note(None, message);
        }
        client::log(level, facility, message);
    }
}

impl ConsumerContext for Notes {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Acquire) {
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "leaving a group");
            }
            return;
        }
        let partitions = list.elements().iter().map(|element| TopicPartition::new(element.topic(), element.partition() as u32)).collect();
        lock(&self.wishes).push_back(match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Wish::Assign(partitions),
            _ => Wish::Revoke,
        });
    }
}

/// Proof of membership: the group's metadata, and what the member owned when it was given.
pub(super) struct Proof {
    pub(super) metadata: ConsumerGroupMetadata,
    group: String,
    owned: Arc<BTreeSet<TopicPartition>>,
    given_in: u64,
    epoch: Arc<AtomicU64>,
}

impl Proof {
    /// The broker checks member and generation, but not partitions: that is done here.
    pub(super) fn check<'a>(&self, mut partitions: impl Iterator<Item = &'a TopicPartition>) -> Result<()> {
        if self.epoch.load(Ordering::Acquire) == self.given_in && partitions.all(|at| self.owned.contains(at)) {
            return Ok(());
        }
        Err(Error::Fenced(format!("a member of group {}", self.group)))
    }
}

/// A member. Dropping it leaves the group.
pub(super) struct KafkaMember {
    shared: Arc<Shared>,
    config: MemberConfig,
    consumer: Option<Arc<BaseConsumer<Notes>>>,
    wishes: Arc<Mutex<VecDeque<Wish>>>,
    closing: Arc<AtomicBool>,
    heard: Heard,
    bell: Arc<Notify>,
    names: Names,
    /// All partitions of all topics.
    all: BTreeSet<TopicPartition>,
    owned: Arc<BTreeSet<TopicPartition>>,
    /// Counts losses, so that an older proof is known.
    epoch: Arc<AtomicU64>,
    /// Told to the caller, not yet begun.
    beginning: Option<Offsets>,
    /// A complaint that all brokers are down, not yet disproved.
    down: bool,
}

impl KafkaMember {
    pub(super) async fn join(shared: Arc<Shared>, config: MemberConfig) -> Result<Self> {
        let mut all = BTreeSet::new();
        let mut sizes = BTreeSet::new();
        for topic in &config.topics {
            let partitions = shared.partitions_of(topic).await?;
            sizes.insert(partitions.len());
            all.extend(partitions);
        }
        if config.sharing == Sharing::ByPartition && sizes.len() > 1 {
            return Err(Error::Refused {
                doing: format!("joining group {}", config.group),
                reason: "topics that are read together must have the same number of partitions".into(),
            });
        }
        let (wishes, closing, heard) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)), Heard::default());
        let notes = Notes { wishes: Arc::clone(&wishes), closing: closing.clone(), heard: heard.clone() };
        let mut consumer: BaseConsumer<Notes> = client::create(shared.options.consumer(&config.group), notes)?;
        let bell = Arc::new(Notify::new());
        let rung = bell.clone();
        consumer.set_nonempty_callback(move || rung.notify_one());
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| error::map(&format!("joining group {}", config.group), &error))?;
        Ok(Self {
            shared,
            config,
            consumer: Some(Arc::new(consumer)),
            wishes,
            closing,
            heard,
            bell,
            names: Names::default(),
            all,
            owned: Arc::default(),
            epoch: Arc::default(),
            beginning: None,
            down: false,
        })
    }

    fn consumer(&self) -> Result<Arc<BaseConsumer<Notes>>> {
        self.consumer.clone().ok_or_else(|| self.unavailable("it is closed"))
    }

    fn unavailable(&self, reason: &str) -> Error {
        Error::Unavailable { doing: format!("reading as a member of group {}", self.config.group), reason: reason.to_owned() }
    }

    fn error(&self, error: &KafkaError) -> Error {
        match error::map(&format!("reading as a member of group {}", self.config.group), error) {
            Error::Fenced(_) => Error::Fenced(format!("a member of group {}", self.config.group)),
            other => other,
        }
    }

    /// Takes what is there, without waiting, until a wish comes up.
    fn drain(&mut self, consumer: &BaseConsumer<Notes>, max: usize) -> Result<Vec<Record>> {
        let (mut out, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
        while out.len() < max && bytes < POLL_BYTES {
            match consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    self.down = false;
                    let record = self.names.record(&message);
                    bytes += weight(&record);
                    out.push(record);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => self.complain(&error)?,
                None => break,
            }
            if !lock(&self.wishes).is_empty() {
                break;
            }
        }
        Ok(out)
    }

    /// What librdkafka mends by itself is noted; the rest is an error.
    fn complain(&mut self, error: &KafkaError) -> Result<()> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.down = true,
            Some(RDKafkaErrorCode::PollExceeded) => {
                tracing::warn!(group = %self.config.group, "did not poll for too long and lost its partitions")
            }
            _ => match self.error(error) {
                Error::Unavailable { reason, .. } => tracing::debug!(group = %self.config.group, reason, "a passing failure"),
                // The subscription outlives these; whoever is fenced hears of it by a revoke.
                Error::Fenced(_) => {}
                other => return Err(other),
            },
        }
        Ok(())
    }

    /// Does what the coordinator wants; what has to be told comes back.
    async fn heed(&mut self, wish: Wish) -> Result<Option<Polled>> {
        let consumer = self.consumer()?;
        match wish {
            Wish::Revoke => {
                self.beginning = None;
                consumer.unassign().map_err(|error| self.error(&error))?;
                lock(&self.wishes).pop_front();
                self.epoch.fetch_add(1, Ordering::AcqRel);
                let gone = std::mem::take(&mut self.owned);
                Ok((!gone.is_empty()).then(|| Polled::Revoked(gone.iter().cloned().collect())))
            }
            Wish::Assign(partitions) => {
                let mine: BTreeSet<TopicPartition> = match self.config.sharing {
                    Sharing::ByPartition => partitions.into_iter().collect(),
                    Sharing::One if self.all.first().is_some_and(|first| partitions.contains(first)) => self.all.clone(),
                    Sharing::One => BTreeSet::new(),
                };
                let starts = self.starts(&mine).await?;
                lock(&self.wishes).pop_front();
                self.down = false;
                if mine.is_empty() {
                    consumer.assign(&TopicPartitionList::new()).map_err(|error| self.error(&error))?;
                    return Ok(None);
                }
                self.beginning = Some(starts);
                self.owned = Arc::new(mine);
                Ok(Some(Polled::Assigned(self.owned.iter().cloned().collect())))
            }
        }
    }

    /// Where the group has got to, or where it should start.
    async fn starts(&self, partitions: &BTreeSet<TopicPartition>) -> Result<Offsets> {
        let mut starts = if partitions.is_empty() {
            Offsets::new()
        } else {
            self.shared.committed(&self.config.group, partitions.iter().cloned().collect()).await?
        };
        let fresh: Vec<(TopicPartition, Start)> =
            partitions.iter().filter(|at| !starts.contains_key(*at)).map(|at| (at.clone(), self.config.start)).collect();
        if !fresh.is_empty() {
            starts.extend(self.shared.resolve(fresh).await?.into_iter().map(|(at, found)| (at, found.offset)));
        }
        Ok(starts)
    }

    fn begin(&mut self, consumer: &BaseConsumer<Notes>) -> Result<()> {
        if let Some(starts) = self.beginning.take() {
            consumer.assign(&record::list(&starts)).map_err(|error| self.error(&error))?;
        }
        Ok(())
    }
}

#[async_trait]
impl Member for KafkaMember {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Polled> {
        let consumer = self.consumer()?;
        let deadline = Instant::now() + wait;
        loop {
            let wish = lock(&self.wishes).front().cloned();
            if let Some(wish) = wish {
                match self.heed(wish).await? {
                    Some(told) => return Ok(told),
                    None => continue,
                }
            }
            self.begin(&consumer)?;
            let records = self.drain(&consumer, max.max(1))?;
            if !records.is_empty() {
                return Ok(Polled::Records(records));
            }
            if !lock(&self.wishes).is_empty() {
                continue;
            }
            // librdkafka wants its main queue looked at now and then, whatever it has rung for.
            let until = deadline.min(Instant::now() + PROBE);
            if timeout_at(until, self.bell.notified()).await.is_err() && until == deadline {
                if self.down {
                    let asked = consumer.clone();
                    let answered = blocking(move || asked.fetch_metadata(Some("concord-greeting"), PROBE).is_ok()).await?;
                    self.down = !answered;
                    if !answered {
                        return Err(self.unavailable(&self.heard.last().unwrap_or_else(|| "all brokers are down".into())));
                    }
                }
                return Ok(Polled::Records(Vec::new()));
            }
        }
    }

    async fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<()> {
        if !self.owned.contains(partition) {
            return Err(Error::Refused { doing: format!("seeking in {partition}"), reason: "this member does not own it".into() });
        }
        let found = self.shared.resolve(vec![(partition.clone(), start)]).await?;
        let offset = found.get(partition).map_or(0, |found| found.offset);
        if let Some(starts) = &mut self.beginning {
            starts.insert(partition.clone(), offset);
            return Ok(());
        }
        let (consumer, list) = (self.consumer()?, record::list(&BTreeMap::from([(partition.clone(), offset)])));
        let begun = Instant::now();
        loop {
            let (seeking, wanted) = (consumer.clone(), list.clone());
            let sought = blocking(move || {
                seeking.seek_partitions(wanted, SEEK).and_then(|done| done.elements().iter().try_for_each(|element| element.error()))
            })
            .await?;
            match sought {
                Ok(()) => return Ok(()),
                // Just assigned, it is not being read yet.
                Err(_) if begun.elapsed() < SEEK => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => return Err(self.error(&error)),
            }
        }
    }

    fn membership(&self) -> Result<Membership> {
        let metadata = self.consumer()?.group_metadata().ok_or_else(|| self.unavailable("it has not joined yet"))?;
        let proof = Proof {
            metadata,
            group: self.config.group.clone(),
            owned: self.owned.clone(),
            given_in: self.epoch.load(Ordering::Acquire),
            epoch: self.epoch.clone(),
        };
        Ok(Membership(Arc::new(proof)))
    }

    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        if !offsets.keys().all(|at| self.owned.contains(at)) {
            return Err(Error::Fenced(format!("a member of group {}", self.config.group)));
        }
        if offsets.is_empty() {
            return Ok(());
        }
        let (consumer, list) = (self.consumer()?, record::list(offsets));
        blocking(move || consumer.commit(&list, CommitMode::Sync)).await?.map_err(|error| self.error(&error))
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let consumer = self.consumer.take();
        close(move || {
            if let Some(consumer) = &consumer {
                // A revoke that we were told of and have not confirmed would keep it from closing.
                drop(consumer.unassign());
            }
            drop(consumer);
        });
    }
}
