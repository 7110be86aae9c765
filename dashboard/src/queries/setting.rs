//! Settings as the log last had them.

use serde::Serialize;
use serde_json::Value as Json;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// The name of the pause.
pub(crate) const PAUSE: &str = "pause";

/// One row of `setting`.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub(crate) struct Setting {
    pub(crate) value: Json,
    pub(crate) version: i64,
    pub(crate) actor: String,
    pub(crate) at: At,
}

impl Setting {
    /// Whether it says that the sync is paused.
    pub(crate) fn paused(&self) -> bool {
        self.value.get("paused").and_then(Json::as_bool).unwrap_or(false)
    }
}

/// The pause, once somebody has ever used it.
pub(crate) async fn pause(pool: &PgPool) -> Result<Option<Setting>> {
    sqlx::query_as("select value, version, actor, at from setting where name = $1")
        .bind(PAUSE)
        .fetch_optional(pool)
        .await
        .map_err(reading("the pause"))
}
