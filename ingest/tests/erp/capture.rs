//! What one change at the source becomes on the log.

use anyhow::Result;
use schemas::value::Value;

use super::harness::World;

const CUSTOMERS: &str = "CREATE TABLE customers (id int PRIMARY KEY, name text, note text)";

fn ops(changes: &[super::harness::Seen]) -> Vec<(String, &'static str)> {
    changes.iter().map(|seen| (seen.key.clone(), seen.op())).collect()
}

#[tokio::test]
async fn insert_update_and_delete_arrive_in_commit_order_with_a_tombstone_at_the_end() -> Result<()> {
    let world = World::new(CUSTOMERS, &["public.customers"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO customers VALUES (1, 'Ada', NULL)").await?;
    world.sql("BEGIN; UPDATE customers SET name = 'Ada L.' WHERE id = 1; INSERT INTO customers VALUES (2, 'Bob', ''); COMMIT").await?;
    world.sql("DELETE FROM customers WHERE id = 1").await?;
    let changes = world.wait_for("public.customers", 4).await?;
    assert_eq!(ops(&changes), [("1", "c"), ("1", "u"), ("2", "c"), ("1", "d")].map(|(key, op)| (key.to_owned(), op)));
    assert_eq!(changes[1].after("name"), Some(&Value::from("Ada L.")));
    assert_eq!(changes[1].change.before, None);
    assert_eq!(changes[2].after("note"), Some(&Value::from("")));
    assert_eq!(changes[3].before("id"), Some(&Value::Int(1)));
    let facts: Vec<_> = changes.iter().map(|seen| &seen.change.source).collect();
    assert_eq!(facts.iter().map(|facts| facts.ordinal).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(facts[1].position, facts[2].position);
    assert_eq!(facts[1].transaction, facts[2].transaction);
    assert_ne!(facts[0].transaction, facts[1].transaction);
    let now: i64 = world.ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8").await?;
    assert!(facts.iter().all(|facts| (0..60_000_000).contains(&(now - facts.committed_at)) && facts.origin.is_none() && !facts.snapshot));
    let last = world.records("cdc.erp.public.customers").await?.into_iter().rfind(|record| record.key.as_deref() == Some(b"1"));
    assert!(last.is_some_and(|record| record.value.is_none()), "the deleted key ends with a tombstone");
    source.stop().await
}

#[tokio::test]
async fn a_new_key_is_a_delete_of_the_old_and_a_create_of_the_new() -> Result<()> {
    let world = World::new(CUSTOMERS, &["public.customers"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO customers VALUES (1, 'Ada', 'x')").await?;
    world.sql("UPDATE customers SET id = 7 WHERE id = 1").await?;
    let changes = world.wait_for("public.customers", 3).await?;
    assert_eq!(ops(&changes), [("1", "c"), ("1", "d"), ("7", "c")].map(|(key, op)| (key.to_owned(), op)));
    assert_eq!(changes[2].after("note"), Some(&Value::from("x")));
    source.stop().await
}

#[tokio::test]
async fn a_truncate_is_said_in_every_partition_of_each_table() -> Result<()> {
    let schema = format!("{CUSTOMERS}; CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers)");
    let world = World::new(&schema, &["public.customers", "public.orders"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world
        .sql("INSERT INTO customers VALUES (1, 'Ada', 'x'); TRUNCATE customers CASCADE; INSERT INTO customers VALUES (2, 'Bob', 'y')")
        .await?;
    let changes = world.wait_for("public.customers", 3).await?;
    assert_eq!(changes.iter().map(|seen| seen.op()).collect::<Vec<_>>(), ["c", "t", "c"]);
    assert_eq!(world.wait_for("public.orders", 1).await?[0].op(), "t");
    assert_eq!(world.records("cdc.erp.public.orders").await?.len(), 3, "one in each of the three partitions");
    source.stop().await
}

#[tokio::test]
async fn an_untouched_large_value_is_marked_unless_the_old_row_has_it() -> Result<()> {
    let schema = "CREATE TABLE part (id int PRIMARY KEY, n int, big text); ALTER TABLE part ALTER big SET STORAGE EXTERNAL;
                  CREATE TABLE whole (id int PRIMARY KEY, n int, big text); ALTER TABLE whole ALTER big SET STORAGE EXTERNAL;
                  ALTER TABLE whole REPLICA IDENTITY FULL";
    let world = World::new(schema, &["public.part", "public.whole"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    for table in ["part", "whole"] {
        world.sql(&format!("INSERT INTO {table} VALUES (1, 1, repeat('x', 100000)); UPDATE {table} SET n = 2")).await?;
    }
    let part = &world.wait_for("public.part", 2).await?[1];
    assert_eq!(part.carried(), Some(vec!["id", "n"]));
    assert_eq!((part.after("n"), part.after("big")), (Some(&Value::Int(2)), Some(&Value::Null)));
    let whole = &world.wait_for("public.whole", 2).await?[1];
    let big = Value::Text("x".repeat(100_000));
    assert_eq!((whole.carried(), whole.after("big"), whole.before("big")), (None, Some(&big), Some(&big)));
    assert_eq!((whole.before("n"), whole.after("n")), (Some(&Value::Int(1)), Some(&Value::Int(2))));
    source.stop().await
}

#[tokio::test]
async fn origin_and_actor_of_a_transaction_come_with_its_changes() -> Result<()> {
    let world = World::new(CUSTOMERS, &["public.customers"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("SELECT pg_replication_origin_create('concord'); SELECT pg_replication_origin_session_setup('concord')").await?;
    world.sql("INSERT INTO customers VALUES (1, 'ours', '')").await?;
    world.sql("SELECT pg_replication_origin_session_reset()").await?;
    world
        .sql("BEGIN; SELECT pg_logical_emit_message(true, 'concord.actor', 'sam'); INSERT INTO customers VALUES (2, 'theirs', ''); COMMIT")
        .await?;
    world.sql("INSERT INTO customers VALUES (3, 'nobody', '')").await?;
    let changes = world.wait_for("public.customers", 3).await?;
    let facts: Vec<_> = changes.iter().map(|seen| (seen.change.source.origin.as_deref(), seen.change.source.actor.as_deref())).collect();
    assert_eq!(facts, [(Some("concord"), None), (None, Some("sam")), (None, None)]);
    source.stop().await
}

#[tokio::test]
async fn quoted_names_several_schemas_and_keys_of_several_columns_are_ordinary() -> Result<()> {
    let schema = r#"CREATE SCHEMA "Sales Dept"; CREATE TABLE "Sales Dept"."Order Lines" (
                      "the line" int, "order" text, "größe" text, PRIMARY KEY ("order", "the line"));
                    CREATE TABLE customers (code text NOT NULL UNIQUE, name text);
                    ALTER TABLE customers REPLICA IDENTITY USING INDEX customers_code_key"#;
    let world = World::new(schema, &["Sales Dept.Order Lines", "public.customers"]).await?;
    world.sql(r#"INSERT INTO "Sales Dept"."Order Lines" VALUES (1, 'A "1"', 'groß')"#).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql(r#"UPDATE "Sales Dept"."Order Lines" SET "größe" = 'klein'; INSERT INTO customers VALUES ('C-1', 'Ada'); DELETE FROM customers"#).await?;
    let lines = world.wait_for("Sales Dept.Order Lines", 2).await?;
    assert_eq!(ops(&lines), [(r#"["A \"1\"","1"]"#.to_owned(), "r"), (r#"["A \"1\"","1"]"#.to_owned(), "u")]);
    assert_eq!(lines[1].after("größe"), Some(&Value::from("klein")));
    assert_eq!(ops(&world.wait_for("public.customers", 2).await?), [("C-1".to_owned(), "c"), ("C-1".to_owned(), "d")]);
    source.stop().await
}

#[tokio::test]
async fn a_column_added_or_dropped_while_reading_shows_in_the_next_row() -> Result<()> {
    let world = World::new(CUSTOMERS, &["public.customers"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO customers VALUES (1, 'Ada', '')").await?;
    world.sql("ALTER TABLE customers ADD vip bool DEFAULT true, DROP note; INSERT INTO customers VALUES (2, 'Bob', false)").await?;
    let changes = world.wait_for("public.customers", 2).await?;
    assert_eq!(changes[0].after("vip"), None);
    assert_eq!((changes[1].after("vip"), changes[1].after("note")), (Some(&Value::Bool(false)), None));
    source.stop().await
}

#[tokio::test]
async fn partitions_of_a_table_arrive_as_the_table() -> Result<()> {
    let schema = "CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
                  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
                  INSERT INTO events VALUES (1, '2024-05-01')";
    let world = World::new(schema, &["public.events"]).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO events VALUES (2, '2024-06-01')").await?;
    let changes = world.wait_for("public.events", 2).await?;
    assert_eq!(ops(&changes), [(r#"["1","2024-05-01"]"#.to_owned(), "r"), (r#"["2","2024-06-01"]"#.to_owned(), "c")]);
    source.stop().await
}

#[tokio::test]
async fn the_newest_postgres_is_read_like_the_oldest() -> Result<()> {
    let bin = tokio::task::spawn_blocking(servers::packaged_postgres).await??;
    let options = servers::PostgresOptions { bin: Some(bin), ..servers::PostgresOptions::default() };
    let world = World::with(options, CUSTOMERS, &["public.customers"]).await?;
    world.sql("INSERT INTO customers VALUES (1, 'Ada', NULL)").await?;
    assert_eq!(ingest::erp::check(&world.config).await?, []);
    let mut source = world.start()?;
    source.streaming().await?;
    world.sql("INSERT INTO customers VALUES (2, 'Bob', ''); UPDATE customers SET id = 3 WHERE id = 2; TRUNCATE customers").await?;
    let changes = world.wait_for("public.customers", 5).await?;
    assert_eq!(changes.iter().map(|seen| seen.op()).collect::<Vec<_>>(), ["r", "c", "d", "c", "t"]);
    world.confirmed().await?;
    source.stop().await
}
