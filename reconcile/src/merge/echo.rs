//! What a value in the target's stream says about our write: nothing yet, done, altered, overtaken.
//!
//! Decided by value. The name a change was made under only helps where values cannot tell: whether another value than the
//! one written is the target's own version of it (a trim), or somebody's edit.

use super::event::SideChange;
use super::settle;
use super::state::{Seen, Unseen, WriteNumber};
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

/// One field as one change shows it.
pub(super) struct Shown {
    pub(super) side: Side,
    pub(super) seen: Seen,
    /// The side's own value.
    pub(super) column: Option<Value>,
    /// Our write that made the change, as far as can be told.
    pub(super) author: Option<WriteNumber>,
    pub(super) snapshot: bool,
    /// It was made under our name.
    pub(super) ours: bool,
}

/// Our write that made a change, if one did: the one whose values it newly shows; for a change under our name that shows
/// none, the oldest that has not been seen, if the change carries one of its fields.
pub(super) fn author(turn: &Turn<'_>, change: &SideChange) -> Option<WriteNumber> {
    let side = change.side;
    if let Some(number) = turn.state.sides[side].creating {
        return Some(number);
    }
    let newly = |name: &str, value: &Value| {
        change.fields.get(name) == Some(value)
            && turn.state.fields.get(name).and_then(|f| f.seen[side].as_ref()).is_none_or(|seen| seen.value != *value)
    };
    let mut unshown = None;
    for (number, open) in turn.state.writes.iter().filter(|(_, open)| open.command.side == side) {
        let number = WriteNumber(*number);
        let mut flights = open.command.fields.values().filter_map(|name| {
            let flight = turn.state.fields.get(name)?.in_flight.as_ref()?;
            (flight.write == number).then_some((name, flight))
        });
        if flights.clone().any(|(name, flight)| (change.ours || flight.answered) && newly(name, &flight.value)) {
            return Some(number);
        }
        let carried = flights.clone().any(|(name, _)| change.fields.contains_key(name));
        if change.ours && unshown.is_none() && carried && flights.all(|(_, f)| f.echo.is_none()) {
            unshown = Some(number);
        }
    }
    if change.ours {
        for (name, field) in &turn.state.fields {
            if let Some(unseen) = &field.unseen[side]
                && newly(name, &unseen.value)
            {
                return Some(unseen.write);
            }
        }
    }
    unshown
}

/// Takes in one field's value.
pub(super) fn shown(turn: &mut Turn<'_>, field: &FieldMapping, shown: Shown) {
    let side = shown.side;
    let skew = turn.mapping.skew_us;
    let state = turn.field(&field.name);
    let mut stream = None;
    if let Some(ahead) = &state.ahead
        && ahead.side == side
    {
        let behind = shown.seen.value == ahead.stream
            && state.seen[side].as_ref().is_some_and(|seen| seen.value != ahead.stream)
            && shown.seen.at <= ahead.at.saturating_add(skew);
        if behind && !shown.snapshot {
            return;
        }
        stream = Some(ahead.stream.clone());
        state.ahead = None;
        if state.seen[side].as_ref().is_some_and(|seen| seen.value == shown.seen.value) {
            // Now the edit has a time and a name.
            state.seen[side] = Some(shown.seen.clone());
        }
    }
    let mut before = state.seen[side].clone();
    let moved = before.as_ref().is_none_or(|seen| seen.value != shown.seen.value);
    if moved {
        state.seen[side] = Some(shown.seen.clone());
    }
    let held = state.held_by;
    let column = match &shown.column {
        Some(column) => Some(column.clone()),
        None => turn.column(field, side, &shown.seen.value).ok().flatten(),
    };
    if let Some(column) = &column {
        turn.state.sides[side].columns.insert(field.columns[side].column.clone(), column.clone());
    }
    if let (Some(seen), Some(stream)) = (&mut before, stream) {
        // What the stream itself showed last.
        seen.value = stream;
    }
    if moved {
        turn.golden = true;
        if let Some(number) = held {
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
    let Some(flight) = state.in_flight.as_ref().filter(|f| f.target == side && Some(f.write) == author) else { return };
    let value = if created.is_some() {
        // A new record holds what it was made with.
        flight.value.clone()
    } else {
        state.seen[side].as_ref().map(|seen| seen.value.clone()).unwrap_or_default()
    };
    let column = turn.state.sides[side].columns.get(&field.columns[side].column).cloned();
    let seen = match &turn.state.fields.get(&field.name).and_then(|f| f.seen[side].clone()) {
        Some(seen) if seen.value == value => seen.clone(),
        _ => Seen { value, at: change.at, actor: change.actor.clone() },
    };
    shown(turn, field, Shown { side, seen, column, author, snapshot: change.snapshot, ours: change.ours });
}

fn judge(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, before: Option<Seen>, moved: bool) {
    let side = shown.side;
    let state = turn.field(&field.name);
    let value = &shown.seen.value;
    let late = moved && state.unseen[side].as_ref().is_some_and(|u| Some(u.write) == shown.author && u.value == *value);
    if let (true, Some(resolution)) = (late, &mut state.resolution)
        && resolution.shown[side].is_none()
    {
        // Ours, so no edit made after the decision.
        resolution.before[side] = value.clone();
    }
    if late && let Some(flight) = state.in_flight.as_mut().filter(|flight| flight.target == side && flight.value != *value) {
        // An earlier write of ours, while the next one is on its way: that one's precondition will fail.
        flight.between = Some(shown.seen.clone());
        let expected = flight.expected.clone();
        if let (Some(unseen), Some(replaced)) = (state.unseen[side].take(), before)
            && replaced.value != unseen.base[side]
            && replaced.value != expected
        {
            settle::overtaken(turn, field, side, replaced, unseen.source, unseen.base, true);
        }
        return;
    }
    let flight = match &mut state.in_flight {
        Some(flight) if flight.target == side => flight,
        _ => {
            if moved {
                late_echo(turn, field, shown, before);
            }
            return;
        }
    };
    if *value == flight.value {
        let overtaken = flight.between.clone().filter(|between| between.value != flight.expected && (flight.answered || shown.ours));
        let (write, source) = (flight.write, flight.source.clone());
        let base = state.agreed.clone().unwrap_or_default();
        let source = source_edit(turn, write, source);
        end(turn, field, &shown.seen.value);
        if !shown.ours {
            // Somebody may have put in the same value; then our own write is still to be shown.
            let (value, instead) = (shown.seen.value.clone(), shown.seen.clone());
            let unseen = Unseen { write, target: side, value, source: source.clone(), instead, base: base.clone() };
            turn.field(&field.name).unseen[side] = Some(unseen);
        }
        if let Some(replaced) = overtaken {
            settle::overtaken(turn, field, side, replaced, source, base, false);
        }
        turn.conclude(write);
    } else if shown.ours && shown.author == Some(flight.write) {
        flight.echo = Some(value.clone());
        let (write, source, answered) = (flight.write, flight.source.clone(), flight.answered);
        let overtaken = flight.between.take().filter(|between| between.value != flight.expected);
        let base = state.agreed.clone().unwrap_or_default();
        let source = source_edit(turn, write, source);
        if answered {
            end(turn, field, value);
        }
        if let Some(replaced) = overtaken {
            settle::overtaken(turn, field, side, replaced, source, base, !answered);
        }
        turn.conclude(write);
    } else if moved {
        flight.between = Some(shown.seen.clone());
        if flight.answered && *value != flight.expected {
            inferred(turn, field);
        }
    } else if shown.snapshot && flight.answered && flight.between.is_none() {
        // Read after the answer: the target made of our value what it held before.
        let write = flight.write;
        end(turn, field, &value.clone());
        turn.conclude(write);
    }
}

/// The write is done; its target holds `value`.
pub(super) fn end(turn: &mut Turn<'_>, field: &FieldMapping, value: &Value) {
    let state = turn.field(&field.name);
    let Some(flight) = state.in_flight.take() else { return };
    let side = flight.target;
    let base = state.agreed.clone().unwrap_or_default();
    let instead = state.seen[side].clone().unwrap_or_default();
    let mut agreed = Pair::default();
    agreed[side] = value.clone();
    agreed[side.other()] = flight.source.clone();
    state.agreed = Some(agreed);
    state.failed = None;
    // A stream shows writes in the order they were made.
    state.unseen[side] = state.unseen[side].take().filter(|unseen| unseen.write > flight.write);
    if let Some(resolution) = &mut state.resolution
        && flight.conflict == Some(resolution.conflict)
    {
        resolution.shown[side] = Some(value.clone());
    }
    turn.golden = true;
    if *value != flight.value {
        // Taken for the target's version of it; should the value itself show up yet, it was not.
        let source = source_edit(turn, flight.write, flight.source.clone());
        let unseen = Unseen { write: flight.write, target: side, value: flight.value.clone(), source, instead, base };
        turn.field(&field.name).unseen[side] = Some(unseen);
    }
    let column = field.columns[side].column.clone();
    let after = turn.column(field, side, value).ok().flatten();
    let now_there = turn.state.sides[side].columns.get(&column).cloned();
    let current = turn.state.fields.get(&field.name).and_then(|f| f.seen[side].as_ref()).is_some_and(|s| s.value == *value);
    let after = if current { now_there.or(after) } else { after }.unwrap_or_default();
    let at = turn.state.fields.get(&field.name).and_then(|f| f.seen[side].as_ref()).map_or(turn.now, |seen| seen.at);
    if let Some(open) = turn.state.writes.get_mut(&flight.write.0) {
        let before = open.command.expected.get(&column).cloned().unwrap_or_default();
        open.confirmed.insert(column, (before, after));
        open.altered |= *value != flight.value;
        open.at = open.at.max(at);
    }
}

/// The write answered `Applied` and somebody's later value has been seen, so ours was there in between.
pub(super) fn inferred(turn: &mut Turn<'_>, field: &FieldMapping) {
    let state = turn.field(&field.name);
    let base = state.agreed.clone().unwrap_or_default();
    let Some(flight) = state.in_flight.clone() else { return };
    let Some(instead) = flight.between.clone() else { return };
    end(turn, field, &flight.value);
    let source = source_edit(turn, flight.write, flight.source);
    let target = flight.target;
    let unseen = Unseen { write: flight.write, target, value: flight.value, source, instead, base };
    turn.field(&field.name).unseen[target] = Some(unseen);
    turn.conclude(flight.write);
}

/// A write that counted as done without being seen is seen after all: it replaced what was seen instead.
fn late_echo(turn: &mut Turn<'_>, field: &FieldMapping, shown: &Shown, before: Option<Seen>) {
    let state = turn.field(&field.name);
    let unseen = state.unseen[shown.side].take_if(|u| Some(u.write) == shown.author && u.value == shown.seen.value);
    let Some(unseen) = unseen else { return };
    if state.agreed.as_ref() == Some(&unseen.base) && state.in_flight.is_none() && state.resolution.is_none() {
        // It was answered as rejected, by a second try; now it is known to have been carried out.
        let mut agreed = Pair::default();
        agreed[unseen.target] = unseen.value.clone();
        agreed[unseen.target.other()] = unseen.source.value.clone();
        state.agreed = Some(agreed);
    }
    let replaced = before.unwrap_or(unseen.instead);
    if replaced.value != unseen.base[unseen.target] {
        settle::overtaken(turn, field, unseen.target, replaced, unseen.source, unseen.base, false);
    }
}

/// The edit that a write carried, with its time and author.
fn source_edit(turn: &Turn<'_>, write: WriteNumber, value: Value) -> Seen {
    let command = turn.state.writes.get(&write.0).map(|open| &open.command);
    Seen { value, at: command.map_or(turn.now, |c| c.caused_at), actor: command.and_then(|c| c.actor.clone()) }
}
