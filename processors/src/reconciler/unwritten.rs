//! Values that the mapping cannot write: too long, without a word, missing where one is required. Nothing is sent for them, so
//! no answer tells of them; they are told as dead letters of the entity until they can be written.

use std::collections::BTreeSet;

use reconcile::mapping::EntityMapping;
use reconcile::merge::EntityState;

use super::Reconciler;
use crate::error::Error;
use crate::task::Context;

/// Why each field, or the record as a whole, cannot be written. What a target has answered is none of it.
fn reasons(mapping: &EntityMapping, state: &EntityState) -> BTreeSet<String> {
    // As `reconcile::Error::Write` says it.
    let own = |reason: &&String| reason.split_once(": cannot write ").is_some_and(|(name, _)| mapping.field(name).is_some());
    let fields = state.fields.values().filter_map(|field| field.failed.as_ref().map(|failure| &failure.reason));
    let records = [&state.sides.crm, &state.sides.erp].into_iter().filter_map(|side| side.create_failed.as_ref());
    fields.chain(records).filter(own).cloned().collect()
}

/// What cannot be written of an entity at some moment.
pub(super) struct Unwritten(BTreeSet<String>);

impl Unwritten {
    pub(super) fn of(mapping: &EntityMapping, state: &EntityState) -> Self {
        Self(reasons(mapping, state))
    }
}

impl Reconciler {
    /// Tells what cannot be written since then, or that all of it can be again.
    pub(super) fn tell_unwritten(&self, context: &mut Context<'_>, mapping: &EntityMapping, before: &Unwritten, state: &EntityState) {
        let now = reasons(mapping, state);
        for reason in now.difference(&before.0) {
            context.misfit(&self.changes_topic, &state.entity, Error::Unwritten { reason: reason.clone() });
        }
        if now.is_empty() && !before.0.is_empty() {
            context.mended(&self.changes_topic, &state.entity);
        }
    }
}
