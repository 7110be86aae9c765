//! Every fault that can be seen beforehand gives one message that says what, where, and the command that mends it.

use anyhow::{Context as _, Result};
use ingest::erp::{Config, Finding, Secret, check};
use servers::PostgresOptions;

use super::harness::World;

const ROWS: &str = "CREATE TABLE rows (id int PRIMARY KEY)";

/// The one finding, which must hold these words.
async fn one(config: &Config, words: &[&str]) -> Result<Finding> {
    let findings = check(config).await?;
    let [finding] = findings.as_slice() else { anyhow::bail!("{} findings instead of one with {words:?}: {findings:?}", findings.len()) };
    let text = finding.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    Ok(finding.clone())
}

#[tokio::test]
async fn a_database_that_is_ready_has_no_findings_and_is_not_changed() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    assert_eq!(check(&world.config).await?, []);
    assert_eq!(world.ask::<i64>("SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_replication_slots)").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_unreachable_server_a_wrong_password_and_a_missing_database_are_told_apart() -> Result<()> {
    let world = World::new(ROWS, &["public.rows"]).await?;
    let with = |url: String| Config { url: Secret::new(url), connect_timeout_ms: 2000, ..world.config.clone() };
    let port = servers::free_port()?;
    one(&with(format!("postgres://u:p@127.0.0.1:{port}/erp")), &[&format!("127.0.0.1:{port}"), "refused", "pg_isready -h 127.0.0.1"])
        .await?;
    one(&with(world.postgres.url_as("concord", "wrong", "erp")), &["28P01", "ALTER ROLE \"concord\" PASSWORD"]).await?;
    one(&with(world.postgres.url("elsewhere")), &["3D000", "CREATE DATABASE \"elsewhere\";"]).await?;
    one(&with("postgres://u@h/d?pool=1".to_owned()), &["parameter pool"]).await?;
    one(&with(format!("{}?sslmode=require", world.postgres.url("erp"))), &["TLS", "sslmode"]).await?;
    one(&Config { tables: Vec::new(), ..world.config.clone() }, &["no table is named"]).await?;
    Ok(())
}

#[tokio::test]
async fn wal_level_must_be_logical() -> Result<()> {
    let options = PostgresOptions { wal_level: "replica".to_owned(), ..PostgresOptions::default() };
    let world = World::with(options, ROWS, &["public.rows"]).await?;
    one(&world.config, &["127.0.0.1", "wal_level is replica", "ALTER SYSTEM SET wal_level = logical; then restart"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_role_needs_the_right_to_replicate_and_to_read_and_the_remedies_work() -> Result<()> {
    let mut world = World::new(ROWS, &["public.rows"]).await?;
    world.sql("CREATE ROLE sam LOGIN PASSWORD 'sam'; GRANT SELECT ON rows TO sam; CREATE PUBLICATION concord FOR TABLE rows WITH (publish_via_partition_root = true)").await?;
    world.config.url = Secret::new(world.postgres.url_as("sam", "sam", "erp"));
    let finding = one(&world.config, &["role sam may not replicate"]).await?;
    world.sql(&finding.remedy).await?;
    assert_eq!(check(&world.config).await?, []);
    world.sql("REVOKE SELECT ON rows FROM sam").await?;
    one(&world.config, &["table public.rows", "may not read", "GRANT SELECT ON \"public\".\"rows\""]).await?;
    world.sql("GRANT SELECT ON rows TO sam; DROP PUBLICATION concord").await?;
    let finding =
        one(&world.config, &["publication concord", "may not create", "CREATE PUBLICATION \"concord\" FOR TABLE \"public\".\"rows\""])
            .await?;
    let command = finding.remedy.split_once(": ").context("a command")?.1;
    world.sql(command).await?;
    assert_eq!(check(&world.config).await?, []);
    let mut source = world.start()?;
    source.streaming().await?;
    source.stop().await
}

#[tokio::test]
async fn each_table_that_cannot_be_read_is_named_with_its_remedy() -> Result<()> {
    let mut world = World::new(
        "CREATE TABLE bare (id int);
         CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
         CREATE TABLE whole (id int); ALTER TABLE whole REPLICA IDENTITY FULL;
         CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);
         CREATE TABLE gone (id int NOT NULL); CREATE UNIQUE INDEX gone_id ON gone (id); ALTER TABLE gone REPLICA IDENTITY USING INDEX gone_id; DROP INDEX gone_id;
         CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY);
         CREATE VIEW seen AS SELECT 1 AS id",
        &[],
    )
    .await?;
    for (table, words) in [
        ("public.bare", ["no primary key", "ALTER TABLE \"public\".\"bare\" ADD PRIMARY KEY"]),
        ("public.nothing", ["replica identity is NOTHING", "ALTER TABLE \"public\".\"nothing\" REPLICA IDENTITY DEFAULT;"]),
        ("public.whole", ["FULL", "ALTER TABLE \"public\".\"whole\" ADD PRIMARY KEY"]),
        ("public.late", ["deferrable", "REPLICA IDENTITY USING INDEX"]),
        ("public.gone", ["index that is gone", "REPLICA IDENTITY"]),
        ("public.fleeting", ["unlogged", "ALTER TABLE \"public\".\"fleeting\" SET LOGGED;"]),
        ("public.seen", ["view", "tables behind it"]),
        ("public.absent", ["does not exist", "correct the name"]),
    ] {
        world.config.tables = vec![table.to_owned()];
        let finding = one(&world.config, &words).await?;
        assert_eq!(finding.place, format!("table {table}"));
    }
    Ok(())
}

#[tokio::test]
async fn a_publication_or_slot_that_does_not_fit_is_named() -> Result<()> {
    let options = PostgresOptions { settings: vec![("max_replication_slots".to_owned(), "1".to_owned())], ..PostgresOptions::default() };
    let world = World::with(options, "CREATE TABLE rows (id int PRIMARY KEY, n int)", &["public.rows"]).await?;
    world.sql("CREATE PUBLICATION concord FOR TABLE rows WITH (publish = 'insert')").await?;
    let finding = one(&world.config, &["publication concord", "leaves out"]).await?;
    world.sql(&finding.remedy).await?;
    assert_eq!(check(&world.config).await?, []);
    world.sql("ALTER PUBLICATION concord SET TABLE rows WHERE (id > 5)").await?;
    one(&world.config, &["holds back rows or columns of public.rows", "DROP TABLE public.rows"]).await?;
    world.sql("ALTER PUBLICATION concord SET TABLE rows (id)").await?;
    one(&world.config, &["holds back rows or columns of public.rows"]).await?;
    world.sql("ALTER PUBLICATION concord DROP TABLE rows").await?;
    assert_eq!(check(&world.config).await?, [], "a missing table is added at the start");
    world.sql("SELECT pg_create_physical_replication_slot('busy')").await?;
    one(&world.config, &["all replication slots of the server are in use", "max_replication_slots"]).await?;
    world.sql("SELECT pg_drop_replication_slot('busy'); SELECT pg_create_physical_replication_slot('concord')").await?;
    one(&world.config, &["replication slot concord", "another slot name"]).await?;
    Ok(())
}
