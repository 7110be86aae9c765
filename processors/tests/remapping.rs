//! The mapping changes while records go on: what is decided by which version, and what is read anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{Conflict, ConflictState, EntityChange, EntityOp, OutcomeResult, Side};

use crate::harness::{MAPPING, PARTITIONS, World, money, text};

const ACCOUNT: &str = "001000000000001AAA";

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

/// One customer on both sides, in agreement.
async fn linked(world: &World) {
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer_row("Acme", "1000.00")).await;
    world.quiet().await;
    let create = world.writes(Side::Crm).await.remove(0);
    world.carry_out(&create, &BTreeMap::new(), ACCOUNT).await;
    world.quiet().await;
}

fn edited(from: &str, to: &str) -> String {
    assert!(MAPPING.contains(from), "{from}");
    MAPPING.replacen(from, to, 1)
}

/// Puts a mapping on `control`.
async fn apply(world: &World, text: &str, version: i64) {
    let setting = processors::in_force::setting(text, version, "ida", world.now());
    world.publish(&world.topics.control(), processors::in_force::SETTING, &setting).await;
}

async fn conflicts(world: &World) -> Vec<(ConflictState, i64, String)> {
    let conflicts: Vec<Conflict> = world.messages(&world.topics.conflicts()).await;
    conflicts.into_iter().map(|conflict| (conflict.state, conflict.mapping_version, conflict.policy)).collect()
}

/// Both sides edit the credit limit at nearly the same time; what was on its way across is refused.
async fn clash(world: &World, crm: f64, erp: &str) {
    world.pass(60);
    let erp = world.cdc(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme", erp), None).await;
    stream::Log::publish(&world.log, vec![erp]).await.expect("publishes");
    world.quiet().await;
    let write = world.writes(Side::Crm).await.pop().expect("on its way");
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Credit_Limit__c", Value::Double(crm))]).await;
    world.quiet().await;
    world.answer(&write, OutcomeResult::Rejected, Some(ACCOUNT), &[("Credit_Limit__c", Value::Double(crm))]).await;
    world.quiet().await;
}

#[tokio::test]
async fn who_is_asked_about_a_field_that_travels_one_way_is_told_so() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    apply(&world, &edited("policy = \"last_write\"", "policy = \"review\"\ndirection = \"to_crm\""), 4).await;
    world.quiet().await;
    clash(&world, 2000.0, "3000.00").await;
    let found: Vec<Conflict> = world.messages(&world.topics.conflicts()).await;
    let open = found.iter().find(|conflict| conflict.state == ConflictState::Open).expect("a person is asked");
    assert!(open.reason.contains("; it travels to Salesforce only: the ERP's value goes across"), "{}", open.reason);
    running.stop().await;
}

fn said_anew(changes: &[EntityChange], version: i64) -> Vec<(Side, Vec<(String, Value)>)> {
    changes
        .iter()
        .filter(|change| change.op == EntityOp::Changed && change.mapping_version == version && change.snapshot)
        .map(|change| (change.side, change.fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect()))
        .collect()
}

#[tokio::test]
async fn a_policy_holds_from_the_version_that_brings_it_and_nothing_is_read_anew() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    let before = world.changes().await.len();
    apply(&world, &edited("policy = \"last_write\"", "policy = \"review\""), 4).await;
    world.quiet().await;
    assert_eq!(world.changes().await.len() - before, PARTITIONS as usize, "a marker in each partition, and no record");
    clash(&world, 2000.0, "3000.00").await;
    let found = conflicts(&world).await;
    assert!(
        !found.is_empty()
            && found.iter().all(|(state, version, policy)| (*state, *version, policy.as_str()) == (ConflictState::Open, 4, "review")),
        "{found:?}"
    );
    // An older one, or the same again, changes nothing.
    apply(&world, MAPPING, 4).await;
    apply(&world, MAPPING, 2).await;
    world.quiet().await;
    assert_eq!(world.changes().await.iter().filter(|change| change.op == EntityOp::Mapped).count(), PARTITIONS as usize);
    running.stop().await;
}

#[tokio::test]
async fn what_another_mapping_reads_otherwise_is_said_anew_and_carried_across_and_nothing_else() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    let writes = world.writes(Side::Crm).await.len();
    let text = edited("value == null ? null : value * 10", "value == null ? null : value * 100");
    apply(&world, &text.replacen("value == null ? null : value / 10", "value == null ? null : value / 100", 1), 4).await;
    world.quiet().await;
    assert_eq!(said_anew(&world.changes().await, 4), [(Side::Erp, vec![("rating".to_owned(), Value::Int(200))])]);
    let written = world.writes(Side::Crm).await;
    assert_eq!(written.len(), writes + 1);
    let last = &written[writes];
    assert_eq!((last.mapping_version, last.values[0].name.as_str(), &last.values[0].value), (4, "Rating__c", &Value::Int(200)));
    assert!(world.writes(Side::Erp).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn other_words_for_the_same_codes_write_nothing() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    let writes = world.writes(Side::Crm).await.len();
    apply(&world, &MAPPING.replace("\"30 days\"", "\"net 30\""), 4).await;
    world.quiet().await;
    let anew = said_anew(&world.changes().await, 4);
    assert_eq!(anew.len(), 2, "on both sides: {anew:?}");
    assert_eq!((world.writes(Side::Crm).await.len(), world.writes(Side::Erp).await.len()), (writes, 0));
    assert!(conflicts(&world).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn the_version_in_force_survives_a_kill_and_a_start_with_an_older_file() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    apply(&world, &edited("policy = \"last_write\"", "policy = \"crm\""), 4).await;
    world.quiet().await;
    running.kill().await;
    let running = world.start();
    clash(&world, 2000.0, "3000.00").await;
    let found = conflicts(&world).await;
    assert!(!found.is_empty() && found.iter().all(|(_, version, policy)| (*version, policy.as_str()) == (4, "crm")), "{found:?}");
    running.stop().await;
    // A start with a newer one takes that up.
    let newer = processors::mapping_file::parse(&edited("policy = \"last_write\"", "policy = \"erp\"")).expect("a mapping").at(5);
    let mut world = world;
    world.mapping = Arc::new(newer);
    let running = world.start();
    world.pass(60);
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme Ltd", "3000.00")).await;
    world.quiet().await;
    let write = world.writes(Side::Crm).await.pop().expect("the name goes across");
    assert_eq!((write.values[0].name.as_str(), write.mapping_version), ("Name", 5));
    let marked: Vec<i64> =
        world.changes().await.iter().filter(|change| change.op == EntityOp::Mapped).map(|change| change.mapping_version).collect();
    assert_eq!(marked.iter().filter(|version| **version == 5).count(), PARTITIONS as usize, "{marked:?}");
    running.stop().await;
}

#[tokio::test]
async fn what_only_a_start_may_change_is_not_taken_up_while_running() {
    let (world, running) = World::copied().await;
    apply(&world, &edited("object = \"public.contacts\"", "object = \"public.people\""), 4).await;
    apply(&world, "no mapping at all", 5).await;
    world.quiet().await;
    linked(&world).await;
    assert!(world.changes().await.iter().all(|change| change.mapping_version == 3));
    running.stop().await;
}

#[tokio::test]
async fn a_start_whose_first_record_is_set_aside_takes_up_the_newer_mapping_with_the_next() {
    let (mut world, running) = World::copied().await;
    linked(&world).await;
    running.stop().await;
    let newer = processors::mapping_file::parse(&edited("policy = \"last_write\"", "policy = \"erp\"")).expect("a mapping").at(5);
    world.mapping = Arc::new(newer);
    let mut unknown = customer_row("Acme", "1000.00");
    unknown.retain(|(name, _)| *name != "payment_terms");
    unknown.push(("payment_terms", text("N99")));
    world.pass(60);
    world.change(Side::Erp, "public.customers", "7", Op::Update, &unknown).await;
    let running = world.start();
    world.quiet().await;
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer_row("Acme Ltd", "1000.00")).await;
    world.quiet().await;
    let changes = world.changes().await;
    let markers = changes.iter().filter(|change| change.op == EntityOp::Mapped && change.mapping_version == 5).count();
    assert_eq!(markers, PARTITIONS as usize);
    assert_eq!(world.writes(Side::Crm).await.pop().map(|write| write.mapping_version), Some(5));
    running.stop().await;
}
