//! What a field may say beyond a column on each side: split and joined, required, with a default, with constants.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{DeadLetter, Field, Side, WriteOp};

use crate::harness::{Running, World, text};

const ACCOUNT: &str = "001000000000001AAA";

const MAPPING: &str = r#"
[entity.customer]
title = "name"
crm = { object = "Account", id_column = "Concord_Id__c", write_column = "Concord_Write__c", constants = { Description = { value = "kept by Concord", on = "always" } } }
erp = { object = "public.customers", id_column = "concord_id", constants = { priority = 3 } }

[entity.customer.field.name]                     # one line in Salesforce, two columns in the ERP
type = "text(40)"
required = true
crm = "Name"
erp.columns = ["name", "status"]
erp.read = 'join([columns.name, columns.status], ", ")'
erp.write.name = 'value.contains(", ") ? before_last(value, ", ") : value'
erp.write.status = 'value.contains(", ") ? after_last(value, ", ") : null'

[entity.customer.field.terms]
type = "text"
default = "30 days"
crm = "Payment_Terms__c"
erp = "payment_terms"

[entity.customer.field.phone]                    # whichever Salesforce has
type = "text"
crm = { columns = ["Phone", "Email__c"] }
erp = "tax_id"

[entity.contact]
title = "last_name"
crm = { object = "Contact", id_column = "Concord_Id__c", write_column = "Concord_Write__c" }
erp = { object = "public.contacts", id_column = "concord_id" }
[entity.contact.field.last_name]
type = "text"
crm = "LastName"
erp = "last_name"
"#;

async fn copied() -> (World, Running) {
    let mut world = World::new().await;
    world.mapping = Arc::new(processors::mapping_file::parse(MAPPING).expect("right"));
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    let running = world.start();
    world.quiet().await;
    (world, running)
}

fn row(values: &[(&'static str, Value)]) -> BTreeMap<String, Value> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn pairs(fields: &[Field]) -> Vec<(&str, Value)> {
    fields.iter().map(|field| (field.name.as_str(), field.value.clone())).collect()
}

/// An account that was made in the ERP, too.
async fn linked(world: &World) {
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Name", text("Acme, Linz")), ("Email__c", text("555"))]).await;
    world.quiet().await;
    let create = world.writes(Side::Erp).await.pop().expect("made");
    assert_eq!((create.op, create.mapping_version), (WriteOp::Create, 1));
    world.carry_out(&create, &row(&[("id", Value::Int(7))]), "7").await;
    world.quiet().await;
}

#[tokio::test]
async fn a_record_without_a_required_field_waits_and_is_made_once_it_has_it() {
    let (world, running) = copied().await;
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Phone", text("1"))]).await;
    world.quiet().await;
    assert!(world.writes(Side::Erp).await.is_empty());
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme"))]).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Erp).await.len(), 1);
    running.stop().await;
}

/// The reasons of what stands in the entities' dead letters.
async fn untold(world: &World) -> Vec<String> {
    let letters: Vec<DeadLetter> = world.messages(&world.topics.dead_letters(&world.topics.entity_changes())).await;
    letters.into_iter().map(|letter| letter.reason).collect()
}

#[tokio::test]
async fn what_the_mapping_cannot_write_is_told_until_it_can() {
    let (world, running) = copied().await;
    // A record that waits for what is required.
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Phone", text("1"))]).await;
    world.quiet().await;
    let told = untold(&world).await;
    assert!(told.len() == 1 && told[0].starts_with("name: cannot write nothing to erp column name"), "{told:?}");
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme, Linz"))]).await;
    world.quiet().await;
    assert_eq!(untold(&world).await[1..], [String::new()]);
    let create = world.writes(Side::Erp).await.pop().expect("made");
    world.carry_out(&create, &row(&[("id", Value::Int(7))]), "7").await;
    world.quiet().await;

    // A name that is longer than the mapping allows, and shorter again.
    world.pass(60);
    let long = "x".repeat(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text(&long))]).await;
    world.quiet().await;
    let told = untold(&world).await;
    assert!(told.len() == 3 && told[2].contains("it has 60 characters, and the mapping allows 40"), "{told:?}");
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme Ltd, Linz"))]).await;
    world.quiet().await;
    assert_eq!(untold(&world).await[3..], [String::new()]);
    running.stop().await;
}

#[tokio::test]
async fn a_new_record_gets_constants_and_defaults_and_the_default_comes_back() {
    let (world, running) = copied().await;
    linked(&world).await;
    let create = world.writes(Side::Erp).await.remove(0);
    assert_eq!(
        pairs(&create.values),
        [
            ("name", text("Acme")),
            ("payment_terms", text("30 days")),
            ("priority", Value::Int(3)),
            ("status", text("Linz")),
            ("tax_id", text("555"))
        ]
    );
    let back = world.writes(Side::Crm).await.pop().expect("the default");
    assert_eq!(
        pairs(&back.values),
        [("Description", text("kept by Concord")), ("Payment_Terms__c", text("30 days"))],
        "and what every write sets"
    );
    assert_eq!(pairs(&back.expected), [("Payment_Terms__c", Value::Null)]);
    running.stop().await;
}

#[tokio::test]
async fn a_field_of_several_columns_writes_all_of_them_with_what_each_should_hold_and_is_one_field_on_its_way() {
    let (world, running) = copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Name", text("Acme, Graz"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.pop().expect("on its way");
    assert_eq!(pairs(&write.values), [("name", text("Acme")), ("status", text("Graz"))]);
    assert_eq!(pairs(&write.expected), [("name", text("Acme")), ("status", text("Linz"))]);
    let there = row(&[("id", Value::Int(7)), ("payment_terms", text("30 days")), ("priority", Value::Int(3)), ("tax_id", text("555"))]);
    world.carry_out(&write, &there, "7").await;
    world.quiet().await;
    // The echo ended it; one of the two columns edited there comes back as the whole line.
    let before = world.writes(Side::Crm).await.len();
    world.pass(60);
    let mut edited: Vec<(&str, Value)> = there.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    edited.extend([("name", text("Acme Ltd")), ("status", text("Graz"))]);
    world.change(Side::Erp, "public.customers", "7", Op::Update, &edited).await;
    world.quiet().await;
    let written = world.writes(Side::Crm).await;
    let names: Vec<Value> = written[before..]
        .iter()
        .flat_map(|write| &write.values)
        .filter(|field| field.name == "Name")
        .map(|field| field.value.clone())
        .collect();
    assert_eq!(names, [text("Acme Ltd, Graz")]);
    running.stop().await;
}

#[tokio::test]
async fn of_several_columns_a_change_may_carry_the_second_alone() {
    let (world, running) = copied().await;
    linked(&world).await;
    world.pass(60);
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Phone", text("777"))]).await;
    world.quiet().await;
    let write = world.writes(Side::Erp).await.pop().expect("on its way");
    assert_eq!(pairs(&write.values), [("tax_id", text("777"))]);
    world
        .carry_out(
            &write,
            &row(&[("id", Value::Int(7)), ("name", text("Acme")), ("status", text("Linz")), ("payment_terms", text("30 days"))]),
            "7",
        )
        .await;
    world.quiet().await;
    let writes = world.writes(Side::Erp).await.len();
    // The first still counts.
    world.change(Side::Crm, "Account", ACCOUNT, Op::Update, &[("Email__c", text("556"))]).await;
    world.quiet().await;
    assert_eq!(world.writes(Side::Erp).await.len(), writes);
    running.stop().await;
}
