//! Signing in and out.

use std::net::SocketAddr;

use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::theme;
use crate::auth::{self, Principal, is_local};
use crate::clock::now_micros;
use crate::config::{ADMIN, Secret};
use crate::error::Error;
use crate::metrics::metrics;
use crate::respond::Page;
use crate::server::Shared;
use crate::{assets, show};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    theme: &'static str,
    next: String,
    problem: String,
}

impl Login {
    fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

fn local(next: &str) -> String {
    if is_local(next) { next.to_owned() } else { "/".to_owned() }
}

fn render(headers: &HeaderMap, next: &str, problem: String, status: StatusCode) -> Result<Response, Page> {
    let page = Login { theme: theme(headers), next: local(next), problem };
    let html = page.render().map_err(|source| Error::Render { what: "sign-in", source })?;
    Ok((status, Html(html)).into_response())
}

/// `GET /login`.
pub(crate) async fn page(State(app): State<Shared>, headers: HeaderMap, Query(query): Query<Next>) -> Result<Response, Page> {
    // Whoever is signed in already has no use for this page; a read model that does not answer is told after the sign-in.
    if let Ok(Some(_)) = app.auth.principal(&app.pool, &headers).await {
        return Ok(Redirect::to(&local(&query.next)).into_response());
    }
    render(&headers, &query.next, String::new(), StatusCode::OK)
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    password: Secret,
    #[serde(default)]
    next: String,
}

/// `POST /login`.
pub(crate) async fn sign_in(
    State(app): State<Shared>,
    ConnectInfo(sender): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Result<Response, Page> {
    let sender = sender.ip();
    if let Some(wait) = app.auth.limit.wait_s(sender, now_micros()) {
        let problem = format!("Too many wrong passwords. Try again in {}.", show::span(wait));
        let mut answer = render(&headers, &form.next, problem, StatusCode::TOO_MANY_REQUESTS)?;
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        return Ok(answer);
    }
    if !app.auth.verifier.check(form.password).await? {
        app.auth.limit.failed(sender, now_micros());
        metrics().sign_in_failures.inc();
        tracing::warn!(%sender, "a sign-in failed");
        return render(&headers, &form.next, "That is not the password.".into(), StatusCode::UNAUTHORIZED);
    }
    app.auth.limit.succeeded(sender);
    let token = auth::open(&app.pool, ADMIN, app.session_hours).await?;
    let mut answer = Redirect::to(&local(&form.next)).into_response();
    if let Some(cookie) = auth::cookie(&token, app.session_hours, app.https) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// `POST /logout`.
pub(crate) async fn sign_out(State(app): State<Shared>, principal: Principal) -> Result<Response, Page> {
    auth::close(&app.pool, &principal).await?;
    let mut answer = Redirect::to("/login").into_response();
    answer.headers_mut().insert(header::SET_COOKIE, auth::clear_cookie());
    Ok(answer)
}
