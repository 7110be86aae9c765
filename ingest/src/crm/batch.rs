//! Records of one log transaction: framed changes with their headers, tombstones after deletes, dead letters.

use std::collections::BTreeMap;

use schemas::cdc::{Change, Op, Source};
use schemas::message::{DeadLetter, SYNC_ID_HEADER, Side};
use stream::{NewRecord, codec};

use super::catalog::Known;
use super::clock;

/// What an event or a read says about one record.
pub(crate) struct Fact {
    pub(crate) id: String,
    pub(crate) op: Op,
    /// The row after; for deletes, what is known of the row before.
    pub(crate) row: schemas::cdc::Row,
    pub(crate) changed: Option<Vec<usize>>,
    pub(crate) position: String,
    pub(crate) transaction: String,
    pub(crate) ordinal: i64,
    pub(crate) committed_ms: i64,
    pub(crate) actor: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) snapshot: bool,
    pub(crate) sync_id: String,
    /// The record that a deleted one was merged into.
    pub(crate) merged_into: Option<String>,
}

/// Header of the deletion of a merged record: the id of the record that it was merged into.
const MERGED_INTO_HEADER: &str = "merged-into";

/// Records waiting to be committed together.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<NewRecord>,
    counts: BTreeMap<Op, usize>,
}

impl Batch {
    /// Adds a change; a delete is followed by a tombstone.
    ///
    /// # Errors
    /// When the row does not fit its schema.
    pub(crate) fn change(&mut self, name: &str, known: &Known, fact: Fact) -> Result<(), String> {
        let (before, after) = if fact.op == Op::Delete { (Some(fact.row), None) } else { (None, Some(fact.row)) };
        let source = Source {
            side: Side::Crm,
            name: name.to_owned(),
            object: known.layout.object.clone(),
            position: fact.position,
            transaction: fact.transaction,
            ordinal: fact.ordinal,
            committed_at: fact.committed_ms.saturating_mul(1000),
            actor: fact.actor,
            origin: fact.origin,
            write: None,
            snapshot: fact.snapshot,
        };
        let change = Change { before, after, op: fact.op, changed: fact.changed, source, ts_ms: clock::now_micros() / 1000 };
        tracing::debug!(sync.id = fact.sync_id, crm.object = known.layout.object, "change captured");
        let value =
            codec::encode_change_as(known.registered, &known.topic, &known.layout.schema, &change).map_err(|error| error.to_string())?;
        let record = NewRecord::new(known.topic.clone(), fact.id.clone(), value).header(SYNC_ID_HEADER, fact.sync_id.clone());
        self.records.push(match fact.merged_into {
            Some(winner) => record.header(MERGED_INTO_HEADER, winner),
            None => record,
        });
        if fact.op == Op::Delete {
            self.records.push(NewRecord::tombstone(known.topic.clone(), fact.id).header(SYNC_ID_HEADER, fact.sync_id));
        }
        *self.counts.entry(fact.op).or_default() += 1;
        Ok(())
    }

    /// Changes so far, by operation.
    pub(crate) fn counts(&self) -> &BTreeMap<Op, usize> {
        &self.counts
    }
}

/// A message set aside: `bytes` as they came, keyed by the position or record they came with.
pub(crate) fn dead_letter(component: &str, origin: &str, key: &str, bytes: Vec<u8>, reason: String) -> DeadLetter {
    DeadLetter {
        topic: origin.to_owned(),
        partition: 0,
        offset: 0,
        key: Some(key.as_bytes().to_vec()),
        value: Some(bytes),
        component: component.to_owned(),
        reason,
        remedy: "look at the record in Salesforce; its next change, or a snapshot of its object, brings it again".to_owned(),
        at: clock::now_micros(),
    }
}
