//! The log as one actor sees it: every call waits for the actor's turn, and goes wrong when that is armed.
//!
//! What only looks (ends, committed offsets, topics) is not a step. Health is not kept: nobody reads it here, and when it
//! is told depends on the order in which a runtime polls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use schemas::topic::TopicConfig;
use stream::{
    Codec, Error, Log, Member, MemberConfig, Membership, MemoryLog, NewRecord, Offsets, Polled, Producer, Reader, Record, Result, Start,
    TopicPartition,
};

use super::show;
use super::trace::Trace;
use super::turn::Turn;

/// One actor's log.
#[derive(Clone)]
pub(super) struct TurnedLog {
    pub(super) inner: MemoryLog,
    pub(super) turn: Turn,
    pub(super) trace: Trace,
    pub(super) actor: &'static str,
    /// To show what is written.
    pub(super) codec: Codec,
}

fn refused(doing: &str) -> Error {
    Error::Unavailable { doing: doing.to_owned(), reason: "a fault".to_owned() }
}

#[async_trait]
impl Log for TurnedLog {
    async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()> {
        self.inner.create_topics(topics).await
    }

    async fn topics(&self) -> Result<Vec<String>> {
        self.inner.topics().await
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.inner.partitions(topic).await
    }

    async fn join(&self, config: MemberConfig) -> Result<Box<dyn Member>> {
        self.turn.pass().await;
        let inner = self.inner.join(config).await?;
        Ok(Box::new(TurnedMember { inner, log: self.clone(), withheld: None }))
    }

    async fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        self.turn.pass().await;
        let inner = self.inner.producer(transactional_id).await?;
        Ok(Box::new(TurnedProducer { inner, log: self.clone(), sent: 0, shown: Vec::new() }))
    }

    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> Result<Box<dyn Reader>> {
        let inner = self.inner.reader(partitions).await?;
        Ok(Box::new(TurnedReader { inner, turn: self.turn.clone() }))
    }

    async fn publish(&self, records: Vec<NewRecord>) -> Result<()> {
        if records.iter().all(|record| &*record.topic == "health") {
            return Ok(());
        }
        self.turn.pass().await;
        self.inner.publish(records).await
    }

    async fn ends(&self, topic: &str) -> Result<Offsets> {
        self.inner.ends(topic).await
    }

    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        self.inner.committed(group, topics).await
    }
}

/// Records of one partition that are not delivered yet.
struct Withheld {
    at: TopicPartition,
    records: Vec<Record>,
    polls: u8,
}

struct TurnedMember {
    inner: Box<dyn Member>,
    log: TurnedLog,
    withheld: Option<Withheld>,
}

impl TurnedMember {
    /// Sets aside what is to come later, and adds what has waited long enough.
    fn sift(&mut self, mut records: Vec<Record>) -> Vec<Record> {
        let mut armed = self.log.turn.armed();
        if self.withheld.is_none() && armed.withhold > 0 && records.len() > 1 {
            self.withheld =
                records.first().map(|first| Withheld { at: first.partition.clone(), records: Vec::new(), polls: armed.withhold });
            armed.withhold = 0;
        }
        let Some(withheld) = &mut self.withheld else { return records };
        let (mut late, now): (Vec<Record>, Vec<Record>) = records.into_iter().partition(|record| record.partition == withheld.at);
        withheld.records.append(&mut late);
        records = now;
        withheld.polls = withheld.polls.saturating_sub(1);
        if withheld.polls == 0 || records.is_empty() {
            records.append(&mut withheld.records);
            self.withheld = None;
        }
        records
    }
}

#[async_trait]
impl Member for TurnedMember {
    async fn poll(&mut self, max: usize, _wait: Duration) -> Result<Polled> {
        let log = self.log.clone();
        log.turn.pass().await;
        if std::mem::take(&mut log.turn.armed().refuse_poll) {
            return Err(refused("polling"));
        }
        // Nothing there: the wait runs out at once, and the turn with it.
        let polled = self.inner.poll(max, Duration::ZERO).now_or_never().unwrap_or(Ok(Polled::Records(Vec::new())))?;
        Ok(match polled {
            Polled::Records(records) => {
                let records = self.sift(records);
                if records.is_empty() {
                    log.turn.idle();
                } else {
                    log.trace.note(format_args!(
                        "{} reads {} records from {} at {}",
                        log.actor,
                        records.len(),
                        records[0].partition,
                        records[0].offset
                    ));
                }
                Polled::Records(records)
            }
            Polled::Assigned(partitions) => {
                log.trace.note(format_args!("{} is assigned {} partitions", log.actor, partitions.len()));
                Polled::Assigned(partitions)
            }
            Polled::Revoked(partitions) => {
                log.trace.note(format_args!("{} loses {} partitions", log.actor, partitions.len()));
                self.withheld = self.withheld.take().filter(|withheld| !partitions.contains(&withheld.at));
                Polled::Revoked(partitions)
            }
        })
    }

    async fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<()> {
        self.withheld = self.withheld.take().filter(|withheld| withheld.at != *partition);
        self.inner.seek(partition, start).await
    }

    fn membership(&self) -> Result<Membership> {
        self.inner.membership()
    }

    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        self.log.turn.pass().await;
        self.inner.commit(offsets).await
    }
}

struct TurnedProducer {
    inner: Box<dyn Producer>,
    log: TurnedLog,
    sent: usize,
    /// What was sent, when somebody wants to read it.
    shown: Vec<String>,
}

#[async_trait]
impl Producer for TurnedProducer {
    async fn begin(&mut self) -> Result<()> {
        self.sent = 0;
        self.shown.clear();
        self.inner.begin().await
    }

    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        self.sent += records.len();
        for record in &records {
            self.log.trace.bytes(record.topic.as_bytes());
            self.log.trace.bytes(record.key.as_deref().unwrap_or_default());
            self.log.trace.bytes(record.value.as_deref().unwrap_or_default());
        }
        if self.log.trace.keeps() {
            self.shown.extend(records.iter().filter_map(|record| show::record(&self.log.codec, record)));
        }
        self.inner.send(records).await
    }

    async fn commit(&mut self, consumed: Option<(Membership, Offsets)>) -> Result<Offsets> {
        let log = self.log.clone();
        log.turn.pass().await;
        if std::mem::take(&mut log.turn.armed().refuse_commit) {
            log.trace.note(format_args!("{} may not commit", log.actor));
            return Err(refused("committing"));
        }
        let committed = self.inner.commit(consumed).await;
        match &committed {
            Ok(_) => {
                log.trace.note(format_args!("{} commits {} records", log.actor, self.sent));
                self.shown.drain(..).for_each(|line| log.trace.aside(format!("    {line}")));
            }
            Err(error) => log.trace.note(format_args!("{} fails to commit: {error}", log.actor)),
        }
        // A process may end after the log has committed and before it knows.
        log.turn.pass().await;
        if committed.is_ok() && std::mem::take(&mut log.turn.armed().lose_answer) {
            log.trace.note(format_args!("{} is not told", log.actor));
            return Err(refused("committing"));
        }
        committed
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

struct TurnedReader {
    inner: Box<dyn Reader>,
    turn: Turn,
}

#[async_trait]
impl Reader for TurnedReader {
    async fn poll(&mut self, max: usize, _wait: Duration) -> Result<Vec<Record>> {
        self.turn.pass().await;
        self.inner.poll(max, Duration::ZERO).now_or_never().unwrap_or(Ok(Vec::new()))
    }

    async fn position(&mut self) -> Result<Offsets> {
        self.inner.position().await
    }
}

/// Schema ids made from the schemas themselves, so that they do not depend on who came first.
#[derive(Default)]
pub(super) struct Schemas(std::sync::Mutex<std::collections::BTreeMap<u32, Arc<str>>>);

#[async_trait]
impl stream::Registry for Schemas {
    async fn register(&self, _subject: &str, schema: &str) -> Result<u32> {
        let hash = schema.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let id = (hash ^ (hash >> 32)) as u32 & 0x7fff_ffff;
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(id).or_insert_with(|| schema.into());
        Ok(id)
    }

    async fn schema(&self, id: u32) -> Result<Arc<str>> {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&id).cloned();
        known.ok_or_else(|| Error::Schema { subject: format!("schema id {id}"), reason: "it was never registered".to_owned() })
    }
}
