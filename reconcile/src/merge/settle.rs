//! Conflicts: who wins, what is recorded of the loser, when a person is asked.

use std::collections::BTreeMap;

use super::RECORD;
use super::effect::{ConflictRecord, Settlement};
use super::state::{ConflictNumber, Micros, Resolution, Seen};
use super::turn::{Turn, whence};
use super::{resolve, restore};
use crate::mapping::{self, Direction, FieldMapping, Pair, Policy, Side};
use crate::value::Value;

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

/// Our write had replaced an edit before its stream showed the edit. While `busy` with another decision about the field, it is
/// put on record and our value stays.
pub(super) fn overtaken(
    turn: &mut Turn<'_>,
    field: &FieldMapping,
    target: Side,
    replaced: Seen,
    source: Seen,
    base: Pair<Value>,
    busy: bool,
) {
    let other = target.other();
    let before = standing(turn, field);
    // The replaced edit has been carried across, or is on its way there.
    let state = turn.field(&field.name);
    let carried = before[other] == replaced.value && state.in_flight.as_ref().is_none_or(|flight| flight.between.is_none());
    if planted::on(planted::Bug::OvertakenUnrecorded) {
        return;
    }
    let mut values = Pair { crm: replaced.clone(), erp: replaced.clone() };
    // Edited again since: that edit is what stands against the replaced one.
    let current = turn.field(&field.name).seen[other].clone().filter(|seen| seen.value != source.value && !carried);
    values[other] = current.unwrap_or(source);
    let ruling = rule(turn, field, field.policy, &values, &base);
    let mut record = ConflictRecord {
        number: turn.next_conflict(),
        field: field.name.clone(),
        base,
        values,
        policy: field.policy,
        reason: "our write overtook an edit".to_owned(),
        opened_at: turn.now,
        settled: None,
        overtaken: true,
    };
    let busy = busy || turn.field(&field.name).held_by.is_some();
    let ruling = match ruling {
        Ruling::Winner { side, .. } if side == target && !busy => match restore::stands_for_nothing(turn, field, &replaced.value) {
            Some(reason) => Ruling::Ask(reason),
            None => ruling,
        },
        other => other,
    };
    match ruling {
        Ruling::Ask(reason) if !busy => {
            record.reason = format!("our write overtook an edit; {reason}");
            turn.field(&field.name).held_by = Some(record.number);
        }
        Ruling::Winner { side, tie, reason } if side == target && !busy => {
            record.reason = format!("our write overtook an edit; {reason}");
            record.settled =
                Some(Settlement { winner: Some(side), chosen: replaced.value.clone(), tie, both: false, by: None, at: turn.now });
            turn.field(&field.name).resolution = Some(resolved(&record, &replaced.value, turn.now, before, Pair::default()));
        }
        Ruling::Winner { tie, .. } => {
            stays(turn, &mut record, other, tie);
            if carried && !busy {
                // What our write carried goes back to where the replaced edit has come.
                let mut shown = Pair::default();
                shown[target] = turn.field(&field.name).seen[target].as_ref().map(|seen| seen.value.clone());
                let value = record.values[other].value.clone();
                turn.field(&field.name).resolution = Some(resolved(&record, &value, turn.now, before, shown));
            }
        }
        Ruling::Ask(_) => stays(turn, &mut record, other, false),
    }
    turn.golden = true;
    turn.keep(record);
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

/// A conflict about the record as a whole: `deleted` was deleted while the other side says `standing`.
pub(super) fn deletion(turn: &mut Turn<'_>, deleted: Side, standing: &str, policy: Policy, reason: String, ask: bool) {
    let other = deleted.other();
    let seen = |turn: &Turn<'_>, side: Side, word: &str| {
        let state = &turn.state.sides[side];
        Seen { value: Value::text(word), at: state.at, actor: state.actor.clone() }
    };
    let gone = seen(turn, deleted, "deleted");
    let stays = seen(turn, other, standing);
    let mut values = Pair { crm: stays.clone(), erp: stays };
    values[deleted] = gone;
    let base = Pair { crm: Value::text("present"), erp: Value::text("present") };
    let settled = Settlement { winner: Some(other), chosen: Value::text("kept"), tie: false, both: false, by: None, at: turn.now };
    let record = ConflictRecord {
        number: turn.next_conflict(),
        field: RECORD.to_owned(),
        base,
        values,
        policy,
        reason,
        opened_at: turn.now,
        settled: (!ask).then_some(settled),
        overtaken: false,
    };
    turn.state.sides[deleted].deletion = Some(record.number);
    turn.golden = true;
    turn.keep(record);
}

/// The record goes although one side's edits were never carried across: each is kept.
pub(super) fn lost_with_record(turn: &mut Turn<'_>, deleted: Side, by: Option<&str>, which: impl Fn(&FieldMapping) -> bool) {
    if planted::on(planted::Bug::LostWithRecord) {
        return;
    }
    let mapping = turn.mapping;
    for field in mapping.fields.iter().filter(|field| which(field)) {
        let state = turn.field(&field.name);
        let agreed = state.agreed.clone();
        let Some(lost) = state.seen[deleted.other()].clone() else { continue };
        // A record that was gone before anybody had seen it held nothing.
        let mut both = Pair { crm: lost.clone(), erp: lost };
        both[deleted] = state.seen[deleted].clone().unwrap_or_default();
        if agreed.is_none() && both.crm.value == both.erp.value {
            continue;
        }
        let base = agreed.unwrap_or_default();
        if both[deleted.other()].value == base[deleted.other()] {
            continue;
        }
        let mut record = one_way(turn, field, &both, &format!("the record was deleted {}", whence(deleted, None)));
        stays(turn, &mut record, deleted, false);
        if let Some(settled) = &mut record.settled {
            settled.by = by.map(ToOwned::to_owned);
        }
        turn.keep(record);
    }
}

/// Something about the record as a whole that a person should find on record.
pub(super) fn remark(turn: &mut Turn<'_>, side: Side, reason: String) -> ConflictNumber {
    let other = side.other();
    let seen = |turn: &Turn<'_>, side: Side| {
        let state = &turn.state.sides[side];
        let word = if state.deleted || state.record.is_none() { "absent" } else { "present" };
        Seen { value: Value::text(word), at: state.at, actor: state.actor.clone() }
    };
    let mut values = Pair { crm: seen(turn, side), erp: seen(turn, side) };
    values[other] = seen(turn, other);
    let mut record = ConflictRecord {
        number: turn.next_conflict(),
        field: RECORD.to_owned(),
        base: Pair { crm: Value::text("present"), erp: Value::text("present") },
        values,
        policy: Policy::Review,
        reason,
        opened_at: turn.now,
        settled: None,
        overtaken: false,
    };
    stays(turn, &mut record, side, false);
    let number = record.number;
    turn.golden = true;
    turn.keep(record);
    number
}

/// The delete policy's write to `side` was refused for good.
pub(super) fn cannot_follow(turn: &mut Turn<'_>, side: Side, reason: &str) {
    let deleted = side.other();
    turn.state.sides[deleted].followed = true;
    let policy = match side {
        Side::Crm => Policy::Crm,
        Side::Erp => Policy::Erp,
    };
    let text = format!("deleted {}, but the other record could not follow: {reason}", whence(deleted, None));
    deletion(turn, deleted, "present", policy, text, false);
}
