//! What follows when one side's record is deleted, or comes back.
//!
//! `archive` without archive columns asks a person: nothing is deleted because somebody forgot a line of configuration.

use std::collections::BTreeMap;

use super::create;
use super::effect::{WriteCommand, WriteKind};
use super::settle;
use super::state::{Micros, Owed, WriteNumber};
use super::turn::{Turn, whence};
use crate::mapping::{DeletePolicy, Policy, Side};
use crate::value::Value;

pub(super) fn evaluate(turn: &mut Turn<'_>) {
    for deleted in Side::BOTH {
        let other = deleted.other();
        let gone = &turn.state.sides[deleted];
        let there = &turn.state.sides[other];
        let open = gone.deleted && !gone.followed && (gone.deletion.is_none() || gone.follow.is_some());
        let ready = there.record.is_some() && !there.deleted && there.deleting.is_none() && there.creating.is_none();
        if open && ready && there.owed.is_none() && !flying(turn, other) {
            decide(turn, deleted);
        }
    }
    for side in Side::BOTH {
        let (here, back) = (&turn.state.sides[side], &turn.state.sides[side.other()]);
        if here.archived.is_some()
            && !here.deleted
            && here.deleting.is_none()
            && here.owed.is_none()
            && back.record.is_some()
            && !back.deleted
        {
            let reason = format!("the other record is back {}", whence(side.other(), back.actor.as_deref()));
            let (at, actor) = (back.at, back.actor.clone());
            unarchive(turn, side, reason, at, actor, false);
        }
    }
}

/// A write to a side is on its way.
pub(super) fn flying(turn: &Turn<'_>, side: Side) -> bool {
    turn.state.fields.values().any(|field| field.in_flight.as_ref().is_some_and(|flight| flight.target == side))
}

/// A side's record is being deleted by us: nothing is carried there or away from it until it is known whether it stays.
pub(super) fn goes(turn: &Turn<'_>, side: Side) -> bool {
    let write = turn.state.sides[side].deleting.and_then(|number| turn.state.writes.get(&number.0));
    write.is_some_and(|open| open.command.kind == WriteKind::Delete)
}

/// Our delete of a side's record, or its archiving, was answered as done.
pub(super) fn is_done(turn: &Turn<'_>, side: Side) -> bool {
    let number = turn.state.sides[side].deleting;
    number.and_then(|number| turn.state.writes.get(&number.0)).is_some_and(|open| open.done)
}

fn decide(turn: &mut Turn<'_>, deleted: Side) {
    let other = deleted.other();
    let gone = whence(deleted, turn.state.sides[deleted].actor.as_deref());
    if turn.state.sides[deleted].follow.is_some() {
        follow(turn, deleted);
        return;
    }
    let policy = policy(turn, other);
    if let Some(edit) = edited(turn, other) {
        let reason = format!("deleted {gone}, while {edit}");
        let ask = policy == DeletePolicy::Ask;
        settle::deletion(turn, deleted, "edited", if ask { Policy::Review } else { stays(other) }, reason, ask);
        return;
    }
    match policy {
        DeletePolicy::Ignore => {}
        DeletePolicy::Ask => settle::deletion(turn, deleted, "present", Policy::Review, format!("deleted {gone}"), true),
        DeletePolicy::Archive | DeletePolicy::Delete => follow(turn, deleted),
    }
}

const fn stays(side: Side) -> Policy {
    match side {
        Side::Crm => Policy::Crm,
        Side::Erp => Policy::Erp,
    }
}

fn policy(turn: &Turn<'_>, target: Side) -> DeletePolicy {
    match turn.mapping.delete[target] {
        DeletePolicy::Archive if turn.mapping.sides[target].archive.is_empty() => DeletePolicy::Ask,
        policy => policy,
    }
}

/// A field of the side that was not carried across, in words: it changed since both agreed, or both never did and differ.
fn edited(turn: &Turn<'_>, side: Side) -> Option<String> {
    turn.mapping.fields.iter().filter(|field| field.direction.allows(side.other())).find_map(|field| {
        let state = turn.state.fields.get(&field.name)?;
        let seen = state.seen[side].as_ref()?;
        let changed = match &state.agreed {
            Some(agreed) => seen.value != agreed[side],
            None => !seen.value.is_null() && state.seen[side.other()].as_ref().is_none_or(|other| other.value != seen.value),
        };
        changed.then(|| format!("{} was edited {}", field.label, whence(side, seen.actor.as_deref())))
    })
}

/// Archives or deletes the other side's record, expecting it as it was last seen.
fn follow(turn: &mut Turn<'_>, deleted: Side) {
    let target = deleted.other();
    let state = &turn.state.sides[deleted];
    let (caused_at, gone_by, person) = (state.at, state.actor.clone(), state.follow.clone());
    let conflict = state.deletion.filter(|_| person.is_some());
    let archive = &turn.mapping.sides[target].archive;
    let archives = person.is_none() && turn.mapping.delete[target] == DeletePolicy::Archive && !archive.is_empty();
    let columns = &turn.state.sides[target].columns;
    let known = |column: &str| Some((column.to_owned(), columns.get(column)?.clone()));
    let (kind, values, expected): (_, _, BTreeMap<String, Value>) = if archives {
        (WriteKind::Archive, archive.clone(), archive.keys().filter_map(|column| known(column)).collect())
    } else {
        (WriteKind::Delete, BTreeMap::new(), present(turn, target))
    };
    if archives {
        turn.state.sides[target].archived = Some(expected.clone());
    } else {
        settle::lost_with_record(turn, deleted, person.as_deref(), |_| true);
    }
    let mut reason = format!("deleted {}", whence(deleted, gone_by.as_deref()));
    if let Some(person) = &person {
        reason.push_str("; decided by ");
        reason.push_str(person);
    }
    let number = WriteNumber(turn.state.next_write);
    turn.state.next_write += 1;
    let command = WriteCommand {
        number,
        side: target,
        kind,
        record: turn.state.sides[target].record.clone(),
        values,
        expected,
        fields: BTreeMap::new(),
        decided: person.is_some(),
        backfill: turn.backfill && person.is_none(),
        reason,
        caused_at,
        actor: person.or(gone_by),
        conflict,
    };
    turn.state.sides[target].deleting = Some(number);
    turn.state.sides[deleted].followed = true;
    create::open(turn, command);
}

/// The mapped columns of a side's record as they were last seen.
pub(super) fn present(turn: &Turn<'_>, side: Side) -> BTreeMap<String, Value> {
    let columns = &turn.state.sides[side].columns;
    let mapped = turn.mapping.fields.iter().flat_map(|field| field.columns[side].names());
    mapped.filter_map(|column| Some((column.to_owned(), columns.get(column)?.clone()))).collect()
}

/// Gives a record that we archived the values back that its archive columns held. False when there is nothing to give back.
pub(super) fn unarchive(turn: &mut Turn<'_>, side: Side, reason: String, caused_at: Micros, actor: Option<String>, decided: bool) -> bool {
    let Some(values) = turn.state.sides[side].archived.take().filter(|values| !values.is_empty()) else { return false };
    let archive = &turn.mapping.sides[side].archive;
    let columns = &turn.state.sides[side].columns;
    let expected = values.keys().filter_map(|column| {
        let set = archive.get(column).or_else(|| columns.get(column))?;
        Some((column.clone(), set.clone()))
    });
    let number = WriteNumber(turn.state.next_write);
    let command = WriteCommand {
        number,
        side,
        kind: WriteKind::Unarchive,
        record: turn.state.sides[side].record.clone(),
        expected: expected.collect(),
        values,
        fields: BTreeMap::new(),
        decided,
        backfill: turn.backfill && !decided,
        reason,
        caused_at,
        actor,
        conflict: None,
    };
    turn.state.next_write += 1;
    turn.state.sides[side].deleting = Some(number);
    create::open(turn, command);
    true
}

/// A record could not be archived because it was gone; should it come back, that is decided again.
pub(super) fn not_archived(turn: &mut Turn<'_>, command: &WriteCommand) {
    if command.kind == WriteKind::Archive {
        turn.state.sides[command.side].archived = None;
        let gone = &mut turn.state.sides[command.side.other()];
        gone.followed &= !gone.deleted;
    }
}

/// A write about a whole record was refused, with what was found or why.
pub(super) fn not_done(turn: &mut Turn<'_>, command: &WriteCommand, found: Option<&BTreeMap<String, Value>>, reason: &str) {
    let (side, other) = (command.side, command.side.other());
    let changed = found.is_some_and(|found| found.iter().any(|(column, value)| command.expected.get(column) != Some(value)));
    let since = turn.now;
    let there = &mut turn.state.sides[side];
    let gone_on = command.expected.iter().any(|(column, value)| there.columns.get(column) != Some(value));
    if changed && !gone_on {
        // The stream has yet to show by whom.
        there.owed = Some(Owed { since, gone: false });
    }
    match command.kind {
        WriteKind::Archive => turn.state.sides[side].archived = None,
        // Somebody changed the archive columns, and that stands.
        WriteKind::Unarchive => {
            settle::remark(turn, side, format!("the record could not be taken out of the archive: {reason}"));
            return;
        }
        WriteKind::Update | WriteKind::Create | WriteKind::Delete => {}
    }
    if !turn.state.sides[other].deleted {
        // Taking back a create: the record stays.
        turn.state.sides[side].followed = false;
        turn.state.sides[side].creation = super::state::Creation::Unasked;
        settle::remark(turn, side, format!("the record could not be removed: {reason}"));
    } else if changed {
        // Decided again, knowing what was found; a person is asked again.
        let gone = &mut turn.state.sides[other];
        (gone.followed, gone.follow, gone.deletion) = (false, None, None);
    } else {
        settle::cannot_follow(turn, side, reason);
    }
}
