//! One membership with one producer: from joining to the first failure or shutdown.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use planted::Bug;
use schemas::message::DeadLetter;
use stream::{Class, Member, MemberConfig, NewRecord, Offsets, Polled, Producer, Record, Sharing, Start, TopicPartition};
use tokio::time::Instant;

use super::context::{Aside, Slot};
use super::restore::restore;
use super::{Context, Processor, Task, Work, shown, sync_id};
use crate::error::{Error, Result};
use crate::outbox::Channel;
use crate::retry::Backoff;
use crate::store::Position;

/// How long a quiet poll waits; work between records is looked at so often.
const QUIET: Duration = Duration::from_secs(1);
/// The same while something waits for its moment.
const SOON: Duration = Duration::from_millis(10);
/// Records processed before other tasks of the process get a turn.
const TURN: usize = 128;

pub(super) async fn run<P, F>(task: &Task, make: &(impl Fn() -> F + Send + Sync), backoff: &mut Backoff, single: &mut usize) -> Result<()>
where
    P: Processor,
    F: Future<Output = Result<P>> + Send,
{
    let log = Error::log(task.name);
    let mut dead = BTreeMap::new();
    for topic in &task.inputs {
        let letters = format!("{topic}.dlq");
        dead.insert(topic.clone(), Channel::open(&task.codec, &letters).await.map_err(&log)?);
    }
    let processor = make().await?;
    let producer = task.log.producer(&task.transactional_id).await.map_err(&log)?;
    let config = MemberConfig { group: task.group.clone(), topics: task.inputs.clone(), sharing: task.sharing, start: Start::Earliest };
    let member = task.log.join(config).await.map_err(&log)?;
    let mut session =
        Session { task, processor, member, producer, dead, slots: BTreeMap::new(), read: Offsets::new(), outputs: Vec::new() };
    let mut wait = QUIET;
    while !task.shutdown.is_cancelled() {
        let most = if *single > 0 { 1 } else { task.config.batch_records.max(1) };
        let polled = tokio::select! {
            biased;
            () = task.shutdown.cancelled() => break,
            polled = session.member.poll(most, wait) => polled.map_err(&log)?,
        };
        wait = match polled {
            Polled::Assigned(partitions) => {
                session.assigned(partitions).await?;
                Duration::ZERO
            }
            Polled::Revoked(partitions) => {
                session.revoked(&partitions);
                Duration::ZERO
            }
            Polled::Records(records) => {
                let (some, isolated) = (!records.is_empty(), *single > 0);
                let work = session.batch(records, isolated).await?;
                *single = single.saturating_sub(usize::from(some));
                if some {
                    backoff.succeeded();
                }
                match work {
                    Work::More => Duration::ZERO,
                    Work::Soon => SOON,
                    Work::None => QUIET,
                }
            }
        };
    }
    Ok(())
}

struct Session<'a, P> {
    task: &'a Task,
    processor: P,
    member: Box<dyn Member>,
    producer: Box<dyn Producer>,
    dead: BTreeMap<String, Channel<DeadLetter>>,
    slots: BTreeMap<u32, Slot>,
    /// Next offset to process, by input partition.
    read: Offsets,
    outputs: Vec<NewRecord>,
}

impl<P: Processor> Session<'_, P> {
    /// The store that a partition's records use: with one member for everything there is one store.
    fn slot_of(&self, partition: u32) -> u32 {
        match self.task.sharing {
            Sharing::One => 0,
            Sharing::ByPartition => partition,
        }
    }

    async fn assigned(&mut self, partitions: Vec<TopicPartition>) -> Result<()> {
        // Somebody else may have had them, and their state, in between.
        self.processor.forget();
        let log = Error::log(self.task.name);
        let committed = self.task.log.committed(&self.task.group, &self.task.inputs).await.map_err(&log)?;
        for partition in partitions {
            self.read.insert(partition.clone(), committed.get(&partition).copied().unwrap_or(0));
            let number = self.slot_of(partition.partition);
            if !self.slots.contains_key(&number) {
                let changelog = TopicPartition::new(self.task.changelog.as_str(), number);
                let store = self.task.stores.store(number)?;
                restore(self.task, &store, &changelog).await?;
                self.slots.insert(number, Slot::new(store, changelog));
            }
        }
        self.task.report.running();
        Ok(())
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.read.remove(partition);
        }
        if planted::on(Bug::KeepStaleState) {
            return;
        }
        let kept: std::collections::BTreeSet<u32> = self.read.keys().map(|partition| self.slot_of(partition.partition)).collect();
        self.slots.retain(|number, _| kept.contains(number));
    }

    /// Decides about records and commits what follows.
    async fn batch(&mut self, records: Vec<Record>, isolated: bool) -> Result<Work> {
        let started = Instant::now();
        let count = records.len();
        let mut consumed = Offsets::new();
        let mut last = None;
        for (index, record) in records.into_iter().enumerate() {
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let input = self.processor.decode(&record).await;
            if !(planted::on(Bug::SkipLastOfBatch) && index + 1 == count && count > 1) {
                self.record(&record, input)?;
            }
            match self.read.get_mut(&record.partition) {
                Some(next) => *next = record.offset + 1,
                None => {
                    self.read.insert(record.partition.clone(), record.offset + 1);
                }
            }
            match consumed.get_mut(&record.partition) {
                Some(next) => *next = record.offset + 1,
                None => {
                    consumed.insert(record.partition.clone(), record.offset + 1);
                }
            }
            last = isolated.then_some(record);
        }
        self.processor.ask(&self.read, (self.task.clock)()).await?;
        let work = self.work()?;
        self.task.report.facts(self.processor.facts());
        if consumed.is_empty() && self.outputs.is_empty() && self.slots.values().all(|slot| slot.batch.is_empty()) {
            return Ok(work);
        }
        let outputs = self.outputs.len();
        self.commit(consumed, last).await?;
        let name = &[self.task.name];
        self.task.metrics.records.with_label_values(name).inc_by(count as u64);
        self.task.metrics.outputs.with_label_values(name).inc_by(outputs as u64);
        self.task.metrics.batch_seconds.with_label_values(name).observe(started.elapsed().as_secs_f64());
        Ok(work)
    }

    fn record(&mut self, record: &Record, input: Result<Option<P::Input>>) -> Result<()> {
        let number = self.slot_of(record.partition.partition);
        let Some(slot) = self.slots.get_mut(&number) else {
            // A record of a partition that is not ours: the log broke its word, or we lost track. Begin again.
            return Err(Error::Log {
                processor: self.task.name,
                source: stream::Error::Fenced(format!("{} of {}", self.task.name, record.partition)),
            });
        };
        let outputs = self.outputs.len();
        let decided = match input {
            Ok(None) => Ok(Vec::new()),
            Ok(Some(input)) => {
                let mut context = Context {
                    processor: self.task.name,
                    slot: &mut *slot,
                    outputs: &mut self.outputs,
                    read: &self.read,
                    now: record.timestamp_ms.saturating_mul(1000),
                    sync_id: sync_id(record),
                    aside: Vec::new(),
                };
                let decided = self.processor.process(input, record, &mut context);
                tracing::debug!(
                    sync.id = shown(context.sync_id()),
                    processor = self.task.name,
                    topic = &*record.partition.topic,
                    partition = record.partition.partition,
                    offset = record.offset,
                    "record processed"
                );
                decided.map(|()| context.aside)
            }
            Err(error) => Err(error),
        };
        match decided {
            Ok(aside) => {
                slot.keep();
                for one in aside {
                    self.aside(&one, Some(record));
                }
            }
            Err(error) if error.class() == Class::Record => {
                slot.revert();
                self.outputs.truncate(outputs);
                self.set_aside(record, &error.to_string(), &error.quiet(), error.remedy());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn set_aside(&mut self, record: &Record, reason: &str, quiet: &str, remedy: &str) {
        tracing::warn!(sync.id = shown(sync_id(record).as_ref()), processor = self.task.name, partition = %record.partition, offset = record.offset, reason = quiet, "record set aside");
        self.task.metrics.dead_letters.with_label_values(&[self.task.name]).inc();
        let Some(channel) = self.dead.get(&*record.partition.topic) else { return };
        let letter = DeadLetter {
            topic: record.partition.topic.to_string(),
            partition: i64::from(record.partition.partition),
            offset: i64::try_from(record.offset).unwrap_or(i64::MAX),
            key: record.key.as_ref().map(|key| key.to_vec()),
            value: record.value.as_ref().map(|value| value.to_vec()),
            component: self.task.name.to_owned(),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
            at: (self.task.clock)(),
        };
        let mut output = channel.record(record.key.clone().unwrap_or_default(), &letter);
        output.key.clone_from(&record.key);
        if let Some(id) = sync_id(record) {
            output = output.header(schemas::message::SYNC_ID_HEADER, id);
        }
        self.outputs.push(output);
    }

    fn work(&mut self) -> Result<Work> {
        let (mut left, mut aside) = (Work::None, Vec::new());
        for slot in self.slots.values_mut() {
            let mut context = Context {
                processor: self.task.name,
                slot: &mut *slot,
                outputs: &mut self.outputs,
                read: &self.read,
                now: (self.task.clock)(),
                sync_id: None,
                aside: Vec::new(),
            };
            left = left.max(self.processor.work(&mut context)?);
            aside.append(&mut context.aside);
            slot.keep();
        }
        for one in aside {
            self.aside(&one, None);
        }
        Ok(left)
    }

    /// Says that a part of a record is set aside, with the bytes in hand; or that nothing of it is any more, which is a dead
    /// letter without a reason.
    fn aside(&mut self, one: &Aside, record: Option<&Record>) {
        let Some(channel) = self.dead.get(&*one.topic) else { return };
        let (reason, remedy) = one.error.as_ref().map_or_else(Default::default, |error| (error.to_string(), error.remedy().to_owned()));
        if reason.is_empty() {
            tracing::info!(processor = self.task.name, topic = &*one.topic, "what was set aside of a record can be read again");
        } else {
            tracing::warn!(
                sync.id = shown(record.and_then(sync_id).as_ref()),
                processor = self.task.name,
                topic = &*one.topic,
                reason = one.error.as_ref().map(Error::quiet),
                "a value set aside"
            );
            self.task.metrics.dead_letters.with_label_values(&[self.task.name]).inc();
        }
        let letter = DeadLetter {
            topic: record.map_or_else(|| one.topic.to_string(), |record| record.partition.topic.to_string()),
            partition: record.map_or(-1, |record| i64::from(record.partition.partition)),
            offset: record.and_then(|record| i64::try_from(record.offset).ok()).unwrap_or(-1),
            key: Some(one.key.clone().into_bytes()),
            value: record.filter(|_| !reason.is_empty()).and_then(|record| record.value.as_ref()).map(|value| value.to_vec()),
            component: self.task.name.to_owned(),
            reason,
            remedy,
            at: (self.task.clock)(),
        };
        let mut output = channel.record(one.key.clone(), &letter);
        if let Some(id) = record.and_then(sync_id) {
            output = output.header(schemas::message::SYNC_ID_HEADER, id);
        }
        self.outputs.push(output);
    }

    async fn commit(&mut self, consumed: Offsets, isolated: Option<Record>) -> Result<()> {
        match self.try_commit(&consumed).await {
            Err(Error::Log { source: stream::Error::TooLarge { topic, bytes }, .. }) if isolated.is_some() => {
                // This very record's outputs are too large: set it aside instead.
                self.task.metrics.oversized.with_label_values(&[self.task.name]).inc();
                self.producer.abort().await.map_err(Error::log(self.task.name))?;
                self.outputs.clear();
                for slot in self.slots.values_mut() {
                    slot.batch.clear();
                }
                self.processor.forget();
                if let Some(mut record) = isolated {
                    let reason = format!("what follows from it needs a record of {bytes} bytes for {topic}, more than the log takes");
                    if record.value.as_ref().is_some_and(|value| value.len() * 2 > bytes) {
                        record.value = None;
                    }
                    self.set_aside(&record, &reason, &reason, "make the record smaller at its source, or raise the log's limit");
                }
                self.try_commit(&consumed).await
            }
            other => other,
        }
    }

    async fn try_commit(&mut self, consumed: &Offsets) -> Result<()> {
        let log = Error::log(self.task.name);
        let timer = Instant::now();
        let mut records = std::mem::take(&mut self.outputs);
        for slot in self.slots.values().filter(|_| !planted::on(Bug::SkipChangelog)) {
            records.extend(slot.batch.iter().map(|(key, value)| NewRecord {
                topic: slot.changelog.topic.clone(),
                partition: Some(slot.changelog.partition),
                key: Some(key.clone().into()),
                value: value.clone().map(Into::into),
                headers: Vec::new(),
            }));
        }
        let membership = self.member.membership().map_err(&log)?;
        if planted::on(Bug::OffsetsFirst) {
            self.member.commit(consumed).await.map_err(&log)?;
        }
        if planted::on(Bug::StateFirst) {
            for slot in self.slots.values_mut() {
                let position = slot.store.position()?.unwrap_or(Position { next: 0, at: 0 });
                slot.store.apply(slot.batch.clone().into_iter(), position)?;
            }
        }
        self.producer.begin().await.map_err(&log)?;
        self.producer.send(records).await.map_err(&log)?;
        let ends = self.producer.commit(Some((membership, consumed.clone()))).await.map_err(&log)?;
        self.task.metrics.commit_seconds.with_label_values(&[self.task.name]).observe(timer.elapsed().as_secs_f64());
        let at = (self.task.clock)();
        for slot in self.slots.values_mut() {
            if let Some(&next) = ends.get(&slot.changelog) {
                slot.store.apply(std::mem::take(&mut slot.batch).into_iter(), Position { next, at })?;
            }
        }
        Ok(())
    }
}
