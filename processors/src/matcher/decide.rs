//! What people decide about matches: the same, not the same, not this record, and not so after all.
//!
//! Each decision is carried out once and answered once, whatever comes of it. What it did is kept, so that it can be taken
//! back exactly.

use reconcile::mapping::EntityMapping;
use schemas::message::{Action, Decision, DecisionOutcome, DecisionResult, MatchState, Side};

use super::Matcher;
use super::apart::{forget, lift, part, restore, spots};
use super::link::carried_entity;
use super::pair::{Done, Moved, Pair, Spot, Twain, done_key, pair_key};
use super::plan::Plan;
use super::review::Ending;
use super::state::{Entity, entity_key};
use super::unite::{Move, own};
use crate::error::Result;
use crate::task::Context;

/// The rule of links that a person made.
pub(super) const DECISION: &str = "decision";

/// What a decision has come to.
struct Answer {
    result: DecisionResult,
    reason: String,
    done: Done,
}

impl Answer {
    fn of(decision: &Decision, result: DecisionResult, reason: impl Into<String>) -> Self {
        let done = Done {
            action: decision.action,
            result,
            left: decision.entity.clone(),
            right: decision.other.clone().unwrap_or_default(),
            kind: String::new(),
            moved: Vec::new(),
            parted: Vec::new(),
            lifted: Vec::new(),
            taken_back_by: None,
        };
        Self { result, reason: reason.into(), done }
    }

    fn refused(decision: &Decision, reason: impl Into<String>) -> Self {
        Self::of(decision, DecisionResult::Refused, reason)
    }

    fn unchanged(decision: &Decision, reason: impl Into<String>) -> Self {
        Self::of(decision, DecisionResult::Unchanged, reason)
    }

    fn accepted(decision: &Decision, reason: impl Into<String>) -> Self {
        Self::of(decision, DecisionResult::Accepted, reason)
    }
}

fn system(side: Side) -> &'static str {
    match side {
        Side::Crm => "Salesforce",
        Side::Erp => "the ERP",
    }
}

impl Matcher {
    /// Carries out a decision that is about a match.
    pub(super) fn decided(&mut self, context: &mut Context<'_>, decision: &Decision) -> Result<()> {
        if !matches!(decision.action, Action::Same | Action::Distinct | Action::Split | Action::Unmatch)
            || context.has(&done_key(&decision.id))?
        {
            return Ok(());
        }
        let plan = self.plan.clone();
        let known: Option<Entity> = context.get(&entity_key(&decision.entity))?;
        let kind = known.as_ref().map(|known| known.kind.clone()).unwrap_or_default();
        let mut answer = match (known, plan.entity(&kind)) {
            (Some(known), Some(mapping)) => match decision.action {
                Action::Same => self.same(context, &plan, mapping, decision, &known)?,
                Action::Distinct => self.distinct(context, &plan, mapping, decision, &known)?,
                Action::Split => self.split(context, &plan, mapping, decision, &known)?,
                _ => self.unmatch(context, &plan, mapping, decision)?,
            },
            _ => Answer::refused(decision, format!("nothing is known of entity {}", decision.entity)),
        };
        answer.done.kind.clone_from(&kind);
        context.put(done_key(&decision.id), &answer.done);
        let outcome = DecisionOutcome {
            decision: decision.id.clone(),
            batch: decision.batch.clone(),
            entity: decision.entity.clone(),
            kind,
            action: decision.action,
            result: answer.result,
            reason: answer.reason,
            conflict: None,
            actor: decision.actor.clone(),
            at: decision.at,
            mapping_version: plan.mapping.version,
        };
        context.emit(self.outcomes.record(decision.entity.clone(), &outcome));
        Ok(())
    }

    /// The other entity of a decision, or why there is none.
    fn other(&self, context: &Context<'_>, decision: &Decision, known: &Entity) -> Result<std::result::Result<(String, Entity), Answer>> {
        let Some(other) = decision.other.as_deref().filter(|other| !other.is_empty()) else {
            return Ok(Err(Answer::refused(decision, "it does not say which other entity is meant")));
        };
        let Some(there) = context.get::<Entity>(&entity_key(other))? else {
            return Ok(Err(Answer::refused(decision, format!("nothing is known of entity {other}"))));
        };
        Ok(if other == decision.entity {
            Err(Answer::unchanged(decision, "it is one entity"))
        } else if there.kind != known.kind {
            Err(Answer::refused(decision, format!("one is a {}, the other a {}", known.kind, there.kind)))
        } else {
            Ok((other.to_owned(), there))
        })
    }

    fn same(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        decision: &Decision,
        known: &Entity,
    ) -> Result<Answer> {
        let (other, there) = match self.other(context, decision, known)? {
            Ok(found) => found,
            Err(answer) => return Ok(answer),
        };
        let pair: Option<Pair> = context.get(&pair_key(&decision.entity, &other))?;
        if pair.as_ref().is_some_and(|pair| pair.state == MatchState::Same) && (known.is_empty() || there.is_empty()) {
            return Ok(Answer::unchanged(decision, "they are one already"));
        }
        if known.is_empty() || there.is_empty() {
            let gone = if known.is_empty() { &decision.entity } else { &other };
            return Ok(Answer::refused(decision, format!("no record belongs to {gone} any more")));
        }
        for side in [Side::Crm, Side::Erp] {
            if let (Some(one), Some(two)) = (known.live(side), there.live(side)) {
                let words = format!(
                    "both have a record in {system}, {one} and {two}: merge them there, or split one off first",
                    system = system(side)
                );
                return Ok(Answer::refused(decision, words));
            }
        }
        let lifted = lift(context, &mapping.kind, &spots(known), &spots(&there))?;
        let reason = format!("{} says that they are one", decision.actor);
        let ending = Ending { state: MatchState::Same, reason, decision: Some((&decision.id, &decision.actor, decision.at)) };
        let Some((stays, moved)) = self.unite(context, plan, mapping, &decision.entity, &other, DECISION, &ending)? else {
            return Ok(Answer::refused(decision, "they cannot be made one"));
        };
        let mut answer = Answer::accepted(decision, format!("they are one: {stays}"));
        (answer.done.moved, answer.done.lifted) = (moved, lifted);
        Ok(answer)
    }

    fn distinct(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        decision: &Decision,
        known: &Entity,
    ) -> Result<Answer> {
        let (other, there) = match self.other(context, decision, known)? {
            Ok(found) => found,
            Err(answer) if answer.result == DecisionResult::Unchanged => {
                return Ok(Answer::refused(decision, "it is one entity: split a record off"));
            }
            Err(answer) => return Ok(answer),
        };
        if spots(known).is_empty() || spots(&there).is_empty() {
            let gone = if spots(known).is_empty() { &decision.entity } else { &other };
            return Ok(Answer::refused(decision, format!("no record belongs to {gone} any more")));
        }
        let parted = part(context, &mapping.kind, &spots(known), &spots(&there), &decision.id)?;
        if parted.is_empty() {
            return Ok(Answer::unchanged(decision, "that was decided before"));
        }
        self.keep_apart(context, plan, mapping, decision, &decision.entity, &other)?;
        // A key that could not tell one from several may tell now.
        for entity in [decision.entity.as_str(), other.as_str()] {
            self.review(context, plan, mapping, entity, false)?;
        }
        let mut answer = Answer::accepted(decision, "they are two, and are not asked about again");
        answer.done.parted = parted;
        Ok(answer)
    }

    fn keep_apart(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        decision: &Decision,
        one: &str,
        other: &str,
    ) -> Result<()> {
        let reason = format!("{} says that they are two", decision.actor);
        let ending = Ending { state: MatchState::Distinct, reason, decision: Some((&decision.id, &decision.actor, decision.at)) };
        self.close(context, plan, mapping, one, other, &ending)
    }

    fn split(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        decision: &Decision,
        known: &Entity,
    ) -> Result<Answer> {
        let (Some(side), Some(record)) = (decision.side, decision.record.as_deref()) else {
            return Ok(Answer::refused(decision, "it does not say which record leaves"));
        };
        let Some(row) = self.row(context, mapping, side, record)? else {
            return Ok(Answer::refused(decision, format!("nothing is known of record {record} in {}", system(side))));
        };
        if row.entity != decision.entity {
            return Ok(Answer::refused(decision, format!("record {record} belongs to another entity: {}", row.entity)));
        }
        if row.gone {
            return Ok(Answer::refused(decision, format!("record {record} is deleted")));
        }
        let own_spot = Spot { side, record: record.to_owned() };
        let rest: Vec<Spot> = spots(known).into_iter().filter(|spot| *spot != own_spot).collect();
        if rest.is_empty() {
            return Ok(Answer::unchanged(decision, "the entity has no other record"));
        }
        // What bears the entity's id stays: it is where the next record that is made for the entity would be found to be.
        let own_spot = std::slice::from_ref(&own_spot);
        let stays = self.bears(context, mapping, own_spot, &decision.entity)?;
        if stays && self.bears(context, mapping, &rest, &decision.entity)? {
            let words = "both records bear this entity's id; empty its column in the record that leaves, and split it off then";
            return Ok(Answer::refused(decision, words));
        }
        let parted = part(context, &mapping.kind, own_spot, &rest, &decision.id)?;
        let mut to = String::new();
        let mut moved = Vec::new();
        for Spot { side, record } in if stays { &rest } else { own_spot } {
            if to.is_empty() {
                to = own(context, mapping, *side, record)?;
            }
            moved.extend(self.relink(context, plan, mapping, &Move { side: *side, record, to: &to, rule: DECISION, hold: true })?);
        }
        self.keep_apart(context, plan, mapping, decision, &decision.entity, &to)?;
        self.stand_alone(context, plan, mapping, &[&decision.entity, &to])?;
        let alone = if stays { &decision.entity } else { &to };
        let mut answer = Answer::accepted(decision, format!("record {record} is an entity of its own: {alone}"));
        answer.done.right = to;
        (answer.done.moved, answer.done.parted) = (moved, parted);
        Ok(answer)
    }

    /// Whether one of these records bears an entity's id, as one that was made for it does.
    fn bears(&self, context: &Context<'_>, mapping: &EntityMapping, spots: &[Spot], entity: &str) -> Result<bool> {
        for Spot { side, record } in spots {
            let row = self.row(context, mapping, *side, record)?;
            if row.and_then(|row| carried_entity(mapping, *side, &row.columns)).is_some_and(|borne| borne == entity) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Entities that have just come apart: they are looked at again and, where nothing is open, go on by themselves.
    pub(super) fn stand_alone(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, entities: &[&str]) -> Result<()> {
        if let Some(rules) = plan.scorers.of(mapping) {
            for entity in entities {
                if self.may_create(context, mapping)? {
                    rules.relist(context, entity, false)?;
                }
            }
        }
        for entity in entities {
            self.review(context, plan, mapping, entity, false)?;
            self.tell(context, plan, mapping, entity)?;
        }
        Ok(())
    }

    fn unmatch(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, decision: &Decision) -> Result<Answer> {
        let Some(of) = decision.of.as_deref() else {
            return Ok(Answer::refused(decision, "it does not say which decision is taken back"));
        };
        let Some(mut done) = context.get::<Done>(&done_key(of))? else {
            return Ok(Answer::refused(decision, format!("no decision {of} about a match is known")));
        };
        if done.action == Action::Unmatch {
            return Ok(Answer::refused(decision, "taking back is not taken back: decide again"));
        }
        if done.result != DecisionResult::Accepted {
            return Ok(Answer::unchanged(decision, "that decision changed nothing"));
        }
        if done.taken_back_by.is_some() {
            return Ok(Answer::unchanged(decision, "it has been taken back already"));
        }
        if let Some(reason) = self.hindrance(context, mapping, &done.moved)? {
            return Ok(Answer::refused(decision, reason));
        }
        for Twain { left, right, .. } in &done.parted {
            forget(context, &mapping.kind, left, right);
        }
        for twain in &done.lifted {
            restore(context, &mapping.kind, twain);
        }
        let mut moved = Vec::new();
        for step in done.moved.iter().rev() {
            let back = Move { side: step.side, record: &step.record, to: &step.from, rule: &step.rule, hold: true };
            moved.extend(self.relink(context, plan, mapping, &back)?);
            if let (Some(displaced), Some(mut entity)) = (&step.displaced, context.get::<Entity>(&entity_key(&step.to))?) {
                entity.set(step.side, Some(displaced.clone()), true);
                context.put(entity_key(&step.to), &entity);
            }
        }
        let ending = Ending {
            state: MatchState::Withdrawn,
            reason: format!("{} took the decision back", decision.actor),
            decision: Some((&decision.id, &decision.actor, decision.at)),
        };
        self.close(context, plan, mapping, &done.left, &done.right, &ending)?;
        self.stand_alone(context, plan, mapping, &[&done.left, &done.right])?;
        done.taken_back_by = Some(decision.id.clone());
        context.put(done_key(of), &done);
        let mut answer = Answer::accepted(decision, "it is as it was before the decision");
        (answer.done.left, answer.done.right, answer.done.moved) = (done.left, done.right, moved);
        Ok(answer)
    }

    /// Why records cannot go back to where they were.
    fn hindrance(&self, context: &Context<'_>, mapping: &EntityMapping, moved: &[Moved]) -> Result<Option<String>> {
        for step in moved {
            let there = self.row(context, mapping, step.side, &step.record)?;
            if there.is_none_or(|row| row.entity != step.to) {
                return Ok(Some(format!("record {} in {} has gone elsewhere since: take that back first", step.record, system(step.side))));
            }
            let before: Option<Entity> = context.get(&entity_key(&step.from))?;
            if let Some(taken) = before.and_then(|before| before.live(step.side).cloned()) {
                return Ok(Some(format!("its place has been taken by record {taken} in {}", system(step.side))));
            }
        }
        Ok(None)
    }
}
