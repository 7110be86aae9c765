//! Which write of ours made a change.

use anyhow::{Context as _, Result};

use super::harness::{Seen, World, connect, eventually};

const TABLES: &str = r#"
    CREATE TABLE customers (id int PRIMARY KEY, name text, edits int NOT NULL DEFAULT 0);
    CREATE SCHEMA "Sales.EU";
    CREATE TABLE "Sales.EU"."Order ""Line" ("Order No" int, pos text, "na.me" text, PRIMARY KEY (pos, "Order No"));
    CREATE TABLE touched (id serial PRIMARY KEY, customer int);
    CREATE FUNCTION after_edit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE customers SET edits = edits + 1 WHERE id = new.id;
        INSERT INTO touched (customer) VALUES (new.id); RETURN NULL; END $$;
    CREATE TRIGGER after_edit AFTER UPDATE OF name ON customers FOR EACH ROW EXECUTE FUNCTION after_edit();
    INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 9) g;
    SELECT pg_replication_origin_create('concord'), pg_replication_origin_create('another');"#;

const LINES: &str = "Sales.EU.Order \"Line";

async fn world() -> Result<World> {
    World::new(TABLES, &["public.customers", "public.touched", LINES]).await
}

/// A session under a replication origin, as the sink has one.
async fn session(world: &World, origin: &str) -> Result<tokio_postgres::Client> {
    let client = connect(&world.postgres.url("erp")).await?;
    client.execute("SELECT pg_replication_origin_session_setup($1)", &[&origin]).await?;
    Ok(client)
}

fn emit(stamps: &[(&str, &str, &str)]) -> String {
    let stamp = |(object, record, write): &(&str, &str, &str)| schemas::stamp::Stamp {
        object: (*object).to_owned(),
        record: (*record).to_owned(),
        write: (*write).to_owned(),
    };
    let text = schemas::stamp::text(&stamps.iter().map(stamp).collect::<Vec<_>>());
    format!("SELECT pg_logical_emit_message(true, '{}', '{}')", schemas::stamp::PREFIX, text.replace('\'', "''"))
}

/// Live changes in their order, as `op key write origin`.
async fn seen(world: &World, table: &str, count: usize) -> Result<Vec<String>> {
    let all = world.wait_for(table, count).await?;
    let line = |seen: &Seen| {
        let source = &seen.change.source;
        format!("{} {} {} {}", seen.op(), seen.key, source.write.as_deref().unwrap_or("-"), source.origin.as_deref().unwrap_or("-"))
    };
    Ok(all.iter().filter(|seen| !seen.change.source.snapshot).map(line).collect())
}

#[tokio::test]
async fn changes_of_our_transaction_carry_the_write_that_made_them_and_a_triggers_other_rows_none() -> Result<()> {
    let world = world().await?;
    let mut source = world.start()?;
    source.streaming().await?;
    let ours = session(&world, "concord").await?;
    let stamps = emit(&[
        ("public.customers", "1", "a:w1"),
        ("public.customers", "2", "b:w7"),
        ("public.customers", "10", "c:w1"),
        ("public.customers", "3", "d:w2"),
        (LINES, r#"["b \" c","4"]"#, "c:w1"),
    ]);
    ours.batch_execute(&format!(
        r#"BEGIN; UPDATE customers SET name = 'Acme' WHERE id = 1;
           UPDATE customers SET edits = edits WHERE id = 2;
           INSERT INTO customers VALUES (10, 'new');
           DELETE FROM customers WHERE id = 3;
           INSERT INTO "Sales.EU"."Order ""Line" VALUES (4, 'b " c', 'line');
           {stamps}; COMMIT"#
    ))
    .await?;
    assert_eq!(
        seen(&world, "public.customers", 9 + 5).await?,
        ["u 1 a:w1 concord", "u 1 a:w1 concord", "u 2 b:w7 concord", "c 10 c:w1 concord", "d 3 d:w2 concord"],
        "the trigger's change of the same row, and an update that changes nothing, too"
    );
    assert_eq!(seen(&world, "public.touched", 1).await?, ["c 1 - concord"]);
    assert_eq!(seen(&world, LINES, 1).await?, [r#"c ["b \" c","4"] c:w1 concord"#]);
    world.confirmed().await?;
    source.stop().await
}

#[tokio::test]
async fn a_transaction_that_is_not_ours_carries_no_write_whatever_it_says() -> Result<()> {
    let world = world().await?;
    let mut source = world.start()?;
    source.streaming().await?;
    let fake = emit(&[("public.customers", "1", "a:w1")]);
    let edit = format!("BEGIN; {fake}; UPDATE customers SET edits = 5 WHERE id = 1; {fake}; COMMIT");
    world.sql(&edit).await?;
    session(&world, "another").await?.batch_execute(&edit).await?;
    // Ours without a message, and ours that was rolled back, leave nothing behind either.
    let ours = session(&world, "concord").await?;
    ours.batch_execute(&format!("BEGIN; {fake}; ROLLBACK; UPDATE customers SET edits = 6 WHERE id = 1")).await?;
    world.sql("UPDATE customers SET edits = 7 WHERE id = 1").await?;
    assert_eq!(seen(&world, "public.customers", 9 + 4).await?, ["u 1 - -", "u 1 - another", "u 1 - concord", "u 1 - -"]);
    source.stop().await
}

#[tokio::test]
async fn another_name_of_our_origin_is_said_as_concord_and_two_writes_of_one_row_take_turns() -> Result<()> {
    let mut world = world().await?;
    world.config.origin = "another".to_owned();
    let mut source = world.start()?;
    source.streaming().await?;
    let ours = session(&world, "another").await?;
    let stamps = emit(&[("public.customers", "1", "a:w1"), ("public.customers", "1", "b:w1")]);
    ours.batch_execute(&format!(
        "BEGIN; UPDATE customers SET edits = 1 WHERE id = 1; UPDATE customers SET edits = 2 WHERE id = 1; UPDATE customers SET edits = 3 WHERE id = 1; {stamps}; COMMIT"
    ))
    .await?;
    assert_eq!(seen(&world, "public.customers", 9 + 3).await?, ["u 1 a:w1 concord", "u 1 b:w1 concord", "u 1 b:w1 concord"]);
    source.stop().await
}

#[tokio::test]
async fn a_record_that_gets_another_key_is_known_by_the_one_before() -> Result<()> {
    let world = world().await?;
    let mut source = world.start()?;
    source.streaming().await?;
    let ours = session(&world, "concord").await?;
    let stamps = emit(&[("public.customers", "1", "a:w1")]);
    ours.batch_execute(&format!("BEGIN; UPDATE customers SET id = 11 WHERE id = 1; {stamps}; COMMIT")).await?;
    assert_eq!(seen(&world, "public.customers", 9 + 2).await?, ["d 1 a:w1 concord", "c 11 a:w1 concord"]);
    source.stop().await
}

#[tokio::test]
async fn a_large_transaction_of_ours_is_split_over_log_transactions_and_a_restart_amid_them_loses_no_write() -> Result<()> {
    let mut world = world().await?;
    world.config.batch_changes = 7;
    let mut source = world.start()?;
    source.streaming().await?;
    let ours = session(&world, "concord").await?;
    let rows: Vec<String> = (100..300).map(|id: i32| id.to_string()).collect();
    let writes: Vec<String> = rows.iter().map(|id| format!("e{id}:w1")).collect();
    let stamps: Vec<(&str, &str, &str)> =
        rows.iter().zip(&writes).map(|(row, write)| ("public.customers", row.as_str(), write.as_str())).collect();
    let insert = "INSERT INTO customers SELECT g, 'new' FROM generate_series(100, 299) g";
    ours.batch_execute(&format!("BEGIN; {insert}; {}; COMMIT", emit(&stamps))).await?;
    world.wait_for("public.customers", 9 + 20).await?;
    source.kill().await;
    let mut source = world.start()?;
    source.streaming().await?;
    let found = seen(&world, "public.customers", 9 + 200).await?;
    let expected: Vec<String> = rows.iter().zip(&writes).map(|(row, write)| format!("c {row} {write} concord")).collect();
    assert_eq!(found, expected);
    world.sql("UPDATE customers SET edits = 1 WHERE id = 1").await?;
    assert_eq!(seen(&world, "public.customers", 9 + 201).await?.pop().context("a change")?, "u 1 - -");
    source.stop().await
}

/// The ledger as the sink's migrations make it.
const LEDGER: [&str; 2] =
    [include_str!("../../../migrations/erp/0001_ledger.sql"), include_str!("../../../migrations/erp/0002_ledger_order.sql")];

/// Every row of the copy, as `key write`.
async fn copied(world: &World, table: &str, count: usize) -> Result<Vec<String>> {
    let all = world.wait_for(table, count).await?;
    let mut lines: Vec<String> = all
        .iter()
        .filter(|seen| seen.change.source.snapshot)
        .map(|seen| format!("{} {}", seen.key, seen.change.source.write.as_deref().unwrap_or("-")))
        .collect();
    lines.sort();
    Ok(lines)
}

const KEYS: &str = r#"
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE flags (flag bool, code char(4), at timestamptz, note text, PRIMARY KEY (code, flag, at, note));
    CREATE TABLE "Odd 'Name" (code char(4) PRIMARY KEY, name text);
    CREATE TABLE coded (id int PRIMARY KEY, code text NOT NULL);
    CREATE UNIQUE INDEX coded_code ON coded (code); ALTER TABLE coded REPLICA IDENTITY USING INDEX coded_code;
    INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 4) g;
    INSERT INTO flags VALUES (true, 'a', '2024-02-29 12:34:56+02', E'a "b" \\ c\n\t\x01 é'), (false, 'b', 'infinity', '');
    INSERT INTO "Odd 'Name" VALUES ('x', 'one'), ('y', 'two');
    INSERT INTO coded VALUES (1, 'A/1'), (2, 'A/2')"#;

const ODD: &str = "public.Odd 'Name";
const KEYED: [&str; 4] = ["public.customers", "public.flags", ODD, "public.coded"];

/// Drops the slot once nobody reads it any more.
async fn lose_slot(world: &World) -> Result<()> {
    eventually(|| async { world.ask::<bool>("SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'concord'").await }).await?;
    world.sql("SELECT pg_drop_replication_slot('concord')").await
}

async fn entry(world: &World, object: &str, record: &str, write: &str, result: &str) -> Result<()> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    world
        .sql(&format!(
            "INSERT INTO concord.ledger (write_id, entity, object, record, result) VALUES ({}, 'e', {}, {}, '{result}')",
            quoted(write),
            quoted(object),
            quoted(record)
        ))
        .await
}

#[tokio::test]
async fn a_row_of_a_copy_carries_the_last_write_that_was_carried_out_on_it() -> Result<()> {
    let world = World::new(KEYS, &KEYED).await?;
    for migration in LEDGER {
        world.sql(migration).await?;
    }
    // The record came to another entity, whose numbers are lower; a later write was refused; other tables have the same keys.
    for (object, record, write, result) in [
        ("public.customers", "1", "a:w10", "applied"),
        ("public.customers", "1", "a:w11", "applied"),
        ("public.customers", "1", "b:w2", "applied"),
        ("public.customers", "1", "b:w3", "rejected"),
        ("public.customers", "2", "c:w1", "rejected"),
        ("public.customers", "3", "d:w1", "applied"),
        ("public.customers", "77", "gone:w1", "applied"),
        ("another.table", "2", "z:w1", "applied"),
        ("public.flags", r#"["a   ","t","2024-02-29 10:34:56+00","a \"b\" \\ c\n\t\u0001 é"]"#, "f:w1", "applied"),
        (ODD, "y   ", "g:w1", "applied"),
        ("public.coded", "A/2", "h:w1", "applied"),
        ("public.coded", "1", "h:w0", "applied"),
    ] {
        entry(&world, object, record, write, result).await?;
    }
    let mut source = world.start()?;
    source.streaming().await?;
    assert_eq!(copied(&world, "public.customers", 4).await?, ["1 b:w2", "2 -", "3 d:w1", "4 -"]);
    assert_eq!(
        copied(&world, "public.flags", 2).await?,
        [r#"["a   ","t","2024-02-29 10:34:56+00","a \"b\" \\ c\n\t\u0001 é"] f:w1"#, r#"["b   ","f","infinity",""] -"#]
    );
    assert_eq!(copied(&world, ODD, 2).await?, ["x    -", "y    g:w1"]);
    assert_eq!(copied(&world, "public.coded", 2).await?, ["A/1 -", "A/2 h:w1"]);
    // A lost slot has the tables read again, with what was carried out since.
    source.stop().await?;
    entry(&world, "public.customers", "4", "i:w1", "applied").await?;
    lose_slot(&world).await?;
    let mut source = world.start()?;
    source.streaming().await?;
    let again = copied(&world, "public.customers", 8).await?;
    assert_eq!(again, ["1 b:w2", "1 b:w2", "2 -", "2 -", "3 d:w1", "3 d:w1", "4 -", "4 i:w1"]);
    source.stop().await
}

#[tokio::test]
async fn a_copy_without_a_ledger_that_can_be_read_goes_on_and_the_remedy_is_said() -> Result<()> {
    let mut world = World::new(KEYS, &["public.customers"]).await?;
    assert_eq!(ingest::erp::check_ledger(&world.config).await?, None, "the sink makes it");
    let mut source = world.start()?;
    source.streaming().await?;
    assert_eq!(copied(&world, "public.customers", 4).await?, ["1 -", "2 -", "3 -", "4 -"]);
    source.stop().await?;

    // An older one, which does not tell the order.
    world.sql(LEDGER[0]).await?;
    entry(&world, "public.customers", "1", "a:w1", "applied").await?;
    let again = async |world: &World, count: usize| {
        lose_slot(world).await?;
        let mut source = world.start()?;
        source.streaming().await?;
        let mut lines = copied(world, "public.customers", count).await?;
        source.stop().await?;
        lines.retain(|line| !line.ends_with('-'));
        anyhow::Ok(lines)
    };
    assert_eq!(again(&world, 8).await?, Vec::<String>::new());
    let finding = ingest::erp::check_ledger(&world.config).await?.context("a finding")?;
    world.sql(finding.remedy.strip_prefix("as its owner: ").context(finding.to_string())?).await?;
    assert_eq!(ingest::erp::check_ledger(&world.config).await?, None);
    assert_eq!(again(&world, 12).await?, ["1 a:w1"]);

    // A role that may read the table and not the ledger.
    world.sql("CREATE ROLE sam LOGIN REPLICATION PASSWORD 'sam'; GRANT SELECT ON customers TO sam").await?;
    world.config.url = ingest::erp::Secret::new(world.postgres.url_as("sam", "sam", "erp"));
    let finding = ingest::erp::check_ledger(&world.config).await?.context("a finding")?;
    assert_eq!(again(&world, 16).await?, ["1 a:w1"]);
    world.sql(finding.remedy.strip_prefix("as its owner: ").context(finding.to_string())?).await?;
    assert_eq!(ingest::erp::check_ledger(&world.config).await?, None);
    assert_eq!(again(&world, 20).await?, ["1 a:w1", "1 a:w1"]);
    Ok(())
}
