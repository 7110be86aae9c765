//! Conflicts: who wins, what is recorded of the loser, when a person is asked.

use std::collections::BTreeMap;

use super::effect::{ConflictRecord, Settlement};
use super::resolve;
use super::state::{ConflictNumber, Micros, Resolution, Seen};
use super::turn::{Turn, whence};
use crate::mapping::{self, Direction, FieldMapping, Pair, Policy, Side};
use crate::value::Value;

mod overtaken;
mod record;

pub(super) use overtaken::overtaken;
pub(super) use record::{cannot_follow, deletion, lost_with_record, remark};

enum Ruling {
    Winner { side: Side, tie: bool, reason: String },
    Ask(String),
}

/// Both sides changed, to different values. `initial` is the policy of first contact.
pub(super) fn conflict(turn: &mut Turn<'_>, field: &FieldMapping, both: &Pair<Seen>, base: &Pair<Value>, initial: Option<Policy>) {
    if Side::BOTH.iter().any(|side| turn.state.sides[*side].deleted) {
        outlived(turn, field, both, base);
        return;
    }
    let policy = initial.unwrap_or(field.policy);
    let ruling = rule(turn, field, policy, both, base);
    let mut record = ConflictRecord {
        number: ConflictNumber(turn.state.next_conflict),
        field: field.name.clone(),
        base: base.clone(),
        values: both.clone(),
        policy,
        reason: String::new(),
        opened_at: turn.now,
        settled: None,
        overtaken: false,
    };
    let first = if initial.is_some() { "first contact: " } else { "" };
    match ruling {
        Ruling::Ask(reason) => {
            record.number = turn.next_conflict();
            record.reason = format!("{first}{reason}");
            turn.field(&field.name).held_by = Some(record.number);
            turn.golden = true;
            turn.keep(record);
        }
        Ruling::Winner { side, tie, reason } => {
            record.number = turn.next_conflict();
            record.reason = format!("{first}{reason}");
            win(turn, field, record, side, tie);
        }
    }
}

/// One side's record is gone, with an edit that was never carried across; the other side's edit stands. Should the record come
/// back, it goes there, unless the field never travels that way: then its master's value comes back with the record.
fn outlived(turn: &mut Turn<'_>, field: &FieldMapping, both: &Pair<Seen>, base: &Pair<Value>) {
    let gone = Pair { crm: turn.state.sides.crm.deleted, erp: turn.state.sides.erp.deleted };
    if gone.crm && gone.erp {
        return;
    }
    let gone = if gone.crm { Side::Crm } else { Side::Erp };
    let winner = if field.direction.allows(gone) { gone.other() } else { gone };
    let mut record = ConflictRecord {
        number: turn.next_conflict(),
        field: field.name.clone(),
        base: base.clone(),
        values: both.clone(),
        policy: field.policy,
        reason: format!("the record was deleted {}", whence(gone, None)),
        opened_at: turn.now,
        settled: None,
        overtaken: false,
    };
    stays(turn, &mut record, winner, false);
    let value = both[winner].value.clone();
    let before = Pair { crm: both.crm.value.clone(), erp: both.erp.value.clone() };
    let mut shown = Pair::default();
    shown[winner] = Some(value.clone());
    turn.field(&field.name).resolution = Some(resolved(&record, &value, turn.now, before, shown));
    turn.golden = true;
    turn.keep(record);
}

/// Settles a record for a side and starts to carry its value across.
fn win(turn: &mut Turn<'_>, field: &FieldMapping, mut record: ConflictRecord, side: Side, tie: bool) {
    let both = record.values.clone();
    let chosen = both[side].value.clone();
    record.settled = Some(Settlement { winner: Some(side), chosen: chosen.clone(), tie, both: false, by: None, at: turn.now });
    let mut shown = Pair::default();
    shown[side] = Some(chosen.clone());
    turn.field(&field.name).resolution = Some(Resolution {
        conflict: record.number,
        value: resolve::twice(&chosen),
        by: None,
        at: turn.now,
        before: Pair { crm: both.crm.value, erp: both.erp.value },
        shown,
        reopens: false,
    });
    turn.golden = true;
    if !planted::on(planted::Bug::LoserUnrecorded) {
        turn.keep(record);
    }
    resolve::carry_out(turn, field);
}

fn resolved(record: &ConflictRecord, value: &Value, at: Micros, before: Pair<Value>, shown: Pair<Option<Value>>) -> Resolution {
    Resolution { conflict: record.number, value: resolve::twice(value), by: None, at, before, shown, reopens: false }
}

fn stays(turn: &Turn<'_>, record: &mut ConflictRecord, side: Side, tie: bool) {
    let chosen = record.values[side].value.clone();
    record.settled = Some(Settlement { winner: Some(side), chosen, tie, both: false, by: None, at: turn.now });
}

/// What each side holds, or will when the write on its way arrives.
pub(super) fn standing(turn: &Turn<'_>, field: &FieldMapping) -> Pair<Value> {
    let Some(state) = turn.state.fields.get(&field.name) else { return Pair::default() };
    let mut values = Pair::default();
    for side in Side::BOTH {
        values[side] = match &state.in_flight {
            Some(flight) if flight.target == side => flight.value.clone(),
            _ => state.seen[side].as_ref().map(|seen| seen.value.clone()).unwrap_or_default(),
        };
    }
    values
}

fn rule(turn: &Turn<'_>, field: &FieldMapping, policy: Policy, both: &Pair<Seen>, base: &Pair<Value>) -> Ruling {
    if let Some(expression) = field.review_when.as_ref().filter(|_| !planted::on(planted::Bug::IgnoreReviewWhen)) {
        let record = canonical_record(turn);
        let review = mapping::Review {
            values: Pair { crm: &both.crm.value, erp: &both.erp.value },
            base,
            actors: Pair { crm: both.crm.actor.as_deref(), erp: both.erp.actor.as_deref() },
            record: &record,
        };
        match mapping::holds(expression, &review) {
            Ok(true) => return Ruling::Ask(format!("a person decides when {}", expression.text)),
            Ok(false) => {}
            Err(error) => return Ruling::Ask(format!("a person decides because the rule failed: {error}")),
        }
    }
    if policy == Policy::Review {
        return Ruling::Ask("both sides changed it".to_owned());
    }
    let winner = |side: Side, tie: bool, reason: &str| Ruling::Winner { side, tie, reason: reason.to_owned() };
    match field.direction {
        Direction::Both => {}
        Direction::ToCrm => return winner(Side::Erp, false, "the ERP is the master of this field"),
        Direction::ToErp => return winner(Side::Crm, false, "the CRM is the master of this field"),
    }
    match policy {
        Policy::Crm => winner(Side::Crm, false, "the CRM wins by policy"),
        Policy::Erp => winner(Side::Erp, false, "the ERP wins by policy"),
        Policy::LastWrite => {
            let apart = both.crm.at.abs_diff(both.erp.at);
            let newer = if (both.crm.at > both.erp.at) != planted::on(planted::Bug::OlderWins) { Side::Crm } else { Side::Erp };
            if apart == 0 || (apart < turn.mapping.skew_us.unsigned_abs() && !planted::on(planted::Bug::IgnoreSkew)) {
                let tie = if planted::on(planted::Bug::TieWrongWay) { turn.mapping.tie.other() } else { turn.mapping.tie };
                winner(tie, true, "the edits are too close to tell which is newer; the configured side wins")
            } else {
                let edit = whence(newer, both[newer].actor.as_deref());
                winner(newer, false, &format!("the newer edit wins, {edit}"))
            }
        }
        Policy::Review => Ruling::Ask("both sides changed it".to_owned()),
    }
}

/// The merged record: agreed values, else what either side is seen to hold.
fn canonical_record(turn: &Turn<'_>) -> BTreeMap<String, Value> {
    let mut record = BTreeMap::new();
    for field in &turn.mapping.fields {
        let state = turn.state.fields.get(&field.name);
        let agreed = state.and_then(|state| state.agreed.as_ref()).map(|agreed| agreed.crm.clone());
        let seen = state.and_then(|state| state.seen.crm.as_ref().or(state.seen.erp.as_ref())).map(|seen| seen.value.clone());
        record.insert(field.name.clone(), agreed.or(seen).unwrap_or_default());
    }
    record
}

/// A side's value changed while its conflict is open.
pub(super) fn update(turn: &mut Turn<'_>, number: ConflictNumber, side: Side, seen: &Seen) {
    let Some(mut record) = turn.state.conflicts.get(&number.0).cloned() else { return };
    if record.values[side] != *seen {
        record.values[side] = seen.clone();
        turn.keep(record);
    }
}

/// True while the field's conflict waits for a person. Equal values settle it.
pub(super) fn still_held(turn: &mut Turn<'_>, field: &FieldMapping) -> bool {
    let Some(number) = turn.field(&field.name).held_by else { return false };
    let Some(mut record) = turn.state.conflicts.get(&number.0).cloned() else {
        turn.field(&field.name).held_by = None;
        return false;
    };
    if record.values.crm.value != record.values.erp.value {
        return true;
    }
    let chosen = record.values.crm.value.clone();
    record.reason = "both sides came to hold the same value".to_owned();
    record.settled = Some(Settlement { winner: None, chosen, tie: false, both: false, by: None, at: turn.now });
    turn.field(&field.name).held_by = None;
    turn.golden = true;
    turn.keep(record);
    false
}

/// Settles an open conflict because its cause is gone.
pub(super) fn withdraw(turn: &mut Turn<'_>, number: ConflictNumber, winner: Option<Side>, reason: &str) {
    let Some(mut record) = turn.state.conflicts.get(&number.0).cloned() else { return };
    let chosen = winner.map(|side| record.values[side].value.clone()).unwrap_or_default();
    reason.clone_into(&mut record.reason);
    record.settled = Some(Settlement { winner, chosen, tie: false, both: false, by: None, at: turn.now });
    turn.keep(record);
}

fn one_way(turn: &mut Turn<'_>, field: &FieldMapping, both: &Pair<Seen>, reason: &str) -> ConflictRecord {
    let base = turn.field(&field.name).agreed.clone().unwrap_or_default();
    ConflictRecord {
        number: turn.next_conflict(),
        field: field.name.clone(),
        base,
        values: both.clone(),
        policy: field.policy,
        reason: reason.to_owned(),
        opened_at: turn.now,
        settled: None,
        overtaken: false,
    }
}

/// The master's value goes over an edit made where the field never travels from.
pub(super) fn reassert(turn: &mut Turn<'_>, field: &FieldMapping, side: Side, both: &Pair<Seen>) {
    let record = one_way(turn, field, both, "edited where this field is not the master; the master's value is put back");
    win(turn, field, record, side.other(), false);
}

/// An edit made where the field never travels from stays, on record.
pub(super) fn report_drift(turn: &mut Turn<'_>, field: &FieldMapping, side: Side, both: &Pair<Seen>) {
    let mut record = one_way(turn, field, both, "edited where this field is not the master; the value stays there");
    stays(turn, &mut record, side, false);
    turn.keep(record);
}
