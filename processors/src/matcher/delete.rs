//! A record that is gone. What was known of it stays, so that it finds its entity again should it come back.

use reconcile::mapping::EntityMapping;
use schemas::cdc::Source as Origin;
use schemas::message::{EntityChange, EntityOp, Side};

use super::Matcher;
use super::entity::canonical_known;
use super::link::{Entry, index_keys};
use super::plan::{Plan, Source, Use};
use super::review::Ending;
use super::state::{Entity, Known, entity_key, record_key};
use crate::convert;
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
        self.nothing_aside(context, source, id)?;
        if known.entity.is_empty() {
            // It still waited for its parent: nobody has heard of it.
            self.waits_no_longer(context, source, id, &known);
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
        known.write.clone_from(&origin.write);
        match source.purpose {
            Use::Captured(index) => self.captured_gone(context, plan, source, index, id, &known),
            Use::Entity(index) => {
                let mapping = &plan.mapping.entities[index];
                let entry = Entry { side: source.side, id, entity: &known.entity, copying: false };
                index_keys(context, mapping, entry, Some(&known.columns), None)?;
                if let Some(mut entity) = context.get::<Entity>(&entity_key(&known.entity))?
                    && entity.live(source.side).is_some_and(|record| record == id)
                {
                    entity.set(source.side, Some(id.to_owned()), true);
                    context.put(entity_key(&known.entity), &entity);
                }
                let references = self.references(context, plan, source, &known)?;
                let may_create = self.creates(context, mapping, &known.entity)?;
                let change = EntityChange {
                    op: EntityOp::Deleted,
                    before: canonical_known(mapping, source.side, &known),
                    ..self.say(mapping, source, id, &known, references, may_create)
                };
                context.put(key, &known);
                context.emit(self.changes.record(known.entity.clone(), &change));
                return self.left_behind(context, plan, mapping, &known.entity);
            }
        }
        context.put(key, &known);
        Ok(())
    }

    /// What a record that is gone leaves behind: an entity that lacks one, or that has none.
    pub(super) fn left_behind(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, entity: &str) -> Result<()> {
        if let Some(rules) = plan.scorers.of(mapping)
            && self.may_create(context, mapping)?
        {
            rules.relist(context, entity, false)?;
        }
        let empty = context.get::<Entity>(&entity_key(entity))?.filter(Entity::is_empty);
        if let Some(empty) = &empty {
            for side in [Side::Crm, Side::Erp] {
                let Some(record) = empty.record(side) else { continue };
                let object = &mapping.sides[convert::side(side)].object;
                let (Some(source), Some(row)) = (plan.source(side, object), self.row(context, mapping, side, record)?) else { continue };
                self.emit_link(context, mapping, source, record, &row, "deleted", false);
            }
        }
        for other in self.doubts(context, entity)? {
            if empty.is_some() {
                self.close(context, plan, mapping, entity, &other, &Ending::withdrawn("one of them is deleted"))?;
            }
            self.review(context, plan, mapping, &other, false)?;
        }
        if empty.is_none() {
            self.review(context, plan, mapping, entity, false)?;
        }
        Ok(())
    }
}
