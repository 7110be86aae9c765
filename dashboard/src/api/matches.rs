//! Possible matches. They are answered as decisions.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::json;

use super::{Answer, List, limit, wrong};
use crate::error::Error;
use crate::queries;
use crate::queries::conflicts::Cursor;
use crate::queries::matches::State as Which;
use crate::server::Shared;

/// `GET /api/crm/matches?state=&kind=&cursor=&limit=`.
pub(crate) async fn list(State(app): State<Shared>, Query(list): Query<List>) -> Answer {
    let which = match list.state.as_deref() {
        None => Which::Open,
        Some(state) => Which::parse(state).ok_or_else(|| wrong("state", "Give open or answered."))?,
    };
    let after = match list.cursor.as_deref() {
        None | Some("") => None,
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| wrong("cursor", "Give next_cursor of the page before."))?),
    };
    let limit = limit(list.limit);
    let rows = queries::matches::list(&app.pool, which, list.kind.as_deref(), after.as_ref(), limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|row| row.cursor().text())).flatten();
    Ok(Json(json!({ "items": rows, "next_cursor": next })))
}

/// `GET /api/crm/matches/{id}`.
pub(crate) async fn one(State(app): State<Shared>, Path(id): Path<String>) -> Answer {
    let found = queries::matches::one(&app.pool, &id).await?.ok_or(Error::Missing { what: "possible match of this id" })?;
    Ok(Json(json!(found)))
}
