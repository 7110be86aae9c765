//! How answers look: pages for people, JSON for programs, each with its kind of error.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use crate::error::Error;
use crate::pages;

/// True for addresses that programs use.
pub(crate) fn wants_json(path: &str) -> bool {
    path.starts_with("/api/") || path == "/events"
}

/// The body of an error for programs.
pub(crate) fn error_json(error: &Error) -> Json<serde_json::Value> {
    Json(json!({ "error": { "code": error.code(), "message": error.message(), "remedy": error.remedy() } }))
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Read { .. } | Error::Publish { .. } | Error::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Refused {
            code: "conflict_settled" | "conflict_decided" | "conflict_open" | "already_answered" | "already_undone", ..
        } => StatusCode::CONFLICT,
        Error::Refused { code: "forbidden", .. } => StatusCode::FORBIDDEN,
        Error::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Missing { .. } => StatusCode::NOT_FOUND,
        Error::Config { .. } | Error::Listen { .. } | Error::Render { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error as a page or as JSON.
pub(crate) fn failure(error: &Error, program: bool) -> Response {
    failure_as(error, program, status(error))
}

/// The same with another status.
pub(crate) fn failure_as(error: &Error, program: bool, status: StatusCode) -> Response {
    if status.is_server_error() {
        tracing::warn!(%error, "a request failed");
    }
    if program { (status, error_json(error)).into_response() } else { (status, Html(pages::error_page(error))).into_response() }
}

/// What a page's handler gives: HTML, or an error that becomes a page.
pub(crate) struct Page(pub(crate) Error);

impl From<Error> for Page {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        failure(&self.0, false)
    }
}

/// What the JSON's handler gives: a body, or an error that becomes one.
pub(crate) struct Program(pub(crate) Error);

impl From<Error> for Program {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Program {
    fn into_response(self) -> Response {
        failure(&self.0, true)
    }
}
