//! What was refused for good is tried again by a decision, in its name.

use schemas::cdc::Op;
use schemas::message::{Action, DeadLetter, Decision, DecisionOutcome, DecisionResult, OutcomeResult, SYNC_ID_HEADER, Side, Write};
use stream::{Log as _, NewRecord};

use crate::decisions::{linked, row};
use crate::harness::{MAPPING, World, text};

const ACCOUNT: &str = "001000000000001AAA";

/// Decides as the dashboard does: the decision's id goes along.
async fn say(world: &World, decision: &Decision) -> DecisionOutcome {
    let topic = world.topics.decisions();
    let value = world.codec.encode(&topic, decision).await.expect("encodes");
    let record = NewRecord::new(topic, decision.entity.clone(), value).header(SYNC_ID_HEADER, decision.id.clone());
    world.log.publish(vec![record]).await.expect("publishes");
    world.quiet().await;
    let outcomes: Vec<DecisionOutcome> = world.messages(&world.topics.decision_outcomes()).await;
    outcomes.into_iter().rfind(|outcome| outcome.decision == decision.id).expect("every decision is answered")
}

fn again(id: &str, entity: &str) -> Decision {
    Decision::new(id, entity, Action::Retry, "ana", 5)
}

/// The newest write to a side, and in whose name it goes.
async fn newest(world: &World, side: Side) -> (Write, Option<String>) {
    let record = world.records(&world.topics.writes(side)).await.pop().expect("a write");
    let name = record.header(SYNC_ID_HEADER).map(|id| String::from_utf8_lossy(id).into_owned());
    (world.writes(side).await.pop().expect("a write"), name)
}

#[tokio::test]
async fn a_refused_value_is_written_again_in_the_name_of_the_decision_until_it_is_taken() {
    let (world, running, entity) = linked().await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd"))]).await;
    world.quiet().await;
    let (first, _) = newest(&world, Side::Erp).await;
    world.answer(&first, OutcomeResult::Failed, None, &[]).await;
    world.quiet().await;
    for (id, result) in [("d1", OutcomeResult::Failed), ("d2", OutcomeResult::Applied)] {
        let outcome = say(&world, &again(id, &entity)).await;
        assert_eq!(
            (outcome.result, outcome.action, outcome.reason.as_str()),
            (DecisionResult::Accepted, Action::Retry, "1 field is tried again")
        );
        let (write, name) = newest(&world, Side::Erp).await;
        assert!(write.id != first.id && write.values == first.values && write.expected == first.expected, "{write:?}");
        assert_eq!(name.as_deref(), Some(id), "the decision can be followed to its end");
        match result {
            OutcomeResult::Applied => world.carry_out(&write, &row("Acme"), "").await,
            result => world.answer(&write, result, None, &[]).await,
        }
        world.quiet().await;
    }
    let outcome = say(&world, &again("d3", &entity)).await;
    assert_eq!((outcome.result, outcome.reason.as_str()), (DecisionResult::Unchanged, "nothing was refused"));
    assert_eq!(say(&world, &again("d2", &entity)).await.result, DecisionResult::Unchanged, "decided once");
    assert_eq!(world.writes(Side::Erp).await.len(), 3);
    running.stop().await;
}

#[tokio::test]
async fn a_refused_settlement_goes_on_in_the_name_of_the_decision_that_tries_it_again() {
    let (world, running, entity) = linked().await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Wrong"))]).await;
    world.quiet().await;
    let (write, _) = newest(&world, Side::Erp).await;
    world.carry_out(&write, &row("Acme"), "").await;
    world.quiet().await;
    let undo = Decision { write: Some(write.id), ..Decision::new("d1", &entity, Action::Undo, "ana", 5) };
    assert_eq!(say(&world, &undo).await.result, DecisionResult::Accepted);
    let (write, name) = newest(&world, Side::Crm).await;
    assert_eq!(name.as_deref(), Some("d1"));
    world.pass(60);
    world.answer(&write, OutcomeResult::Failed, None, &[]).await;
    world.quiet().await;
    let only = |side| Decision { side: Some(side), ..again(if side == Side::Crm { "d3" } else { "d2" }, &entity) };
    assert_eq!(say(&world, &only(Side::Erp)).await.result, DecisionResult::Unchanged, "the ERP refused nothing");
    assert_eq!(say(&world, &only(Side::Crm)).await.result, DecisionResult::Accepted);
    let (write, name) = newest(&world, Side::Crm).await;
    assert_eq!((name.as_deref(), write.values[0].value.clone()), (Some("d3"), text("Acme")));
    running.stop().await;
}

#[tokio::test]
async fn a_refused_record_is_made_when_it_is_tried_again() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Name", text("Acme"))]).await;
    world.quiet().await;
    let (first, _) = newest(&world, Side::Erp).await;
    world.answer(&first, OutcomeResult::Failed, None, &[]).await;
    world.quiet().await;
    let outcome = say(&world, &again("d1", &first.entity)).await;
    assert_eq!((outcome.result, outcome.reason.as_str()), (DecisionResult::Accepted, "the record that was refused is tried again"));
    let (write, name) = newest(&world, Side::Erp).await;
    assert!(write.id != first.id && write.op == first.op && write.values == first.values, "{write:?}");
    assert_eq!(name.as_deref(), Some("d1"));
    world.carry_out(&write, &row("Acme"), "7").await;
    world.quiet().await;
    assert_eq!(say(&world, &again("d2", &first.entity)).await.result, DecisionResult::Unchanged);
    running.stop().await;
}

/// Under the new mapping nothing reads otherwise, so that nothing is said again: only the decision tells of it.
#[tokio::test]
async fn what_the_mapping_could_not_write_is_written_when_it_is_tried_again_under_another() {
    let long = "x".repeat(60);
    let bounded = |most: u32| format!("type = \"text({most})\"");
    let mapping = MAPPING.replacen("type = \"text\"", &bounded(40), 1);
    let world = World::with(&mapping).await;
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    let running = world.start();
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Name", text("Acme"))]).await;
    world.quiet().await;
    let (create, _) = newest(&world, Side::Erp).await;
    world.carry_out(&create, &row("Acme"), "7").await;
    world.quiet().await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text(&long))]).await;
    world.quiet().await;
    let letters = async || -> Vec<DeadLetter> { world.messages(&world.topics.dead_letters(&world.topics.entity_changes())).await };
    let told = letters().await;
    assert!(told.len() == 1 && told[0].reason.contains("the mapping allows 40"), "{told:?}");
    let outcome = say(&world, &again("d1", &create.entity)).await;
    assert!(outcome.result == DecisionResult::Refused && outcome.reason.contains("the mapping allows 40"), "{outcome:?}");
    assert_eq!(letters().await.len(), 1, "it is known");

    let wider = mapping.replacen("version = 3", "version = 4", 1).replacen(&bounded(40), &bounded(80), 1);
    let setting = processors::in_force::setting(&wider, 4, "ida", world.now());
    world.publish(&world.topics.control(), processors::in_force::SETTING, &setting).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Erp).await.len(), 1);
    assert_eq!(say(&world, &again("d2", &create.entity)).await.result, DecisionResult::Accepted);
    let (write, _) = newest(&world, Side::Erp).await;
    assert_eq!(write.values[0].value, text(&long));
    assert_eq!(letters().await.pop().map(|letter| letter.reason), Some(String::new()), "it is no failure any more");
    running.stop().await;
}
