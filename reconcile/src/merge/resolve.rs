//! Carries a settled conflict's value to whichever side lacks it, in the face of newer edits.

use super::evaluate::agree;
use super::reopen;
use super::send::Plan;
use super::turn::Turn;
use crate::mapping::{FieldMapping, Pair, Side};
use crate::value::Value;

/// True when nothing more is to be decided for the field now.
pub(super) fn carry_out(turn: &mut Turn<'_>, field: &FieldMapping) -> bool {
    let Some(both) = turn.both(&field.name) else { return true };
    if Side::BOTH.iter().any(|side| turn.state.sides[*side].deleted) {
        // Nothing can be carried there; what was not is kept with the record's end, or goes on when it is back.
        return true;
    }
    let state = turn.field(&field.name);
    let Some(mut resolution) = state.resolution.take() else { return false };
    if planted::on(planted::Bug::DropResolution) {
        agree(turn, field, &both);
        return true;
    }
    for side in Side::BOTH {
        let seen = &both[side].value;
        let stays = !field.direction.allows(side);
        let value = &resolution.value[side];
        let holds = *seen == *value || *seen == turn.predicted(field, side, value);
        if resolution.shown[side].is_none() && (holds || stays) {
            // Where nothing is written, an edit since the decision is one all the same.
            resolution.shown[side] = Some(if holds { seen.clone() } else { resolution.before[side].clone() });
        }
    }
    let interfered = |side: Side| match &resolution.shown[side] {
        Some(shown) => both[side].value != *shown,
        None => both[side].value != resolution.before[side],
    };
    if resolution.reopens && (Side::BOTH.into_iter().any(interfered) || Side::BOTH.iter().all(|side| resolution.shown[*side].is_some())) {
        reopen::open_again(turn, field, &resolution);
        return true;
    }
    let shown = (resolution.shown.crm.clone(), resolution.shown.erp.clone());
    let todo = match shown {
        (Some(crm), Some(erp)) => {
            turn.field(&field.name).agreed = Some(Pair { crm, erp });
            turn.golden = true;
            return false;
        }
        (Some(_), None) => Side::Erp,
        (None, _) => Side::Crm,
    };
    let other = todo.other();
    let moved = |side: Side, expected: &Value| both[side].value != *expected && !planted::on(planted::Bug::ResolutionOverEdits);
    match &resolution.shown[other] {
        Some(shown) if moved(todo, &resolution.before[todo]) => {
            // Edited after the decision, before it could be carried out: a conflict of its own.
            if both[todo].value == both[other].value {
                agree(turn, field, &both);
                return true;
            }
            // Where two records have just met, the other side's value was never agreed on either.
            let agreed = turn.field(&field.name).agreed.get_or_insert_default();
            agreed[todo] = resolution.before[todo].clone();
            if moved(other, shown) {
                // So was the chosen one, where it came from.
                agreed[other] = shown.clone();
            }
            return false;
        }
        Some(shown) if moved(other, shown) => {
            // The chosen value was edited where it came from; the edit takes its place.
            resolution.value = twice(&both[other].value);
            resolution.shown[other] = Some(both[other].value.clone());
        }
        None => {
            let edited: Vec<Side> = Side::BOTH.into_iter().filter(|side| moved(*side, &resolution.before[*side])).collect();
            match edited.as_slice() {
                [] => {}
                [side] => {
                    // Somebody put in another value before the chosen one was anywhere.
                    resolution.value = twice(&both[*side].value);
                    resolution.shown[*side] = Some(both[*side].value.clone());
                    resolution.by = None;
                }
                _ => {
                    // Both did: a conflict of its own, and the chosen value is on record.
                    turn.field(&field.name).agreed = Some(resolution.before);
                    return false;
                }
            }
        }
        Some(_) => {}
    }
    let target = if resolution.shown[todo].is_some() { other } else { todo };
    let actor = resolution.by.clone().or_else(|| both[target.other()].actor.clone());
    let reason = match &resolution.by {
        Some(person) => format!("decided by {person}"),
        None => "settled by the policy".to_owned(),
    };
    turn.plans.push(Plan {
        field: field.name.clone(),
        target,
        value: resolution.value[target].clone(),
        source: resolution.value[target.other()].clone(),
        reason,
        caused_at: if resolution.by.is_some() { resolution.at } else { both[target.other()].at },
        actor,
        conflict: Some(resolution.conflict),
        decided: resolution.by.is_some(),
    });
    turn.field(&field.name).resolution = Some(resolution);
    true
}

/// The same for both sides.
pub(super) fn twice(value: &Value) -> Pair<Value> {
    Pair { crm: value.clone(), erp: value.clone() }
}
