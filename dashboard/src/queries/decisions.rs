//! What people decided, and how far each decision has come.

use serde::Serialize;
use serde_json::Value as Json;
use sqlx::PgPool;

use super::audit::Range;
use super::{At, reading};
use crate::error::Result;

/// One row of `decision`, with how many writes follow from it and where they stand.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Decision {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: Option<String>,
    pub(crate) action: String,
    pub(crate) conflict: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) choice: Option<String>,
    pub(crate) value: Option<Json>,
    pub(crate) write: Option<String>,
    pub(crate) other: Option<String>,
    pub(crate) side: Option<String>,
    pub(crate) record: Option<String>,
    pub(crate) of: Option<String>,
    pub(crate) batch: Option<String>,
    pub(crate) force: bool,
    pub(crate) actor: String,
    pub(crate) at: At,
    /// `accepted`, `unchanged` or `refused`; `waiting` while something must end first; none until it has been read.
    pub(crate) result: Option<String>,
    pub(crate) reason: String,
    /// The conflict that holds what was replaced.
    pub(crate) replaced: Option<String>,
    pub(crate) mapping_version: Option<i64>,
    /// Writes that follow from it and are not finished.
    pub(crate) writes_open: i64,
    /// Those that the target's own stream has shown.
    pub(crate) writes_confirmed: i64,
    /// Those that the target refuses.
    pub(crate) writes_failed: i64,
    /// Nothing more is to come of it.
    pub(crate) done: bool,
}

impl Decision {
    /// True when it is not going to be carried out.
    pub(crate) fn refused(&self) -> bool {
        self.result.as_deref() == Some("refused")
    }
}

// A write follows from a decision when it carries the decision's id, or settles the conflict that the decision is about.
// The answer and the writes are committed together on the log and read a moment apart, so that an accepted decision
// without writes counts as done only after that moment.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select d.id, d.entity, d.kind, e.title, d.action, d.conflict, d.field, d.choice, d.value, d.write, d.other, d.side, d.record, d.\"of\", d.batch, d.force, \
             d.actor, d.at, d.result, d.reason, d.replaced, d.mapping_version, \
             coalesce(w.open, 0) as writes_open, coalesce(w.confirmed, 0) as writes_confirmed, coalesce(w.failed, 0) as writes_failed, \
             coalesce(d.result in ('unchanged', 'refused') or d.result = 'accepted' and coalesce(w.open, 0) = 0 \
               and (coalesce(w.confirmed, 0) + coalesce(w.failed, 0) > 0 or d.answered_at < now() - interval '2 seconds'), false) as done \
             from decision d left join entity e on e.entity = d.entity \
             left join lateral (select count(*) filter (where w.state in ('sent', 'applied', 'deferred')) as open, \
               count(*) filter (where w.state = 'confirmed') as confirmed, count(*) filter (where w.state = 'failed') as failed \
               from (select x.id, x.state from write x where x.sync_id = d.id union \
                     select x.id, x.state from write x where x.conflict in (d.conflict, d.replaced) and x.entity = d.entity and x.caused_at >= d.at - interval '1 minute') w) w \
               on d.result = 'accepted' ",
            $rest
        )
    };
}

/// Which decisions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) batch: Option<String>,
    pub(crate) conflict: Option<String>,
    pub(crate) write: Option<String>,
    pub(crate) entity: Option<String>,
    /// `accepted`, `unchanged`, `refused`, or `waiting` for those that have no answer yet or wait for something.
    pub(crate) result: Option<String>,
}

/// The newest first.
pub(crate) async fn list(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<Decision>> {
    sqlx::query_as(select!(
        "where ($1::text is null or d.batch = $1) and ($2::text is null or d.conflict = $2) and ($3::text is null or d.write = $3) \
         and ($4::text is null or d.entity = $4) and ($5::text is null or coalesce(d.result, 'waiting') = $5) order by d.at desc, d.id desc limit $6"
    ))
    .bind(&filter.batch)
    .bind(&filter.conflict)
    .bind(&filter.write)
    .bind(&filter.entity)
    .bind(&filter.result)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("decisions"))
}

/// Decisions in a time range that wrote nothing themselves and stand, the newest first: answers about matches, and conflicts in
/// which each side keeps its own value. None when only what was written to one side is meant.
pub(crate) async fn without_writes(pool: &PgPool, range: &Range, limit: i64) -> Result<Vec<Decision>> {
    if range.side.is_some() {
        return Ok(Vec::new());
    }
    sqlx::query_as(select!(
        "where d.result = 'accepted' and d.at >= $1 and d.at < $2 \
         and ($3::text is null or lower(d.actor) = lower($3)) and ($4::text is null or $4 in (d.entity, d.other)) and ($5::text is null or d.kind = $5) \
         and (d.action in ('same', 'distinct', 'split') \
          and not exists (select from decision u where u.action = 'unmatch' and u.\"of\" = d.id and coalesce(u.result, '') <> 'refused') \
          or d.action = 'settle' \
          and exists (select from conflict c where c.id = d.conflict and c.state = 'settled' and c.kept_both and c.settled_by = d.actor)) \
         order by d.at desc, d.id desc limit $6"
    ))
    .bind(range.from)
    .bind(range.to)
    .bind(&range.actor)
    .bind(&range.entity)
    .bind(&range.kind)
    .bind(limit)
    .fetch_all(pool)
    .await
    .map_err(reading("decisions that wrote nothing"))
}

/// One.
pub(crate) async fn one(pool: &PgPool, id: &str) -> Result<Option<Decision>> {
    sqlx::query_as(select!("where d.id = $1")).bind(id).fetch_optional(pool).await.map_err(reading("a decision"))
}

/// Those of which nothing more is to come for what they are about: refused, or carried out long enough ago for everything to show it.
pub(crate) async fn ended(pool: &PgPool, ids: &[String]) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "select id from decision where id = any($1) and (result in ('refused', 'unchanged') or result = 'accepted' and answered_at < now() - interval '15 seconds')",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
    .map_err(reading("which decisions have ended"))
}

/// The newest decisions about the conflicts of an entity.
pub(crate) async fn about_conflicts(pool: &PgPool, entity: &str) -> Result<Vec<Decision>> {
    sqlx::query_as(select!("where d.entity = $1 and d.action in ('settle', 'restore', 'reopen') order by d.at desc, d.id desc limit 100"))
        .bind(entity)
        .fetch_all(pool)
        .await
        .map_err(reading("decisions about a record"))
}

/// Of each of these entities, the newest decisions to try again what was refused: about both sides, and about either.
pub(crate) async fn retries(pool: &PgPool, entities: &[&str]) -> Result<Vec<Decision>> {
    sqlx::query_as(select!(
        "where d.id in (select distinct on (entity, action, coalesce(side, '')) id from decision where entity = any($1) and action in ('retry', 'convert') \
         order by entity, action, coalesce(side, ''), at desc, id desc) order by d.at desc, d.id desc"
    ))
    .bind(entities)
    .fetch_all(pool)
    .await
    .map_err(reading("decisions to try again"))
}

/// The last answer that somebody gave about a possible match and has not taken back.
pub(crate) async fn last_match(pool: &PgPool, actor: &str) -> Result<Option<Decision>> {
    sqlx::query_as(select!(
        "where d.action in ('same', 'distinct', 'split') and d.actor = $1 and coalesce(d.result, '') <> 'unchanged' and not exists \
         (select from decision u where u.action = 'unmatch' and u.\"of\" = d.id and coalesce(u.result, '') <> 'refused') \
         order by d.at desc, d.id desc limit 1"
    ))
    .bind(actor)
    .fetch_optional(pool)
    .await
    .map_err(reading("the last answer"))
}

/// How far a batch has come.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Batch {
    pub(crate) decisions: i64,
    /// Not answered yet, or waiting for something.
    pub(crate) waiting: i64,
    pub(crate) accepted: i64,
    pub(crate) unchanged: i64,
    pub(crate) refused: i64,
    pub(crate) writes_open: i64,
    pub(crate) writes_confirmed: i64,
    pub(crate) writes_failed: i64,
    /// Decisions of which nothing more is to come.
    pub(crate) done: i64,
}

/// Counts over a batch.
pub(crate) async fn batch(pool: &PgPool, batch: &str) -> Result<Batch> {
    sqlx::query_as(concat!(
        "select count(*) as decisions, count(*) filter (where coalesce(result, 'waiting') = 'waiting') as waiting, count(*) filter (where result = 'accepted') as accepted, \
         count(*) filter (where result = 'unchanged') as unchanged, count(*) filter (where result = 'refused') as refused, \
         coalesce(sum(writes_open), 0)::bigint as writes_open, coalesce(sum(writes_confirmed), 0)::bigint as writes_confirmed, \
         coalesce(sum(writes_failed), 0)::bigint as writes_failed, count(*) filter (where done) as done from (",
        select!("where d.batch = $1"),
        ") as d"
    ))
    .bind(batch)
    .fetch_one(pool)
    .await
    .map_err(reading("a batch of decisions"))
}

/// Whether an answer about a match has been taken back, or is being.
pub(crate) async fn taken_back(pool: &PgPool, decision: &str) -> Result<bool> {
    sqlx::query_scalar(
        "select exists (select from decision where action = 'unmatch' and \"of\" = $1 and coalesce(result, '') <> 'refused')",
    )
    .bind(decision)
    .fetch_one(pool)
    .await
    .map_err(reading("whether an answer was taken back"))
}
