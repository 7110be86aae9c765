//! The three-way merge per field.
//!
//! State per entity: what each side was last seen to hold, what both agreed on (a pair, because a mapping need not be a
//! bijection), at most one write in flight per field. After every event [`apply`] decides what should follow.
//!
//! ```text
//! event ─▶ observe / answer / decide   take it in: seen, in flight, agreed     (author: which write made it? echo: is that ours done?)
//!       ─▶ delete, evaluate, create    what differs, and what should follow    (settle: who wins, resolve: carry it out)
//!       ─▶ send                        plans of one cause become one command
//! ```
//!
//! It promises: the same state and event give the same effects; events of one side come in commit order, and then
//! no value is lost without a conflict record, and both sides agree once events stop (design, P1 to P4). A change that is
//! delivered again right away changes nothing; so does a repeated answer or decision. Every decision is answered.
//!
//! The mapping may be another one at each event: a field that is no longer mapped is forgotten, what is open stays open.
//!
//! It leaves out: what was settled and written earlier, which comes along with a decision that needs it; and time-outs. A write
//! that is answered and never shown waits for a re-read of the record, which arrives as [`Event::Read`]; so does a field whose
//! stream never shows the edit that a refusal told of. [`unconfirmed`] names the records to read.

mod about_record;
mod answer;
mod author;
mod create;
mod decide;
mod delete;
mod echo;
mod effect;
mod evaluate;
mod event;
mod former;
mod observe;
mod remap;
mod reopen;
mod resolve;
mod restore;
mod retry;
mod send;
mod settle;
mod speaks;
mod state;
mod turn;
mod undo;

pub use effect::{Confirmed, ConflictRecord, DecisionResult, Effect, Reply, Settlement, WriteCommand, WriteKind};
pub use event::{Answer, Choice, Demand, Event, SideChange, Verdict};
pub use state::{
    Ahead, ConflictNumber, Creation, EntityState, Failure, FieldState, Former, InFlight, Micros, OpenWrite, Owed, Parent, Resolution, Seen,
    SideState, Step, Unseen, WriteNumber,
};

use crate::mapping::{EntityMapping, Side};
use turn::Turn;

/// The field name of conflicts about the record as a whole: deleted on one side, edited on the other.
pub const RECORD: &str = "$record";

/// Applies one event: changes the state and says what should follow, in order.
pub fn apply(mapping: &EntityMapping, state: &mut EntityState, event: &Event, now: Micros) -> Vec<Effect> {
    let mut turn = Turn::new(mapping, state, now);
    remap::forget_unmapped(&mut turn);
    match event {
        Event::Changed(change) => observe::changed(&mut turn, change),
        Event::Read(change) => observe::read(&mut turn, change),
        Event::Answered { write, answer, record } => answer::answered(&mut turn, *write, answer, record.as_deref()),
        Event::Decided(verdict) => decide::decided(&mut turn, verdict),
    }
    decide::queued(&mut turn);
    follow(&mut turn);
    // What has just ended may be what the next decision waited for, and nothing else may come.
    let mut waiting = usize::MAX;
    while (1..waiting).contains(&turn.state.queued.len()) {
        waiting = turn.state.queued.len();
        send::flush(&mut turn);
        decide::queued(&mut turn);
        follow(&mut turn);
    }
    turn.finish()
}

/// What differs, and what should follow.
fn follow(turn: &mut Turn<'_>) {
    delete::evaluate(turn);
    for field in &turn.mapping.fields {
        evaluate::evaluate(turn, field);
    }
    create::evaluate(turn);
}

/// Records to read again because their stream has not shown what it owes: a write that was answered `Applied` and carries an
/// edit older than `before`, what a refusal before `before` told of, a write that a re-read before `before` found done, or what
/// became of a record that stands although it was deleted, or went although it is shown.
pub fn unconfirmed(state: &EntityState, before: Micros) -> Vec<(Side, String)> {
    let record = |side: Side| state.sides[side].record.clone().map(|record| (side, record));
    let owes = |side: &Side| owes_record(state, *side, before) || !unshown(state, *side, before).is_empty();
    Side::BOTH.into_iter().filter(owes).filter_map(record).collect()
}

/// A side's stream owes what became of its record as a whole.
pub fn owes_record(state: &EntityState, side: Side, before: Micros) -> bool {
    let side = &state.sides[side];
    // Nothing more can be asked of one that is known to be gone.
    side.owed.is_some_and(|owed| owed.since < before && !(owed.gone && side.deleted))
}

/// The fields of a side's record for which [`unconfirmed`] names it.
pub fn unshown(state: &EntityState, side: Side, before: Micros) -> Vec<&str> {
    // A record that stands although it was deleted is another one.
    let deleting = (state.sides[side].deleting.is_some() || state.sides[side].deleted) && owes_record(state, side, before);
    let waits = |field: &FieldState| {
        let unshown = field.in_flight.as_ref().is_some_and(|flight| {
            flight.target == side
                && flight.answered
                && state.writes.get(&flight.write.0).is_some_and(|open| open.command.caused_at < before)
        });
        let behind = field.ahead[side].as_ref().is_some_and(|ahead| ahead.until.is_some() && !ahead.same && ahead.at < before);
        deleting || unshown || behind || field.owed[side].is_some_and(|since| since < before)
    };
    state.fields.iter().filter(|(_, field)| waits(field)).map(|(name, _)| name.as_str()).collect()
}
