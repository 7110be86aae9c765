//! An edit that our write replaced before its target's stream showed it.

use super::super::effect::{ConflictRecord, Settlement};
use super::super::state::Seen;
use super::super::turn::Turn;
use super::super::{echo, restore};
use super::{Ruling, resolved, rule, standing, stays};
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

/// Our write had replaced an edit before its stream showed the edit. While `busy` with another decision about the field, it is
/// put on record and our value stays.
pub(in super::super) fn overtaken(
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
                let value = record.values[other].value.clone();
                let left = turn.field(&field.name).seen[target].as_ref().map(|seen| echo::left(field, &seen.value, &value).clone());
                let mut shown = Pair::default();
                shown[target] = left;
                turn.field(&field.name).resolution = Some(resolved(&record, &value, turn.now, before, shown));
            }
        }
        Ruling::Ask(_) => stays(turn, &mut record, other, false),
    }
    turn.golden = true;
    turn.keep(record);
}
