//! The table of the three-way merge: who changed since both agreed, and what follows.

use super::delete;
use super::echo;
use super::former;
use super::resolve;
use super::send::Plan;
use super::settle;
use super::state::Seen;
use super::turn::{Turn, whence};
use crate::mapping::{Drift, FieldMapping, Pair, Side};

/// Decides for one field, when nothing is in flight for it.
///
/// While a refusal has told of an edit that its stream has yet to show, nothing is decided: the stream may show older
/// edits first, and only it knows when and by whom they were made.
pub(super) fn evaluate(turn: &mut Turn<'_>, field: &FieldMapping) {
    let Some(state) = turn.state.fields.get(&field.name) else { return };
    if state.in_flight.is_some() && !planted::on(planted::Bug::WriteWhileInFlight) {
        return;
    }
    let Some(both) = turn.both(&field.name) else { return };
    if Side::BOTH.iter().any(|side| turn.state.sides[*side].record.is_none() || turn.state.sides[*side].creating.is_some()) {
        return;
    }
    if Side::BOTH.iter().any(|side| delete::goes(turn, *side)) {
        return;
    }
    if let Some(failure) = &state.failed {
        let same = Side::BOTH.iter().all(|side| failure.values[*side] == both[*side].value);
        if same {
            return;
        }
        turn.field(&field.name).failed = None;
    }
    let Some(state) = turn.state.fields.get(&field.name) else { return };
    if state.waits() {
        return;
    }
    if state.held_by.is_some() && settle::still_held(turn, field) && !planted::on(planted::Bug::WriteWhileHeld) {
        return;
    }
    if turn.state.fields.get(&field.name).is_some_and(|state| state.resolution.is_some()) && resolve::carry_out(turn, field) {
        return;
    }
    let agreed = turn.state.fields.get(&field.name).and_then(|state| state.agreed.clone());
    let Some(agreed) = agreed.or_else(|| former::agreed(turn, field)) else {
        first_contact(turn, field, &both);
        return;
    };
    let crm = both.crm.value != agreed.crm;
    let erp = both.erp.value != agreed.erp;
    match (crm, erp) {
        (false, false) => {}
        _ if corresponds(turn, field, &both, &agreed) => agree(turn, field, &both),
        (true, false) => carry(turn, field, Side::Crm, &both),
        (false, true) => carry(turn, field, Side::Erp, &both),
        (true, true) => settle::conflict(turn, field, &both, &agreed, None),
    }
}

/// Both sides hold the same: the same canonical value, or what writing the changed side's value would make of it.
fn corresponds(turn: &Turn<'_>, field: &FieldMapping, both: &Pair<Seen>, agreed: &Pair<crate::Value>) -> bool {
    if both.crm.value == both.erp.value {
        return true;
    }
    Side::BOTH.iter().any(|target| {
        let source = target.other();
        both[source].value != agreed[source]
            && field.direction.allows(*target)
            && (turn.predicted(field, *target, &both[source].value) == both[*target].value
                || holds(turn, field, *target, &both[source].value))
    })
}

/// The side's own columns already hold what would be written: another mapping may read both sides otherwise, one after the other.
/// Not of a reference: the record that stood for it may have gone to another entity, which is what its side means then.
fn holds(turn: &Turn<'_>, field: &FieldMapping, side: Side, value: &crate::Value) -> bool {
    if !echo::versions(field) {
        return false;
    }
    let there = &turn.state.sides[side].columns;
    let written = turn.columns(field, side, value).ok().flatten();
    written.is_some_and(|columns| !columns.is_empty() && columns.iter().all(|(column, value)| there.get(column) == Some(value)))
}

pub(super) fn agree(turn: &mut Turn<'_>, field: &FieldMapping, both: &Pair<Seen>) {
    let state = turn.field(&field.name);
    state.agreed = Some(Pair { crm: both.crm.value.clone(), erp: both.erp.value.clone() });
    state.failed = None;
    turn.golden = true;
}

/// One side changed.
fn carry(turn: &mut Turn<'_>, field: &FieldMapping, source: Side, both: &Pair<Seen>) {
    let target = source.other();
    if !field.direction.allows(target) && !planted::on(planted::Bug::IgnoreDirection) {
        drift(turn, field, source, both);
        return;
    }
    let edit = &both[source];
    turn.plans.push(Plan {
        field: field.name.clone(),
        target,
        value: edit.value.clone(),
        source: edit.value.clone(),
        reason: format!("edited {}", whence(source, edit.actor.as_deref())),
        caused_at: edit.at,
        actor: edit.actor.clone(),
        conflict: None,
        decided: false,
    });
}

/// A value was put where this field never travels from.
fn drift(turn: &mut Turn<'_>, field: &FieldMapping, side: Side, both: &Pair<Seen>) {
    match field.drift {
        Drift::Keep => {}
        Drift::Reassert => settle::reassert(turn, field, side, both),
        Drift::Report => {
            settle::report_drift(turn, field, side, both);
            let value = both[side].value.clone();
            if let Some(agreed) = &mut turn.field(&field.name).agreed {
                agreed[side] = value;
            }
        }
    }
}

/// Two existing records meet. Equal fields agree at once; an empty one is filled; the others are settled by the initial policy
/// once both first copies are done.
fn first_contact(turn: &mut Turn<'_>, field: &FieldMapping, both: &Pair<Seen>) {
    if both.crm.value == both.erp.value || planted::on(planted::Bug::AgreeAtFirst) {
        agree(turn, field, both);
        return;
    }
    if !turn.state.may_create || Side::BOTH.iter().any(|side| turn.state.sides[*side].deleted) {
        return;
    }
    for target in Side::BOTH {
        let source = target.other();
        if !field.direction.allows(target) {
            continue;
        }
        if both[target].value.is_null() {
            carry(turn, field, source, both);
            return;
        }
        if !both[source].value.is_null() && turn.predicted(field, target, &both[source].value) == both[target].value {
            agree(turn, field, both);
            return;
        }
    }
    settle::conflict(turn, field, both, &Pair::default(), Some(turn.mapping.first_contact));
}
