//! Records change their entity: two entities become one, a record leaves, a decision is taken back.
//!
//! ```text
//! old entity ◀─ unlinked ── record ── changed, with everything known of it ─▶ new entity
//!                             └▶ links: ended, made;  children are said anew
//! ```
//!
//! For the reconciler, the record is new in its entity: what differs is settled as at first contact. The old entity keeps
//! what happened to it and has no record on that side any more.

use reconcile::mapping::EntityMapping;
use schemas::message::{EntityChange, EntityOp, MatchState, Side};

use super::apart::are_apart;
use super::entity::canonical_all;
use super::link::index_under;
use super::pair::{Moved, Pair, pair_key};
use super::plan::{Plan, Source};
use super::review::{Doubt, Ending, MERGED, SCORE, in_doubt};
use super::state::{Author, Entity, JobKind, Known, column, entity_key, record_key, side_children_prefix, uncopied_key};
use super::unread::told;
use super::{Matcher, link, stray};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// A record on its way to another entity.
pub(super) struct Move<'a> {
    pub(super) side: Side,
    pub(super) record: &'a str,
    pub(super) to: &'a str,
    /// Why, as the link says it.
    pub(super) rule: &'a str,
    /// Nothing is made for it until that is said: it is still to be looked at.
    pub(super) hold: bool,
}

impl Matcher {
    /// Makes two entities, each with a record that the other lacks, one. The answer is the one that is left, and what moved.
    /// `ending` is how a review of the two ends.
    #[expect(clippy::too_many_arguments, reason = "two entities and why they are one")]
    pub(super) fn unite(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        one: &str,
        other: &str,
        rule: &str,
        ending: &Ending<'_>,
    ) -> Result<Option<(String, Vec<Moved>)>> {
        let (left, right): (Option<Entity>, Option<Entity>) = (context.get(&entity_key(one))?, context.get(&entity_key(other))?);
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let clash = [Side::Crm, Side::Erp].into_iter().any(|side| left.live(side).is_some() && right.live(side).is_some());
        if one == other || clash || left.is_empty() || right.is_empty() || left.kind != right.kind {
            return Ok(None);
        }
        // The one with more history stays, then the older.
        let history = |entity: &Entity| [Side::Crm, Side::Erp].into_iter().filter(|side| entity.record(*side).is_some()).count();
        let left_stays = (std::cmp::Reverse(history(&left)), left.since, one) <= (std::cmp::Reverse(history(&right)), right.since, other);
        let (stays, ends, emptied) = if left_stays { (one, other, &right) } else { (other, one, &left) };
        let moving: Vec<(Side, String)> = emptied.records().map(|(side, record)| (side, record.clone())).collect();
        // Whoever asked about the one asks about the other from here on.
        let mut asked = Vec::new();
        for third in self.doubts(context, ends)?.into_iter().filter(|third| third != stays) {
            let rule = context.get::<Pair>(&pair_key(ends, &third))?.map(|pair| pair.rule).unwrap_or_default();
            self.end(context, plan, mapping, ends, &third, &Ending::withdrawn("one of them is linked to another entity now"))?;
            asked.push(Doubt { other: third, rule });
        }
        self.end(context, plan, mapping, one, other, ending)?;
        let mut moved = Vec::new();
        for (side, record) in &moving {
            moved.extend(self.relink(context, plan, mapping, &Move { side: *side, record, to: stays, rule, hold: false })?);
        }
        if let Some(rules) = plan.scorers.of(mapping) {
            rules.relist(context, stays, false)?;
            rules.relist(context, ends, false)?;
        }
        for Doubt { other: third, rule } in asked {
            if rule == MERGED || !self.is_open(context, mapping, &third)? {
                self.carry_over(context, plan, mapping, stays, Doubt { other: third, rule })?;
            } else {
                self.review(context, plan, mapping, &third, false)?;
                self.tell(context, plan, mapping, &third)?;
            }
        }
        for third in self.doubts(context, stays)? {
            self.review_pair(context, plan, mapping, stays, &third)?;
        }
        Ok(Some((stays.to_owned(), moved)))
    }

    /// Whether an entity's turn at the end of the first copies is behind it.
    pub(super) fn is_open(&mut self, context: &Context<'_>, mapping: &EntityMapping, entity: &str) -> Result<bool> {
        Ok(self.may_create(context, mapping)? && !context.has(&uncopied_key(&mapping.kind, entity))?)
    }

    /// A question that was asked about an entity is asked about the one that it has become.
    fn carry_over(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, stays: &str, doubt: Doubt) -> Result<()> {
        let (one, other): (Option<Entity>, Option<Entity>) = (context.get(&entity_key(stays))?, context.get(&entity_key(&doubt.other))?);
        match (one, other) {
            (Some(one), Some(other)) if !other.is_empty() && !are_apart(context, &one, &other)? => {
                self.doubt(context, plan, mapping, stays, &doubt)
            }
            _ => self.tell(context, plan, mapping, &doubt.other),
        }
    }

    /// Moves a record to another entity and says so to everyone.
    pub(super) fn relink(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        step: &Move<'_>,
    ) -> Result<Option<Moved>> {
        let Move { side, record, to, rule, hold } = *step;
        let object = &mapping.sides[convert::side(side)].object;
        let Some(source) = plan.source(side, object) else { return Ok(None) };
        let Some(mut known) = self.row(context, mapping, side, record)? else { return Ok(None) };
        let from = known.entity.clone();
        if from == to || from.is_empty() {
            return Ok(None);
        }
        if let Some(mut old) = context.get::<Entity>(&entity_key(&from))?
            && old.record(side).is_some_and(|there| there == record)
        {
            old.set(side, None, false);
            if old.is_empty() {
                old.went_to = Some(to.to_owned());
                context.delete(uncopied_key(&mapping.kind, &from));
            }
            context.put(entity_key(&from), &old);
        }
        let mut new = context.get::<Entity>(&entity_key(to))?.unwrap_or_else(|| Entity::new(&mapping.kind, known.committed_at));
        // One that is gone does not take another's place: what was to follow from that one's deletion still does.
        let stands = !known.gone || new.record(side).is_none();
        let displaced = new.record(side).filter(|there| stands && *there != record).cloned();
        if stands {
            new.set(side, Some(record.to_owned()), known.gone);
            new.went_to.take_if(|there| *there == from);
            context.put(entity_key(to), &new);
        }
        let moved = Moved {
            side,
            record: record.to_owned(),
            from: from.clone(),
            to: to.to_owned(),
            rule: known.rule.clone(),
            displaced: displaced.clone(),
        };
        self.emit_unlinked(context, mapping, source, record, &known);
        if let Some(displaced) = &displaced
            && let Some(old) = self.row(context, mapping, side, displaced)?
        {
            self.emit_unlinked(context, mapping, source, displaced, &Known { entity: to.to_owned(), ..old });
        }
        self.emit_link(context, mapping, source, record, &known, rule, false);
        index_under(context, mapping, side, record, &known.columns, to)?;
        to.clone_into(&mut known.entity);
        rule.clone_into(&mut known.rule);
        context.put(record_key(side, object, record), &known);
        stray::note(context, mapping, side, record, &known);
        if known.gone {
            return Ok(Some(moved));
        }
        self.emit_link(context, mapping, source, record, &known, rule, true);
        let copied = self.may_create(context, mapping)?;
        self.note_uncopied(context, mapping, to, &new, copied);
        self.emit_all(context, plan, mapping, source, record, &known, hold)?;
        self.repoint(context, plan, &from, side)?;
        self.release_children(context, plan, to, side)?;
        Ok(Some(moved))
    }

    /// Says everything that is known of a record, as if it had just been read.
    #[expect(clippy::too_many_arguments, reason = "what is said of one record")]
    fn emit_all(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
        known: &Known,
        hold: bool,
    ) -> Result<()> {
        let references = self.references(context, plan, source, known)?;
        let may_create = !hold && self.creates(context, mapping, &known.entity)?;
        let (fields, unread) = canonical_all(mapping, source, &references, known);
        let change = EntityChange {
            op: EntityOp::Joined,
            fields,
            columns: told(mapping, source, &known.columns, &unread),
            snapshot: true,
            origin: None,
            write: None,
            ..self.say(mapping, source, id, known, references, may_create)
        };
        context.emit(self.changes.record(known.entity.clone(), &change));
        Ok(())
    }

    /// Says that a record has left its entity.
    pub(super) fn emit_unlinked(&self, context: &mut Context<'_>, mapping: &EntityMapping, source: &Source, id: &str, known: &Known) {
        let change = EntityChange {
            op: EntityOp::Unlinked,
            snapshot: true,
            origin: None,
            write: None,
            ..self.say(mapping, source, id, known, Vec::new(), false)
        };
        context.emit(self.changes.record(known.entity.clone(), &change));
    }

    /// Says anew what refers to the record that has left an entity.
    pub(super) fn repoint(&mut self, context: &mut Context<'_>, plan: &Plan, entity: &str, side: Side) -> Result<()> {
        let job = self.job(context, JobKind::Repoint, side_children_prefix(entity, side), side, entity);
        self.at_once(context, plan, job)
    }

    /// One record that refers to a record which has changed its entity.
    pub(super) fn point_again(&mut self, context: &mut Context<'_>, plan: &Plan, side: Side, object: &str, record: &str) -> Result<()> {
        let Some(source) = plan.source(side, object) else { return Ok(()) };
        let Some(known) = context.get::<Known>(&record_key(side, object, record))?.filter(|known| !known.entity.is_empty()) else {
            return Ok(());
        };
        let columns: Vec<&str> = plan.pointers(source).iter().map(|pointer| pointer.column).collect();
        let carried: Vec<_> = columns
            .iter()
            .filter_map(|name| Some(schemas::message::Field { name: (*name).to_owned(), value: column(&known.columns, name)?.clone() }))
            .collect();
        if known.gone {
            // It will find its parent by the parent's record, should it come back.
            return Ok(());
        }
        // What refers to it has not been edited: nobody did this at its source.
        let nobody = Author { actor: known.actor.clone(), origin: None, write: None, snapshot: true };
        self.place_as(context, plan, source, record, known, nobody, &carried)
    }

    /// Brings a review of two entities up to date, or withdraws it.
    pub(super) fn review_pair(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        one: &str,
        other: &str,
    ) -> Result<()> {
        let open = context.get::<Pair>(&pair_key(one, other))?.is_some_and(|pair| pair.state == MatchState::Open);
        if !open {
            return Ok(());
        }
        if self.still_asked(context, plan, mapping, one, other)? || self.still_asked(context, plan, mapping, other, one)? {
            return self.say_pair(context, plan, mapping, one, other);
        }
        self.close(context, plan, mapping, one, other, &Ending::withdrawn("they no longer resemble one another"))
    }

    /// Whether a record may be made on the side that an entity lacks.
    pub(super) fn creates(&mut self, context: &Context<'_>, mapping: &EntityMapping, entity: &str) -> Result<bool> {
        Ok(self.may_create(context, mapping)?
            && !in_doubt(context, entity)?
            // Its turn at the end of the first copies is still to come.
            && !(self.jobs_open && context.has(&uncopied_key(&mapping.kind, entity))?))
    }
}

/// How a review ends when the two are linked without a person.
pub(super) fn linked_by(rule: &str) -> Ending<'static> {
    Ending::withdrawn(match rule {
        SCORE => "they are linked: they match, and nobody else does".to_owned(),
        MERGED => "they are linked: their records in Salesforce were merged".to_owned(),
        other => format!("they are linked by {}", other.split_once(':').map_or(other, |(_, key)| key)),
    })
}

/// The entity that a record would have if it stood alone.
pub(super) fn own(context: &Context<'_>, mapping: &EntityMapping, side: Side, record: &str) -> Result<String> {
    link::own_entity(context, &mapping.kind, side, &mapping.sides[convert::side(side)].object, record)
}
