//! Which of our writes made a change that a side's stream shows.
//!
//! A stream shows writes in the order in which they were made, which is the order of their numbers. A value that a write
//! was to put there, whole or cut short, tells which one it was. Where the target made another value of it, only the name that the
//! change was made under is left to go by, and a trigger of another write may have put the value there: so the change is
//! given to a write only if no other could have made it. What is given to none is taken for an edit, and carried across.

use std::collections::BTreeMap;

use super::echo;
use super::event::SideChange;
use super::speaks;
use super::state::{FieldState, WriteNumber};
use super::turn::Turn;
use crate::mapping::Side;
use crate::value::Value;

/// Our write that made a change, by a value that it newly shows.
pub(super) fn exact(turn: &Turn<'_>, change: &SideChange) -> Option<WriteNumber> {
    let side = change.side;
    if let Some(number) = turn.state.sides[side].creating {
        return Some(number);
    }
    let news = carried(turn, change).filter(|(state, value)| is_news(state, side, value));
    let writes = news.filter_map(|(state, value)| {
        let shows = |written: &Value| written == value || change.ours && is_cut(written, value);
        let flight = state.in_flight.as_ref().filter(|flight| flight.target == side && shows(&flight.value));
        let flight = flight.filter(|flight| change.ours || flight.answered).map(|flight| flight.write);
        let unseen = state.unseen[side].iter().find(|unseen| change.ours && shows(&unseen.value));
        flight.or(unseen.map(|unseen| unseen.write))
    });
    writes.min()
}

/// Our write that made a change under our name which shows another value than any that was written: the only one that is
/// still to be shown, or the only one all of whose fields could have changed. `fresh` is a change later than the newest
/// before it.
pub(super) fn likely(turn: &Turn<'_>, change: &SideChange, fresh: bool) -> Option<WriteNumber> {
    if !change.ours {
        return None;
    }
    let side = change.side;
    // For each write that is still to be shown, how many of the fields that changed are its own.
    let mut unshown: BTreeMap<WriteNumber, usize> = BTreeMap::new();
    let mut moved = 0;
    for (state, value) in carried(turn, change) {
        let news = is_news(state, side, value);
        moved += usize::from(news);
        let flight = state.in_flight.as_ref().filter(|flight| flight.target == side).map(|flight| flight.write);
        let unseen = state.unseen[side].iter().filter(|unseen| news && !unseen.altered && flight.is_none());
        for number in flight.into_iter().chain(unseen.map(|unseen| unseen.write)) {
            *unshown.entry(number).or_default() += usize::from(news);
        }
    }
    if moved == 0 && !fresh {
        // It may be an earlier one, delivered again.
        return None;
    }
    let mut owners = unshown.iter().filter(|(_, own)| **own == moved).map(|(number, _)| *number);
    let owner = owners.next().filter(|_| moved == 0 || owners.next().is_none());
    match unshown.len() {
        1 => unshown.into_keys().next(),
        _ => owner,
    }
}

fn carried<'a>(turn: &'a Turn<'_>, change: &'a SideChange) -> impl Iterator<Item = (&'a FieldState, &'a Value)> {
    turn.state.fields.iter().filter_map(|(name, state)| Some((state, change.fields.get(name)?)))
}

/// A text that begins as the written one does and is shorter: what a target makes of a text that is too long.
fn is_cut(written: &Value, shown: &Value) -> bool {
    match (written.as_text(), shown.as_text()) {
        (Some(written), Some(shown)) => !shown.is_empty() && shown.len() < written.len() && written.starts_with(shown),
        _ => false,
    }
}

/// A value is not what the side's stream showed last.
pub(super) fn is_news(state: &FieldState, side: Side, value: &Value) -> bool {
    let ahead = state.ahead[side].as_ref().map(|ahead| &ahead.stream);
    ahead.or(state.seen[side].as_ref()).is_none_or(|seen| seen.value != *value)
}

/// Gives a change that several writes may have made to one of them, once all are answered: to the newest that was done. A
/// later one than the one that made it would have been refused, for it expected what stood there before.
pub(super) fn share(turn: &mut Turn<'_>, side: Side) {
    let shared = |state: &FieldState| state.in_flight.clone().filter(|flight| flight.target == side && flight.shared);
    let flights: Vec<_> = turn.state.fields.values().filter_map(shared).collect();
    let Some(newest) = flights.iter().map(|flight| flight.write).max().filter(|_| flights.iter().all(|flight| flight.answered)) else {
        return;
    };
    for field in &turn.mapping.fields {
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        let Some(flight) = state.in_flight.as_mut().filter(|flight| flight.target == side && flight.shared) else { continue };
        flight.shared = false;
        let write = flight.write;
        match flight.echo.take() {
            Some(value) if write == newest => {
                flight.echo = Some(value.clone());
                echo::end(turn, field, &value);
            }
            _ => {
                flight.between = flight.between.take().or(state.seen[side].clone());
                echo::inferred(turn, field);
            }
        }
    }
}

/// Its stream has shown a write: those before it will not be shown any more. The target made of their values what it held.
pub(super) fn passed(turn: &mut Turn<'_>, change: &SideChange, shown: WriteNumber) {
    let side = change.side;
    for field in &turn.mapping.fields {
        if !speaks::of(turn, field, change) {
            continue;
        }
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        state.unseen[side].retain(|unseen| unseen.write >= shown);
        let Some(held) = state.seen[side].as_ref().map(|seen| seen.value.clone()) else { continue };
        let silent = |flight: &&mut super::state::InFlight| {
            flight.target == side && flight.write < shown && flight.echo.is_none() && flight.between.is_none()
        };
        if let Some(flight) = state.in_flight.as_mut().filter(silent) {
            flight.echo = Some(held.clone());
            if flight.answered {
                echo::end(turn, field, &held);
            }
        }
    }
}
