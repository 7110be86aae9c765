//! Reviews of possible matches: opened, kept up to date, withdrawn, said on `match.reviews`.
//!
//! While one is open, nothing is made on the other side for either entity. It stands as long as a rule asks for it, and an
//! answer stands for good.

use reconcile::mapping::EntityMapping;
use schemas::message::{MatchReview, MatchState, Side};

use super::apart::are_apart;
use super::link::{Asked, ByKey, by_keys};
use super::pair::{Doubts, Pair, doubts_key, ordered, pair_id, pair_key};
use super::plan::Plan;
use super::score::ByScore;
use super::state::{Entity, Known, MARK, entity_key, record_key, suspect_key};
use super::stray::ENTITY_ID;
use super::view::explain;
use super::{Matcher, NAME};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// The rule of a review that a merge at the source has opened.
pub(super) const MERGED: &str = "merged";
/// The rule of one that the comparison has opened.
pub(super) const SCORE: &str = "score";

/// An entity that another may be the same as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) other: String,
    /// A key's name, [`SCORE`] or [`MERGED`].
    pub(super) rule: String,
}

/// What keys and comparison say of an entity with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody else can be meant.
    Alone,
    /// It is this entity, by this rule.
    One { entity: String, rule: String },
    /// A person decides.
    Perhaps(Vec<Doubt>),
}

/// How a review ends.
pub(super) struct Ending<'a> {
    pub(super) state: MatchState,
    pub(super) reason: String,
    /// The decision, who and when.
    pub(super) decision: Option<(&'a str, &'a str, i64)>,
}

impl Ending<'_> {
    pub(super) fn withdrawn(reason: impl Into<String>) -> Self {
        Self { state: MatchState::Withdrawn, reason: reason.into(), decision: None }
    }
}

impl Matcher {
    /// What keys and comparison say of a record that stands alone in its entity, or has none yet.
    pub(super) fn verdict(&self, context: &Context<'_>, plan: &Plan, mapping: &EntityMapping, asked: Asked<'_>) -> Result<Verdict> {
        Ok(match by_keys(context, mapping, asked)? {
            ByKey::One { entity, rule } => Verdict::One { entity, rule },
            ByKey::Some { entities, key } => {
                Verdict::Perhaps(entities.into_iter().map(|other| Doubt { other, rule: key.clone() }).collect())
            }
            ByKey::Nobody => match plan.scorers.of(mapping) {
                None => Verdict::Alone,
                Some(rules) => match rules.by_score(context, asked)? {
                    ByScore::Nobody => Verdict::Alone,
                    ByScore::One(entity) => Verdict::One { entity, rule: SCORE.to_owned() },
                    ByScore::Some(others) => {
                        Verdict::Perhaps(others.into_iter().map(|other| Doubt { other, rule: SCORE.to_owned() }).collect())
                    }
                },
            },
        })
    }

    /// The verdict on an entity; that of one with both records or none is that it stands alone.
    pub(super) fn verdict_on(&self, context: &Context<'_>, plan: &Plan, mapping: &EntityMapping, entity: &str) -> Result<Verdict> {
        let Some(known) = context.get::<Entity>(&entity_key(entity))? else { return Ok(Verdict::Alone) };
        let Some(side) = known.only_side() else { return Ok(Verdict::Alone) };
        let Some(record) = known.live(side) else { return Ok(Verdict::Alone) };
        let Some(row) = self.row(context, mapping, side, record)? else { return Ok(Verdict::Alone) };
        self.verdict(context, plan, mapping, Asked { side, id: record, entity: Some(entity), columns: &row.columns })
    }

    /// A record as last seen.
    pub(super) fn row(&self, context: &Context<'_>, mapping: &EntityMapping, side: Side, record: &str) -> Result<Option<Known>> {
        context.get(&record_key(side, &mapping.sides[convert::side(side)].object, record))
    }

    /// Entities with which a review of this one is open.
    pub(super) fn doubts(&self, context: &Context<'_>, entity: &str) -> Result<Vec<String>> {
        Ok(context.get::<Doubts>(&doubts_key(entity))?.map(|doubts| doubts.others).unwrap_or_default())
    }

    /// Looks at an entity again because something about it has changed: links it, opens, updates and withdraws reviews.
    /// `may_link` is false where a person has just taken it apart.
    pub(super) fn review(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        may_link: bool,
    ) -> Result<()> {
        // What waits for the end of the first copies is looked at then, or when it is let go.
        if !self.is_open(context, mapping, entity)? {
            context.put(suspect_key(&mapping.kind, entity), &MARK);
            return Ok(());
        }
        let wanted = match self.verdict_on(context, plan, mapping, entity)? {
            Verdict::Alone => Vec::new(),
            Verdict::One { entity: other, rule } if may_link => {
                self.unite(context, plan, mapping, entity, &other, &rule, &super::unite::linked_by(&rule))?;
                return Ok(());
            }
            Verdict::One { entity: other, rule } => {
                vec![Doubt { other, rule: rule.split_once(':').map_or(rule.clone(), |(_, key)| key.to_owned()) }]
            }
            Verdict::Perhaps(doubts) => doubts,
        };
        // Opened before others end, so that nothing is made in between.
        for doubt in &wanted {
            self.doubt(context, plan, mapping, entity, doubt)?;
        }
        for other in self.doubts(context, entity)? {
            if wanted.iter().any(|doubt| doubt.other == other) {
                continue;
            }
            if self.still_asked(context, plan, mapping, entity, &other)? {
                self.say_pair(context, plan, mapping, entity, &other)?;
            } else {
                self.close(context, plan, mapping, entity, &other, &Ending::withdrawn("they no longer resemble one another"))?;
            }
        }
        Ok(())
    }

    /// Whether a review is still asked for from the other end, or by a merge.
    pub(super) fn still_asked(
        &self,
        context: &Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        other: &str,
    ) -> Result<bool> {
        let (one, two): (Option<Entity>, Option<Entity>) = (context.get(&entity_key(entity))?, context.get(&entity_key(other))?);
        let (Some(one), Some(two)) = (one, two) else { return Ok(false) };
        if one.is_empty() || two.is_empty() || are_apart(context, &one, &two)? || (one.only_side().is_none() && two.only_side().is_none()) {
            return Ok(false);
        }
        let went = one.went_to.as_deref() == Some(other) || two.went_to.as_deref() == Some(entity);
        if context.get::<Pair>(&pair_key(entity, other))?.is_some_and(|pair| pair.rule == MERGED || went && pair.rule == ENTITY_ID) {
            return Ok(true);
        }
        Ok(match self.verdict_on(context, plan, mapping, other)? {
            Verdict::Alone => false,
            Verdict::One { entity: named, .. } => named == entity,
            Verdict::Perhaps(doubts) => doubts.iter().any(|doubt| doubt.other == entity),
        })
    }

    /// Opens a review of two entities, or brings it up to date.
    pub(super) fn doubt(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        doubt: &Doubt,
    ) -> Result<()> {
        let other = doubt.other.as_str();
        let key = pair_key(entity, other);
        let open = context.get::<Pair>(&key)?.filter(|pair| pair.state == MatchState::Open);
        let opened_at = match &open {
            Some(pair) => pair.opened_at,
            None => self.newest(context, mapping, entity)?.max(self.newest(context, mapping, other)?),
        };
        let pair = Pair {
            kind: mapping.kind.clone(),
            state: MatchState::Open,
            rule: doubt.rule.clone(),
            reason: reason(mapping, &doubt.rule),
            opened_at,
            decision: None,
            decided_by: None,
            decided_at: None,
        };
        context.put(key, &pair);
        for (one, two) in [(entity, other), (other, entity)] {
            let mut doubts = self.doubts(context, one)?;
            if !doubts.iter().any(|there| there == two) {
                let first = doubts.is_empty();
                if first && one == entity {
                    self.metrics.ambiguous.with_label_values(&[NAME]).inc();
                }
                doubts.push(two.to_owned());
                context.put(doubts_key(one), &Doubts { others: doubts });
                if first {
                    self.tell(context, plan, mapping, one)?;
                }
            }
        }
        self.say_pair(context, plan, mapping, entity, other)
    }

    /// Ends a review, and lets both entities go on that are in no other.
    pub(super) fn close(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        other: &str,
        ending: &Ending<'_>,
    ) -> Result<()> {
        if !self.end(context, plan, mapping, entity, other, ending)? {
            return Ok(());
        }
        for one in [entity, other] {
            if !context.has(&doubts_key(one))? {
                self.tell(context, plan, mapping, one)?;
            }
        }
        Ok(())
    }

    /// Ends a review and tells neither entity; whether there was anything to end.
    pub(super) fn end(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        other: &str,
        ending: &Ending<'_>,
    ) -> Result<bool> {
        let was_open = context.get::<Pair>(&pair_key(entity, other))?.is_some_and(|pair| pair.state == MatchState::Open);
        if !was_open && ending.decision.is_none() {
            return Ok(false);
        }
        self.say_ending(context, plan, mapping, entity, other, ending)?;
        for (one, two) in [(entity, other), (other, entity)] {
            let mut doubts = self.doubts(context, one)?;
            doubts.retain(|there| there != two);
            if doubts.is_empty() {
                context.delete(doubts_key(one));
            } else {
                context.put(doubts_key(one), &Doubts { others: doubts });
            }
        }
        Ok(was_open)
    }

    /// Says how a pair ended; an answer is kept, a question that went away is not.
    fn say_ending(
        &self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        other: &str,
        ending: &Ending<'_>,
    ) -> Result<()> {
        let key = pair_key(entity, other);
        let old: Option<Pair> = context.get(&key)?;
        let pair = Pair {
            kind: mapping.kind.clone(),
            state: ending.state,
            rule: old.as_ref().map(|pair| pair.rule.clone()).unwrap_or_default(),
            reason: ending.reason.clone(),
            opened_at: old.as_ref().map_or_else(|| ending.decision.map_or(0, |(.., at)| at), |pair| pair.opened_at),
            decision: ending.decision.map(|(id, ..)| id.to_owned()),
            decided_by: ending.decision.map(|(_, who, _)| who.to_owned()),
            decided_at: ending.decision.map(|(.., at)| at),
        };
        self.emit_pair(context, plan, mapping, entity, other, &pair)?;
        if ending.state == MatchState::Withdrawn {
            context.delete(key)
        } else {
            context.put(key, &pair)
        }
        Ok(())
    }

    /// Says a review as it stands.
    pub(super) fn say_pair(
        &self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        other: &str,
    ) -> Result<()> {
        match context.get::<Pair>(&pair_key(entity, other))? {
            Some(pair) => self.emit_pair(context, plan, mapping, entity, other, &pair),
            None => Ok(()),
        }
    }

    /// Tells the reconciler whether a record may be made for an entity.
    pub(super) fn tell(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, entity: &str) -> Result<()> {
        if !self.is_open(context, mapping, entity)? {
            return Ok(());
        }
        if !in_doubt(context, entity)? && self.gives_id_up(context, plan, mapping, entity)? {
            return Ok(());
        }
        let Some(known) = context.get::<Entity>(&entity_key(entity))? else { return Ok(()) };
        let Some((side, record)) = known.records().next() else { return Ok(()) };
        self.released(context, plan, side, &mapping.sides[convert::side(side)].object, record)
    }

    /// Commit time of an entity's newest change.
    fn newest(&self, context: &Context<'_>, mapping: &EntityMapping, entity: &str) -> Result<i64> {
        let mut newest = 0;
        if let Some(known) = context.get::<Entity>(&entity_key(entity))? {
            for (side, record) in known.records() {
                newest = newest.max(self.row(context, mapping, side, record)?.map_or(0, |row| row.committed_at));
            }
        }
        Ok(newest)
    }

    fn emit_pair(
        &self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        entity: &str,
        other: &str,
        pair: &Pair,
    ) -> Result<()> {
        let (left, right) = ordered(entity, other);
        let (one, two) = (self.view(context, mapping, left)?, self.view(context, mapping, right)?);
        let (score, reasons) = explain(plan, mapping, &one, &two);
        let review = MatchReview {
            id: pair_id(left, right),
            kind: mapping.kind.clone(),
            left: left.to_owned(),
            right: right.to_owned(),
            left_title: one.title(mapping),
            right_title: two.title(mapping),
            left_crm: one.record(Side::Crm),
            left_erp: one.record(Side::Erp),
            right_crm: two.record(Side::Crm),
            right_erp: two.record(Side::Erp),
            left_fields: one.fields(mapping),
            right_fields: two.fields(mapping),
            state: pair.state,
            score,
            probability_bp: None,
            reason: pair.reason.clone(),
            reasons,
            opened_at: pair.opened_at,
            decision: pair.decision.clone(),
            decided_by: pair.decided_by.clone(),
            decided_at: pair.decided_at,
            mapping_version: mapping.version,
        };
        let record = self.reviews.record(review.id.clone(), &review).placed_by(left.as_bytes(), self.topics.entity_partitions());
        context.emit(record);
        Ok(())
    }
}

/// Why a person is asked.
fn reason(mapping: &EntityMapping, rule: &str) -> String {
    match rule {
        SCORE => "they resemble one another, but not enough, or too many do, to link them without asking".to_owned(),
        MERGED => "their records in Salesforce were merged into one, and each has a record in the ERP".to_owned(),
        ENTITY_ID => "one of them was made for the other, and another record had taken its place there".to_owned(),
        key if mapping.keys.iter().any(|there| there.name == key) => format!("they have the same {key}, which does not tell them apart"),
        _ => String::new(),
    }
}

/// Whether nothing may be made for an entity because it may be another one: until it has a record on both sides, nobody but
/// a person can tell.
pub(super) fn in_doubt(context: &Context<'_>, entity: &str) -> Result<bool> {
    if !context.has(&doubts_key(entity))? {
        return Ok(false);
    }
    let known: Option<Entity> = context.get(&entity_key(entity))?;
    Ok(known.is_none_or(|known| known.live(Side::Crm).is_none() || known.live(Side::Erp).is_none()))
}
