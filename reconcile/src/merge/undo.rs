//! Takes back a write.
//!
//! | write | taken back |
//! | --- | --- |
//! | update | both sides hold again what counted as agreed before it; what that replaces is kept in a conflict record |
//! | create | the record is removed and not made again, until a person asks for it |
//! | delete | the record is made again, with what was known of it, and belongs to the same entity |
//! | archiving | the archive columns hold again what they held before |
//!
//! Somebody's edit since is not written over unless the decision says so. Writes of one field are taken back in the order in
//! which that is asked for; each waits until the one before it has arrived on both sides.

use std::collections::BTreeMap;

use super::create;
use super::decide::Done;
use super::delete;
use super::effect::{Confirmed, WriteCommand, WriteKind};
use super::event::{Demand, Verdict};
use super::restore::{self, Ready};
use super::settle;
use super::state::{Creation, EntityState, InFlight, SideState, Step, WriteNumber};
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

/// What counted as agreed before a write: the agreed pair, where the target held its part of it; otherwise what the target
/// held, for both sides. Where nothing was agreed yet, each side's own.
pub(super) fn before(agreed: Option<&Pair<Value>>, flight: &InFlight) -> Pair<Value> {
    let target = flight.target;
    match agreed {
        Some(agreed) if agreed[target] == flight.expected => agreed.clone(),
        Some(_) => super::resolve::twice(&flight.expected),
        None => {
            let mut own = super::resolve::twice(&flight.source);
            own[target] = flight.expected.clone();
            own
        }
    }
}

/// Gives waiting decisions what has become known of a write.
pub(super) fn attach(state: &mut EntityState, done: &Confirmed) {
    for verdict in &mut state.queued {
        if let Demand::Undo { write, kept } = &mut verdict.demand
            && kept.is_none()
            && *write == done.command.number
        {
            *kept = Some(Box::new(done.clone()));
        }
    }
}

pub(super) fn undone(turn: &mut Turn<'_>, verdict: &Verdict, number: WriteNumber, kept: Option<&Confirmed>) -> Done {
    if turn.state.writes.contains_key(&number.0) {
        return Done::Wait;
    }
    let Some(done) = kept else {
        return Done::Refused(
            "this write was not carried out, or is older than what is remembered of a record; restore the value from its audit entry"
                .to_owned(),
        );
    };
    match done.command.kind {
        WriteKind::Update => update(turn, verdict, done),
        WriteKind::Create => uncreate(turn, verdict, done),
        WriteKind::Delete => make_again(turn, verdict, done),
        WriteKind::Archive => {
            let side = done.command.side;
            if restore::record_is_busy(turn, side) {
                return Done::Wait;
            }
            let (at, actor) = (turn.now, Some(verdict.actor.clone()));
            if turn.state.sides[side].deleted || !delete::unarchive(turn, side, undone_by(verdict, done), at, actor, true) {
                return Done::Unchanged("the record is not archived by us any more".to_owned());
            }
            Done::accepted("the record is taken out of the archive")
        }
        WriteKind::Unarchive => Done::Refused("taking a record out of the archive is undone by deleting the other one again".to_owned()),
    }
}

fn undone_by(verdict: &Verdict, done: &Confirmed) -> String {
    format!("undone by {}: {}", verdict.actor, done.command.reason)
}

fn update(turn: &mut Turn<'_>, verdict: &Verdict, done: &Confirmed) -> Done {
    let entity = turn.mapping;
    let steps: Vec<(&FieldMapping, &Step)> = done.steps.iter().filter_map(|(name, step)| Some((entity.field(name)?, step))).collect();
    if steps.is_empty() {
        return Done::Refused("none of its fields is mapped any more, or its target never showed it".to_owned());
    }
    let mut changes = Vec::new();
    for (field, step) in steps {
        let both = match restore::ready(turn, field) {
            Ready::Now(both) => both,
            Ready::Wait => return Done::Wait,
            Ready::No(reason) => return Done::Refused(reason),
        };
        if Side::BOTH.iter().all(|side| both[*side].value == step.before[*side]) {
            continue;
        }
        let stands = |side: Side| both[side].value == step.after[side] || both[side].value == step.before[side];
        let edited: Vec<Side> = Side::BOTH.into_iter().filter(|side| !stands(*side)).collect();
        if !edited.is_empty() && !verdict.force {
            let editors = restore::editors(field, &both, &edited);
            return Done::Refused(format!("{editors}; take that back first, or force it, which keeps that edit on record only"));
        }
        if let Some(reason) = restore::leads_nowhere(turn, field, &both, &step.before) {
            return Done::Refused(reason);
        }
        changes.push((field, both, step.before.clone()));
    }
    let mut kept = None;
    for (field, both, value) in changes {
        let number = restore::put(turn, field, &both, value, undone_by(verdict, done), &verdict.actor);
        kept.get_or_insert(number);
    }
    match kept {
        Some(number) => Done::kept_in("both sides get back what they held before; what that replaces is kept", number),
        None => Done::Unchanged("both sides hold what they held before it already".to_owned()),
    }
}

/// Removes a record that we made.
fn uncreate(turn: &mut Turn<'_>, verdict: &Verdict, done: &Confirmed) -> Done {
    let side = done.command.side;
    let state = &turn.state.sides[side];
    if state.deleted || state.record.is_none() {
        return Done::Unchanged("the record is gone already".to_owned());
    }
    if state.record.as_deref() != Some(done.record.as_str()) {
        return Done::Refused("the entity has another record there by now".to_owned());
    }
    if turn.state.sides[side.other()].record.is_none() || turn.state.sides[side.other()].deleted {
        return Done::Refused("the record it was made from is gone; this one is all there is".to_owned());
    }
    if restore::record_is_busy(turn, side) {
        return Done::Wait;
    }
    let edited = turn.mapping.fields.iter().find_map(|field| {
        let seen = turn.state.fields.get(&field.name)?.seen[side].clone()?;
        let made = done.steps.get(&field.name).map_or(Value::Null, |step| step.after[side].clone());
        (seen.value != made).then(|| format!("{} was edited since {}", field.label, super::turn::whence(side, seen.actor.as_deref())))
    });
    if let Some(edit) = edited
        && !verdict.force
    {
        return Done::Refused(format!("{edit}; force it to remove the record all the same"));
    }
    settle::lost_with_record(turn, side.other(), Some(&verdict.actor), |_| true);
    let expected = delete::present(turn, side);
    let command = command(turn, verdict, done, WriteKind::Delete, BTreeMap::new(), expected);
    let number = command.number;
    let state = &mut turn.state.sides[side];
    state.deleting = Some(number);
    state.followed = true;
    state.creation = Creation::Refused;
    create::open(turn, command);
    Done::accepted("the record is removed, and not made again unless that is asked for")
}

/// Makes a record again that we deleted.
fn make_again(turn: &mut Turn<'_>, verdict: &Verdict, done: &Confirmed) -> Done {
    let side = done.command.side;
    let state = &turn.state.sides[side];
    if !state.deleted {
        return Done::Unchanged("the record is there".to_owned());
    }
    if state.record.as_deref() != Some(done.record.as_str()) {
        return Done::Refused(
            "the record was made again since, and is gone again; take that deletion back, or ask for the record to be made".to_owned(),
        );
    }
    if state.creating.is_some() || state.deleting.is_some() {
        return Done::Wait;
    }
    let mut values = BTreeMap::new();
    let mut fields = BTreeMap::new();
    let mut flights = Vec::new();
    let mapping = turn.mapping;
    for field in &mapping.fields {
        let seen = turn.state.fields.get(&field.name).and_then(|state| state.seen[side].clone());
        let Some(seen) = seen.filter(|seen| !seen.value.is_null()) else { continue };
        match turn.columns(field, side, &seen.value) {
            Ok(Some(columns)) => {
                fields.extend(columns.keys().map(|column| (column.clone(), field.name.clone())));
                values.extend(columns);
                flights.push((field, seen.value));
            }
            Ok(None) => return Done::Refused(format!("the record that {} refers to is not there", field.label)),
            Err(error) => return Done::Refused(error.to_string()),
        }
    }
    // The columns as they were, where that is known better than what the mapping would make of the values.
    for (column, (before, _)) in &done.columns {
        if let Some(value) = values.get_mut(column) {
            value.clone_from(before);
        }
    }
    for (column, constant) in &mapping.sides[side].constants {
        values.entry(column.clone()).or_insert_with(|| constant.value.clone());
    }
    let mut command = command(turn, verdict, done, WriteKind::Create, values, BTreeMap::new());
    command.fields = fields;
    command.record = None;
    let number = command.number;
    turn.state.sides[side] = SideState { creating: Some(number), ..SideState::default() };
    for (field, value) in flights {
        let state = turn.field(&field.name);
        // What both corresponded at; whatever else stands on the other side, or comes to stand there by a write that is still on
        // its way, goes across to the new record.
        let agreed = state.agreed.as_ref().filter(|agreed| agreed[side] == value).map(|agreed| agreed[side.other()].clone());
        let source = agreed.unwrap_or_else(|| value.clone());
        state.seen[side] = None;
        (state.failed, state.resolution) = (None, None);
        state.in_flight = Some(InFlight::sent(number, side, value, source, Value::Null, None));
    }
    create::open(turn, command);
    Done::accepted("the record is made again")
}

fn command(
    turn: &mut Turn<'_>,
    verdict: &Verdict,
    done: &Confirmed,
    kind: WriteKind,
    values: BTreeMap<String, Value>,
    expected: BTreeMap<String, Value>,
) -> WriteCommand {
    let number = WriteNumber(turn.state.next_write);
    turn.state.next_write += 1;
    turn.golden = true;
    WriteCommand {
        number,
        side: done.command.side,
        kind,
        record: turn.state.sides[done.command.side].record.clone(),
        values,
        expected,
        fields: BTreeMap::new(),
        decided: true,
        backfill: false,
        reason: undone_by(verdict, done),
        caused_at: turn.now,
        actor: Some(verdict.actor.clone()),
        conflict: None,
    }
}
