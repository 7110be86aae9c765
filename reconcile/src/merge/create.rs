//! Makes the record that a side lacks.

use std::collections::BTreeMap;

use super::effect::{Effect, WriteCommand, WriteKind};
use super::state::{InFlight, OpenWrite, WriteNumber};
use super::turn::{Turn, whence};
use crate::mapping::{CreatePolicy, Pair, Side};
use crate::value::Value;

pub(super) fn evaluate(turn: &mut Turn<'_>) {
    for target in Side::BOTH {
        if wanted(turn, target) {
            create(turn, target);
        }
    }
}

fn wanted(turn: &Turn<'_>, target: Side) -> bool {
    let there = &turn.state.sides[target];
    let here = &turn.state.sides[target.other()];
    turn.state.may_create
        && turn.mapping.create[target] == CreatePolicy::Auto
        && here.record.is_some()
        && !here.deleted
        && there.record.is_none()
        && !there.deleted
        && there.creating.is_none()
        && there.create_failed.is_none()
}

fn create(turn: &mut Turn<'_>, target: Side) {
    let source = target.other();
    let mapping = turn.mapping;
    let mut values = BTreeMap::new();
    let mut fields = BTreeMap::new();
    let mut flights = Vec::new();
    let mut newest: Option<(i64, Option<String>)> = None;
    for field in mapping.fields.iter().filter(|field| field.direction.allows(target)) {
        let Some(seen) = turn.state.fields.get(&field.name).and_then(|state| state.seen[source].clone()) else { continue };
        if seen.value.is_null() {
            // Whatever the target makes of it is a change there.
            turn.field(&field.name).agreed = Some(Pair::default());
            continue;
        }
        let column = match turn.column(field, target, &seen.value) {
            Ok(Some(column)) => column,
            // The parent has no record there yet.
            Ok(None) => return,
            Err(error) => {
                turn.state.sides[target].create_failed = Some(error.to_string());
                turn.golden = true;
                return;
            }
        };
        values.insert(field.columns[target].column.clone(), column);
        fields.insert(field.columns[target].column.clone(), field.name.clone());
        if newest.as_ref().is_none_or(|(at, _)| *at < seen.at) {
            newest = Some((seen.at, seen.actor.clone()));
        }
        flights.push((field, seen));
    }
    let Some((caused_at, actor)) = newest else { return };
    for (column, value) in &mapping.sides[target].constants {
        values.entry(column.clone()).or_insert_with(|| value.clone());
    }
    let number = WriteNumber(turn.state.next_write);
    turn.state.next_write += 1;
    for (field, seen) in flights {
        let value = turn.predicted(field, target, &seen.value);
        let state = turn.field(&field.name);
        state.resolution = None;
        state.failed = None;
        state.in_flight = Some(InFlight {
            write: number,
            target,
            value,
            source: seen.value,
            expected: Value::Null,
            answered: false,
            conflict: None,
            between: None,
            echo: None,
        });
    }
    let command = WriteCommand {
        number,
        side: target,
        kind: WriteKind::Create,
        record: None,
        values,
        expected: BTreeMap::new(),
        fields,
        decided: false,
        backfill: turn.backfill,
        reason: format!("created {}", whence(source, actor.as_deref())),
        caused_at,
        actor,
        conflict: None,
    };
    turn.state.sides[target].creating = Some(number);
    turn.golden = true;
    open(turn, command);
}

/// Remembers a command until its target confirms it, and sends it.
pub(super) fn open(turn: &mut Turn<'_>, command: WriteCommand) {
    let kept = OpenWrite { command: command.clone(), confirmed: BTreeMap::new(), done: false, altered: false, at: 0 };
    turn.state.writes.insert(command.number.0, kept);
    turn.effects.push(Effect::Write(command));
}
