//! A second opinion, slow and obvious: what both sides must hold, worked out from everything that ever happened, with nothing
//! kept from one event to the next.
//!
//! An edit stands until another one replaces it: a later one on its own side, or one made on the other side after the edit
//! had come there. So at any time at most one edit stands on each side. Where nothing is on its way, the standing edits say
//! all: one alone is what both sides hold; of two, the policy takes one, and the other is on record.
//!
//! It leaves out what a target makes of a value (trims, triggers), and undos; the auditor looks at those.

use reconcile::mapping::{EntityMapping, Policy, Side};

use crate::world::{Commit, World};

/// What does not hold after an event, at rest or not.
pub(crate) fn at_any_time(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let state = &world.state;
    for (name, field) in &state.fields {
        for side in Side::BOTH {
            let ahead = field.ahead[side].is_some();
            let seen = field.seen[side].as_ref().map(|seen| &seen.value);
            let shown = world.shown.get(&(side, name.clone()));
            // A side may be forgotten with its record.
            if !ahead && seen.is_some() && seen != shown && world.systems[side].record.is_some() {
                wrong.push(format!("{name} was shown as {shown:?} in {}, and is seen as {seen:?}", side.as_str()));
            }
        }
        if let Some(flight) = &field.in_flight {
            let open = state.writes.get(&flight.write.0);
            if open.is_none_or(|open| !open.command.fields.values().any(|field| field == name)) {
                wrong.push(format!("{name} is in flight, but its write is not open"));
            }
        }
        if field.held_by.is_some_and(|number| world.conflicts.get(&number.0).is_none_or(|record| record.settled.is_some())) {
            wrong.push(format!("{name} is held, but its conflict is not open"));
        }
        let there = Side::BOTH.iter().all(|side| {
            let side = &state.sides[*side];
            side.record.is_some() && !side.deleted && side.deleting.is_none() && side.creating.is_none() && side.owed.is_none()
        });
        let waits = Side::BOTH.iter().any(|side| field.owed[*side].is_some()) || field.failed.is_some() || field.in_flight.is_some();
        let (Some(crm), Some(erp)) = (&field.seen.crm, &field.seen.erp) else { continue };
        let agreed = field.agreed.as_ref().is_some_and(|agreed| agreed.crm == crm.value && agreed.erp == erp.value);
        if there && !waits && field.held_by.is_none() && !agreed {
            wrong.push(format!("{name} differs, and nothing is done about it"));
        }
    }
    wrong
}

/// What does not hold where nothing is on its way.
pub(crate) fn at_rest(mapping: &EntityMapping, world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    if Side::BOTH.iter().any(|side| world.systems[*side].record.is_none()) || !world.deletions.is_empty() {
        return wrong;
    }
    for field in &mapping.fields {
        let held = world.state.fields.get(&field.name).is_some_and(|field| field.held_by.is_some() || field.failed.is_some());
        let decided = world.conflicts.values().any(|record| record.settled.as_ref().is_some_and(|settled| settled.by.is_some()));
        if held || decided {
            continue;
        }
        let standing = Side::BOTH.map(|side| standing(world, &field.name, side));
        let values = Side::BOTH.map(|side| world.value(side, &field.name));
        let expected = match standing {
            [None, None] => continue,
            [Some(edit), None] | [None, Some(edit)] => edit.value.clone(),
            [Some(crm), Some(erp)] => {
                let (winner, loser) = settled(mapping, field.policy, crm, erp);
                let recorded =
                    world.conflicts.values().any(|record| record.field == field.name && record.values[loser.side].value == loser.value);
                if winner.value != loser.value && !recorded {
                    wrong.push(format!("{} of {} lost against {}, and no record says so", loser.value, field.name, winner.value));
                }
                winner.value.clone()
            }
        };
        if values.iter().any(|value| *value != expected) {
            wrong.push(format!("{} is {} and {}, and should be {expected}", field.name, values[0], values[1]));
        }
    }
    wrong
}

/// The edit that stands on a side: its last one, unless one made across after the edit had come there replaced it.
fn standing<'a>(world: &'a World, field: &str, side: Side) -> Option<&'a Commit> {
    let edits = || world.history.iter().enumerate().filter(|(_, commit)| commit.field == field && commit.write.is_none());
    let (at, edit) = edits().rfind(|(_, commit)| commit.side == side)?;
    let arrived = world.history.iter().enumerate().find(|(index, commit)| {
        *index > at && commit.field == field && commit.side != side && commit.write.is_some() && commit.value == edit.value
    });
    let replaced = arrived.is_some_and(|(arrived, _)| edits().any(|(index, commit)| commit.side != side && index > arrived));
    (!replaced).then_some(edit)
}

/// Which of two edits wins, and which one loses.
fn settled<'a>(mapping: &EntityMapping, policy: Policy, crm: &'a Commit, erp: &'a Commit) -> (&'a Commit, &'a Commit) {
    let apart = crm.at - erp.at;
    let side = match policy {
        Policy::Crm => Side::Crm,
        Policy::Erp => Side::Erp,
        Policy::LastWrite | Policy::Review if apart == 0 || apart.abs() < mapping.skew_us => mapping.tie,
        Policy::LastWrite | Policy::Review if apart > 0 => Side::Crm,
        Policy::LastWrite | Policy::Review => Side::Erp,
    };
    if side == Side::Crm { (crm, erp) } else { (erp, crm) }
}
