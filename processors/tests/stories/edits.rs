//! Edits that go across, wait for one another, meet other edits.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{Choice, Conflict, ConflictState, Lane, OutcomeResult, Side, WriteOp};

use super::{ACCOUNT, customer_row, linked, row};
use crate::harness::{START, World, money, text};

#[tokio::test]
async fn an_edit_goes_across_with_what_is_expected_there_and_its_id_follows_it() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    world.pass(60);
    let edit = world.cdc(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Credit_Limit__c", Value::Double(2500.0))], None).await;
    stream::Log::publish(&world.log, vec![edit.header("sync-id", "edit-1")]).await.expect("publishes");
    world.quiet().await;
    let records = world.records(&world.topics.writes(Side::Erp)).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].header("sync-id"), Some(b"edit-1".as_slice()));
    let write = world.writes(Side::Erp).await.remove(0);
    assert_eq!((write.record.as_deref(), write.op, write.entity.as_str()), (Some("7"), WriteOp::Update, entity.as_str()));
    assert_eq!(write.values.len(), 1);
    assert_eq!((write.values[0].name.as_str(), &write.expected[0].value), ("credit_limit", &money("1000.00")));
    world.pass(1);
    world.carry_out(&write, &row(&customer_row("Acme", "1000.00")), "").await;
    world.quiet().await;
    assert_eq!((world.writes(Side::Crm).await.len(), world.writes(Side::Erp).await.len()), (1, 1));
    let audit = world.records(&world.topics.audit()).await;
    assert_eq!(audit.last().and_then(|record| record.header("sync-id")), Some(b"edit-1".as_slice()));
    running.stop().await;
}

#[tokio::test]
async fn an_edit_that_waits_for_an_earlier_write_goes_across_under_its_own_id() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    for (id, limit) in [("edit-1", 2500.0), ("edit-2", 2600.0)] {
        world.pass(60);
        let edit = world.cdc(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Credit_Limit__c", Value::Double(limit))], None).await;
        stream::Log::publish(&world.log, vec![edit.header("sync-id", id)]).await.expect("publishes");
        world.quiet().await;
    }
    let first = world.writes(Side::Erp).await.remove(0);
    world.pass(1);
    world.carry_out(&first, &row(&customer_row("Acme", "1000.00")), "").await;
    world.quiet().await;
    let second = world.writes(Side::Erp).await.remove(1);
    world.carry_out(&second, &row(&customer_row("Acme", "2500.00")), "").await;
    world.quiet().await;
    let ids = |records: Vec<stream::Record>| {
        records.iter().map(|record| String::from_utf8_lossy(record.header("sync-id").unwrap_or_default()).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(world.records(&world.topics.writes(Side::Erp)).await), ["edit-1", "edit-2"]);
    let audit = ids(world.records(&world.topics.audit()).await);
    assert_eq!(audit[audit.len() - 2..], ["edit-1", "edit-2"]);
    running.stop().await;
}

#[tokio::test]
async fn numbers_of_writes_are_not_given_again_after_beginning_anew() {
    let mut ids = Vec::new();
    for seconds in [0, 1] {
        // Empty state and an empty log, over the same two systems.
        let world = World::new().await;
        world.pass(seconds);
        world.checkpoint("crm", &["Account", "Contact"]).await;
        world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
        let running = world.start();
        world.quiet().await;
        let entity = linked(&world).await;
        for limit in ["2000.00", "3000.00"] {
            world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme", limit)).await;
            world.quiet().await;
            let write = world.writes(Side::Crm).await.pop().expect("a write");
            world.carry_out(&write, &BTreeMap::new(), "").await;
            world.quiet().await;
        }
        let numbers: Vec<i64> = world
            .writes(Side::Crm)
            .await
            .iter()
            .map(|write| write.id.strip_prefix(&format!("{entity}:w")).and_then(|number| number.parse().ok()).expect("an id"))
            .collect();
        let first = START + seconds * 1_000_000;
        assert_eq!(numbers, [first, first + 1, first + 2], "{}", world.show().await);
        ids.extend(world.writes(Side::Crm).await.into_iter().map(|write| write.id));
        running.stop().await;
    }
    // The same entity, and no id twice; each fits into the field that takes it.
    let entities: BTreeSet<_> = ids.iter().filter_map(|id| id.split(':').next()).collect();
    assert_eq!((entities.len(), ids.iter().collect::<BTreeSet<_>>().len()), (1, 6), "{ids:?}");
    assert!(ids.iter().all(|id| id.len() <= 60), "{ids:?}");
}

#[tokio::test]
async fn a_conflict_by_amount_waits_for_a_person_and_is_carried_out() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    world.pass(60);
    // Both sides change the limit before either sees the other.
    running.stop().await;
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Credit_Limit__c", Value::Double(60_000.0))]).await;
    world.pass(10);
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme", "2000.00")).await;
    let running = world.start();
    world.quiet().await;
    // Whichever was read first was written across, and refused.
    for write in world.writes(Side::Erp).await.into_iter().chain(world.writes(Side::Crm).await).filter(|write| write.op == WriteOp::Update)
    {
        let actual =
            if write.side == Side::Erp { [("credit_limit", money("2000.00"))] } else { [("Credit_Limit__c", Value::Double(60_000.0))] };
        world.answer(&write, OutcomeResult::Rejected, None, &actual).await;
    }
    world.quiet().await;
    let shown = world.show().await;
    let conflicts: Vec<Conflict> = world.messages(&world.topics.conflicts()).await;
    let open =
        conflicts.iter().find(|conflict| conflict.state == ConflictState::Open).unwrap_or_else(|| panic!("a person is asked: {shown}"));
    assert_eq!((open.field.as_str(), open.title.as_str(), open.crm_column.as_str()), ("credit_limit", "Acme", "Credit_Limit__c"));
    let before = world.writes(Side::Erp).await.len();
    world.decide(&entity, &open.id, Choice::Crm, Value::Null).await;
    world.quiet().await;
    let writes = world.writes(Side::Erp).await;
    let carried: Vec<_> = writes.iter().filter(|write| write.lane == Lane::Decision).collect();
    assert_eq!(carried.len(), 1, "{before} before, {writes:?}");
    assert_eq!(carried[0].conflict.as_deref(), Some(open.id.as_str()));
    let conflicts: Vec<Conflict> = world.messages(&world.topics.conflicts()).await;
    let settled = conflicts.iter().find(|conflict| conflict.state == ConflictState::Settled && conflict.id == open.id).expect("settled");
    assert_eq!((settled.settled_by.as_deref(), settled.winner), (Some("ana"), Some(Side::Crm)));
    running.stop().await;
}

#[tokio::test]
async fn a_rejected_write_becomes_a_conflict_with_what_was_found() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.pass(10);
    world.answer(&write, OutcomeResult::Rejected, None, &[("name", text("Acme GmbH"))]).await;
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme GmbH", "1000.00")).await;
    world.quiet().await;
    let conflicts: Vec<Conflict> = world.messages(&world.topics.conflicts()).await;
    assert!(conflicts.iter().any(|conflict| conflict.field == "name" && conflict.erp == text("Acme GmbH")), "{}", world.show().await);
    running.stop().await;
}
