//! The HTTP side of the org: one handler that every request enters, then a synchronous dispatch.
//!
//! Dispatch is synchronous because Composite, Batch and Graph call it again for their parts, inside
//! the transaction of the whole.

pub(crate) mod admin;
pub(crate) mod bulk;
pub(crate) mod collections;
pub(crate) mod composite;
pub(crate) mod conditional;
pub(crate) mod csv;
pub(crate) mod describe;
pub(crate) mod front;
pub(crate) mod graph;
pub(crate) mod listener;
pub(crate) mod login;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod rows;
pub(crate) mod sessions;
pub(crate) mod tree;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::error::ApiError;
use crate::org::handle::Org;
use crate::org::transaction::Transaction;
use crate::org::{Actor, State};
use crate::settings::{Settings, SettingsHandle};

/// What all requests share.
pub(crate) struct Server {
    pub(crate) org: Org,
    pub(crate) live: SettingsHandle,
    pub(crate) settings: Settings,
    pub(crate) sessions: sessions::Sessions,
    pub(crate) cursors: query::Cursors,
    pub(crate) jobs: bulk::Jobs,
    pub(crate) calls: AtomicU64,
    /// Moves on when all event streams are to be closed.
    pub(crate) streams: watch::Sender<u64>,
    pub(crate) managed: crate::pubsub::managed::Subscriptions,
    pub(crate) ca_pem: String,
    pub(crate) rest_url: String,
    pub(crate) instance_url: String,
    pub(crate) jwt_key: jsonwebtoken::DecodingKey,
}

/// One call of the data API, top-level or part of a composite one.
pub(crate) struct Call {
    pub(crate) method: String,
    /// Path below `/services/data/vNN.N/`, decoded, without empty parts.
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) version: String,
    pub(crate) actor: Actor,
}

/// What a call is answered with.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Content,
}

pub(crate) enum Content {
    Nothing,
    Json(Json),
    Text(&'static str, String),
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Result<Json, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ApiError::json(format!("Unexpected character or end of input at [line:{}, column:{}]", error.line(), error.column()))
        })
    }

    pub(crate) fn fields(&self) -> Result<crate::org::dml::Fields, ApiError> {
        match self.json()? {
            Json::Object(fields) => Ok(fields),
            _ => Err(ApiError::json("Cannot deserialize instance of sobject from START_ARRAY at [line:1, column:1]")),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

impl Reply {
    pub(crate) fn json(status: u16, body: Json) -> Self {
        Self { status, headers: Vec::new(), body: Content::Json(body) }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Content::Nothing }
    }

    pub(crate) fn text(status: u16, kind: &'static str, text: String) -> Self {
        Self { status, headers: Vec::new(), body: Content::Text(kind, text) }
    }

    pub(crate) fn error(error: &ApiError) -> Self {
        Self::json(error.status, json!([error.to_json()]))
    }

    pub(crate) fn of(result: Result<Self, ApiError>) -> Self {
        result.unwrap_or_else(|error| Self::error(&error))
    }

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.status < 300
    }
}

/// The shape of a path, for matching.
fn shape(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// Answers calls that change nothing; `None` when the call is of another kind.
pub(crate) fn dispatch_read(server: &Arc<Server>, state: &State, call: &Call) -> Option<Reply> {
    let path = shape(&call.path);
    let reply = match (call.method.as_str(), path.as_slice()) {
        ("GET" | "HEAD", []) => Ok(describe::resources(call)),
        ("GET", ["limits"]) => Ok(describe::limits(server)),
        ("GET", ["sobjects"]) => describe::global(state, call),
        ("GET", ["sobjects", name]) => describe::brief(state, call, name),
        ("GET", ["sobjects", name, "describe"]) => describe::object(state, call, name),
        ("GET", ["sobjects", name, "eventSchema"]) => describe::event_schema_of(state, name),
        ("GET", ["event", "eventSchema", id]) => describe::event_schema(state, id),
        ("GET", ["sobjects", name, "updated"]) => query::updated(state, call, name),
        ("GET", ["sobjects", name, "deleted"]) => query::deleted(state, call, name),
        ("GET" | "HEAD", ["sobjects", name, id]) => rows::read(state, call, name, id),
        ("GET" | "HEAD", ["sobjects", name, field, value]) => rows::read_by_external_id(state, call, name, field, value),
        ("GET", ["query" | "queryAll", locator]) => query::next_page(server, state, call, locator),
        ("GET", ["query"]) => query::run(server, state, call, false),
        ("GET", ["queryAll"]) => query::run(server, state, call, true),
        ("GET", ["tooling", "query"]) => query::tooling(server, state, call),
        ("GET", ["composite", "sobjects", name]) | ("POST", ["composite", "sobjects", name]) => collections::retrieve(state, call, name),
        ("GET", ["composite"]) => Ok(Reply::json(200, json!({}))),
        ("GET", ["jobs", kind @ ("query" | "ingest"), rest @ ..]) => bulk::get(server, state, call, kind, rest),
        _ => return None,
    };
    Some(Reply::of(reply))
}

/// Answers any call, within `outer` when it is part of a larger transaction.
pub(crate) fn dispatch(server: &Arc<Server>, state: &mut State, call: &Call, outer: Option<&mut Transaction>) -> Reply {
    if let Some(reply) = dispatch_read(server, state, call) {
        return reply;
    }
    let path = shape(&call.path);
    let method = match call.parameter("_HttpMethod") {
        Some(method) if call.method == "POST" => method.to_uppercase(),
        _ => call.method.clone(),
    };
    let reply = match (method.as_str(), path.as_slice()) {
        ("POST", ["sobjects", name]) => rows::create(state, call, outer, name),
        ("PATCH", ["sobjects", name, id]) => rows::update(state, call, outer, name, id),
        ("DELETE", ["sobjects", name, id]) => rows::delete(state, call, outer, name, id),
        ("POST", ["sobjects", name, "Id"]) => rows::create(state, call, outer, name),
        ("PATCH", ["sobjects", name, field, value]) => rows::upsert(state, call, outer, name, field, value),
        ("DELETE", ["sobjects", name, field, value]) => rows::delete_by_external_id(state, call, outer, name, field, value),
        ("POST", ["composite"]) => composite::composite(server, state, call),
        ("POST", ["composite", "batch"]) => composite::batch(server, state, call),
        ("POST", ["composite", "graph"]) => graph::graph(server, state, call),
        ("POST", ["composite", "tree", name]) => tree::tree(state, call, outer, name),
        ("POST", ["composite", "sobjects"]) => collections::create(state, call, outer),
        ("PATCH", ["composite", "sobjects"]) => collections::update(state, call, outer),
        ("DELETE", ["composite", "sobjects"]) => collections::delete(state, call, outer),
        ("PATCH", ["composite", "sobjects", name, field]) => collections::upsert(state, call, outer, name, field),
        ("POST" | "PATCH" | "PUT" | "DELETE", ["jobs", kind @ ("query" | "ingest"), rest @ ..]) => {
            bulk::change(server, state, call, kind, rest)
        }
        (_, ["limits" | "query" | "queryAll" | "sobjects" | "composite", ..]) if method != "GET" => Err(ApiError::new(
            405,
            "METHOD_NOT_ALLOWED",
            format!("HTTP Method '{method}' not allowed. Allowed are HEAD,GET,POST,PATCH,DELETE"),
        )),
        _ => Err(ApiError::not_found()),
    };
    Reply::of(reply)
}
