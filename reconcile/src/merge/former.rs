//! Records that leave: what is forgotten of them, and what is kept should they be back.
//!
//! A record leaves when it is gone and another one is to take its place, or when it goes to another entity. What stands in it
//! when it meets the same counterpart again is judged by what the two had agreed on; writes that were sent before it left, and
//! that are shown when it is back, are no edits.

use super::answer;
use super::author;
use super::resolve::twice;
use super::settle;
use super::state::{FieldState, Former, Seen, Unseen, WriteNumber};
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

/// Nothing known of a side's old record holds for the one that is made anew.
pub(super) fn forget(turn: &mut Turn<'_>, gone: Side) {
    let kept = gone.other();
    let open = turn.state.fields.values().flat_map(|field| {
        let opening = field.resolution.as_ref().filter(|resolution| resolution.reopens).map(|resolution| resolution.conflict);
        field.held_by.into_iter().chain(opening)
    });
    for number in open.collect::<Vec<_>>() {
        settle::withdraw(turn, number, Some(kept), "the other record is another one now");
    }
    let mapping = turn.mapping;
    for field in &mapping.fields {
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        // What is on its way to the one that stays arrives all the same, and may overtake an edit there.
        if let Some(flight) = state.in_flight.take_if(|flight| flight.target == kept) {
            answer::remember(turn, field, &flight);
        }
    }
    let forgotten = std::mem::take(&mut turn.state.sides[gone]);
    turn.state.sides[gone].former = match forgotten.record {
        Some(record) => Some(remembered(turn, gone, record)),
        None => forgotten.former,
    };
    for field in turn.state.fields.values_mut() {
        let mut made = std::mem::take(&mut field.unseen[gone]);
        made.retain(|unseen| unseen.makes);
        let seen = std::mem::take(&mut field.seen[kept]);
        let (ahead, owed) = (field.ahead[kept].take(), field.owed[kept]);
        let mut unseen = std::mem::take(&mut field.unseen[kept]);
        unseen.iter_mut().for_each(|late| late.orphan = true);
        *field = FieldState::default();
        (field.ahead[kept], field.owed[kept]) = (ahead, owed);
        (field.seen[kept], field.unseen[kept], field.unseen[gone]) = (seen, unseen, made);
    }
}

fn remembered(turn: &Turn<'_>, gone: Side, record: String) -> Former {
    let kept = gone.other();
    let opposite = turn.state.sides[kept].record.clone();
    let agreed = turn.state.fields.iter().filter_map(|(name, field)| Some((name.clone(), field.agreed.clone()?)));
    let sent = turn.mapping.fields.iter().filter_map(|field| {
        let flight = turn.state.fields.get(&field.name)?.in_flight.as_ref().filter(|flight| flight.target == gone)?;
        // Unless each side was to have its own.
        let alike = turn.predicted(field, gone, &flight.source) == flight.value;
        let mut pair = twice(&flight.value);
        pair[kept].clone_from(&flight.source);
        alike.then(|| (field.name.clone(), pair))
    });
    Former { record, opposite, agreed: agreed.collect(), sent: sent.collect(), next_write: turn.state.next_write }
}

/// What these two records had agreed on before one of them was forgotten that is back all the same.
pub(super) fn agreed(turn: &mut Turn<'_>, field: &FieldMapping) -> Option<Pair<Value>> {
    let records = Side::BOTH.map(|side| turn.state.sides[side].record.clone());
    let agreed = Side::BOTH.into_iter().zip(&records).zip(records.iter().rev()).find_map(|((side, here), there)| {
        let held = turn.state.fields.get(&field.name)?.seen[side].as_ref()?.value.clone();
        let former = turn.state.sides[side].former.as_mut();
        let former = former.filter(|former| here.as_ref() == Some(&former.record) && *there == former.opposite)?;
        let (agreed, sent) = (former.agreed.remove(&field.name), former.sent.remove(&field.name));
        let done = sent.filter(|sent| author::made_of(field, &sent[side], &held, false) == held);
        done.map(|mut sent| {
            sent[side] = held;
            sent
        })
        .or(agreed)
    });
    turn.field(&field.name).agreed.clone_from(&agreed);
    agreed
}

/// A write to the side that stayed is shown and has left `value`: what the two agree on should the other record be back.
pub(super) fn shown(turn: &mut Turn<'_>, field: &FieldMapping, side: Side, value: &Value, late: &Unseen) {
    let alike = turn.predicted(field, side, &late.source.value) == late.value;
    let here = turn.state.sides[side].record.clone();
    let Some(former) = turn.state.sides[side.other()].former.as_mut().filter(|former| former.opposite == here) else { return };
    if alike {
        let mut agreed = twice(&late.source.value);
        agreed[side].clone_from(value);
        former.agreed.insert(field.name.clone(), agreed);
    } else {
        former.agreed.remove(&field.name);
    }
}

/// Whether a side's record that left is back, and stands across from the one that it left.
pub(super) fn is_back(turn: &Turn<'_>, side: Side) -> bool {
    let (here, there) = (&turn.state.sides[side], &turn.state.sides[side.other()]);
    let back = |former: &Former| here.record.as_ref() == Some(&former.record) && there.record == former.opposite;
    here.former.as_ref().is_some_and(back)
}

/// Whether a write was sent before the side's record left, which is back.
pub(super) fn sent_before(turn: &Turn<'_>, side: Side, write: Option<WriteNumber>) -> bool {
    let here = &turn.state.sides[side];
    let former = here.former.as_ref().filter(|former| here.record.as_ref() == Some(&former.record));
    former.zip(write).is_some_and(|(former, write)| write.0 < former.next_write)
}

/// Such a write is shown, with nothing known of it any more. What it brought was the other side's and is no edit: where the
/// other side holds something else, that one was edited since.
pub(super) fn carried(turn: &mut Turn<'_>, field: &FieldMapping, side: Side, value: &Value, before: Option<&Seen>) {
    let Some(state) = turn.state.fields.get_mut(&field.name) else { return };
    if let Some(flight) = state.in_flight.as_mut().filter(|flight| flight.target == side) {
        flight.passed = true;
    }
    let edited = state.agreed.as_ref().is_some_and(|agreed| before.is_none_or(|before| agreed[side] != before.value));
    if edited || state.held_by.is_some() || state.resolution.is_some() {
        return;
    }
    let Some(other) = state.seen[side.other()].as_ref().map(|other| other.value.clone()) else { return };
    let predicted = turn.predicted(field, side, &other);
    let mut agreed = Pair { crm: value.clone(), erp: value.clone() };
    if author::made_of(field, &predicted, value, false) == *value {
        agreed[side.other()] = other;
    }
    turn.field(&field.name).agreed = Some(agreed);
}
