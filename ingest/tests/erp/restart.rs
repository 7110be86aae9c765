//! Restarts at any line repeat nothing and lose nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use schemas::value::Value;
use stream::memory::Call;

use super::gate::Gated;
use super::harness::{Seen, World, connect, eventually, folded, position};
use crate::patience::PATIENCE;

const COUNTERS: &str =
    "CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL); INSERT INTO counters SELECT g, 0 FROM generate_series(1, 40) g";

/// Numbers from a seed, enough for choosing.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Every row counts its own updates, so a lost, repeated or misplaced change shows as a wrong number.
fn audit(changes: &[Seen]) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for seen in changes {
        let Some(Value::Int(n)) = seen.after("n") else { panic!("a change without a number: {seen:?}") };
        let expected = last.get(seen.key.as_str()).map_or(0, |before| before + 1);
        assert_eq!(*n, expected, "row {} at {}", seen.key, seen.change.source.position);
        last.insert(&seen.key, *n);
        let place = (position(&seen.change.source.position), seen.change.source.ordinal, seen.change.source.snapshot);
        assert_eq!(places.insert(place, &seen.key), None, "two changes at {place:?}");
    }
}

#[tokio::test]
async fn killed_at_random_points_under_load_nothing_is_lost_or_repeated() -> Result<()> {
    for seed in [1, 2, 3] {
        let mut dice = Dice(seed);
        let mut world = World::new(COUNTERS, &["public.counters"]).await?;
        world.config.batch_changes = 7;
        world.config.idle_checkpoint_ms = 5;
        let mut source = world.start()?;
        source.streaming().await?;
        world.memory.faults().refuse_sometimes(Call::Commit, 20);
        world.memory.faults().lose_answers_sometimes(Call::Commit, 20);
        let url = world.postgres.url("erp");
        let mut shape = Dice(seed + 100);
        let writes = tokio::spawn(async move {
            let client = connect(&url).await?;
            for _ in 0..250 {
                let rows = if shape.roll(10) == 0 { 40 } else { 1 + shape.roll(4) };
                let first = 1 + shape.roll(41 - rows);
                client.batch_execute(&format!("UPDATE counters SET n = n + 1 WHERE id >= {first} AND id < {}", first + rows)).await?;
            }
            anyhow::Ok(())
        });
        let mut kills = 0;
        while !writes.is_finished() || kills < 10 {
            // Not waited for anything: it may be killed at any moment.
            tokio::time::sleep(Duration::from_millis(dice.roll(60))).await;
            source.kill().await;
            kills += 1;
            source = world.start()?;
        }
        writes.await??;
        world.memory.faults().refuse_sometimes(Call::Commit, 0);
        world.memory.faults().lose_answers_sometimes(Call::Commit, 0);
        world.confirmed().await?;
        let changes = world.changes("public.counters").await?;
        audit(&changes);
        let found: i64 = folded(&changes).values().map(|row| if let Some(Value::Int(n)) = row.get(1) { *n } else { 0 }).sum();
        assert_eq!(found, world.ask::<i64>("SELECT sum(n) FROM counters").await?, "seed {seed} after {kills} kills");
        source.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_larger_than_a_log_transaction_survives_kills_in_its_middle() -> Result<()> {
    let mut world = World::new(COUNTERS, &["public.counters"]).await?;
    world.config.batch_changes = 50;
    world.sql("INSERT INTO counters SELECT g, 0 FROM generate_series(41, 5000) g").await?;
    // Slow enough that every log transaction can be seen.
    let (_gate, open) = tokio::sync::watch::channel(true);
    let start = || world.start_on(Arc::new(Gated::new(&world, open.clone(), Duration::from_millis(20))));
    let mut source = start()?;
    source.streaming().await?;
    world.sql("UPDATE counters SET n = n + 1").await?;
    let mut middle = 0;
    for _ in 0..15 {
        let before = source.status.borrow().position;
        let moved = source.until(|status| status.position != before && status.position.changes > 0).await?.position;
        middle += u32::from(moved.changes > 0);
        source.kill().await;
        source = start()?;
        source.streaming().await?;
    }
    assert_eq!(middle, 15, "every kill fell into the transaction");
    world.confirmed().await?;
    let changes = world.changes("public.counters").await?;
    audit(&changes);
    assert_eq!(changes.len(), 10_000);
    source.stop().await
}

#[tokio::test]
async fn an_idle_slot_moves_on_while_other_tables_change() -> Result<()> {
    let world = World::new(&format!("{COUNTERS}; CREATE TABLE other (n int)"), &["public.counters"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    for _ in 0..3 {
        world.sql("INSERT INTO other SELECT g FROM generate_series(1, 1000) g").await?;
        world.confirmed().await?;
    }
    assert_eq!(world.changes("public.counters").await?.len(), 40);
    source.stop().await?;
    let mut source = world.start()?;
    source.streaming().await?;
    assert_eq!(source.status.borrow().gaps, 0);
    source.stop().await
}

#[tokio::test]
async fn nothing_is_confirmed_before_the_log_has_it() -> Result<()> {
    let world = World::new(COUNTERS, &["public.counters"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.confirmed().await?;
    world.memory.faults().disk_full(true);
    world.sql("UPDATE counters SET n = 1 WHERE id = 1").await?;
    source.until(|status| !status.reason.is_empty()).await?;
    let held: String = world.ask("SELECT confirmed_flush_lsn::text FROM pg_replication_slots").await?;
    let now: String = world.ask("SELECT pg_current_wal_insert_lsn()::text").await?;
    assert!(position(&held) < position(&now));
    world.memory.faults().disk_full(false);
    source.streaming().await?;
    world.confirmed().await?;
    audit(&world.changes("public.counters").await?);
    source.stop().await
}

#[tokio::test]
async fn a_lone_change_goes_out_at_once() -> Result<()> {
    let mut world = World::new(COUNTERS, &["public.counters"]).await?;
    world.config.linger_ms = 60_000;
    let mut source = world.start()?;
    source.streaming().await?;
    let begun = Instant::now();
    world.sql("UPDATE counters SET n = 1 WHERE id = 1").await?;
    eventually(|| async { Ok(world.changes("public.counters").await?.len() == 41) }).await?;
    assert!(begun.elapsed() < PATIENCE, "it waited for company");
    source.stop().await
}
