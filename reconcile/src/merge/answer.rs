//! Takes in what a sink answered. An answer never ends a write that was carried out; the target's stream does, or the end of its
//! record.

use std::collections::BTreeMap;

use super::author;
use super::delete;
use super::echo;
use super::effect::{WriteCommand, WriteKind};
use super::event::Answer;
use super::settle;
use super::state::{Ahead, Failure, InFlight, Micros, Seen, Unseen, WriteNumber};
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

pub(super) fn answered(turn: &mut Turn<'_>, write: WriteNumber, answer: &Answer, record: Option<&str>) {
    // Late or repeated: the write has ended.
    let Some(command) = turn.state.writes.get(&write.0).map(|open| open.command.clone()) else { return };
    match answer {
        Answer::Applied => applied(turn, &command, record),
        Answer::Rejected(actual) => match (command.kind, actual) {
            (WriteKind::Create, _) => failed(turn, &command, "the record could not be created as it was found changed"),
            (_, None) => vanished(turn, &command),
            (_, Some(actual)) => rejected(turn, &command, actual),
        },
        Answer::Failed(reason) => failed(turn, &command, reason),
        Answer::Deferred => {}
    }
    author::share(turn, command.side);
}

fn fields_of<'m>(turn: &Turn<'m>, write: WriteNumber) -> Vec<&'m FieldMapping> {
    let flying = |field: &&FieldMapping| {
        turn.state.fields.get(&field.name).and_then(|state| state.in_flight.as_ref()).is_some_and(|f| f.write == write)
    };
    turn.mapping.fields.iter().filter(flying).collect()
}

fn applied(turn: &mut Turn<'_>, command: &WriteCommand, record: Option<&str>) {
    let write = command.number;
    if let Some(open) = turn.state.writes.get_mut(&write.0) {
        open.done = true;
    }
    if command.kind == WriteKind::Create {
        let side = &mut turn.state.sides[command.side];
        if side.record.is_none() && side.creating == Some(write) {
            side.record = record.map(ToOwned::to_owned);
        }
    }
    for field in fields_of(turn, write) {
        let Some(flight) = &mut turn.field(&field.name).in_flight else { continue };
        flight.answered = true;
        let flight = flight.clone();
        if planted::on(planted::Bug::SettleOnAnswer) {
            let value = flight.value.clone();
            echo::end(turn, field, &value);
        } else if let Some(value) = flight.echo.clone().filter(|_| !flight.shared) {
            echo::end(turn, field, &value);
        } else if !flight.shared && flight.between.as_ref().is_some_and(|between| !turn.stood_before(&flight, &between.value)) {
            echo::inferred(turn, field);
        }
    }
    let side = command.side;
    let archives = matches!(command.kind, WriteKind::Archive | WriteKind::Unarchive);
    let archived = archives && turn.state.sides[side].deleting == Some(write);
    if archived {
        turn.state.sides[side].deleting = None;
    }
}

/// The record is gone; the stream will say so too.
fn vanished(turn: &mut Turn<'_>, command: &WriteCommand) {
    turn.refused(command.number);
    for field in fields_of(turn, command.number) {
        turn.field(&field.name).in_flight = None;
    }
    let side = &mut turn.state.sides[command.side];
    side.deleting = side.deleting.filter(|number| *number != command.number);
    if side.record == command.record && !side.deleted {
        side.deleted = true;
        side.at = turn.now;
        side.actor = None;
        turn.golden = true;
    }
}

fn rejected(turn: &mut Turn<'_>, command: &WriteCommand, actual: &BTreeMap<String, Value>) {
    let side = command.side;
    let fields = fields_of(turn, command.number);
    turn.refused(command.number);
    let mut learnt = false;
    if turn.state.sides[side].deleting == Some(command.number) {
        turn.state.sides[side].deleting = None;
        found(turn, side, command, actual, |_| true);
        delete::not_done(turn, command, Some(actual), "the target refused it although it holds what was expected");
        return;
    }
    // Another column than those still on their way may be why it was refused.
    learnt |= command.expected.iter().any(|(name, value)| actual.get(name).is_some_and(|actual| actual != value));
    let mut failures = Vec::new();
    for field in fields {
        let flight = turn.field(&field.name).in_flight.as_ref();
        let news = |flight: &&InFlight| !flight.shared && flight.echo.as_ref().is_some_and(|value| *value != flight.expected);
        if let Some(value) = flight.filter(news).and_then(|flight| flight.echo.clone()) {
            // The stream has shown what the target made of it, and that was not there before: an earlier try did it.
            echo::end(turn, field, &value);
            found(turn, side, command, actual, |f| f.name == field.name);
            learnt = true;
            continue;
        }
        let Some(flight) = turn.field(&field.name).in_flight.take() else { continue };
        remember(turn, field, command, &flight);
        if flight.between.is_some() {
            // The stream already tells more than the answer.
            learnt = true;
        } else {
            learnt |= found(turn, side, command, actual, |f| f.name == field.name);
        }
        failures.push((field, flight));
    }
    if !learnt {
        for (field, flight) in failures {
            let reason = "the target refused it although it holds what was expected".to_owned();
            fail(turn, field, side, &flight.source, reason);
        }
    }
}

/// A rejected write may have been carried out by a try whose answer was lost; its target's stream would show it.
fn remember(turn: &mut Turn<'_>, field: &FieldMapping, command: &WriteCommand, flight: &InFlight) {
    let source = Seen { value: flight.source.clone(), at: command.caused_at, actor: command.actor.clone() };
    let state = turn.field(&field.name);
    let Some(instead) = state.seen[flight.target].clone() else { return };
    let base = flight.base(state.agreed.as_ref());
    let (write, target, value) = (flight.write, flight.target, flight.value.clone());
    state.owe(Unseen { write, target, value, source, instead, base, altered: false });
}

/// Takes the found values for seen, ahead of the stream. True when they differ from what was expected.
fn found(
    turn: &mut Turn<'_>,
    side: Side,
    command: &WriteCommand,
    actual: &BTreeMap<String, Value>,
    which: impl Fn(&FieldMapping) -> bool,
) -> bool {
    let mut learnt = false;
    let mapping = turn.mapping;
    for field in mapping.fields.iter().filter(|field| which(field)) {
        let found: Vec<(&str, &Value)> = field.columns[side].names().filter_map(|name| Some((name, actual.get(name)?))).collect();
        if found.is_empty() {
            continue;
        }
        learnt |= found.iter().any(|(name, value)| command.expected.get(*name) != Some(*value));
        for (name, value) in found {
            turn.state.sides[side].columns.insert(name.to_owned(), value.clone());
        }
        let Some(value) = turn.canonical(field, side) else { continue };
        let now = turn.now;
        let state = turn.field(&field.name);
        let Some(seen) = state.seen[side].clone() else { continue };
        if seen.value == value || planted::on(planted::Bug::IgnoreActual) {
            continue;
        }
        let stream = match &state.ahead[side] {
            Some(ahead) => ahead.stream.clone(),
            _ => seen,
        };
        state.ahead[side] = Some(Ahead { stream, at: now, waits: true });
        let seen = Seen { value, at: now, actor: None };
        state.seen[side] = Some(seen.clone());
        let held = state.held_by;
        turn.golden = true;
        if let Some(number) = held {
            settle::update(turn, number, side, &seen);
        }
    }
    learnt
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
