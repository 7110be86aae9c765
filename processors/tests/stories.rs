//! Stories: these changes in, those messages out.

use std::collections::{BTreeMap, BTreeSet};

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{
    AuditEntry, Choice, Conflict, ConflictState, CustomerFinancials, DeadLetter, EntityLink, EntityOp, Health, HealthState, Lane,
    OutcomeResult, PipelineSummary, Side, WriteOp,
};

use crate::harness::{START, World, money, text};

const ACCOUNT: &str = "001000000000001AAA";
const CONTACT: &str = "003000000000001AAA";

fn customer_row(name: &str, limit: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("id", Value::Int(7)),
        ("name", text(name)),
        ("credit_limit", money(limit)),
        ("payment_terms", text("N30")),
        ("rating", Value::Int(2)),
        ("tax_id", text("AT 123")),
        ("status", text("active")),
        ("updated_by", text("erna")),
    ]
}

fn row(values: &[(&'static str, Value)]) -> BTreeMap<String, Value> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// One customer on both sides, linked by tax id and in agreement; the entity id.
async fn linked(world: &World) -> String {
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer_row("Acme", "1000.00")).await;
    world.quiet().await;
    let create = world.writes(Side::Crm).await.remove(0);
    world.carry_out(&create, &BTreeMap::new(), ACCOUNT).await;
    world.quiet().await;
    create.entity
}

#[tokio::test]
async fn a_new_erp_customer_is_made_in_the_crm_and_its_echo_ends_there() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    let create = world.writes(Side::Crm).await.remove(0);
    assert_eq!(
        (create.op, create.object.as_str(), create.id_column.as_deref(), create.lane),
        (WriteOp::Create, "Account", Some("Concord_Id__c"), Lane::Live)
    );
    assert!(create.values.iter().any(|field| field.name == "Name" && field.value == text("Acme")));
    let links: Vec<EntityLink> = world.messages(&world.topics.entity_links()).await;
    let rules: Vec<(Side, &str, &str)> = links.iter().map(|link| (link.side, link.rule.as_str(), link.entity.as_str())).collect();
    assert!(rules.contains(&(Side::Erp, "new", &entity)) && rules.contains(&(Side::Crm, "entity-id", &entity)), "{rules:?}");
    assert_eq!((world.writes(Side::Crm).await.len(), world.writes(Side::Erp).await.len()), (1, 0), "the echo wrote nothing");
    let audit: Vec<AuditEntry> = world.messages(&world.topics.audit()).await;
    assert_eq!(audit.len(), 1);
    assert_eq!((audit[0].record.as_str(), audit[0].op), (ACCOUNT, WriteOp::Create));
    assert!(!world.records(&world.topics.golden("customer")).await.is_empty());
    running.stop().await;
}

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
async fn a_contact_waits_for_its_parents_record() {
    let (world, running) = World::copied().await;
    // The contact's account is not known yet.
    world
        .change(
            Side::Crm,
            "Contact",
            CONTACT,
            Op::Create,
            &[("LastName", text("Novak")), ("Email", text("n@x.example")), ("AccountId", text(ACCOUNT))],
        )
        .await;
    world.quiet().await;
    assert!(world.changes().await.is_empty(), "it waits");
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Name", text("Acme")), ("Credit_Limit__c", Value::Double(10.0))]).await;
    world.quiet().await;
    let writes = world.writes(Side::Erp).await;
    assert_eq!(writes.iter().map(|write| write.object.as_str()).collect::<Vec<_>>(), ["public.customers"], "parents first");
    world.carry_out(&writes[0], &BTreeMap::new(), "7").await;
    world.quiet().await;
    let writes = world.writes(Side::Erp).await;
    let contact = writes.iter().find(|write| write.object == "public.contacts").expect("the contact follows");
    let parent = contact.values.iter().find(|field| field.name == "customer_id").expect("its parent's record");
    assert!(parent.value == text("7") || parent.value == Value::Int(7), "{parent:?}");
    let released = world.changes().await.into_iter().filter(|change| change.op == EntityOp::Released).count();
    assert_eq!(released, 1);
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_made_until_both_first_copies_are_read() {
    let world = World::new().await;
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer_row("Acme", "1000.00")).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    let running = world.start();
    world.quiet().await;
    assert!(world.writes(Side::Crm).await.is_empty(), "the CRM may have it");
    world
        .change(
            Side::Crm,
            "Account",
            ACCOUNT,
            Op::Read,
            &[
                ("Name", text("ACME")),
                ("Credit_Limit__c", Value::Double(1000.0)),
                ("Payment_Terms__c", text("NET30")),
                ("Rating__c", Value::Double(20.0)),
                ("Tax_Id__c", text("at123")),
            ],
        )
        .await;
    world.change(Side::Crm, "Account", "001000000000002AAA", Op::Read, &[("Name", text("Only CRM"))]).await;
    world.checkpoint("crm", &["Account"]).await;
    world.quiet().await;
    let links: Vec<EntityLink> = world.messages(&world.topics.entity_links()).await;
    assert!(links.iter().any(|link| link.rule == "key:tax id" && link.record == ACCOUNT), "{links:?}");
    let creates: Vec<String> = world
        .writes(Side::Erp)
        .await
        .into_iter()
        .filter(|write| write.op == WriteOp::Create)
        .map(|write| write.values[0].value.as_text().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(world.writes(Side::Erp).await.iter().filter(|write| write.op == WriteOp::Create).count(), 1, "{creates:?}");
    assert!(world.writes(Side::Crm).await.iter().all(|write| write.op != WriteOp::Create));
    running.stop().await;
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
async fn a_bad_record_is_set_aside_with_its_bytes_and_the_rest_goes_on() {
    let (world, running) = World::copied().await;
    let topic = world.topics.cdc_erp("public.customers");
    let rubbish = stream::NewRecord::new(topic.clone(), "8", b"\0\0\0\0\x01rubbish".to_vec());
    stream::Log::publish(&world.log, vec![rubbish]).await.expect("publishes");
    let mut odd = customer_row("Odd", "1.00");
    odd[3].1 = text("N99");
    world.change(Side::Erp, "public.customers", "9", Op::Create, &odd).await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer_row("Acme", "1000.00")).await;
    world.quiet().await;
    let letters: Vec<DeadLetter> = world.messages(&world.topics.dead_letters(&topic)).await;
    assert_eq!(letters.len(), 2);
    let bytes = letters.iter().find(|letter| letter.key.as_deref() == Some(b"8")).expect("the rubbish");
    assert_eq!((bytes.value.as_deref(), bytes.component.as_str()), (Some(b"\0\0\0\0\x01rubbish".as_slice()), "matcher"));
    let unmapped = letters.iter().find(|letter| letter.key.as_deref() == Some(b"9")).expect("the odd row");
    assert!(unmapped.reason.contains("payment_terms") && unmapped.reason.contains("N99"), "{}", unmapped.reason);
    assert_eq!(world.writes(Side::Crm).await.len(), 1, "the good one went on");
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

#[tokio::test]
async fn totals_follow_invoices_payments_orders_and_opportunities() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    let today = i32::try_from(world.now() / 86_400_000_000).expect("a day");
    let invoice = |amount: &str, customer: i64| {
        vec![
            ("number", text("R1")),
            ("amount", money(amount)),
            ("due_date", Value::Date(today)),
            ("status", text("open")),
            ("customer_id", Value::Int(customer)),
        ]
    };
    // The payment comes before its invoice, the invoice of an unknown customer waits.
    world.change(Side::Erp, "public.payments", "1", Op::Create, &[("invoice_id", Value::Int(1)), ("amount", money("40.00"))]).await;
    world.change(Side::Erp, "public.invoices", "1", Op::Create, &invoice("100.00", 7)).await;
    world.change(Side::Erp, "public.invoices", "2", Op::Create, &invoice("999.00", 77)).await;
    world
        .change(
            Side::Erp,
            "public.orders",
            "1",
            Op::Create,
            &[("number", text("O1")), ("status", text("open")), ("total", money("25.50")), ("customer_id", Value::Int(7))],
        )
        .await;
    let deal = |stage: &str, amount: f64, probability: f64, closed: bool, won: bool| {
        vec![
            ("Name", text("Deal")),
            ("StageName", text(stage)),
            ("Amount", Value::Double(amount)),
            ("Probability", Value::Double(probability)),
            ("IsClosed", Value::Bool(closed)),
            ("IsWon", Value::Bool(won)),
            ("AccountId", text(ACCOUNT)),
        ]
    };
    world.change(Side::Crm, "Opportunity", "006a", Op::Create, &deal("Prospecting", 1000.0, 10.0, false, false)).await;
    world.change(Side::Crm, "Opportunity", "006b", Op::Create, &deal("Closed Won", 500.0, 100.0, true, true)).await;
    world.quiet().await;
    let latest = |all: Vec<CustomerFinancials>| all.into_iter().rfind(|sums| sums.customer == entity).expect("said");
    let sums = latest(world.messages(&world.topics.customer_financials()).await);
    assert_eq!(
        (sums.ar_balance.as_str(), sums.overdue.as_str(), sums.open_orders, sums.open_order_value.as_str()),
        ("60.00", "0", 1, "25.50")
    );
    // A partial CRM update moves an opportunity on.
    world
        .change(Side::Crm, "Opportunity", "006a", Op::Update, &[("StageName", text("Closed Lost")), ("IsClosed", Value::Bool(true))])
        .await;
    world.quiet().await;
    let pipeline: Vec<PipelineSummary> = world.messages(&world.topics.pipeline_summary()).await;
    let of = |stage: &str| pipeline.iter().rfind(|sums| sums.stage == stage).expect("said");
    assert_eq!((of("all").count, of("all").won, of("all").lost, of("all").win_rate_bp), (2, 1, 1, Some(5000)));
    assert_eq!((of("Prospecting").count, of("Closed Lost").count, of("Closed Won").value.as_str()), (0, 1, "500"));
    // The due day passes without any change.
    world.pass(2 * 86_400);
    let mut sums = latest(world.messages(&world.topics.customer_financials()).await);
    for _ in 0..2000 {
        if sums.overdue == "60.00" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        sums = latest(world.messages(&world.topics.customer_financials()).await);
    }
    assert_eq!((sums.overdue.as_str(), sums.as_of), ("60.00", today + 2));
    // The invoice moves to another customer, and the payment with it.
    let mut other = customer_row("Other", "1.00");
    other[0].1 = Value::Int(77);
    other[5].1 = text("AT 77");
    world.change(Side::Erp, "public.customers", "77", Op::Create, &other).await;
    world.change(Side::Erp, "public.invoices", "1", Op::Update, &invoice("100.00", 77)).await;
    world.quiet().await;
    let all: Vec<CustomerFinancials> = world.messages(&world.topics.customer_financials()).await;
    assert_eq!(latest(all.clone()).ar_balance.parse::<f64>().ok(), Some(0.0));
    let new = all.iter().rfind(|sums| sums.customer != entity).expect("the new customer's");
    assert_eq!(new.ar_balance, "1059.00");
    running.stop().await;
}

#[tokio::test]
async fn a_truncated_table_loses_every_record_it_had_and_none_it_gets_afterwards() {
    let (world, running) = World::copied().await;
    for id in 0..40 {
        let values = [("number", text("R")), ("amount", money("1.00")), ("status", text("open"))];
        world.change(Side::Erp, "public.invoices", &id.to_string(), Op::Create, &values).await;
    }
    for partition in 0..crate::harness::PARTITIONS {
        let mut record = world.cdc(Side::Erp, "public.invoices", "", Op::Truncate, &[], None).await;
        record.partition = Some(partition);
        stream::Log::publish(&world.log, vec![record]).await.expect("publishes");
    }
    world
        .change(
            Side::Erp,
            "public.invoices",
            "3",
            Op::Create,
            &[("number", text("new")), ("amount", money("2.00")), ("status", text("open"))],
        )
        .await;
    world.quiet().await;
    let changes = world.changes().await;
    let deleted = changes.iter().filter(|change| change.op == EntityOp::Deleted).count();
    // Record 3 may have come back before its old self was deleted; then it was replaced instead.
    assert!((39..=40).contains(&deleted), "{deleted}");
    let last = changes.iter().rfind(|change| change.record == "3").expect("said");
    assert_eq!(last.op, EntityOp::Changed);
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_record_finds_its_entity_again_when_it_comes_back() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    world.change(Side::Crm, "Account", ACCOUNT, Op::Delete, &[]).await;
    world.quiet().await;
    let deleted = world.changes().await.into_iter().find(|change| change.op == EntityOp::Deleted).expect("said");
    assert_eq!(deleted.entity, entity);
    assert!(deleted.before.iter().any(|field| field.name == "name" && field.value == text("Acme")));
    world
        .change(
            Side::Crm,
            "Account",
            ACCOUNT,
            Op::Create,
            &[
                ("Name", text("Acme")),
                ("Credit_Limit__c", Value::Double(1000.0)),
                ("Payment_Terms__c", text("NET30")),
                ("Rating__c", Value::Double(20.0)),
            ],
        )
        .await;
    world.quiet().await;
    let back = world.changes().await.into_iter().rfind(|change| change.record == ACCOUNT).expect("said");
    assert_eq!((back.entity, back.op), (entity, EntityOp::Changed));
    running.stop().await;
}

#[tokio::test]
async fn a_record_whose_outputs_are_too_large_is_set_aside_and_the_rest_goes_on() {
    let (world, running) = World::copied().await;
    running.stop().await;
    world.change(Side::Erp, "public.customers", "1", Op::Create, &customer_row("First", "1.00")).await;
    // It fits, but its entity change, which holds the name twice, does not.
    world.change(Side::Erp, "public.customers", "2", Op::Create, &customer_row(&"x".repeat(40 << 10), "1.00")).await;
    let mut third = customer_row("Third", "1.00");
    third[5].1 = text("AT 3");
    world.change(Side::Erp, "public.customers", "3", Op::Create, &third).await;
    let running = world.start();
    world.quiet().await;
    let letters: Vec<DeadLetter> = world.messages(&world.topics.dead_letters(&world.topics.cdc_erp("public.customers"))).await;
    assert_eq!(letters.iter().map(|letter| letter.key.clone()).collect::<Vec<_>>(), [Some(b"2".to_vec())]);
    assert!(letters[0].reason.contains("more than the log takes"), "{}", letters[0].reason);
    assert_eq!(world.changes().await.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn health_says_who_runs_and_who_has_stopped() {
    let (world, running) = World::copied().await;
    running.stop().await;
    let health: Vec<Health> = world.messages(&world.topics.health()).await;
    for component in ["matcher", "reconciler", "aggregates"] {
        let states: Vec<HealthState> = health.iter().filter(|health| health.component == component).map(|health| health.state).collect();
        assert!(states.contains(&HealthState::Running), "{component}: {states:?}");
        assert_eq!(states.last(), Some(&HealthState::Stopped), "{component}");
    }
    assert!(health.iter().any(|health| health.facts.contains_key("lag")));
}

#[tokio::test]
async fn children_copied_before_their_parents_are_matched_and_nothing_is_made_twice() {
    let world = World::new().await;
    let contact = |parent: Value| [("LastName", text("Novak")), ("Email", text("n@acme.example")), ("AccountId", parent)];
    world
        .change(
            Side::Crm,
            "Account",
            ACCOUNT,
            Op::Read,
            &[
                ("Name", text("Acme")),
                ("Credit_Limit__c", Value::Double(1000.0)),
                ("Payment_Terms__c", text("NET30")),
                ("Rating__c", Value::Double(20.0)),
                ("Tax_Id__c", text("AT 123")),
            ],
        )
        .await;
    world.change(Side::Crm, "Contact", CONTACT, Op::Read, &contact(text(ACCOUNT))).await;
    world.checkpoint("crm", &["Account", "Contact"]).await;
    // The ERP's contacts are read, all of them, before any customer.
    world
        .change(
            Side::Erp,
            "public.contacts",
            "1",
            Op::Read,
            &[("last_name", text("Novak")), ("email", text("n@acme.example")), ("customer_id", Value::Int(7))],
        )
        .await;
    world.checkpoint("erp", &["public.contacts"]).await;
    let running = world.start();
    world.quiet().await;
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer_row("Acme", "1000.00")).await;
    world.quiet().await;
    world.checkpoint("erp", &["public.contacts", "public.customers"]).await;
    world.quiet().await;
    let links: Vec<EntityLink> = world.messages(&world.topics.entity_links()).await;
    assert!(links.iter().any(|link| link.rule == "key:e-mail"), "{links:?}");
    assert!(links.iter().any(|link| link.rule == "key:tax id"), "{links:?}");
    for side in [Side::Crm, Side::Erp] {
        assert!(world.writes(side).await.iter().all(|write| write.op != WriteOp::Create), "{}", world.show().await);
    }
    // Once all is copied, what is on one side only is made.
    world
        .change(
            Side::Crm,
            "Contact",
            "003000000000002AAA",
            Op::Create,
            &[("LastName", text("Weber")), ("Email", text("w@acme.example")), ("AccountId", text(ACCOUNT))],
        )
        .await;
    world.quiet().await;
    assert_eq!(
        world.writes(Side::Erp).await.iter().filter(|write| write.op == WriteOp::Create && write.object == "public.contacts").count(),
        1
    );
    running.stop().await;
}

#[tokio::test]
async fn a_record_that_may_be_one_of_several_entities_is_not_made_on_the_other_side() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    // A second ERP customer with the tax id, then an account with it: each may be one that is there.
    let mut twin = customer_row("Acme branch", "5.00");
    twin[0].1 = Value::Int(8);
    world.change(Side::Erp, "public.customers", "8", Op::Create, &twin).await;
    world.quiet().await;
    world
        .change(Side::Crm, "Account", "001000000000002AAA", Op::Create, &[("Name", text("Acme again")), ("Tax_Id__c", text("AT 123"))])
        .await;
    world.quiet().await;
    let links: Vec<EntityLink> = world.messages(&world.topics.entity_links()).await;
    let ambiguous: Vec<&str> = links.iter().filter(|link| link.rule == "ambiguous:tax id").map(|link| link.record.as_str()).collect();
    assert_eq!(ambiguous, ["8", "001000000000002AAA"], "{links:?}");
    assert_eq!((world.writes(Side::Crm).await.len(), world.writes(Side::Erp).await.len()), (1, 0), "{}", world.show().await);
    // Later edits do not make it either.
    twin[1].1 = text("Acme branch north");
    world.change(Side::Erp, "public.customers", "8", Op::Update, &twin).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Crm).await.len(), 1);
    assert_eq!(world.counted("processors_ambiguous_records_total"), 2);
    running.stop().await;
}

/// Waits for writes that only ask what is there.
async fn asked(world: &World, side: Side, count: usize) -> Vec<schemas::message::Write> {
    for _ in 0..2000 {
        let asked: Vec<_> = world.writes(side).await.into_iter().filter(|write| write.values.is_empty()).collect();
        if asked.len() >= count {
            return asked;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("nobody asked: {}", world.show().await);
}

#[tokio::test]
async fn a_write_whose_echo_never_comes_is_confirmed_by_reading() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.answer(&write, OutcomeResult::Applied, None, &[]).await;
    world.quiet().await;
    let audited = world.records(&world.topics.audit()).await.len();
    world.pass(30);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Group"))]).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Erp).await.len(), 1, "the next edit waits, and it is too early to ask");
    world.pass(60);
    let read = asked(&world, Side::Erp, 1).await.remove(0);
    assert_eq!((read.op, read.record.as_deref(), read.object.as_str()), (WriteOp::Update, Some("7"), "public.customers"));
    assert_eq!(read.expected.iter().map(|field| (field.name.as_str(), &field.value)).collect::<Vec<_>>(), [("name", &text("Acme Ltd"))]);
    world.answer(&read, OutcomeResult::Applied, None, &[("name", text("Acme Ltd"))]).await;
    world.quiet().await;
    assert_eq!(world.records(&world.topics.audit()).await.len(), audited + 1, "{}", world.show().await);
    let writes: Vec<_> = world.writes(Side::Erp).await.into_iter().filter(|write| !write.values.is_empty()).collect();
    assert_eq!(writes.len(), 2, "the edit that waited goes across");
    assert_eq!((&writes[1].values[0].value, &writes[1].expected[0].value), (&text("Acme Group"), &text("Acme Ltd")));
    assert_eq!(world.writes(Side::Crm).await.len(), 1, "and nothing comes back");
    // The echo of the first write comes after all.
    world.change_by(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme Ltd", "1000.00"), Some("concord")).await;
    world.quiet().await;
    assert_eq!(
        (world.writes(Side::Crm).await.len(), world.records(&world.topics.conflicts()).await.len()),
        (1, 0),
        "{}",
        world.show().await
    );
    assert_eq!(world.counted("processors_reread_records_total"), 1);
    running.stop().await;
}

#[tokio::test]
async fn what_is_found_instead_of_an_unseen_write_goes_across_once_its_stream_has_shown_it() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.remove(0);
    world.answer(&write, OutcomeResult::Applied, None, &[]).await;
    world.quiet().await;
    world.pass(90);
    let first = asked(&world, Side::Erp, 1).await.remove(0);
    // The answer to the first question is lost with the sink; it is asked again.
    world.answer(&first, OutcomeResult::Deferred, None, &[]).await;
    world.quiet().await;
    world.pass(90);
    let second = asked(&world, Side::Erp, 2).await.remove(1);
    assert_ne!(first.id, second.id);
    world.answer(&second, OutcomeResult::Applied, None, &[("name", text("Acme AG"))]).await;
    world.quiet().await;
    // Somebody's edit, of which only the stream knows whose it is and when it was made: it is waited for.
    let writes = async |side| {
        world.writes(side).await.into_iter().filter(|write| write.op == WriteOp::Update && !write.values.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!((writes(Side::Crm).await.len(), writes(Side::Erp).await.len()), (0, 1), "{}", world.show().await);
    world.pass(90);
    let third = asked(&world, Side::Erp, 3).await.remove(2);
    world.answer(&third, OutcomeResult::Applied, None, &[("name", text("Acme AG"))]).await;
    world.quiet().await;
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme AG", "1000.00")).await;
    world.quiet().await;
    // The write's own echo never comes: the log was compacted to somebody's later row. A re-read that finds what the stream
    // shows by now ends the write.
    assert_eq!(writes(Side::Crm).await.len(), 0, "{}", world.show().await);
    world.pass(90);
    let fourth = asked(&world, Side::Erp, 4).await.remove(3);
    world.answer(&fourth, OutcomeResult::Applied, None, &[("name", text("Acme AG"))]).await;
    world.quiet().await;
    let back = writes(Side::Crm).await;
    assert_eq!(back.len(), 1, "{}", world.show().await);
    assert_eq!((&back[0].values[0].value, &back[0].expected[0].value), (&text("Acme AG"), &text("Acme Ltd")));
    // It comes to rest: nothing more is asked or written, and nothing was overwritten unrecorded.
    world.carry_out(&back[0], &BTreeMap::new(), "").await;
    world.quiet().await;
    world.pass(90);
    world.quiet().await;
    assert_eq!((writes(Side::Crm).await.len(), writes(Side::Erp).await.len()), (1, 1), "{}", world.show().await);
    assert_eq!(asked(&world, Side::Erp, 4).await.len(), 4, "{}", world.show().await);
    assert_eq!(world.records(&world.topics.conflicts()).await.len(), 0, "{}", world.show().await);
    running.stop().await;
}
