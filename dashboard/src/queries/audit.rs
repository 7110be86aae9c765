//! The history of writes: what Concord carried across, with before and after, and who has taken it back.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// One column before and after.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) column: String,
    #[serde(default)]
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) before: Json,
    #[serde(default)]
    pub(crate) after: Json,
}

/// One row of `audit`, and who has taken it back.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) side: String,
    pub(crate) object: String,
    pub(crate) record: String,
    pub(crate) op: String,
    pub(crate) columns: sqlx::types::Json<Vec<Column>>,
    pub(crate) altered: bool,
    pub(crate) reason: String,
    pub(crate) actor: Option<String>,
    pub(crate) conflict: Option<String>,
    pub(crate) sync_id: Option<String>,
    pub(crate) caused_at: At,
    pub(crate) at: At,
    pub(crate) mapping_version: i64,
    /// The decision that has taken it back, or is doing so; and who decided.
    pub(crate) undone: Option<String>,
    pub(crate) undone_by: Option<String>,
    /// It carries out an undo itself.
    pub(crate) is_undo: bool,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select a.id, a.entity, a.kind, a.title, a.side, a.object, a.record, a.op, a.columns, a.altered, a.reason, a.actor, a.conflict, a.sync_id, a.caused_at, \
             a.at, a.mapping_version, u.id as undone, u.actor as undone_by, \
             exists (select from decision d where d.action = 'undo' and d.id = a.sync_id) \
               or exists (select from decision d where d.action = 'undo' and d.entity = a.entity and d.replaced = a.conflict) as is_undo from audit a \
             left join lateral (select d.id, d.actor from decision d where d.write = a.id and d.action = 'undo' and d.result is distinct from 'refused' \
               order by d.at desc limit 1) u on true ",
            $rest
        )
    };
}

/// The newest.
pub(crate) async fn latest(pool: &PgPool, limit: i64) -> Result<Vec<Entry>> {
    sqlx::query_as(select!("order by a.at desc limit $1")).bind(limit).fetch_all(pool).await.map_err(reading("latest changes"))
}

/// Some, by id.
pub(crate) async fn some(pool: &PgPool, ids: &[String]) -> Result<Vec<Entry>> {
    sqlx::query_as(select!("where a.id = any($1) order by a.at desc, a.id desc"))
        .bind(ids)
        .fetch_all(pool)
        .await
        .map_err(reading("a write"))
}

/// Writes that a decision has led to.
pub(crate) async fn of_decision(pool: &PgPool, decision: &str, limit: i64) -> Result<Vec<Entry>> {
    sqlx::query_as(select!("where a.sync_id = $1 order by a.at desc, a.id desc limit $2"))
        .bind(decision)
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(reading("the writes of a decision"))
}

/// Which writes.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    /// Edits made at their source from here …
    pub(crate) from: At,
    /// … until before here.
    pub(crate) to: At,
    pub(crate) actor: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) side: Option<String>,
}

/// Writes of a time range, the newest first.
pub(crate) async fn range(pool: &PgPool, range: &Range, limit: i64) -> Result<Vec<Entry>> {
    sqlx::query_as(select!(
        "where a.caused_at >= $1 and a.caused_at < $2 and ($3::text is null or lower(a.actor) = lower($3)) and ($4::text is null or a.entity = $4) \
         and ($5::text is null or a.side = $5) and ($6::text is null or a.kind = $6) order by a.at desc, a.id desc limit $7"
    ))
    .bind(range.from)
    .bind(range.to)
    .bind(&range.actor)
    .bind(&range.entity)
    .bind(&range.side)
    .bind(&range.kind)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("the history of writes"))
}

/// A write, in brief.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Later {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) side: String,
    pub(crate) columns: sqlx::types::Json<Vec<Column>>,
    pub(crate) actor: Option<String>,
    pub(crate) at: At,
    pub(crate) caused_at: At,
}

const MAX_LATER: i64 = 20_000;

/// What was written to some entities after a time.
pub(crate) async fn later(pool: &PgPool, entities: &[String], after: At) -> Result<Vec<Later>> {
    sqlx::query_as(
        "select id, entity, side, columns, actor, at, caused_at from audit where entity = any($1) and at > $2 order by at desc limit $3",
    )
    .bind(entities)
    .bind(after)
    .bind(MAX_LATER)
    .fetch_all(pool)
    .await
    .map_err(reading("later writes"))
}
