//! A record that is gone. What was known of it stays, so that it finds its entity again should it come back.

use schemas::cdc::Source as Origin;
use schemas::message::{EntityChange, EntityOp};

use super::Matcher;
use super::entity::{canonical_known, is_ambiguous};
use super::link::index_keys;
use super::plan::{Plan, Source, Use};
use super::state::{Entity, Known, entity_key, record_key};
use crate::error::Result;
use crate::task::Context;

impl Matcher {
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    pub(super) fn delete(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        id: &str,
        mut known: Known,
        origin: &Origin,
        offset: i64,
    ) -> Result<()> {
        if known.gone {
            return Ok(());
        }
        let key = record_key(source.side, &source.object, id);
        if known.entity.is_empty() {
            // It still waited for its parent: nobody has heard of it.
            context.delete(key);
            return Ok(());
        }
        known.gone = true;
        known.offset = offset;
        known.snapshot = origin.snapshot;
        known.committed_at = origin.committed_at;
        known.position.clone_from(&origin.position);
        known.actor.clone_from(&origin.actor);
        known.origin.clone_from(&origin.origin);
        match source.purpose {
            Use::Captured(index) => self.captured_gone(context, plan, source, index, id, &known),
            Use::Entity(index) => {
                let mapping = &plan.mapping.entities[index];
                index_keys(context, mapping, source.side, id, &known.entity, Some(&known.columns), None)?;
                if let Some(mut entity) = context.get::<Entity>(&entity_key(&known.entity))?
                    && entity.live(source.side).is_some_and(|record| record == id)
                {
                    entity.set(source.side, Some(id.to_owned()), true);
                    context.put(entity_key(&known.entity), &entity);
                }
                let references = self.references(context, plan, source, &known)?;
                let may_create = self.may_create(context, mapping)? && !is_ambiguous(context, &known.entity)?;
                let change = EntityChange {
                    op: EntityOp::Deleted,
                    before: canonical_known(mapping, source.side, &known),
                    ..self.say(mapping, source, id, &known, references, may_create)
                };
                context.emit(self.changes.record(known.entity.clone(), &change));
            }
        }
        context.put(key, &known);
        Ok(())
    }
}
