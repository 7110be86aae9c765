//! How each part of Concord says it is doing.

use serde::Serialize;
use serde_json::Value as Json;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// One row of `health`.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Component {
    pub(crate) component: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    pub(crate) since: At,
    pub(crate) at: At,
    pub(crate) facts: Json,
}

/// A report older than this is called stale.
pub(crate) const STALE_AFTER_S: i64 = 30;

impl Component {
    /// True when it has not reported for so long that what it said may no longer hold.
    pub(crate) fn stale(&self, now: At) -> bool {
        self.state != "stopped" && self.at.age_s(now) > STALE_AFTER_S
    }

    /// A fact as text.
    pub(crate) fn fact(&self, name: &str) -> Option<String> {
        match self.facts.get(name)? {
            Json::String(text) if !text.is_empty() => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A fact as a number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        let text = self.fact(name)?;
        text.parse().ok().or_else(|| text.parse::<f64>().ok().map(|value| value as i64))
    }
}

const MAX_COMPONENTS: i64 = 200;

/// Every part that has ever reported.
pub(crate) async fn all(pool: &PgPool) -> Result<Vec<Component>> {
    sqlx::query_as("select component, state, reason, remedy, since, at, facts from health order by component limit $1")
        .bind(MAX_COMPONENTS)
        .fetch_all(pool)
        .await
        .map_err(reading("health"))
}
