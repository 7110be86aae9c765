//! Takes back how a conflict was settled: both sides get back what they held, and it is open again.
//!
//! An edit that arrives meanwhile is not written over: the conflict opens with it, and the value that could not be put back
//! stays on record.

use super::RECORD;
use super::decide::Done;
use super::effect::{ConflictRecord, Settlement};
use super::event::Verdict;
use super::restore::{self, Ready};
use super::state::{ConflictNumber, Resolution};
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

pub(super) fn reopened(turn: &mut Turn<'_>, verdict: &Verdict, number: ConflictNumber, kept: Option<&ConflictRecord>) -> Done {
    if turn.state.conflicts.contains_key(&number.0) {
        return Done::Unchanged("this conflict is open".to_owned());
    }
    let Some(record) = kept else {
        return Done::Refused(
            "this conflict is older than what is remembered of a record; restore one of its values, naming the field and the value"
                .to_owned(),
        );
    };
    let Some(settled) = record.settled.clone() else { return Done::Unchanged("this conflict is open".to_owned()) };
    if record.field == RECORD {
        return Done::Refused("this conflict was about the record as a whole; undo the write that followed from it".to_owned());
    }
    let entity = turn.mapping;
    let Some(field) = entity.field(&record.field) else { return Done::Refused(format!("the field {} is no longer mapped", record.field)) };
    let both = match restore::ready(turn, field) {
        Ready::Now(both) => both,
        Ready::Wait => return Done::Wait,
        Ready::No(reason) => return Done::Refused(reason),
    };
    let value = Pair { crm: record.values.crm.value.clone(), erp: record.values.erp.value.clone() };
    if value.crm == value.erp {
        return Done::Refused("both sides came to hold the same value, so that there is nothing to decide".to_owned());
    }
    let given = |side: Side| if settled.both { &value[side] } else { &settled.chosen };
    let stands = |side: Side| {
        let seen = &both[side].value;
        *seen == value[side] || restore::holds(turn, field, side, seen, given(side))
    };
    let edited: Vec<Side> = Side::BOTH.into_iter().filter(|side| !stands(*side)).collect();
    if !edited.is_empty() && !verdict.force {
        let editors = restore::editors(field, &both, &edited);
        return Done::Refused(format!("{editors}; force it to put the earlier values back all the same, or decide anew"));
    }
    if let Some(reason) = restore::leads_nowhere(turn, field, &both, &value) {
        return Done::Refused(reason);
    }
    if !edited.is_empty() {
        let mut replaced = record.clone();
        replaced.number = turn.next_conflict();
        replaced.values = both.clone();
        replaced.reason = format!("replaced when {} opened an earlier conflict again", verdict.actor);
        replaced.opened_at = turn.now;
        let by = Some(verdict.actor.clone());
        replaced.settled = Some(Settlement { winner: None, chosen: Value::Null, tie: false, both: true, by, at: turn.now });
        turn.keep(replaced);
    }
    let mut open = record.clone();
    open.settled = None;
    open.reason = format!("opened again by {}; {}", verdict.actor, record.reason);
    turn.keep(open);
    restore::start(turn, field, number, value, &verdict.actor, true);
    Done::kept_in("both sides get back what they held, and the conflict is open again", number)
}

/// Both sides hold their own values again, or one was edited before it did: the field is held.
pub(super) fn open_again(turn: &mut Turn<'_>, field: &FieldMapping, resolution: &Resolution) {
    let number = resolution.conflict;
    let (Some(mut record), Some(both)) = (turn.state.conflicts.get(&number.0).cloned(), turn.both(&field.name)) else { return };
    let held = record.values.clone();
    for side in Side::BOTH {
        if both[side].value == held[side].value {
            continue;
        }
        if resolution.shown[side].is_none() {
            let mut lost = record.clone();
            lost.number = turn.next_conflict();
            lost.values = both.clone();
            lost.values[side] = held[side].clone();
            lost.reason = "it could not be put back, because the field was edited meanwhile".to_owned();
            lost.opened_at = turn.now;
            let chosen = both[side].value.clone();
            lost.settled = Some(Settlement { winner: None, chosen, tie: false, both: false, by: resolution.by.clone(), at: turn.now });
            turn.keep(lost);
        }
        record.values[side] = both[side].clone();
    }
    let base = record.base.clone();
    turn.keep(record);
    let state = turn.field(&field.name);
    state.agreed = Some(base);
    state.held_by = Some(number);
    turn.golden = true;
}
