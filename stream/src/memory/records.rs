//! The records of a log in memory, by partition and offset.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use schemas::topic::Cleanup;

use crate::in_process::{Partition, Pid, weight};
use crate::log::Record;

const LARGE: usize = 4096;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What is kept of each partition.
#[derive(Default)]
pub(super) struct Kept {
    partitions: BTreeMap<Pid, Rows>,
}

#[derive(Default)]
struct Rows {
    rows: BTreeMap<u64, Record>,
    /// Oldest offset that has not expired.
    start: u64,
    /// Compact when there are more rows than this.
    large: usize,
}

impl Kept {
    pub(super) fn push(&mut self, pid: Pid, record: Record) {
        self.partitions.entry(pid).or_default().rows.insert(record.offset, record);
    }

    pub(super) fn start(&self, pid: Pid) -> u64 {
        self.partitions.get(&pid).map_or(0, |kept| kept.start)
    }

    pub(super) fn is_large(&self, pid: Pid) -> bool {
        self.partitions.get(&pid).is_some_and(|kept| kept.rows.len() > kept.large.max(LARGE))
    }

    pub(super) fn at_time(&self, pid: Pid, ms: i64, end: u64) -> u64 {
        let rows = self.partitions.get(&pid).map(|kept| &kept.rows);
        rows.and_then(|rows| rows.range(..end).find(|(_, record)| record.timestamp_ms >= ms)).map_or(end, |(offset, _)| *offset)
    }

    /// Copies records out and returns where to go on.
    pub(super) fn read(&self, pid: Pid, from: u64, end: u64, max: usize, mut bytes: usize, out: &mut Vec<Record>) -> u64 {
        let Some(kept) = self.partitions.get(&pid) else { return from.max(end) };
        for (taken, (offset, record)) in kept.rows.range(from.min(end)..end).enumerate() {
            if taken >= max || (taken > 0 && weight(record) > bytes) {
                return *offset;
            }
            bytes = bytes.saturating_sub(weight(record));
            out.push(record.clone());
        }
        from.max(end)
    }

    /// Forgets what the topic's configuration says, among the visible records.
    pub(super) fn compact(&mut self, pid: Pid, partition: &Partition, now_ms: i64, tombstones: Duration) {
        let Some(kept) = self.partitions.get_mut(&pid) else { return };
        match partition.cleanup {
            Cleanup::Delete { days } => {
                let oldest = now_ms.saturating_sub(i64::from(days) * DAY_MS);
                while let Some(entry) =
                    kept.rows.first_entry().filter(|entry| entry.get().timestamp_ms < oldest && *entry.key() < partition.visible)
                {
                    kept.start = entry.key() + 1;
                    entry.remove();
                }
            }
            Cleanup::Compact => {
                let mut newest: BTreeMap<Bytes, u64> = BTreeMap::new();
                for (offset, record) in kept.rows.range(..partition.visible) {
                    let newest = newest.entry(record.key.clone().unwrap_or_default()).or_insert(*offset);
                    if !planted::on(planted::Bug::CompactToOldest) {
                        *newest = *offset;
                    }
                }
                let oldest = now_ms.saturating_sub(i64::try_from(tombstones.as_millis()).unwrap_or(i64::MAX));
                kept.rows.retain(|offset, record| {
                    let superseded = newest
                        .get(record.key.as_deref().unwrap_or_default())
                        .is_some_and(|newest| newest > offset || (planted::on(planted::Bug::CompactToOldest) && newest < offset));
                    let gone = record.value.is_none() && record.timestamp_ms < oldest;
                    *offset >= partition.visible || !(superseded || gone)
                });
            }
        }
        kept.large = 2 * kept.rows.len();
    }
}
