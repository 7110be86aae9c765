//! What must hold at rest, computed the slow and obvious way from everything that was ever committed on either side.

use reconcile::Value;
use reconcile::mapping::Side;

use crate::world::{Commit, World};

/// What is wrong with a world at rest: P1, P2, P4.
pub(crate) fn at_rest(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for field in ["name", "phone"] {
        agreement(world, field, &mut wrong);
        for (index, commit) in world.history.iter().enumerate() {
            if commit.field == field && commit.write.is_none() {
                accounted(world, index, commit, &mut wrong);
            }
        }
    }
    for (name, state) in &world.state.fields {
        if state.in_flight.is_some() {
            wrong.push(format!("{name} is in flight though nothing is on its way"));
        }
    }
    if world.state.fields.values().all(|field| field.failed.is_none()) && !world.state.writes.is_empty() {
        wrong.push("a write is open though nothing is on its way".to_owned());
    }
    wrong
}

/// P2: both sides hold what corresponds, and the state knows what they hold.
fn agreement(world: &World, field: &str, wrong: &mut Vec<String>) {
    if Side::BOTH.iter().any(|side| world.systems[*side].record.is_none()) {
        return;
    }
    let Some(state) = world.state.fields.get(field) else { return };
    for side in Side::BOTH {
        let actual = world.value(side, field);
        if state.seen[side].as_ref().map(|seen| &seen.value) != Some(&actual) {
            wrong.push(format!("P2: {field} holds {actual} in {} but is seen as {:?}", side.as_str(), state.seen[side]));
        }
    }
    if state.held_by.is_some() || state.failed.is_some() {
        return;
    }
    let (crm, erp) = (world.value(Side::Crm, field), world.value(Side::Erp, field));
    let cut = |value: &Value, side: Side| match (value, world.systems[side].manner.cut) {
        (Value::Text(text), Some(cut)) => Value::Text(text.chars().take(cut).collect()),
        _ => value.clone(),
    };
    if crm != erp && cut(&crm, Side::Erp) != erp && cut(&erp, Side::Crm) != crm {
        wrong.push(format!("P2: {field} is {crm} in the CRM and {erp} in the ERP"));
    }
}

/// P1: an edit ended as the value of both sides, was replaced on its own side, had been carried across, or is on record.
fn accounted(world: &World, index: usize, edit: &Commit, wrong: &mut Vec<String>) {
    let here = world.value(edit.side, &edit.field) == edit.value;
    let other = edit.side.other();
    let same = |commit: &Commit, side: Side| commit.side == side && commit.field == edit.field;
    let later = || world.history.iter().skip(index + 1);
    let deleted = world.deletions.iter().any(|(side, at)| *side == edit.side && *at > index);
    let replaced = deleted || later().any(|commit| same(commit, edit.side) && (commit.write.is_none() || !commit.asked));
    let cut = |value: &Value| match (value, world.systems[other].manner.cut) {
        (Value::Text(text), Some(cut)) => Value::Text(text.chars().take(cut).collect()),
        _ => value.clone(),
    };
    let carried = later().any(|commit| same(commit, other) && (commit.value == edit.value || commit.value == cut(&edit.value)));
    let carried = carried
        || world
            .carried
            .iter()
            .any(|(side, field, value, at)| *side == other && *field == edit.field && *value == edit.value && *at > index);
    let stood = world.history.iter().take(index).any(|commit| same(commit, other) && commit.value == edit.value);
    let recorded = world.conflicts.values().any(|record| {
        record.field == edit.field
            && (record.values[edit.side].value == edit.value || record.settled.as_ref().is_some_and(|settled| settled.chosen == edit.value))
    });
    let gone = Side::BOTH.iter().any(|side| world.systems[*side].record.is_none());
    let failed = world.state.fields.get(&edit.field).is_some_and(|field| field.failed.is_some() || field.held_by.is_some());
    if !(replaced || carried || recorded || stood || (here && (gone || failed || world.value(other, &edit.field) == cut(&edit.value)))) {
        wrong.push(format!("P1: {} of {} in {} is lost", edit.value, edit.field, edit.side.as_str()));
    }
}

/// P4: no value is written twice to one side. Holds when every edit has a value of its own.
pub(crate) fn no_loop(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, commit) in world.history.iter().enumerate() {
        let again = |earlier: &&Commit| {
            earlier.write.is_some() && earlier.side == commit.side && earlier.field == commit.field && earlier.value == commit.value
        };
        if commit.write.is_some() && world.history.iter().take(index).any(|earlier| again(&earlier)) {
            wrong.push(format!("P4: {} was written to {} twice", commit.value, commit.side.as_str()));
        }
    }
    for side in Side::BOTH {
        if world.systems[side].made > 1 {
            wrong.push(format!("P3: {} records were made in {}", world.systems[side].made, side.as_str()));
        }
    }
    wrong
}
