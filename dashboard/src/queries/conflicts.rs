//! Conflicts: the queue, one entity's, one.

use serde::Serialize;
use serde_json::Value as Json;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// One row of `conflict`.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Conflict {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) field: String,
    pub(crate) label: String,
    pub(crate) state: String,
    pub(crate) base_crm: Option<Json>,
    pub(crate) base_erp: Option<Json>,
    pub(crate) crm: Option<Json>,
    pub(crate) erp: Option<Json>,
    pub(crate) crm_at: Option<At>,
    pub(crate) erp_at: Option<At>,
    pub(crate) crm_actor: Option<String>,
    pub(crate) erp_actor: Option<String>,
    pub(crate) crm_record: Option<String>,
    pub(crate) erp_record: Option<String>,
    pub(crate) crm_column: String,
    pub(crate) erp_column: String,
    pub(crate) policy: String,
    pub(crate) reason: String,
    pub(crate) winner: Option<String>,
    pub(crate) chosen: Option<Json>,
    pub(crate) tie: bool,
    pub(crate) overtaken: bool,
    pub(crate) settled_by: Option<String>,
    pub(crate) settled_at: Option<At>,
    pub(crate) opened_at: At,
    pub(crate) mapping_version: i64,
    /// Each side keeps its own value.
    pub(crate) kept_both: bool,
}

impl Conflict {
    pub(crate) fn open(&self) -> bool {
        self.state == "open"
    }
}

macro_rules! columns {
    () => {
        "id, entity, kind, title, field, label, state, base_crm, base_erp, crm, erp, crm_at, erp_at, crm_actor, erp_actor, \
         crm_record, erp_record, crm_column, erp_column, policy, reason, winner, chosen, tie, overtaken, settled_by, settled_at, \
         opened_at, mapping_version, kept_both"
    };
}

/// Which conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Settled,
}

impl State {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "settled" => Some(Self::Settled),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Settled => "settled",
        }
    }
}

/// A count that stops somewhere, so that a long history costs nothing.
pub(crate) const COUNT_UP_TO: i64 = 10_000;

/// How many there are.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    /// Fields that wait for a person.
    pub(crate) open: i64,
    /// Records they belong to.
    pub(crate) open_records: i64,
    /// When the oldest of them was found.
    pub(crate) oldest: Option<At>,
    /// Settled ones, counted up to 10,000.
    pub(crate) settled: i64,
}

/// Counts of both states.
pub(crate) async fn counts(pool: &PgPool) -> Result<Counts> {
    let (open, open_records, oldest, settled): (i64, i64, Option<At>, i64) = sqlx::query_as(
        "select count(*), count(distinct entity), min(opened_at), \
           (select count(*) from (select 1 from conflict where state = 'settled' limit $1) as counted) \
         from conflict where state = 'open'",
    )
    .bind(COUNT_UP_TO)
    .fetch_one(pool)
    .await
    .map_err(reading("number of conflicts"))?;
    Ok(Counts { open, open_records, oldest, settled })
}

/// Number of those that wait, for the navigation.
pub(crate) async fn open(pool: &PgPool) -> Result<i64> {
    sqlx::query_scalar("select count(*) from conflict where state = 'open'").fetch_one(pool).await.map_err(reading("number of conflicts"))
}

/// A place in the list: the time of the last row shown, and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) at: At,
    pub(crate) id: String,
}

impl Cursor {
    /// As it stands in an address.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.at.0, self.id)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('.')?;
        Some(Self { at: At(at.parse().ok()?), id: id.to_owned() })
    }
}

/// Which of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) entity: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) field: Option<String>,
}

/// Newest first, after the cursor.
pub(crate) async fn list(pool: &PgPool, state: State, filter: &Filter, after: Option<&Cursor>, limit: i64) -> Result<Vec<Conflict>> {
    let query = match state {
        State::Open => sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from conflict where state = 'open' and ($1::timestamptz is null or (opened_at, id) < ($1, $2)) \
             and ($4::text is null or entity = $4) and ($5::text is null or kind = $5) and ($6::text is null or field = $6) \
             order by opened_at desc, id desc limit $3"
        )),
        State::Settled => sqlx::query_as(concat!(
            "select ",
            columns!(),
            " from conflict where state = 'settled' and ($1::timestamptz is null or (settled_at, id) < ($1, $2)) \
             and ($4::text is null or entity = $4) and ($5::text is null or kind = $5) and ($6::text is null or field = $6) \
             order by settled_at desc, id desc limit $3"
        )),
    };
    query
        .bind(after.map(|cursor| cursor.at))
        .bind(after.map(|cursor| cursor.id.as_str()))
        .bind(limit)
        .bind(&filter.entity)
        .bind(&filter.kind)
        .bind(&filter.field)
        .fetch_all(pool)
        .await
        .map_err(reading("conflicts"))
}

/// The place after a row, for the list it stands in.
pub(crate) fn cursor(row: &Conflict) -> Cursor {
    Cursor { at: if row.open() { row.opened_at } else { row.settled_at.unwrap_or(row.opened_at) }, id: row.id.clone() }
}

const PER_ENTITY: i64 = 100;

/// All conflicts of an entity: open ones first, then the newest settled ones.
pub(crate) async fn of_entity(pool: &PgPool, entity: &str) -> Result<Vec<Conflict>> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from conflict where entity = $1 order by (state = 'open') desc, coalesce(settled_at, opened_at) desc, id limit $2"
    ))
    .bind(entity)
    .bind(PER_ENTITY)
    .fetch_all(pool)
    .await
    .map_err(reading("conflicts of a record"))
}

/// One.
pub(crate) async fn one(pool: &PgPool, id: &str) -> Result<Option<Conflict>> {
    sqlx::query_as(concat!("select ", columns!(), " from conflict where id = $1"))
        .bind(id)
        .fetch_optional(pool)
        .await
        .map_err(reading("a conflict"))
}

/// What makes conflicts alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// The same field of the same kind with the same two values.
    Values,
    /// The same field of the same kind.
    Field,
}

impl Shape {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "values" => Some(Self::Values),
            "field" => Some(Self::Field),
            _ => None,
        }
    }
}

/// At most so many are decided at once.
pub(crate) const MAX_ALIKE: i64 = 10_000;

/// Open conflicts like this one, itself among them, found no later than `until`; the oldest first.
pub(crate) async fn alike(pool: &PgPool, conflict: &Conflict, shape: Shape, until: At) -> Result<Vec<Conflict>> {
    sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from conflict where state = 'open' and kind = $1 and field = $2 and (not $3 or (coalesce(crm, 'null') = coalesce($4, 'null') and coalesce(erp, 'null') = coalesce($5, 'null'))) \
         and opened_at <= $6 order by opened_at, id limit $7"
    ))
    .bind(&conflict.kind)
    .bind(&conflict.field)
    .bind(shape == Shape::Values)
    .bind(&conflict.crm)
    .bind(&conflict.erp)
    .bind(until)
    .bind(MAX_ALIKE)
    .fetch_all(pool)
    .await
    .map_err(reading("conflicts like one"))
}

/// How many other open conflicts are like one.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Others {
    pub(crate) id: String,
    /// With the same two values.
    pub(crate) values: i64,
    /// Of the same field, those included.
    pub(crate) field: i64,
}

/// For each open conflict of an entity.
pub(crate) async fn others(pool: &PgPool, entity: &str) -> Result<Vec<Others>> {
    sqlx::query_as(
        "select c.id, count(o.id) filter (where coalesce(o.crm, 'null') = coalesce(c.crm, 'null') and coalesce(o.erp, 'null') = coalesce(c.erp, 'null')) as values, \
         count(o.id) as field from conflict c left join conflict o on o.state = 'open' and o.kind = c.kind and o.field = c.field and o.id <> c.id \
         where c.state = 'open' and c.entity = $1 group by c.id limit $2",
    )
    .bind(entity)
    .bind(PER_ENTITY)
    .fetch_all(pool)
    .await
    .map_err(reading("conflicts like one"))
}
