//! Outcomes and dead letters on their way to the log, published in one transaction with the offsets they finish.

use std::sync::Arc;

use bytes::Bytes;
use schemas::message::{DeadLetter, Outcome, OutcomeResult, Side};
use schemas::topic::Topics;
use stream::{Class, Codec, Log, Membership, NewRecord, Offsets, Producer, Record};

use super::Shell;
use super::job::{Job, Verdict};
use crate::config::Pace;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::sync_id::{shown, sync_id, with_sync_id};

pub(crate) struct Outbox {
    log: Arc<dyn Log>,
    producer: Box<dyn Producer>,
    codec: Codec,
    topics: Topics,
    metrics: Metrics,
    component: &'static str,
    group: String,
    sink: Side,
    waiting: Vec<NewRecord>,
}

/// Tries of one log transaction before the session is made anew.
const TRIES: i64 = 5;

impl Outbox {
    pub(crate) async fn open(shell: &Shell, sink: Side, component: &'static str) -> Result<Self, Error> {
        let producer = shell.log.producer(&format!("{}-{}", shell.group, shell.instance)).await?;
        let (codec, topics, metrics) = (shell.codec.clone(), shell.topics.clone(), shell.metrics.clone());
        Ok(Self {
            log: shell.log.clone(),
            producer,
            codec,
            topics,
            metrics,
            component,
            group: shell.group.clone(),
            sink,
            waiting: Vec::new(),
        })
    }

    pub(crate) fn component(&self) -> &'static str {
        self.component
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) async fn outcome(&mut self, job: &Job, verdict: &Verdict, now: i64) -> Result<(), Error> {
        let write = &job.write;
        let outcome = Outcome {
            write: write.id.clone(),
            entity: write.entity.clone(),
            kind: write.kind.clone(),
            side: write.side,
            object: write.object.clone(),
            record: verdict.record.clone().or_else(|| write.record.clone()),
            result: verdict.result,
            actual: verdict.actual.clone(),
            code: verdict.code.clone(),
            message: verdict.message(),
            attempts: job.attempts + i64::from(verdict.result != OutcomeResult::Deferred),
            caused_at: write.caused_at,
            at: now,
        };
        let topic = self.topics.outcomes();
        let bytes = self.codec.encode(&topic, &outcome).await?;
        let record = NewRecord::new(topic, write.entity.clone(), bytes);
        self.waiting.push(with_sync_id(record, job.sync.as_ref()));
        if verdict.result == OutcomeResult::Failed {
            let letter = DeadLetter {
                topic: job.partition.topic.to_string(),
                partition: i64::from(job.partition.partition),
                offset: i64::try_from(job.offset).unwrap_or(i64::MAX),
                key: job.key.as_ref().map(|bytes| bytes.to_vec()),
                value: job.value.as_ref().map(|bytes| bytes.to_vec()),
                component: self.component.to_owned(),
                reason: [verdict.code.as_deref().unwrap_or_default(), verdict.reason.as_deref().unwrap_or_default()]
                    .join(" ")
                    .trim()
                    .to_owned(),
                remedy: verdict.remedy.clone().unwrap_or_default(),
                at: now,
            };
            self.letter(&letter, job.key.clone(), job.sync.as_ref()).await?;
        }
        Ok(())
    }

    /// Sets a record aside that is no write we could answer.
    pub(crate) async fn set_aside(&mut self, record: &Record, reason: String, remedy: String, now: i64) -> Result<(), Error> {
        let sync = sync_id(record);
        tracing::warn!(
            sync.id = shown(sync.as_ref()),
            component = self.component,
            topic = &*record.partition.topic,
            partition = record.partition.partition,
            offset = record.offset,
            reason,
            "record set aside"
        );
        let letter = DeadLetter {
            topic: record.partition.topic.to_string(),
            partition: i64::from(record.partition.partition),
            offset: i64::try_from(record.offset).unwrap_or(i64::MAX),
            key: record.key.as_ref().map(|bytes| bytes.to_vec()),
            value: record.value.as_ref().map(|bytes| bytes.to_vec()),
            component: self.component.to_owned(),
            reason,
            remedy,
            at: now,
        };
        self.letter(&letter, record.key.clone(), sync.as_ref()).await
    }

    async fn letter(&mut self, letter: &DeadLetter, key: Option<Bytes>, sync: Option<&Bytes>) -> Result<(), Error> {
        let topic = self.topics.dead_letters(&letter.topic);
        let bytes = self.codec.encode(&topic, letter).await?;
        let mut record = NewRecord::new(topic, Bytes::new(), bytes);
        record.key = key;
        self.waiting.push(with_sync_id(record, sync));
        self.metrics.set_aside(self.sink.as_str(), 1);
        Ok(())
    }

    /// Publishes everything waiting together with the offsets it finishes: all or nothing.
    pub(crate) async fn publish(&mut self, membership: &Membership, finished: Offsets, pace: &Pace) -> Result<(), Error> {
        let records = std::mem::take(&mut self.waiting);
        for attempt in 1.. {
            let consumed = if finished.is_empty() { None } else { Some((membership.clone(), finished.clone())) };
            self.producer.begin().await?;
            let sent = match self.producer.send(records.clone()).await {
                Ok(()) => self.producer.commit(consumed).await.map(|_| ()),
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return Ok(()),
                Err(error @ stream::Error::Fenced(_)) => return Err(error.into()),
                Err(error) => {
                    self.producer.abort().await?;
                    // Only the answer may have been lost: the offsets were committed with the records.
                    if !finished.is_empty() && self.is_committed(&finished).await {
                        return Ok(());
                    }
                    if error.class() != Class::Transient || attempt >= TRIES {
                        return Err(error.into());
                    }
                    tracing::warn!(component = self.component, %error, "answers not published; trying again");
                    tokio::time::sleep(pace.wait(attempt, rand::random())).await;
                }
            }
        }
        Ok(())
    }

    async fn is_committed(&mut self, finished: &Offsets) -> bool {
        let topics = [self.topics.writes(self.sink)];
        match self.log.committed(&self.group, &topics).await {
            Ok(committed) => finished.iter().all(|(partition, next)| committed.get(partition) >= Some(next)),
            Err(_) => false,
        }
    }
}
