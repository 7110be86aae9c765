//! Topics, ends, producers and groups of a log in one process. Reads no clock and awaits nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use schemas::topic::{Cleanup, TopicConfig};
use tokio::sync::Notify;

use super::group::Group;
use crate::error::Error;
use crate::log::{Headers, Result, TopicPartition};

/// Number of a partition within one log; topics get theirs in the order in which they are created.
pub(crate) type Pid = usize;

/// A topic: a run of partitions.
pub(crate) struct Topic {
    pub(crate) first: Pid,
    pub(crate) count: u32,
    pub(crate) cleanup: Cleanup,
}

impl Topic {
    pub(crate) fn pids(&self) -> Range<Pid> {
        self.first..self.first + self.count as usize
    }

    pub(crate) fn config(&self, name: &str) -> TopicConfig {
        TopicConfig { name: name.to_owned(), partitions: self.count, cleanup: self.cleanup }
    }

    pub(crate) fn compacts(&self) -> bool {
        matches!(self.cleanup, Cleanup::Compact)
    }
}

/// A partition's ends and who wants to know about it.
pub(crate) struct Partition {
    pub(crate) at: TopicPartition,
    pub(crate) cleanup: Cleanup,
    /// Offset of the next record to be written.
    pub(crate) next: u64,
    /// Offset below which records are shown.
    pub(crate) visible: u64,
    bells: BTreeMap<u64, Arc<Notify>>,
}

/// A record with its place.
pub(crate) struct Placed {
    pub(crate) pid: Pid,
    pub(crate) offset: u64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Headers,
}

/// Offsets to commit and by whom.
pub(crate) struct Consumed {
    pub(crate) group: Arc<str>,
    /// Member number and how often it had lost partitions when the proof was made.
    pub(crate) member: (u64, u64),
    pub(crate) offsets: Vec<(Pid, u64)>,
}

/// What takes effect at once.
pub(crate) struct Transaction {
    /// Transactional id and epoch; none outside transactions.
    pub(crate) producer: Option<(Arc<str>, u64)>,
    pub(crate) records: Vec<Placed>,
    pub(crate) consumed: Option<Consumed>,
}

/// A transaction that was found in order and has its offsets.
pub(crate) struct Staged {
    pub(crate) transaction: Transaction,
    pub(crate) timestamp_ms: i64,
    /// Offset after the last record, by partition.
    pub(crate) ends: BTreeMap<Pid, u64>,
    /// `next` before, by partition.
    before: BTreeMap<Pid, u64>,
}

#[derive(Default)]
struct Epoch {
    current: u64,
    staged: usize,
}

/// Everything in one process that is not a record.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) topics: BTreeMap<Arc<str>, Topic>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    producers: BTreeMap<Arc<str>, Epoch>,
    /// Offsets skipped after each transaction, as Kafka's markers do.
    marker: u64,
    pub(crate) last_ms: i64,
    numbers: u64,
    /// Rung whenever a transaction was published or given up.
    pub(crate) settled: Arc<Notify>,
}

impl State {
    /// Nothing yet; `marker` offsets are skipped after each transaction.
    pub(crate) fn with_marker(marker: u64) -> Self {
        Self { marker, ..Self::default() }
    }

    /// A number nobody else has: of a member or a bell.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn topic(&self, name: &str) -> Result<&Topic> {
        self.topics.get(name).ok_or_else(|| Error::UnknownTopic(name.to_owned()))
    }

    pub(crate) fn pid(&self, at: &TopicPartition) -> Result<Pid> {
        let topic = self.topic(&at.topic)?;
        if at.partition < topic.count { Ok(topic.first + at.partition as usize) } else { Err(Error::UnknownTopic(at.to_string())) }
    }

    /// Those topics that do not exist yet.
    pub(crate) fn missing_topics(&self, wanted: &[TopicConfig]) -> Result<Vec<TopicConfig>> {
        let mut missing: Vec<TopicConfig> = Vec::new();
        for config in wanted {
            let found = self.topics.get(config.name.as_str()).map(|topic| topic.count);
            let found = found.or_else(|| missing.iter().find(|other| other.name == config.name).map(|other| other.partitions));
            match found {
                None if config.partitions == 0 => {
                    return Err(Error::Refused { doing: format!("creating topic {}", config.name), reason: "it has no partitions".into() });
                }
                None if !is_topic_name(&config.name) => {
                    let reason = "a topic's name is at most 249 letters, digits, dots, hyphens and underscores".into();
                    return Err(Error::Refused { doing: format!("creating topic {:?}", config.name), reason });
                }
                None => missing.push(config.clone()),
                Some(found) if found != config.partitions => {
                    return Err(Error::PartitionCount { topic: config.name.clone(), found, wanted: config.partitions });
                }
                Some(_) => {}
            }
        }
        Ok(missing)
    }

    pub(crate) fn add_topic(&mut self, config: &TopicConfig) {
        let name: Arc<str> = config.name.as_str().into();
        let first = self.partitions.len();
        for partition in 0..config.partitions {
            let at = TopicPartition { topic: name.clone(), partition };
            self.partitions.push(Partition { at, cleanup: config.cleanup, next: 0, visible: 0, bells: BTreeMap::new() });
        }
        self.topics.insert(name, Topic { first, count: config.partitions, cleanup: config.cleanup });
    }

    /// Makes a newer producer of this id than all before, unless one of them is just committing.
    pub(crate) fn open_producer(&mut self, id: &Arc<str>) -> Option<u64> {
        let epoch = self.producers.entry(id.clone()).or_default();
        if epoch.staged > 0 {
            return None;
        }
        epoch.current += 1;
        Some(epoch.current)
    }

    /// From now on no earlier producer of this id commits.
    pub(crate) fn fence(&mut self, id: &str) {
        if let Some(epoch) = self.producers.get_mut(id) {
            epoch.current += 1;
        }
    }

    pub(crate) fn check_producer(&self, id: &Arc<str>, epoch: u64) -> Result<()> {
        match self.producers.get(id) {
            Some(known) if known.current == epoch || planted::on(planted::Bug::IgnoreFencing) => Ok(()),
            _ => Err(Error::Fenced(id.to_string())),
        }
    }

    /// Checks a transaction and gives its records their offsets.
    pub(crate) fn stage(&mut self, mut transaction: Transaction, now_ms: i64) -> Result<Staged> {
        if let Some((id, epoch)) = &transaction.producer {
            self.check_producer(id, *epoch)?;
        }
        if let Some(consumed) = &transaction.consumed {
            let group =
                self.groups.get_mut(&consumed.group).ok_or_else(|| Error::Fenced(format!("a member of group {}", consumed.group)))?;
            group.check(consumed)?;
            group.staged += 1;
        }
        if let Some(epoch) = transaction.producer.as_ref().and_then(|(id, _)| self.producers.get_mut(id)) {
            epoch.staged += 1;
        }
        self.last_ms = self.last_ms.max(now_ms);
        let (mut before, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for record in &mut transaction.records {
            let next = &mut self.partitions[record.pid].next;
            before.entry(record.pid).or_insert(*next);
            record.offset = *next;
            *next += 1;
            ends.insert(record.pid, *next);
        }
        if transaction.producer.is_some() {
            for pid in ends.keys() {
                self.partitions[*pid].next += self.marker;
            }
        }
        Ok(Staged { transaction, timestamp_ms: self.last_ms, ends, before })
    }

    /// Shows a stored transaction; `show` holds back records (not offsets) when false.
    pub(crate) fn publish(&mut self, staged: &Staged, show: bool) {
        if show {
            for (pid, end) in &staged.ends {
                let marker = if staged.transaction.producer.is_some() { self.marker } else { 0 };
                self.show(*pid, *end + marker);
            }
        }
        if let Some(consumed) = &staged.transaction.consumed
            && let Some(group) = self.groups.get_mut(&consumed.group)
            && !planted::on(planted::Bug::ForgetOffsets)
        {
            group.committed.extend(consumed.offsets.iter().copied());
        }
        self.settle(staged);
    }

    /// Takes a staged transaction back; only the newest may be taken back.
    pub(crate) fn unstage(&mut self, staged: &Staged) {
        for (pid, next) in &staged.before {
            self.partitions[*pid].next = *next;
        }
        self.settle(staged);
    }

    /// Shows a partition's records below `end`.
    pub(crate) fn show(&mut self, pid: Pid, end: u64) {
        let partition = &mut self.partitions[pid];
        if end > partition.visible {
            partition.visible = end;
            partition.bells.values().for_each(|bell| bell.notify_one());
        }
    }

    fn settle(&mut self, staged: &Staged) {
        if let Some(epoch) = staged.transaction.producer.as_ref().and_then(|(id, _)| self.producers.get_mut(id)) {
            epoch.staged = epoch.staged.saturating_sub(1);
        }
        if let Some(group) = staged.transaction.consumed.as_ref().and_then(|consumed| self.groups.get_mut(&consumed.group)) {
            group.staged = group.staged.saturating_sub(1);
            if group.staged == 0 {
                group.ring();
            }
        }
        self.settled.notify_waiters();
    }

    pub(crate) fn subscribe(&mut self, pid: Pid, number: u64, bell: &Arc<Notify>) {
        self.partitions[pid].bells.insert(number, bell.clone());
    }

    pub(crate) fn unsubscribe(&mut self, pid: Pid, number: u64) {
        self.partitions[pid].bells.remove(&number);
    }
}

/// What Kafka takes as a name; it is also safe as the name of a folder.
fn is_topic_name(name: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.chars().all(sound)
}
