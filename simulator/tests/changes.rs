//! Change events: headers, bitmaps, compound fields, transactions, gaps.

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value as Json, json};
use simulator::{Actor, ChangeType, DeletedLast};

use crate::support::World;

#[tokio::test]
async fn the_life_of_a_record_is_told_in_events() -> Result<()> {
    let world = World::new().await?;
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    let call = world.request(Method::POST, "/sobjects/Account").header("Sforce-Call-Options", "client=concord");
    let id =
        call.json(&json!({"Name": "Acme", "BillingCity": "Oslo", "AnnualRevenue": 5})).send().await?.json::<Json>().await?["id"].clone();
    let created = events.event().await?;
    assert_eq!(created.replay_id.len(), 10);
    assert_eq!(created.schema_id.len(), 22);
    let header = &created.header;
    assert_eq!((&header["changeType"], &header["entityName"], &header["recordIds"]), (&json!("CREATE"), &json!("Account"), &json!([id])));
    assert_eq!(header["changeOrigin"], "com/salesforce/api/rest/66.0;client=concord");
    assert_eq!(header["commitUser"], json!(world.simulator.org().integration_user().to_string()));
    assert_eq!((&header["sequenceNumber"], &header["changedFields"]), (&json!(1), &json!([])));
    assert!(header["commitTimestamp"].as_i64().is_some_and(|ms| ms % 1000 == 0));
    assert_eq!(
        (&created.body["Name"], &created.body["BillingAddress"], &created.body["AnnualRevenue"]),
        (&json!("Acme"), &json!({"City": "Oslo"}), &json!(5.0))
    );
    assert!(created.body["CreatedDate"].is_i64() && created.body["OwnerId"].is_string());

    let path = format!("/sobjects/Account/{}", id.as_str().unwrap_or_default());
    world.patch(&path, json!({"Industry": "Energy", "BillingStreet": "Main 1", "BillingCity": null})).await?;
    let changed = events.event().await?;
    assert_eq!(changed.header["changedFields"], json!(["0x400800", "4-0x03"]));
    assert_eq!(changed.header["nulledFields"], json!(["0x00", "4-0x02"]));
    let mut body = changed.body.clone();
    assert!(body.as_object_mut().and_then(|body| body.remove("LastModifiedDate")).is_some());
    assert_eq!(body, json!({"Industry": "Energy", "BillingAddress": {"Street": "Main 1"}}));

    world.send(Method::DELETE, &path, Json::Null).await?;
    let deleted = events.event().await?;
    assert_eq!((&deleted.header["changeType"], &deleted.body), (&json!("DELETE"), &json!({})));
    let org = world.simulator.org();
    let gone = simulator::RecordId::parse(id.as_str().unwrap_or_default()).ok_or_else(|| anyhow::anyhow!("id"))?;
    org.undelete(&Actor::lightning(org.admin_user()), gone)?;
    let back = events.event().await?;
    assert_eq!((&back.header["changeType"], &back.body["Name"]), (&json!("UNDELETE"), &json!("Acme")));
    assert_eq!(back.header["changeOrigin"], "com/salesforce/api/soap/66.0;client=SfdcInternalAPI/");
    assert!(created.replay_id < changed.replay_id && changed.replay_id < deleted.replay_id);
    Ok(())
}

#[tokio::test]
async fn records_changed_alike_share_an_event_and_a_transaction_its_key() -> Result<()> {
    let world = World::new().await?;
    let org = world.simulator.org();
    let ids = org.load("Account", (0..5).map(|n| json!({"Name": format!("A{n}")})))?;
    let mut events = world.subscribe("/data/ChangeEvents").await?;
    let person = Actor::lightning(org.admin_user());
    org.transaction(&person, |tx| {
        for id in &ids[..4] {
            tx.update(*id, &json!({"Rating": "Hot"}))?;
        }
        tx.create("Task", &json!({"Subject": "unseen"}))?;
        tx.update(ids[4], &json!({"Rating": "Cold"}))?;
        tx.update(ids[4], &json!({"Site": "x"}))?;
        tx.create("Contact", &json!({"LastName": "C", "AccountId": ids[0].to_string()}))
    })?;
    let (first, second, third) = (events.event().await?, events.event().await?, events.event().await?);
    assert_eq!(first.header["recordIds"], json!(ids[..4].iter().map(ToString::to_string).collect::<Vec<_>>()));
    assert_eq!((&second.body["Rating"], &second.body["Site"]), (&json!("Cold"), &json!("x")));
    assert_eq!((&third.header["entityName"], &third.body["Name"]), (&json!("Contact"), &json!({"LastName": "C"})));
    let sequence: Vec<_> = [&first, &second, &third].iter().map(|event| event.header["sequenceNumber"].clone()).collect();
    assert_eq!(sequence, [1, 3, 4], "the task has no events but a number");
    assert!([&second, &third].iter().all(|event| event.header["transactionKey"] == first.header["transactionKey"]));

    let refused = org.transaction(&person, |tx| {
        tx.update(ids[0], &json!({"Site": "y"}))?;
        tx.update(ids[1], &json!({"Rating": "x", "Nope": 1}))
    });
    assert!(refused.is_err());
    assert!(org.record(ids[0]).is_some_and(|record| record["Site"].is_null()));
    org.delete(&person, ids[0])?;
    let (account, contact) = (events.event().await?, events.event().await?);
    assert_eq!(
        (&account.header["entityName"], &contact.header["entityName"], &contact.header["changeType"]),
        (&json!("Account"), &json!("Contact"), &json!("DELETE"))
    );
    Ok(())
}

#[tokio::test]
async fn what_one_transaction_changes_and_deletes_is_told_as_the_first_of_both() -> Result<()> {
    let world = World::new().await?;
    let org = world.simulator.org();
    let person = Actor::lightning(org.admin_user());
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    for (told, kinds) in
        [(DeletedLast::First, vec!["UPDATE"]), (DeletedLast::Last, vec!["DELETE"]), (DeletedLast::Both, vec!["UPDATE", "DELETE"])]
    {
        world.simulator.settings().update(|live| live.deleted_last = told);
        let id = org.create(&person, "Account", &json!({"Name": "A"}))?;
        events.event().await?;
        org.transaction(&person, |tx| {
            tx.update(id, &json!({"Site": "x"}))?;
            tx.delete(id)
        })?;
        for kind in kinds {
            let event = events.event().await?;
            let site = if kind == "UPDATE" { json!("x") } else { Json::Null };
            assert_eq!((&event.header["changeType"], &event.body["Site"]), (&json!(kind), &site), "{told:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn flows_change_other_fields_in_the_same_event() -> Result<()> {
    let world = World::new().await?;
    world.simulator.settings().update(|live| {
        live.flows = vec![simulator::Flow {
            object: "Contact".to_owned(),
            when: "Title".to_owned(),
            set: "Department".to_owned(),
            to: simulator::FlowValue::UpperOf("Title".to_owned()),
        }];
    });
    let id = world.create("Contact", json!({"LastName": "A"})).await?;
    let mut events = world.subscribe("/data/ContactChangeEvent").await?;
    world.patch(&format!("/sobjects/Contact/{id}"), json!({"Title": "boss"})).await?;
    let event = events.event().await?;
    assert_eq!((&event.body["Title"], &event.body["Department"]), (&json!("boss"), &json!("BOSS")));
    Ok(())
}

#[tokio::test]
async fn a_new_field_changes_the_schema_and_old_events_keep_theirs() -> Result<()> {
    let world = World::new().await?;
    let org = world.simulator.org();
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    let id = world.create("Account", json!({"Name": "A"})).await?;
    org.add_field("Account", "Region__c text 40")?;
    world.patch(&format!("/sobjects/Account/{id}"), json!({"Region__c": "North"})).await?;
    let (before, after) = (events.event().await?, events.event().await?);
    assert_ne!(before.schema_id, after.schema_id);
    assert_eq!(after.body["Region__c"], "North");
    let (status, schema) = world.get(&format!("/event/eventSchema/{}", after.schema_id)).await?;
    assert_eq!((status, &schema["name"], &schema["uuid"]), (200, &json!("AccountChangeEvent"), &json!(after.schema_id)));
    let name = schema["fields"][1].clone();
    assert_eq!(
        (&name["name"], &name["doc"], &name["type"][2]["name"]),
        (&json!("Name"), &json!("Data:Switchable_PersonName"), &json!("Switchable_PersonName"))
    );
    Ok(())
}

#[tokio::test]
async fn gaps_and_overflows_carry_ids_only() -> Result<()> {
    let world = World::new().await?;
    let org = world.simulator.org();
    let ids = org.load("Account", (0..4).map(|n| json!({"Name": format!("A{n}")})))?;
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    world.simulator.settings().update(|live| live.gap_next = 1);
    let person = Actor::lightning(org.admin_user());
    org.update(&person, ids[0], &json!({"Site": "x"}))?;
    let gap = events.event().await?;
    assert_eq!((&gap.header["changeType"], &gap.header["changeOrigin"], &gap.body), (&json!("GAP_UPDATE"), &json!(""), &json!({})));
    org.emit_gap("Account", ChangeType::GapDelete, &ids[1..3])?;
    assert_eq!(events.event().await?.header["recordIds"].as_array().map(Vec::len), Some(2));
    world.simulator.settings().update(|live| live.overflow_after = 4);
    org.transaction(&person, |tx| ids.iter().try_for_each(|id| tx.update(*id, &json!({"Site": id.to_string()}))))?;
    let (told, told_too, overflow) = (events.event().await?, events.event().await?, events.event().await?);
    assert_eq!((&told.header["changeType"], &told_too.header["changeType"]), (&json!("UPDATE"), &json!("UPDATE")));
    assert_eq!((&overflow.header["changeType"], &overflow.header["recordIds"]), (&json!("GAP_OVERFLOW"), &json!(["000000000000000AAA"])));
    Ok(())
}
