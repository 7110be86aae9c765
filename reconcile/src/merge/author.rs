//! Which of our writes made a change, and which writes have had their chance.
//!
//! Both systems say it: the CRM holds the last write's id in a field of the record, the ERP's log carries it with each row
//! that a write touched. Writes to one side of an entity are carried out in the order of their numbers, so a record that
//! bears one of them has seen the end of all before it: each was done or refused.

use super::echo;
use super::event::SideChange;
use super::speaks;
use super::state::WriteNumber;
use super::turn::Turn;
use crate::mapping::{FieldMapping, Side};
use crate::value::Value;

/// Our write that made a change. `returned` is a record that was gone before it: what comes back bears an old one.
pub(super) fn made_by(turn: &Turn<'_>, change: &SideChange, returned: bool) -> Option<WriteNumber> {
    if change.snapshot || change.returned || returned || planted::on(planted::Bug::IgnoreWriteIds) {
        return None;
    }
    let creating = turn.state.sides[change.side].creating.filter(|_| change.ours);
    change.write.or(creating)
}

/// The newest write that a change shows to have had its chance: what the record bears, or the create that it is there by. One
/// that bears an older write than the create was there before, and is back.
pub(super) fn borne(turn: &Turn<'_>, change: &SideChange) -> Option<WriteNumber> {
    let write = change.write.filter(|_| !planted::on(planted::Bug::IgnoreWriteIds));
    write.or(turn.state.sides[change.side].creating)
}

/// Its stream will not show these writes any more. What was done of them has left what the record holds.
///
/// `ours` is a record on which the last hand was ours.
pub(super) fn seal(turn: &mut Turn<'_>, change: &SideChange, last: WriteNumber, ours: bool) {
    let side = change.side;
    for field in &turn.mapping.fields {
        if !speaks::of(turn, field, change) || speaks::of_unknown_record(field, change) {
            continue;
        }
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        state.unseen[side].retain(|unseen| unseen.write > last);
        let Some(held) = state.seen[side].as_ref().map(|seen| seen.value.clone()) else { continue };
        let Some(flight) = state.in_flight.as_mut().filter(|flight| flight.target == side && flight.write <= last) else { continue };
        if flight.sealed.is_some() {
            continue;
        }
        // After an earlier write somebody may have come before the last hand.
        let ours = ours && Some(flight.write) == change.write;
        flight.sealed = Some(made_of(field, &flight.value, &held, ours));
        // What still stands was not replaced.
        flight.between = flight.between.take().filter(|between| between.value != held);
        // The write that the record bears was done, answered or not.
        if flight.answered || Some(flight.write) == change.write {
            echo::unshown(turn, field);
        }
    }
}

/// Its stream has shown a write: what a re-read told after that write is not waited for any longer.
pub(super) fn caught_up(turn: &mut Turn<'_>, change: &SideChange, shown: WriteNumber) {
    let side = change.side;
    for field in &turn.mapping.fields {
        if !speaks::of(turn, field, change) {
            continue;
        }
        let Some(state) = turn.state.fields.get_mut(&field.name) else { continue };
        let Some(ahead) = state.ahead[side].as_mut().filter(|ahead| ahead.until.is_some_and(|until| until <= shown)) else { continue };
        ahead.until = None;
        if state.seen[side].as_ref().is_some_and(|seen| seen.value == ahead.stream.value) {
            state.ahead[side] = None;
        }
    }
}

/// What a target made of a written value, going by what it held some time later: that, if nobody else can have put it
/// there; otherwise it is an edit, and the target took the value as it was.
pub(super) fn made_of(field: &FieldMapping, written: &Value, held: &Value, ours: bool) -> Value {
    let made = echo::versions(field) && (ours || is_cut(written, held));
    if made { held.clone() } else { written.clone() }
}

/// A text that begins as the written one does and is shorter: what a target makes of a text that is too long.
fn is_cut(written: &Value, held: &Value) -> bool {
    match (written.as_text(), held.as_text()) {
        (Some(written), Some(held)) => !held.is_empty() && held.len() < written.len() && written.starts_with(held),
        _ => false,
    }
}

/// A value is not what the side's stream showed last.
pub(super) fn is_news(state: &super::state::FieldState, side: Side, value: &Value) -> bool {
    let ahead = state.ahead[side].as_ref().map(|ahead| &ahead.stream);
    ahead.or(state.seen[side].as_ref()).is_none_or(|seen| seen.value != *value)
}
