//! Takes in what a person decided, and answers it. The same decision again is decided once: the ids of the entity's last
//! [`REMEMBERED`] decisions are kept.

use super::RECORD;
use super::effect::{ConflictRecord, DecisionResult, Effect, Reply, Settlement};
use super::event::{Choice, Demand, Verdict};
use super::state::{ConflictNumber, Resolution};
use super::turn::Turn;
use super::{about_record, create, reopen, resolve, restore, retry, settle, undo};
use crate::mapping::{self, FieldMapping, Pair, Side};
use crate::value::Value;

/// Decisions of one entity whose ids are remembered.
const REMEMBERED: usize = 64;
/// Decisions of one entity that may wait for writes on their way.
const WAITING: usize = 64;

/// The answer to those that wait.
const WAITS: &str = "it waits for a write on its way to this record";

/// What became of a demand.
pub(super) enum Done {
    Accepted {
        reason: String,
        conflict: Option<ConflictNumber>,
    },
    Unchanged(String),
    Refused(String),
    /// A write is on its way that must end first.
    Wait,
}

impl Done {
    pub(super) fn accepted(reason: impl Into<String>) -> Self {
        Self::Accepted { reason: reason.into(), conflict: None }
    }

    pub(super) fn kept_in(reason: impl Into<String>, conflict: ConflictNumber) -> Self {
        Self::Accepted { reason: reason.into(), conflict: Some(conflict) }
    }
}

pub(super) fn decided(turn: &mut Turn<'_>, verdict: &Verdict) {
    if turn.state.queued.iter().any(|other| other.id == verdict.id) {
        return reply(turn, verdict, DecisionResult::Waiting, WAITS.to_owned(), None);
    }
    if turn.state.decided.contains(&verdict.id) {
        return reply(turn, verdict, DecisionResult::Unchanged, "this decision was taken before".to_owned(), None);
    }
    turn.state.decided.push(verdict.id.clone());
    let surplus = turn.state.decided.len().saturating_sub(REMEMBERED);
    turn.state.decided.drain(..surplus);
    // What puts values back is done in the order in which it was asked for.
    let orderly = matches!(verdict.demand, Demand::Restore { .. } | Demand::Reopen { .. } | Demand::Undo { .. });
    let done = if orderly && !turn.state.queued.is_empty() { Done::Wait } else { carry_out(turn, verdict) };
    if !matches!(done, Done::Wait) {
        answer(turn, verdict, done);
    } else if turn.state.queued.len() >= WAITING {
        let reason = format!("{WAITING} decisions about this record wait already; try again when they are done");
        answer(turn, verdict, Done::Refused(reason));
    } else {
        turn.state.queued.push(verdict.clone());
        reply(turn, verdict, DecisionResult::Waiting, WAITS.to_owned(), None);
    }
}

/// Carries out decisions that waited, in order, as far as nothing is in their way any more.
pub(super) fn queued(turn: &mut Turn<'_>) {
    turn.conclude();
    while let Some(verdict) = turn.state.queued.first().cloned() {
        match carry_out(turn, &verdict) {
            Done::Wait => return,
            done => {
                turn.state.queued.remove(0);
                answer(turn, &verdict, done);
                turn.conclude();
            }
        }
    }
}

fn carry_out(turn: &mut Turn<'_>, verdict: &Verdict) -> Done {
    match &verdict.demand {
        Demand::Settle { conflict, choice } => settled(turn, verdict, *conflict, choice),
        Demand::Restore { conflict, field, choice, kept } => {
            restore::restored(turn, verdict, *conflict, field.as_deref(), choice, kept.as_deref())
        }
        Demand::Reopen { conflict, kept } => reopen::reopened(turn, verdict, *conflict, kept.as_deref()),
        Demand::Undo { write, kept } => undo::undone(turn, verdict, *write, kept.as_deref()),
        Demand::Create { side } => create::wished(turn, *side, &verdict.actor),
        Demand::Refuse { side } => create::refused(turn, *side, &verdict.actor),
        Demand::Retry { side } => retry::retried(turn, *side),
    }
}

fn answer(turn: &mut Turn<'_>, verdict: &Verdict, done: Done) {
    match done {
        Done::Accepted { reason, conflict } => reply(turn, verdict, DecisionResult::Accepted, reason, conflict),
        Done::Unchanged(reason) => reply(turn, verdict, DecisionResult::Unchanged, reason, None),
        Done::Refused(reason) => reply(turn, verdict, DecisionResult::Refused, reason, None),
        Done::Wait => {}
    }
}

fn reply(turn: &mut Turn<'_>, verdict: &Verdict, result: DecisionResult, reason: String, conflict: Option<ConflictNumber>) {
    let reply = Reply { verdict: Box::new(verdict.clone()), result, reason, conflict };
    turn.effects.push(Effect::Decided(reply));
}

/// A decision about an open conflict.
fn settled(turn: &mut Turn<'_>, verdict: &Verdict, number: ConflictNumber, choice: &Choice) -> Done {
    let Some(record) = turn.state.conflicts.get(&number.0).cloned() else {
        return if number.0 < turn.state.next_conflict {
            Done::Unchanged("this conflict is settled already; to change that, open it again or restore the other value".to_owned())
        } else {
            Done::Refused("this record has no such conflict".to_owned())
        };
    };
    if record.field == RECORD {
        return about_record::settled(turn, verdict, choice, record);
    }
    let entity = turn.mapping;
    let Some(field) = entity.field(&record.field) else {
        settle::withdraw(turn, number, None, "the field is no longer mapped");
        return Done::Unchanged("the field is no longer mapped, so nothing is written".to_owned());
    };
    if turn.field(&field.name).resolution.as_ref().is_some_and(|resolution| resolution.reopens) {
        // Both sides are still getting back what they held.
        return Done::Wait;
    }
    match choice {
        Choice::Side(side) => {
            let from = if planted::on(planted::Bug::DecideForOther) { side.other() } else { *side };
            let chosen = record.values[from].value.clone();
            match restore::stands_for_nothing(turn, field, &chosen) {
                Some(reason) => Done::Refused(reason),
                None => choose(turn, field, verdict, record, Some(*side), chosen),
            }
        }
        Choice::Value(value) => match mapping::conform(&field.kind, value) {
            Ok(value) => match restore::stands_for_nothing(turn, field, &value) {
                Some(reason) => Done::Refused(reason),
                None => choose(turn, field, verdict, record, None, value),
            },
            Err(reason) => Done::Refused(format!("{value} cannot be a {}: {reason}", field.label)),
        },
        Choice::Both => keep_both(turn, field, verdict, record),
    }
}

fn choose(
    turn: &mut Turn<'_>,
    field: &FieldMapping,
    verdict: &Verdict,
    record: ConflictRecord,
    winner: Option<Side>,
    chosen: Value,
) -> Done {
    let number = record.number;
    close(turn, verdict, record, winner, chosen.clone(), false);
    let before = settle::standing(turn, field);
    let mut shown = Pair::default();
    let seen = turn.both(&field.name);
    if let (Some(side), Some(seen)) = (winner, seen)
        && seen[side].value == chosen
    {
        shown[side] = Some(chosen.clone());
    }
    let at = turn.now;
    let by = Some(verdict.actor.clone());
    let state = turn.field(&field.name);
    state.held_by = None;
    state.failed = None;
    let value = resolve::twice(&chosen);
    state.resolution = Some(Resolution { conflict: number, value, by, at, before, shown, reopens: false });
    turn.golden = true;
    Done::kept_in("settled", number)
}

/// Each side keeps its own: the pair counts as agreed until either changes.
fn keep_both(turn: &mut Turn<'_>, field: &FieldMapping, verdict: &Verdict, record: ConflictRecord) -> Done {
    let number = record.number;
    let values = Pair { crm: record.values.crm.value.clone(), erp: record.values.erp.value.clone() };
    close(turn, verdict, record, None, Value::Null, true);
    let there = turn.both(&field.name).is_some_and(|both| Side::BOTH.iter().all(|side| both[*side].value == values[*side]));
    let state = turn.field(&field.name);
    state.held_by = None;
    state.failed = None;
    state.resolution = None;
    if there {
        state.agreed = Some(values);
    } else {
        // Our write had replaced one of them.
        restore::start(turn, field, number, values, &verdict.actor, false);
    }
    turn.golden = true;
    Done::kept_in("each side keeps its own value until either changes", number)
}

/// Settles a record as a person said.
pub(super) fn close(turn: &mut Turn<'_>, verdict: &Verdict, mut record: ConflictRecord, winner: Option<Side>, chosen: Value, both: bool) {
    let by = Some(verdict.actor.clone());
    record.settled = Some(Settlement { winner, chosen, tie: false, both, by, at: turn.now });
    turn.keep(record);
}
