//! Membership of a group of one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::group::Told;
use super::reader::read_round;
use super::{Broker, Call, Consumed, Cursor, Gate, Pid, Transaction, answered};
use crate::error::Error;
use crate::log::{Member, MemberConfig, Membership, Offsets, Polled, Record, Result, Start, TopicPartition};

/// Proof that a member owned its partitions.
pub(crate) struct Proof {
    pub(crate) group: Arc<str>,
    pub(crate) member: (u64, u64),
}

/// A member. Dropping it leaves the group.
pub(crate) struct InProcessMember {
    broker: Arc<Broker>,
    number: u64,
    group: Arc<str>,
    start: Start,
    bell: Arc<Notify>,
    cursors: BTreeMap<Pid, Box<dyn Cursor>>,
    turn: usize,
    again: Option<Vec<Record>>,
}

impl InProcessMember {
    pub(super) fn join(broker: Arc<Broker>, config: MemberConfig) -> Result<Self> {
        let bell = Arc::new(Notify::new());
        let group: Arc<str> = config.group.as_str().into();
        let mut state = broker.state();
        let mut topics = Vec::with_capacity(config.topics.len());
        for topic in &config.topics {
            topics.push(state.topic(topic)?.pids());
        }
        let number = state.number();
        state.groups.entry(group.clone()).or_default().join(&group, number, topics, config.sharing, bell.clone(), Instant::now())?;
        drop(state);
        Ok(Self { broker, number, group, start: config.start, bell, cursors: BTreeMap::new(), turn: 0, again: None })
    }

    /// One look at what there is, without waiting; and when to look again at the latest.
    fn step(&mut self, max: usize, gate: Gate) -> Result<(Option<Polled>, Option<Instant>)> {
        let mut state = self.broker.state();
        let timeout = self.broker.limits.member_timeout;
        let Some(group) = state.groups.get_mut(&self.group) else { return Ok((None, None)) };
        let look_again = group.expire(Instant::now(), timeout);
        if let Some(told) = group.step(self.number) {
            let committed = group.committed.clone();
            let (pids, assigned) = match told {
                Told::Revoked(pids) => (pids, false),
                Told::Assigned(pids) => (pids, true),
            };
            let partitions: Vec<(Pid, TopicPartition, u64)> =
                pids.iter().map(|pid| (*pid, state.partitions[*pid].at.clone(), state.partitions[*pid].visible)).collect();
            for pid in pids {
                if assigned { state.subscribe(pid, self.number, &self.bell) } else { state.unsubscribe(pid, self.number) }
            }
            drop(state);
            for (pid, at, visible) in &partitions {
                self.cursors.remove(pid);
                if assigned {
                    let offset = match committed.get(pid) {
                        Some(offset) => self.kept(*pid, at, *offset + u64::from(planted::on(planted::Bug::SkipAfterRebalance))),
                        None => self.broker.resolve(*pid, self.start, *visible)?,
                    };
                    self.cursors.insert(*pid, self.broker.storage.cursor(at, *pid, offset));
                } else if let Some(again) = &mut self.again {
                    again.retain(|record| record.partition != *at);
                }
            }
            let partitions = partitions.into_iter().map(|(_, at, _)| at).collect();
            return Ok((Some(if assigned { Polled::Assigned(partitions) } else { Polled::Revoked(partitions) }), look_again));
        }
        let ends: BTreeMap<Pid, u64> = self.cursors.keys().map(|pid| (*pid, state.partitions[*pid].visible)).collect();
        drop(state);
        if let Some(again) = self.again.take().filter(|records| !records.is_empty()) {
            return Ok((Some(Polled::Records(again)), look_again));
        }
        self.turn = self.turn.wrapping_add(1);
        let records = read_round(&mut self.cursors, &ends, self.turn, max)?;
        if gate == Gate::Repeat {
            self.again = Some(records.clone());
        }
        Ok(((!records.is_empty()).then_some(Polled::Records(records)), look_again))
    }

    /// A committed offset, or the oldest kept when it has expired.
    fn kept(&self, pid: Pid, at: &TopicPartition, offset: u64) -> u64 {
        let start = self.broker.storage.start(pid);
        if offset < start {
            tracing::warn!(group = %self.group, partition = %at, committed = offset, oldest = start, "records expired before they were read");
        }
        offset.max(start)
    }
}

/// Says that the member is inside `poll`, until dropped.
struct Polling<'a> {
    broker: &'a Broker,
    group: &'a str,
    number: u64,
}

impl<'a> Polling<'a> {
    fn begin(broker: &'a Broker, group: &'a str, number: u64) -> Self {
        if let Some(group) = broker.state().groups.get_mut(group) {
            group.polling(number, None);
        }
        Self { broker, group, number }
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.broker.state().groups.get_mut(self.group) {
            group.polling(self.number, Some(Instant::now()));
        }
    }
}

#[async_trait]
impl Member for InProcessMember {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Polled> {
        let gate = self.broker.storage.gate(Call::Poll)?;
        let (broker, group) = (self.broker.clone(), self.group.clone());
        let _polling = Polling::begin(&broker, &group, self.number);
        let deadline = Instant::now() + wait;
        loop {
            let (polled, look_again) = self.step(max.max(1), gate)?;
            if let Some(polled) = polled {
                return Ok(polled);
            }
            let until = look_again.map_or(deadline, |due| due.min(deadline));
            if timeout_at(until, self.bell.notified()).await.is_err() && until == deadline {
                return Ok(Polled::Records(Vec::new()));
            }
        }
    }

    async fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<()> {
        self.broker.storage.gate(Call::Seek)?;
        let (pid, visible) = {
            let state = self.broker.state();
            let pid = state.pid(partition)?;
            (pid, state.partitions[pid].visible)
        };
        if !self.cursors.contains_key(&pid) {
            return Err(Error::Refused { doing: format!("seeking in {partition}"), reason: "this member does not own it".into() });
        }
        let offset = self.broker.resolve(pid, start, visible)?;
        if let Some(again) = &mut self.again {
            again.retain(|record| record.partition != *partition);
        }
        self.cursors.insert(pid, self.broker.storage.cursor(partition, pid, offset));
        Ok(())
    }

    fn membership(&self) -> Result<Membership> {
        let revocations = self.broker.state().groups.get(&self.group).map_or(0, |group| group.revocations(self.number));
        Ok(Membership(Arc::new(Proof { group: self.group.clone(), member: (self.number, revocations) })))
    }

    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        let gate = self.broker.storage.gate(Call::CommitOffsets)?;
        let consumed = consumed(&self.broker, &self.membership()?, offsets)?;
        self.broker.storage.commit(Transaction { producer: None, records: Vec::new(), consumed: Some(consumed) }).await?;
        answered(gate, "committing offsets")
    }
}

impl Drop for InProcessMember {
    fn drop(&mut self) {
        let mut state = self.broker.state();
        for pid in self.cursors.keys() {
            state.unsubscribe(*pid, self.number);
        }
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.leave(self.number);
        }
    }
}

/// Offsets with the proof of who consumed them.
pub(super) fn consumed(broker: &Broker, membership: &Membership, offsets: &Offsets) -> Result<Consumed> {
    let proof = membership
        .0
        .downcast_ref::<Proof>()
        .ok_or_else(|| Error::Refused { doing: "committing offsets".into(), reason: "the membership is of another log".into() })?;
    let state = broker.state();
    let offsets = offsets.iter().map(|(at, offset)| Ok((state.pid(at)?, *offset))).collect::<Result<Vec<_>>>()?;
    Ok(Consumed { group: proof.group.clone(), member: proof.member, offsets })
}
