//! Records that are not one entity because a person said so. It holds for good, whatever keys or scores say later.

use schemas::message::Side;

use super::pair::{Apart, Spot, Twain, apart_key};
use super::state::Entity;
use crate::error::Result;
use crate::task::Context;

/// Every record of an entity, deleted ones too.
pub(super) fn spots(entity: &Entity) -> Vec<Spot> {
    [Side::Crm, Side::Erp].into_iter().filter_map(|side| Some(Spot { side, record: entity.record(side)?.clone() })).collect()
}

/// Whether a record and one of an entity's were parted.
pub(super) fn is_apart(context: &Context<'_>, side: Side, record: &str, entity: &Entity) -> Result<bool> {
    let own = Spot { side, record: record.to_owned() };
    for other in spots(entity) {
        if context.has(&apart_key(&entity.kind, &own, &other))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether any records of two entities were parted.
pub(super) fn are_apart(context: &Context<'_>, one: &Entity, other: &Entity) -> Result<bool> {
    for spot in spots(one) {
        if is_apart(context, spot.side, &spot.record, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Parts records; those that were not parted before.
pub(super) fn part(context: &mut Context<'_>, kind: &str, one: &[Spot], other: &[Spot], decision: &str) -> Result<Vec<Twain>> {
    let mut parted = Vec::new();
    for left in one {
        for right in other {
            let key = apart_key(kind, left, right);
            if left == right || context.has(&key)? {
                continue;
            }
            let apart = Apart { decision: decision.to_owned() };
            context.put(key, &apart);
            context.put(apart_key(kind, right, left), &apart);
            parted.push(Twain { left: left.clone(), right: right.clone(), decision: decision.to_owned() });
        }
    }
    Ok(parted)
}

/// Takes back that records are parted; those that were.
pub(super) fn lift(context: &mut Context<'_>, kind: &str, one: &[Spot], other: &[Spot]) -> Result<Vec<Twain>> {
    let mut lifted = Vec::new();
    for left in one {
        for right in other {
            if let Some(apart) = context.get::<Apart>(&apart_key(kind, left, right))? {
                forget(context, kind, left, right);
                lifted.push(Twain { left: left.clone(), right: right.clone(), decision: apart.decision });
            }
        }
    }
    Ok(lifted)
}

pub(super) fn forget(context: &mut Context<'_>, kind: &str, left: &Spot, right: &Spot) {
    context.delete(apart_key(kind, left, right));
    context.delete(apart_key(kind, right, left));
}

/// Parts records again as they were.
pub(super) fn restore(context: &mut Context<'_>, kind: &str, twain: &Twain) {
    let apart = Apart { decision: twain.decision.clone() };
    context.put(apart_key(kind, &twain.left, &twain.right), &apart);
    context.put(apart_key(kind, &twain.right, &twain.left), &apart);
}
