//! The simulator's own routes: settings, actions, certificate. Not part of any Salesforce API.
//!
//! `GET /simulator/settings` shows the run-time settings, `PATCH` changes those given, `POST
//! /simulator/actions` does one thing: `{"gap": {...}}`, `{"overflow": "Account"}`, `{"purge": true}`,
//! `{"repeat": n}`, `{"reset_api_calls": true}`, `{"end_sessions": true}`, `{"close_streams": true}`.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{Reply, Server};
use crate::error::ApiError;
use crate::events::ChangeType;
use crate::org::id::RecordId;
use crate::settings::Live;

/// Answers below `/simulator/`.
pub(crate) fn handle(server: &Arc<Server>, method: &str, path: &str, body: &[u8]) -> Reply {
    Reply::of(match (method, path.trim_end_matches('/')) {
        ("GET", "/simulator/settings") => shown(server),
        ("PATCH" | "PUT", "/simulator/settings") => change(server, body),
        ("POST", "/simulator/actions") => act(server, body),
        ("GET", "/simulator/ca.pem") => Ok(Reply::text(200, "application/x-pem-file", server.ca_pem.clone())),
        ("GET", "/simulator/health") => Ok(Reply::json(200, json!({"status": "ok"}))),
        _ => Err(ApiError::not_found()),
    })
}

fn shown(server: &Server) -> Result<Reply, ApiError> {
    serde_json::to_value(server.live.get()).map(|json| Reply::json(200, json)).map_err(|error| ApiError::json(error.to_string()))
}

fn change(server: &Server, body: &[u8]) -> Result<Reply, ApiError> {
    let changes: serde_json::Map<String, Json> = serde_json::from_slice(body).map_err(|error| ApiError::json(error.to_string()))?;
    let mut all = serde_json::to_value(server.live.get()).map_err(|error| ApiError::json(error.to_string()))?;
    if let Some(fields) = all.as_object_mut() {
        fields.extend(changes);
    }
    let live: Live = serde_json::from_value(all).map_err(|error| ApiError::json(error.to_string()))?;
    server.live.update(|now| *now = live);
    shown(server)
}

fn act(server: &Server, body: &[u8]) -> Result<Reply, ApiError> {
    let actions: serde_json::Map<String, Json> = serde_json::from_slice(body).map_err(|error| ApiError::json(error.to_string()))?;
    for (name, value) in actions {
        match name.as_str() {
            "gap" => {
                let object = value.get("object").and_then(Json::as_str).unwrap_or_default();
                let ids: Vec<RecordId> = value
                    .get("ids")
                    .and_then(Json::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(|id| id.as_str().and_then(RecordId::parse))
                    .collect();
                let change = match value.get("change").and_then(Json::as_str).unwrap_or("update") {
                    "create" => ChangeType::GapCreate,
                    "delete" => ChangeType::GapDelete,
                    "undelete" => ChangeType::GapUndelete,
                    _ => ChangeType::GapUpdate,
                };
                server.org.emit_gap(object, change, &ids)?;
            }
            "overflow" => server.org.emit_gap(value.as_str().unwrap_or_default(), ChangeType::GapOverflow, &[])?,
            "purge" => server.org.purge_events(),
            "repeat" => server.org.repeat_events(value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(1)),
            "reset_api_calls" => server.calls.store(0, std::sync::atomic::Ordering::Relaxed),
            "end_sessions" => server.sessions.revoke_all(),
            "close_streams" => server.streams.send_modify(|epoch| *epoch += 1),
            _ => return Err(ApiError::json(format!("no action {name:?}"))),
        }
    }
    Ok(Reply::json(200, json!({"done": true})))
}
