//! What the stream did not carry is read again, shown, and not rolled back.

use anyhow::Result;
use schemas::Value;
use schemas::cdc::Op;
use schemas::message::HealthState;
use serde_json::json;

use super::harness::{World, ops};

#[tokio::test]
async fn records_of_a_gap_event_are_read_again() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let ids = world.org.load("Account", [json!({"Name": "One"}), json!({"Name": "Two"})])?;
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| live.gap_next = 1);
    world.update(ids[0], json!({"Phone": "1"}))?;
    world.update(ids[1], json!({"Phone": "2"}))?;
    let seen = world.changes_when("Account", "both changes", |seen| seen.len() >= 4).await?;
    assert_eq!(ops(&seen), "rrru");
    assert_eq!((seen[2].key.clone(), seen[2].after("Phone")), (ids[0].to_string(), Some(Value::text("1"))));
    assert!(seen[2].change.as_ref().is_some_and(|change| change.source.snapshot));
    world.until("the gap is shown", async || Ok(world.health().await?.is_some_and(|health| health.facts.contains_key("gap")))).await?;
    running.stop().await
}

#[tokio::test]
async fn a_gap_about_a_deleted_record_is_a_delete() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "One"})])?[0];
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| live.gap_next = 1);
    world.delete(id)?;
    let seen = world.changes_when("Account", "the delete", |seen| seen.len() >= 3).await?;
    assert_eq!(ops(&seen), "rd-");
    running.stop().await
}

#[tokio::test]
async fn events_before_the_state_that_was_read_do_not_roll_it_back() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let id = world.org.load("Account", [json!({"Name": "One"})])?[0];
    let running = world.start_following().await?;
    running.stop().await?;
    world.simulator.settings().update(|live| live.gap_next = 1);
    for phone in 1..=5 {
        world.update(id, json!({"Phone": phone.to_string()}))?;
    }
    let running = world.start();
    world
        .until("the last value is there", async || {
            Ok(world.folded("Account").await?[&id.to_string()].get("Phone") == Some(&Value::text("5")))
        })
        .await?;
    world.update(id, json!({"Phone": "6"}))?;
    let seen = world
        .changes_when("Account", "the last edit", |seen| seen.last().and_then(|seen| seen.after("Phone")) == Some(Value::text("6")))
        .await?;
    let phones: Vec<_> = seen.iter().filter_map(|seen| seen.after("Phone")).filter(|phone| !phone.is_null()).collect();
    assert_eq!(phones, [Value::text("5"), Value::text("6")], "{}", ops(&seen));
    running.stop().await
}

#[tokio::test]
async fn an_overflow_has_the_whole_object_read_with_its_deletions() -> Result<()> {
    let world = World::new(&["Account", "Contact"]).await?;
    let old = world.org.load("Account", (0..5).map(|number| json!({"Name": format!("Old {number}")})))?;
    let running = world.start_following().await?;
    world.simulator.settings().update(|live| live.overflow_after = 3);
    world.org.transaction(&world.person(), |tx| {
        for number in 0..10 {
            tx.create("Account", &json!({"Name": format!("New {number}")}))?;
        }
        tx.delete(old[0])
    })?;
    world
        .until("the log says what the org says", async || {
            let state = world.folded("Account").await?;
            Ok(state.len() == 14 && !state.contains_key(&old[0].to_string()))
        })
        .await?;
    world.simulator.settings().update(|live| live.overflow_after = 100_000);
    world.clock.advance_ms(600_000);
    world.update(old[1], json!({"Phone": "after"}))?;
    let seen = world
        .changes_when("Account", "the next edit", |seen| seen.last().and_then(|seen| seen.after("Phone")) == Some(Value::text("after")))
        .await?;
    assert_eq!(seen.last().and_then(super::harness::Seen::op), Some(Op::Update));
    world
        .until("the gap is shown", async || {
            Ok(world.health().await?.is_some_and(|health| health.facts.get("gap").is_some_and(|gap| gap.contains("Account"))))
        })
        .await?;
    running.stop().await
}

#[tokio::test]
async fn a_refused_position_is_healed_by_reading_what_changed_since() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let ids = world.org.load("Account", (0..4).map(|number| json!({"Name": format!("Account {number}")})))?;
    let running = world.start_following().await?;
    world.update(ids[3], json!({"Phone": "known"}))?;
    world.changes_when("Account", "the known edit", |seen| ops(seen) == "rrrru").await?;
    running.stop().await?;
    world.update(ids[0], json!({"Phone": "lost"}))?;
    world.delete(ids[1])?;
    let new = world.create("Account", json!({"Name": "New"}))?;
    world.clock.advance_ms(80 * 3_600_000);
    world.org.purge_events();
    let running = world.start();
    world
        .until("the log says what the org says", async || {
            let state = world.folded("Account").await?;
            Ok(state.len() == 4
                && !state.contains_key(&ids[1].to_string())
                && state.contains_key(&new.to_string())
                && state[&ids[0].to_string()].get("Phone") == Some(&Value::text("lost")))
        })
        .await?;
    let paused = world.health_when(HealthState::Paused, "replayid.corrupted").await?;
    assert!(paused.remedy.contains("read again"), "{paused:?}");
    world
        .until("it follows again", async || Ok(world.checkpoint().await?.is_some_and(|checkpoint| !checkpoint.position.is_empty())))
        .await?;
    world.update(ids[2], json!({"Phone": "next"}))?;
    world.changes_when("Account", "the next edit", |seen| seen.last().is_some_and(|seen| seen.op() == Some(Op::Update))).await?;
    running.stop().await
}
