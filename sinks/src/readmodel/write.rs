//! Writes with their answers and confirmations, which come on three topics in any order.
//!
//! An answer that comes before its write makes a row with an empty `lane`, which the write then fills in. A confirmation
//! that comes before its write is found again in the audit.

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::{AuditEntry, Lane, Outcome, OutcomeResult, Side, Write};
use serde_json::json;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::batch::Batch;
use super::flow::Flow;
use super::json::{clean, object, plain};
use super::store::{at, maybe, moment, texts};

pub(crate) async fn store(
    connection: &mut PgConnection,
    batch: &Batch,
    flow: &mut Flow,
    changed: &mut BTreeSet<&'static str>,
) -> Result<(), sqlx::Error> {
    if !batch.writes.is_empty() {
        changed.insert("write");
        late_backfill(&mut *connection, &batch.writes, flow).await?;
        writes(&mut *connection, &batch.writes).await?;
    }
    if !batch.outcomes.is_empty() {
        changed.insert("write");
        outcomes(&mut *connection, batch, flow).await?;
    }
    if !batch.audit.is_empty() {
        changed.extend(["write", "audit"]);
        audit(&mut *connection, &batch.audit, flow).await?;
    }
    Ok(())
}

async fn writes(connection: &mut PgConnection, writes: &BTreeMap<String, (Write, Option<String>)>) -> Result<(), sqlx::Error> {
    let all = || writes.values().map(|(write, _)| write);
    let column = |text: fn(&Write) -> &str| texts(all().map(text));
    let option = |text: fn(&Write) -> Option<&String>| maybe(all().map(text));
    // A write that comes again after it failed is a dead letter being replayed.
    sqlx::query(concat!(
        "insert into write as w (id, entity, kind, side, object, record, op, \"values\", expected, lane, reason, actor, conflict, caused_at, sync_id, state, confirmed_at) \
         select c1, c2, c3, c4, c5, c6, c7, c8::jsonb, c9::jsonb, c10, c11, c12, c13, ",
        at!("c14"),
        ", c15, case when a.id is null then 'sent' else 'confirmed' end, a.at \
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::text[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15) left join audit a on a.id = c1 \
         on conflict (id) do update set entity = excluded.entity, kind = excluded.kind, side = excluded.side, object = excluded.object, record = coalesce(w.record, excluded.record), \
         op = excluded.op, \"values\" = excluded.\"values\", expected = excluded.expected, lane = excluded.lane, reason = excluded.reason, actor = excluded.actor, \
         conflict = excluded.conflict, caused_at = excluded.caused_at, sync_id = excluded.sync_id, state = case when w.state = 'failed' and w.lane <> '' then 'sent' else w.state end",
    ))
    .bind(column(|it| &it.id))
    .bind(column(|it| &it.entity))
    .bind(column(|it| &it.kind))
    .bind(column(|it| it.side.as_str()))
    .bind(column(|it| &it.object))
    .bind(option(|it| it.record.as_ref()))
    .bind(column(|it| it.op.as_str()))
    .bind(all().map(|it| object(&it.values)).collect::<Vec<String>>())
    .bind(all().map(|it| object(&it.expected)).collect::<Vec<String>>())
    .bind(column(|it| it.lane.as_str()))
    .bind(column(|it| &it.reason))
    .bind(option(|it| it.actor.as_ref()))
    .bind(option(|it| it.conflict.as_ref()))
    .bind(all().map(|it| moment(it.caused_at)).collect::<Vec<i64>>())
    .bind(writes.values().map(|(_, edit)| edit.clone()).collect::<Vec<Option<String>>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Confirmations that came before their writes were counted as live; those of backfill are taken back out of the latency.
async fn late_backfill(
    connection: &mut PgConnection,
    writes: &BTreeMap<String, (Write, Option<String>)>,
    flow: &mut Flow,
) -> Result<(), sqlx::Error> {
    let backfill: Vec<&str> =
        writes.values().filter(|(write, _)| write.lane == Lane::Backfill).map(|(write, _)| write.id.as_str()).collect();
    if backfill.is_empty() {
        return Ok(());
    }
    let early = sqlx::query(
        "select a.side, (extract(epoch from a.caused_at) * 1000000)::bigint, (extract(epoch from a.at) * 1000000)::bigint \
         from audit a left join write w on w.id = a.id where a.id = any($1) and coalesce(w.lane, '') = ''",
    )
    .bind(&backfill)
    .fetch_all(connection)
    .await?;
    for row in &early {
        if let Some(side) = Side::parse(row.get(0)) {
            flow.was_backfill(side, row.get(1), row.get(2));
        }
    }
    Ok(())
}

async fn outcomes(connection: &mut PgConnection, batch: &Batch, flow: &mut Flow) -> Result<(), sqlx::Error> {
    let last = batch.last_outcomes();
    let ids: Vec<String> = last.keys().map(|id| (*id).to_owned()).collect();
    let known = sqlx::query("select id, state from write where id = any($1)").bind(&ids).fetch_all(&mut *connection).await?;
    let known: BTreeMap<String, String> = known.iter().map(|row| (row.get(0), row.get(1))).collect();
    for outcome in last.values() {
        // The same answer told twice counts once.
        let before = known.get(&outcome.write).map(String::as_str);
        match outcome.result {
            OutcomeResult::Rejected if before != Some("rejected") => flow.rejected(outcome.side, outcome.at),
            OutcomeResult::Failed if before != Some("failed") => flow.failed(outcome.side, outcome.at),
            OutcomeResult::Applied | OutcomeResult::Rejected | OutcomeResult::Failed | OutcomeResult::Deferred => {}
        }
    }
    let all = || last.values().copied();
    let column = |text: fn(&Outcome) -> &str| texts(all().map(text));
    let option = |text: fn(&Outcome) -> Option<&String>| maybe(all().map(text));
    sqlx::query(concat!(
        "insert into write as w (id, entity, kind, side, object, record, op, \"values\", expected, lane, reason, state, code, message, attempts, caused_at, answered_at) \
         select c1, c2, c3, c4, c5, c6, 'update', '{}', '{}', '', '', c7, c8, c9, c10, ",
        at!("c11"), ", ", at!("c12"), " \
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::int[], $11::bigint[], $12::bigint[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12) \
         on conflict (id) do update set record = coalesce(excluded.record, w.record), code = excluded.code, message = excluded.message, attempts = excluded.attempts, \
         answered_at = excluded.answered_at, state = case when w.state = 'confirmed' then w.state else excluded.state end \
         where excluded.state <> 'deferred' or w.state in ('sent', 'deferred')",
    ))
    .bind(column(|it| &it.write))
    .bind(column(|it| &it.entity))
    .bind(column(|it| &it.kind))
    .bind(column(|it| it.side.as_str()))
    .bind(column(|it| &it.object))
    .bind(option(|it| it.record.as_ref()))
    .bind(column(|it| it.result.as_str()))
    .bind(option(|it| it.code.as_ref()))
    .bind(option(|it| it.message.as_ref()))
    .bind(all().map(|it| i32::try_from(it.attempts).unwrap_or(i32::MAX)).collect::<Vec<i32>>())
    .bind(all().map(|it| moment(it.caused_at)).collect::<Vec<i64>>())
    .bind(all().map(|it| moment(it.at)).collect::<Vec<i64>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn audit(
    connection: &mut PgConnection,
    entries: &BTreeMap<String, (AuditEntry, Option<String>)>,
    flow: &mut Flow,
) -> Result<(), sqlx::Error> {
    let all = || entries.values().map(|(entry, _)| entry);
    let column = |text: fn(&AuditEntry) -> &str| texts(all().map(text));
    let option = |text: fn(&AuditEntry) -> Option<&String>| maybe(all().map(text));
    let new: Vec<String> = sqlx::query_scalar(concat!(
        "insert into audit (id, entity, kind, title, side, object, record, op, columns, altered, reason, actor, conflict, caused_at, at, mapping_version, sync_id) \
         select c1, c2, c3, c4, c5, c6, c7, c8, c9::jsonb, c10, c11, c12, c13, ",
        at!("c14"), ", ", at!("c15"), ", c16, c17 \
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bool[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::text[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17) on conflict (id) do nothing returning id",
    ))
    .bind(column(|it| &it.id))
    .bind(column(|it| &it.entity))
    .bind(column(|it| &it.kind))
    .bind(column(|it| &it.title))
    .bind(column(|it| it.side.as_str()))
    .bind(column(|it| &it.object))
    .bind(column(|it| &it.record))
    .bind(column(|it| it.op.as_str()))
    .bind(all().map(columns).collect::<Vec<String>>())
    .bind(all().map(|it| it.altered).collect::<Vec<bool>>())
    .bind(column(|it| &it.reason))
    .bind(option(|it| it.actor.as_ref()))
    .bind(option(|it| it.conflict.as_ref()))
    .bind(all().map(|it| moment(it.caused_at)).collect::<Vec<i64>>())
    .bind(all().map(|it| moment(it.at)).collect::<Vec<i64>>())
    .bind(all().map(|it| it.mapping_version).collect::<Vec<i64>>())
    .bind(entries.values().map(|(_, edit)| edit.clone()).collect::<Vec<Option<String>>>())
    .fetch_all(&mut *connection)
    .await?;
    let backfill: Vec<String> =
        sqlx::query_scalar("select id from write where id = any($1) and lane = 'backfill'").bind(&new).fetch_all(&mut *connection).await?;
    let backfill: BTreeSet<String> = backfill.into_iter().collect();
    for (entry, _) in new.iter().filter_map(|id| entries.get(id)) {
        flow.confirmed(entry.side, (!backfill.contains(&entry.id)).then_some(entry.caused_at), entry.at);
    }
    let at: Vec<i64> = all().map(|it| moment(it.at)).collect();
    sqlx::query(concat!(
        "update write w set state = 'confirmed', confirmed_at = ",
        at!("x.t"),
        ", record = coalesce(w.record, x.r) from unnest($1::text[], $2::bigint[], $3::text[]) as x(i, t, r) where w.id = x.i",
    ))
    .bind(column(|it| &it.id))
    .bind(at)
    .bind(column(|it| &it.record))
    .execute(connection)
    .await?;
    Ok(())
}

fn columns(entry: &AuditEntry) -> String {
    let columns: Vec<_> = entry
        .columns
        .iter()
        .map(|it| json!({"column": clean(&it.column), "field": clean(&it.field), "before": plain(&it.before), "after": plain(&it.after)}))
        .collect();
    serde_json::Value::Array(columns).to_string()
}
