//! The latest changes that Concord carried across, with before and after.

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

/// One row of `audit`.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Change {
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
}

/// The newest.
pub(crate) async fn latest(pool: &PgPool, limit: i64) -> Result<Vec<Change>> {
    sqlx::query_as(
        "select a.id, a.entity, a.kind, a.title, a.side, a.object, a.record, a.op, a.columns, a.altered, a.reason, a.actor, a.conflict, a.sync_id, a.caused_at, \
         a.at, a.mapping_version, u.id as undone, u.actor as undone_by from (select * from audit order by at desc limit $1) a \
         left join lateral (select d.id, d.actor from decision d where d.write = a.id and d.action = 'undo' and d.result is distinct from 'refused' \
           order by d.at desc limit 1) u on true order by a.at desc",
    )
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("latest changes"))
}
