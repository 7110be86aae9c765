//! What must hold at rest, computed the slow and obvious way from everything that was ever committed on either side.

use reconcile::Value;
use reconcile::mapping::Side;

use crate::facts::{self, Facts};
use crate::world::World;

/// What is wrong with a world at rest: P1, P2, P4.
pub(crate) fn at_rest(world: &World) -> Vec<String> {
    by_facts(world, &facts::of(world))
}

/// The same, with the facts at hand.
pub(crate) fn by_facts(world: &World, facts: &Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    for field in ["name", "phone"] {
        agreement(world, facts, field, &mut wrong);
    }
    for (side, field, value, recorded) in &facts.owing {
        accounted(world, *side, field, value, *recorded, &mut wrong);
    }
    for (name, state) in &world.state.fields {
        if state.in_flight.is_some() {
            wrong.push(format!("{name} is in flight though nothing is on its way"));
        }
    }
    if world.state.fields.values().all(|field| field.failed.is_none()) && !world.state.writes.is_empty() {
        wrong.push("a write is open though nothing is on its way".to_owned());
    }
    if !world.state.queued.is_empty() {
        wrong.push("a decision waits though nothing is on its way".to_owned());
    }
    wrong
}

/// P2: both sides hold what corresponds, and the state knows what they hold.
fn agreement(world: &World, facts: &Facts, field: &str, wrong: &mut Vec<String>) {
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
    let apart = facts.kept_apart.contains(&(field.to_owned(), crm.clone(), erp.clone()));
    if crm != erp && world.as_cut(Side::Erp, &crm) != erp && world.as_cut(Side::Crm, &erp) != crm && !apart {
        wrong.push(format!("P2: {field} is {crm} in the CRM and {erp} in the ERP"));
    }
}

/// P1: an edit ended as the value of both sides, was replaced on its own side, had been carried across, or is on record.
fn accounted(world: &World, side: Side, field: &str, value: &Value, recorded: bool, wrong: &mut Vec<String>) {
    let other = side.other();
    let here = world.value(side, field) == *value;
    let gone = Side::BOTH.iter().any(|side| world.systems[*side].record.is_none());
    let failed = world.state.fields.get(field).is_some_and(|field| field.failed.is_some() || field.held_by.is_some());
    if !(recorded || (here && (gone || failed || world.value(other, field) == world.as_cut(other, value)))) {
        wrong.push(format!("P1: {value} of {field} in {} is lost", side.as_str()));
    }
}

/// P4: no value is written twice to one side. Holds when every edit has a value of its own.
pub(crate) fn no_loop(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for (index, commit) in world.past.history.iter().enumerate() {
        let again = |earlier: &&crate::world::Commit| {
            earlier.write.is_some() && earlier.side == commit.side && earlier.field == commit.field && earlier.value == commit.value
        };
        if commit.write.is_some() && world.past.history.iter().take(index).any(|earlier| again(&earlier)) {
            wrong.push(format!("P4: {} was written to {} twice", commit.value, commit.side.as_str()));
        }
    }
    for (index, (side, field, value, _)) in world.past.carried.iter().enumerate() {
        if world.past.carried.iter().take(index).any(|earlier| (&earlier.0, &earlier.1, &earlier.2) == (side, field, value)) {
            wrong.push(format!("P4: {} was asked to take {value} for {field} twice", side.as_str()));
        }
    }
    for side in Side::BOTH {
        if world.systems[side].made > 1 {
            wrong.push(format!("P3: {} records were made in {}", world.systems[side].made, side.as_str()));
        }
    }
    wrong
}
