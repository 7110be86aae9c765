//! Records that are new, gone or back: matched, made on the other side, found again.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::{OURSELVES, Op};
use schemas::message::{AuditEntry, EntityChange, EntityLink, EntityOp, Lane, Side, WriteOp};

use super::{ACCOUNT, CONTACT, customer_row, linked};
use crate::harness::{PARTITIONS, World, money, text};

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
async fn a_reference_whose_record_comes_later_is_an_edit_of_whoever_made_it() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Contact", CONTACT, Op::Create, &[("LastName", text("Novak")), ("AccountId", Value::Null)]).await;
    world.quiet().await;
    world.change(Side::Crm, "Contact", CONTACT, Op::Update, &[("AccountId", text(ACCOUNT))]).await;
    world.change_by(Side::Crm, "Contact", CONTACT, Op::Update, &[("Email", text("n@x.example"))], Some(OURSELVES)).await;
    world.quiet().await;
    world.change(Side::Crm, "Account", ACCOUNT, Op::Create, &[("Name", text("Acme")), ("Credit_Limit__c", Value::Double(10.0))]).await;
    world.quiet().await;
    let changes = world.changes().await;
    let says = |change: &&EntityChange, name: &str| change.fields.iter().any(|field| field.name == name && field.value != Value::Null);
    let origin =
        |name: &str| changes.iter().find(|change| change.record == CONTACT && says(change, name)).map(|change| change.origin.clone());
    assert_eq!(origin("customer"), Some(None), "{changes:#?}");
    assert_eq!(origin("email"), Some(Some(OURSELVES.to_owned())), "{changes:#?}");
    running.stop().await;
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
async fn a_truncated_table_loses_every_record_it_had_and_none_it_gets_afterwards() {
    let (world, running) = World::copied().await;
    for id in 0..40 {
        let values = [("number", text("R")), ("amount", money("1.00")), ("status", text("open"))];
        world.change(Side::Erp, "public.invoices", &id.to_string(), Op::Create, &values).await;
    }
    for partition in 0..PARTITIONS {
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
