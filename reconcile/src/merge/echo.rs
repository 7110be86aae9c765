//! What a value in the target's stream says about our write: nothing yet, done, altered, overtaken.
//!
//! A change says which write made it, so nothing is concluded from values alone: one that was made by the write in flight
//! ends it, with whatever the target made of the value; any other is somebody's edit.

use std::collections::BTreeMap;

use super::author::{is_news, made_of};
use super::event::SideChange;
use super::former;
use super::resolve;
use super::settle;
use super::speaks;
use super::state::{Ahead, InFlight, Micros, Seen, Step, Unseen, WriteNumber};
use super::turn::Turn;
use super::undo;
use crate::mapping::{FieldMapping, FieldType, Pair, Side};
use crate::value::Value;

/// One field as one change shows it.
pub(super) struct Shown {
    pub(super) side: Side,
    pub(super) seen: Seen,
    /// The side's own values of its columns, as far as the change carries them.
    pub(super) columns: BTreeMap<String, Value>,
    /// Our write that made the change.
    pub(super) author: Option<WriteNumber>,
    /// The newest write that it shows to have had its chance.
    pub(super) borne: Option<WriteNumber>,
    /// It is a row as it was found, not a change.
    pub(super) snapshot: bool,
    /// Read on our asking, perhaps ahead of the stream.
    pub(super) read: bool,
    /// It was made under our name.
    pub(super) ours: bool,
    /// It was made by a write for another entity.
    pub(super) foreign: bool,
    /// The record was gone before it.
    pub(super) returned: bool,
}

impl Shown {
    /// A value, nobody knows by whose change.
    pub(super) const fn bare(side: Side, seen: Seen, columns: BTreeMap<String, Value>) -> Self {
        Self { side, seen, columns, author: None, borne: None, snapshot: false, read: false, ours: false, foreign: false, returned: false }
    }

    /// A value as a change of the side's stream shows it.
    pub(super) fn by(
        change: &SideChange,
        seen: Seen,
        columns: BTreeMap<String, Value>,
        author: Option<WriteNumber>,
        borne: Option<WriteNumber>,
    ) -> Self {
        let SideChange { side, snapshot, ours, foreign, .. } = *change;
        Self { author, borne, snapshot, ours, foreign, ..Self::bare(side, seen, columns) }
    }

    /// It was made by a write that was sent before the record changed its entity, if by none that is on its way.
    fn is_untracked(&self) -> bool {
        self.foreign || self.author.is_some()
    }
}

/// Takes in one field's value.
pub(super) fn shown(turn: &mut Turn<'_>, field: &FieldMapping, shown: Shown) {
    let side = shown.side;
    let skew = turn.mapping.skew_us;
    let kept = &turn.state.sides[side].columns;
    let same_columns = shown.columns.iter().all(|(name, value)| kept.get(name) == Some(value));
    let state = turn.field(&field.name);
    let news = is_news(state, side, &shown.seen.value);
    let known = state.seen[side].clone();
    // What the stream itself showed last.
    let mut before = known.clone();
    let own = state.in_flight.as_ref().is_some_and(|flight| flight.target == side && Some(flight.write) == shown.author);
    let done = |unseen: &Unseen| unseen.done && Some(unseen.write) == shown.author;
    if state.ahead[side].is_none() && news && state.unseen[side].iter().any(done) {
        // A re-read had found it done, with what stood there afterwards, which the stream has yet to show.
        state.ahead[side] = Some(Ahead::of(shown.seen.clone(), shown.seen.at, None));
        judge(turn, field, &shown, before, false);
        return;
    }
    if let Some(ahead) = &mut state.ahead[side] {
        // A record that stood for one entity when it was read may stand for another one by now.
        let same_record = !versions(field) && same_columns;
        let caught_up = same_record || known.as_ref().is_none_or(|known| known.value == shown.seen.value);
        before = Some(ahead.stream.clone());
        let until = ahead.until;
        let passed = shown.borne >= until;
        if passed {
            ahead.until = None;
        }
        let older = match until {
            // Ours was sent after what the re-read told.
            _ if shown.read || own => false,
            Some(_) if !passed => ahead.is_older(shown.seen.at, Ahead::APART),
            // A row that was found after that write and before anybody's next edit, which the re-read has told of.
            Some(_) if shown.snapshot && shown.ours && shown.borne == until => !caught_up,
            // A row that was found after it.
            Some(_) if shown.snapshot && shown.borne.is_some() => false,
            Some(_) if shown.author == until => !caught_up,
            _ => !caught_up && ahead.is_older(shown.seen.at, skew),
        };
        if older {
            ahead.same &= ahead.stream.value == shown.seen.value;
            ahead.stream = shown.seen.clone();
            // One that bears an earlier write is from before the write that is waited for.
            ahead.shown |= until.is_none_or(|until| shown.borne.is_none_or(|borne| borne >= until));
            judge(turn, field, &shown, before, false);
            return;
        }
        state.ahead[side] = None;
        if caught_up {
            // Now the edit has a time and a name.
            state.seen[side] = Some(shown.seen.clone());
        }
    }
    if shown.read
        && news
        && let Some(stream) = before.clone()
    {
        state.ahead[side] = Some(Ahead::of(stream, shown.seen.at, None));
    }
    let moved = known.is_none_or(|known| known.value != shown.seen.value);
    if moved {
        state.seen[side] = Some(shown.seen.clone());
    }
    if !shown.read && (moved || shown.snapshot || !same_columns) {
        state.owed[side] = None;
    }
    let held = state.held_by;
    let late = state.unseen[side].iter().any(|unseen| Some(unseen.write) == shown.author);
    let columns = match shown.columns.is_empty() {
        false => shown.columns.clone(),
        true => turn.columns(field, side, &shown.seen.value).ok().flatten().unwrap_or_default(),
    };
    turn.state.sides[side].columns.extend(columns);
    if moved {
        turn.golden = true;
        // What a write of ours leaves is nobody's word on the matter: what it replaced is what may be chosen.
        if let Some(number) = held.filter(|_| !late) {
            settle::update(turn, number, side, &shown.seen);
        }
    }
    judge(turn, field, &shown, before, moved);
}

/// A change without the field: for the write that made it, the field is as it was.
pub(super) fn passed_over(
    turn: &mut Turn<'_>,
    field: &FieldMapping,
    change: &SideChange,
    author: Option<WriteNumber>,
    created: Option<WriteNumber>,
) {
    let side = change.side;
    let Some(state) = turn.state.fields.get(&field.name) else { return };
    let flight = state.in_flight.as_ref().filter(|f| f.target == side && Some(f.write) == author);
    if !speaks::of(turn, field, change) {
        if created.is_some() && flight.is_none() && state.seen[side].is_none() {
            // We made it without this row.
            let seen = Seen { value: Value::Null, at: change.at, actor: change.actor.clone() };
            let columns = field.columns[side].names().map(|name| (name.to_owned(), Value::Null)).collect();
            shown(turn, field, Shown::by(change, seen, columns, author, author));
        }
        return;
    }
    let late = state.unseen[side].iter().any(|unseen| Some(unseen.write) == author);
    let value = match flight {
        // A new record holds what it was made with.
        Some(flight) if created.is_some() => flight.value.clone(),
        None if !late => return,
        Some(_) | None => state.seen[side].as_ref().map(|seen| seen.value.clone()).unwrap_or_default(),
    };
    let known = &turn.state.sides[side].columns;
    let columns = field.columns[side].names().filter_map(|name| Some((name.to_owned(), known.get(name)?.clone()))).collect();
    let seen = match &turn.state.fields.get(&field.name).and_then(|f| f.seen[side].clone()) {
        Some(seen) if seen.value == value => seen.clone(),
        _ => Seen { value, at: change.at, actor: change.actor.clone() },
    };
    shown(turn, field, Shown::by(change, seen, columns, author, author));
}

fn judge(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, before: Option<Seen>, moved: bool) {
    let side = shown.side;
    let value = &shown.seen.value;
    if shown.snapshot {
        buried(turn, field, shown, before.as_ref());
    }
    let state = turn.field(&field.name);
    let late = match shown.author {
        Some(author) => state.unseen[side].iter().find(|unseen| unseen.write == author).cloned(),
        None if moved => left_by(field, &state.unseen[side], shown),
        None => None,
    };
    if let Some(late) = late {
        late_echo(turn, field, shown, late, before);
        return;
    }
    let flight = state.in_flight.as_ref().filter(|flight| flight.target == side).map(|flight| flight.write);
    let own = flight.is_some() && flight == shown.author;
    if moved
        && shown.ours
        && (!shown.snapshot || shown.foreign)
        && !own
        && (flight.is_none() || shown.is_untracked())
        && let Some(replaced) = &before
    {
        replaced_early(turn, field, shown, replaced.clone());
    }
    if moved && !own && former::sent_before(turn, side, shown.author) {
        former::carried(turn, field, side, value, before.as_ref());
    }
    let state = turn.field(&field.name);
    let behind = state.ahead[side].is_some();
    match state.in_flight.as_mut().filter(|flight| flight.target == side) {
        Some(_) if own => done(turn, field, value),
        // What nobody could tell the meaning of was put back.
        Some(InFlight { between: Some(between), .. }) if !moved && !behind && between.value != *value => {
            *between = shown.seen.clone();
        }
        Some(flight) if moved && flight.sealed.is_none() && shown.borne < Some(flight.write) => {
            flight.between = Some(shown.seen.clone()).filter(|_| !planted::on(planted::Bug::ForgetBetween));
        }
        Some(_) | None => {}
    }
}

/// The write that left a value which was found, or stood in a record when it came back: its stream will not show that write.
fn left_by(field: &FieldMapping, unseen: &[Unseen], shown: &Shown) -> Option<Unseen> {
    let value = &shown.seen.value;
    let ours = |write| shown.snapshot && shown.ours && Some(write) == shown.borne;
    // A row that comes back may hold what any write had left there that was not shown before it went.
    let any = shown.returned && shown.side == Side::Erp && shown.borne.is_none();
    let left =
        |unseen: &&Unseen| (any || Some(unseen.write) <= shown.borne) && made_of(field, &unseen.value, value, ours(unseen.write)) == *value;
    unseen.iter().rev().find(left).cloned()
}

/// A target may make its own version of a value, never of a reference: another one is an edit, under whose name it may be.
pub(super) const fn versions(field: &FieldMapping) -> bool {
    !matches!(field.kind, FieldType::Reference { .. })
}

/// What a write that is shown has left there, as far as it is no edit.
pub(super) const fn left<'v>(field: &FieldMapping, shown: &'v Value, written: &'v Value) -> &'v Value {
    if versions(field) { shown } else { written }
}

/// The write in flight has been carried out, and left `value`. An edit that its target's stream showed first, and that the
/// write was not decided upon, has been replaced by it.
fn done(turn: &mut Turn<'_>, field: &FieldMapping, value: &Value) {
    let Some(flight) = turn.field(&field.name).in_flight.clone() else { return };
    let replaced = overtaken(&flight, value);
    let base = flight.base(turn.field(&field.name).agreed.as_ref());
    let source = source_edit(turn, flight.write, flight.source);
    end(turn, field, value);
    if let Some(replaced) = replaced {
        // What somebody put there after our write is newer than what that replaced.
        let edited = turn.field(&field.name).seen[flight.target].as_ref().is_some_and(|seen| seen.value != *value);
        settle::overtaken(turn, field, flight.target, replaced, source, base, edited);
    }
}

fn overtaken(flight: &InFlight, left: &Value) -> Option<Seen> {
    flight.between.clone().filter(|between| (flight.passed || between.value != flight.expected) && between.value != *left)
}

/// The write in flight has been carried out, and its stream will not show it: it left what the target said, or what can be
/// told by what was found later.
pub(super) fn unshown(turn: &mut Turn<'_>, field: &FieldMapping) {
    let Some(flight) = turn.field(&field.name).in_flight.clone() else { return };
    let left = flight.told.clone().or(flight.sealed).unwrap_or(flight.value);
    done(turn, field, &left);
}

/// The same, found by a re-read: the stream may yet show it, and an edit before it.
pub(super) fn found(turn: &mut Turn<'_>, field: &FieldMapping, instead: Seen, at: Micros) {
    let state = turn.field(&field.name);
    let (Some(flight), agreed) = (state.in_flight.clone(), state.agreed.clone()) else { return };
    let target = flight.target;
    let base = flight.base(agreed.as_ref());
    let source = source_edit(turn, flight.write, flight.source);
    unshown(turn, field);
    let state = turn.field(&field.name);
    let until = Some(flight.write);
    match &mut state.ahead[target] {
        Some(ahead) => ahead.until = until,
        None => state.ahead[target] = Some(Ahead::of(instead.clone(), at, until)),
    }
    let InFlight { write, value, expected, .. } = flight;
    turn.field(&field.name).owe(Unseen { write, target, value, source, instead, base, expected, makes: false, done: true, orphan: false });
}

/// The write is done; its target holds `value`. A reference that is shown to mean another entity than the one meant has gone
/// there with its parent's record, or was edited: that is the target's own.
pub(super) fn end(turn: &mut Turn<'_>, field: &FieldMapping, value: &Value) {
    let state = turn.field(&field.name);
    let Some(flight) = state.in_flight.take() else { return };
    let side = flight.target;
    let before = undo::before(state.agreed.as_ref(), &flight);
    let mut agreed = Pair::default();
    let left = left(field, value, &flight.value);
    agreed[side] = left.clone();
    agreed[side.other()] = if planted::on(planted::Bug::ForgetBasePair) { value.clone() } else { flight.source.clone() };
    state.agreed = Some(agreed.clone());
    state.failed = None;
    if let Some(resolution) = &mut state.resolution {
        // A write of an earlier decision may have carried what this one wants; and what was to stand there is what it became.
        if flight.conflict == Some(resolution.conflict) || resolution.value[side] == flight.value {
            resolution.shown[side] = Some(left.clone());
        } else if resolution.before[side] == flight.value {
            resolution.before[side] = left.clone();
        }
    }
    turn.golden = true;
    let mut after = turn.columns(field, side, value).ok().flatten().unwrap_or_default();
    let current = turn.state.fields.get(&field.name).and_then(|f| f.seen[side].as_ref()).is_some_and(|s| s.value == *value);
    if current {
        let known = &turn.state.sides[side].columns;
        after.extend(field.columns[side].names().filter_map(|name| Some((name.to_owned(), known.get(name)?.clone()))));
    }
    let at = turn.state.fields.get(&field.name).and_then(|f| f.seen[side].as_ref()).map_or(turn.now, |seen| seen.at);
    if let Some(open) = turn.state.writes.get_mut(&flight.write.0) {
        open.steps.insert(field.name.clone(), Step { before, after: agreed });
        for column in field.columns[side].names().filter(|column| open.command.values.contains_key(*column)) {
            let before = open.command.expected.get(column).cloned().unwrap_or_default();
            open.confirmed.insert(column.to_owned(), (before, after.remove(column).unwrap_or_default()));
        }
        open.altered |= *value != flight.value;
        open.at = open.at.max(at);
    }
}

/// A write that was rejected by its last try is shown after all: an earlier one had carried it out.
fn late_echo(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, late: Unseen, before: Option<Seen>) {
    let side = shown.side;
    // There is nothing to carry a decision to.
    let alone = turn.state.sides[side.other()].record.is_none();
    let state = turn.field(&field.name);
    state.unseen[side].retain(|unseen| unseen.write != late.write);
    state.failed = None;
    let flight = state.in_flight.as_mut().filter(|flight| flight.target == side);
    let busy = flight.map(|flight| {
        flight.passed = true;
        flight.expected.clone()
    });
    // Something newer is known to stand there by now.
    let newer = state.ahead[side].is_some();
    if let Some(resolution) = state.resolution.as_mut().filter(|resolution| resolution.shown[side].is_none()) {
        // Ours, so no edit made after the decision; and perhaps what was decided.
        resolution.before[side] = shown.seen.value.clone();
        let decided = late.source.value == resolution.value[side];
        resolution.shown[side] = decided.then(|| left(field, &shown.seen.value, &late.value).clone());
    }
    let rejected = state.agreed.as_ref().is_none_or(|agreed| *agreed == late.base);
    let carried = state.agreed.as_ref().is_some_and(|agreed| agreed[side.other()] == late.source.value);
    // What a re-read found done was agreed on then.
    let rejected = rejected && !late.done;
    let unresolved = state.resolution.is_none();
    let alike = turn.predicted(field, side, &late.source.value) == late.value;
    let orphan = late.orphan && !(alike && former::is_back(turn, side.other()));
    if (rejected || carried) && !orphan && unresolved {
        let mut agreed = resolve::twice(&late.source.value);
        agreed[side].clone_from(left(field, &shown.seen.value, &late.value));
        turn.field(&field.name).agreed = Some(agreed);
    }
    if orphan {
        former::shown(turn, field, side, left(field, &shown.seen.value, &late.value), &late);
    }
    let replaced = before.unwrap_or(late.instead);
    let known = replaced.value == late.base[side] || replaced.value == late.expected;
    if !known && replaced.value != shown.seen.value && busy.as_ref() != Some(&replaced.value) {
        settle::overtaken(turn, field, side, replaced, late.source, late.base, busy.is_some() || newer || alone);
    }
}

/// A write that a re-read found done will not be shown, for its record was found again: an edit that its stream showed before
/// has been replaced by it.
fn buried(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, before: Option<&Seen>) {
    let side = shown.side;
    let done = |unseen: &&Unseen| unseen.done && Some(unseen.write) <= shown.borne;
    let done: Vec<Unseen> = turn.field(&field.name).unseen[side].iter().filter(done).cloned().collect();
    for late in done {
        let lost = |replaced: &&Seen| ![&late.base[side], &late.expected, &late.value, &shown.seen.value].contains(&&replaced.value);
        if let Some(replaced) = before.filter(lost) {
            settle::overtaken(turn, field, side, replaced.clone(), late.source, late.base, true);
        }
    }
}

/// A change under our name replaced a value: by a write that was sent before the record changed its entity, or nobody knows by
/// which. An edit that has not been taken up yet is kept.
fn replaced_early(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, replaced: Seen) {
    let side = shown.side;
    let untracked = shown.is_untracked();
    let state = turn.field(&field.name);
    let value = &replaced.value;
    let agreed = state.agreed.as_ref().map_or(!untracked, |agreed| agreed[side] == *value);
    // What is on its way to the other side may be refused there.
    let sent = state.in_flight.as_ref().is_some_and(|flight| flight.source == *value && flight.answered || flight.expected == *value);
    let decided = state.resolution.as_ref().is_some_and(|r| r.value[side] == *value || r.before[side] == *value);
    let other = state.seen[side.other()].clone().or_else(|| untracked.then(|| shown.seen.clone()));
    let Some(other) = other.filter(|other| other.value != *value) else { return };
    if !agreed && !sent && !decided {
        let base = state.agreed.clone().unwrap_or_default();
        settle::overtaken(turn, field, side, replaced, other, base, true);
    }
}

/// The edit that a write carried, with its time and author.
pub(super) fn source_edit(turn: &Turn<'_>, write: WriteNumber, value: Value) -> Seen {
    let command = turn.state.writes.get(&write.0).map(|open| &open.command);
    Seen { value, at: command.map_or(turn.now, |c| c.caused_at), actor: command.and_then(|c| c.actor.clone()) }
}
