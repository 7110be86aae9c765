//! Turns plans into commands: what follows from one cause goes to one record as one command.

use std::collections::BTreeMap;

use super::create;
use super::effect::{WriteCommand, WriteKind};
use super::state::{ConflictNumber, Failure, InFlight, Micros, WriteNumber};
use super::turn::Turn;
use crate::mapping::{self, FieldMapping, Pair, Side, When};
use crate::value::Value;

/// One field's value that should be written to one side.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) field: String,
    pub(super) target: Side,
    /// Canonical.
    pub(super) value: Value,
    /// The source's canonical value that both sides will have agreed on.
    pub(super) source: Value,
    pub(super) reason: String,
    pub(super) caused_at: Micros,
    pub(super) actor: Option<String>,
    pub(super) conflict: Option<ConflictNumber>,
    pub(super) decided: bool,
}

pub(super) fn flush(turn: &mut Turn<'_>) {
    let mut commands: Vec<WriteCommand> = Vec::new();
    for plan in std::mem::take(&mut turn.plans) {
        let mapping = turn.mapping;
        if let Some(field) = mapping.field(&plan.field) {
            add(turn, field, plan, &mut commands);
        }
    }
    for mut command in commands {
        let constants = turn.mapping.sides[command.side].constants.iter();
        for (column, constant) in constants.filter(|(_, constant)| constant.when == When::Always) {
            command.values.entry(column.clone()).or_insert_with(|| constant.value.clone());
        }
        create::open(turn, command);
    }
}

fn add(turn: &mut Turn<'_>, field: &FieldMapping, plan: Plan, commands: &mut Vec<WriteCommand>) {
    let target = plan.target;
    if !turn.writable(target) {
        return;
    }
    let Some(both) = turn.both(&field.name) else { return };
    let expected = both[target].value.clone();
    let lacking = field.required && plan.value.is_null();
    let written = if lacking { Err(mapping::lacking(field, target)) } else { turn.columns(field, target, &plan.value) };
    let columns = match written {
        Ok(Some(columns)) => columns,
        // The parent has no record there yet; a later event brings it.
        Ok(None) => return,
        Err(error) => {
            let values = Pair { crm: both.crm.value, erp: both.erp.value };
            let failure = Failure { target, reason: error.to_string(), at: turn.now, values };
            turn.field(&field.name).failed = Some(failure);
            turn.golden = true;
            return;
        }
    };
    let mut held = turn.columns(field, target, &expected).ok().flatten().unwrap_or_default();
    for column in columns.keys() {
        if let Some(value) = turn.state.sides[target].columns.get(column) {
            held.insert(column.clone(), value.clone());
        }
    }
    let same_cause = |command: &&mut WriteCommand| {
        command.side == target
            && command.conflict == plan.conflict
            && command.decided == plan.decided
            && command.reason == plan.reason
            && command.caused_at == plan.caused_at
            && command.actor == plan.actor
    };
    let command = match commands.iter_mut().find(same_cause) {
        Some(command) => command,
        None => {
            let number = WriteNumber(turn.state.next_write);
            turn.state.next_write += u64::from(!planted::on(planted::Bug::ReuseWriteNumber));
            commands.push(WriteCommand {
                number,
                side: target,
                kind: WriteKind::Update,
                record: turn.state.sides[target].record.clone(),
                values: BTreeMap::new(),
                expected: BTreeMap::new(),
                fields: BTreeMap::new(),
                decided: plan.decided,
                backfill: turn.backfill && !plan.decided,
                reason: plan.reason,
                caused_at: plan.caused_at,
                actor: plan.actor,
                conflict: plan.conflict,
            });
            let last = commands.len() - 1;
            &mut commands[last]
        }
    };
    for (column, value) in columns {
        let held = held.remove(&column).unwrap_or_default();
        if !planted::on(planted::Bug::ExpectNothing) {
            command.expected.insert(column.clone(), held);
        }
        command.fields.insert(column.clone(), field.name.clone());
        command.values.insert(column, value);
    }
    let write = command.number;
    let conflict = plan.conflict;
    let value = turn.predicted(field, target, &plan.value);
    turn.field(&field.name).in_flight = Some(InFlight::sent(write, target, value, plan.source, expected, conflict));
}
