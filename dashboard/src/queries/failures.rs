//! What did not get across: failed writes and dead letters.

use serde::Serialize;
use sqlx::PgPool;

use super::writes::still_failed;
use super::{At, reading};
use crate::error::Result;

/// A write that its target refuses is set aside too; it is one failure, and shown as the write.
macro_rules! not_a_failed_write {
    () => {
        "not exists (select from write w where w.state = 'failed' and convert_to(w.entity, 'UTF8') = d.key and starts_with(d.reason, w.code))"
    };
}

/// A write that its target refuses.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct FailedWrite {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: Option<String>,
    pub(crate) side: String,
    pub(crate) object: String,
    pub(crate) record: Option<String>,
    pub(crate) op: String,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) caused_at: At,
    pub(crate) answered_at: Option<At>,
}

/// A message set aside.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct DeadLetter {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) source_topic: String,
    pub(crate) source_partition: i32,
    pub(crate) source_offset: i64,
    pub(crate) component: String,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    pub(crate) at: At,
}

/// Both, newest first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failures {
    pub(crate) writes: Vec<FailedWrite>,
    pub(crate) dead_letters: Vec<DeadLetter>,
}

/// At most `limit` of each.
pub(crate) async fn latest(pool: &PgPool, limit: i64) -> Result<Failures> {
    let writes = sqlx::query_as(concat!(
        "select w.id, w.entity, w.kind, e.title, w.side, w.object, w.record, w.op, w.code, w.message, w.attempts, w.caused_at, w.answered_at \
         from write w left join entity e on e.entity = w.entity \
         where ",
        still_failed!(),
        " order by coalesce(w.answered_at, w.caused_at) desc limit $1",
    ))
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("failed writes"))?;
    let dead_letters = sqlx::query_as(concat!(
        "select topic, partition, \"offset\", source_topic, source_partition, source_offset, component, reason, remedy, at from dead_letter d where ",
        not_a_failed_write!(),
        " order by at desc limit $1",
    ))
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("dead letters"))?;
    Ok(Failures { writes, dead_letters })
}

/// Number of dead letters.
pub(crate) async fn dead_letters(pool: &PgPool) -> Result<i64> {
    sqlx::query_scalar(concat!(
        "select count(*) from (select 1 from dead_letter d where ",
        not_a_failed_write!(),
        " limit 10000) as counted"
    ))
    .fetch_one(pool)
    .await
    .map_err(reading("number of dead letters"))
}
