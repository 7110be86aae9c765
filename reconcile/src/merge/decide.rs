//! Takes in what a person decided about an open conflict. A decision that is late or repeated finds nothing open and changes
//! nothing.

use super::RECORD;
use super::effect::{ConflictRecord, Settlement};
use super::event::{Choice, Verdict};
use super::settle;
use super::state::Resolution;
use super::turn::Turn;
use crate::mapping::{self, Pair, Side};
use crate::value::Value;

pub(super) fn decided(turn: &mut Turn<'_>, verdict: &Verdict) {
    let Some(record) = turn.state.conflicts.get(&verdict.conflict.0).cloned() else { return };
    if record.field == RECORD {
        about_record(turn, verdict, record);
        return;
    }
    let entity = turn.mapping;
    let Some(field) = entity.field(&record.field) else {
        // The mapping no longer has it.
        settle::withdraw(turn, verdict.conflict, None, "the field is no longer mapped");
        return;
    };
    let (winner, chosen) = match &verdict.choice {
        Choice::Side(side) => (Some(*side), record.values[*side].value.clone()),
        Choice::Value(value) => match mapping::conform(&field.kind, value) {
            Ok(value) => (None, value),
            Err(reason) => {
                let mut record = record;
                record.reason = format!("{} chose {value}, but {reason}", verdict.actor);
                turn.keep(record);
                return;
            }
        },
    };
    settled(turn, record, verdict, winner, chosen.clone());
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
    state.resolution = Some(Resolution { conflict: verdict.conflict, value: chosen, by, at, before, shown });
    turn.golden = true;
}

fn settled(turn: &mut Turn<'_>, mut record: ConflictRecord, verdict: &Verdict, winner: Option<Side>, chosen: Value) {
    let by = Some(verdict.actor.clone());
    record.settled = Some(Settlement { winner, chosen, tie: false, by, at: turn.now });
    turn.keep(record);
}

/// Deleted on one side: the deleting side's choice deletes the other record too, any other keeps it.
fn about_record(turn: &mut Turn<'_>, verdict: &Verdict, record: ConflictRecord) {
    let deleted = Side::BOTH.into_iter().find(|side| turn.state.sides[*side].deletion == Some(verdict.conflict));
    let winner = match &verdict.choice {
        Choice::Side(side) => *side,
        Choice::Value(_) => deleted.unwrap_or(Side::Crm).other(),
    };
    let chosen = record.values[winner].value.clone();
    settled(turn, record, verdict, Some(winner), chosen);
    if deleted == Some(winner) {
        super::delete::follow(turn, winner, Some((verdict.conflict, verdict.actor.clone())));
    }
}
