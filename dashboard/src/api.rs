//! Plain JSON under `/api/crm` for what the pages do. `openapi.json` describes it, and a test holds the two together.

pub(crate) mod decisions;
pub(crate) mod matches;
pub(crate) mod undo;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Principal;
use crate::clock::now_micros;
use crate::command;
use crate::error::{Error, Result};
use crate::pages::conflicts::progress::Progress;
use crate::pages::sync::Facts;
use crate::queries::conflicts::{Conflict, Cursor, Filter, Shape, State as Which, cursor};
use crate::queries::{self, At};
use crate::respond::Program;
use crate::server::{App, Shared};

type Answer = Result<Json<Value>, Program>;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 500;

fn limit(asked: Option<i64>) -> i64 {
    asked.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT)
}

/// `GET /api/crm/status`.
pub(crate) async fn status(State(app): State<Shared>) -> Answer {
    let facts = Facts::read(&app).await?;
    let headline = facts.headline();
    let now = facts.now;
    let components: Vec<Value> = facts
        .components
        .iter()
        .map(|part| {
            json!({ "component": part.component, "state": part.state, "reason": part.reason, "remedy": part.remedy,
                    "since": part.since, "at": part.at, "stale": part.stale(now), "facts": part.facts })
        })
        .collect();
    Ok(Json(json!({
        "state": headline.level,
        "headline": headline.text,
        "at": now,
        "paused": facts.paused(),
        "components": components,
        "in_flight": { "crm": facts.unfinished.crm, "erp": facts.unfinished.erp },
        "conflicts": facts.counts,
        "failures": { "writes": facts.unfinished.failed, "dead_letters": facts.dead_letters },
    })))
}

/// `GET /api/crm/flow`.
pub(crate) async fn flow(State(app): State<Shared>) -> Answer {
    let flow = queries::flow::last_hour(&app.pool, At(now_micros())).await?;
    Ok(Json(json!(flow)))
}

#[derive(Deserialize)]
pub(crate) struct List {
    state: Option<String>,
    cursor: Option<String>,
    limit: Option<i64>,
    kind: Option<String>,
    field: Option<String>,
    /// Of conflicts: an entity's id, or the id of one of its records.
    entity: Option<String>,
}

fn wrong(parameter: &str, remedy: &str) -> Error {
    Error::Refused { code: "bad_parameter", message: format!("The parameter `{parameter}` cannot be read."), remedy: remedy.to_owned() }
}

/// `GET /api/crm/conflicts?state=&kind=&field=&entity=&cursor=&limit=`.
pub(crate) async fn conflicts(State(app): State<Shared>, Query(list): Query<List>) -> Answer {
    let which = match list.state.as_deref() {
        None => Which::Open,
        Some(state) => Which::parse(state).ok_or_else(|| wrong("state", "Give open or settled."))?,
    };
    let after = match list.cursor.as_deref() {
        None | Some("") => None,
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| wrong("cursor", "Give next_cursor of the page before."))?),
    };
    let limit = limit(list.limit);
    let entity = match list.entity.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Some(command::named_entity(&app, name).await?),
        None => None,
    };
    let filter = Filter { entity, kind: list.kind, field: list.field };
    let rows = queries::conflicts::list(&app.pool, which, &filter, after.as_ref(), limit).await?;
    let next = (rows.len() as i64 == limit).then(|| rows.last().map(|row| cursor(row).text())).flatten();
    Ok(Json(json!({ "items": rows, "next_cursor": next })))
}

async fn find(app: &App, id: &str) -> Result<Conflict> {
    queries::conflicts::one(&app.pool, id).await?.ok_or(Error::Missing { what: "conflict of this id" })
}

async fn with_progress(app: &App, conflict: &Conflict) -> Result<Value> {
    let writes = queries::writes::settling(&app.pool, &conflict.entity).await?;
    let progress = Progress::new(conflict, app.decided.about(conflict, At(now_micros())).is_some(), &writes);
    Ok(json!({ "conflict": conflict, "progress": progress }))
}

/// `GET /api/crm/conflicts/{id}`.
pub(crate) async fn conflict(State(app): State<Shared>, Path(id): Path<String>) -> Answer {
    let found = find(&app, &id).await?;
    Ok(Json(with_progress(&app, &found).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resolve {
    choice: String,
    #[serde(default)]
    value: Option<Value>,
}

#[derive(Deserialize)]
pub(crate) struct Alike {
    shape: Option<String>,
}

/// `GET /api/crm/conflicts/{id}/alike?shape=`: the open conflicts of the same shape, itself among them.
pub(crate) async fn alike(State(app): State<Shared>, Path(id): Path<String>, Query(alike): Query<Alike>) -> Answer {
    let shape = Shape::parse(alike.shape.as_deref().unwrap_or("values")).ok_or_else(|| wrong("shape", "Give values or field."))?;
    let found = find(&app, &id).await?;
    let at = At(now_micros());
    let rows = queries::conflicts::alike(&app.pool, &found, shape, at).await?;
    let records = rows.iter().map(|row| row.entity.as_str()).collect::<std::collections::BTreeSet<_>>().len();
    Ok(Json(json!({ "shape": shape, "conflicts": rows.len(), "records": records, "at": at, "items": rows })))
}

/// `POST /api/crm/conflicts/{id}/resolve`.
pub(crate) async fn resolve(
    State(app): State<Shared>,
    principal: Principal,
    Path(id): Path<String>,
    body: Result<Json<Resolve>, JsonRejection>,
) -> Answer {
    let Json(body) = body.map_err(|rejection| Error::Refused {
        code: "bad_body",
        message: rejection.body_text(),
        remedy: "Send {\"choice\": \"crm\" | \"erp\" | \"both\" | \"value\", \"value\": …} as application/json.".into(),
    })?;
    command::catch_up(&app).await?;
    let found = find(&app, &id).await?;
    if !found.open() {
        return Err(Program(Error::Refused {
            code: "conflict_settled",
            message: format!("This conflict was settled by {}.", found.settled_by.as_deref().unwrap_or("policy")),
            remedy: "Restore the value that lost, open it again, or change the value on either side.".into(),
        }));
    }
    if let Some(before) = app.decided.about(&found, At(now_micros())) {
        return Err(Program(Error::Refused {
            code: "conflict_decided",
            message: command::already_decided(&before.actor),
            remedy: "Wait until it is confirmed.".into(),
        }));
    }
    let wanted = command::wanted(&found, &body.choice, body.value.as_ref())?;
    command::settle(&app, &principal.actor, None, vec![(found.clone(), wanted)]).await?;
    Ok(Json(with_progress(&app, &found).await?))
}

#[derive(Deserialize)]
pub(crate) struct Limit {
    limit: Option<i64>,
}

/// `GET /api/crm/changes?limit=`.
pub(crate) async fn changes(State(app): State<Shared>, Query(query): Query<Limit>) -> Answer {
    let items = queries::audit::latest(&app.pool, limit(query.limit)).await?;
    Ok(Json(json!({ "items": items })))
}

/// `GET /api/crm/failures?limit=`.
pub(crate) async fn failures(State(app): State<Shared>, Query(query): Query<Limit>) -> Answer {
    Ok(Json(json!(queries::failures::latest(&app.pool, limit(query.limit)).await?)))
}

/// `GET /api/crm/pipeline`.
pub(crate) async fn pipeline(State(app): State<Shared>) -> Answer {
    let pool = app.pool.clone();
    let (stages, receivables) = tokio::try_join!(
        queries::pipeline::stages(&app.pool),
        app.receivables.get(async move { queries::pipeline::receivables(&pool).await })
    )?;
    Ok(Json(json!({ "stages": stages, "receivables": receivables })))
}

/// `POST /api/crm/pause`.
pub(crate) async fn pause(State(app): State<Shared>, principal: Principal) -> Answer {
    command::pause(&app, &principal.actor, true).await?;
    Ok(Json(json!({ "paused": true })))
}

/// `POST /api/crm/resume`.
pub(crate) async fn resume(State(app): State<Shared>, principal: Principal) -> Answer {
    command::pause(&app, &principal.actor, false).await?;
    Ok(Json(json!({ "paused": false })))
}
