//! Possible matches: the queue, and one.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sqlx::PgPool;

use super::conflicts::Cursor;
use super::{At, reading};
use crate::error::Result;

/// A canonical field of one of the two records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: Json,
}

/// One comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reason {
    pub(crate) label: String,
    pub(crate) left: String,
    pub(crate) right: String,
    pub(crate) finding: String,
    /// In thousandths of a bit: above zero for a match, below against.
    pub(crate) weight: i64,
}

/// One row of `match_review`.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Review {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) left_entity: String,
    pub(crate) right_entity: String,
    pub(crate) left_title: String,
    pub(crate) right_title: String,
    pub(crate) left_crm: Option<String>,
    pub(crate) left_erp: Option<String>,
    pub(crate) right_crm: Option<String>,
    pub(crate) right_erp: Option<String>,
    pub(crate) left_fields: sqlx::types::Json<Vec<Field>>,
    pub(crate) right_fields: sqlx::types::Json<Vec<Field>>,
    pub(crate) state: String,
    pub(crate) score: Option<i64>,
    pub(crate) probability_bp: Option<i64>,
    pub(crate) reason: String,
    pub(crate) reasons: sqlx::types::Json<Vec<Reason>>,
    pub(crate) opened_at: At,
    pub(crate) decision: Option<String>,
    pub(crate) decided_by: Option<String>,
    pub(crate) decided_at: Option<At>,
    pub(crate) mapping_version: i64,
}

impl Review {
    pub(crate) fn open(&self) -> bool {
        self.state == "open"
    }

    /// The place after it, for the list it stands in.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { at: if self.open() { self.opened_at } else { self.decided_at.unwrap_or(self.opened_at) }, id: self.id.clone() }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, kind, left_entity, right_entity, left_title, right_title, left_crm, left_erp, right_crm, right_erp, left_fields, right_fields, state, \
             score, probability_bp, reason, reasons, opened_at, decision, decided_by, decided_at, mapping_version from match_review ",
            $rest
        )
    };
}

/// Which matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// They wait for a person.
    #[default]
    Open,
    /// Same, distinct, or withdrawn.
    Answered,
}

impl State {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "answered" => Some(Self::Answered),
            _ => None,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
        }
    }
}

/// Counts stop here.
pub(crate) const COUNT_UP_TO: i64 = 10_000;

/// How many there are.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Counts {
    /// Waiting, counted up to 10,000.
    pub(crate) open: i64,
    /// Answered, counted up to 10,000.
    pub(crate) answered: i64,
    /// When the oldest waiting one was found.
    pub(crate) oldest: Option<At>,
    /// Waiting ones by kind.
    pub(crate) kinds: Vec<(String, i64)>,
}

/// Counts of both states.
pub(crate) async fn counts(pool: &PgPool) -> Result<Counts> {
    let kinds: Vec<(String, i64, Option<At>)> = sqlx::query_as(
        "select kind, count(*), min(opened_at) from (select kind, opened_at from match_review where state = 'open' limit $1) as open group by kind order by kind",
    )
    .bind(COUNT_UP_TO)
    .fetch_all(pool)
    .await
    .map_err(reading("number of matches"))?;
    let answered: i64 = sqlx::query_scalar("select count(*) from (select 1 from match_review where state <> 'open' limit $1) as counted")
        .bind(COUNT_UP_TO)
        .fetch_one(pool)
        .await
        .map_err(reading("number of matches"))?;
    Ok(Counts {
        open: kinds.iter().map(|(_, count, _)| count).sum(),
        answered,
        oldest: kinds.iter().filter_map(|(.., oldest)| *oldest).min(),
        kinds: kinds.into_iter().map(|(kind, count, _)| (kind, count)).collect(),
    })
}

/// Number of those that wait, for the navigation.
pub(crate) async fn open(pool: &PgPool) -> Result<i64> {
    sqlx::query_scalar("select count(*) from (select 1 from match_review where state = 'open' limit $1) as counted")
        .bind(COUNT_UP_TO)
        .fetch_one(pool)
        .await
        .map_err(reading("number of matches"))
}

/// Newest first, after the cursor.
pub(crate) async fn list(pool: &PgPool, state: State, kind: Option<&str>, after: Option<&Cursor>, limit: i64) -> Result<Vec<Review>> {
    let query = match state {
        State::Open => sqlx::query_as(select!(
            "where state = 'open' and ($1::text is null or kind = $1) and ($2::timestamptz is null or (opened_at, id) < ($2, $3)) \
             order by opened_at desc, id desc limit $4"
        )),
        State::Answered => sqlx::query_as(select!(
            "where state <> 'open' and ($1::text is null or kind = $1) \
             and ($2::timestamptz is null or (coalesce(decided_at, opened_at), id) < ($2, $3)) \
             order by coalesce(decided_at, opened_at) desc, id desc limit $4"
        )),
    };
    query
        .bind(kind)
        .bind(after.map(|cursor| cursor.at))
        .bind(after.map(|cursor| cursor.id.as_str()))
        .bind(limit)
        .fetch_all(pool)
        .await
        .map_err(reading("possible matches"))
}

/// One.
pub(crate) async fn one(pool: &PgPool, id: &str) -> Result<Option<Review>> {
    sqlx::query_as(select!("where id = $1")).bind(id).fetch_optional(pool).await.map_err(reading("a possible match"))
}
