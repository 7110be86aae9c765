//! A second opinion, slow and obvious: what both sides must hold, worked out from everything that ever happened, with nothing
//! kept from one event to the next.
//!
//! An edit stands until another one replaces it: a later one on its own side, or one made on the other side after the edit
//! had come there. So at any time at most one edit stands on each side. Where nothing is on its way, the standing edits say
//! all: one alone is what both sides hold, the other one as it makes it; of two, the policy takes one, and the other is on
//! record. A trigger edits like anybody else. What a person decided, knowing all that stood, holds until somebody edits.
//!
//! Where one record is gone, the other one holds what stood there, and follows as the delete policy says.
//!
//! It says nothing of one-way fields but that they are not written against their way. A rule that asks a person is taken to
//! hold always.
//!
//! It does not say which of two wins where a person decided while something was on its way, nor where our write had replaced
//! an edit before anybody could know of it and the field was busy with something else by then; the loser is on record, which
//! the auditor looks at too.

use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, Direction, EntityMapping, Policy, Side};
use reconcile::merge::RECORD;

use crate::facts::{self, Decision, Edit, Facts, Stands};
use crate::world::World;

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
    if state.writes.keys().any(|number| *number >= state.next_write) {
        wrong.push("the number of a write may be given again".to_owned());
    }
    for (number, record) in &state.conflicts {
        if world.conflicts.get(number) != Some(record) {
            wrong.push(format!("the open conflict {number} is not the one on record"));
        }
        if record.settled.is_some() {
            wrong.push(format!("the conflict {number} is settled, and open"));
        }
        let field = state.fields.get(&record.field);
        let holds = field.is_some_and(|field| {
            let opening = field.resolution.as_ref().filter(|resolution| resolution.reopens).map(|resolution| resolution.conflict);
            [field.held_by, opening].contains(&Some(record.number))
        });
        if record.field != RECORD && !holds {
            wrong.push(format!("the conflict {number} is open, and does not hold its field"));
        }
    }
    for (number, record) in world.conflicts.iter() {
        if record.settled.is_none() && !state.conflicts.contains_key(number) {
            wrong.push(format!("the conflict {number} is on record as open, and nobody knows of it"));
        }
    }
    wrong
}

/// What does not hold where nothing is on its way.
pub(crate) fn at_rest(mapping: &EntityMapping, world: &World) -> Vec<String> {
    by_facts(mapping, world, &facts::of(world))
}

/// The same, with the facts at hand.
pub(crate) fn by_facts(mapping: &EntityMapping, world: &World, facts: &Facts) -> Vec<String> {
    let mut wrong = records(mapping, world, facts);
    for (name, stands) in &facts.fields {
        let Some(field) = mapping.field(name) else { continue };
        if field.direction != Direction::Both || world.state.fields.get(name).is_some_and(|field| field.failed.is_some()) {
            continue;
        }
        let policy = if field.review_when.is_some() { Policy::Review } else { field.policy };
        let there = Side::BOTH.map(|side| world.systems[side].record.is_some());
        match there {
            [true, true] => both(mapping, policy, world, name, stands, &mut wrong),
            [false, false] => {}
            [crm, _] => alone(world, name, stands, if crm { Side::Crm } else { Side::Erp }, &mut wrong),
        }
    }
    wrong
}

/// P4: what was written where its field never travels to.
pub(crate) fn strayed(mapping: &EntityMapping, world: &World) -> Vec<String> {
    let allowed = |side: Side, name: &str| mapping.field(name).is_none_or(|field| field.direction.allows(side));
    let written = world.past.history.iter().filter(|commit| commit.write.is_some() && commit.asked);
    let strayed = written.filter(|commit| !allowed(commit.side, &commit.field));
    strayed.map(|commit| format!("P4: {} was written to {} in {}", commit.value, commit.field, commit.side.as_str())).collect()
}

/// Which side has a record.
fn records(mapping: &EntityMapping, world: &World, facts: &Facts) -> Vec<String> {
    let mut wrong = Vec::new();
    let there = |side: Side| world.systems[side].record.is_some();
    for side in Side::BOTH {
        let other = side.other();
        if facts.deleted[side] {
            if there(side) {
                wrong.push(format!("the record was deleted in {} and is there", side.as_str()));
            }
            if facts.deleted[other] {
                continue;
            }
            let decided = facts.about_record.contains(&Some((Some(side), true)));
            let stands = facts.fields.iter().any(|(_, stands)| stands.edits[other].is_some() || stands.decision != Decision::None);
            let may_go = decided || mapping.delete[other] == DeletePolicy::Delete;
            let may_stay = match mapping.delete[other] {
                DeletePolicy::Ignore => true,
                DeletePolicy::Ask | DeletePolicy::Archive => !facts.about_record.is_empty(),
                DeletePolicy::Delete => !facts.about_record.is_empty() && stands,
            };
            if !there(other) && !may_go {
                wrong.push(format!("the record in {} is gone, and nobody wanted that", other.as_str()));
            }
            if there(other) && (!may_stay || decided && facts.about_record.len() == 1) {
                wrong.push(format!("the record in {} is there, and should have followed", other.as_str()));
            }
        } else if !there(side) && !facts.deleted[other] && there(other) && mapping.create[side] == CreatePolicy::Auto {
            wrong.push(format!("there is no record in {}", side.as_str()));
        }
    }
    wrong
}

/// Both records are there.
fn both(mapping: &EntityMapping, policy: Policy, world: &World, name: &str, stands: &Stands, wrong: &mut Vec<String>) {
    let held = world.state.fields.get(name).and_then(|field| field.held_by);
    let values = Side::BOTH.map(|side| world.value(side, name));
    let made = |side: Side, value: &Value| [value, &world.as_cut(side, value)].contains(&&world.value(side, name));
    // Where nothing is checked at commit, our write may have replaced the edit, and its value was put back like any other.
    let own = |side: Side, value: &Value| world.value(side, name) == *value || world.systems[side].manner.racy && made(side, value);
    let hold = |side: Side, value: &Value| own(side, value) && made(side.other(), value);
    let is = |value: &Value| Side::BOTH.into_iter().all(|side| made(side, value));
    let [crm, erp] = Side::BOTH.map(|side| stands.edits[side].as_ref());
    if let Some(number) = held {
        let Some(record) = world.conflicts.get(&number.0) else { return };
        if policy != Policy::Review && stands.decision == Decision::None {
            wrong.push(format!("{name} is held, and no policy says so"));
        }
        for side in Side::BOTH {
            let shown = &record.values[side].value;
            let edit = stands.edits[side].as_ref().filter(|_| stands.decision == Decision::None);
            if edit.is_some_and(|edit| edit.value != *shown) {
                wrong.push(format!("{name} is held, and the conflict does not show {:?} of {}", edit, side.as_str()));
            }
        }
        return;
    }
    match (&stands.decision, crm, erp) {
        (Decision::Unclear, ..) | (Decision::None, None, None) => {}
        (Decision::Hold(decided), None, None) => {
            let own = Side::BOTH.into_iter().all(|side| {
                let held = world.value(side, name);
                held == decided[side] || held == world.as_cut(side, &decided[side])
            });
            if !own {
                wrong.push(format!("{name} is {} and {}, and {decided:?} was decided", values[0], values[1]));
            }
        }
        (Decision::Hold(decided), crm, erp) => {
            let known = crm.into_iter().chain(erp).map(|edit| &edit.value).chain([&decided.crm, &decided.erp]);
            if !known.into_iter().any(is) {
                wrong.push(format!("{name} is {} and {}, which nobody put in or decided", values[0], values[1]));
            }
        }
        (Decision::None, Some(edit), None) => {
            if !hold(Side::Crm, &edit.value) {
                wrong.push(format!("{name} is {} and {}, and should be {}", values[0], values[1], edit.value));
            }
        }
        (Decision::None, None, Some(edit)) => {
            if !hold(Side::Erp, &edit.value) {
                wrong.push(format!("{name} is {} and {}, and should be {}", values[0], values[1], edit.value));
            }
        }
        (Decision::None, Some(crm), Some(erp)) => {
            let winner = settled(mapping, policy, crm, erp);
            let stood = |winner: Side| {
                let (won, lost) = (stands.edits[winner].as_ref(), stands.edits[winner.other()].as_ref());
                let (Some(won), Some(lost)) = (won, lost) else { return false };
                is(&won.value) && (won.value == lost.value || stands.recorded[winner.other()])
            };
            // Replaced by our write, and the field was busy when that was found: it may have lost against the policy.
            let early = Side::BOTH.into_iter().any(|side| stands.overtaken[side]);
            let right = match winner {
                Some(side) => stood(side) || early && stood(side.other()),
                None => early && Side::BOTH.into_iter().any(stood),
            };
            if !right && crm.value != erp.value {
                let policy = policy.as_str();
                wrong.push(format!("{name} is {} and {} after {crm:?} and {erp:?} by {policy}: {stands:?}", values[0], values[1]));
            }
        }
    }
}

/// One record is there; the other one is gone.
fn alone(world: &World, name: &str, stands: &Stands, kept: Side, wrong: &mut Vec<String>) {
    if stands.decision != Decision::None {
        return;
    }
    let value = world.value(kept, name);
    let here = stands.edits[kept].as_ref();
    let there = stands.edits[kept.other()].as_ref();
    let came = there.is_some_and(|edit| edit.arrived && world.as_cut(kept, &edit.value) == value);
    let own = |edit: &Edit| edit.value == value || world.systems[kept].manner.racy && world.as_cut(kept, &edit.value) == value;
    let right = match here {
        None => there.is_none_or(|edit| !edit.arrived) || came,
        // It may have lost against an edit that stood on the other side before the last one there.
        Some(edit) => own(edit) || stands.recorded[kept],
    };
    if !right {
        wrong.push(format!("{name} is {value} where the record is left, after {stands:?}"));
    }
}

/// Which side's edit wins; none when a person is to say so.
fn settled(mapping: &EntityMapping, policy: Policy, crm: &Edit, erp: &Edit) -> Option<Side> {
    let apart = crm.at - erp.at;
    match policy {
        Policy::Crm => Some(Side::Crm),
        Policy::Erp => Some(Side::Erp),
        Policy::Review => None,
        Policy::LastWrite if apart == 0 || apart.abs() < mapping.skew_us => Some(mapping.tie),
        Policy::LastWrite if apart > 0 => Some(Side::Crm),
        Policy::LastWrite => Some(Side::Erp),
    }
}
