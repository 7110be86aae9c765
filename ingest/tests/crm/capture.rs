//! What the stream carries arrives as it is.

use anyhow::{Context as _, Result};
use ingest::crm::{Auth, Channel, Config, Secret};
use schemas::cdc::{ColumnType, Op};
use schemas::{Decimal, Value};
use serde_json::json;
use simulator::{Actor, DeletedLast};
use stream::Log as _;

use super::harness::{Seen, World, ops};

fn set(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn what_was_there_is_copied_with_its_author_and_what_comes_after_is_followed() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let old = world.org.load("Account", [json!({"Name": "Old", "AnnualRevenue": 1250, "BillingCity": "Wien"})])?[0].to_string();
    let running = world.start_following().await?;
    let new = world.create("Account", json!({"Name": "New"}))?;
    world.update(new, json!({"Phone": "1"}))?;
    let seen = world.changes_when("Account", "the update", |seen| ops(seen).ends_with('u')).await?;
    assert_eq!(ops(&seen), "rcu");
    assert_eq!(seen[0].key, old);
    let copied = seen[0].change.as_ref().context("a change")?;
    assert!(copied.source.snapshot && copied.changed.is_none());
    assert_eq!(copied.source.actor, seen[1].change.as_ref().and_then(|change| change.source.actor.clone()));
    assert!(copied.source.actor.as_deref().is_some_and(|name| name.contains(' ') || !name.starts_with("005")), "{:?}", copied.source.actor);
    let columns: Vec<_> = seen[0]
        .schema
        .columns
        .iter()
        .filter(|column| ["Id", "AnnualRevenue", "Credit_Limit__c"].contains(&column.name.as_str()))
        .cloned()
        .collect();
    assert_eq!(columns[1].kind, ColumnType::Decimal { precision: 18, scale: 0 });
    assert_eq!(columns[2].kind, ColumnType::Decimal { precision: 18, scale: 2 });
    assert_eq!(seen[0].after("AnnualRevenue"), Some(Value::Decimal(Decimal("1250".into()))));
    assert_eq!(seen[0].after("BillingCity"), Some(Value::text("Wien")));
    running.stop().await
}

#[tokio::test]
async fn an_update_says_what_it_carries_who_made_it_and_where_it_comes_from() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "Acme", "Phone": "1", "Fax": "2"})])?[0];
    let running = world.start_following().await?;
    world.org.update(&Actor::rest(world.org.integration_user(), Some("concord")), id, &json!({"Phone": null, "Credit_Limit__c": 10.5}))?;
    world.update(id, json!({"Industry": "Banking"}))?;
    let seen = world.changes_when("Account", "two updates", |seen| ops(seen) == "ruu").await?;
    let ours = seen[1].change.as_ref().context("a change")?;
    assert_eq!(ours.source.origin.as_deref(), Some("concord"));
    let carried = seen[1].carried().context("a partial row")?;
    assert!(carried.is_superset(&set(&["Id", "Phone", "Credit_Limit__c", "LastModifiedDate"])), "{carried:?}");
    assert!(!carried.contains("Fax") && !carried.contains("Name"), "{carried:?}");
    assert_eq!(
        (seen[1].after("Phone"), seen[1].after("Credit_Limit__c")),
        (Some(Value::Null), Some(Value::Decimal(Decimal("10.50".into()))))
    );
    let theirs = seen[2].change.as_ref().context("a change")?;
    assert_eq!(theirs.source.origin.as_deref(), Some("SfdcInternalAPI/"));
    assert!(!theirs.source.transaction.is_empty() && theirs.source.committed_at == world.clock.now_ms() * 1000);
    assert_eq!(theirs.source.ordinal, 0);
    assert!(seen[2].sync_id.starts_with(&format!("crm-{}", theirs.source.position)), "{}", seen[2].sync_id);
    running.stop().await
}

#[tokio::test]
async fn a_change_carries_the_id_of_the_write_that_made_it_and_a_record_that_is_read_has_the_last() -> Result<()> {
    let stamp = "Concord_Write__c";
    let mut world = World::new(&["Account"]).await?;
    world.config.write_fields = [("Account".to_owned(), stamp.to_owned())].into();
    let ours = Actor::rest(world.org.integration_user(), Some("concord"));
    let ids = world.org.load("Account", [json!({"Name": "Acme"}), json!({"Name": "Bolt"})])?;
    world.org.update(&ours, ids[0], &json!({"Name": "Acme 1", stamp: "e:w1"}))?;
    world.org.update(&ours, ids[1], &json!({"Name": "Bolt 1", stamp: "b:w1"}))?;
    world.org.update(&world.person(), ids[1], &json!({"Name": "Bolt 2"}))?;
    let running = world.start_following().await?;
    world.update(ids[0], json!({"Phone": "1"}))?;
    world.clock.advance_ms(1_000);
    world.org.update(&ours, ids[0], &json!({"Phone": "2", stamp: "e:w2"}))?;
    // The same value again, under another id, is a change all the same.
    world.clock.advance_ms(1_000);
    world.org.update(&ours, ids[0], &json!({"Phone": "2", stamp: "e:w3"}))?;
    world.delete(ids[0])?;
    world.clock.advance_ms(1_000);
    world.org.undelete(&world.person(), ids[0])?;
    world.update(ids[1], json!({"Phone": "3"}))?;
    world.clock.advance_ms(1_000);
    world.simulator.settings().update(|live| live.gap_next = 1);
    world.org.update(&ours, ids[1], &json!({"Phone": "4", stamp: "b:w2"}))?;
    let seen = world.changes_when("Account", "the record that is read again", |seen| ops(seen).ends_with("ur")).await?;
    let told: Vec<_> = seen
        .iter()
        .filter(|seen| seen.change.is_some())
        .map(|seen| {
            let carried = seen.carried().is_none_or(|carried| carried.contains(stamp));
            let origin = seen.change.as_ref().and_then(|change| change.source.origin.clone());
            let id = seen.after(stamp).filter(|_| carried).and_then(|id| id.as_text().map(str::to_owned)).unwrap_or_default();
            (seen.op().map_or("", Op::as_str), id, origin.as_deref() == Some("concord"))
        })
        .collect();
    let told: Vec<_> = told.iter().map(|(op, id, ours)| (*op, id.as_str(), *ours)).collect();
    assert_eq!(
        told,
        [
            ("r", "e:w1", true),
            ("r", "b:w1", false),
            ("u", "", false),
            ("u", "e:w2", true),
            ("u", "e:w3", true),
            ("d", "", false),
            ("c", "e:w3", false),
            ("u", "", false),
            ("r", "b:w2", true),
        ]
    );
    running.stop().await
}

#[tokio::test]
async fn compound_fields_arrive_under_their_own_names() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    let account =
        world.org.load("Account", [json!({"Name": "Acme", "BillingStreet": "Ring 1", "BillingCity": "Wien", "ShippingCity": "Graz"})])?[0];
    let contact = world.org.load("Contact", [json!({"FirstName": "Ada", "LastName": "Byron"})])?[0];
    let running = world.start_following().await?;
    world.update(account, json!({"BillingStreet": "Ring 2", "BillingCity": null}))?;
    world.update(contact, json!({"LastName": "Lovelace"}))?;
    let accounts = world.changes_when("Account", "the update", |seen| ops(seen) == "ru").await?;
    let carried = accounts[1].carried().context("a partial row")?;
    assert!(carried.is_superset(&set(&["BillingStreet", "BillingCity"])) && !carried.contains("ShippingCity"), "{carried:?}");
    assert_eq!((accounts[1].after("BillingStreet"), accounts[1].after("BillingCity")), (Some(Value::text("Ring 2")), Some(Value::Null)));
    let contacts = world.changes_when("Contact", "the update", |seen| ops(seen) == "ru").await?;
    let carried = contacts[1].carried().context("a partial row")?;
    assert!(carried.contains("LastName") && !carried.contains("FirstName"), "{carried:?}");
    assert_eq!(contacts[1].after("LastName"), Some(Value::text("Lovelace")));
    running.stop().await
}

#[tokio::test]
async fn a_delete_is_followed_by_a_tombstone_and_an_undelete_is_a_create() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "Acme"})])?[0];
    let running = world.start_following().await?;
    world.delete(id)?;
    world.clock.advance_ms(1000);
    world.org.undelete(&world.person(), id)?;
    let seen = world.changes_when("Account", "the undelete", |seen| ops(seen).ends_with('c')).await?;
    assert_eq!(ops(&seen), "rd-c");
    assert!(seen.iter().all(|seen| seen.key == id.to_string()));
    assert_eq!(seen[3].after("Name"), Some(Value::text("Acme")));
    assert_eq!(seen[1].sync_id, seen[2].sync_id);
    running.stop().await
}

#[tokio::test]
async fn a_record_that_takes_the_id_of_its_delete_is_gone_however_the_stream_tells_of_it() -> Result<()> {
    let stamp = "Concord_Write__c";
    for (told, ops_then) in [(DeletedLast::First, "rd-cud-"), (DeletedLast::Last, "rd-cud-"), (DeletedLast::Both, "rd-d-cud-d-")] {
        let mut world = World::new(&["Account"]).await?;
        world.config.write_fields = [("Account".to_owned(), stamp.to_owned())].into();
        world.simulator.settings().update(|live| live.deleted_last = told);
        let ours = Actor::rest(world.org.integration_user(), Some("concord"));
        let id = world.org.load("Account", [json!({"Name": "Acme", stamp: "e:w1"})])?[0];
        let running = world.start_following().await?;
        let delete = |write: &str| {
            world.clock.advance_ms(1_000);
            world.org.transaction(&ours, |tx| {
                tx.update(id, &json!({stamp: write}))?;
                tx.delete(id)
            })
        };
        delete("e:w2:d")?;
        world.clock.advance_ms(1_000);
        world.org.undelete(&world.person(), id)?;
        // What came back bears it still, and may be edited.
        world.update(id, json!({"Name": "Acme 2"}))?;
        delete("e:w3:d")?;
        let seen = world.changes_when("Account", "the second delete", |seen| ops(seen).len() == ops_then.len()).await?;
        assert_eq!(ops(&seen), ops_then, "{told:?}");
        let back = &seen[ops_then.find('c').context("a return")?];
        assert_eq!((back.after(stamp), back.after("Name")), (Some(Value::text("e:w2:d")), Some(Value::text("Acme"))));
        let by_us = |seen: &&Seen| seen.op() == Some(Op::Delete);
        let origins = seen.iter().filter(by_us).filter_map(|seen| seen.change.as_ref()?.source.origin.as_deref());
        assert!(origins.clone().count() >= 2 && origins.into_iter().all(|origin| origin == "concord"));
        running.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn objects_changed_in_one_transaction_keep_its_key_and_order() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    let running = world.start_following().await?;
    world.org.transaction(&world.person(), |tx| {
        let account = tx.create("Account", &json!({"Name": "Acme"}))?;
        tx.create("Contact", &json!({"LastName": "One", "AccountId": account.to_string()}))?;
        tx.create("Contact", &json!({"LastName": "Two", "AccountId": account.to_string()}))
    })?;
    let contacts = world.changes_when("Contact", "both", |seen| seen.len() == 2).await?;
    let accounts = world.changes("Account").await?;
    let source = |seen: &Seen| seen.change.as_ref().map(|change| (change.source.transaction.clone(), change.source.ordinal));
    let of = [source(&accounts[0]), source(&contacts[0]), source(&contacts[1])].map(Option::unwrap_or_default);
    assert!(of.iter().all(|(key, _)| *key == of[0].0), "{of:?}");
    assert!(of[0].1 < of[1].1 && of[1].1 <= of[2].1, "{of:?}");
    assert_ne!(contacts[0].sync_id, contacts[1].sync_id);
    running.stop().await
}

#[tokio::test]
async fn objects_that_are_not_followed_are_passed_over() -> Result<()> {
    let world = World::new(&["Contact"]).await?;
    let running = world.start_following().await?;
    world.create("Account", json!({"Name": "Not ours"}))?;
    world.create("Contact", json!({"LastName": "Ours"}))?;
    world.changes_when("Contact", "the contact", |seen| ops(seen) == "c").await?;
    assert!(!world.memory.topics().await?.contains(&world.topics.cdc_crm("Account")));
    running.stop().await
}

#[tokio::test]
async fn a_field_added_while_running_is_carried_from_then_on() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "Acme"})])?[0];
    let running = world.start_following().await?;
    world.update(id, json!({"Phone": "1"}))?;
    world.org.add_field("Account", "Loyalty__c text 40")?;
    world.update(id, json!({"Loyalty__c": "Gold"}))?;
    let seen = world.changes_when("Account", "both updates", |seen| ops(seen) == "ruu").await?;
    assert_eq!((seen[1].after("Loyalty__c"), seen[2].after("Loyalty__c")), (None, Some(Value::text("Gold"))));
    running.stop().await
}

#[tokio::test]
async fn many_changes_pass_through_little_credit() -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    world.config = Config { credit: 3, batch_events: 5, ..world.config };
    let running = world.start_following().await?;
    for number in 0..200 {
        world.create("Account", json!({"Name": format!("Account {number}")}))?;
    }
    let seen = world.changes_when("Account", "all of them", |seen| seen.len() >= 200).await?;
    assert_eq!(ops(&seen), "c".repeat(200));
    let names: Vec<_> = seen.iter().filter_map(|seen| seen.after("Name")).collect();
    assert_eq!(names, (0..200).map(|number| Value::text(format!("Account {number}"))).collect::<Vec<_>>());
    running.stop().await
}

#[tokio::test]
async fn each_object_may_have_a_stream_of_its_own_and_a_key_may_sign_in() -> Result<()> {
    let mut world = World::new(&["Account", "Contact"]).await?;
    let auth = Auth::Jwt {
        client_id: world.simulator.client_id(),
        username: world.simulator.username(),
        private_key: Secret::new(world.simulator.private_key_pem()),
        audience: None,
    };
    world.config = Config { channel: Channel::PerObject, auth, ..world.config };
    let running = world.start();
    world.health_when(schemas::message::HealthState::Running, "").await?;
    world.clock.advance_ms(60_000);
    world.create("Account", json!({"Name": "Acme"}))?;
    world.create("Contact", json!({"LastName": "Byron"}))?;
    world.changes_when("Account", "the account", |seen| !seen.is_empty()).await?;
    world.changes_when("Contact", "the contact", |seen| !seen.is_empty()).await?;
    let mut sources = std::collections::BTreeSet::new();
    world
        .until("both streams have checkpoints", async || {
            Ok(world
                .records(&world.topics.checkpoint())
                .await?
                .iter()
                .filter_map(|record| record.key.clone())
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                == 2)
        })
        .await?;
    for record in world.records(&world.topics.checkpoint()).await? {
        sources.insert(String::from_utf8(record.key.context("a key")?.to_vec())?);
    }
    assert_eq!(sources, set(&["crm.Account", "crm.Contact"]));
    running.stop().await
}

#[tokio::test]
async fn a_merge_deletes_the_loser_naming_the_winner_and_changes_the_winner() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let ids = world.org.load("Account", [json!({"Name": "Winner"}), json!({"Name": "Loser"})])?;
    let running = world.start_following().await?;
    world.org.merge(&world.person(), ids[0], &[ids[1]], &json!({"Phone": "7"}))?;
    let seen = world
        .changes_when("Account", "delete and update", |seen| {
            seen.iter().any(|seen| seen.op() == Some(Op::Delete)) && seen.iter().any(|seen| seen.op() == Some(Op::Update))
        })
        .await?;
    let deleted: Vec<_> = seen.iter().filter(|seen| seen.op() == Some(Op::Delete)).map(|seen| seen.key.clone()).collect();
    assert_eq!(deleted, [ids[1].to_string()]);
    let named: Vec<_> = world
        .records(&world.topics.cdc_crm("Account"))
        .await?
        .iter()
        .filter_map(|record| record.header("merged-into").map(|winner| String::from_utf8_lossy(winner).into_owned()))
        .collect();
    assert_eq!(named, [ids[0].to_string()]);
    running.stop().await
}

#[tokio::test]
async fn an_event_that_the_service_publishes_twice_is_applied_once() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "Acme"})])?[0];
    let running = world.start_following().await?;
    world.update(id, json!({"Phone": "1"}))?;
    world.update(id, json!({"Phone": "2"}))?;
    world.org.repeat_events(2);
    world.update(id, json!({"Phone": "3"}))?;
    let seen = world
        .changes_when("Account", "the last", |seen| seen.last().and_then(|seen| seen.after("Phone")) == Some(Value::text("3")))
        .await?;
    assert_eq!(ops(&seen), "ruuu");
    running.stop().await
}
