//! Stories of filling the read model.

mod decisions;
mod pages;

use anyhow::Result;
use schemas::message::{DeadLetter, HealthState, Lane, OutcomeResult, Write};
use stream::NewRecord;

use self::pages::{Pages, audit, conflict, outcome};
use crate::erp::rename;

#[tokio::test]
async fn everything_on_the_log_reaches_its_page_in_whatever_order_it_comes() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.tell_all().await?;
    pages.shows_all().await?;
    running.stop().await
}

#[tokio::test]
async fn what_has_counted_once_does_not_count_again_after_a_crash_or_a_repeat() -> Result<()> {
    let pages = Pages::new().await?;
    pages.rig.memory.faults().repeat_next_delivery(30);
    let running = pages.rig.read_model(pages.config())?;
    pages.tell_all().await?;
    pages.shows_all().await?;
    running.crash().await;
    let running = pages.rig.read_model(pages.config())?;
    // The same answer told twice counts once, too.
    pages.rig.publish("outcomes", &[("e2", outcome(&rename("w2", 2, "b", "a"), OutcomeResult::Rejected, 61_000_000))]).await?;
    pages.golden("e9", "Marker", "1").await?;
    pages.shows("select title from entity where entity = 'e9'", "Marker").await?;
    pages.shows("select sum(rejected)::text || ' ' || sum(confirmed) || ' ' || sum(conflicts) from flow_minute", "1 1 1").await?;
    running.stop().await
}

#[tokio::test]
async fn a_database_that_was_dropped_is_built_again() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.tell_all().await?;
    pages.shows_all().await?;
    running.stop().await?;
    pages.server.execute("postgres", "drop database pages with (force)").await?;
    pages.server.create_database("pages").await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.shows_all().await?;
    running.stop().await
}

#[tokio::test]
async fn an_outage_pauses_the_pages_and_they_catch_up_by_themselves() -> Result<()> {
    let mut pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.rig.is("sink.readmodel", HealthState::Running).await?;
    pages.server.shut_down()?;
    pages.golden("e1", "While away", "1").await?;
    let health = pages.rig.is("sink.readmodel", HealthState::Paused).await?;
    assert!(!health.reason.is_empty() && !health.remedy.is_empty());
    pages.server.start_again().await?;
    pages.shows("select title from entity where entity = 'e1'", "While away").await?;
    running.stop().await
}

#[tokio::test]
async fn a_record_that_cannot_be_shown_is_set_aside_and_the_rest_goes_on() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.rig.log.publish(vec![NewRecord::new("conflicts", "k", "nonsense")]).await?;
    // A setting whose value Postgres refuses as JSON.
    let setting = schemas::message::Setting { name: "odd".to_owned(), value: "{".to_owned(), version: 1, actor: "Ada".to_owned(), at: 5 };
    pages.rig.publish("control", &[("odd", setting)]).await?;
    pages.rig.pause(true).await?;
    pages.shows("select actor from setting where name = 'pause'", "Ada").await?;
    pages.shows("select string_agg(source_topic, ', ' order by source_topic) from dead_letter", "conflicts, control").await?;
    running.stop().await
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes_and_what_is_unfinished_stays() -> Result<()> {
    let pages = Pages::new().await?;
    let mut config = pages.config();
    config.keep_writes = std::time::Duration::from_secs(86_400);
    let running = pages.rig.read_model(config)?;
    let (w1, w2) = (rename("w1", 1, "b", "a"), rename("w2", 2, "b", "a"));
    pages.rig.send(&[w1.clone(), w2]).await?;
    pages.rig.publish("outcomes", &[("e1", outcome(&w1, OutcomeResult::Rejected, 61_000_000))]).await?;
    pages.shows("select string_agg(id || ' ' || state, ', ') from write", "w2 sent").await?;
    pages.shows("select sum(rejected)::text from flow_minute", "1").await?;
    running.stop().await
}

#[tokio::test]
async fn listeners_hear_which_tables_changed() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.rig.is("sink.readmodel", HealthState::Running).await?;
    let (client, mut connection) = tokio_postgres::connect(&pages.server.url("pages"), tokio_postgres::NoTls).await?;
    let (sender, mut heard) = tokio::sync::mpsc::channel(100);
    tokio::spawn(async move {
        loop {
            match std::future::poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(tokio_postgres::AsyncMessage::Notification(notice))) => {
                    let _ = sender.send(notice.payload().to_owned()).await;
                }
                Some(Ok(_)) => {}
                _ => return,
            }
        }
    });
    client.batch_execute("listen concord_changed").await?;
    pages.rig.publish("conflicts", &[("c1", conflict("c1"))]).await?;
    let notice = tokio::time::timeout(crate::rig::SOON, async {
        loop {
            match heard.recv().await {
                Some(payload) if payload.contains("conflict") => return Some(payload),
                Some(_) => {}
                None => return None,
            }
        }
    })
    .await?;
    assert_eq!(notice.as_deref(), Some("conflict,flow_minute"));
    running.stop().await
}

#[tokio::test]
async fn backfill_has_no_latency_in_whatever_order_its_messages_come() -> Result<()> {
    let pages = Pages::new().await?;
    let backfill = |id: &str| Write { lane: Lane::Backfill, ..rename(id, 1, "b", "a") };
    let (before, after, live) = (backfill("w1"), backfill("w2"), rename("w3", 3, "b", "a"));
    let running = pages.rig.read_model(pages.config())?;
    let figures = "select sum(confirmed)::text || ' ' || sum((select sum(n) from unnest(latency) n)) from flow_minute";
    pages.rig.publish("audit", &[("e1", audit(&after, 61_000_000))]).await?;
    pages.shows(figures, "1 1").await?;
    pages.rig.send(&[before.clone(), after.clone()]).await?;
    pages.shows(figures, "1 0").await?;
    pages.rig.publish("audit", &[("e1", audit(&before, 61_000_000)), ("e3", audit(&live, 61_000_000))]).await?;
    pages.shows(figures, "3 1").await?;
    // The same write told again is the same write.
    pages.rig.send(&[after, live]).await?;
    pages.shows("select count(*)::text from write where lane = 'live'", "1").await?;
    pages.shows(figures, "3 1").await?;
    running.stop().await
}

#[tokio::test]
async fn many_records_are_brought_in_once_each() -> Result<()> {
    let pages = Pages::new().await?;
    const COUNT: i32 = 25_000;
    let mut records = Vec::new();
    for n in 0..COUNT {
        let write = rename(&format!("w{n}"), n, "b", "a");
        records.push(NewRecord::new("writes.erp", write.entity.clone(), pages.rig.codec.encode("writes.erp", &write).await?));
        let outcome = outcome(&write, OutcomeResult::Applied, 61_000_000);
        records.push(NewRecord::new("outcomes", write.entity.clone(), pages.rig.codec.encode("outcomes", &outcome).await?));
        let audit = audit(&write, 61_000_000);
        records.push(NewRecord::new("audit", write.entity.clone(), pages.rig.codec.encode("audit", &audit).await?));
    }
    for part in records.chunks(10_000) {
        pages.rig.log.publish(part.to_vec()).await?;
    }
    let running = pages.rig.read_model(pages.config())?;
    pages.shows("select sum(confirmed)::text || ' ' || sum(latency[18]) from flow_minute", &format!("{COUNT} {COUNT}")).await?;
    pages.shows("select count(*)::text from write where state = 'confirmed' and lane = 'live'", &COUNT.to_string()).await?;
    running.stop().await
}

#[tokio::test]
async fn what_can_be_read_again_is_no_failure_any_more() -> Result<()> {
    let pages = Pages::new().await?;
    pages.rig.log.create_topics(&pages.rig.topics.config("writes.erp.dlq").into_iter().collect::<Vec<_>>()).await?;
    let running = pages.rig.read_model(pages.config())?;
    let letter = |reason: &str| DeadLetter {
        topic: "writes.erp".into(),
        partition: 0,
        offset: 1,
        key: Some(b"7".to_vec()),
        value: None,
        component: "matcher".into(),
        reason: reason.into(),
        remedy: String::new(),
        at: 1,
    };
    let other = DeadLetter { key: Some(b"8".to_vec()), ..letter("another record") };
    pages.rig.publish("writes.erp.dlq", &[("7", letter("first")), ("8", other), ("7", letter(""))]).await?;
    pages.shows("select string_agg(reason, ', ') from dead_letter", "another record").await?;
    pages.rig.publish("writes.erp.dlq", &[("7", letter("again"))]).await?;
    pages.shows("select string_agg(reason, ', ' order by reason) from dead_letter", "again, another record").await?;
    running.stop().await
}
