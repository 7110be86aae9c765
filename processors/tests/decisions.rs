//! What people decide, on the log: every decision is answered once it is known what became of it.

use std::collections::BTreeMap;

use schemas::message::{Action, Choice, Conflict, ConflictState, Decision, DecisionOutcome, DecisionResult, Side, Write};
use schemas::{Value, cdc::Op};

use crate::harness::{Running, World, money, text};

const ACCOUNT: &str = "001000000000001AAA";

pub(crate) fn row(name: &str) -> BTreeMap<String, Value> {
    let row = [
        ("id", Value::Int(7)),
        ("name", text(name)),
        ("credit_limit", money("10.00")),
        ("payment_terms", text("N30")),
        ("rating", Value::Int(2)),
        ("tax_id", text("AT 1")),
    ];
    row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn columns(row: &BTreeMap<String, Value>) -> Vec<(&str, Value)> {
    row.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

/// A linked customer, `Acme` on both sides.
pub(crate) async fn linked() -> (World, Running, String) {
    let (world, running) = World::copied().await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &columns(&row("Acme"))).await;
    world.quiet().await;
    let create = world.writes(Side::Crm).await.remove(0);
    world.carry_out(&create, &BTreeMap::new(), ACCOUNT).await;
    world.quiet().await;
    (world, running, create.entity)
}

/// Carries out what has been decided for the ERP's and the CRM's name since.
async fn carry_out(world: &World, erp: &str) {
    let mut done = Vec::new();
    for _ in 0..6 {
        for side in [Side::Crm, Side::Erp] {
            for write in world.writes(side).await {
                if write.record.is_some() && !done.contains(&write.id) && !already(world, &write).await {
                    world.carry_out(&write, &row(erp), "").await;
                    world.quiet().await;
                    done.push(write.id);
                }
            }
        }
    }
}

async fn already(world: &World, write: &Write) -> bool {
    let outcomes: Vec<schemas::message::Outcome> = world.messages(&world.topics.outcomes()).await;
    outcomes.iter().any(|outcome| outcome.write == write.id)
}

async fn say(world: &World, decision: &Decision) -> DecisionOutcome {
    world.publish(&world.topics.decisions(), &decision.entity, decision).await;
    world.quiet().await;
    let outcomes: Vec<DecisionOutcome> = world.messages(&world.topics.decision_outcomes()).await;
    outcomes.into_iter().rfind(|outcome| outcome.decision == decision.id).expect("every decision is answered")
}

fn decision(id: &str, entity: &str, action: Action) -> Decision {
    Decision { batch: Some("b1".to_owned()), ..Decision::new(id, entity, action, "ana", 5) }
}

async fn conflicts(world: &World) -> Vec<Conflict> {
    world.messages(&world.topics.conflicts()).await
}

#[tokio::test]
async fn a_write_is_taken_back_after_a_restart_and_done_again_by_restoring_what_that_kept() {
    let (world, running, entity) = linked().await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Wrong"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.carry_out(&write, &row("Acme"), "").await;
    world.quiet().await;
    // What is remembered is in the changelog.
    running.stop().await;
    for partition in 0..crate::harness::PARTITIONS {
        world.stores.lose("reconciler", partition);
    }
    let running = world.start();
    let undo = Decision { write: Some(write.id.clone()), ..decision("d1", &entity, Action::Undo) };
    let outcome = say(&world, &undo).await;
    assert_eq!((outcome.result, outcome.action, outcome.batch.as_deref()), (DecisionResult::Accepted, Action::Undo, Some("b1")));
    assert_eq!((outcome.mapping_version, outcome.at, outcome.kind.as_str()), (3, 5, "customer"));
    carry_out(&world, "Wrong").await;
    let last = |writes: Vec<Write>| writes.last().map(|write| (write.values[0].value.clone(), write.reason.clone())).expect("a write");
    assert_eq!(last(world.writes(Side::Erp).await), (text("Acme"), "decided by ana".to_owned()));
    assert_eq!(last(world.writes(Side::Crm).await).0, text("Acme"));
    let kept = conflicts(&world).await.into_iter().rfind(|conflict| conflict.field == "name").expect("kept");
    assert_eq!((kept.crm.clone(), Some(kept.id.clone()), kept.state), (text("Wrong"), outcome.conflict, ConflictState::Settled));
    assert_eq!((kept.settled_by.as_deref(), kept.mapping_version), (Some("ana"), 3));
    // The same decision again is decided once.
    assert_eq!(say(&world, &undo).await.result, DecisionResult::Unchanged);
    let restore = Decision { conflict: kept.id, choice: Choice::Crm, ..decision("d2", &entity, Action::Restore) };
    assert_eq!(say(&world, &restore).await.result, DecisionResult::Accepted);
    carry_out(&world, "Acme").await;
    assert_eq!(last(world.writes(Side::Erp).await).0, text("Wrong"), "{}", world.show().await);
    running.stop().await;
}

#[tokio::test]
async fn each_side_keeps_its_own_and_the_conflict_opens_again() {
    let (world, running, entity) = linked().await;
    world.pass(60);
    // Payment terms go to review.
    let mut changed = row("Acme");
    changed.insert("payment_terms".to_owned(), text("N60"));
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Payment_Terms__c", Value::Null)]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.answer(&write, schemas::message::OutcomeResult::Rejected, None, &[("payment_terms", text("N60"))]).await;
    world.change(Side::Erp, "public.customers", "7", Op::Update, &columns(&changed)).await;
    world.quiet().await;
    let open = conflicts(&world).await.pop().expect("open");
    assert_eq!(open.state, ConflictState::Open);
    let both = Decision { conflict: open.id.clone(), choice: Choice::Both, ..decision("d1", &entity, Action::Settle) };
    assert_eq!(say(&world, &both).await.result, DecisionResult::Accepted);
    let settled = conflicts(&world).await.pop().expect("settled");
    assert!(settled.both && settled.winner.is_none() && settled.state == ConflictState::Settled);
    let again = Decision { conflict: open.id.clone(), ..decision("d2", &entity, Action::Reopen) };
    assert_eq!(say(&world, &again).await.result, DecisionResult::Accepted);
    let reopened = conflicts(&world).await.pop().expect("open");
    assert_eq!((reopened.id, reopened.state), (open.id, ConflictState::Open));
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_in_words_and_nothing_is_set_aside() {
    let (world, running, entity) = linked().await;
    let refused = [
        (decision("d1", "00000000-0000-0000-0000-000000000000", Action::Undo), "nothing is known"),
        (decision("d2", &entity, Action::Undo), "names no write"),
        (Decision { write: Some("other".to_owned()), ..decision("d3", &entity, Action::Undo) }, "older than what is remembered"),
        (decision("d4", &entity, Action::Settle), "names no conflict"),
        (Decision { conflict: "other:1".to_owned(), ..decision("d5", &entity, Action::Settle) }, "another record's"),
        (Decision { conflict: format!("{entity}:9"), ..decision("d6", &entity, Action::Settle) }, "no such conflict"),
        (Decision { conflict: format!("{entity}:9"), choice: Choice::Crm, ..decision("d7", &entity, Action::Restore) }, "name the field"),
        (decision("d8", &entity, Action::Create), "names no side"),
        (decision("d9", &entity, Action::Convert), "nothing is known of an opportunity"),
    ];
    for (decision, reason) in refused {
        let outcome = say(&world, &decision).await;
        assert_eq!(outcome.result, DecisionResult::Refused, "{outcome:?}");
        assert!(outcome.reason.contains(reason), "{outcome:?}");
    }
    // A value that came along is put back although no conflict is remembered.
    let given = Decision { field: Some("name".to_owned()), value: text("Given"), ..decision("d10", &entity, Action::Restore) };
    assert_eq!(say(&world, &given).await.result, DecisionResult::Accepted);
    assert!(!world.show().await.contains("dead letter of decisions"), "{}", world.show().await);
    running.stop().await;
}
