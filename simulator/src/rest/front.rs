//! Where every HTTP request enters: service time, faults, sign-in, then the dispatch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::listener::Connection;
use super::{Call, Content, Reply, Server, admin, describe, dispatch, dispatch_read, login, page};
use crate::error::ApiError;
use crate::org::{Actor, rest_origin};

/// Bulk uploads are the largest bodies.
const BODY_BYTES: usize = 160 * 1024 * 1024;

/// Answers one request.
pub(crate) async fn handle(
    Shared(server): Shared<Arc<Server>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return respond(Reply::error(&ApiError::new(413, "REQUEST_TOO_LARGE", "the request body is too large or was cut off")));
    };
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let method = head.method.as_str().to_owned();
    if path.starts_with("/simulator/") {
        return respond(admin::handle(&server, &method, &path, &body));
    }
    if path.starts_with("/services/oauth2/") || path.starts_with("/services/Soap/") || path.starts_with("/id/") {
        return respond(login::handle(&server, &method, &path, &query, &head.headers, &body));
    }
    if !path.starts_with("/services/") {
        return respond(page::handle(&server, &method, &path, &query, &head.headers, &body));
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed == "/services/data" {
        return respond(Reply::json(200, describe::versions()));
    }
    if server.live.take(|live| &mut live.drop_before_next) {
        connection.cut();
        return respond(Reply::empty(500));
    }
    let mut reply = data_call(&server, &connection, method, &path, &query, &head.headers, body).await;
    let used = server.calls.load(Ordering::Relaxed);
    let limit = server.live.read(|live| live.daily_api_requests);
    reply = reply.with("sforce-limit-info", format!("api-usage={used}/{limit}"));
    respond(reply)
}

async fn data_call(
    server: &Arc<Server>,
    connection: &Connection,
    method: String,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: bytes::Bytes,
) -> Reply {
    server.calls.fetch_add(1, Ordering::Relaxed);
    let (latency_ms, after_ms, per_record_us) =
        server.live.read(|live| (live.latency_ms, live.latency_after_ms, live.latency_per_record_us));
    pause(Duration::from_millis(latency_ms)).await;
    if let Some(reply) = refused(server) {
        return reply;
    }
    let Some(rest) = path.strip_prefix("/services/data/v") else { return Reply::error(&ApiError::not_found()) };
    let mut segments = rest.split('/').filter(|segment| !segment.is_empty()).map(decode);
    let version = segments.next().unwrap_or_default();
    if !known_version(&version) {
        return Reply::error(&ApiError::not_found());
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = header("authorization").and_then(|value| value.split_once(' ')).map(|(_, token)| token.trim());
    let Some(user) = token.and_then(|token| server.sessions.user(token, server.settings.clock.now_ms())) else {
        return Reply::error(&ApiError::new(401, "INVALID_SESSION_ID", "Session expired or invalid"));
    };
    let path: Vec<String> = segments.collect();
    let client = header("sforce-call-options")
        .and_then(client_of)
        .filter(|_| path.first().is_none_or(|first| first != "composite") || server.live.read(|live| live.client_in_composite_origin));
    let api = if path.first().is_some_and(|first| first == "jobs") { "bulkapi" } else { "rest" };
    let call = Call {
        method,
        path,
        query: pairs(query),
        headers: headers
            .iter()
            .filter_map(|(name, value)| value.to_str().ok().map(|value| (name.as_str().to_owned(), value.to_owned())))
            .collect(),
        body,
        actor: Actor { user, origin: rest_origin(api, &version, client), restricted: true },
        version,
    };
    let shared = Arc::clone(server);
    let run = move || {
        if call.method == "GET" || call.method == "HEAD" {
            let state = shared.org.read();
            let reply = dispatch_read(&shared, &state, &call).unwrap_or_else(|| Reply::error(&ApiError::not_found()));
            return (reply, 0, false);
        }
        let mut state = shared.org.write();
        let (commits, written) = (state.commit_number, state.written);
        let reply = dispatch(&shared, &mut state, &call, None);
        (reply, state.written - written, state.commit_number != commits)
    };
    // A query may look at every record; the threads of the runtime are for short work.
    let (reply, written, committed) = match tokio::task::spawn_blocking(run).await {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(error = %error, "a call failed inside the simulator");
            return Reply::error(&ApiError::new(
                500,
                "UNKNOWN_EXCEPTION",
                "An unexpected error occurred. Please include this ErrorId if you contact support.",
            ));
        }
    };
    pause(Duration::from_millis(after_ms) + Duration::from_micros(per_record_us * written)).await;
    if committed && server.live.take(|live| &mut live.drop_after_commit_next) {
        connection.cut();
    }
    reply
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn refused(server: &Server) -> Option<Reply> {
    let retry_after = |reply: Reply| match server.live.read(|live| live.retry_after_s) {
        Some(seconds) => reply.with("retry-after", seconds.to_string()),
        None => reply,
    };
    if server.live.take(|live| &mut live.unauthorized_next) {
        return Some(Reply::error(&ApiError::new(401, "INVALID_SESSION_ID", "Session expired or invalid")));
    }
    if server.live.take(|live| &mut live.too_many_requests_next) {
        return Some(retry_after(Reply::error(&ApiError::new(429, "REQUEST_LIMIT_EXCEEDED", "Too many requests."))));
    }
    if server.live.take(|live| &mut live.unavailable_next) {
        return Some(retry_after(Reply::error(&ApiError::new(
            503,
            "SERVER_UNAVAILABLE",
            "The server is temporarily unavailable. Please try again.",
        ))));
    }
    let (exhausted, limit) = server.live.read(|live| (live.quota_exhausted, live.daily_api_requests));
    if exhausted || server.calls.load(Ordering::Relaxed) > limit {
        return Some(Reply::error(&ApiError::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")));
    }
    None
}

fn known_version(version: &str) -> bool {
    version.strip_suffix(".0").and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| (31..=67).contains(&major))
}

/// Turns a reply into HTTP.
pub(crate) fn respond(reply: Reply) -> Response {
    let (kind, body) = match reply.body {
        Content::Nothing => (None, Body::empty()),
        Content::Json(json) => (Some("application/json;charset=UTF-8"), Body::from(serde_json::to_vec(&json).unwrap_or_default())),
        Content::Text(kind, text) => (Some(kind), Body::from(text)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert("content-type", HeaderValue::from_static(kind));
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    response
}

/// The `client=` of a `Sforce-Call-Options` header.
pub(crate) fn client_of(options: &str) -> Option<&str> {
    options.split([',', ';']).find_map(|option| option.trim().strip_prefix("client=")).map(str::trim).filter(|client| !client.is_empty())
}

/// Decodes percent escapes; `+` stays.
pub(crate) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The pairs of a query string or a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// The error body of OAuth.
pub(crate) fn oauth_error(error: &str, description: &str) -> Reply {
    Reply::json(400, json!({"error": error, "error_description": description}))
}
