//! Messages into the core's events.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{EntityMapping, FieldType};
use reconcile::merge::{self, Answer, EntityState, Event, Parent, SideChange, WriteNumber};
use schemas::cdc::OURSELVES;
use schemas::message::{EntityChange, EntityOp, Outcome, OutcomeResult};

use super::message::write_number;
use super::reread;
use crate::convert;
use crate::error::{Error, Result};

/// A side changed.
pub(super) fn changed(change: EntityChange) -> Result<Event> {
    let misfit =
        |(field, reason): (String, String)| Error::MapValue { field, object: change.object.clone(), record: change.record.clone(), reason };
    let write = change.write.as_deref().and_then(|id| write_number(&change.entity, id));
    let ours = change.origin.as_deref() == Some(OURSELVES);
    Ok(Event::Changed(SideChange {
        side: convert::side(change.side),
        fields: convert::fields(&change.fields).map_err(misfit)?,
        columns: convert::fields(&change.columns).map_err(misfit)?,
        references: change
            .references
            .into_iter()
            .map(|reference| {
                (reference.field, Parent { entity: reference.entity, records: convert::records(reference.crm, reference.erp) })
            })
            .collect(),
        deleted: change.op == EntityOp::Deleted,
        unlinked: change.op == EntityOp::Unlinked,
        joined: change.op == EntityOp::Joined,
        returned: change.op == EntityOp::Returned,
        released: change.op == EntityOp::Released,
        record: change.record,
        may_create: change.may_create,
        snapshot: change.snapshot,
        at: change.committed_at,
        actor: change.actor,
        foreign: ours && write.is_none() && change.write.is_some(),
        ours,
        write,
    }))
}

/// A write was answered; none when it is not open any more.
pub(super) fn answered(state: &EntityState, outcome: &Outcome) -> Result<Option<Event>> {
    let number = write_number(&state.entity, &outcome.write);
    let Some(write) = number.filter(|number| open_writes(state).any(|open| open == *number)) else { return Ok(None) };
    let answer = match outcome.result {
        // What the CRM is found to hold may be somebody's edit since; the ERP says so in the transaction of the write.
        OutcomeResult::Applied if outcome.side == schemas::message::Side::Erp && !outcome.actual.is_empty() => {
            Answer::AppliedAs(actual(outcome)?)
        }
        OutcomeResult::Applied => Answer::Applied,
        OutcomeResult::Deferred => Answer::Deferred,
        OutcomeResult::Failed => Answer::Failed(failure(outcome)),
        OutcomeResult::Rejected if outcome.actual.is_empty() => Answer::Rejected(None),
        OutcomeResult::Rejected => Answer::Rejected(Some(actual(outcome)?)),
    };
    Ok(Some(Event::Answered { write, answer, record: outcome.record.clone() }))
}

/// The values that a target was found to hold.
fn actual(outcome: &Outcome) -> Result<BTreeMap<String, Value>> {
    convert::fields(&outcome.actual).map_err(|(field, reason)| Error::MapValue {
        field,
        object: outcome.object.clone(),
        record: outcome.record.clone().unwrap_or_default(),
        reason,
    })
}

/// A record was read again because its stream owes something: what that is, and nothing else, is taken as a re-read. None
/// when the stream has shown it since, or the answer says nothing.
///
/// The stream may still be behind, so fields that wait for nothing are left to it.
pub(super) fn read(mapping: &EntityMapping, state: &EntityState, outcome: &Outcome) -> Result<Option<Event>> {
    let side = convert::side(outcome.side);
    let Some(record) = state.sides[side].record.clone().filter(|record| outcome.record.as_ref() == Some(record)) else { return Ok(None) };
    let waiting = merge::unshown(state, side, i64::MAX);
    let gone = outcome.result == OutcomeResult::Rejected && outcome.actual.is_empty();
    let told = matches!(outcome.result, OutcomeResult::Applied | OutcomeResult::Rejected) && (gone || !outcome.actual.is_empty());
    let owes = merge::owes_record(state, side, i64::MAX);
    if (waiting.is_empty() && !owes) || !told {
        return Ok(None);
    }
    let misfit =
        |(field, reason): (String, String)| Error::MapValue { field, object: outcome.object.clone(), record: record.clone(), reason };
    let columns = convert::fields(&outcome.actual).map_err(misfit)?;
    let mut fields = BTreeMap::new();
    for field in waiting.into_iter().filter_map(|name| mapping.field(name)) {
        let rule = &field.columns[side];
        if !rule.names().any(|name| columns.contains_key(name)) {
            continue;
        }
        let known = &state.sides[side].columns;
        let values = rule.gather(|name| columns.get(name).or_else(|| known.get(name)));
        let value = match (&field.kind, values.first().unwrap_or(&Value::Null)) {
            (FieldType::Reference { .. }, Value::Null) => Value::Null,
            (FieldType::Reference { .. }, id) => {
                let id = id.as_text().map_or_else(|| id.to_string(), str::to_owned);
                let parent = state.references.iter().find(|(_, parent)| parent.records[side].as_ref() == Some(&id));
                let Some((entity, _)) = parent else { continue };
                Value::Text(entity.clone())
            }
            _ => reconcile::mapping::read(field, side, &values).map_err(|error| misfit((field.name.clone(), error.to_string())))?,
        };
        fields.insert(field.name.clone(), value);
    }
    if fields.is_empty() && !gone && !owes {
        return Ok(None);
    }
    let columns = columns
        .into_iter()
        .filter(|(name, _)| fields.keys().any(|field| mapping.field(field).is_some_and(|field| field.columns[side].has(name))))
        .collect();
    Ok(Some(Event::Read(SideChange {
        side,
        record,
        deleted: gone,
        unlinked: false,
        joined: false,
        returned: false,
        fields,
        columns,
        references: BTreeMap::new(),
        may_create: state.may_create,
        snapshot: true,
        released: false,
        at: outcome.at,
        actor: None,
        ours: false,
        write: reread::covers(&state.entity, &outcome.write),
        foreign: false,
    })))
}

/// Numbers of writes that may still be answered.
fn open_writes(state: &EntityState) -> impl Iterator<Item = WriteNumber> {
    let kept = state.writes.keys().map(|number| WriteNumber(*number));
    let flying = state.fields.values().filter_map(|field| field.in_flight.as_ref().map(|flight| flight.write));
    let sides = [&state.sides.crm, &state.sides.erp].into_iter().flat_map(|side| [side.creating, side.deleting]).flatten();
    kept.chain(flying).chain(sides)
}

pub(super) fn failure(outcome: &Outcome) -> String {
    match (&outcome.code, &outcome.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(text), None) | (None, Some(text)) => text.clone(),
        (None, None) => "the target gave no reason".to_owned(),
    }
}
