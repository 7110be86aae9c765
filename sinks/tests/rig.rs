//! A log with codec and topics, and what stories say about writes and outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use schemas::Value;
use schemas::message::{DeadLetter, Field, Health, HealthState, Lane, Message, Outcome, SYNC_ID_HEADER, Setting, Side, Write, WriteOp};
use schemas::topic::Topics;
use sinks::{Clock, Metrics};
use stream::{Codec, LocalRegistry, Log, MemoryLog, MemoryOptions, NewRecord, Record, Start, TopicPartition};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a sink must do, it does within this time.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const PARTITIONS: u32 = 4;

pub(crate) struct Rig {
    pub(crate) memory: MemoryLog,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) clock: Clock,
}

/// A sink that runs until it is stopped or dropped.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), sinks::Error>>,
}

impl Running {
    /// Ends it in order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }

    /// Drops it where it stands, as a crash would.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl Rig {
    pub(crate) async fn new() -> Result<Self> {
        let clock = sinks::clock::real();
        let millis = clock.clone();
        let memory = MemoryLog::new(MemoryOptions { markers: true, ..MemoryOptions::with_clock(move || millis() / 1000) });
        let log: Arc<dyn Log> = Arc::new(memory.clone());
        let topics = Topics::new("", PARTITIONS);
        log.create_topics(&topics.fixed()).await?;
        let codec = Codec::new(Arc::new(LocalRegistry::open(log.clone(), &topics).await?));
        Ok(Self { memory, log, codec, topics, clock })
    }

    pub(crate) fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::new(&prometheus::Registry::new())?)
    }

    pub(crate) fn erp(&self, config: sinks::erp::Config) -> Result<Running> {
        let sink = sinks::ErpSink::new(config, self.clock.clone(), self.metrics()?);
        let stop = CancellationToken::new();
        let task = tokio::spawn(sink.run(self.log.clone(), self.codec.clone(), self.topics.clone(), stop.clone()));
        Ok(Running { stop, task })
    }

    pub(crate) fn crm(&self, config: sinks::crm::Config) -> Result<Running> {
        let sink = sinks::CrmSink::new(config, self.clock.clone(), self.metrics()?);
        let stop = CancellationToken::new();
        let task = tokio::spawn(sink.run(self.log.clone(), self.codec.clone(), self.topics.clone(), stop.clone()));
        Ok(Running { stop, task })
    }

    pub(crate) fn read_model(&self, config: sinks::readmodel::Config) -> Result<Running> {
        let sink = sinks::ReadModelSink::new(config, self.clock.clone(), self.metrics()?);
        let stop = CancellationToken::new();
        let task = tokio::spawn(sink.run(self.log.clone(), self.codec.clone(), self.topics.clone(), stop.clone()));
        Ok(Running { stop, task })
    }

    /// Publishes messages to one topic.
    pub(crate) async fn publish<M: Message>(&self, topic: &str, messages: &[(&str, M)]) -> Result<()> {
        let mut records = Vec::new();
        for (key, message) in messages {
            records.push(
                NewRecord::new(topic, (*key).to_owned(), self.codec.encode(topic, message).await?)
                    .header(SYNC_ID_HEADER, format!("sync-{key}")),
            );
        }
        Ok(self.log.publish(records).await?)
    }

    /// Puts writes on their topic, each with a sync id made of its own.
    pub(crate) async fn send(&self, writes: &[Write]) -> Result<()> {
        let mut records = Vec::new();
        for write in writes {
            let topic = self.topics.writes(write.side);
            let bytes = self.codec.encode(&topic, write).await?;
            records.push(NewRecord::new(topic, write.entity.clone(), bytes).header(SYNC_ID_HEADER, format!("sync-{}", write.id)));
        }
        Ok(self.log.publish(records).await?)
    }

    /// Pauses or resumes writing, as the dashboard does.
    pub(crate) async fn pause(&self, paused: bool) -> Result<()> {
        let setting = Setting {
            name: "pause".to_owned(),
            value: serde_json::json!({"paused": paused}).to_string(),
            version: 1,
            actor: "Ada".to_owned(),
            at: (self.clock)(),
        };
        self.publish(&self.topics.control(), &[("pause", setting)]).await
    }

    /// Everything on a topic.
    pub(crate) async fn records(&self, topic: &str) -> Result<Vec<Record>> {
        let partitions = self.log.partitions(topic).await?;
        let ends = self.log.ends(topic).await?;
        let starts = (0..partitions).map(|partition| (TopicPartition::new(topic, partition), Start::Earliest)).collect();
        let mut reader = self.log.reader(starts).await?;
        let mut records = Vec::new();
        loop {
            records.extend(reader.poll(10_000, Duration::from_millis(5)).await?);
            let at = reader.position().await?;
            if ends.iter().all(|(partition, end)| at.get(partition) >= Some(end)) {
                return Ok(records);
            }
        }
    }

    pub(crate) async fn messages<M: Message>(&self, topic: &str) -> Result<Vec<M>> {
        let mut messages = Vec::new();
        for record in self.records(topic).await? {
            messages.extend(self.codec.message::<M>(&record).await?);
        }
        Ok(messages)
    }

    /// All outcomes so far, by write.
    pub(crate) async fn outcomes(&self) -> Result<BTreeMap<String, Vec<Outcome>>> {
        let mut outcomes: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
        for outcome in self.messages::<Outcome>(&self.topics.outcomes()).await? {
            outcomes.entry(outcome.write.clone()).or_default().push(outcome);
        }
        Ok(outcomes)
    }

    /// The outcomes of these writes, once each has a final one.
    pub(crate) async fn answered(&self, writes: &[Write]) -> Result<Vec<Outcome>> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let outcomes = self.outcomes().await?;
            let last = |write: &Write| {
                outcomes.get(&write.id)?.iter().rev().find(|it| it.result != schemas::message::OutcomeResult::Deferred).cloned()
            };
            let found: Vec<Outcome> = writes.iter().filter_map(last).collect();
            if found.len() == writes.len() {
                return Ok(found);
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "{} of {} writes are answered; health: {:?}",
                found.len(),
                writes.len(),
                self.health().await?
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends writes and gives their outcomes.
    pub(crate) async fn write(&self, writes: &[Write]) -> Result<Vec<Outcome>> {
        self.send(writes).await?;
        self.answered(writes).await
    }

    pub(crate) async fn write_one(&self, write: Write) -> Result<Outcome> {
        self.write(&[write]).await?.pop().context("no outcome")
    }

    pub(crate) async fn dead_letters(&self, side: Side) -> Result<Vec<DeadLetter>> {
        self.messages(&self.topics.dead_letters(&self.topics.writes(side))).await
    }

    /// The last health of each component.
    pub(crate) async fn health(&self) -> Result<BTreeMap<String, Health>> {
        Ok(self.messages::<Health>(&self.topics.health()).await?.into_iter().map(|health| (health.component.clone(), health)).collect())
    }

    /// Waits for a component to be in a state.
    pub(crate) async fn is(&self, component: &str, state: HealthState) -> Result<Health> {
        eventually(&format!("{component} is {state}"), async || {
            Ok(self.health().await?.remove(component).filter(|health| health.state == state))
        })
        .await
    }
}

/// Waits until something is there.
pub(crate) async fn eventually<T>(what: &str, check: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        if let Some(found) = check().await? {
            return Ok(found);
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn fields(fields: &[(&str, Value)]) -> Vec<Field> {
    fields.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: value.clone() }).collect()
}

pub(crate) fn decimal(text: &str) -> Value {
    Value::Decimal(schemas::Decimal(text.to_owned()))
}

/// An update of one record, whose entity is named after it.
pub(crate) fn update(side: Side, id: &str, object: &str, record: &str, values: &[(&str, Value)], expected: &[(&str, Value)]) -> Write {
    Write {
        id: id.to_owned(),
        entity: format!("entity-{object}-{record}"),
        kind: "customer".to_owned(),
        side,
        object: object.to_owned(),
        record: Some(record.to_owned()),
        op: WriteOp::Update,
        values: fields(values),
        expected: fields(expected),
        id_column: None,
        write_column: (side == Side::Crm).then(|| "Concord_Write__c".to_owned()),
        rows: Vec::new(),
        lane: Lane::Live,
        reason: "edited across".to_owned(),
        caused_at: 1_000_000,
        actor: Some("Ada".to_owned()),
        conflict: None,
        mapping_version: 1,
    }
}

pub(crate) fn create(side: Side, id: &str, entity: &str, object: &str, id_column: &str, values: &[(&str, Value)]) -> Write {
    let made = update(side, id, object, "", values, &[]);
    Write { entity: entity.to_owned(), record: None, op: WriteOp::Create, id_column: Some(id_column.to_owned()), ..made }
}

pub(crate) fn delete(side: Side, id: &str, object: &str, record: &str, expected: &[(&str, Value)]) -> Write {
    Write { op: WriteOp::Delete, ..update(side, id, object, record, &[], expected) }
}
