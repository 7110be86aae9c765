//! A won opportunity becomes one order, on the log.

use std::collections::BTreeMap;

use schemas::message::{Action, AuditEntry, Decision, DecisionOutcome, DecisionResult, OutcomeResult, Side, Write, WriteOp};
use schemas::{Value, cdc::Op};

use crate::harness::{World, money, text};

const ACCOUNT: &str = "001000000000001AAA";

fn deal(stage: &str, won: bool) -> Vec<(&'static str, Value)> {
    vec![
        ("Name", text("Deal")),
        ("StageName", text(stage)),
        ("Amount", Value::Double(500.0)),
        ("IsClosed", Value::Bool(won)),
        ("IsWon", Value::Bool(won)),
        ("AccountId", text(ACCOUNT)),
    ]
}

async fn orders(world: &World) -> Vec<Write> {
    world.writes(Side::Erp).await.into_iter().filter(|write| write.object == "public.orders").collect()
}

async fn answers(world: &World, id: &str) -> Vec<(DecisionResult, String)> {
    let outcomes: Vec<DecisionOutcome> = world.messages(&world.topics.decision_outcomes()).await;
    outcomes.into_iter().filter(|outcome| outcome.decision == id).map(|outcome| (outcome.result, outcome.reason)).collect()
}

#[tokio::test]
async fn a_won_opportunity_waits_for_its_customer_and_becomes_one_order() {
    let (world, running) = World::copied().await;
    // The customer comes from the CRM, so its ERP record is yet to be made.
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Name", text("Acme"))]).await;
    world.change(Side::Crm, "Opportunity", "006a", Op::Create, &deal("Negotiation", false)).await;
    world.change(Side::Crm, "Opportunity", "006a", Op::Update, &[("StageName", text("Closed Won")), ("IsWon", Value::Bool(true))]).await;
    world.quiet().await;
    assert!(orders(&world).await.is_empty(), "its customer has no record in the ERP yet");
    let create = world.writes(Side::Erp).await.remove(0);
    world.carry_out(&create, &BTreeMap::from([("id".to_owned(), Value::Int(7))]), "7").await;
    world.quiet().await;
    let order = orders(&world).await.remove(0);
    assert_eq!((order.op, order.id_column.as_deref(), order.kind.as_str()), (WriteOp::Create, Some("concord_id"), "order"));
    let value = |name: &str| order.values.iter().find(|field| field.name == name).map(|field| field.value.clone());
    assert_eq!((value("total"), value("customer_id"), value("status")), (Some(money("500")), Some(text("7")), Some(text("open"))));
    // By hand while it is on its way, and a crash.
    let opportunity = order.entity.clone();
    let convert = |id: &str| Decision::new(id, &opportunity, Action::Convert, "ana", 5);
    world.publish(&world.topics.decisions(), &opportunity, &convert("d1")).await;
    world.quiet().await;
    running.kill().await;
    let running = world.start();
    world.answer(&order, OutcomeResult::Applied, Some("12"), &[]).await;
    world.quiet().await;
    let read = orders(&world).await.remove(1);
    assert!(read.id.starts_with(schemas::message::READ_WRITE) && read.values.is_empty());
    world.answer(&read, OutcomeResult::Applied, Some("12"), &[("number", text("SO12"))]).await;
    world.quiet().await;
    assert_eq!(answers(&world, "d1").await.last().cloned(), Some((DecisionResult::Accepted, "order SO12 is made".to_owned())));
    // Opened and won again, answered again, converted again.
    for won in [false, true] {
        world.change(Side::Crm, "Opportunity", "006a", Op::Update, &[("IsWon", Value::Bool(won))]).await;
    }
    world.answer(&order, OutcomeResult::Applied, Some("12"), &[]).await;
    world.publish(&world.topics.decisions(), &opportunity, &convert("d2")).await;
    world.quiet().await;
    assert_eq!(answers(&world, "d2").await, [(DecisionResult::Unchanged, "already converted: SO12".to_owned())]);
    assert_eq!(orders(&world).await.len(), 2, "{}", world.show().await);
    let audit: Vec<AuditEntry> = world.messages(&world.topics.audit()).await;
    assert_eq!(audit.iter().filter(|entry| entry.kind == "order" && entry.record == "12").count(), 1);
    assert!(!world.show().await.contains("dead letter"), "{}", world.show().await);
    running.stop().await;
}
