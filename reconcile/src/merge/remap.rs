//! What a changed mapping leaves behind.
//!
//! A field that is no longer mapped is forgotten, with its open conflict settled and its write taken as no longer waited for:
//! nobody shows us its values any more, and should it be mapped again, what was known by then would be wrong. Everything else
//! goes on under the rules in force when its turn comes: an open conflict stays open whatever the policy is now, a write on
//! its way ends as it was sent.

use super::settle;
use super::turn::Turn;

pub(super) fn forget_unmapped(turn: &mut Turn<'_>) {
    let mapping = turn.mapping;
    if turn.state.fields.len() <= mapping.fields.len() && turn.state.fields.keys().all(|name| mapping.field(name).is_some()) {
        return;
    }
    let gone: Vec<String> = turn.state.fields.keys().filter(|name| mapping.field(name).is_none()).cloned().collect();
    for name in gone {
        let Some(field) = turn.state.fields.remove(&name) else { continue };
        let opening = field.resolution.filter(|resolution| resolution.reopens).map(|resolution| resolution.conflict);
        for number in field.held_by.into_iter().chain(opening) {
            settle::withdraw(turn, number, None, "the field is no longer mapped");
        }
        turn.golden = true;
    }
}
