//! Puts a value that lost back on both sides. What it replaces is kept in a conflict record of its own, so that a restore can
//! be taken back by a restore.

use super::RECORD;
use super::decide::Done;
use super::delete;
use super::effect::{ConflictRecord, Settlement};
use super::event::{Choice, Verdict};
use super::resolve::twice;
use super::settle;
use super::state::{ConflictNumber, Resolution, Seen};
use super::turn::{Turn, whence};
use crate::mapping::{self, FieldMapping, Pair, Side};
use crate::value::Value;

pub(super) fn restored(
    turn: &mut Turn<'_>,
    verdict: &Verdict,
    conflict: Option<ConflictNumber>,
    name: Option<&str>,
    choice: &Choice,
    kept: Option<&ConflictRecord>,
) -> Done {
    if let Some(number) = conflict
        && turn.state.conflicts.contains_key(&number.0)
    {
        return Done::Refused("this conflict is open; decide it instead".to_owned());
    }
    let Some(name) = kept.map(|record| record.field.as_str()).or(name) else {
        return Done::Refused(
            "this conflict is older than what is remembered of a record; name the field and the value, as its record shows them".to_owned(),
        );
    };
    if name == RECORD {
        return Done::Refused("this conflict was about the record as a whole; undo the write that followed from it".to_owned());
    }
    let entity = turn.mapping;
    let Some(field) = entity.field(name) else { return Done::Refused(format!("the field {name} is no longer mapped")) };
    let value = match (choice, kept) {
        (Choice::Value(value), _) => match mapping::conform(&field.kind, value) {
            Ok(value) => twice(&value),
            Err(reason) => return Done::Refused(format!("{value} cannot be a {}: {reason}", field.label)),
        },
        (Choice::Side(side), Some(record)) => twice(&record.values[*side].value),
        (Choice::Both, Some(record)) => Pair { crm: record.values.crm.value.clone(), erp: record.values.erp.value.clone() },
        (Choice::Side(_) | Choice::Both, None) => {
            return Done::Refused(
                "this conflict is older than what is remembered of a record; give the value itself, as its record shows it".to_owned(),
            );
        }
    };
    let both = match ready(turn, field) {
        Ready::Now(both) => both,
        Ready::Wait => return Done::Wait,
        Ready::No(reason) => return Done::Refused(reason),
    };
    if Side::BOTH.iter().all(|side| holds(turn, field, *side, &both[*side].value, &value[*side])) {
        return Done::Unchanged(format!("{} holds that on both sides already", field.label));
    }
    if let Some(reason) = leads_nowhere(turn, field, &both, &value) {
        return Done::Refused(reason);
    }
    let number = put(turn, field, &both, value, format!("restored by {}", verdict.actor), &verdict.actor);
    Done::kept_in("the value goes to both sides; what it replaces is kept", number)
}

/// Whether a field can be given other values now.
pub(super) enum Ready {
    Now(Pair<Seen>),
    Wait,
    No(String),
}

pub(super) fn ready(turn: &Turn<'_>, field: &FieldMapping) -> Ready {
    for side in Side::BOTH {
        let state = &turn.state.sides[side];
        if state.creating.is_some() || state.deleting.is_some() {
            return Ready::Wait;
        }
        if state.record.is_none() || state.deleted {
            return Ready::No(format!("there is no record {} any more", whence(side, None)));
        }
    }
    let Some(state) = turn.state.fields.get(&field.name) else { return Ready::No(format!("nothing is known of {} yet", field.label)) };
    if state.held_by.is_some() {
        return Ready::No(format!("a conflict about {} is open; decide that one, with another value if need be", field.label));
    }
    if state.in_flight.is_some() || state.waits() || (state.resolution.is_some() && state.failed.is_none()) {
        return Ready::Wait;
    }
    match turn.both(&field.name) {
        Some(both) => Ready::Now(both),
        None => Ready::No(format!("{} has not been seen on both sides", field.label)),
    }
}

/// Whether a side's value is the wanted one, or what the side makes of it.
pub(super) fn holds(turn: &Turn<'_>, field: &FieldMapping, side: Side, value: &Value, wanted: &Value) -> bool {
    value == wanted || *value == turn.predicted(field, side, wanted)
}

/// Why a reference cannot be given these values: it would mean a record that is not there, or of which nothing is known here,
/// as nothing refers to it now. Nobody would tell should it come.
pub(super) fn leads_nowhere(turn: &Turn<'_>, field: &FieldMapping, both: &Pair<Seen>, value: &Pair<Value>) -> Option<String> {
    let lacks = |side: &Side| {
        field.direction.allows(*side)
            && !holds(turn, field, *side, &both[*side].value, &value[*side])
            && matches!(turn.columns(field, *side, &value[*side]), Ok(None))
    };
    let side = Side::BOTH.into_iter().find(lacks)?;
    Some(format!("what {} would refer to is not known {}; choose it there by hand", field.label, whence(side, None)))
}

/// The same for a value that is to stand on both sides. Where one of them holds it, what it means is told when it comes.
pub(super) fn stands_for_nothing(turn: &Turn<'_>, field: &FieldMapping, value: &Value) -> Option<String> {
    let both = turn.both(&field.name)?;
    let held = Side::BOTH.into_iter().any(|side| holds(turn, field, side, &both[side].value, value));
    if held { None } else { leads_nowhere(turn, field, &both, &twice(value)) }
}

/// Gives a field these values, keeping what they replace on record. [`ready`] has said that it can be done now.
pub(super) fn put(
    turn: &mut Turn<'_>,
    field: &FieldMapping,
    both: &Pair<Seen>,
    value: Pair<Value>,
    reason: String,
    by: &str,
) -> ConflictNumber {
    let own = value.crm != value.erp;
    let chosen = if own { Value::Null } else { value.crm.clone() };
    let settled = Settlement { winner: None, chosen, tie: false, both: own, by: Some(by.to_owned()), at: turn.now };
    let number = turn.next_conflict();
    let record = ConflictRecord {
        number,
        field: field.name.clone(),
        base: turn.field(&field.name).agreed.clone().unwrap_or_default(),
        values: both.clone(),
        policy: field.policy,
        reason,
        opened_at: turn.now,
        settled: Some(settled),
        overtaken: false,
    };
    turn.keep(record);
    start(turn, field, number, value, by, false);
    number
}

/// Starts to carry values to both sides.
pub(super) fn start(turn: &mut Turn<'_>, field: &FieldMapping, conflict: ConflictNumber, value: Pair<Value>, by: &str, reopens: bool) {
    let before = settle::standing(turn, field);
    let by = Some(by.to_owned());
    let at = turn.now;
    let state = turn.field(&field.name);
    state.failed = None;
    state.resolution = Some(Resolution { conflict, value, by, at, before, shown: Pair::default(), reopens });
    turn.golden = true;
}

/// Who edited a field last, among the sides whose value is not the expected one.
pub(super) fn editors(field: &FieldMapping, both: &Pair<Seen>, sides: &[Side]) -> String {
    let edits: Vec<String> = sides.iter().map(|side| whence(*side, both[*side].actor.as_deref())).collect();
    format!("{} was edited since, {}", field.label, edits.join(" and "))
}

/// Whether anything about the record as a whole is on its way.
pub(super) fn record_is_busy(turn: &Turn<'_>, side: Side) -> bool {
    turn.state.sides[side].creating.is_some() || turn.state.sides[side].deleting.is_some() || delete::flying(turn, side)
}
