//! Pub/Sub streams: credit, keepalive, resume, retention, errors.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use simulator::proto::{FetchRequest, ReplayPreset, SchemaRequest, TopicRequest};
use tonic::Code;

use crate::support::{World, trailer};

#[tokio::test]
async fn topics_and_schemas_are_told_to_those_who_signed_in() -> Result<()> {
    let world = World::new().await?;
    let mut client = world.pubsub().await?;
    let topic = client.get_topic(TopicRequest { topic_name: "/data/AccountChangeEvent".to_owned() }).await?.into_inner();
    assert!(topic.can_subscribe && !topic.can_publish);
    let schema = client.get_schema(SchemaRequest { schema_id: topic.schema_id.clone() }).await?.into_inner();
    assert!(schema.schema_json.contains("\"AccountChangeEvent\""));
    for (name, code, error) in [
        ("/data/Nope", Code::NotFound, "topic.not.found"),
        ("/data/accountchangeevent", Code::NotFound, "topic.not.found"),
        ("/data/LeadChangeEvent", Code::NotFound, "topic.not.found"),
        ("", Code::InvalidArgument, "topic.validation.empty"),
    ] {
        let Err(status) = client.get_topic(TopicRequest { topic_name: name.to_owned() }).await else { anyhow::bail!("{name} was found") };
        assert_eq!((status.code(), trailer(&status)), (code, error), "{name}");
        assert!(status.message().contains("rpcId: "));
    }
    let Err(status) = world.pubsub_as("wrong").await?.get_topic(TopicRequest { topic_name: "/data/ChangeEvents".to_owned() }).await else {
        anyhow::bail!("a wrong token worked")
    };
    assert_eq!((status.code(), trailer(&status)), (Code::Unauthenticated, "service.auth.error"));
    Ok(())
}

#[tokio::test]
async fn credit_is_capped_counted_and_never_overdrawn() -> Result<()> {
    let world = World::new().await?;
    let mut events = world.subscribe_from("/data/AccountChangeEvent", ReplayPreset::Latest, Vec::new(), 2).await?;
    for n in 0..5 {
        world.create("Account", json!({"Name": format!("A{n}")})).await?;
    }
    let mut got = Vec::new();
    while got.len() < 2 {
        let response = events.response().await?;
        got.extend(response.events);
        assert_eq!(response.pending_num_requested, 2 - i32::try_from(got.len())?);
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), events.responses.message()).await.is_err(), "nothing comes without credit");
    events.more(1_000).await?;
    let mut left = 3;
    while left > 0 {
        let response = events.response().await?;
        left -= response.events.len();
        assert!(response.pending_num_requested <= 100);
    }
    events.more(0).await?;
    let status = events.failure().await?;
    assert_eq!((status.code(), trailer(&status)), (Code::InvalidArgument, "subscription.fetch.requested.events.invalid"));
    Ok(())
}

#[tokio::test]
async fn a_stream_resumes_strictly_after_a_replay_id_of_either_length() -> Result<()> {
    let world = World::new().await?;
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    for name in ["A", "B", "C"] {
        world.create("Account", json!({"Name": name})).await?;
    }
    let first = events.event().await?;
    let second = events.event().await?;
    for id in [first.replay_id.clone(), first.replay_id[..8].to_vec()] {
        let mut again = world.subscribe_from("/data/AccountChangeEvent", ReplayPreset::Custom, id, 10).await?;
        let event = again.event().await?;
        assert_eq!((&event.id, &event.body["Name"]), (&second.id, &json!("B")));
    }
    let mut all = world.subscribe_from("/data/ChangeEvents", ReplayPreset::Earliest, Vec::new(), 10).await?;
    assert_eq!(all.event().await?.body["Name"], "A");

    for (id, error) in [
        (Vec::new(), "subscription.fetch.replayid.validation.failed"),
        (b"1104718".to_vec(), "subscription.fetch.replayid.corrupted"),
        (vec![255; 8], "subscription.fetch.replayid.corrupted"),
    ] {
        let status = world.subscribe_from("/data/ChangeEvents", ReplayPreset::Custom, id, 10).await?.failure().await?;
        assert_eq!((status.code(), trailer(&status)), (Code::InvalidArgument, error));
    }
    world.simulator.org().purge_events();
    let status = world.subscribe_from("/data/ChangeEvents", ReplayPreset::Custom, first.replay_id, 10).await?.failure().await?;
    assert_eq!(trailer(&status), "subscription.fetch.replayid.corrupted");
    Ok(())
}

#[tokio::test]
async fn an_idle_stream_is_kept_alive_and_one_without_credit_closed() -> Result<()> {
    let world = World::new().await?;
    world.simulator.settings().update(|live| (live.keepalive_ms, live.zero_credit_close_ms) = (50, 50));
    let mut idle = world.subscribe("/data/AccountChangeEvent").await?;
    let response = idle.response().await?;
    assert!(response.events.is_empty());
    assert_eq!(response.latest_replay_id.to_vec(), world.simulator.org().latest_replay_id());

    let mut spent = world.subscribe_from("/data/AccountChangeEvent", ReplayPreset::Latest, Vec::new(), 1).await?;
    world.create("Account", json!({"Name": "A"})).await?;
    while spent.response().await?.pending_num_requested > 0 {}
    assert!(matches!(tokio::time::timeout(crate::support::SOON, spent.responses.message()).await?, Ok(None)));
    Ok(())
}

#[tokio::test]
async fn a_stream_keeps_its_topic() -> Result<()> {
    let world = World::new().await?;
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    events
        .requests
        .send(FetchRequest { topic_name: "/data/ContactChangeEvent".to_owned(), num_requested: 1, ..FetchRequest::default() })
        .await?;
    assert_eq!(trailer(&events.failure().await?), "subscription.fetch.topic.mismatch");
    Ok(())
}
