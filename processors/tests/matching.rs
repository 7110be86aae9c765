//! Matching: reviews, what people decide about them, comparison, merged records, records that wait.

mod decisions;
mod order;
mod reviews;
mod scored;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{Action, Decision, DecisionOutcome, DecisionResult, EntityLink, MatchReview, MatchState, Side, WriteOp};

use crate::harness::{World, money, text};

/// The columns of a customer in the ERP.
pub(super) fn customer(id: i64, name: &str, tax_id: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("id", Value::Int(id)),
        ("name", text(name)),
        ("credit_limit", money("10.00")),
        ("payment_terms", text("N30")),
        ("rating", Value::Int(2)),
        ("tax_id", if tax_id.is_empty() { Value::Null } else { text(tax_id) }),
    ]
}

/// The fields of an account.
pub(super) fn account(name: &str, tax_id: &str) -> Vec<(&'static str, Value)> {
    vec![("Name", text(name)), ("Tax_Id__c", if tax_id.is_empty() { Value::Null } else { text(tax_id) })]
}

/// The id of an account with a number.
pub(super) fn sfid(number: u32) -> String {
    format!("001{number:012}AAA")
}

/// Which entity each linked record belongs to now, by side and id.
pub(super) async fn links(world: &World) -> BTreeMap<(Side, String), String> {
    let mut links = BTreeMap::new();
    for link in world.messages::<EntityLink>(&world.topics.entity_links()).await {
        if link.linked {
            links.insert((link.side, link.record), link.entity);
        } else {
            links.remove(&(link.side, link.record));
        }
    }
    links
}

/// Which records are one, whatever the entity is called.
pub(super) async fn together(world: &World) -> BTreeSet<BTreeSet<String>> {
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for ((_, record), entity) in links(world).await {
        sets.entry(entity).or_default().insert(record);
    }
    sets.into_values().collect()
}

/// The latest of each review.
pub(super) async fn reviews(world: &World) -> BTreeMap<String, MatchReview> {
    world.messages::<MatchReview>(&world.topics.match_reviews()).await.into_iter().map(|review| (review.id.clone(), review)).collect()
}

/// Those that wait for a person.
pub(super) async fn open(world: &World) -> Vec<MatchReview> {
    reviews(world).await.into_values().filter(|review| review.state == MatchState::Open).collect()
}

/// The entity of a record.
pub(super) async fn entity(world: &World, side: Side, record: &str) -> String {
    links(world).await.get(&(side, record.to_owned())).cloned().unwrap_or_else(|| panic!("{record} is not linked"))
}

/// Decides, and waits for the answer.
pub(super) async fn decide(world: &World, decision: Decision) -> DecisionOutcome {
    let (id, entity) = (decision.id.clone(), decision.entity.clone());
    world.publish(&world.topics.decisions(), &entity, &decision).await;
    world.quiet().await;
    let outcomes: Vec<DecisionOutcome> = world.messages(&world.topics.decision_outcomes()).await;
    let mut answers: Vec<DecisionOutcome> = outcomes.into_iter().filter(|outcome| outcome.decision == id).collect();
    assert_eq!(answers.len(), 1, "{id} is answered once: {answers:?}");
    answers.remove(0)
}

pub(super) fn same(world: &World, id: &str, one: &str, other: &str) -> Decision {
    Decision { other: Some(other.to_owned()), ..Decision::new(id, one, Action::Same, "ana", world.now()) }
}

pub(super) fn distinct(world: &World, id: &str, one: &str, other: &str) -> Decision {
    Decision { other: Some(other.to_owned()), ..Decision::new(id, one, Action::Distinct, "ana", world.now()) }
}

pub(super) fn split(world: &World, id: &str, entity: &str, side: Side, record: &str) -> Decision {
    Decision { side: Some(side), record: Some(record.to_owned()), ..Decision::new(id, entity, Action::Split, "ana", world.now()) }
}

pub(super) fn unmatch(world: &World, id: &str, entity: &str, of: &str) -> Decision {
    Decision { of: Some(of.to_owned()), ..Decision::new(id, entity, Action::Unmatch, "ana", world.now()) }
}

pub(super) fn accepted(outcome: &DecisionOutcome) {
    assert_eq!(outcome.result, DecisionResult::Accepted, "{}", outcome.reason);
}

/// Creations that were asked for on a side.
pub(super) async fn creates(world: &World, side: Side) -> Vec<String> {
    let writes = world.writes(side).await;
    writes.into_iter().filter(|write| write.op == WriteOp::Create).map(|write| write.entity).collect()
}

/// An ambiguous pair: two customers in the ERP and one account, all with one tax id, while nothing else is known.
pub(super) async fn twins(world: &World) {
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer(7, "Acme", "AT 123")).await;
    world.change(Side::Erp, "public.customers", "8", Op::Read, &customer(8, "Acme branch", "AT 123")).await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Read, &account("ACME", "at123")).await;
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
}
