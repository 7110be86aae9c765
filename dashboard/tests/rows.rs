//! Rows as the read model's sink inserts them.

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::PgPool;

/// A component's report, so many seconds old.
pub(crate) async fn health(
    pool: &PgPool,
    component: &str,
    state: &str,
    reason: &str,
    remedy: &str,
    age_s: i32,
    facts: Value,
) -> Result<()> {
    sqlx::query(
        "insert into health values ($1, $2, $3, $4, now() - interval '1 hour', now() - make_interval(secs => $5), $6) \
         on conflict (component) do update set state = excluded.state, reason = excluded.reason, remedy = excluded.remedy, at = excluded.at, facts = excluded.facts",
    )
    .bind(component)
    .bind(state)
    .bind(reason)
    .bind(remedy)
    .bind(f64::from(age_s))
    .bind(facts)
    .execute(pool)
    .await?;
    Ok(())
}

/// All parts run.
pub(crate) async fn all_well(pool: &PgPool) -> Result<()> {
    health(
        pool,
        "ingest.erp",
        "running",
        "",
        "",
        1,
        json!({"lag_ms": "12", "slot_bytes": "18400000", "server": "PostgreSQL 17.2, concord_erp"}),
    )
    .await?;
    health(pool, "ingest.crm", "running", "", "", 1, json!({"lag_ms": "220", "server": "Production org, API v66.0"})).await?;
    health(pool, "sink.crm", "running", "", "", 1, json!({"api_calls": "61204", "api_limit": "100000"})).await?;
    for part in ["sink.erp", "matcher", "reconciler", "aggregates"] {
        health(pool, part, "running", "", "", 1, json!({})).await?;
    }
    Ok(())
}

/// A conflict as it is opened.
pub(crate) struct Conflict<'a> {
    pub(crate) id: &'a str,
    pub(crate) entity: &'a str,
    pub(crate) title: &'a str,
    pub(crate) field: &'a str,
    pub(crate) label: &'a str,
    pub(crate) base: Value,
    pub(crate) crm: Value,
    pub(crate) erp: Value,
    pub(crate) columns: (&'a str, &'a str),
    pub(crate) age_s: i32,
}

impl Default for Conflict<'_> {
    fn default() -> Self {
        Self {
            id: "e1:1",
            entity: "e1",
            title: "Northwind Traders GmbH",
            field: "credit_limit",
            label: "Credit limit",
            base: json!("200000.00"),
            crm: json!("250000.00"),
            erp: json!("180000.00"),
            columns: ("Credit_Limit__c", "credit_limit"),
            age_s: 300,
        }
    }
}

impl Conflict<'_> {
    pub(crate) async fn open(&self, pool: &PgPool) -> Result<()> {
        sqlx::query(
            "insert into conflict (id, entity, kind, title, field, label, state, base_crm, base_erp, crm, erp, crm_at, erp_at, crm_actor, erp_actor, \
               crm_record, erp_record, crm_column, erp_column, policy, reason, tie, overtaken, opened_at, mapping_version) \
             values ($1, $2, 'customer', $3, $4, $5, 'open', $6, $6, $7, $8, now() - make_interval(secs => $9 + 60), now() - make_interval(secs => $9 + 240), \
               'Dana Ruiz', 'AR-CREDIT', '0015g00000XyZ7fAAG', '10482', $10, $11, 'review', \
               'Amounts above 100,000 are decided by a person.', false, false, now() - make_interval(secs => $9), 1)",
        )
        .bind(self.id)
        .bind(self.entity)
        .bind(self.title)
        .bind(self.field)
        .bind(self.label)
        .bind(&self.base)
        .bind(&self.crm)
        .bind(&self.erp)
        .bind(f64::from(self.age_s))
        .bind(self.columns.0)
        .bind(self.columns.1)
        .execute(pool)
        .await?;
        Ok(())
    }
}

/// What the reconciler makes of a decision or a policy.
pub(crate) async fn settle(pool: &PgPool, id: &str, winner: Option<&str>, chosen: &Value, by: &str) -> Result<()> {
    sqlx::query("update conflict set state = 'settled', winner = $2, chosen = $3, settled_by = $4, settled_at = now() where id = $1")
        .bind(id)
        .bind(winner)
        .bind(chosen)
        .bind(by)
        .execute(pool)
        .await?;
    Ok(())
}

/// A write in some state.
pub(crate) async fn write(pool: &PgPool, id: &str, entity: &str, side: &str, state: &str, conflict: Option<&str>) -> Result<()> {
    sqlx::query(
        "insert into write (id, entity, kind, side, object, record, op, \"values\", expected, lane, reason, conflict, state, attempts, caused_at, answered_at, confirmed_at) \
         values ($1, $2, 'customer', $3, case $3 when 'crm' then 'Account' else 'public.customers' end, '10482', 'update', '{}', '{}', 'decision', 'decided', $5, $4, 1, now(), \
           case when $4 <> 'sent' then now() end, case when $4 = 'confirmed' then now() end) \
         on conflict (id) do update set state = excluded.state, answered_at = excluded.answered_at, confirmed_at = excluded.confirmed_at",
    )
    .bind(id)
    .bind(entity)
    .bind(side)
    .bind(state)
    .bind(conflict)
    .execute(pool)
    .await?;
    Ok(())
}

/// A write that was refused for good.
pub(crate) async fn failed_write(pool: &PgPool, id: &str) -> Result<()> {
    write(pool, id, "e9", "crm", "failed", None).await?;
    sqlx::query("update write set code = 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message = 'Terms must be 14 or more. Change the value in the ERP.' where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}

/// A message set aside.
pub(crate) async fn dead_letter(pool: &PgPool, reason: &str) -> Result<()> {
    sqlx::query(
        "insert into dead_letter select 'cdc.erp.public.customers.dlq', 0, coalesce(max(\"offset\"), 0) + 7, 'cdc.erp.public.customers', 1, 4711, '10482', 'v', \
           'matcher', $1, 'Correct the row; it is read again.', now() from dead_letter",
    )
    .bind(reason)
    .execute(pool)
    .await?;
    Ok(())
}

/// A change that was carried across.
pub(crate) async fn audit(pool: &PgPool, id: &str, title: &str, side: &str, before: Value, after: Value, age_s: i32) -> Result<()> {
    sqlx::query(
        "insert into audit values ($1, 'e1', 'customer', $2, $3, 'public.customers', '10482', 'update', $4, false, 'changed in Salesforce', 'Dana Ruiz', null, 's1', \
           now() - make_interval(secs => $5) - interval '48 milliseconds', now() - make_interval(secs => $5), 1)",
    )
    .bind(id)
    .bind(title)
    .bind(side)
    .bind(json!([{"column": "phone", "field": "phone", "before": before, "after": after}]))
    .bind(f64::from(age_s))
    .execute(pool)
    .await?;
    Ok(())
}

/// One minute of flow into a side, so many minutes ago, all in one latency bucket.
pub(crate) async fn flow(pool: &PgPool, side: &str, minutes_ago: i32, confirmed: i64, conflicts: i64, bucket: usize) -> Result<()> {
    let mut latency = vec![0i64; 19];
    latency[bucket] = confirmed;
    sqlx::query(
        "insert into flow_minute (minute, side, confirmed, conflicts, latency) values (date_trunc('minute', now()) - make_interval(mins => $2), $1, $3, $4, $5)",
    )
    .bind(side)
    .bind(minutes_ago)
    .bind(confirmed)
    .bind(conflicts)
    .bind(latency)
    .execute(pool)
    .await?;
    Ok(())
}

/// Pipeline and receivables.
pub(crate) async fn figures(pool: &PgPool) -> Result<()> {
    sqlx::query(
        "insert into pipeline_summary values ('all', 214, 18420500.50, 7342110.25, 61, 32, 6559, now()), ('Negotiation', 40, 5120000, 3840000, 0, 0, null, now()), \
         ('Prospecting', 81, 4300500.5, 430050.05, 0, 0, null, now())",
    )
    .execute(pool)
    .await?;
    sqlx::query("insert into customer_financials values ('e1', 184200.00, 1250.10, 3, 38115.00, current_date, now()), ('e2', 96040.00, 0, 1, 500, current_date, now())")
        .execute(pool)
        .await?;
    Ok(())
}

/// A possible match of two customers, so many seconds old.
pub(crate) async fn review(pool: &PgPool, left: &str, right: &str, titles: (&str, &str), age_s: i32) -> Result<()> {
    sqlx::query(
        "insert into match_review (id, kind, left_entity, right_entity, left_title, right_title, left_crm, right_erp, left_fields, right_fields, state, score, \
           probability_bp, reason, reasons, opened_at, mapping_version) \
         values ($1 || '~' || $2, 'customer', $1, $2, $3, $4, '0015g00000XyZ7fAAG', '10482', $5, $6, 'open', 4200, 9480, \
           'the names are alike and the postcode is the same, but no key says so', $7, now() - make_interval(secs => $8), 3)",
    )
    .bind(left)
    .bind(right)
    .bind(titles.0)
    .bind(titles.1)
    .bind(json!([{"name": "name", "value": titles.0}, {"name": "city", "value": "Hamburg"}, {"name": "postal_code", "value": "20457"}, {"name": "phone", "value": "+49 40 1234"}, {"name": "website", "value": null}]))
    .bind(json!([{"name": "name", "value": titles.1}, {"name": "city", "value": "Hamburg"}, {"name": "postal_code", "value": "20457"}, {"name": "phone", "value": "+49 40 99"}, {"name": "website", "value": "northwind.example"}]))
    .bind(json!([
        {"label": "name", "left": "northwind traders", "right": "northwind trading", "finding": "nearly equal", "weight": 5300},
        {"label": "postcode and city", "left": "20457 hamburg", "right": "20457 hamburg", "finding": "equal", "weight": 3900},
        {"label": "phone", "left": "4940 1234", "right": "4940 99", "finding": "differs", "weight": -2600},
        {"label": "website", "left": "", "right": "northwind.example", "finding": "missing", "weight": 0}
    ]))
    .bind(f64::from(age_s))
    .execute(pool)
    .await?;
    Ok(())
}

/// What the matcher makes of an answer.
pub(crate) async fn answered(pool: &PgPool, review: &str, state: &str, decision: &str, by: &str) -> Result<()> {
    sqlx::query("update match_review set state = $2, decision = $3, decided_by = $4, decided_at = now() where id = $1")
        .bind(review)
        .bind(state)
        .bind(decision)
        .bind(by)
        .execute(pool)
        .await?;
    Ok(())
}

/// A decision as the read model has it, with its answer where there is one.
pub(crate) async fn decision(pool: &PgPool, made: &schemas::message::Decision, result: Option<(&str, &str)>) -> Result<()> {
    sqlx::query(
        "insert into decision (id, entity, kind, action, conflict, choice, write, other, side, record, \"of\", batch, force, actor, at, result, reason, answered_at) \
         values ($1, $2, 'customer', $3, nullif($4, ''), $5, $6, $7, $8, $9, $10, $11, $12, $13, now(), $14, $15, case when $14 is not null then now() end) \
         on conflict (id) do update set result = excluded.result, reason = excluded.reason, answered_at = excluded.answered_at",
    )
    .bind(&made.id)
    .bind(&made.entity)
    .bind(made.action.as_str())
    .bind(&made.conflict)
    .bind(made.choice.as_str())
    .bind(&made.write)
    .bind(&made.other)
    .bind(made.side.map(|side| side.as_str()))
    .bind(&made.record)
    .bind(&made.of)
    .bind(&made.batch)
    .bind(made.force)
    .bind(&made.actor)
    .bind(result.map(|(result, _)| result))
    .bind(result.map_or("", |(_, reason)| reason))
    .execute(pool)
    .await?;
    Ok(())
}

/// That a record belongs to an entity.
pub(crate) async fn link(pool: &PgPool, entity: &str, side: &str, record: &str) -> Result<()> {
    sqlx::query(
        "insert into link (side, object, record, entity, kind, linked, rule, at) values ($1, case $1 when 'crm' then 'Account' else 'public.customers' end, $2, $3, 'customer', true, 'new', now())",
    )
    .bind(side)
    .bind(record)
    .bind(entity)
    .execute(pool)
    .await?;
    Ok(())
}
