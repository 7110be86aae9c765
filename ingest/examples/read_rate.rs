//! How fast a slot's backlog is read, beside `pg_recvlogical` in the same run.
//!
//! `cargo run --release -p ingest --example read_rate -- [changes] [changes per transaction]`
//!
//! Rows of about 220 bytes in ten columns; the clock runs from START_REPLICATION to the last change. The reader only
//! cuts messages; nothing is decoded or written, as `pg_recvlogical` does nothing with them either.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ingest::erp::{Config, Lsn, Replication, Secret, Target};
use servers::{Postgres, PostgresOptions};

const TABLE: &str =
    "CREATE TABLE rows (id bigserial PRIMARY KEY, a text, b text, c text, d int, e int, f numeric(12,2), g timestamptz, h uuid, i bool);
                     CREATE PUBLICATION concord FOR TABLE rows";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let changes = arguments.next().transpose()?.unwrap_or(200_000);
    let each = arguments.next().transpose()?.unwrap_or(1).max(1);
    let server = Postgres::start(PostgresOptions::default()).await?;
    server.execute("postgres", TABLE).await?;
    server.execute("postgres", "SELECT pg_create_logical_replication_slot('backlog', 'pgoutput')").await?;
    let row = "repeat('a', 60), repeat('b', 50), repeat('c', 20), g::int, 2, 3.5, now(), gen_random_uuid(), true";
    let columns = "INSERT INTO rows (a, b, c, d, e, f, g, h, i)";
    server
        .execute(
            "postgres",
            &format!(
                "DO $$ BEGIN FOR t IN 1..{} LOOP {columns} SELECT {row} FROM generate_series(1, {each}) g; COMMIT; END LOOP; END $$",
                changes / each
            ),
        )
        .await?;
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("SELECT pg_switch_wal()").await?;
    let end: String = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[]).await?.get(0);

    for round in 0..3 {
        for slot in ["theirs", "ours"] {
            client.batch_execute(&format!("SELECT pg_copy_logical_replication_slot('backlog', '{slot}_{round}')")).await?;
        }
        let theirs = recvlogical(&server, &format!("theirs_{round}"), &end)?;
        let ours = own(&server, &format!("ours_{round}"), changes).await?;
        let rate = |took: Duration| changes as f64 / took.as_secs_f64() / 1000.0;
        writeln!(
            std::io::stdout(),
            "round {round}: pg_recvlogical {:.1} k/s, own {:.1} k/s, ratio {:.2}",
            rate(theirs),
            rate(ours),
            theirs.as_secs_f64() / ours.as_secs_f64()
        )?;
    }
    Ok(())
}

fn recvlogical(server: &Postgres, slot: &str, end: &str) -> Result<Duration> {
    let bin = servers::installed_postgres().context("no pg_recvlogical")?;
    let begun = Instant::now();
    let status = Command::new(bin.join("pg_recvlogical"))
        .args([
            "--start",
            "-S",
            slot,
            "-f",
            "/dev/null",
            "-o",
            "proto_version=1",
            "-o",
            "publication_names=concord",
            "-E",
            end,
            "-s",
            "3600",
            "-n",
            "-F",
            "0",
        ])
        .arg("-d")
        .arg(server.url("postgres"))
        .stderr(Stdio::null())
        .status()?;
    anyhow::ensure!(status.success(), "pg_recvlogical failed");
    Ok(begun.elapsed())
}

async fn own(server: &Postgres, slot: &str, changes: u64) -> Result<Duration> {
    let config = Config { url: Secret::new(server.url("postgres")), ..Config::default() };
    let begun = Instant::now();
    let mut replication = Replication::start(&Target::of(&config)?, slot, "concord", Lsn(0), Duration::from_secs(60)).await?;
    let mut seen = 0;
    while seen < changes {
        let chunk = replication.chunks.recv().await.context("the stream ended")??;
        let mut rest = &chunk.bytes[..];
        while let Some(head) = rest.first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize + 1;
            seen += u64::from(rest.get(5) == Some(&b'w') && rest.get(30) == Some(&b'I'));
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    Ok(begun.elapsed())
}
