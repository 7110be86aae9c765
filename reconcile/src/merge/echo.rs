//! What a value in the target's stream says about our write: nothing yet, done, altered, overtaken.
//!
//! Decided by value. The name a change was made under only helps where values cannot tell: whether another value than the
//! one written is the target's own version of it (a trim), or somebody's edit.

use std::collections::BTreeMap;

use super::author::is_news;
use super::event::SideChange;
use super::settle;
use super::speaks;
use super::state::{Ahead, Seen, Step, Unseen, WriteNumber};
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
    /// Our write that made the change, as far as can be told.
    pub(super) author: Option<WriteNumber>,
    pub(super) snapshot: bool,
    /// Read on our asking, perhaps ahead of the stream.
    pub(super) read: bool,
    /// It was made under our name.
    pub(super) ours: bool,
}

/// Takes in one field's value.
pub(super) fn shown(turn: &mut Turn<'_>, field: &FieldMapping, shown: Shown) {
    let side = shown.side;
    let skew = turn.mapping.skew_us;
    let state = turn.field(&field.name);
    let news = is_news(state, side, &shown.seen.value);
    let known = state.seen[side].clone();
    // What the stream itself showed last.
    let mut before = known.clone();
    if let Some(ahead) = &mut state.ahead[side] {
        let caught_up = known.as_ref().is_none_or(|known| known.value == shown.seen.value);
        before = Some(ahead.stream.clone());
        if shown.read && caught_up && ahead.waits {
            // It stands there, so the stream will show it, with its time and its name.
            return;
        }
        if !shown.read && !caught_up && shown.seen.at <= ahead.at.saturating_add(skew) {
            if news {
                // Older than what is known, and not what was shown before: more is to come.
                ahead.stream = shown.seen.clone();
                ahead.waits = true;
            }
            judge(turn, field, &shown, before, false, news);
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
        state.ahead[side] = Some(Ahead { stream, at: shown.seen.at, waits: false });
    }
    let moved = known.is_none_or(|known| known.value != shown.seen.value);
    if moved {
        state.seen[side] = Some(shown.seen.clone());
    }
    let held = state.held_by;
    let columns = match shown.columns.is_empty() {
        false => shown.columns.clone(),
        true => turn.columns(field, side, &shown.seen.value).ok().flatten().unwrap_or_default(),
    };
    turn.state.sides[side].columns.extend(columns);
    if moved {
        turn.golden = true;
        if let Some(number) = held {
            settle::update(turn, number, side, &shown.seen);
        }
    }
    judge(turn, field, &shown, before, moved, news);
    if shown.ours {
        // Shown now, whichever of them it was.
        turn.field(&field.name).unseen[side].retain(|unseen| unseen.value != shown.seen.value);
    }
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
            shown(turn, field, Shown { side, seen, columns, author, snapshot: change.snapshot, read: false, ours: change.ours });
        }
        return;
    }
    let Some(flight) = flight else { return };
    let value = if created.is_some() {
        // A new record holds what it was made with.
        flight.value.clone()
    } else {
        state.seen[side].as_ref().map(|seen| seen.value.clone()).unwrap_or_default()
    };
    let known = &turn.state.sides[side].columns;
    let columns = field.columns[side].names().filter_map(|name| Some((name.to_owned(), known.get(name)?.clone()))).collect();
    let seen = match &turn.state.fields.get(&field.name).and_then(|f| f.seen[side].clone()) {
        Some(seen) if seen.value == value => seen.clone(),
        _ => Seen { value, at: change.at, actor: change.actor.clone() },
    };
    shown(turn, field, Shown { side, seen, columns, author, snapshot: change.snapshot, read: false, ours: change.ours });
}

fn judge(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, before: Option<Seen>, moved: bool, news: bool) {
    let side = shown.side;
    let state = turn.field(&field.name);
    let value = &shown.seen.value;
    // Under our name, and by no other write than one that is still to be shown.
    let flying = state.in_flight.as_ref().is_some_and(|flight| flight.target == side);
    let versions = versions(field);
    let unseen = state.unseen[side].iter().filter(|unseen| versions || unseen.value == *value).find(|unseen| match shown.author {
        Some(author) => author == unseen.write,
        None => !unseen.altered && !flying,
    });
    let late = unseen.filter(|_| news && shown.ours).cloned();
    if let (Some(late), Some(resolution)) = (&late, &mut state.resolution)
        && resolution.shown[side].is_none()
    {
        // Ours, so no edit made after the decision; and perhaps what was decided.
        resolution.before[side] = value.clone();
        resolution.shown[side] =
            Some(value.clone()).filter(|_| shown.author.is_some() && late.source.value == resolution.value[side.other()]);
    }
    if let Some(late) = late {
        let flight = state.in_flight.as_mut().filter(|flight| flight.target == side);
        if flight.as_ref().is_none_or(|flight| flight.value != *value) {
            if let Some(flight) = flight.filter(|_| moved) {
                // An earlier write of ours, while the next one is on its way: that one's precondition will fail.
                flight.between = Some(shown.seen.clone());
            }
            late_echo(turn, field, shown, late, before);
            return;
        }
    }
    let flight = match &mut state.in_flight {
        Some(flight) if flight.target == side => flight,
        _ => {
            if let Some(replaced) = before.filter(|_| moved && shown.ours) {
                replaced_early(turn, field, side, replaced);
            }
            return;
        }
    };
    if *value == flight.value {
        let overtaken = flight.between.clone().filter(|between| between.value != flight.expected && (flight.answered || shown.ours));
        let (write, source) = (flight.write, flight.source.clone());
        let base = flight.base(state.agreed.as_ref());
        let source = source_edit(turn, write, source);
        end(turn, field, &shown.seen.value);
        if !shown.ours {
            // Somebody may have put in the same value; then our own write is still to be shown.
            let (value, instead) = (shown.seen.value.clone(), shown.seen.clone());
            let unseen = Unseen { write, target: side, value, source: source.clone(), instead, base: base.clone(), altered: false };
            turn.field(&field.name).owe(unseen);
        }
        if let Some(replaced) = overtaken {
            settle::overtaken(turn, field, side, replaced, source, base, false);
        }
    } else if versions && shown.ours && (shown.author == Some(flight.write) || shown.author.is_none() && news) {
        flight.echo = Some(value.clone());
        let (write, source, answered) = (flight.write, flight.source.clone(), flight.answered);
        let overtaken = flight.between.take().filter(|between| between.value != flight.expected);
        // It stood there before this change, which may be another write's: perhaps this one is refused for it.
        flight.shared = shown.author.is_none() || !news && *value != flight.expected;
        let base = flight.base(state.agreed.as_ref());
        let source = source_edit(turn, write, source);
        let ended = answered && shown.author.is_some();
        if ended {
            end(turn, field, value);
        }
        if let Some(replaced) = overtaken {
            settle::overtaken(turn, field, side, replaced, source, base, !ended);
        }
    } else if moved {
        flight.between = Some(shown.seen.clone()).filter(|_| !planted::on(planted::Bug::ForgetBetween));
        let flight = flight.clone();
        if flight.answered && !flight.shared && !turn.stood_before(&flight, value) {
            inferred(turn, field);
        }
    } else if shown.snapshot && flight.answered && flight.between.is_none() {
        // Read after the answer: the target made of our value what it held before.
        end(turn, field, &value.clone());
    }
}

/// A target may make its own version of a value, never of a reference: another one is an edit, under whose name it may be.
pub(super) fn versions(field: &FieldMapping) -> bool {
    !matches!(field.kind, FieldType::Reference { .. })
}

/// The write is done; its target holds `value`.
pub(super) fn end(turn: &mut Turn<'_>, field: &FieldMapping, value: &Value) {
    let state = turn.field(&field.name);
    let Some(flight) = state.in_flight.take() else { return };
    let side = flight.target;
    let before = undo::before(state.agreed.as_ref(), &flight);
    let base = flight.base(state.agreed.as_ref());
    let instead = state.seen[side].clone().unwrap_or_default();
    let mut agreed = Pair::default();
    agreed[side] = value.clone();
    agreed[side.other()] = if planted::on(planted::Bug::ForgetBasePair) { value.clone() } else { flight.source.clone() };
    state.agreed = Some(agreed.clone());
    state.failed = None;
    if let Some(resolution) = &mut state.resolution {
        // A write of an earlier decision may have carried what this one wants; and what was to stand there is what it became.
        if flight.conflict == Some(resolution.conflict) || resolution.value[side] == flight.value {
            resolution.shown[side] = Some(value.clone());
        } else if resolution.before[side] == flight.value {
            resolution.before[side] = value.clone();
        }
    }
    turn.golden = true;
    if *value != flight.value {
        // Taken for the target's version of it; should the value itself show up yet, it was not.
        let source = source_edit(turn, flight.write, flight.source.clone());
        let altered = flight.echo.is_some();
        let unseen = Unseen { write: flight.write, target: side, value: flight.value.clone(), source, instead, base, altered };
        turn.field(&field.name).owe(unseen);
    }
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

/// The write answered `Applied` and somebody's later value has been seen, so ours was there in between.
pub(super) fn inferred(turn: &mut Turn<'_>, field: &FieldMapping) {
    let state = turn.field(&field.name);
    let Some(flight) = state.in_flight.clone() else { return };
    let base = flight.base(state.agreed.as_ref());
    let Some(instead) = flight.between.clone() else { return };
    end(turn, field, &flight.value);
    let source = source_edit(turn, flight.write, flight.source);
    let target = flight.target;
    let unseen = Unseen { write: flight.write, target, value: flight.value, source, instead, base, altered: false };
    turn.field(&field.name).owe(unseen);
}

/// A write that counted as done without being seen, or as rejected, is seen after all: it replaced what was seen instead.
fn late_echo(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, late: Unseen, before: Option<Seen>) {
    if planted::on(planted::Bug::IgnoreLateEcho) {
        return;
    }
    let (side, sure) = (shown.side, shown.author.is_some());
    let state = turn.field(&field.name);
    let busy = state.in_flight.as_ref().filter(|flight| flight.target == side).map(|flight| flight.expected.clone());
    // Something newer is known to stand there by now.
    let newer = state.ahead[side].is_some();
    if sure {
        state.unseen[side].retain(|unseen| unseen.write != late.write);
        let rejected = state.agreed.as_ref().is_none_or(|agreed| *agreed == late.base);
        let carried = state.agreed.as_ref().is_some_and(|agreed| agreed[side.other()] == late.source.value);
        if (rejected && busy.is_none() || carried) && state.resolution.is_none() {
            let mut agreed = Pair::default();
            agreed[side] = shown.seen.value.clone();
            agreed[side.other()] = late.source.value.clone();
            state.agreed = Some(agreed);
        }
    }
    let replaced = before.unwrap_or(late.instead);
    if replaced.value != late.base[side] && busy.as_ref() != Some(&replaced.value) {
        settle::overtaken(turn, field, side, replaced, late.source, late.base, busy.is_some() || newer || !sure);
    }
}

/// A change under our name, nobody knows of which write, replaced a value. An edit that has not been taken up yet is kept.
fn replaced_early(turn: &mut Turn<'_>, field: &FieldMapping, side: Side, replaced: Seen) {
    let state = turn.field(&field.name);
    let value = &replaced.value;
    let agreed = state.agreed.as_ref().is_none_or(|agreed| agreed[side] == *value);
    let sent = state.in_flight.as_ref().is_some_and(|flight| flight.source == *value || flight.expected == *value);
    let decided = state.resolution.as_ref().is_some_and(|r| r.value[side] == *value || r.before[side] == *value);
    let Some(other) = state.seen[side.other()].clone().filter(|other| other.value != *value) else { return };
    if !agreed && !sent && !decided {
        let base = state.agreed.clone().unwrap_or_default();
        settle::overtaken(turn, field, side, replaced, other, base, true);
    }
}

/// The edit that a write carried, with its time and author.
fn source_edit(turn: &Turn<'_>, write: WriteNumber, value: Value) -> Seen {
    let command = turn.state.writes.get(&write.0).map(|open| &open.command);
    Seen { value, at: command.map_or(turn.now, |c| c.caused_at), actor: command.and_then(|c| c.actor.clone()) }
}
