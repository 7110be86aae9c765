//! A read model with a database of its own, and samples of what it is filled from.

use std::collections::BTreeMap;

use anyhow::Result;
use schemas::Value;
use schemas::cdc::{self, Change, ChangeSchema, Column, ColumnType, Op};
use schemas::message::{
    AuditEntry, ColumnChange, Conflict, ConflictState, CustomerFinancials, DeadLetter, EntityLink, Outcome, OutcomeResult, PipelineSummary,
    Side, Write, WriteOp,
};
use servers::{Postgres, PostgresOptions};
use sinks::readmodel::{Config, SourceObject};
use stream::NewRecord;

use crate::erp::{connect, rename};
use crate::rig::{Rig, eventually};

pub(super) struct Pages {
    pub(super) server: Postgres,
    pub(super) rig: Rig,
}

impl Pages {
    pub(super) async fn new() -> Result<Self> {
        let server = Postgres::start(PostgresOptions::default()).await?;
        server.create_database("pages").await?;
        Ok(Self { server, rig: Rig::new().await? })
    }

    pub(super) fn config(&self) -> Config {
        let mut config = Config::new(self.server.url("pages"));
        config.titles = BTreeMap::from([("customer".to_owned(), "name".to_owned())]);
        config.source_objects = vec![SourceObject { side: Side::Erp, object: "public.orders".to_owned() }];
        // The stories are set in 1970.
        let ages = std::time::Duration::from_secs(200 * 365 * 86_400);
        (config.keep_writes, config.keep_audit, config.keep_flow, config.keep_dead_letters) = (ages, ages, ages, ages);
        config.pace.backoff_max = std::time::Duration::from_millis(200);
        config
    }

    pub(super) async fn set_aside(&self) -> Result<Vec<String>> {
        let mut reasons = Vec::new();
        for topic in self.rig.log.topics().await?.iter().filter(|topic| topic.ends_with(".dlq")) {
            reasons.extend(
                self.rig.messages::<DeadLetter>(topic).await?.into_iter().map(|letter| format!("{}: {}", letter.topic, letter.reason)),
            );
        }
        Ok(reasons)
    }

    /// Waits until a query of one text gives this.
    pub(super) async fn shows(&self, sql: &str, expected: &str) -> Result<()> {
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

pub(super) fn outcome(write: &Write, result: OutcomeResult, at: i64) -> Outcome {
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

pub(super) fn audit(write: &Write, at: i64) -> AuditEntry {
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

pub(super) fn conflict(id: &str) -> Conflict {
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
    pub(super) async fn tell_all(&self) -> Result<()> {
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

    pub(super) async fn golden(&self, entity: &str, name: &str, credit: &str) -> Result<()> {
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

    pub(super) async fn order(&self, op: Op, after: Option<Vec<Value>>, changed: Option<Vec<usize>>) -> Result<()> {
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

    pub(super) async fn shows_all(&self) -> Result<()> {
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
