//! Conflicts about a record as a whole, and what goes with one that is deleted.

use super::super::RECORD;
use super::super::effect::{ConflictRecord, Settlement};
use super::super::state::{ConflictNumber, Seen};
use super::super::turn::{Turn, whence};
use super::{one_way, stays};
use crate::mapping::{FieldMapping, Pair, Policy, Side};
use crate::value::Value;

/// A conflict about the record as a whole: `deleted` was deleted while the other side says `standing`.
pub(in super::super) fn deletion(turn: &mut Turn<'_>, deleted: Side, standing: &str, policy: Policy, reason: String, ask: bool) {
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
pub(in super::super) fn lost_with_record(turn: &mut Turn<'_>, deleted: Side, by: Option<&str>, which: impl Fn(&FieldMapping) -> bool) {
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
pub(in super::super) fn remark(turn: &mut Turn<'_>, side: Side, reason: String) -> ConflictNumber {
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
pub(in super::super) fn cannot_follow(turn: &mut Turn<'_>, side: Side, reason: &str) {
    let deleted = side.other();
    turn.state.sides[deleted].followed = true;
    let policy = match side {
        Side::Crm => Policy::Crm,
        Side::Erp => Policy::Erp,
    };
    let text = format!("deleted {}, but the other record could not follow: {reason}", whence(deleted, None));
    deletion(turn, deleted, "present", policy, text, false);
}
