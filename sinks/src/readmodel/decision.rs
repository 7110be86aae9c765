//! What people decided, what became of it, and the matches they are asked about.
//!
//! A decision and its answers come on two topics in any order; each fills in its part of one row. A decision may be answered
//! twice: that it waits, and then what became of it. The second stays, also when the first is read again.

use std::collections::BTreeSet;

use schemas::Value;
use schemas::message::{Decision, DecisionOutcome, Field, MatchReview};
use serde_json::json;
use sqlx::postgres::PgConnection;

use super::batch::Batch;
use super::json::{clean, plain};
use super::store::{at, maybe, moment, texts};

pub(crate) async fn store(connection: &mut PgConnection, batch: &Batch, changed: &mut BTreeSet<&'static str>) -> Result<(), sqlx::Error> {
    if !batch.decisions.is_empty() {
        changed.insert("decision");
        decisions(&mut *connection, batch).await?;
    }
    if !batch.decision_outcomes.is_empty() {
        changed.insert("decision");
        outcomes(&mut *connection, batch).await?;
    }
    if !batch.reviews.is_empty() {
        changed.insert("match_review");
        reviews(connection, batch).await?;
    }
    Ok(())
}

async fn decisions(connection: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let all = || batch.decisions.values();
    let column = |text: fn(&Decision) -> &str| texts(all().map(text));
    let option = |text: fn(&Decision) -> Option<&String>| maybe(all().map(text));
    // Deciding twice with the same id is deciding once.
    sqlx::query(concat!(
        "insert into decision as d (id, entity, action, conflict, field, choice, value, write, other, side, record, \"of\", batch, force, actor, at) \
         select c1, c2, c3, nullif(c4, ''), c16, c5, c6::jsonb, c7, c8, c9, c10, c11, c12, c13, c14, ",
        at!("c15"),
        " from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bool[], $14::text[], $15::bigint[], $16::text[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16) \
         on conflict (id) do update set conflict = excluded.conflict, field = excluded.field, choice = excluded.choice, value = excluded.value, write = excluded.write, other = excluded.other, \
         side = excluded.side, record = excluded.record, \"of\" = excluded.\"of\", force = excluded.force",
    ))
    .bind(column(|it| &it.id))
    .bind(column(|it| &it.entity))
    .bind(column(|it| it.action.as_str()))
    .bind(column(|it| &it.conflict))
    .bind(column(|it| it.choice.as_str()))
    .bind(all().map(value).collect::<Vec<Option<String>>>())
    .bind(option(|it| it.write.as_ref()))
    .bind(option(|it| it.other.as_ref()))
    .bind(all().map(|it| it.side.map(|side| side.to_string())).collect::<Vec<Option<String>>>())
    .bind(option(|it| it.record.as_ref()))
    .bind(option(|it| it.of.as_ref()))
    .bind(option(|it| it.batch.as_ref()))
    .bind(all().map(|it| it.force).collect::<Vec<bool>>())
    .bind(column(|it| &it.actor))
    .bind(all().map(|it| moment(it.at)).collect::<Vec<i64>>())
    .bind(option(|it| it.field.as_ref()))
    .execute(connection)
    .await?;
    Ok(())
}

/// The value that a person gave, where one was given.
fn value(decision: &Decision) -> Option<String> {
    (decision.value != Value::Null).then(|| plain(&decision.value).to_string())
}

async fn outcomes(connection: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let all = || batch.decision_outcomes.values();
    let column = |text: fn(&DecisionOutcome) -> &str| texts(all().map(text));
    let option = |text: fn(&DecisionOutcome) -> Option<&String>| maybe(all().map(text));
    sqlx::query(concat!(
        "insert into decision as d (id, entity, kind, action, batch, actor, at, result, reason, replaced, mapping_version, answered_at) \
         select c1, c2, c3, c4, c5, c6, ",
        at!("c7"),
        ", c8, c9, c10, c11, now() \
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::bigint[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11) \
         on conflict (id) do update set kind = excluded.kind, result = excluded.result, reason = excluded.reason, replaced = excluded.replaced, \
         mapping_version = excluded.mapping_version, answered_at = excluded.answered_at \
         where excluded.result <> 'waiting' or coalesce(d.result, 'waiting') = 'waiting'",
    ))
    .bind(column(|it| &it.decision))
    .bind(column(|it| &it.entity))
    .bind(column(|it| &it.kind))
    .bind(column(|it| it.action.as_str()))
    .bind(option(|it| it.batch.as_ref()))
    .bind(column(|it| &it.actor))
    .bind(all().map(|it| moment(it.at)).collect::<Vec<i64>>())
    .bind(column(|it| it.result.as_str()))
    .bind(column(|it| &it.reason))
    .bind(option(|it| it.conflict.as_ref()))
    .bind(all().map(|it| it.mapping_version).collect::<Vec<i64>>())
    .execute(connection)
    .await?;
    Ok(())
}

async fn reviews(connection: &mut PgConnection, batch: &Batch) -> Result<(), sqlx::Error> {
    let all = || batch.reviews.values().flatten();
    let column = |text: fn(&MatchReview) -> &str| texts(all().map(text));
    let option = |text: fn(&MatchReview) -> Option<&String>| maybe(all().map(text));
    sqlx::query(concat!(
        "insert into match_review (id, kind, left_entity, right_entity, left_title, right_title, left_crm, left_erp, right_crm, right_erp, left_fields, right_fields, state, score, \
         probability_bp, reason, reasons, opened_at, decision, decided_by, decided_at, mapping_version) \
         select c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11::jsonb, c12::jsonb, c13, c14, c15, c16, c17::jsonb, ",
        at!("c18"), ", c19, c20, ", at!("c21"), ", c22 \
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], \
         $14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::bigint[], $19::text[], $20::text[], $21::bigint[], $22::bigint[]) \
         as x(c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22) \
         on conflict (id) do update set kind = excluded.kind, left_entity = excluded.left_entity, right_entity = excluded.right_entity, left_title = excluded.left_title, \
         right_title = excluded.right_title, left_crm = excluded.left_crm, left_erp = excluded.left_erp, right_crm = excluded.right_crm, right_erp = excluded.right_erp, \
         left_fields = excluded.left_fields, right_fields = excluded.right_fields, state = excluded.state, score = excluded.score, probability_bp = excluded.probability_bp, \
         reason = excluded.reason, reasons = excluded.reasons, opened_at = excluded.opened_at, decision = excluded.decision, decided_by = excluded.decided_by, \
         decided_at = excluded.decided_at, mapping_version = excluded.mapping_version",
    ))
    .bind(column(|it| &it.id))
    .bind(column(|it| &it.kind))
    .bind(column(|it| &it.left))
    .bind(column(|it| &it.right))
    .bind(column(|it| &it.left_title))
    .bind(column(|it| &it.right_title))
    .bind(option(|it| it.left_crm.as_ref()))
    .bind(option(|it| it.left_erp.as_ref()))
    .bind(option(|it| it.right_crm.as_ref()))
    .bind(option(|it| it.right_erp.as_ref()))
    .bind(all().map(|it| fields(&it.left_fields)).collect::<Vec<String>>())
    .bind(all().map(|it| fields(&it.right_fields)).collect::<Vec<String>>())
    .bind(column(|it| it.state.as_str()))
    .bind(all().map(|it| it.score).collect::<Vec<Option<i64>>>())
    .bind(all().map(|it| it.probability_bp).collect::<Vec<Option<i64>>>())
    .bind(column(|it| &it.reason))
    .bind(all().map(reasons).collect::<Vec<String>>())
    .bind(all().map(|it| moment(it.opened_at)).collect::<Vec<i64>>())
    .bind(option(|it| it.decision.as_ref()))
    .bind(option(|it| it.decided_by.as_ref()))
    .bind(all().map(|it| it.decided_at.map(moment)).collect::<Vec<Option<i64>>>())
    .bind(all().map(|it| it.mapping_version).collect::<Vec<i64>>())
    .execute(&mut *connection)
    .await?;
    let gone: Vec<String> = batch.reviews.iter().filter(|(_, review)| review.is_none()).map(|(id, _)| id.clone()).collect();
    if !gone.is_empty() {
        sqlx::query("delete from match_review where id = any($1)").bind(gone).execute(connection).await?;
    }
    Ok(())
}

fn fields(fields: &[Field]) -> String {
    let list: Vec<_> = fields.iter().map(|field| json!({"name": clean(&field.name), "value": plain(&field.value)})).collect();
    serde_json::Value::Array(list).to_string()
}

fn reasons(review: &MatchReview) -> String {
    let list: Vec<_> = review
        .reasons
        .iter()
        .map(|it| {
            json!({"label": clean(&it.label), "left": clean(&it.left), "right": clean(&it.right), "finding": clean(&it.finding), "weight": it.weight})
        })
        .collect();
    serde_json::Value::Array(list).to_string()
}
