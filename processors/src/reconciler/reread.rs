//! What a target's stream has not shown, an answered write or the edit for which one was refused: after a while the record is
//! read again.
//!
//! An index in the store lists entities by the time at which to look (`~ due entity`). Looking is bounded; an entity whose
//! stream has caught up costs no more than that. The others get a write without values, which a sink answers with what is
//! there; [`super::event::read`] makes a re-read of the answer. It is asked again until the field is settled.

use reconcile::mapping::{EntityMapping, Side};
use reconcile::merge::{self, EntityState, FieldState, WriteNumber};
use schemas::message::{Field, Lane, READ_WRITE, Write, WriteOp};

use super::message::{write_id, write_number};
use super::state::Stored;
use super::{NAME, Reconciler, rows};
use crate::convert;
use crate::error::Result;
use crate::task::{Context, Work};

/// First byte of the index's keys; entity ids begin with anything but it.
const HEAD: u8 = b'~';
/// Entities looked at between two batches.
const STEP: usize = 200;

/// Whether a write only asks what is there.
pub(super) fn is_read(write: &str) -> bool {
    write.starts_with(READ_WRITE)
}

fn key(due: i64, entity: &str) -> Vec<u8> {
    let mut out = vec![HEAD];
    out.extend_from_slice(&due.max(0).to_be_bytes());
    out.extend_from_slice(entity.as_bytes());
    out
}

fn parts(key: &[u8]) -> Option<(i64, &str)> {
    let (due, entity) = key.get(1..)?.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*due), std::str::from_utf8(entity).ok()?))
}

impl Reconciler {
    /// Lists an entity whose streams owe something, unless it is listed.
    pub(super) fn note_unshown(&self, context: &mut Context<'_>, stored: &mut Stored) -> Result<()> {
        if merge::unconfirmed(&stored.state, i64::MAX).is_empty() {
            return Ok(());
        }
        if let Some(due) = stored.look_at
            && context.has(&key(due, &stored.state.entity))?
        {
            return Ok(());
        }
        look_at(context, stored, context.now().saturating_add(self.reread_after_us));
        Ok(())
    }

    /// Asks for the records of entities whose time has come.
    pub(super) fn read_again(&self, context: &mut Context<'_>) -> Result<Work> {
        for _ in 0..STEP {
            let Some(next) = context.keys(&[HEAD], b"", 1)?.pop() else { return Ok(Work::None) };
            let Some((due, entity)) = parts(&next).map(|(due, entity)| (due, entity.to_owned())) else {
                context.delete(next);
                continue;
            };
            let now = context.now();
            if due > now {
                return Ok(Work::None);
            }
            context.delete(next);
            let Some(mut stored) = context.get::<Stored>(entity.as_bytes())? else { continue };
            let Some(mapping) = self.entity(&stored.kind) else { continue };
            if merge::unconfirmed(&stored.state, i64::MAX).is_empty() {
                continue;
            }
            let silent = merge::unconfirmed(&stored.state, now.saturating_sub(self.reread_after_us));
            for (side, record) in &silent {
                let write = ask(mapping, &stored.state, *side, record, due, now);
                self.metrics.rereads.with_label_values(&[NAME]).inc();
                tracing::debug!(processor = NAME, write.id, write.side = %write.side, entity, "its stream has not shown what it owes; reading it again");
                if let Some(channel) = self.writes.get(&write.side) {
                    context.emit(channel.record(entity.clone(), &write));
                }
            }
            // What was answered only lately is looked at again soon.
            let wait = if silent.is_empty() { self.reread_after_us / 4 } else { self.reread_after_us };
            look_at(context, &mut stored, now.saturating_add(wait.max(1)));
            context.put(entity.into_bytes(), &stored);
        }
        Ok(Work::More)
    }
}

fn look_at(context: &mut Context<'_>, stored: &mut Stored, due: i64) {
    context.put(key(due, &stored.state.entity), &true);
    stored.look_at = Some(due);
}

/// The id of a question: which writes had been sent before it, and so are carried out before it.
fn id(state: &EntityState, side: Side, due: i64) -> String {
    format!("{READ_WRITE}{}:{due}:{}", side.as_str(), write_id(&state.entity, WriteNumber(state.next_write)))
}

/// The last write that had its chance before a question was answered.
pub(super) fn covers(entity: &str, id: &str) -> Option<WriteNumber> {
    let next = id.splitn(3, ':').nth(2).and_then(|write| write_number(entity, write))?;
    next.0.checked_sub(1).map(WriteNumber)
}

/// What the side's stream has not shown.
fn reason(state: &EntityState, side: Side) -> String {
    let mut unshown = Vec::new();
    if merge::owes_record(state, side, i64::MAX) {
        unshown.push("what became of the record");
    }
    if state.fields.values().any(|field| field.owed[side].is_some()) {
        unshown.push("the edit for which a write was refused");
    }
    let answered = |field: &FieldState| field.in_flight.as_ref().is_some_and(|flight| flight.target == side && flight.answered);
    let found = |field: &FieldState| field.ahead[side].as_ref().is_some_and(|ahead| ahead.until.is_some());
    if unshown.is_empty() || state.fields.values().any(|field| answered(field) || found(field)) {
        unshown.push("an answered write");
    }
    format!("not shown yet: {}", unshown.join(", "))
}

/// A write without values: what it expects are the columns to be read, as they should be.
fn ask(mapping: &EntityMapping, state: &EntityState, side: Side, record: &str, due: i64, now: i64) -> Write {
    let mut unshown: Vec<_> = merge::unshown(state, side, i64::MAX).into_iter().filter_map(|name| mapping.field(name)).collect();
    if unshown.is_empty() {
        // Whether the record is there at all: any of its columns tells.
        unshown.extend(mapping.fields.first());
    }
    let expected: Vec<Field> = unshown
        .into_iter()
        .flat_map(|field| {
            let flight = state.fields.get(&field.name).and_then(|field| field.in_flight.as_ref());
            let written = flight.and_then(|flight| state.writes.get(&flight.write.0)).map(|open| &open.command.values);
            field.columns[side].names().map(move |column| {
                let value = written.and_then(|written| written.get(column)).or_else(|| state.sides[side].columns.get(column));
                Field { name: column.to_owned(), value: value.map_or(schemas::Value::Null, convert::wire) }
            })
        })
        .collect();
    Write {
        id: id(state, side, due),
        entity: state.entity.clone(),
        kind: mapping.kind.clone(),
        side: convert::wire_side(side),
        object: mapping.sides[side].object.clone(),
        record: Some(record.to_owned()),
        op: WriteOp::Update,
        values: Vec::new(),
        rows: rows::targets(mapping, state, side, expected.iter().map(|field| field.name.as_str())),
        expected,
        id_column: None,
        write_column: None,
        lane: Lane::Live,
        reason: reason(state, side),
        caused_at: now,
        actor: None,
        conflict: None,
        mapping_version: mapping.version,
    }
}
