//! Takes in what a sink answered. An answer never ends a write that was carried out; the target's stream does, or the end of its
//! record.

use std::collections::BTreeMap;

use super::create;
use super::delete;
use super::echo;
use super::effect::{WriteCommand, WriteKind};
use super::event::Answer;
use super::state::{Failure, InFlight, Micros, Owed, Unseen, WriteNumber};
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

pub(super) fn answered(turn: &mut Turn<'_>, write: WriteNumber, answer: &Answer, record: Option<&str>) {
    // Late or repeated: the write has ended.
    let Some(open) = turn.state.writes.get(&write.0) else { return };
    if open.done && !matches!(answer, Answer::Applied | Answer::AppliedAs(_)) {
        // A sink that was killed tried it once more; it is known to have been carried out.
        return;
    }
    let command = open.command.clone();
    match answer {
        Answer::Applied => applied(turn, &command, record, &BTreeMap::new()),
        Answer::AppliedAs(told) => applied(turn, &command, record, told),
        Answer::Rejected(actual) => match (command.kind, actual) {
            (WriteKind::Create, _) => failed(turn, &command, "the record could not be created as it was found changed"),
            (_, None) => vanished(turn, &command),
            (_, Some(actual)) => rejected(turn, &command, actual),
        },
        Answer::Failed(reason) => failed(turn, &command, reason),
        Answer::Deferred => {}
    }
}

fn fields_of<'m>(turn: &Turn<'m>, write: WriteNumber) -> Vec<&'m FieldMapping> {
    let flying = |field: &&FieldMapping| {
        turn.state.fields.get(&field.name).and_then(|state| state.in_flight.as_ref()).is_some_and(|f| f.write == write)
    };
    turn.mapping.fields.iter().filter(flying).collect()
}

fn applied(turn: &mut Turn<'_>, command: &WriteCommand, record: Option<&str>, told: &BTreeMap<String, Value>) {
    let (write, side) = (command.number, command.side);
    if let Some(open) = turn.state.writes.get_mut(&write.0) {
        open.done = true;
    }
    if command.kind == WriteKind::Create {
        let there = &mut turn.state.sides[side];
        if there.record.is_none() && there.creating == Some(write) {
            there.record = record.map(ToOwned::to_owned);
        }
        let another = there.record.as_deref() != record;
        if let (Some(open), Some(record)) = (turn.state.writes.get_mut(&write.0), record) {
            open.command.record = Some(record.to_owned());
            if another {
                create::not_this_one(turn, write);
            }
        }
    }
    for field in fields_of(turn, write) {
        let spoken = field.columns[side].names().any(|column| told.contains_key(column));
        let told = if spoken { turn.canonical(field, side, told) } else { None };
        let Some(flight) = &mut turn.field(&field.name).in_flight else { continue };
        flight.answered = true;
        flight.told = told;
        let (value, sealed) = (flight.value.clone(), flight.sealed.is_some());
        let unchanged = flight.told.clone().filter(|told| *told == flight.expected);
        if planted::on(planted::Bug::SettleOnAnswer) {
            echo::end(turn, field, &value);
        } else if let Some(told) = unchanged {
            // There may be nothing to show; and what its stream has shown meanwhile came after.
            echo::end(turn, field, &told);
        } else if sealed {
            echo::unshown(turn, field);
        }
    }
    let archives = matches!(command.kind, WriteKind::Archive | WriteKind::Unarchive);
    if archives && turn.state.sides[side].deleting == Some(write) {
        turn.state.sides[side].deleting = None;
    }
}

/// The record is gone; the stream will say so too, after whatever came before.
fn vanished(turn: &mut Turn<'_>, command: &WriteCommand) {
    let fields = fields_of(turn, command.number);
    for field in &fields {
        if let Some(flight) = turn.field(&field.name).in_flight.take() {
            remember(turn, field, &flight);
        }
    }
    turn.refused(command.number);
    delete::not_archived(turn, command);
    let since = turn.now;
    let side = &mut turn.state.sides[command.side];
    let open = !fields.is_empty() || side.deleting == Some(command.number);
    side.deleting = side.deleting.filter(|number| *number != command.number);
    // The stream has not ended the write, so it has not shown the end of the record.
    if open && side.record == command.record && !side.deleted {
        side.owed = Some(Owed { since, gone: true });
    }
}

fn rejected(turn: &mut Turn<'_>, command: &WriteCommand, actual: &BTreeMap<String, Value>) {
    let side = command.side;
    let fields = fields_of(turn, command.number);
    if turn.state.sides[side].deleting == Some(command.number) {
        turn.refused(command.number);
        turn.state.sides[side].deleting = None;
        delete::not_done(turn, command, Some(actual), "the target refused it although it holds what was expected");
        return;
    }
    let other = |name: &str| actual.get(name).is_some_and(|actual| command.expected.get(name) != Some(actual));
    // Another column than those still on their way may be why it was refused.
    let mut learnt = command.expected.keys().any(|name| other(name));
    let mut failures = Vec::new();
    for field in fields {
        let Some(flight) = turn.field(&field.name).in_flight.take() else { continue };
        remember(turn, field, &flight);
        let now = turn.now;
        let state = turn.field(&field.name);
        // The stream has gone on since the write was decided: it is decided again by what is there now.
        let gone_on = flight.between.is_some() || state.seen[side].as_ref().is_none_or(|seen| seen.value != flight.expected);
        if !gone_on && learnt && field.columns[side].names().any(other) {
            state.owed[side] = Some(now);
        }
        learnt |= gone_on;
        failures.push((field, flight));
    }
    turn.refused(command.number);
    delete::not_archived(turn, command);
    if !learnt {
        for (field, flight) in failures {
            let reason = "the target refused it although it holds what was expected".to_owned();
            fail(turn, field, side, &flight.source, reason);
        }
    }
}

/// A rejected write may have been carried out by a try whose answer was lost; its target's stream would show it.
pub(super) fn remember(turn: &mut Turn<'_>, field: &FieldMapping, flight: &InFlight) {
    if flight.sealed.is_some() {
        return;
    }
    let source = echo::source_edit(turn, flight.write, flight.source.clone());
    let makes = turn.state.writes.get(&flight.write.0).is_some_and(|open| open.command.kind == WriteKind::Create);
    let state = turn.field(&field.name);
    // A record that is just being made has shown nothing.
    let instead = state.seen[flight.target].clone().unwrap_or_default();
    let base = flight.base(state.agreed.as_ref());
    let (write, target, value, expected) = (flight.write, flight.target, flight.value.clone(), flight.expected.clone());
    state.owe(Unseen { write, target, value, source, instead, base, expected, makes, done: false, orphan: false });
}

fn failed(turn: &mut Turn<'_>, command: &WriteCommand, reason: &str) {
    let side = command.side;
    let fields = fields_of(turn, command.number);
    turn.refused(command.number);
    let state = &mut turn.state.sides[side];
    if state.creating == Some(command.number) {
        state.creating = None;
        state.create_failed = Some(reason.to_owned());
    }
    if state.deleting == Some(command.number) {
        state.deleting = None;
        delete::not_done(turn, command, None, reason);
    } else {
        delete::not_archived(turn, command);
    }
    for field in fields {
        let Some(flight) = turn.field(&field.name).in_flight.take() else { continue };
        if command.kind == WriteKind::Create {
            turn.field(&field.name).agreed = None;
        } else if flight.between.is_none() {
            fail(turn, field, side, &flight.source, reason.to_owned());
        }
    }
}

/// Marks the difference as one that was refused, unless the source has moved on since.
fn fail(turn: &mut Turn<'_>, field: &FieldMapping, target: Side, source: &Value, reason: String) {
    let at: Micros = turn.now;
    let Some(both) = turn.both(&field.name) else { return };
    let state = turn.field(&field.name);
    if state.resolution.is_none() && both[target.other()].value != *source {
        return;
    }
    let values = Pair { crm: both.crm.value, erp: both.erp.value };
    state.failed = Some(Failure { target, reason, at, values });
    turn.golden = true;
}
