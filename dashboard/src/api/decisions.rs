//! Decisions of every kind: asked for, looked up, followed to their end.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, limit, wrong};
use crate::auth::Principal;
use crate::command::{self, Asked, MAX_ASKED};
use crate::error::Error;
use crate::queries;
use crate::queries::decisions::Filter;
use crate::server::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    decisions: Vec<Asked>,
    #[serde(default)]
    batch: Option<String>,
}

/// `POST /api/crm/decisions`: each is taken or refused by itself. When the only one is refused, so is the request.
pub(crate) async fn decide(State(app): State<Shared>, principal: Principal, body: Result<Json<Body>, JsonRejection>) -> Answer {
    let Json(body) = body.map_err(|rejection| Error::Refused {
        code: "bad_body",
        message: rejection.body_text(),
        remedy: "Send {\"decisions\": [{\"action\": …}]} as application/json.".into(),
    })?;
    if body.decisions.is_empty() || body.decisions.len() > MAX_ASKED {
        return Err(Error::Refused {
            code: "bad_body",
            message: format!("One to {MAX_ASKED} decisions at once, not {}.", body.decisions.len()),
            remedy: "Send the rest in further requests with the same batch.".into(),
        }
        .into());
    }
    let batch = command::batch_of(body.batch, body.decisions.len())?;
    let mut answers = command::ask(&app, &principal, &body.decisions, batch.as_deref()).await?;
    if answers.len() == 1
        && let Some(Err(error)) = answers.pop_if(|answer| answer.is_err())
    {
        return Err(error.into());
    }
    let answers: Vec<Value> = answers
        .iter()
        .map(|answer| match answer {
            Ok(decision) => json!({ "id": decision.id, "entity": decision.entity, "action": decision.action.as_str() }),
            Err(error) => json!({ "error": { "code": error.code(), "message": error.message(), "remedy": error.remedy() } }),
        })
        .collect();
    Ok(Json(json!({ "batch": batch, "decisions": answers })))
}

#[derive(Deserialize)]
pub(crate) struct List {
    batch: Option<String>,
    conflict: Option<String>,
    write: Option<String>,
    entity: Option<String>,
    result: Option<String>,
    limit: Option<i64>,
}

/// `GET /api/crm/decisions?batch=&conflict=&write=&entity=&result=&limit=`.
pub(crate) async fn list(State(app): State<Shared>, Query(list): Query<List>) -> Answer {
    if list.result.as_deref().is_some_and(|result| !["accepted", "unchanged", "refused", "waiting"].contains(&result)) {
        return Err(wrong("result", "Give accepted, unchanged, refused or waiting.").into());
    }
    let filter = Filter { batch: list.batch, conflict: list.conflict, write: list.write, entity: list.entity, result: list.result };
    let items = queries::decisions::list(&app.pool, &filter, limit(list.limit)).await?;
    Ok(Json(json!({ "items": items })))
}

/// `GET /api/crm/decisions/{id}`.
pub(crate) async fn one(State(app): State<Shared>, Path(id): Path<String>) -> Answer {
    let found = queries::decisions::one(&app.pool, &id).await?.ok_or(Error::Missing { what: "decision of this id" })?;
    Ok(Json(json!(found)))
}

/// `GET /api/crm/batches/{id}`: how far it has come, in numbers.
pub(crate) async fn batch(State(app): State<Shared>, Path(id): Path<String>) -> Answer {
    Ok(Json(json!(queries::decisions::batch(&app.pool, &id).await?)))
}
