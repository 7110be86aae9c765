//! What follows when one side's record is deleted.

use std::collections::BTreeMap;

use super::create;
use super::effect::{WriteCommand, WriteKind};
use super::settle;
use super::state::{ConflictNumber, WriteNumber};
use super::turn::{Turn, whence};
use crate::mapping::{DeletePolicy, Policy, Side};

pub(super) fn evaluate(turn: &mut Turn<'_>) {
    for deleted in Side::BOTH {
        let other = deleted.other();
        let gone = &turn.state.sides[deleted];
        let there = &turn.state.sides[other];
        let open = gone.deleted && !gone.followed && gone.deletion.is_none();
        if !open || there.record.is_none() || there.deleted || there.deleting.is_some() || there.creating.is_some() {
            continue;
        }
        let flying = turn.state.fields.values().any(|field| field.in_flight.as_ref().is_some_and(|f| f.target == other));
        if flying {
            continue;
        }
        decide(turn, deleted);
    }
}

fn decide(turn: &mut Turn<'_>, deleted: Side) {
    let other = deleted.other();
    let policy = turn.mapping.delete[other];
    let gone = whence(deleted, turn.state.sides[deleted].actor.as_deref());
    if let Some(edit) = edited(turn, other) {
        let reason = format!("deleted {gone}, while {edit}");
        let winner = if other == Side::Crm { Policy::Crm } else { Policy::Erp };
        let ask = policy == DeletePolicy::Ask;
        settle::deletion(turn, deleted, "edited", if ask { Policy::Review } else { winner }, reason, ask);
        return;
    }
    match policy {
        DeletePolicy::Ignore => {}
        DeletePolicy::Ask => {
            settle::deletion(turn, deleted, "present", Policy::Review, format!("deleted {gone}"), true);
        }
        DeletePolicy::Archive | DeletePolicy::Delete => follow(turn, deleted, None),
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

/// Deletes or archives the other side's record, expecting it as it was last seen.
pub(super) fn follow(turn: &mut Turn<'_>, deleted: Side, decided: Option<(ConflictNumber, String)>) {
    let target = deleted.other();
    let archive = decided.is_none() && turn.mapping.delete[target] == DeletePolicy::Archive;
    settle::lost_with_record(turn, deleted, decided.as_ref().map(|(_, person)| person.as_str()));
    let columns = &turn.state.sides[target].columns;
    let (kind, values, expected) = if archive {
        let values = turn.mapping.sides[target].archive.clone();
        if values.is_empty() {
            turn.state.sides[deleted].followed = true;
            return;
        }
        let expected = values.keys().filter_map(|column| Some((column.clone(), columns.get(column)?.clone()))).collect();
        (WriteKind::Update, values, expected)
    } else {
        let mapped = turn.mapping.fields.iter().map(|field| &field.columns[target].column);
        let expected = mapped.filter_map(|column| Some((column.clone(), columns.get(column)?.clone()))).collect();
        (WriteKind::Delete, BTreeMap::new(), expected)
    };
    let state = &turn.state.sides[deleted];
    let (caused_at, actor) = (state.at, state.actor.clone());
    let reason = match &decided {
        Some((_, person)) => format!("deleted {}; decided by {person}", whence(deleted, actor.as_deref())),
        None => format!("deleted {}", whence(deleted, actor.as_deref())),
    };
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
        decided: decided.is_some(),
        backfill: turn.backfill,
        reason,
        caused_at,
        actor: decided.as_ref().map(|(_, person)| person.clone()).or(actor),
        conflict: decided.map(|(number, _)| number),
    };
    turn.state.sides[target].deleting = Some(number);
    turn.state.sides[deleted].followed = true;
    create::open(turn, command);
}
