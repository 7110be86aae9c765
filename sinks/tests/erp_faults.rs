//! Stories of writing to the ERP when things go wrong.

use anyhow::Result;
use schemas::Value;
use schemas::message::{HealthState, OutcomeResult, SYNC_ID_HEADER, Side, Write};
use stream::memory::Call;

use crate::erp::{Erp, connect, rename};
use crate::rig::{create, decimal, eventually, update};

#[tokio::test]
async fn a_crash_between_both_commits_leaves_one_effect_and_the_same_answer() -> Result<()> {
    let erp = Erp::new().await?;
    let writes = [
        rename("w1", 1, "Acme", "customer 1"),
        create(Side::Erp, "w2", "6b1f3c0e-0000-4000-8000-000000000002", "public.customers", "concord_id", &[("name", "New".into())]),
    ];
    erp.rig.send(&writes).await?;
    // The log refuses every commit: the database commits, the answer never gets out.
    erp.rig.memory.faults().refuse_next(Call::Commit, u64::MAX);
    let running = erp.run()?;
    eventually("the database has both", async || {
        Ok((erp.client.query_one("select count(*) from concord.ledger", &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 2))
            .then_some(()))
    })
    .await?;
    running.crash().await;
    assert!(erp.rig.outcomes().await?.is_empty());
    erp.rig.memory.faults().refuse_next(Call::Commit, 0);
    erp.client.batch_execute("update customers set name = 'edited since' where id = 1").await?;
    let running = erp.run()?;
    let outcomes = erp.rig.answered(&writes).await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied));
    assert_eq!(outcomes[1].record.as_deref(), Some("5001"));
    assert_eq!(erp.name(1).await?, ("edited since".to_owned(), 2));
    let made: i64 = erp.client.query_one("select count(*) from customers where concord_id is not null", &[]).await?.get(0);
    assert_eq!(made, 1);
    running.stop().await
}

#[tokio::test]
async fn each_row_that_cannot_be_written_fails_alone_with_its_reason() -> Result<()> {
    let erp = Erp::new().await?;
    let running = erp.run()?;
    let set = |id: &str, record: i32, column: &str, value: Value| {
        update(Side::Erp, id, "public.customers", &record.to_string(), &[(column, value)], &[])
    };
    let mut writes: Vec<Write> =
        (100..150).map(|n| rename(&format!("good{n}"), n, &format!("renamed {n}"), &format!("customer {n}"))).collect();
    writes.insert(10, set("check", 1, "name", "forbidden".into()));
    writes.insert(12, set("null", 2, "name", Value::Null));
    writes.insert(20, set("long", 3, "name", "x".repeat(41).as_str().into()));
    writes.insert(25, set("raise", 4, "name", "raise".into()));
    writes.insert(30, set("foreign", 5, "region", Value::Int(77)));
    writes.insert(35, set("type", 6, "credit", "not a number".into()));
    writes.insert(36, set("range", 7, "credit", decimal("99999999999999")));
    writes.insert(40, set("fine", 8, "region", Value::Int(1)));
    writes.push(create(
        Side::Erp,
        "required",
        "6b1f3c0e-0000-4000-8000-000000000003",
        "public.customers",
        "concord_id",
        &[("email", "x@y".into())],
    ));
    let outcomes = erp.rig.write(&writes).await?;
    let failed: Vec<(String, String)> = outcomes
        .iter()
        .filter(|it| it.result == OutcomeResult::Failed)
        .map(|it| (it.write.clone(), it.code.clone().unwrap_or_default()))
        .collect();
    let expected = [
        ("check", "23514"),
        ("null", "23502"),
        ("long", "22001"),
        ("raise", "P0001"),
        ("foreign", "23503"),
        ("type", "22P02"),
        ("range", "22003"),
        ("required", "23502"),
    ];
    assert_eq!(failed, expected.map(|(write, code)| (write.to_owned(), code.to_owned())));
    assert_eq!(outcomes.iter().filter(|it| it.result == OutcomeResult::Applied).count(), 51);
    let message = |write: &str| outcomes.iter().find(|it| it.write == write).and_then(|it| it.message.clone()).unwrap_or_default();
    assert!(message("null").contains("name"), "{}", message("null"));
    // Not the rest of the row.
    for write in ["check", "null", "required"] {
        assert!(!message(write).contains("row contains"), "{}", message(write));
    }
    assert!(message("raise").contains("Use another name"), "{}", message("raise"));
    assert_eq!(erp.name(149).await?.0, "renamed 149");
    let letters = erp.rig.dead_letters(Side::Erp).await?;
    assert_eq!(letters.len(), 8);
    assert!(letters.iter().all(|letter| letter.topic == "writes.erp" && letter.value.is_some() && !letter.remedy.is_empty()));
    running.stop().await
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_is_tried_again() -> Result<()> {
    let erp = Erp::new().await?;
    let running = erp.run()?;
    let write = update(Side::Erp, "w1", "public.customers", "1", &[("region", Value::Int(5))], &[]);
    assert_eq!(erp.rig.write_one(write.clone()).await?.result, OutcomeResult::Failed);
    erp.client.batch_execute("insert into regions values (5)").await?;
    erp.rig.send(&[write]).await?;
    eventually("the replayed write is applied", async || {
        Ok(erp.rig.outcomes().await?.get("w1").is_some_and(|all| all.iter().any(|it| it.result == OutcomeResult::Applied)).then_some(()))
    })
    .await?;
    running.stop().await
}

#[tokio::test]
async fn a_locked_row_does_not_hold_up_the_others() -> Result<()> {
    let erp = Erp::new().await?;
    let other = connect(&erp.server.url("erp")).await?;
    other.batch_execute("begin; update customers set credit = 1 where id = 5").await?;
    let running = erp.run()?;
    let writes: Vec<Write> = (1..=20).map(|n| rename(&format!("w{n}"), n, &format!("renamed {n}"), &format!("customer {n}"))).collect();
    erp.rig.send(&writes).await?;
    let free: Vec<Write> = writes.iter().filter(|write| write.id != "w5").cloned().collect();
    let outcomes = erp.rig.answered(&free).await?;
    assert!(outcomes.iter().all(|it| it.result == OutcomeResult::Applied));
    assert!(!erp.rig.outcomes().await?.contains_key("w5"));
    other.batch_execute("commit").await?;
    assert_eq!(erp.rig.answered(&writes[4..5]).await?[0].result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn a_write_overtaken_while_it_waits_for_a_lock_is_rejected() -> Result<()> {
    let erp = Erp::new().await?;
    let other = connect(&erp.server.url("erp")).await?;
    other.batch_execute("begin; update customers set name = 'quicker' where id = 5").await?;
    let mut config = erp.config();
    config.lock_timeout = std::time::Duration::from_secs(20);
    let running = erp.rig.erp(config)?;
    erp.rig.send(&[rename("w5", 5, "slower", "customer 5")]).await?;
    eventually("the sink waits for the lock", async || {
        let sql = "select 1 from pg_stat_activity where application_name = 'concord sink' and wait_event_type = 'Lock'";
        Ok(erp.client.query_opt(sql, &[]).await?.map(|_| ()))
    })
    .await?;
    other.batch_execute("commit").await?;
    let outcome = erp.rig.answered(&[rename("w5", 5, "slower", "customer 5")]).await?.remove(0);
    assert_eq!((outcome.result, &outcome.actual[0].value), (OutcomeResult::Rejected, &Value::text("quicker")));
    running.stop().await
}

#[tokio::test]
async fn an_outage_pauses_the_sink_and_it_goes_on_by_itself() -> Result<()> {
    let mut erp = Erp::new().await?;
    let mut config = erp.config();
    config.pace.defer_after = std::time::Duration::from_millis(300);
    let running = erp.rig.erp(config)?;
    erp.rig.is("sink.erp", HealthState::Running).await?;
    erp.server.shut_down()?;
    let writes = [rename("w1", 1, "Acme", "customer 1")];
    erp.rig.send(&writes).await?;
    let health = erp.rig.is("sink.erp", HealthState::Paused).await?;
    assert!(!health.reason.is_empty() && !health.remedy.is_empty(), "{health:?}");
    eventually("the write is deferred", async || {
        Ok(erp.rig.outcomes().await?.get("w1").is_some_and(|all| all.iter().any(|it| it.result == OutcomeResult::Deferred)).then_some(()))
    })
    .await?;
    erp.server.start_again().await?;
    assert_eq!(erp.rig.answered(&writes).await?[0].result, OutcomeResult::Applied);
    erp.rig.is("sink.erp", HealthState::Running).await?;
    running.stop().await
}

#[tokio::test]
async fn writing_that_a_person_paused_waits_and_loses_nothing() -> Result<()> {
    let erp = Erp::new().await?;
    erp.rig.pause(true).await?;
    let mut config = erp.config();
    // Less room than there are writes, so that reading on must wait too.
    config.pace.in_hand = 5;
    let running = erp.rig.erp(config)?;
    erp.rig.is("sink.erp", HealthState::Running).await.ok();
    let health = erp.rig.is("sink.erp", HealthState::Paused).await?;
    assert!(health.reason.contains("Ada"), "{health:?}");
    let writes: Vec<Write> = (1..=30).map(|n| rename(&format!("w{n}"), n, &format!("renamed {n}"), &format!("customer {n}"))).collect();
    erp.rig.send(&writes).await?;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(erp.name(1).await?.1, 0);
    erp.rig.pause(false).await?;
    assert!(erp.rig.answered(&writes).await?.iter().all(|it| it.result == OutcomeResult::Applied));
    running.stop().await
}

#[tokio::test]
async fn a_missing_column_holds_only_its_own_writes_until_it_is_there() -> Result<()> {
    let erp = Erp::new().await?;
    let running = erp.run()?;
    let late = update(Side::Erp, "late", "public.customers", "1", &[("nickname", "Al".into())], &[]);
    erp.rig.send(std::slice::from_ref(&late)).await?;
    erp.rig.write_one(rename("w2", 2, "Bolt", "customer 2")).await?;
    assert!(!erp.rig.outcomes().await?.contains_key("late"));
    erp.client.batch_execute("alter table customers add nickname text").await?;
    assert_eq!(erp.rig.answered(&[late]).await?[0].result, OutcomeResult::Applied);
    running.stop().await
}

#[tokio::test]
async fn a_log_that_fails_now_and_then_changes_nothing_about_the_effects() -> Result<()> {
    let erp = Erp::new().await?;
    let faults = erp.rig.memory.faults();
    faults.refuse_sometimes(Call::Commit, 200);
    faults.lose_answers_sometimes(Call::Commit, 200);
    faults.refuse_sometimes(Call::Poll, 50);
    faults.repeat_next_delivery(20);
    let running = erp.run()?;
    let writes: Vec<Write> = (1..=200).map(|n| rename(&format!("w{n}"), n, &format!("renamed {n}"), &format!("customer {n}"))).collect();
    for part in writes.chunks(20) {
        erp.rig.send(part).await?;
        tokio::task::yield_now().await;
    }
    assert!(erp.rig.answered(&writes).await?.iter().all(|it| it.result == OutcomeResult::Applied));
    let edits: i64 = erp.client.query_one("select max(edits)::bigint from customers", &[]).await?.get(0);
    assert_eq!(edits, 1);
    running.stop().await
}

#[tokio::test]
async fn bytes_that_are_no_write_are_set_aside() -> Result<()> {
    let erp = Erp::new().await?;
    let running = erp.run()?;
    erp.rig.log.publish(vec![stream::NewRecord::new("writes.erp", "e", "nonsense").header(SYNC_ID_HEADER, "sync-nonsense")]).await?;
    erp.rig.write_one(rename("w1", 1, "Acme", "customer 1")).await?;
    let letters = eventually("the bytes are set aside", async || {
        Ok(Some(erp.rig.dead_letters(Side::Erp).await?).filter(|letters| !letters.is_empty()))
    })
    .await?;
    assert_eq!(letters[0].value.as_deref(), Some(b"nonsense".as_slice()));
    let records = erp.rig.records("writes.erp.dlq").await?;
    assert_eq!(records[0].header(SYNC_ID_HEADER), Some(b"sync-nonsense".as_slice()));
    running.stop().await
}

#[tokio::test]
async fn what_a_user_may_not_do_is_named_with_the_command_that_mends_it() -> Result<()> {
    let erp = Erp::new().await?;
    erp.client.batch_execute("create user sync password 'sync'; grant select on customers to sync; revoke execute on function pg_replication_origin_session_setup(text) from public").await?;
    let config = sinks::erp::Config::new(erp.server.url_as("sync", "sync", "erp"));
    let tables = ["public.customers".to_owned()];
    let lack = async || match sinks::erp::setup(&config, &tables).await {
        Ok(done) => format!("done: {done:?}"),
        Err(error) => format!("{error} | {}", error.remedy()),
    };
    assert!(lack().await.contains("GRANT CREATE ON DATABASE \"erp\" TO \"sync\""), "{}", lack().await);
    erp.client.batch_execute("grant create on database erp to sync").await?;
    let origin = lack().await;
    assert!(
        origin.contains(
            "GRANT EXECUTE ON FUNCTION pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz), pg_replication_origin_create(text) TO \"sync\""
        ),
        "{origin}"
    );
    erp.client
        .batch_execute("grant execute on function pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, timestamptz), pg_replication_origin_create(text) to sync")
        .await?;
    assert!(lack().await.contains("GRANT INSERT, UPDATE ON \"public\".\"customers\" TO \"sync\""), "{}", lack().await);
    erp.client.batch_execute("grant insert, update on customers to sync").await?;
    assert!(lack().await.starts_with("done"), "{}", lack().await);
    let running = erp.rig.erp(config)?;
    assert_eq!(erp.rig.write_one(rename("w1", 1, "Acme", "customer 1")).await?.result, OutcomeResult::Applied);
    running.stop().await
}
