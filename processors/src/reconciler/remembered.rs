//! What a restore, a reopened conflict and an undo need: the last settled conflicts and finished writes of each entity.
//!
//! A ring of each, under keys of its own beside the entity's state: number modulo the size, so that the newest replace the
//! oldest without anybody looking for them.
//!
//! ```text
//! s entity slot → ConflictRecord   a settled conflict
//! w entity slot → Confirmed        a write that its target has shown
//! ```
//!
//! What is older stands on the topics `conflicts` and `audit` for good; a decision that carries field and value restores it.

use reconcile::merge::{Confirmed, ConflictNumber, ConflictRecord, EntityState, WriteNumber};
use schemas::wire::{Names, Wire, WireError};

use super::message::write_number;
use super::state::Keep;
use crate::error::Result;
use crate::task::Context;

/// First bytes of the keys; entity ids begin with a hexadecimal digit.
const SETTLED: u8 = b's';
const WRITTEN: u8 = b'w';

/// A value of the core in the store.
pub(super) struct Kept<T>(pub(super) T);

impl<T: Keep> Wire for Kept<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.save(out);
    }
    fn take(input: &mut &[u8]) -> std::result::Result<Self, WireError> {
        T::load(input).map(Self)
    }
    fn schema(_: &mut Names) -> serde_json::Value {
        serde_json::json!("bytes")
    }
}

fn key(head: u8, entity: &str, slot: u64) -> Vec<u8> {
    let mut out = vec![head];
    out.extend_from_slice(entity.as_bytes());
    out.push(0);
    out.extend_from_slice(&slot.to_be_bytes());
    out
}

/// How much is remembered of an entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Settled conflicts, and finished writes.
    pub(super) size: u64,
}

impl Memory {
    pub(super) fn new(size: u64) -> Self {
        Self { size: size.max(1) }
    }

    pub(super) fn keep_conflict(self, context: &mut Context<'_>, entity: &str, record: ConflictRecord) {
        context.put(key(SETTLED, entity, record.number.0 % self.size), &Kept(record));
    }

    pub(super) fn keep_write(self, context: &mut Context<'_>, entity: &str, confirmed: Confirmed) {
        context.put(key(WRITTEN, entity, confirmed.command.number.0 % self.size), &Kept(confirmed));
    }

    /// A settled conflict, if it is still remembered.
    pub(super) fn conflict(self, context: &Context<'_>, entity: &str, number: ConflictNumber) -> Result<Option<Box<ConflictRecord>>> {
        let kept = context.get::<Kept<ConflictRecord>>(&key(SETTLED, entity, number.0 % self.size))?;
        Ok(kept.map(|kept| kept.0).filter(|record| record.number == number).map(Box::new))
    }

    /// A write by its id, as far as it is still remembered.
    pub(super) fn write(self, context: &Context<'_>, state: &EntityState, id: &str) -> Result<(WriteNumber, Option<Box<Confirmed>>)> {
        let newest = state.next_write.saturating_sub(self.size)..state.next_write;
        let known = |number: &WriteNumber| newest.contains(&number.0) || state.writes.contains_key(&number.0);
        let Some(number) = write_number(&state.entity, id).filter(known) else {
            // None of those that are remembered.
            return Ok((WriteNumber(u64::MAX), None));
        };
        let kept = context.get::<Kept<Confirmed>>(&key(WRITTEN, &state.entity, number.0 % self.size))?;
        Ok((number, kept.map(|kept| kept.0).filter(|confirmed| confirmed.command.number == number).map(Box::new)))
    }
}
