//! What people asked for beside edits, and what became of it: matches, records made when a person says so, orders.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Value;
use schemas::message::{
    Action, Conflict, ConflictState, Decision, DecisionOutcome, DecisionResult, EntityLink, MatchReview, MatchState, Side, WriteOp,
};

use super::super::mapping;
use super::super::script::{Orders, Wishes};
use super::super::shape::{FIELDS, Kind, LINK, WON, id_column};
use super::super::system::Did;
use super::super::systems::Systems;
use super::super::world::World;
use super::{Books, Place};

/// What people asked for, and what the log says of it.
pub(super) struct Wished {
    wishes: Wishes,
    /// Entities that each record ever belonged to, in order.
    belonged: BTreeMap<Place, Vec<String>>,
    /// Entities that ever had a record in common, under each of them.
    families: BTreeMap<String, BTreeSet<String>>,
    reviews: Vec<MatchReview>,
    /// What was decided, with the records that people saw, and its answers in order.
    decided: Vec<Said>,
    /// Entities and sides for which a person last said that nothing is made there.
    unwanted: BTreeSet<(String, Side)>,
    /// Entities and sides for which a person ever said that something is.
    wanted: BTreeSet<(String, Side)>,
}

struct Said {
    decision: Decision,
    seen: [BTreeMap<Side, String>; 2],
    before: BTreeSet<String>,
    answers: Vec<DecisionOutcome>,
}

impl Said {
    fn is_accepted(&self) -> bool {
        self.answers.iter().any(|answer| answer.result == DecisionResult::Accepted)
    }
}

/// Reads what people asked for.
pub(super) async fn wished(world: &World, links: &[EntityLink], conflicts: &[Conflict]) -> anyhow::Result<Wished> {
    let wishes = world.setup.wishes;
    let mut belonged: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for link in links.iter().filter(|link| link.linked && is_entity(&link.kind)) {
        let entities = belonged.entry((link.side, link.record.clone())).or_default();
        if entities.last() != Some(&link.entity) {
            entities.push(link.entity.clone());
        }
    }
    // One that we made belonged to the entity that it was made for, whatever became of it before any stream told of it.
    let made = wishes.matches.then(|| world.made()).into_iter().flatten();
    for (place, entity) in made {
        let entities = belonged.entry(place).or_default();
        if entities.first() != Some(&entity) {
            entities.insert(0, entity);
        }
    }
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entities in belonged.values().filter(|entities| entities.len() > 1) {
        let mut family: BTreeSet<String> = entities.iter().cloned().collect();
        for entity in entities {
            family.extend(families.get(entity).into_iter().flatten().cloned());
        }
        for entity in &family {
            families.insert(entity.clone(), family.clone());
        }
    }
    let outcomes = world.messages::<DecisionOutcome>(&world.topics.decision_outcomes()).await?;
    let decided: Vec<Said> = world
        .asked
        .iter()
        .map(|asked| Said {
            decision: asked.decision.clone(),
            seen: asked.seen.clone(),
            before: asked.before.clone(),
            answers: outcomes.iter().filter(|outcome| outcome.decision == asked.decision.id).cloned().collect(),
        })
        .collect();
    let (mut unwanted, mut wanted) = (BTreeSet::new(), BTreeSet::new());
    for outcome in outcomes.iter().filter(|outcome| outcome.result == DecisionResult::Accepted) {
        let asked = decided.iter().find(|said| said.decision.id == outcome.decision).map(|said| &said.decision);
        let said = match (outcome.action, asked) {
            (Action::Create, Some(decision)) => decision.side.map(|side| (side, true)),
            (Action::Refuse, Some(decision)) => decision.side.map(|side| (side, false)),
            (Action::Settle, _) => conflicts.iter().find(|conflict| Some(&conflict.id) == outcome.conflict.as_ref()).and_then(about_making),
            _ => None,
        };
        let Some((side, make)) = said else { continue };
        let place = (outcome.entity.clone(), side);
        if make {
            unwanted.remove(&place);
            wanted.insert(place);
        } else {
            unwanted.insert(place);
        }
    }
    let reviews = world.latest_reviews().await?.into_values().collect();
    Ok(Wished { wishes, belonged, families, reviews, decided, unwanted, wanted })
}

fn is_entity(kind: &str) -> bool {
    Kind::named(kind).is_some_and(Kind::is_entity)
}

/// A settled question whether a record is made: on which side, and the answer.
fn about_making(conflict: &Conflict) -> Option<(Side, bool)> {
    if conflict.field != "$record" || !conflict.reason.starts_with("created") || conflict.state != ConflictState::Settled {
        return None;
    }
    let lacking = if conflict.crm == Value::text("absent") { Side::Crm } else { Side::Erp };
    Some((lacking, conflict.chosen == Value::text("present")))
}

impl Wished {
    /// An entity and those that ever had a record in common with it.
    pub(super) fn family<'a>(&'a self, entity: &'a str) -> impl Iterator<Item = &'a str> {
        let others = self.families.get(entity).into_iter().flatten().map(String::as_str).filter(move |other| *other != entity);
        std::iter::once(entity).chain(others)
    }

    /// Whether a record of the entity ever belonged to another.
    pub(super) fn has_moved(&self, entity: &str) -> bool {
        self.families.contains_key(entity)
    }

    /// How often records went from one entity of a family to another.
    pub(super) fn moves(&self, entity: &str) -> usize {
        let in_family = |other: &String| self.family(entity).any(|one| one == other);
        let own = |entities: &&Vec<String>| entities.iter().any(in_family);
        let linked: usize = self.belonged.values().filter(own).map(|entities| entities.len() - 1).sum();
        // Of a deleted record that goes to another entity no link tells.
        let moves = |action: Action| matches!(action, Action::Same | Action::Split | Action::Unmatch);
        let said = self.decided.iter().filter(|said| moves(said.decision.action) && said.is_accepted());
        linked.max(said.filter(|said| in_family(&said.decision.entity)).count())
    }

    /// The entities that a record ever belonged to.
    pub(super) fn belonged(&self, side: Side, id: &str) -> &[String] {
        self.belonged.get(&(side, id.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// How often records went from one entity to another.
    pub(super) fn all_moves(&self) -> usize {
        self.belonged.values().map(|entities| entities.len() - 1).sum()
    }

    /// Records of the other side that were ever linked to one.
    pub(super) fn partners(&self, side: Side, id: &str) -> Vec<&String> {
        let Some(own) = self.belonged.get(&(side, id.to_owned())) else { return Vec::new() };
        let ever = |entities: &Vec<String>| entities.iter().any(|entity| own.contains(entity));
        self.belonged.iter().filter(|((there, _), entities)| *there != side && ever(entities)).map(|((_, id), _)| id).collect()
    }

    /// Whether a person is asked who an entity is.
    pub(super) fn is_in_review(&self, entity: &str) -> bool {
        self.reviews.iter().any(|review| review.state == MatchState::Open && (review.left == entity || review.right == entity))
    }

    /// Whether a person wanted a record made for an entity that had lost one.
    pub(super) fn is_wanted(&self, entity: &str) -> bool {
        [Side::Crm, Side::Erp].iter().any(|side| self.wanted.contains(&(entity.to_owned(), *side)))
    }

    /// Whether people take back what was settled and written.
    pub(super) fn has_undos(&self) -> bool {
        self.wishes.undos
    }

    /// Whether a write about an entity was taken back; a record that it had made is gone then, and not made again.
    pub(super) fn is_undone(&self, entity: &str) -> bool {
        self.accepted(entity).any(|action| action == Action::Undo)
    }

    /// How often a settled conflict of an entity was opened again, to be decided anew.
    pub(super) fn reopened(&self, entity: &str) -> usize {
        self.accepted(entity).filter(|action| *action == Action::Reopen).count()
    }

    /// Whether anything that an entity's fields held was put back because a person said so.
    pub(super) fn is_put_back(&self, entity: &str) -> bool {
        self.accepted(entity).any(|action| matches!(action, Action::Undo | Action::Restore | Action::Reopen))
    }

    fn accepted<'a>(&'a self, entity: &'a str) -> impl Iterator<Item = Action> + 'a {
        let about = move |said: &&Said| said.decision.entity == entity && said.is_accepted();
        self.decided.iter().filter(about).map(|said| said.decision.action)
    }

    /// Whether a person ever wanted a side's record made.
    pub(super) fn is_wanted_in(&self, entity: &str, side: Side) -> bool {
        self.wanted.contains(&(entity.to_owned(), side))
    }

    /// Whether a person does not want a side's record.
    pub(super) fn is_unwanted(&self, entity: &str, side: Side) -> bool {
        self.unwanted.contains(&(entity.to_owned(), side))
    }
}

/// What must hold of them.
pub(super) fn hold(systems: &Systems, books: &Books, links: &[EntityLink], wrong: &mut Vec<String>) {
    let wished = &books.wished;
    answered(wished, wrong);
    if wished.wishes.matches {
        reviews_are_about_records(systems, books, wrong);
        matches_are_kept(systems, books, wrong);
    }
    if wished.wishes.creates {
        nothing_is_made_unasked(systems, books, wrong);
    }
    if wished.wishes.orders != Orders::None {
        orders(systems, books, links, wrong);
    }
}

/// Every decision is answered; one about a match once.
fn answered(wished: &Wished, wrong: &mut Vec<String>) {
    for Said { decision, answers, .. } in &wished.decided {
        let about_match = matches!(decision.action, Action::Same | Action::Distinct | Action::Split | Action::Unmatch);
        if answers.is_empty() || about_match && answers.len() != 1 {
            wrong.push(format!("P3: {} of {} is answered {} times", decision.id, decision.action, answers.len()));
        }
    }
}

/// Nobody is asked about an entity that has no record any more.
fn reviews_are_about_records(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    for review in books.wished.reviews.iter().filter(|review| review.state == MatchState::Open) {
        for entity in [&review.left, &review.right] {
            let lives = |side: Side| {
                let ids = books.records.get(&(entity.clone(), side));
                ids.is_some_and(|ids| ids.iter().any(|id| systems.at(side).rows.contains_key(id)))
            };
            if !lives(Side::Crm) && !lives(Side::Erp) {
                wrong.push(format!("P2: people are asked about {}, which has no record", &entity[..8]));
            }
        }
    }
}

/// What people last said of two records holds: they are one entity, or two.
fn matches_are_kept(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    let wished = &books.wished;
    let accepted: Vec<&Said> = wished.decided.iter().filter(|said| said.is_accepted()).collect();
    for (index, said) in accepted.iter().enumerate() {
        let taken_back = accepted.iter().any(|other| other.decision.of.as_ref() == Some(&said.decision.id));
        let family = |entity: &str| wished.family(entity).map(str::to_owned).collect::<BTreeSet<_>>();
        let own = family(&said.decision.entity);
        // What was said since about the same records, or taken back, may have undone it; and what had no answer yet may have
        // moved the records that were meant.
        let since = accepted.iter().enumerate().any(|(place, other)| {
            if place == index || place < index && !said.before.contains(&other.decision.id) {
                return false;
            }
            let about = [Some(&other.decision.entity), other.decision.other.as_ref()];
            about.into_iter().flatten().any(|entity| own.contains(entity) || said.decision.other.as_ref() == Some(entity))
        });
        if taken_back || since {
            continue;
        }
        let place = |(side, id): (&Side, &String)| (*side, id.clone());
        let (left, right): (Vec<Place>, Vec<Place>) = match said.decision.action {
            Action::Same | Action::Distinct => (said.seen[0].iter().map(place).collect(), said.seen[1].iter().map(place).collect()),
            Action::Split => said.seen[0].iter().map(place).partition(|(side, _)| Some(*side) == said.decision.side),
            _ => continue,
        };
        for (one, other) in left.iter().flat_map(|one| right.iter().map(move |other| (one, other))) {
            let lives = |place: &Place| systems.at(place.0).rows.contains_key(&place.1) && !systems.at(place.0).went.contains_key(&place.1);
            let (Some(here), Some(there)) = (books.entities.get(one), books.entities.get(other)) else { continue };
            if !lives(one) || !lives(other) {
                continue;
            }
            let together = said.decision.action == Action::Same;
            // Two of one system never are one: the other of them had left when the decision came.
            if together && one.0 == other.0 {
                continue;
            }
            if (here == there) != together {
                let words = if together { "one" } else { "two" };
                wrong.push(format!("P2: {} {} and {} {} were said to be {words}, and are not", one.0, one.1, other.0, other.1));
            }
        }
    }
}

/// Where a person is asked at all times, nothing is made that nobody asked for.
fn nothing_is_made_unasked(systems: &Systems, books: &Books, wrong: &mut Vec<String>) {
    let wished = &books.wished;
    for write in books.writes.iter().filter(|write| write.op == WriteOp::Create && is_entity(&write.kind)) {
        let asked = books.versions.iter().all(|version| mapping::asks_to_create(*version, write.side));
        let ids = books.records.get(&(write.entity.clone(), write.side));
        let anew = ids.is_some_and(|ids| ids.iter().any(|id| systems.at(write.side).went.contains_key(id)));
        let went = systems.went_with(write.side, &write.entity);
        // One that we had deleted is made again where that is taken back.
        let undone = wished.is_undone(&write.entity);
        if asked && !anew && !went && !undone && !wished.is_wanted_in(&write.entity, write.side) {
            wrong.push(format!("P4: a record was made in {} for {}, and nobody had asked for it", write.side, &write.entity[..8]));
        }
    }
}

impl World {
    /// Records that bear an entity's id, because they were made for it.
    fn made(&self) -> Vec<(Place, String)> {
        let systems = self.systems.lock();
        let mut made = Vec::new();
        for side in [Side::Crm, Side::Erp] {
            let rows = systems.at(side).rows.iter().chain(systems.at(side).gone.iter().map(|(id, gone)| (id, &gone.row)));
            let entities = rows.filter(|(_, row)| row.kind.is_entity());
            made.extend(entities.filter_map(|(id, row)| {
                let entity = row.values.get(id_column(side)).and_then(Value::as_text)?;
                Some(((side, id.clone()), entity.to_owned()))
            }));
        }
        made
    }
}

impl Systems {
    /// Whether a deleted record bears the id of an entity.
    fn went_with(&self, side: Side, entity: &str) -> bool {
        self.at(side).gone.values().any(|gone| gone.row.values.get(id_column(side)).and_then(Value::as_text) == Some(entity))
    }
}

/// Each opportunity has one order at most, and one if it was won before our eyes or a person asked for it.
fn orders(systems: &Systems, books: &Books, links: &[EntityLink], wrong: &mut Vec<String>) {
    let wished = &books.wished;
    let mut made: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for id in systems.erp.ids(Kind::Order) {
        let of = systems.erp.rows.get(id).and_then(|row| row.values.get(id_column(Side::Erp))).and_then(Value::as_text);
        made.entry(of.unwrap_or_default().to_owned()).or_default().push(id);
    }
    for (entity, orders) in made.iter().filter(|(_, orders)| orders.len() > 1) {
        wrong.push(format!("P3: {entity} has {} orders", orders.len()));
    }
    let opportunities: BTreeMap<&String, &String> =
        links.iter().filter(|link| link.kind == Kind::Opportunity.name()).map(|link| (&link.entity, &link.record)).collect();
    for (entity, orders) in &made {
        let Some(id) = opportunities.get(entity) else {
            wrong.push(format!("P3: order {} is of no opportunity", orders[0]));
            continue;
        };
        let audited = books.audit.iter().filter(|entry| entry.entity == *entity && entry.kind == Kind::Order.name()).count();
        if audited != 1 {
            wrong.push(format!("P1: order {} is in the audit {audited} times", orders[0]));
        }
        let asked = wished.decided.iter().any(|said| said.decision.action == Action::Convert && said.decision.entity == *entity);
        let was_won = systems.crm.stream.iter().any(|change| change.id == **id && change.row.get(WON) == Some(&Value::Bool(true)));
        if !was_won || wished.wishes.orders == Orders::ByHand && !asked {
            wrong.push(format!("P3: order {} of {id} was made without cause", orders[0]));
        }
    }
    for (entity, id) in &opportunities {
        let Some(row) = systems.crm.rows.get(*id) else { continue };
        let won = row.values.get(WON) == Some(&Value::Bool(true));
        let customer = row.values.get(FIELDS[LINK].column(Side::Crm)).and_then(Value::as_text);
        let across = customer.and_then(|customer| books.across(Side::Crm, customer)).filter(|id| systems.erp.rows.contains_key(*id));
        let asked = wished.decided.iter().any(|said| {
            let Said { decision, answers, .. } = said;
            let refused = answers.iter().any(|answer| answer.result == DecisionResult::Refused);
            decision.action == Action::Convert && decision.entity == **entity && !refused && !answers.is_empty()
        });
        let owed = asked || wished.wishes.orders == Orders::Auto && won_before_our_eyes(systems, id);
        if won && across.is_some() && owed && !made.contains_key(*entity) {
            wrong.push(format!("P3: {id} was won and has no order"));
        }
    }
}

/// The stream showed how it was won: what was won before it was first seen may have its order already.
fn won_before_our_eyes(systems: &Systems, id: &str) -> bool {
    let mut before = false;
    let mut shown = false;
    // One that comes back is not won by that.
    for change in systems.crm.stream.iter().filter(|change| change.id == id && change.did != Did::Gone) {
        let won = change.row.get(WON) == Some(&Value::Bool(true));
        if won && !before {
            shown = change.shown && !change.gap;
        }
        before = won;
    }
    before && shown
}
