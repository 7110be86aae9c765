//! While Salesforce does not answer or refuses, the source says why and goes on by itself.

use anyhow::Result;
use ingest::crm::{Auth, Config, Secret};
use schemas::message::HealthState;
use serde_json::json;

use super::harness::{World, ops};

#[tokio::test]
async fn an_expired_token_is_renewed_and_nothing_is_lost() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let running = world.start_following().await?;
    world.create("Account", json!({"Name": "Before"}))?;
    world.changes_when("Account", "the first", |seen| seen.len() == 1).await?;
    world.simulator.end_sessions();
    world.simulator.close_streams();
    world.create("Account", json!({"Name": "After"}))?;
    let seen = world.changes_when("Account", "the second", |seen| seen.len() >= 2).await?;
    assert_eq!(ops(&seen), "cc");
    running.stop().await
}

#[tokio::test]
async fn a_token_refused_by_rest_is_renewed_too() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "One"})])?[0];
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| {
        live.unauthorized_next = 1;
        live.gap_next = 1;
    });
    world.update(id, json!({"Phone": "1"}))?;
    let seen = world.changes_when("Account", "the re-read", |seen| seen.len() >= 2).await?;
    assert_eq!(ops(&seen), "rr");
    running.stop().await
}

#[tokio::test]
async fn a_silent_stream_is_found_and_opened_again() -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    world.config = Config { silence_timeout_ms: 300, ..world.config };
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| live.stream_stalled = true);
    world.create("Account", json!({"Name": "Unheard"}))?;
    world.health_when(HealthState::Paused, "silent").await?;
    world.simulator.settings().update(|live| live.stream_stalled = false);
    let seen = world.changes_when("Account", "the account", |seen| !seen.is_empty()).await?;
    assert_eq!(ops(&seen), "c");
    running.stop().await
}

#[tokio::test]
async fn an_outage_pauses_and_passes() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| live.pubsub_unavailable = true);
    world.simulator.close_streams();
    world.create("Account", json!({"Name": "Meanwhile"}))?;
    let paused = world.health_when(HealthState::Paused, "service.unavailable").await?;
    assert!(!paused.remedy.is_empty());
    world.simulator.settings().update(|live| live.pubsub_unavailable = false);
    world.changes_when("Account", "the account", |seen| ops(seen) == "c").await?;
    world
        .until("health is running again", async || {
            Ok(world.health().await?.is_some_and(|health| health.state == HealthState::Running && health.reason.is_empty()))
        })
        .await?;
    running.stop().await
}

#[tokio::test]
async fn a_used_up_delivery_allocation_pauses_until_there_is_more() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| live.delivery_allocation = Some(0));
    world.create("Account", json!({"Name": "Meanwhile"}))?;
    world.health_when(HealthState::Paused, "allocation of delivered events").await?;
    world.simulator.settings().update(|live| live.delivery_allocation = None);
    world.changes_when("Account", "the account", |seen| ops(seen) == "c").await?;
    running.stop().await
}

#[tokio::test]
async fn used_up_api_calls_pause_a_copy_until_there_are_more() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    world.org.load("Account", [json!({"Name": "One"})])?;
    world.simulator.settings().update(|live| live.quota_exhausted = true);
    let running = world.start();
    world.health_when(HealthState::Paused, "API calls for 24 hours").await?;
    world.simulator.settings().update(|live| live.quota_exhausted = false);
    world.changes_when("Account", "the copy", |seen| ops(seen) == "r").await?;
    world
        .until("the limit is shown", async || Ok(world.health().await?.is_some_and(|health| health.facts.contains_key("api_limit"))))
        .await?;
    running.stop().await
}

#[tokio::test]
async fn wrong_credentials_are_shown_and_used_as_soon_as_they_are_right() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    world.simulator.settings().update(|live| live.refuse_login = true);
    let running = world.start();
    let paused = world.health_when(HealthState::Paused, "consumer key and secret").await?;
    assert!(paused.reason.contains("invalid_client"), "{paused:?}");
    world.simulator.settings().update(|live| live.refuse_login = false);
    world.create("Account", json!({"Name": "Acme"}))?;
    world.changes_when("Account", "the account", |seen| !seen.is_empty()).await?;
    running.stop().await
}

#[tokio::test]
async fn an_object_that_is_not_enabled_is_followed_as_soon_as_it_is() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    world.simulator.settings().update(|live| live.change_events.retain(|object| object != "Contact"));
    let running = world.start();
    world.health_when(HealthState::Paused, "Change Data Capture").await?;
    world.simulator.settings().update(|live| live.change_events.push("Contact".to_owned()));
    world.create("Contact", json!({"LastName": "Byron"}))?;
    world.changes_when("Contact", "the contact", |seen| !seen.is_empty()).await?;
    running.stop().await
}

#[tokio::test]
async fn schemas_that_cannot_be_had_for_a_moment_hold_events_back_and_lose_none() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "Acme"})])?[0];
    let running = world.start_following().await?;
    world.org.add_field("Account", "Loyalty__c text 40")?;
    world.simulator.settings().update(|live| live.schema_unavailable_next = 3);
    world.update(id, json!({"Loyalty__c": "Gold"}))?;
    let seen = world.changes_when("Account", "the update", |seen| seen.len() == 2).await?;
    assert_eq!(seen[1].after("Loyalty__c"), Some(schemas::Value::text("Gold")));
    running.stop().await
}

#[tokio::test]
async fn a_quiet_stream_counts_as_running_before_its_first_keepalive() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    world.simulator.settings().update(|live| live.keepalive_ms = 600_000);
    let running = world.start();
    world.health_when(HealthState::Running, "").await?;
    world.create("Account", json!({"Name": "First"}))?;
    world.changes_when("Account", "the account", |seen| !seen.is_empty()).await?;
    running.stop().await
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    let right = world.config.clone();
    world.config = Config { pubsub_endpoint: "127.0.0.1:1".to_owned(), ..right.clone() };
    let running = world.start();
    let paused = world.health_when(HealthState::Paused, "Pub/Sub").await?;
    assert!(!paused.remedy.is_empty(), "{paused:?}");
    running.stop().await?;
    world.config = Config { login_url: "http://127.0.0.1:1".to_owned(), ..right };
    let running = world.start();
    world.health_when(HealthState::Paused, "signing in at http://127.0.0.1:1").await?;
    running.stop().await
}

#[tokio::test]
async fn settings_that_cannot_be_meant_end_it_at_once() -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    world.config.auth =
        Auth::Jwt { client_id: "x".into(), username: "y".into(), private_key: Secret::new("/no/such/file"), audience: None };
    world.config.objects.clear();
    let ended = world.start().ended().await?;
    assert!(ended.is_err_and(|error| error.to_string().contains("objects")));
    Ok(())
}
