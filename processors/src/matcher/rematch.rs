//! The end of the first copies: all records are known, so keys and comparison are asked again, before anything is made.
//!
//! ```text
//! verify ─▶ compare ─▶ block ─▶ score ─▶ unite ─▶ release
//! parts what a    links by    lists what   compares   links, or   may be made
//! later record    key, or     is left      all        asks
//! also matches    asks
//! ```
//!
//! Each step goes through all entities before the next begins, and none sees what it does itself. So the order in which the
//! records came decides nothing.

use reconcile::mapping::EntityMapping;
use schemas::message::Side;

use super::Matcher;
use super::decide::DECISION;
use super::link::{Asked, ByKey, Entry, by_keys, index_keys, still_linked};
use super::pair::Spot;
use super::plan::Plan;
use super::review::{Doubt, SCORE};
use super::score::{ByScore, Intent, Rules, intent_key};
use super::state::{Entity, Job, JobKind, Mark, Waiting, entity_key, provisional_key, suspects_prefix, uncopied_key, uncopied_prefix};
use super::unite::{Move, linked_by, own};
use crate::error::Result;
use crate::task::Context;

/// How many entries were looked at, and the last.
pub(super) type Step = (usize, Option<Vec<u8>>);

impl Matcher {
    /// The work to do when both first copies of a kind are done.
    pub(super) fn rematch(&mut self, context: &mut Context<'_>, plan: &Plan, side: Side, mapping: &EntityMapping) -> Result<()> {
        let kind = mapping.kind.as_str();
        let mut steps = vec![(JobKind::Verify, suspects_prefix(kind)), (JobKind::Compare, suspects_prefix(kind))];
        if plan.scorers.of(mapping).is_some() {
            steps.push((JobKind::Block, uncopied_prefix(kind)));
            steps.push((JobKind::Score, uncopied_prefix(kind)));
            steps.push((JobKind::Unite, super::score::intents_prefix(kind)));
        }
        steps.push((JobKind::Release, uncopied_prefix(kind)));
        for (what, prefix) in steps {
            let job = self.job(context, what, prefix, side, kind);
            self.add_job(context, &job)?;
        }
        Ok(())
    }

    /// Parts two records that a key has linked while not all were known, when another has the key too or a stronger one speaks.
    pub(super) fn verify(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Step> {
        let entries = context.scan::<Mark>(&job.prefix, &job.cursor, most)?;
        let Some(mapping) = plan.entity(&job.name) else { return Ok((0, None)) };
        for (key, _) in &entries {
            let Some(entity) = tail(key, &job.prefix) else { continue };
            if !context.has(&provisional_key(entity))? {
                continue;
            }
            let Some(known) = context.get::<Entity>(&entity_key(entity))? else { continue };
            let (Some(crm), Some(erp)) = (known.live(Side::Crm), known.live(Side::Erp)) else { continue };
            let (Some(left), Some(right)) = (self.row(context, mapping, Side::Crm, crm)?, self.row(context, mapping, Side::Erp, erp)?)
            else {
                continue;
            };
            // What a person has said meanwhile holds.
            if [&left, &right].iter().any(|row| row.rule == DECISION) {
                continue;
            }
            let spots = [Spot { side: Side::Crm, record: crm.clone() }, Spot { side: Side::Erp, record: erp.clone() }];
            if still_linked(context, mapping, [(&spots[0], &left.columns), (&spots[1], &right.columns)])? {
                continue;
            }
            // The one that came later leaves: the other has founded the entity.
            let leaves = if by_key(&left.rule) { &spots[0] } else { &spots[1] };
            let to = own(context, mapping, leaves.side, &leaves.record)?;
            // It has its turn with the others.
            context.put(uncopied_key(&mapping.kind, &to), &Waiting { side: leaves.side, record: leaves.record.clone() });
            self.relink(context, plan, mapping, &Move { side: leaves.side, record: &leaves.record, to: &to, rule: "new", hold: true })?;
            context.put(super::state::suspect_key(&mapping.kind, &to), &super::state::MARK);
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }

    /// Lists records by the keys and rules of another mapping, so that new ones find them.
    pub(super) fn reindex(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Step> {
        let entries = context.scan::<Entity>(&job.prefix, &job.cursor, most)?;
        for (key, known) in &entries {
            let (Some(entity), Some(mapping)) = (tail(key, &job.prefix), plan.entity(&known.kind)) else { continue };
            let copied = self.may_create(context, mapping)?;
            for (side, record) in known.records() {
                if let Some(row) = self.row(context, mapping, side, record)? {
                    index_keys(context, mapping, Entry { side, id: record, entity, copying: !copied }, None, Some(&row.columns))?;
                }
            }
            if let Some(rules) = plan.scorers.of(mapping).filter(|_| copied) {
                rules.relist(context, entity, true)?;
            }
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }

    /// Links what a key links, and asks about what it cannot tell.
    pub(super) fn compare(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Step> {
        let entries = context.scan::<Mark>(&job.prefix, &job.cursor, most)?;
        let Some(mapping) = plan.entity(&job.name) else { return Ok((0, None)) };
        for (key, _) in &entries {
            context.delete(key.clone());
            let Some(entity) = tail(key, &job.prefix) else { continue };
            match self.keys_on(context, mapping, entity)? {
                ByKey::Nobody => {}
                ByKey::One { entity: other, rule } => {
                    self.unite(context, plan, mapping, entity, &other, &rule, &linked_by(&rule))?;
                }
                ByKey::Some { entities, key } => {
                    for other in entities {
                        self.doubt(context, plan, mapping, entity, &Doubt { other, rule: key.clone() })?;
                    }
                }
            }
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }

    fn keys_on(&self, context: &Context<'_>, mapping: &EntityMapping, entity: &str) -> Result<ByKey> {
        let Some((side, record)) = alone(context, entity)? else { return Ok(ByKey::Nobody) };
        let Some(row) = self.row(context, mapping, side, &record)? else { return Ok(ByKey::Nobody) };
        by_keys(context, mapping, Asked { side, id: &record, entity: Some(entity), columns: &row.columns })
    }

    /// Lists records that stand alone by what they can be compared by.
    pub(super) fn block(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Step> {
        let entries = context.scan::<Waiting>(&job.prefix, &job.cursor, most)?;
        let Some(mapping) = plan.entity(&job.name) else { return Ok((0, None)) };
        if let Some(rules) = plan.scorers.of(mapping) {
            for (key, _) in &entries {
                if let Some(entity) = tail(key, &job.prefix) {
                    rules.relist(context, entity, false)?;
                }
            }
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }

    /// Compares them. What follows is noted only, so that all are compared with all.
    pub(super) fn score(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Step> {
        let entries = context.scan::<Waiting>(&job.prefix, &job.cursor, most)?;
        let Some(mapping) = plan.entity(&job.name) else { return Ok((0, None)) };
        if let Some(rules) = plan.scorers.of(mapping) {
            for (key, _) in &entries {
                if let Some(entity) = tail(key, &job.prefix) {
                    self.score_one(context, rules, entity)?;
                }
            }
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }

    fn score_one(&self, context: &mut Context<'_>, rules: Rules<'_>, entity: &str) -> Result<()> {
        let mapping = rules.mapping;
        let Some((side, record)) = alone(context, entity)? else { return Ok(()) };
        let Some(row) = self.row(context, mapping, side, &record)? else { return Ok(()) };
        let asked = Asked { side, id: &record, entity: Some(entity), columns: &row.columns };
        if by_keys(context, mapping, asked)? != ByKey::Nobody {
            return Ok(());
        }
        let (others, sure) = match rules.by_score(context, asked)? {
            ByScore::Nobody => return Ok(()),
            ByScore::One(other) => (vec![other], true),
            ByScore::Some(others) => (others, false),
        };
        for other in others {
            let Some(known) = context.get::<Entity>(&entity_key(&other))? else { continue };
            let Some((there, theirs)) = known.records().next() else { continue };
            let (one, two) = (Spot { side, record: record.clone() }, Spot { side: there, record: theirs.clone() });
            let (left, right) = if side == Side::Crm { (one, two) } else { (two, one) };
            // Each is asked about the other; a match is one for both or for none.
            let key = intent_key(&mapping.kind, sure, entity.min(&other), entity.max(&other));
            context.put(key, &Intent { left, right, sure });
        }
        Ok(())
    }

    /// Links what matches, and asks about the rest.
    pub(super) fn unite_step(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Step> {
        let entries = context.scan::<Intent>(&job.prefix, &job.cursor, most)?;
        let Some(mapping) = plan.entity(&job.name) else { return Ok((0, None)) };
        for (key, intent) in &entries {
            context.delete(key.clone());
            // Where they are now: one may have been linked since.
            let mut entities = Vec::with_capacity(2);
            for spot in [&intent.left, &intent.right] {
                entities.extend(self.row(context, mapping, spot.side, &spot.record)?.filter(|row| !row.gone).map(|row| row.entity));
            }
            let [one, other] = entities.as_slice() else { continue };
            let (left, right): (Option<Entity>, Option<Entity>) = (context.get(&entity_key(one))?, context.get(&entity_key(other))?);
            let (Some(left), Some(right)) = (left, right) else { continue };
            // One that has found its match is not asked about any more.
            let alone = left.only_side().is_some() && right.only_side().is_some();
            if one == other || !alone || super::apart::are_apart(context, &left, &right)? {
                continue;
            }
            if !(intent.sure && self.unite(context, plan, mapping, one, other, SCORE, &linked_by(SCORE))?.is_some()) {
                self.doubt(context, plan, mapping, one, &Doubt { other: other.clone(), rule: SCORE.to_owned() })?;
            }
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }
}

/// The only record of an entity.
fn alone(context: &Context<'_>, entity: &str) -> Result<Option<(Side, String)>> {
    let known: Option<Entity> = context.get(&entity_key(entity))?;
    Ok(known.and_then(|known| known.only_side().and_then(|side| Some((side, known.live(side)?.clone())))))
}

fn tail<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.get(prefix.len()..)?).ok()
}

/// Whether a key made a link.
fn by_key(rule: &str) -> bool {
    rule.starts_with("key:") || rule.starts_with("stored-id:")
}
