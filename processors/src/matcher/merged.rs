//! Records that were merged at their source: Salesforce deletes the losers and names the winner.
//!
//! The loser's entity loses its record, which is not a deletion: whatever stands for it in the ERP belongs to the winner
//! now. If the winner has nothing in the ERP, its entity gets that record; otherwise there are two ERP records for one in
//! Salesforce, and a person is asked. A winner that nobody has seen yet is waited for.

use schemas::cdc::Source as Origin;
use schemas::message::Side;
use stream::Record;

use super::Matcher;
use super::link;
use super::link::{Entry, index_keys};
use super::pair::{Doubts, Heir, doubts_key, heir_key};
use super::plan::{Plan, Source, Use};
use super::review::{Doubt, MERGED};
use super::state::{Entity, Known, entity_key, record_key};
use super::unite::linked_by;
use crate::error::Result;
use crate::task::Context;
use reconcile::mapping::EntityMapping;

/// Header of the deletion of a merged record: the id of the record that it was merged into.
const MERGED_INTO_HEADER: &str = "merged-into";

/// The record that a deleted one was merged into, if it was.
pub(super) fn winner(record: &Record) -> Option<&str> {
    std::str::from_utf8(record.header(MERGED_INTO_HEADER)?).ok().filter(|id| !id.is_empty() && !id.contains('\0'))
}

impl Matcher {
    /// A record that was merged into another of its object.
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    pub(super) fn merged_away(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        id: &str,
        mut known: Known,
        origin: &Origin,
        offset: i64,
        winner: &str,
    ) -> Result<()> {
        let Use::Entity(index) = source.purpose else { return self.delete(context, plan, source, id, known, origin, offset) };
        if known.gone || known.entity.is_empty() || winner == id {
            return self.delete(context, plan, source, id, known, origin, offset);
        }
        self.nothing_aside(context, source, id)?;
        let mapping = &plan.mapping.entities[index];
        let side = source.side;
        known.gone = true;
        known.offset = offset;
        known.committed_at = origin.committed_at;
        known.position.clone_from(&origin.position);
        known.actor.clone_from(&origin.actor);
        let entry = Entry { side, id, entity: &known.entity, copying: false };
        index_keys(context, mapping, entry, Some(&known.columns), None)?;
        let loser = known.entity.clone();
        if let Some(mut entity) = context.get::<Entity>(&entity_key(&loser))?
            && entity.record(side).is_some_and(|record| record == id)
        {
            entity.set(side, None, false);
            context.put(entity_key(&loser), &entity);
        }
        if let Some(rules) = plan.scorers.of(mapping) {
            rules.unlist(context, side, id)?;
        }
        self.emit_unlinked(context, mapping, source, id, &known);
        self.emit_link(context, mapping, source, id, &known, MERGED, false);
        let there = self.row(context, mapping, side, winner)?.filter(|row| !row.entity.is_empty() && !row.gone);
        let Some(there) = there else {
            // The loser keeps its entity, which waits for the winner.
            context.put(record_key(side, &source.object, id), &known);
            context.put(heir_key(side, &source.object, winner), &Heir { entity: loser.clone() });
            let mut doubts = self.doubts(context, &loser)?;
            doubts.push(link::founded(side, &source.object, winner));
            context.put(doubts_key(&loser), &Doubts { others: doubts });
            return self.tell(context, plan, mapping, &loser);
        };
        // Its children, and itself should it be undeleted, find the winner's entity through it.
        known.entity.clone_from(&there.entity);
        MERGED.clone_into(&mut known.rule);
        context.put(record_key(side, &source.object, id), &known);
        self.repoint(context, plan, &loser, side)?;
        self.bequeath(context, plan, mapping, &loser, &there.entity)
    }

    /// What the loser's entity still has goes to the winner's, or a person is asked.
    fn bequeath(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, loser: &str, winner: &str) -> Result<()> {
        let left: Option<Entity> = context.get(&entity_key(loser))?;
        if loser == winner || left.is_none_or(|left| left.is_empty()) {
            return self.left_behind(context, plan, mapping, loser);
        }
        if self.unite(context, plan, mapping, loser, winner, MERGED, &linked_by(MERGED))?.is_none() {
            self.doubt(context, plan, mapping, loser, &Doubt { other: winner.to_owned(), rule: MERGED.to_owned() })?;
        }
        Ok(())
    }

    /// The entity that waits for a record which others were merged into before anybody had seen it.
    pub(super) fn inherits(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
    ) -> Result<Option<String>> {
        if source.side != Side::Crm {
            return Ok(None);
        }
        let key = heir_key(source.side, &source.object, id);
        let Some(heir) = context.get::<Heir>(&key)? else { return Ok(None) };
        context.delete(key);
        let placeholder = link::founded(source.side, &source.object, id);
        let mut doubts = self.doubts(context, &heir.entity)?;
        doubts.retain(|other| *other != placeholder);
        if doubts.is_empty() {
            context.delete(doubts_key(&heir.entity))
        } else {
            context.put(doubts_key(&heir.entity), &Doubts { others: doubts })
        }
        let known: Option<Entity> = context.get(&entity_key(&heir.entity))?;
        let free = known.is_some_and(|known| known.kind == mapping.kind && known.live(source.side).is_none());
        if !free {
            self.tell(context, plan, mapping, &heir.entity)?;
        }
        Ok(free.then_some(heir.entity))
    }
}
