//! Stories of filling the read model.

use std::collections::BTreeMap;

use anyhow::Result;
use schemas::Value;
use schemas::cdc::{self, Change, ChangeSchema, Column, ColumnType, Op};
use schemas::message::{
    Action, AuditEntry, Choice, ColumnChange, Conflict, ConflictState, CustomerFinancials, DeadLetter, Decision, DecisionOutcome,
    DecisionResult, EntityLink, Field, HealthState, Lane, MatchReason, MatchReview, MatchState, Outcome, OutcomeResult, PipelineSummary,
    Side, Write, WriteOp,
};
use servers::{Postgres, PostgresOptions};
use sinks::readmodel::{Config, SourceObject};
use stream::NewRecord;

use crate::erp::{connect, rename};
use crate::rig::{Rig, eventually};

struct Pages {
    server: Postgres,
    rig: Rig,
}

impl Pages {
    async fn new() -> Result<Self> {
        let server = Postgres::start(PostgresOptions::default()).await?;
        server.create_database("pages").await?;
        Ok(Self { server, rig: Rig::new().await? })
    }

    fn config(&self) -> Config {
        let mut config = Config::new(self.server.url("pages"));
        config.titles = BTreeMap::from([("customer".to_owned(), "name".to_owned())]);
        config.source_objects = vec![SourceObject { side: Side::Erp, object: "public.orders".to_owned() }];
        // The stories are set in 1970.
        let ages = std::time::Duration::from_secs(200 * 365 * 86_400);
        (config.keep_writes, config.keep_audit, config.keep_flow, config.keep_dead_letters) = (ages, ages, ages, ages);
        config.pace.backoff_max = std::time::Duration::from_millis(200);
        config
    }

    async fn set_aside(&self) -> Result<Vec<String>> {
        let mut reasons = Vec::new();
        for topic in self.rig.log.topics().await?.iter().filter(|topic| topic.ends_with(".dlq")) {
            reasons.extend(
                self.rig.messages::<DeadLetter>(topic).await?.into_iter().map(|letter| format!("{}: {}", letter.topic, letter.reason)),
            );
        }
        Ok(reasons)
    }

    /// Waits until a query of one text gives this.
    async fn shows(&self, sql: &str, expected: &str) -> Result<()> {
        let last = std::sync::Mutex::new(String::new());
        let shown = eventually("", async || {
            let Ok(client) = connect(&self.server.url("pages")).await else { return Ok(None) };
            let found = match client.query_one(sql, &[]).await {
                Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
                Err(error) => format!("{error:?}"),
            };
            let right = found == expected;
            if let Ok(mut last) = last.lock() {
                *last = found;
            }
            Ok(right.then_some(()))
        })
        .await;
        anyhow::ensure!(
            shown.is_ok(),
            "{sql} shows {:?}, not {expected:?}; set aside: {:?}; health: {:?}",
            last.lock().map(|last| last.clone()),
            self.set_aside().await?,
            self.rig.health().await?
        );
        Ok(())
    }
}

fn outcome(write: &Write, result: OutcomeResult, at: i64) -> Outcome {
    Outcome {
        write: write.id.clone(),
        entity: write.entity.clone(),
        kind: write.kind.clone(),
        side: write.side,
        object: write.object.clone(),
        record: write.record.clone(),
        result,
        actual: Vec::new(),
        code: None,
        message: None,
        attempts: 1,
        caused_at: write.caused_at,
        at,
    }
}

fn audit(write: &Write, at: i64) -> AuditEntry {
    AuditEntry {
        id: write.id.clone(),
        entity: write.entity.clone(),
        kind: write.kind.clone(),
        title: "Acme".to_owned(),
        side: write.side,
        object: write.object.clone(),
        record: write.record.clone().unwrap_or_default(),
        op: WriteOp::Update,
        columns: vec![ColumnChange { column: "name".to_owned(), field: "name".to_owned(), before: "a".into(), after: "b\0c".into() }],
        altered: false,
        reason: "edited across".to_owned(),
        actor: None,
        conflict: None,
        caused_at: write.caused_at,
        at,
        mapping_version: 1,
    }
}

fn conflict(id: &str) -> Conflict {
    Conflict {
        id: id.to_owned(),
        entity: "e1".to_owned(),
        kind: "customer".to_owned(),
        title: "Acme".to_owned(),
        field: "name".to_owned(),
        label: "Name".to_owned(),
        state: ConflictState::Open,
        base_crm: "a".into(),
        base_erp: Value::Null,
        crm: "b".into(),
        erp: Value::Decimal(schemas::Decimal("1.50".into())),
        crm_at: 2_000_000,
        erp_at: 1_000_000,
        crm_actor: Some("Ada".to_owned()),
        erp_actor: None,
        crm_record: None,
        erp_record: Some("1".to_owned()),
        crm_column: "Name".to_owned(),
        erp_column: "name".to_owned(),
        policy: "review".to_owned(),
        reason: "r".to_owned(),
        winner: None,
        chosen: Value::Null,
        both: false,
        tie: false,
        overtaken: false,
        settled_by: None,
        settled_at: None,
        opened_at: 120_000_000,
        mapping_version: 1,
    }
}

impl Pages {
    /// Something on every topic; the answer to `w2` comes long before the write itself.
    async fn tell_all(&self) -> Result<()> {
        let rig = &self.rig;
        let (w1, w2) = (rename("w1", 1, "b", "a"), rename("w2", 2, "b", "a"));
        let link = EntityLink {
            entity: "e1".to_owned(),
            kind: "customer".to_owned(),
            side: Side::Crm,
            object: "Account".to_owned(),
            record: "001".to_owned(),
            linked: true,
            rule: "new".to_owned(),
            title: "Acme first".to_owned(),
            at: 5,
        };
        rig.publish("entity.links", &[("crm:Account:001", link)]).await?;
        rig.publish(
            "outcomes",
            &[("e2", outcome(&w2, OutcomeResult::Rejected, 61_000_000)), ("e1", outcome(&w1, OutcomeResult::Applied, 61_000_000))],
        )
        .await?;
        rig.publish("audit", &[("e1", audit(&w1, 61_000_000))]).await?;
        self.shows("select count(*)::text from write where lane = ''", "2").await?;
        rig.send(&[w1, w2]).await?;
        rig.publish("conflicts", &[("c1", conflict("c1"))]).await?;
        let financials = CustomerFinancials {
            customer: "e1".to_owned(),
            ar_balance: "12.50".to_owned(),
            overdue: "0".to_owned(),
            open_orders: 1,
            open_order_value: "3".to_owned(),
            as_of: 19_782,
            at: 5,
        };
        rig.publish("customer.financials", &[("e1", financials)]).await?;
        let summary = PipelineSummary {
            stage: "all".to_owned(),
            count: 2,
            value: "10".to_owned(),
            weighted: "5.5".to_owned(),
            won: 1,
            lost: 1,
            win_rate_bp: Some(5000),
            at: 5,
        };
        rig.publish("pipeline.summary", &[("all", summary)]).await?;
        rig.pause(true).await?;
        self.golden("e1", "Acme", "12.50").await?;
        self.order(Op::Create, Some(vec![Value::Int(7), "open".into()]), None).await?;
        self.order(Op::Update, Some(vec![Value::Null, "shipped".into()]), Some(vec![1])).await?;
        let letter = DeadLetter {
            topic: "writes.erp".to_owned(),
            partition: 0,
            offset: 3,
            key: Some(b"k".to_vec()),
            value: None,
            component: "sink.erp".to_owned(),
            reason: "r".to_owned(),
            remedy: "m".to_owned(),
            at: 5,
        };
        rig.log.create_topics(&rig.topics.config("writes.erp.dlq").into_iter().collect::<Vec<_>>()).await?;
        rig.publish("writes.erp.dlq", &[("k", letter)]).await
    }

    async fn golden(&self, entity: &str, name: &str, credit: &str) -> Result<()> {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let columns = [
            column("entity", ColumnType::Uuid),
            column("crm_record", ColumnType::Text),
            column("erp_record", ColumnType::Text),
            column("updated_at", ColumnType::Timestamp),
            column("name", ColumnType::Text),
            column("credit", ColumnType::Decimal { precision: 38, scale: 2 }),
        ];
        let mut schema = cdc::row_schema(&columns);
        schema["name"] = "customer".into();
        schema["namespace"] = "concord.golden".into();
        self.rig.log.create_topics(&self.rig.topics.config("golden.customer").into_iter().collect::<Vec<_>>()).await?;
        let id = self.rig.codec.schema_id("golden.customer", &schema.to_string().into()).await?;
        let row = vec![
            entity.into(),
            "001".into(),
            "1".into(),
            Value::Timestamp(9),
            name.into(),
            Value::Decimal(schemas::Decimal(credit.into())),
        ];
        let mut payload = Vec::new();
        cdc::put_row(&columns, &row, &mut payload)?;
        let record = NewRecord::new("golden.customer", entity.to_owned(), schemas::frame::frame(id, &payload));
        Ok(self.rig.log.publish(vec![record]).await?)
    }

    async fn order(&self, op: Op, after: Option<Vec<Value>>, changed: Option<Vec<usize>>) -> Result<()> {
        let topic = self.rig.topics.cdc_erp("public.orders");
        self.rig.log.create_topics(&self.rig.topics.config(&topic).into_iter().collect::<Vec<_>>()).await?;
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let schema = ChangeSchema {
            side: Side::Erp,
            object: "public.orders".to_owned(),
            columns: vec![column("id", ColumnType::Int), column("state", ColumnType::Text)],
        };
        let source = cdc::Source {
            side: Side::Erp,
            name: "erp".to_owned(),
            object: "public.orders".to_owned(),
            position: "0/1".to_owned(),
            transaction: String::new(),
            ordinal: 0,
            committed_at: 5,
            actor: None,
            origin: None,
            write: None,
            snapshot: false,
        };
        let change = Change { before: None, after, op, changed, source, ts_ms: 0 };
        let bytes = self.rig.codec.encode_change(&topic, &schema, &change).await?;
        Ok(self.rig.log.publish(vec![NewRecord::new(topic, "7", bytes)]).await?)
    }

    async fn shows_all(&self) -> Result<()> {
        self.shows(
            "select string_agg(id || ' ' || state || ' ' || lane || ' ' || op, ', ' order by id) from write",
            "w1 confirmed live update, w2 rejected live update",
        )
        .await?;
        self.shows("select \"values\"::text || expected::text from write where id = 'w1'", "{\"name\": \"b\"}{\"name\": \"a\"}").await?;
        self.shows(
            "select side || ' ' || confirmed || ' ' || rejected || ' ' || latency::text from flow_minute where confirmed > 0",
            "erp 1 1 {0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0}",
        )
        .await?;
        self.shows("select side || ' ' || conflicts from flow_minute where conflicts > 0", "erp 1").await?;
        self.shows(
            "select title || ' ' || crm_record || ' ' || erp_record || ' ' || fields::text from entity",
            "Acme 001 1 {\"name\": \"Acme\", \"credit\": \"12.50\"}",
        )
        .await?;
        self.shows("select entity || ' ' || linked from link", "e1 true").await?;
        self.shows("select state || ' ' || erp::text || ' ' || crm_at from conflict", "open \"1.50\" 1970-01-01 00:00:02+00").await?;
        self.shows("select data::text || deleted from source_record", "{\"id\": 7, \"state\": \"shipped\"}false").await?;
        self.shows("select ar_balance || ' ' || as_of from customer_financials", "12.50 2024-02-29").await?;
        self.shows("select stage || ' ' || weighted || ' ' || win_rate_bp from pipeline_summary", "all 5.5 5000").await?;
        self.shows("select value->>'paused' || ' ' || actor from setting where name = 'pause'", "true Ada").await?;
        self.shows("select source_topic || ' ' || source_offset || ' ' || convert_from(key, 'UTF8') from dead_letter", "writes.erp 3 k")
            .await?;
        self.shows("select columns->0->>'after' || ' ' || sync_id from audit", "b\u{fffd}c sync-e1").await?;
        self.shows("select state from health where component = 'sink.readmodel'", "running").await
    }
}

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

fn decision(id: &str) -> Decision {
    Decision {
        conflict: "c1".to_owned(),
        choice: Choice::Value,
        value: "90".into(),
        batch: Some("b1".to_owned()),
        ..Decision::new(id, "e1", Action::Settle, "Ada", 60_000_000)
    }
}

fn answer(id: &str, result: DecisionResult) -> DecisionOutcome {
    DecisionOutcome {
        decision: id.to_owned(),
        batch: Some("b1".to_owned()),
        entity: "e1".to_owned(),
        kind: "customer".to_owned(),
        action: Action::Settle,
        result,
        reason: "settled before".to_owned(),
        conflict: Some("c2".to_owned()),
        actor: "Ada".to_owned(),
        at: 60_000_000,
        mapping_version: 3,
    }
}

#[tokio::test]
async fn a_decision_and_its_answer_are_one_row_whichever_comes_first() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    let row = |id: &str| {
        format!(
            "select concat_ws(' ', kind, action, conflict, choice, value, batch, actor, extract(epoch from at)::int, result, reason, replaced, mapping_version, answered_at is not null) \
             from decision where id = '{id}'"
        )
    };
    let whole = |kind: &str, rest: &str| format!("{kind}settle c1 value \"90\" b1 Ada 60{rest}");
    pages.rig.publish("decisions", &[("e1", decision("d1"))]).await?;
    pages.shows(&row("d1"), &format!(" {}", whole("", "  f"))).await?;
    pages.rig.publish("decision.outcomes", &[("e1", answer("d1", DecisionResult::Accepted))]).await?;
    pages.shows(&row("d1"), &whole("customer ", " accepted settled before c2 3 t")).await?;
    pages.rig.publish("decision.outcomes", &[("e1", answer("d2", DecisionResult::Unchanged))]).await?;
    pages.shows(&row("d2"), "customer settle b1 Ada 60 unchanged settled before c2 3 t").await?;
    pages.rig.publish("decisions", &[("e1", decision("d2")), ("e1", decision("d2"))]).await?;
    pages.shows(&row("d2"), &whole("customer ", " unchanged settled before c2 3 t")).await?;
    // That it waits is followed by what became of it, and stays so when both are read again, together or one by one.
    let said = |result| answer("d3", result);
    let (waits, done) = (said(DecisionResult::Waiting), said(DecisionResult::Refused));
    pages.rig.publish("decision.outcomes", &[("e1", waits.clone())]).await?;
    pages.shows(&row("d3"), "customer settle b1 Ada 60 waiting settled before c2 3 t").await?;
    pages.rig.publish("decision.outcomes", &[("e1", done.clone())]).await?;
    let refused = "customer settle b1 Ada 60 refused settled before c2 3 t";
    pages.shows(&row("d3"), refused).await?;
    for (nth, again) in [vec![("e1", waits.clone())], vec![("e1", done), ("e1", waits)]].into_iter().enumerate() {
        pages.rig.publish("decision.outcomes", &again).await?;
        let marker = format!("m{nth}");
        pages.rig.publish("decision.outcomes", &[("e1", answer(&marker, DecisionResult::Accepted))]).await?;
        pages.shows(&format!("select result from decision where id = '{marker}'"), "accepted").await?;
        pages.shows(&row("d3"), refused).await?;
    }
    // What follows from a decision carries its id.
    pages.rig.send(&[rename("w1", 1, "b", "a")]).await?;
    pages.shows("select sync_id from write where id = 'w1'", "sync-w1").await?;
    running.stop().await
}

fn review(state: MatchState) -> MatchReview {
    MatchReview {
        id: "e1~e2".to_owned(),
        kind: "customer".to_owned(),
        left: "e1".to_owned(),
        right: "e2".to_owned(),
        left_title: "Acme GmbH".to_owned(),
        right_title: "ACME".to_owned(),
        left_crm: Some("001".to_owned()),
        left_erp: None,
        right_crm: None,
        right_erp: Some("7".to_owned()),
        left_fields: vec![
            Field { name: "name".to_owned(), value: "Acme GmbH".into() },
            Field { name: "city".to_owned(), value: Value::Null },
        ],
        right_fields: vec![Field { name: "name".to_owned(), value: "AC\0ME".into() }],
        state,
        score: Some(4200),
        probability_bp: Some(9480),
        reason: "likely, and not certain".to_owned(),
        reasons: vec![MatchReason {
            label: "Name".to_owned(),
            left: "acme".to_owned(),
            right: "acme".to_owned(),
            finding: "equal".to_owned(),
            weight: 5100,
        }],
        opened_at: 60_000_000,
        decision: (state == MatchState::Same).then(|| "d9".to_owned()),
        decided_by: (state == MatchState::Same).then(|| "Ada".to_owned()),
        decided_at: (state == MatchState::Same).then_some(61_000_000),
        mapping_version: 2,
    }
}

#[tokio::test]
async fn a_possible_match_is_shown_as_it_stands_and_goes_when_it_is_forgotten() -> Result<()> {
    let pages = Pages::new().await?;
    let running = pages.rig.read_model(pages.config())?;
    pages.rig.publish("match.reviews", &[("e1~e2", review(MatchState::Open))]).await?;
    pages
        .shows("select state || ' ' || probability_bp || ' ' || left_crm || ' ' || right_erp from match_review", "open 9480 001 7")
        .await?;
    pages
        .shows(
            "select string_agg(f->>'name', ' ') || (right_fields->0->>'value') from match_review, jsonb_array_elements(left_fields) f group by right_fields",
            "name cityAC\u{fffd}ME",
        )
        .await?;
    pages.shows("select (reasons->0->>'label') || (reasons->0->>'weight') from match_review", "Name5100").await?;
    pages.rig.publish("match.reviews", &[("e1~e2", review(MatchState::Same))]).await?;
    pages
        .shows(
            "select state || ' ' || decided_by || ' ' || decision || ' ' || extract(epoch from decided_at)::int from match_review",
            "same Ada d9 61",
        )
        .await?;
    let gone = NewRecord::tombstone("match.reviews", "e1~e2");
    pages.rig.log.publish(vec![gone]).await?;
    pages.shows("select count(*)::text from match_review", "0").await?;
    running.stop().await
}
