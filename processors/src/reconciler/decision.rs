//! Decisions into the core's verdicts, with what is remembered of what they are about; and their answers.

use reconcile::mapping::Side;
use reconcile::merge::{Choice, ConflictNumber, DecisionResult, Demand, Reply, Verdict};
use schemas::message::{self, Action, Decision, DecisionOutcome};

use super::message::conflict_id;
use super::remembered::Memory;
use super::state::Stored;
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// Whether a decision is the reconciler's; the others are the matcher's.
pub(super) const fn is_ours(action: Action) -> bool {
    match action {
        Action::Settle
        | Action::Restore
        | Action::Reopen
        | Action::Undo
        | Action::Create
        | Action::Refuse
        | Action::Convert
        | Action::Retry => true,
        Action::Same | Action::Distinct | Action::Split | Action::Unmatch => false,
    }
}

/// What a decision says to the core; or why it cannot be meant, in words.
pub(super) fn verdict(context: &Context<'_>, stored: &Stored, decision: &Decision, memory: Memory) -> Result<Result<Verdict, String>> {
    let entity = &stored.state.entity;
    let choice = match decision.choice {
        message::Choice::Crm => Choice::Side(Side::Crm),
        message::Choice::Erp => Choice::Side(Side::Erp),
        message::Choice::Both => Choice::Both,
        message::Choice::Value => match convert::value(&decision.value) {
            Ok(value) => Choice::Value(value),
            Err(reason) => return Ok(Err(format!("the value cannot be used: {reason}"))),
        },
    };
    let conflict = match conflict_number(decision) {
        Ok(conflict) => conflict,
        Err(reason) => return Ok(Err(reason)),
    };
    let kept = |number: Option<ConflictNumber>| number.map_or(Ok(None), |number| memory.conflict(context, entity, number));
    let demand = match (decision.action, conflict) {
        (Action::Settle, Some(conflict)) => Demand::Settle { conflict, choice },
        (Action::Restore, conflict) => {
            let kept = kept(conflict)?;
            // A conflict that is no longer remembered is restored by the value that came along.
            let choice = match (&kept, &decision.field, choice) {
                (None, Some(_), Choice::Side(_)) => match convert::value(&decision.value) {
                    Ok(value) => Choice::Value(value),
                    Err(reason) => return Ok(Err(format!("the value cannot be used: {reason}"))),
                },
                (_, _, choice) => choice,
            };
            Demand::Restore { conflict, field: decision.field.clone(), choice, kept }
        }
        (Action::Reopen, Some(conflict)) => Demand::Reopen { conflict, kept: kept(Some(conflict))? },
        (Action::Settle | Action::Reopen, None) => return Ok(Err("it names no conflict".to_owned())),
        (Action::Undo, _) => match &decision.write {
            Some(id) => {
                let (write, kept) = memory.write(context, &stored.state, id)?;
                Demand::Undo { write, kept }
            }
            None => return Ok(Err("it names no write".to_owned())),
        },
        (Action::Create | Action::Refuse, _) => match decision.side.map(convert::side) {
            Some(side) if decision.action == Action::Create => Demand::Create { side },
            Some(side) => Demand::Refuse { side },
            None => return Ok(Err("it names no side".to_owned())),
        },
        (Action::Retry, _) => Demand::Retry { side: decision.side.map(convert::side) },
        (Action::Convert, _) => return Ok(Err("only a won opportunity is converted".to_owned())),
        (Action::Same | Action::Distinct | Action::Split | Action::Unmatch, _) => return Ok(Err("it is about a match".to_owned())),
    };
    Ok(Ok(Verdict {
        id: decision.id.clone(),
        actor: decision.actor.clone(),
        at: decision.at,
        batch: decision.batch.clone(),
        force: decision.force,
        demand,
    }))
}

/// The number of the conflict that a decision names, if it names one.
fn conflict_number(decision: &Decision) -> std::result::Result<Option<ConflictNumber>, String> {
    if decision.conflict.is_empty() {
        return Ok(None);
    }
    let (entity, number) = decision.conflict.rsplit_once(':').ok_or("its conflict is not <entity>:<number>")?;
    if entity != decision.entity {
        return Err("its conflict is another record's".to_owned());
    }
    number.parse().map(|number| Some(ConflictNumber(number))).map_err(|_| "its conflict has no number".to_owned())
}

/// A decision that never got as far as the core.
pub(super) fn refused(decision: &Decision, kind: &str, reason: String, version: i64) -> DecisionOutcome {
    outcome(decision, kind, message::DecisionResult::Refused, reason, version)
}

/// The answer to a decision in hand.
pub(super) fn outcome(decision: &Decision, kind: &str, result: message::DecisionResult, reason: String, version: i64) -> DecisionOutcome {
    DecisionOutcome {
        decision: decision.id.clone(),
        batch: decision.batch.clone(),
        entity: decision.entity.clone(),
        kind: kind.to_owned(),
        action: decision.action,
        result,
        reason,
        conflict: None,
        actor: decision.actor.clone(),
        at: decision.at,
        mapping_version: version,
    }
}

/// What the core answered.
pub(super) fn answer(stored: &Stored, reply: Reply, version: i64) -> DecisionOutcome {
    let verdict = *reply.verdict;
    DecisionOutcome {
        decision: verdict.id,
        batch: verdict.batch,
        entity: stored.state.entity.clone(),
        kind: stored.kind.clone(),
        action: match verdict.demand {
            Demand::Settle { .. } => Action::Settle,
            Demand::Restore { .. } => Action::Restore,
            Demand::Reopen { .. } => Action::Reopen,
            Demand::Undo { .. } => Action::Undo,
            Demand::Create { .. } => Action::Create,
            Demand::Refuse { .. } => Action::Refuse,
            Demand::Retry { .. } => Action::Retry,
        },
        result: match reply.result {
            DecisionResult::Accepted => message::DecisionResult::Accepted,
            DecisionResult::Unchanged => message::DecisionResult::Unchanged,
            DecisionResult::Refused => message::DecisionResult::Refused,
            DecisionResult::Waiting => message::DecisionResult::Waiting,
        },
        reason: reply.reason,
        conflict: reply.conflict.map(|number| conflict_id(&stored.state.entity, number)),
        actor: verdict.actor,
        at: verdict.at,
        mapping_version: version,
    }
}
