//! The first copy, with the world going on around it.

use anyhow::Result;
use ingest::erp::State;
use schemas::value::Value;

use super::harness::{World, connect, folded};

const STOCK: &str = "CREATE TABLE stock (id int PRIMARY KEY, n int NOT NULL);
                     CREATE TABLE moves (id serial PRIMARY KEY, n int NOT NULL);
                     INSERT INTO stock SELECT g, 0 FROM generate_series(1, 5000) g;
                     INSERT INTO moves (n) SELECT g FROM generate_series(1, 3000) g";

/// Changes rows without pause until told to stop.
fn busy(url: String) -> (tokio_util::sync::CancellationToken, tokio::task::JoinHandle<Result<u32>>) {
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let client = connect(&url).await?;
        let mut rounds = 0;
        while !stopped.is_cancelled() {
            rounds += 1;
            let id = rounds * 7 % 5000 + 1;
            client
                .batch_execute(&format!(
                    "BEGIN; UPDATE stock SET n = n + 1 WHERE id = {id}; DELETE FROM stock WHERE id = {}; INSERT INTO moves (n) VALUES ({rounds}); COMMIT",
                    id / 2 + 4000
                ))
                .await?;
        }
        Ok(rounds as u32)
    });
    (stop, task)
}

async fn agree(world: &World) -> Result<()> {
    for table in ["stock", "moves"] {
        let found = folded(&world.changes(&format!("public.{table}")).await?);
        let rows: Vec<String> = world.ask(&format!("SELECT array_agg(id || ' ' || n ORDER BY id) FROM {table}")).await?;
        let mut seen: Vec<(i64, String)> = found
            .iter()
            .map(|(key, row)| match row.as_slice() {
                [Value::Int(id), Value::Int(n)] if id.to_string() == *key => Ok((*id, format!("{id} {n}"))),
                _ => anyhow::bail!("row {row:?} under key {key}"),
            })
            .collect::<Result<_>>()?;
        seen.sort();
        assert_eq!(seen.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), rows, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_and_the_writes_around_it_make_exactly_the_table() -> Result<()> {
    let mut world = World::new(STOCK, &["public.stock", "public.moves"]).await?;
    world.config.batch_changes = 500;
    let (stop, writes) = busy(world.postgres.url("erp"));
    let mut source = world.start()?;
    source.streaming().await?;
    let copied = world.changes("public.moves").await?.len();
    world.wait_for("public.moves", copied + 50).await?;
    stop.cancel();
    assert!(writes.await?? > 0);
    world.confirmed().await?;
    agree(&world).await?;
    let moves = world.changes("public.moves").await?;
    let ids: std::collections::BTreeSet<_> = moves.iter().map(|seen| seen.key.clone()).collect();
    assert_eq!(ids.len(), moves.len(), "no row arrives both by copy and by stream");
    source.stop().await
}

#[tokio::test]
async fn a_copy_that_was_interrupted_goes_on_with_the_tables_it_had_not_finished() -> Result<()> {
    let mut world = World::new(STOCK, &["public.moves", "public.stock"]).await?;
    world.config.batch_changes = 100;
    let (stop, writes) = busy(world.postgres.url("erp"));
    let mut source = world.start()?;
    // Tables are copied in the order of their names: once stock is being copied, moves is done.
    source.until(|status| matches!(&status.state, State::Copying { table, rows } if table == "public.stock" && *rows > 0)).await?;
    source.kill().await;
    let mut source = world.start()?;
    source.streaming().await?;
    stop.cancel();
    writes.await??;
    world.confirmed().await?;
    agree(&world).await?;
    let moves = world.changes("public.moves").await?;
    let ids: std::collections::BTreeSet<_> = moves.iter().map(|seen| seen.key.clone()).collect();
    assert_eq!(ids.len(), moves.len(), "a finished table is not copied again");
    source.stop().await
}

#[tokio::test]
async fn a_table_named_later_is_copied_and_joins_the_stream() -> Result<()> {
    let mut world = World::new(STOCK, &["public.stock"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    source.stop().await?;
    world.sql("INSERT INTO moves (n) VALUES (1); UPDATE stock SET n = 9 WHERE id = 1").await?;
    world.config.tables.push("public.moves".to_owned());
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO moves (n) VALUES (2)").await?;
    world.confirmed().await?;
    agree(&world).await?;
    let moves = world.changes("public.moves").await?;
    assert_eq!(moves.len(), 3002);
    assert_eq!(moves.iter().filter(|seen| seen.op() == "c").count(), 1);
    source.stop().await
}
