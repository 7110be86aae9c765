//! Faults on demand, and that they end.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use simulator::proto::ReplayPreset;
use tonic::Code;

use crate::support::{World, trailer};

#[tokio::test]
async fn calls_are_refused_as_often_as_told() -> Result<()> {
    let world = World::new().await?;
    world.simulator.settings().update(|live| {
        (live.unauthorized_next, live.too_many_requests_next, live.unavailable_next, live.retry_after_s) = (1, 1, 1, Some(7));
    });
    let mut seen = Vec::new();
    for _ in 0..4 {
        let response = world.request(Method::GET, "/limits").send().await?;
        seen.push((response.status().as_u16(), response.headers().get("retry-after").is_some()));
    }
    assert_eq!(seen, [(401, false), (429, true), (503, true), (200, false)]);
    world.simulator.settings().update(|live| live.quota_exhausted = true);
    let (status, body) = world.get("/limits").await?;
    assert_eq!(
        (status, &body[0]["errorCode"], &body[0]["message"]),
        (403, &json!("REQUEST_LIMIT_EXCEEDED"), &json!("TotalRequests Limit exceeded."))
    );
    Ok(())
}

#[tokio::test]
async fn rows_lock_and_unlock() -> Result<()> {
    let world = World::new().await?;
    world.simulator.settings().update(|live| (live.row_lock_next, live.row_lock_objects) = (2, vec!["Account".to_owned()]));
    world.create("Contact", json!({"LastName": "free"})).await?;
    for _ in 0..2 {
        let (status, body) = world.post("/sobjects/Account", json!({"Name": "A"})).await?;
        assert_eq!((status, &body[0]["errorCode"], &body[0]["fields"]), (400, &json!("UNABLE_TO_LOCK_ROW"), &json!([])), "{body}");
    }
    world.create("Account", json!({"Name": "A"})).await?;
    assert_eq!(world.simulator.org().count("Account"), 1);
    Ok(())
}

#[tokio::test]
async fn a_commit_can_lose_its_answer() -> Result<()> {
    let world = World::new().await?;
    world.simulator.settings().update(|live| live.drop_after_commit_next = 1);
    let (path, body) = ("/sobjects/Account/Concord_Id__c/k", json!({"Name": "A"}));
    assert!(world.patch(path, body.clone()).await.is_err(), "no answer came");
    assert_eq!(world.simulator.org().count("Account"), 1);
    assert_eq!(world.patch(path, body).await?.0, 200);
    assert_eq!(world.simulator.org().count("Account"), 1);
    world.simulator.settings().update(|live| live.drop_before_next = 1);
    assert!(world.post("/sobjects/Account", json!({"Name": "B"})).await.is_err());
    assert_eq!(world.simulator.org().count("Account"), 1);
    Ok(())
}

#[tokio::test]
async fn streams_stall_close_and_run_out() -> Result<()> {
    let world = World::new().await?;
    let settings = world.simulator.settings();
    settings.update(|live| (live.stream_stalled, live.keepalive_ms) = (true, 20));
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    world.create("Account", json!({"Name": "A"})).await?;
    assert!(tokio::time::timeout(Duration::from_millis(150), events.responses.message()).await.is_err(), "a stalled stream is silent");
    settings.update(|live| (live.stream_stalled, live.keepalive_ms) = (false, 60_000));
    assert_eq!(events.event().await?.body["Name"], "A");

    world.simulator.close_streams();
    assert_eq!(events.failure().await?.code(), Code::Unavailable);

    settings.update(|live| live.delivery_allocation = Some(1));
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    world.create("Account", json!({"Name": "B"})).await?;
    events.event().await?;
    world.create("Account", json!({"Name": "C"})).await?;
    assert_eq!(trailer(&events.failure().await?), "subscription.limit.exceeded");
    settings.update(|live| (live.delivery_allocation, live.replay_expired) = (None, true));
    let tip = world.simulator.org().latest_replay_id();
    assert_eq!(
        trailer(&world.subscribe_from("/data/ChangeEvents", ReplayPreset::Custom, tip, 1).await?.failure().await?),
        "subscription.fetch.replayid.corrupted"
    );
    Ok(())
}

#[tokio::test]
async fn an_event_can_come_twice_under_one_id() -> Result<()> {
    let world = World::new().await?;
    let mut events = world.subscribe("/data/AccountChangeEvent").await?;
    world.create("Account", json!({"Name": "A"})).await?;
    world.simulator.org().repeat_events(1);
    let (first, second) = (events.event().await?, events.event().await?);
    assert_eq!((&first.id, &first.body), (&second.id, &second.body));
    assert_ne!(first.replay_id, second.replay_id);
    Ok(())
}

#[tokio::test]
async fn settings_change_over_http_and_unknown_ones_are_refused() -> Result<()> {
    let world = World::new().await?;
    let url = world.url("/simulator/settings");
    let response = world
        .http()
        .patch(&url)
        .json(&json!({"latency_ms": 3, "flows": [{"object": "Account", "when": "Site", "set": "Rating", "to": {"literal": "Hot"}}]}))
        .send()
        .await?;
    assert_eq!(response.status(), 200);
    assert_eq!(world.simulator.settings().get().latency_ms, 3);
    assert_eq!(world.http().patch(&url).json(&json!({"latency": 3})).send().await?.status(), 400);
    world.create("Account", json!({"Name": "A", "Site": "x"})).await?;
    assert_eq!(world.query("SELECT Rating FROM Account").await?.1["records"][0]["Rating"], "Hot");
    assert_eq!(
        world.http().post(world.url("/simulator/actions")).json(&json!({"overflow": "Account", "repeat": 1})).send().await?.status(),
        200
    );
    assert_eq!(world.simulator.org().stored_events(), 3);
    Ok(())
}

#[tokio::test]
async fn two_orgs_of_one_seed_and_clock_are_the_same() -> Result<()> {
    let mut told = Vec::new();
    for _ in 0..2 {
        let settings = simulator::Settings { clock: simulator::Clock::manual(1_790_000_000_000), ..Default::default() };
        let world = World::with(settings).await?;
        let mut events = world.subscribe("/data/AccountChangeEvent").await?;
        let id = world.create("Account", json!({"Name": "A"})).await?;
        let event = events.event().await?;
        told.push((id, event.id, event.replay_id, event.schema_id, event.header, event.body, world.token.clone()));
    }
    assert_eq!(told[0], told[1]);
    Ok(())
}
