//! Conditional requests on rows: ETag for Account, If-(Un)Modified-Since for every object.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Call, Reply};
use crate::error::ApiError;
use crate::org::State;
use crate::org::schema::MODIFIED_DATE;
use crate::org::time::{format_http, parse_http};
use crate::org::value::Row;

/// A 304 when what the client has is current.
pub(crate) fn before_read(state: &State, call: &Call, object: usize, number: u64, row: &Row) -> Result<Option<Reply>, ApiError> {
    let modified = modified_s(row);
    if let (Some(tags), Some(tag)) = (call.header("if-none-match"), etag(state, object, number, row)) {
        if matches(tags, &tag) {
            return Ok(Some(label(Reply::empty(304), state, object, number, row)));
        }
    } else if let Some(since) = date(call, "if-modified-since")?
        && modified <= since
    {
        return Ok(Some(label(Reply::empty(304), state, object, number, row)));
    }
    if let Some(since) = date(call, "if-unmodified-since")?
        && modified > since
    {
        return Err(failed());
    }
    Ok(None)
}

/// Refuses a write whose condition does not hold.
pub(crate) fn before_write(state: &State, call: &Call, object: usize, number: u64, row: &Row) -> Result<(), ApiError> {
    if let Some(tag) = etag(state, object, number, row)
        && (call.header("if-match").is_some_and(|tags| !matches(tags, &tag))
            || call.header("if-none-match").is_some_and(|tags| matches(tags, &tag)))
    {
        return Err(failed());
    }
    if let Some(since) = date(call, "if-unmodified-since")?
        && modified_s(row) > since
    {
        return Err(failed());
    }
    Ok(())
}

/// Adds `ETag` (Account) and `Last-Modified`.
pub(crate) fn label(reply: Reply, state: &State, object: usize, number: u64, row: &Row) -> Reply {
    let reply = reply.with("last-modified", format_http(modified_s(row) * 1000));
    match etag(state, object, number, row) {
        Some(tag) => reply.with("etag", tag),
        None => reply,
    }
}

fn etag(state: &State, object: usize, number: u64, row: &Row) -> Option<String> {
    if state.objects[object].name != "Account" {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    number.hash(&mut hasher);
    row.hash_into(&mut hasher);
    let text = STANDARD.encode(hasher.finish().to_be_bytes());
    Some(format!("\"{text}-gzip\""))
}

fn matches(header: &str, tag: &str) -> bool {
    header.trim() == "*" || header.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}

fn date(call: &Call, name: &str) -> Result<Option<i64>, ApiError> {
    match call.header(name) {
        None => Ok(None),
        Some(text) => parse_http(text)
            .map(|ms| Some(ms / 1000))
            .ok_or_else(|| ApiError::new(400, "INVALID_HEADER", format!("invalid date in {name}: {text}"))),
    }
}

fn modified_s(row: &Row) -> i64 {
    row.get(MODIFIED_DATE).datetime().unwrap_or_default().div_euclid(1000)
}

fn failed() -> ApiError {
    ApiError::new(412, "PRECONDITION_FAILED", "The record has changed since the given condition.")
}
