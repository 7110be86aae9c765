//! Faults of the server: the source pauses, says why, and goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ingest::erp::State;
use schemas::value::Value;
use servers::PostgresOptions;
use tokio::sync::watch;

use super::gate::Gated;
use super::harness::{World, eventually, folded};

const ROWS: &str = "CREATE TABLE rows (id int PRIMARY KEY, n int); INSERT INTO rows VALUES (1, 1), (2, 2)";

#[tokio::test]
async fn a_crashed_server_pauses_the_source_until_it_is_back() -> Result<()> {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    let mut world = World::with(options, ROWS, &["public.rows"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("UPDATE rows SET n = 10 WHERE id = 1").await?;
    world.postgres.crash()?;
    let paused = source.until(|status| status.state == State::Paused).await?;
    assert!(!paused.reason.is_empty() && !paused.remedy.is_empty(), "{paused:?}");
    world.postgres.start_again().await?;
    world.postgres.execute("erp", "UPDATE rows SET n = 20 WHERE id = 2").await?;
    source.streaming().await?;
    let changes = world.wait_for("public.rows", 4).await?;
    assert_eq!(changes.len(), 4);
    assert_eq!(folded(&changes)["2"], [Value::Int(2), Value::Int(20)]);
    assert_eq!(source.status.borrow().gaps, 0);
    source.stop().await
}

#[tokio::test]
async fn a_lost_slot_is_a_gap_that_is_said_and_healed_by_reading_again() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    source.stop().await?;
    for (value, loss) in [
        (30, "SELECT pg_drop_replication_slot('concord')"),
        (31, "SELECT pg_drop_replication_slot('concord'); SELECT pg_create_logical_replication_slot('concord', 'pgoutput')"),
        (32, "SELECT pg_switch_wal(); SELECT pg_replication_slot_advance('concord', pg_current_wal_lsn())"),
    ] {
        eventually(|| async { world.ask::<bool>("SELECT NOT active FROM pg_replication_slots").await }).await?;
        world.sql(&format!("UPDATE rows SET n = {value} WHERE id = 1")).await?;
        world.sql(loss).await?;
        let mut source = world.start()?;
        source.streaming().await?;
        assert_eq!(source.status.borrow().gaps, 1, "{loss}");
        let changes = world.changes("public.rows").await?;
        assert_eq!(folded(&changes)["1"], [Value::Int(1), Value::Int(value)], "{loss}");
        assert_eq!(changes.last().map(|seen| seen.op()), Some("r"));
        source.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn log_files_that_the_server_threw_away_are_a_gap_too() -> Result<()> {
    let settings = vec![("max_slot_wal_keep_size".to_owned(), "1MB".to_owned()), ("max_wal_size".to_owned(), "32MB".to_owned())];
    let world = World::with(PostgresOptions { settings, ..PostgresOptions::default() }, ROWS, &["public.rows"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    source.stop().await?;
    eventually(|| async { world.ask::<bool>("SELECT NOT active FROM pg_replication_slots").await }).await?;
    world.sql("UPDATE rows SET n = 40 WHERE id = 2").await?;
    eventually(|| async {
        world.sql("CREATE TABLE IF NOT EXISTS other (n int); INSERT INTO other VALUES (1)").await?;
        world.sql("SELECT pg_switch_wal()").await?;
        world.sql("CHECKPOINT").await?;
        world.ask::<bool>("SELECT wal_status = 'lost' FROM pg_replication_slots").await
    })
    .await?;
    let mut source = world.start()?;
    source.streaming().await?;
    assert_eq!(source.status.borrow().gaps, 1);
    assert_eq!(folded(&world.changes("public.rows").await?)["2"], [Value::Int(2), Value::Int(40)]);
    source.stop().await
}

#[tokio::test]
async fn a_table_that_loses_its_key_pauses_the_source_until_it_has_one_again() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    source.stop().await?;
    world.sql("ALTER TABLE rows DROP CONSTRAINT rows_pkey").await?;
    let mut source = world.start()?;
    let paused = source.until(|status| status.state == State::Paused).await?;
    assert!(paused.reason.contains("public.rows") && paused.remedy.contains("ADD PRIMARY KEY"), "{paused:?}");
    world.sql("ALTER TABLE rows ADD PRIMARY KEY (id)").await?;
    source.streaming().await?;
    source.stop().await
}

#[tokio::test]
async fn a_second_process_takes_over_and_the_first_one_ends() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    let mut first = world.start()?;
    first.streaming().await?;
    world.memory.faults().fence("ingest.erp");
    world.sql("UPDATE rows SET n = 5 WHERE id = 1").await?;
    let ended = first.until(|status| status.state == State::Stopped).await?;
    assert_eq!(ended.changes, 2);
    let mut second = world.start()?;
    second.streaming().await?;
    assert_eq!(world.wait_for("public.rows", 3).await?.len(), 3);
    second.stop().await
}

#[tokio::test]
async fn health_says_what_the_source_does() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    eventually(|| async {
        let Some(record) = world.records("health").await?.pop() else { return Ok(false) };
        let health: Option<schemas::message::Health> = world.codec.message(&record).await?;
        Ok(health.is_some_and(|health| health.component == "ingest.erp" && health.state.as_str() == "running"))
    })
    .await?;
    source.stop().await
}

#[tokio::test]
async fn a_slow_log_does_not_make_the_server_hang_up() -> Result<()> {
    let settings = vec![("wal_sender_timeout".to_owned(), "1s".to_owned())];
    let mut world = World::with(PostgresOptions { settings, ..PostgresOptions::default() }, ROWS, &["public.rows"]).await?;
    world.config.batch_changes = 2000;
    let (gate, open) = watch::channel(true);
    let mut source = world.start_on(Arc::new(Gated::new(&world, open, Duration::ZERO)))?;
    source.streaming().await?;
    let pid = "SELECT coalesce(active_pid, 0) FROM pg_replication_slots";
    let before: i32 = world.ask(pid).await?;
    gate.send(false)?;
    // Much more than the queue between reader and loop holds, so that the reader itself has to wait.
    world.sql("INSERT INTO rows SELECT g, g FROM generate_series(10, 200000) g").await?;
    // It would have hung up after a second; the same connection is heard of three seconds later.
    let now: String = world.ask("SELECT clock_timestamp()::text").await?;
    let heard = format!(
        "SELECT coalesce((SELECT reply_time > timestamptz '{now}' + interval '3 s' FROM pg_stat_replication WHERE pid = {before}), false)"
    );
    eventually(|| world.ask::<bool>(&heard)).await?;
    gate.send(true)?;
    world.confirmed().await?;
    assert_eq!(world.ask::<i32>(pid).await?, before);
    assert_eq!(world.changes("public.rows").await?.len(), 199_993);
    source.stop().await
}
