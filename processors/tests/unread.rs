//! A value that the mapping cannot read is set aside by itself; nothing that came along with it is lost, and nothing is written
//! over it.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{DeadLetter, Side};

use crate::harness::{MAPPING, World, money, text};

const ACCOUNT: &str = "001000000000001AAA";

/// One customer on both sides, in agreement; its entity.
async fn linked(world: &World) -> String {
    let row = [
        ("id", Value::Int(7)),
        ("name", text("Acme")),
        ("credit_limit", money("1000.00")),
        ("payment_terms", text("N30")),
        ("rating", Value::Int(2)),
        ("tax_id", text("AT 123")),
        ("status", text("active")),
        ("updated_by", text("erna")),
    ];
    world.change(Side::Erp, "public.customers", "7", Op::Create, &row).await;
    world.quiet().await;
    let create = world.writes(Side::Crm).await.remove(0);
    world.carry_out(&create, &BTreeMap::new(), ACCOUNT).await;
    world.quiet().await;
    create.entity
}

/// A code that the table of words does not have, in one edit with a new name.
#[tokio::test]
async fn a_value_that_cannot_be_read_is_set_aside_alone_and_what_was_edited_with_it_travels() {
    let (world, running) = World::copied().await;
    linked(&world).await;
    let topic = world.topics.cdc_crm("Account");
    let letters = async || -> Vec<DeadLetter> { world.messages(&world.topics.dead_letters(&topic)).await };
    world.pass(60);
    let edit = [("Name", text("Acme Ltd")), ("Payment_Terms__c", text("NET15"))];
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &edit).await;
    world.quiet().await;
    let set_aside = letters().await;
    assert_eq!(set_aside.len(), 1, "{}", world.show().await);
    assert!(set_aside[0].reason.contains("payment_terms") && set_aside[0].reason.contains("NET15"), "{}", set_aside[0].reason);
    assert_eq!(set_aside[0].key.as_deref(), Some(ACCOUNT.as_bytes()));
    let write = world.writes(Side::Erp).await.pop().expect("the name goes on");
    assert_eq!(write.values.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["name"]);
    assert!(!world.changes().await.iter().any(|change| change.columns.iter().any(|column| column.value == text("NET15"))));

    // Corrected at its source, it is a change like any other: its event carries nothing else.
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Payment_Terms__c", text("NET60"))]).await;
    world.quiet().await;
    assert!(world.writes(Side::Erp).await.iter().any(|write| write.values.iter().any(|field| field.value == text("N60"))));
    // And it is said that nothing is set aside any more.
    let after = letters().await;
    assert_eq!(after.len(), 2);
    assert_eq!((after[1].reason.as_str(), after[1].key.as_deref()), ("", Some(ACCOUNT.as_bytes())));
    running.stop().await;
}

/// Salesforce tells of an update only what it changed.
#[tokio::test]
async fn a_new_record_with_a_value_that_cannot_be_read_is_made_whole_once_it_can() {
    let (world, running) = World::copied().await;
    let all = [("Name", text("Acme")), ("Credit_Limit__c", Value::Double(1000.0)), ("Payment_Terms__c", text("NET15"))];
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &all).await;
    world.quiet().await;
    assert!(world.writes(Side::Erp).await.is_empty(), "{}", world.show().await);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Payment_Terms__c", text("NET60"))]).await;
    world.quiet().await;
    let made = world.writes(Side::Erp).await.pop().expect("made");
    let value = |name: &str| made.values.iter().find(|field| field.name == name).map(|field| field.value.clone());
    assert_eq!((value("name"), value("payment_terms")), (Some(text("Acme")), Some(text("N60"))), "{made:?}");
    running.stop().await;
}

/// The mapping without a word, and with it.
fn with_fifteen_days() -> String {
    let words = |column: &str, word: &str| format!("{{ column = \"{column}\", words = {{ {word} = \"15 days\", ");
    MAPPING
        .replacen("version = 3", "version = 4", 1)
        .replacen("{ column = \"Payment_Terms__c\", words = { ", &words("Payment_Terms__c", "NET15"), 1)
        .replacen("{ column = \"payment_terms\", words = { ", &words("payment_terms", "N15"), 1)
}

async fn put_in_force(world: &World, text: &str) {
    let setting = processors::in_force::setting(text, 4, "ida", world.now());
    world.publish(&world.topics.control(), processors::in_force::SETTING, &setting).await;
    world.quiet().await;
}

#[tokio::test]
async fn a_new_record_that_another_mapping_can_read_is_made_when_that_is_in_force() {
    let (world, running) = World::copied().await;
    let all = [("Name", text("Acme")), ("Payment_Terms__c", text("NET15"))];
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &all).await;
    world.change(Side::Crm, "Account", "001000000000002AAA", Op::Create, &all).await;
    world.quiet().await;
    world.change(Side::Crm, "Account", "001000000000002AAA", Op::Delete, &[]).await;
    world.quiet().await;
    put_in_force(&world, &with_fifteen_days()).await;
    let made = world.writes(Side::Erp).await;
    assert_eq!(made.len(), 1, "the deleted one is not made: {made:?}");
    assert!(made[0].values.iter().any(|field| field.value == text("N15")), "{made:?}");
    let letters: Vec<DeadLetter> = world.messages(&world.topics.dead_letters(&world.topics.cdc_crm("Account"))).await;
    assert_eq!(letters.iter().filter(|letter| letter.reason.is_empty()).count(), 2, "{letters:?}");
    running.stop().await;
}

/// The mapping learns the word: nobody has to touch the record.
#[tokio::test]
async fn a_value_that_another_mapping_can_read_is_taken_up_when_that_is_in_force() {
    let (world, running) = World::copied().await;
    let entity = linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Payment_Terms__c", text("NET15"))]).await;
    world.quiet().await;
    let told = world.changes().await.len();
    put_in_force(&world, &with_fifteen_days()).await;
    let changes = world.changes().await;
    let said = changes[told..].iter().find(|change| change.entity == entity && change.side == Side::Crm).expect("said again");
    assert!(said.fields.iter().any(|field| field.name == "payment_terms" && field.value == text("15 days")), "{said:?}");
    running.stop().await;
}
