//! How far a source is on the log: kept in `ingest.checkpoint`, written in the transaction of the data it covers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemas::message::Checkpoint;
use schemas::topic::Topics;
use serde::{Deserialize, Serialize};
use stream::{Codec, Log, NewRecord, Start, TopicPartition};

use super::error::{Error, Result};
use super::lsn::Lsn;

/// What is on the log: every change of transactions whose commit record starts before `lsn`, and the first `changes`
/// changes of the one whose commit record starts at `lsn`.
///
/// A whole transaction is covered by the end of its commit record; the next commit record may start exactly there,
/// so the comparison is strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Where.
    pub lsn: Lsn,
    /// Changes of the transaction at `lsn`, when it was split.
    pub changes: u64,
}

impl Position {
    /// Everything before a point between transactions.
    pub fn at(lsn: Lsn) -> Self {
        Self { lsn, changes: 0 }
    }

    /// Whether the change with this index in the transaction that commits at `commit_lsn` is covered.
    pub fn covers(&self, commit_lsn: Lsn, index: u64) -> bool {
        commit_lsn < self.lsn || (commit_lsn == self.lsn && index < self.changes)
    }
}

/// All that a source remembers between runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    pub(crate) position: Position,
    /// Tables whose first copy is complete.
    pub(crate) copied: BTreeSet<String>,
    pub(crate) resume: Resume,
    pub(crate) committed_at: i64,
}

/// What only this kind of source remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Resume {
    /// The cluster's system identifier: log positions of another cluster mean nothing.
    pub(crate) system: String,
    /// Tables copied at a later point than where the stream was: what committed before it is in the copy.
    #[serde(default)]
    pub(crate) since: BTreeMap<String, String>,
}

impl Memory {
    /// Where the copy of a table ends and its stream begins.
    pub(crate) fn since(&self, table: &str) -> Lsn {
        self.resume.since.get(table).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Forgets starting points that the stream has passed.
    pub(crate) fn tidy(&mut self) {
        let reached = self.position.lsn;
        self.resume.since.retain(|_, from| from.parse().is_ok_and(|from: Lsn| from > reached));
    }

    /// The record that says so on the log.
    pub(crate) async fn record(&self, name: &str, topics: &Topics, codec: &Codec) -> Result<NewRecord> {
        let topic = topics.checkpoint();
        let checkpoint = Checkpoint {
            source: name.to_owned(),
            position: self.position.lsn.to_string(),
            ordinal: i64::try_from(self.position.changes).unwrap_or(i64::MAX),
            copied: self.copied.iter().cloned().collect(),
            resume: serde_json::to_string(&self.resume).unwrap_or_default(),
            committed_at: self.committed_at,
        };
        let value = codec.encode(&topic, &checkpoint).await?;
        Ok(NewRecord::new(topic, name.as_bytes().to_vec(), value))
    }

    /// What the log remembers of a source, if anything.
    pub(crate) async fn load(name: &str, log: &Arc<dyn Log>, topics: &Topics, codec: &Codec) -> Result<Option<Self>> {
        let topic = topics.checkpoint();
        let ends = log.ends(&topic).await?;
        let mut newest = None;
        for (partition, end) in ends {
            let mut reader = log.reader(vec![(partition.clone(), Start::Earliest)]).await?;
            while reached(&reader.position().await?, &partition) < end {
                for record in reader.poll(1000, Duration::from_millis(500)).await? {
                    if record.offset < end && record.key.as_deref() == Some(name.as_bytes()) {
                        newest = record.value;
                    }
                }
            }
        }
        let Some(bytes) = newest else { return Ok(None) };
        let checkpoint: Checkpoint = codec.decode(&topic, &bytes).await?;
        let wrong = |reason: String| Error::ReadCheckpoint { name: name.to_owned(), reason };
        Ok(Some(Self {
            position: Position {
                lsn: checkpoint.position.parse().map_err(|error: super::lsn::InvalidLsn| wrong(error.to_string()))?,
                changes: u64::try_from(checkpoint.ordinal).map_err(|_| wrong("its ordinal is negative".to_owned()))?,
            },
            copied: checkpoint.copied.into_iter().collect(),
            resume: serde_json::from_str(&checkpoint.resume).map_err(|error| wrong(error.to_string()))?,
            committed_at: checkpoint.committed_at,
        }))
    }
}

fn reached(positions: &stream::Offsets, partition: &TopicPartition) -> u64 {
    positions.get(partition).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_transaction_is_covered_and_the_next_one_is_not() {
        let after = Position::at(Lsn(100));
        assert!(after.covers(Lsn(90), 5));
        assert!(!after.covers(Lsn(100), 0), "the next commit record may start where the last one ended");
    }

    #[test]
    fn a_split_transaction_is_covered_up_to_its_count() {
        let split = Position { lsn: Lsn(100), changes: 3 };
        assert!(split.covers(Lsn(99), 9) && split.covers(Lsn(100), 2));
        assert!(!split.covers(Lsn(100), 3) && !split.covers(Lsn(101), 0));
    }

    #[test]
    fn starting_points_are_forgotten_once_passed() {
        let mut memory = Memory::default();
        memory.resume.since = [("public.a", "0/10"), ("public.b", "0/30")].map(|(table, from)| (table.to_owned(), from.to_owned())).into();
        memory.position = Position::at(Lsn(0x20));
        memory.tidy();
        assert_eq!((memory.since("public.a"), memory.since("public.b")), (Lsn(0), Lsn(0x30)));
    }
}
