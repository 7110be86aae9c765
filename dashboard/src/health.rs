//! `/health` and `/metrics`: for whoever watches the machine. They tell states, never customers' values.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use prometheus::{Encoder as _, TextEncoder};
use serde_json::json;

use crate::clock::now_micros;
use crate::queries::{At, health as query};
use crate::server::Shared;

/// `GET /health`: 200 while the read model answers and no part fails or is silent, else 503.
pub(crate) async fn health(State(app): State<Shared>) -> Response {
    let now = At(now_micros());
    let Ok(components) = query::all(&app.pool).await else {
        let body = json!({ "ok": false, "read_model": "unavailable", "components": [] });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    };
    let well = components.iter().all(|one| one.state != "failing" && !one.stale(now));
    let components: Vec<_> = components
        .iter()
        .map(|one| json!({ "component": one.component, "state": one.state, "since": one.since, "at": one.at, "stale": one.stale(now) }))
        .collect();
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ok": well, "read_model": "available", "components": components }))).into_response()
}

/// `GET /metrics`: the default registry in Prometheus' text format.
pub(crate) async fn metrics() -> Response {
    crate::metrics::metrics();
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&prometheus::gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "metrics cannot be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
