//! Reading partitions of a log in one process without a group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Broker, Call, Cursor, POLL_BYTES, Pid};
use crate::log::{Offsets, Reader, Record, Result, Start, TopicPartition};

/// A reader.
pub(crate) struct InProcessReader {
    broker: Arc<Broker>,
    number: u64,
    bell: Arc<Notify>,
    names: BTreeMap<Pid, TopicPartition>,
    cursors: BTreeMap<Pid, Box<dyn Cursor>>,
    turn: usize,
}

impl InProcessReader {
    pub(super) fn open(broker: Arc<Broker>, partitions: Vec<(TopicPartition, Start)>) -> Result<Self> {
        let bell = Arc::new(Notify::new());
        let mut found = Vec::with_capacity(partitions.len());
        let number = {
            let mut state = broker.state();
            for (at, start) in partitions {
                let pid = state.pid(&at)?;
                found.push((pid, at, start, state.partitions[pid].visible));
            }
            let number = state.number();
            for (pid, ..) in &found {
                state.subscribe(*pid, number, &bell);
            }
            number
        };
        let mut reader = Self { broker, number, bell, names: BTreeMap::new(), cursors: BTreeMap::new(), turn: 0 };
        for (pid, at, start, visible) in found {
            let offset = reader.broker.resolve(pid, start, visible)?;
            reader.cursors.insert(pid, reader.broker.storage.cursor(&at, pid, offset));
            reader.names.insert(pid, at);
        }
        Ok(reader)
    }
}

#[async_trait]
impl Reader for InProcessReader {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>> {
        self.broker.storage.gate(Call::Read)?;
        let deadline = Instant::now() + wait;
        loop {
            let ends: BTreeMap<Pid, u64> = {
                let state = self.broker.state();
                self.cursors.keys().map(|pid| (*pid, state.partitions[*pid].visible)).collect()
            };
            self.turn = self.turn.wrapping_add(1);
            let records = read_round(&mut self.cursors, &ends, self.turn, max.max(1))?;
            if !records.is_empty() || timeout_at(deadline, self.bell.notified()).await.is_err() {
                return Ok(records);
            }
        }
    }

    async fn position(&mut self) -> Result<Offsets> {
        Ok(self.cursors.iter().map(|(pid, cursor)| (self.names[pid].clone(), cursor.offset())).collect())
    }
}

impl Drop for InProcessReader {
    fn drop(&mut self) {
        let mut state = self.broker.state();
        for pid in self.names.keys() {
            state.unsubscribe(*pid, self.number);
        }
    }
}

/// Reads from each partition in turn, a different one first each time, so that none starves.
pub(super) fn read_round(
    cursors: &mut BTreeMap<Pid, Box<dyn Cursor>>,
    ends: &BTreeMap<Pid, u64>,
    turn: usize,
    max: usize,
) -> Result<Vec<Record>> {
    let mut out: Vec<Record> = Vec::new();
    let mut waiting: Vec<(&Pid, &mut Box<dyn Cursor>)> =
        cursors.iter_mut().filter(|(pid, cursor)| ends.get(pid).is_some_and(|end| cursor.offset() < *end)).collect();
    if waiting.is_empty() {
        return Ok(out);
    }
    let first = turn % waiting.len();
    waiting.rotate_left(first);
    let mut bytes = POLL_BYTES;
    for (pid, cursor) in waiting {
        let before = out.len();
        if before >= max || bytes == 0 {
            break;
        }
        match cursor.read(ends[pid], max - before, bytes, &mut out) {
            Ok(()) => {}
            // What was read is handed out first; the next round meets the failure again.
            Err(_) if !out.is_empty() => break,
            Err(error) => return Err(error),
        }
        bytes = bytes.saturating_sub(out[before..].iter().map(weight).sum());
    }
    Ok(out)
}

/// Bytes of a record's key and value.
pub(crate) fn weight(record: &Record) -> usize {
    record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len)
}
