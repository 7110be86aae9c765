//! Composite and Batch: several calls in one request, with references between them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::{Call, Content, Reply, Server, dispatch};
use crate::error::ApiError;
use crate::org::State;
use crate::org::transaction::Transaction;

const SUBREQUESTS: usize = 25;
const HEAVY_SUBREQUESTS: usize = 5;

/// Text of a call that was rolled back with the others.
pub(crate) const HALTED: &str = "The transaction was rolled back since another operation in the same transaction failed.";

/// One subrequest as it came.
pub(crate) struct Part {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) reference: String,
    pub(crate) body: Json,
    pub(crate) headers: Vec<(String, String)>,
}

/// `POST /composite`.
pub(crate) fn composite(server: &Arc<Server>, state: &mut State, call: &Call) -> Result<Reply, ApiError> {
    let Json::Object(body) = call.json()? else { return Err(ApiError::json("the body must be an object")) };
    let all_or_none = body.get("allOrNone").and_then(Json::as_bool).unwrap_or(false);
    let parts = parts(body.get("compositeRequest"))?;
    if parts.len() > SUBREQUESTS {
        return Err(ApiError::new(
            400,
            "LIMIT_EXCEEDED",
            format!("The number of subrequests is {}, more than the limit of {SUBREQUESTS}", parts.len()),
        ));
    }
    let heavy = parts.iter().filter(|part| part.url.contains("/query") || part.url.contains("/composite/sobjects")).count();
    if heavy > HEAVY_SUBREQUESTS {
        return Err(ApiError::new(400, "LIMIT_EXCEEDED", format!("more than {HEAVY_SUBREQUESTS} query or collection subrequests")));
    }
    let mut results = Vec::new();
    if all_or_none {
        let mut tx = state.begin(&call.actor);
        let failed = run(server, state, call, &parts, Some(&mut tx), &mut results);
        if failed {
            state.rollback_to(&mut tx, 0);
            halt(&parts, &mut results);
        }
        state.commit(tx);
    } else {
        run(server, state, call, &parts, None, &mut results);
    }
    Ok(Reply::json(200, json!({"compositeResponse": results})))
}

/// Runs parts in order; with a transaction stops at the first failure. Whether one failed.
pub(crate) fn run(
    server: &Arc<Server>,
    state: &mut State,
    call: &Call,
    parts: &[Part],
    mut tx: Option<&mut Transaction>,
    results: &mut Vec<Json>,
) -> bool {
    let mut bodies: Map<String, Json> = Map::new();
    let mut failed_references: Vec<String> = Vec::new();
    let mut any_failed = false;
    for part in parts {
        let reply = match resolve(part, &bodies, &failed_references) {
            Err(error) => Reply::error(&error),
            Ok((url, body)) => match subcall(call, part, &url, body) {
                Err(error) => Reply::error(&error),
                Ok(sub) => dispatch(server, state, &sub, tx.as_deref_mut()),
            },
        };
        let collection_failure = tx.is_some() && part.url.contains("/composite/sobjects") && failed_rows(&reply);
        let failed = !(reply.succeeded() || reply.status == 304) || collection_failure;
        let rendered = rendered(&part.reference, reply);
        if failed {
            any_failed = true;
            failed_references.push(part.reference.clone());
        } else {
            bodies.insert(part.reference.clone(), rendered["body"].clone());
        }
        results.push(rendered);
        if any_failed && tx.is_some() {
            return true;
        }
    }
    any_failed
}

/// Turns the results of a rolled back transaction into what clients see.
pub(crate) fn halt(parts: &[Part], results: &mut Vec<Json>) {
    let culprit = results.len().saturating_sub(1);
    for (place, part) in parts.iter().enumerate() {
        let halted = json!({"body": [{"errorCode": "PROCESSING_HALTED", "message": HALTED}], "httpHeaders": {}, "httpStatusCode": 400, "referenceId": part.reference});
        match results.get_mut(place) {
            Some(result) if place != culprit => *result = halted,
            Some(_) => {}
            None => results.push(halted),
        }
    }
}

/// `POST /composite/batch`.
pub(crate) fn batch(server: &Arc<Server>, state: &mut State, call: &Call) -> Result<Reply, ApiError> {
    let Json::Object(body) = call.json()? else { return Err(ApiError::json("the body must be an object")) };
    let halt = body.get("haltOnError").and_then(Json::as_bool).unwrap_or(false);
    let Some(requests) = body.get("batchRequests").and_then(Json::as_array) else { return Err(ApiError::json("batchRequests is missing")) };
    if requests.len() > SUBREQUESTS {
        return Err(ApiError::new(400, "LIMIT_EXCEEDED", format!("more than {SUBREQUESTS} subrequests")));
    }
    let (mut results, mut errors) = (Vec::new(), false);
    for request in requests {
        if errors && halt {
            results.push(json!({"statusCode": 412, "result": [{"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request parameter."}]}));
            continue;
        }
        let text = |name: &str| request.get(name).and_then(Json::as_str).unwrap_or_default();
        let url = if text("url").starts_with('/') { text("url").to_owned() } else { format!("/services/data/{}", text("url")) };
        let part = Part {
            method: text("method").to_uppercase(),
            url: url.clone(),
            reference: String::new(),
            body: Json::Null,
            headers: Vec::new(),
        };
        let reply = match subcall(call, &part, &url, request.get("richInput").cloned().unwrap_or(Json::Null)) {
            Ok(sub) => dispatch(server, state, &sub, None),
            Err(error) => Reply::error(&error),
        };
        errors |= !reply.succeeded();
        let status = reply.status;
        results.push(json!({"statusCode": status, "result": content(reply.body)}));
    }
    Ok(Reply::json(200, json!({"hasErrors": errors, "results": results})))
}

/// Reads the subrequests of a composite request or a graph.
pub(crate) fn parts(json: Option<&Json>) -> Result<Vec<Part>, ApiError> {
    let Some(items) = json.and_then(Json::as_array) else { return Err(ApiError::json("compositeRequest is missing")) };
    let mut parts: Vec<Part> = Vec::with_capacity(items.len());
    for item in items {
        let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let reference = text("referenceId");
        let well_formed = reference.chars().next().is_some_and(|c| c.is_ascii_alphanumeric())
            && reference.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            return Err(ApiError::new(400, "INVALID_INPUT", format!("Invalid reference Id value of {reference:?}")));
        }
        if parts.iter().any(|part| part.reference == reference) {
            return Err(ApiError::new(400, "INVALID_INPUT", format!("Duplicate reference Id {reference}")));
        }
        let mut headers = Vec::new();
        for (name, value) in item.get("httpHeaders").and_then(Json::as_object).into_iter().flatten() {
            let name = name.to_lowercase();
            if matches!(name.as_str(), "accept" | "authorization" | "content-type") {
                return Err(ApiError::new(400, "INVALID_INPUT", format!("httpHeaders must not include {name}")));
            }
            headers.push((name, value.as_str().unwrap_or_default().to_owned()));
        }
        parts.push(Part {
            method: text("method").to_uppercase(),
            url: text("url"),
            reference,
            body: item.get("body").cloned().unwrap_or(Json::Null),
            headers,
        });
    }
    Ok(parts)
}

fn subcall(call: &Call, part: &Part, url: &str, body: Json) -> Result<Call, ApiError> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let rest = path
        .strip_prefix("/services/data/v")
        .ok_or_else(|| ApiError::new(400, "INVALID_INPUT", format!("The url must begin with /services/data/vXX.X/: {url}")))?;
    let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
    let version = segments.next().unwrap_or_default().to_owned();
    let mut actor = call.actor.clone();
    if let Some((_, options)) = part.headers.iter().find(|(name, _)| name == "sforce-call-options")
        && let Some(client) = super::front::client_of(options)
    {
        actor.origin = crate::org::rest_origin("rest", &version, Some(client));
    }
    Ok(Call {
        method: part.method.clone(),
        path: segments.map(super::front::decode).collect(),
        query: super::front::pairs(query),
        headers: part.headers.clone(),
        body: if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) },
        version,
        actor,
    })
}

/// Puts values of earlier answers in place of `@{ref.path}`.
fn resolve(part: &Part, bodies: &Map<String, Json>, failed: &[String]) -> Result<(String, Json), ApiError> {
    let url = substitute(&part.url, bodies, failed)?;
    let mut body = part.body.clone();
    resolve_json(&mut body, bodies, failed)?;
    Ok((url, body))
}

fn resolve_json(json: &mut Json, bodies: &Map<String, Json>, failed: &[String]) -> Result<(), ApiError> {
    match json {
        Json::String(text) if text.contains("@{") => *text = substitute(text, bodies, failed)?,
        Json::Array(items) => {
            for item in items {
                resolve_json(item, bodies, failed)?;
            }
        }
        Json::Object(fields) => {
            for value in fields.values_mut() {
                resolve_json(value, bodies, failed)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn substitute(text: &str, bodies: &Map<String, Json>, failed: &[String]) -> Result<String, ApiError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let Some((expression, tail)) = after.split_once('}') else { break };
        out.push_str(before);
        let (reference, path) = expression.split_once(['.', '[']).unwrap_or((expression, ""));
        let reason = if failed.iter().any(|name| name == reference) { "failed" } else { "was not found" };
        let missing = || {
            ApiError::new(
                400,
                "PROCESSING_HALTED",
                format!("Invalid reference specified. No value for {expression} found in {reference}: the referenced subrequest {reason}"),
            )
        };
        let mut value = bodies.get(reference).ok_or_else(missing)?;
        let path = &expression[expression.len() - path.len()..];
        for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            value = match step.parse::<usize>() {
                Ok(index) => value.get(index),
                Err(_) => value.get(step),
            }
            .ok_or_else(missing)?;
        }
        out.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn failed_rows(reply: &Reply) -> bool {
    match &reply.body {
        Content::Json(Json::Array(rows)) => rows.iter().any(|row| row.get("success") == Some(&Json::Bool(false))),
        _ => false,
    }
}

/// The result of one part.
pub(crate) fn rendered(reference: &str, reply: Reply) -> Json {
    let headers: Map<String, Json> = reply
        .headers
        .iter()
        .map(|(name, value)| {
            let name = match *name {
                "location" => "Location",
                "etag" => "ETag",
                "last-modified" => "Last-Modified",
                other => other,
            };
            (name.to_owned(), json!(value))
        })
        .collect();
    json!({"body": content(reply.body), "httpHeaders": headers, "httpStatusCode": reply.status, "referenceId": reference})
}

fn content(body: Content) -> Json {
    match body {
        Content::Nothing => Json::Null,
        Content::Json(json) => json,
        Content::Text(_, text) => Json::String(text),
    }
}
