//! A restart at any point repeats nothing and loses nothing.

use std::collections::BTreeSet;

use anyhow::Result;
use ingest::crm::Config;
use schemas::message::HealthState;
use serde_json::json;
use stream::memory::Call;

use super::harness::{World, ops};

#[tokio::test]
async fn what_happened_while_it_was_stopped_arrives_once() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let running = world.start_following().await?;
    let first = world.create("Account", json!({"Name": "First"}))?;
    world.changes_when("Account", "the first", |seen| seen.len() == 1).await?;
    running.stop().await?;
    world.update(first, json!({"Phone": "1"}))?;
    let second = world.create("Account", json!({"Name": "Second"}))?;
    world.delete(first)?;
    let running = world.start();
    world.changes_when("Account", "all of it", |seen| ops(seen) == "cucd-").await?;
    world.update(second, json!({"Phone": "2"}))?;
    let seen = world.changes_when("Account", "the last", |seen| ops(seen) == "cucd-u").await?;
    let distinct: BTreeSet<_> = seen.iter().map(|seen| seen.sync_id.clone()).collect();
    assert_eq!(distinct.len(), 5, "a delete and its tombstone share one id");
    running.stop().await
}

#[tokio::test]
async fn a_copy_goes_on_where_it_was_killed() -> Result<()> {
    let mut world = World::new(&["Account", "Contact"]).await?;
    world.config = Config { page_rows: 10, ..world.config };
    world.org.load("Account", (0..100).map(|number| json!({"Name": format!("Account {number}")})))?;
    world.org.load("Contact", (0..100).map(|number| json!({"LastName": format!("Contact {number}")})))?;
    world.simulator.settings().update(|live| live.latency_ms = 5);
    for pages in 1..6 {
        let running = world.start();
        world.changes_when("Account", "some pages", |seen| seen.len() >= pages * 20).await?;
        running.kill().await;
    }
    world.simulator.settings().update(|live| live.latency_ms = 0);
    let running = world.start_following().await?;
    assert_eq!(world.folded("Account").await?.len(), 100);
    assert_eq!(world.folded("Contact").await?.len(), 100);
    running.stop().await
}

#[tokio::test]
async fn commits_that_fail_or_whose_answer_is_lost_repeat_nothing() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let running = world.start_following().await?;
    let faults = world.memory.faults();
    for round in 0..10 {
        match round % 3 {
            0 => faults.refuse_next(Call::Commit, 1),
            1 => faults.lose_next_answer(Call::Commit, 1),
            _ => {}
        }
        for number in 0..5 {
            world.create("Account", json!({"Name": format!("{round}.{number}")}))?;
        }
        world.changes_when("Account", "this round", |seen| seen.len() >= (round + 1) * 5).await?;
    }
    let seen = world.changes("Account").await?;
    assert_eq!(ops(&seen), "c".repeat(50));
    let distinct: BTreeSet<_> = seen.iter().map(|seen| seen.sync_id.clone()).collect();
    assert_eq!(distinct.len(), 50);
    running.stop().await
}

#[tokio::test]
async fn a_second_process_takes_over_and_the_first_one_ends() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let first = world.start_following().await?;
    let second = world.start();
    world.create("Account", json!({"Name": "Acme"}))?;
    let ended = first.ended().await?;
    assert!(matches!(ended, Err(ingest::crm::Error::Log(stream::Error::Fenced(_)))), "{ended:?}");
    world.changes_when("Account", "the account", |seen| ops(seen) == "c").await?;
    second.stop().await
}

#[tokio::test]
async fn an_object_added_to_the_mapping_is_copied_and_the_others_go_on() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    world.org.load("Account", [json!({"Name": "Acme"})])?;
    world.org.load("Contact", [json!({"LastName": "Byron"})])?;
    let running = world.start_following().await?;
    running.stop().await?;
    let account = world.create("Account", json!({"Name": "Meanwhile"}))?;
    let config = Config { objects: vec!["Account".to_owned(), "Contact".to_owned()], ..world.config.clone() };
    let running = world.start_as(config);
    let contacts = world.changes_when("Contact", "the copy", |seen| !seen.is_empty()).await?;
    assert_eq!(ops(&contacts), "r");
    let accounts = world.changes_when("Account", "the create", |seen| seen.len() == 2).await?;
    assert_eq!((ops(&accounts).as_str(), accounts[1].key.clone()), ("rc", account.to_string()));
    world.health_when(HealthState::Running, "").await?;
    running.stop().await
}

#[tokio::test]
async fn changes_made_while_the_first_copy_runs_are_neither_lost_nor_rolled_back() -> Result<()> {
    let mut world = World::new(&["Account"]).await?;
    world.config = Config { page_rows: 10, ..world.config };
    let ids = world.org.load("Account", (0..100).map(|number| json!({"Name": format!("Account {number}"), "Phone": "0"})))?;
    world.simulator.settings().update(|live| live.latency_ms = 5);
    let running = world.start();
    for round in 1..=5 {
        for id in &ids {
            // Several edits in one second of the org's clock.
            world.org.update(&world.person(), *id, &json!({"Phone": round.to_string()}))?;
        }
        world.clock.advance_ms(1000);
        world.changes_when("Account", "more pages", |seen| seen.len() >= round * 20).await?;
    }
    world.delete(ids[3])?;
    world
        .until("the log says what the org says", async || {
            let state = world.folded("Account").await?;
            Ok(state.len() == 99 && state.values().all(|row| row.get("Phone") == Some(&schemas::Value::text("5"))))
        })
        .await?;
    running.stop().await
}

#[tokio::test]
async fn a_checkpoint_of_another_org_is_never_taken_for_this_one_s() -> Result<()> {
    let world = World::new(&["Account"]).await?;
    let running = world.start_following().await?;
    running.stop().await?;
    let other = simulator::Simulator::start(simulator::Settings { seed: 77, ..simulator::Settings::default() }).await?;
    anyhow::ensure!(other.org().org_id() != world.org.org_id(), "both orgs have one id");
    let config = Config {
        login_url: other.rest_url(),
        pubsub_endpoint: other.pubsub_address(),
        root_certificate: Some(other.ca_pem()),
        ..world.config.clone()
    };
    let running = world.start_as(config);
    let paused = world.health_when(HealthState::Paused, "leads to org").await?;
    assert!(paused.remedy.contains("source name"), "{paused:?}");
    running.stop().await
}
