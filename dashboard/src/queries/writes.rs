//! Writes on their way, and how far the settlement of a conflict has come.

use serde::Serialize;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// A failed write, in SQL about `write w`: of one of its columns, no later write was confirmed, or failed and is shown instead;
/// and nobody who wanted it tried again was told that nothing was refused (somebody put the value there by hand). Writes to one
/// record are answered in the order in which they were decided.
macro_rules! still_failed {
    () => {
        "w.state = 'failed' and exists (select from jsonb_object_keys(case w.\"values\" when '{}' then '{\"\": 0}' else w.\"values\" end) as c (name) \
           where not exists (select from write l where l.entity = w.entity and l.side = w.side and l.object = w.object and l.state in ('confirmed', 'failed') \
             and (coalesce(l.answered_at, l.confirmed_at), length(l.id), l.id) > (w.answered_at, length(w.id), w.id) \
             and (w.\"values\" = '{}' or l.\"values\" ? c.name))) \
         and (w.op = 'delete' or not exists (select from decision d where d.entity = w.entity and d.action = 'retry' and d.result = 'unchanged' \
           and d.reason = 'nothing was refused' and coalesce(d.side, w.side) = w.side and d.at > w.answered_at))"
    };
}
pub(super) use still_failed;

/// Writes to one side that are not finished.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct InFlight {
    /// Sent, no answer yet.
    pub(crate) sent: i64,
    /// Answered, not yet seen in the target's own stream.
    pub(crate) applied: i64,
    /// Held back: the side is paused or its limit is reached.
    pub(crate) deferred: i64,
    /// Commit time of the oldest edit among them.
    pub(crate) oldest: Option<At>,
}

impl InFlight {
    pub(crate) fn total(&self) -> i64 {
        self.sent + self.applied + self.deferred
    }
}

/// Both sides, and what failed.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Unfinished {
    pub(crate) crm: InFlight,
    pub(crate) erp: InFlight,
    pub(crate) failed: i64,
}

/// Writes not finished, counted.
pub(crate) async fn unfinished(pool: &PgPool) -> Result<Unfinished> {
    let rows: Vec<(String, String, i64, Option<At>)> = sqlx::query_as(concat!(
        "select w.side, w.state, count(*), min(w.caused_at) from write w \
         where w.state not in ('confirmed', 'rejected') and (w.state <> 'failed' or ",
        still_failed!(),
        ") group by w.side, w.state",
    ))
    .fetch_all(pool)
    .await
    .map_err(reading("writes in flight"))?;
    let mut found = Unfinished::default();
    for (side, state, count, oldest) in rows {
        if state == "failed" {
            found.failed += count;
            continue;
        }
        let one = if side == "crm" { &mut found.crm } else { &mut found.erp };
        match state.as_str() {
            "sent" => one.sent += count,
            "applied" => one.applied += count,
            _ => one.deferred += count,
        }
        one.oldest = [one.oldest, oldest].into_iter().flatten().min();
    }
    Ok(found)
}

/// A write that carries out the settlement of a conflict.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Settling {
    pub(crate) conflict: String,
    pub(crate) side: String,
    pub(crate) state: String,
    pub(crate) message: Option<String>,
    pub(crate) answered_at: Option<At>,
    pub(crate) confirmed_at: Option<At>,
}

const MAX_SETTLING: i64 = 500;

/// The writes of an entity that settle conflicts, oldest first.
pub(crate) async fn settling(pool: &PgPool, entity: &str) -> Result<Vec<Settling>> {
    sqlx::query_as(
        "select conflict, side, state, message, answered_at, confirmed_at from write \
         where entity = $1 and conflict is not null order by caused_at, id limit $2",
    )
    .bind(entity)
    .bind(MAX_SETTLING)
    .fetch_all(pool)
    .await
    .map_err(reading("writes of a conflict"))
}
