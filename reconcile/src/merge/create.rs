//! Makes the record that a side lacks, by policy or because a person says so.

use std::collections::BTreeMap;

use super::RECORD;
use super::answer;
use super::decide::Done;
use super::effect::{ConflictRecord, Effect, Settlement, WriteCommand, WriteKind};
use super::former;
use super::settle;
use super::state::{ConflictNumber, Creation, InFlight, OpenWrite, Seen, WriteNumber};
use super::turn::{Turn, whence};
use crate::mapping::{self, CreatePolicy, Pair, Policy, Side};
use crate::value::Value;

pub(super) fn evaluate(turn: &mut Turn<'_>) {
    for target in Side::BOTH {
        forget_question(turn, target);
        if !lacking(turn, target) {
            continue;
        }
        match (&turn.state.sides[target].creation, turn.mapping.create[target]) {
            // Somebody may be about to turn up there.
            (Creation::Wanted(_), _) if turn.state.may_create => create(turn, target),
            (Creation::Unasked, CreatePolicy::Auto) if turn.state.may_create => create(turn, target),
            (Creation::Unasked, CreatePolicy::Ask) if turn.state.may_create => ask(turn, target),
            (Creation::Wanted(_) | Creation::Unasked | Creation::Asked(_) | Creation::Refused, _) => {}
        }
    }
}

/// The other side has a record, and this one never had one.
fn lacking(turn: &Turn<'_>, target: Side) -> bool {
    let there = &turn.state.sides[target];
    let here = &turn.state.sides[target.other()];
    here.record.is_some()
        && !here.deleted
        && here.creating.is_none()
        && here.deleting.is_none()
        && there.record.is_none()
        && !there.deleted
        && (there.creating.is_none() || planted::on(planted::Bug::CreateAgain))
        && there.create_failed.is_none()
}

/// Asks a person whether the record is to be made.
fn ask(turn: &mut Turn<'_>, target: Side) {
    let source = target.other();
    let (at, actor) = (turn.state.sides[source].at, turn.state.sides[source].actor.clone());
    let mut values = Pair { crm: Seen::default(), erp: Seen::default() };
    let reason = format!("created {}; a person decides whether the other side gets it", whence(source, actor.as_deref()));
    values[source] = Seen { value: Value::text("present"), at, actor };
    values[target] = Seen { value: Value::text("absent"), at, actor: None };
    let record = ConflictRecord {
        number: turn.next_conflict(),
        field: RECORD.to_owned(),
        base: Pair::default(),
        values,
        policy: Policy::Review,
        reason,
        opened_at: turn.now,
        settled: None,
        overtaken: false,
    };
    turn.state.sides[target].creation = Creation::Asked(record.number);
    turn.golden = true;
    turn.keep(record);
}

/// A question is over when the record is there, or the one that it was asked for is gone.
fn forget_question(turn: &mut Turn<'_>, target: Side) {
    let there = &turn.state.sides[target];
    let here = &turn.state.sides[target.other()];
    let arrived = there.record.is_some() && !there.deleted && there.deleting.is_none();
    let pointless = here.record.is_none() || here.deleted;
    if !arrived && !pointless {
        return;
    }
    let asked = match there.creation {
        Creation::Asked(number) => Some(number),
        Creation::Unasked => return,
        // Taking back a create is on its way, or what was refused may come back.
        Creation::Refused if !arrived => return,
        Creation::Refused | Creation::Wanted(_) => None,
    };
    if let Some(number) = asked {
        let (winner, reason) =
            if arrived { (target.other(), "the record is there by now") } else { (target, "the record it was asked for is gone") };
        settle::withdraw(turn, number, Some(winner), reason);
    }
    turn.state.sides[target].creation = Creation::Unasked;
}

/// A person wants the record made.
pub(super) fn wished(turn: &mut Turn<'_>, target: Side, person: &str) -> Done {
    let there = &turn.state.sides[target];
    let here = &turn.state.sides[target.other()];
    if there.creating.is_some() {
        return Done::Unchanged("the record is being made".to_owned());
    }
    if there.record.is_some() && !there.deleted {
        return Done::Unchanged("the record is there".to_owned());
    }
    if here.record.is_none() || here.deleted {
        return Done::Refused("there is no record to make it from".to_owned());
    }
    if here.creating.is_some() || here.deleting.is_some() {
        return Done::Wait;
    }
    let number = answered(turn, target, person, target.other());
    if turn.state.sides[target].deleted {
        former::forget(turn, target);
    }
    let side = &mut turn.state.sides[target];
    side.create_failed = None;
    side.creation = Creation::Wanted(person.to_owned());
    Done::Accepted { reason: "the record is made as soon as what it refers to is there".to_owned(), conflict: number }
}

/// A person does not want the record made.
pub(super) fn refused(turn: &mut Turn<'_>, target: Side, person: &str) -> Done {
    let there = &turn.state.sides[target];
    if there.creating.is_some() || (there.record.is_some() && !there.deleted) {
        return Done::Refused("the record is there or on its way; undo the write that made it".to_owned());
    }
    if there.creation == Creation::Refused {
        return Done::Unchanged("it is not made".to_owned());
    }
    let number = answered(turn, target, person, target);
    turn.state.sides[target].creation = Creation::Refused;
    Done::Accepted { reason: "the record is not made until that is asked for".to_owned(), conflict: number }
}

/// Settles the open question, if there is one.
fn answered(turn: &mut Turn<'_>, target: Side, person: &str, winner: Side) -> Option<ConflictNumber> {
    let Creation::Asked(number) = turn.state.sides[target].creation else { return None };
    let mut record = turn.state.conflicts.get(&number.0).cloned()?;
    let chosen = record.values[winner].value.clone();
    let by = Some(person.to_owned());
    record.settled = Some(Settlement { winner: Some(winner), chosen, tie: false, both: false, by, at: turn.now });
    turn.keep(record);
    Some(number)
}

/// Another record has come where we are making one: what was sent along is not in it. The one that we make will find its own
/// place.
pub(super) fn makes_way(turn: &mut Turn<'_>, side: Side) {
    let Some(number) = turn.state.sides[side].creating.take() else { return };
    turn.state.fields.values_mut().for_each(|field| field.agreed = None);
    not_this_one(turn, number);
}

/// What a create was sent with is not in the record that stands where it was to be made.
pub(super) fn not_this_one(turn: &mut Turn<'_>, create: WriteNumber) {
    let mapping = turn.mapping;
    for field in &mapping.fields {
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        if let Some(mut flight) = state.in_flight.take_if(|flight| flight.write == create) {
            state.agreed = None;
            flight.sealed = None;
            answer::remember(turn, field, &flight);
        }
    }
}

fn create(turn: &mut Turn<'_>, target: Side) {
    let source = target.other();
    let mapping = turn.mapping;
    let mut values = BTreeMap::new();
    let mut fields = BTreeMap::new();
    let mut flights = Vec::new();
    let mut newest: Option<(i64, Option<String>)> = None;
    for field in mapping.fields.iter().filter(|field| field.direction.allows(target)) {
        let seen = turn.state.fields.get(&field.name).and_then(|state| state.seen[source].clone());
        let empty = seen.as_ref().is_none_or(|seen| seen.value.is_null());
        if empty && field.required && field.default.is_none() {
            turn.state.sides[target].create_failed = Some(mapping::lacking(field, target).to_string());
            turn.golden = true;
            return;
        }
        let Some(seen) = seen else { continue };
        if seen.value.is_null() {
            // Whatever the target makes of it is a change there, as is the default.
            let mut agreed = Pair::default();
            if let Some(default) = &field.default
                && let Ok(Some(columns)) = turn.columns(field, target, &default.value)
            {
                if !field.direction.allows(source) {
                    agreed[target] = turn.predicted(field, target, &default.value);
                }
                fields.extend(columns.keys().map(|column| (column.clone(), field.name.clone())));
                values.extend(columns);
            }
            turn.field(&field.name).agreed = Some(agreed);
            continue;
        }
        let columns = match turn.columns(field, target, &seen.value) {
            Ok(Some(columns)) => columns,
            // The parent has no record there yet.
            Ok(None) => return,
            Err(error) => {
                turn.state.sides[target].create_failed = Some(error.to_string());
                turn.golden = true;
                return;
            }
        };
        fields.extend(columns.keys().map(|column| (column.clone(), field.name.clone())));
        values.extend(columns);
        if newest.as_ref().is_none_or(|(at, _)| *at < seen.at) {
            newest = Some((seen.at, seen.actor.clone()));
        }
        flights.push((field, seen));
    }
    let Some((caused_at, actor)) = newest else { return };
    for (column, constant) in &mapping.sides[target].constants {
        values.entry(column.clone()).or_insert_with(|| constant.value.clone());
    }
    let number = WriteNumber(turn.state.next_write);
    turn.state.next_write += 1;
    for (field, seen) in flights {
        let value = turn.predicted(field, target, &seen.value);
        let state = turn.field(&field.name);
        state.resolution = None;
        state.failed = None;
        state.in_flight = Some(InFlight::sent(number, target, value, seen.value, Value::Null, None));
    }
    let mut reason = format!("created {}", whence(source, actor.as_deref()));
    let person = match &turn.state.sides[target].creation {
        Creation::Wanted(person) => Some(person.clone()),
        Creation::Unasked | Creation::Asked(_) | Creation::Refused => None,
    };
    if let Some(person) = &person {
        reason.push_str("; decided by ");
        reason.push_str(person);
    }
    let command = WriteCommand {
        number,
        side: target,
        kind: WriteKind::Create,
        record: None,
        values,
        expected: BTreeMap::new(),
        fields,
        decided: person.is_some(),
        backfill: turn.backfill && person.is_none(),
        reason,
        caused_at,
        actor: person.or(actor),
        conflict: None,
    };
    turn.state.sides[target].creating = Some(number);
    turn.golden = true;
    open(turn, command);
}

/// Remembers a command until its target confirms it, and sends it.
pub(super) fn open(turn: &mut Turn<'_>, command: WriteCommand) {
    let kept =
        OpenWrite { command: command.clone(), confirmed: BTreeMap::new(), steps: BTreeMap::new(), done: false, altered: false, at: 0 };
    turn.state.writes.insert(command.number.0, kept);
    turn.effects.push(Effect::Write(command));
}
