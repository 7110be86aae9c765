//! Takes in what a side's stream shows: its record, values, deletion, return.

use std::collections::BTreeMap;

use super::echo::{self, Shown};
use super::event::SideChange;
use super::settle;
use super::state::{FieldState, Parent, Seen, SideState};
use super::turn::Turn;

pub(super) fn changed(turn: &mut Turn<'_>, change: &SideChange) {
    turn.backfill = change.snapshot || change.released;
    turn.state.may_create |= change.may_create;
    learn_parents(turn, &change.references);
    if change.released {
        for side in [&mut turn.state.sides.crm, &mut turn.state.sides.erp] {
            side.create_failed = None;
        }
        return;
    }
    if change.deleted { gone(turn, change) } else { values(turn, change) }
}

fn learn_parents(turn: &mut Turn<'_>, references: &BTreeMap<String, Parent>) {
    for parent in references.values().filter(|parent| !parent.entity.is_empty()) {
        let known = turn.state.references.entry(parent.entity.clone()).or_default();
        known.entity.clone_from(&parent.entity);
        for side in crate::mapping::Side::BOTH {
            if parent.records[side].is_some() {
                known.records[side].clone_from(&parent.records[side]);
            }
        }
    }
}

fn gone(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let state = &mut turn.state.sides[side];
    match &state.record {
        // The loser of a merge, or a row that the entity left earlier.
        Some(record) if *record != change.record => return,
        Some(_) => {}
        None => state.record = Some(change.record.clone()),
    }
    if state.deleted && state.deleting.is_none() {
        return;
    }
    state.deleted = true;
    state.creating = None;
    state.at = change.at;
    state.actor.clone_from(&change.actor);
    let deleting = state.deleting.take();
    turn.golden = true;
    for field in turn.state.fields.values_mut() {
        // Either it was carried out before the record went, which its answer will say, or it will be refused.
        if field.in_flight.as_ref().is_some_and(|flight| flight.target == side) {
            field.in_flight = None;
        }
        field.unseen[side] = None;
        field.ahead = field.ahead.take().filter(|ahead| ahead.side != side);
    }
    if let Some(number) = deleting {
        if let Some(open) = turn.state.writes.get_mut(&number.0) {
            open.done |= change.ours;
            open.at = change.at;
        }
        turn.conclude(number);
    }
}

fn values(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    arrive(turn, change);
    let author = echo::author(turn, change);
    let created = turn.state.sides[side].creating.take();
    for field in &turn.mapping.fields {
        let column = &field.columns[side].column;
        let value = match change.fields.get(&field.name) {
            Some(value) => value.clone(),
            None => {
                echo::passed_over(turn, field, change, author, created);
                continue;
            }
        };
        let shown = Shown {
            side,
            seen: Seen { value, at: change.at, actor: change.actor.clone() },
            column: change.columns.get(column).cloned(),
            author,
            snapshot: change.snapshot,
            ours: change.ours,
        };
        echo::shown(turn, field, shown);
    }
    keep_other_columns(turn, change);
    if let Some(number) = author {
        if let Some(open) = turn.state.writes.get_mut(&number.0) {
            open.done |= change.ours;
            open.at = change.at;
        }
        turn.conclude(number);
    }
}

/// The record as such: first seen, back from deletion, or another one than before.
fn arrive(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let state = &mut turn.state.sides[side];
    if state.record.as_ref() != Some(&change.record) {
        if state.record.is_some() {
            // A merge or a new link: what was known of the old row's columns says nothing about this one's.
            state.columns.clear();
        }
        state.record = Some(change.record.clone());
        turn.golden = true;
    }
    let state = &mut turn.state.sides[side];
    state.at = change.at;
    state.actor.clone_from(&change.actor);
    turn.state.sides[side.other()].create_failed = None;
    if turn.state.sides[side].deleted {
        undeleted(turn, change);
    }
}

fn undeleted(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    let state = &mut turn.state.sides[side];
    state.deleted = false;
    let followed = std::mem::take(&mut state.followed);
    let deletion = state.deletion.take();
    turn.golden = true;
    if let Some(number) = deletion {
        settle::withdraw(turn, number, Some(side), "the record is back");
    }
    let other = side.other();
    if followed && turn.state.sides[other].deleted {
        // We deleted its counterpart; it is made anew, and nothing known of the old one holds.
        turn.state.sides[other] = SideState::default();
        for field in turn.state.fields.values_mut() {
            let seen = std::mem::take(&mut field.seen[side]);
            *field = FieldState::default();
            field.seen[side] = seen;
        }
    }
}

/// Columns without a field: kept for audit and for deletes.
fn keep_other_columns(turn: &mut Turn<'_>, change: &SideChange) {
    let side = change.side;
    for (column, value) in &change.columns {
        let mapped = turn.mapping.fields.iter().any(|field| field.columns[side].column == *column);
        if !mapped {
            turn.state.sides[side].columns.insert(column.clone(), value.clone());
        }
    }
}
