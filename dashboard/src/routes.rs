//! The table of routes: every address with its method and the scope it asks for. The router is made from
//! it, so a route without an entry does not exist, and one with a scope cannot be reached without it.

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::auth::{Scope, guard};
use crate::server::Shared;
use crate::{api, assets, health, live, pages};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Open,
    /// Whoever has this scope.
    Scope(Scope),
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET` or `POST`.
    pub method: Method,
    /// Address; parts in braces are filled in.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

const OPEN: Access = Access::Open;
const READ: Access = Access::Scope(Scope::Read);
const SYNC: Access = Access::Scope(Scope::Sync);

fn routes() -> Vec<(RouteInfo, MethodRouter<Shared>)> {
    let see = |path, access, handler| (RouteInfo { method: Method::GET, path, access }, handler);
    let act = |path, access, handler| (RouteInfo { method: Method::POST, path, access }, handler);
    vec![
        see("/", READ, get(pages::sync::page)),
        see("/conflicts", READ, get(pages::conflicts::first)),
        see("/conflicts/{entity}", READ, get(pages::conflicts::page)),
        act("/conflicts/{entity}/resolve", SYNC, post(pages::conflicts::resolve)),
        act("/conflicts/{entity}/restore", SYNC, post(pages::conflicts::restore)),
        see("/matches", READ, get(pages::matches::first)),
        see("/matches/{id}", READ, get(pages::matches::page)),
        act("/matches/{id}/answer", SYNC, post(pages::matches::answer)),
        act("/matches/undo", SYNC, post(pages::matches::take_back)),
        see("/changes/{id}/undo", SYNC, get(pages::undo::page)),
        act("/changes/{id}/undo", SYNC, post(pages::undo::undo)),
        see("/failures", READ, get(pages::failures::page)),
        act("/failures/retry", SYNC, post(pages::failures::retry)),
        act("/pause", SYNC, post(pages::sync::pause)),
        act("/resume", SYNC, post(pages::sync::resume)),
        see("/events", READ, get(live::events)),
        see("/login", OPEN, get(pages::login::page)),
        act("/login", OPEN, post(pages::login::sign_in)),
        act("/logout", READ, post(pages::login::sign_out)),
        see("/assets/{name}", OPEN, get(assets::get)),
        see("/health", OPEN, get(health::health)),
        see("/metrics", OPEN, get(health::metrics)),
        see("/api/crm/status", READ, get(api::status)),
        see("/api/crm/flow", READ, get(api::flow)),
        see("/api/crm/conflicts", READ, get(api::conflicts)),
        see("/api/crm/conflicts/{id}", READ, get(api::conflict)),
        act("/api/crm/conflicts/{id}/resolve", SYNC, post(api::resolve)),
        see("/api/crm/conflicts/{id}/alike", READ, get(api::alike)),
        see("/api/crm/decisions", READ, get(api::decisions::list)),
        act("/api/crm/decisions", SYNC, post(api::decisions::decide)),
        see("/api/crm/decisions/{id}", READ, get(api::decisions::one)),
        see("/api/crm/batches/{id}", READ, get(api::decisions::batch)),
        see("/api/crm/matches", READ, get(api::matches::list)),
        see("/api/crm/matches/{id}", READ, get(api::matches::one)),
        see("/api/crm/undo", READ, get(api::undo::preview)),
        see("/api/crm/changes", READ, get(api::changes)),
        see("/api/crm/failures", READ, get(api::failures)),
        see("/api/crm/pipeline", READ, get(api::pipeline)),
        act("/api/crm/pause", SYNC, post(api::pause)),
        act("/api/crm/resume", SYNC, post(api::resume)),
    ]
}

/// The table, for tests and documents.
pub fn table() -> Vec<RouteInfo> {
    routes().into_iter().map(|(info, _)| info).collect()
}

/// All routes, each behind its guard.
pub(crate) fn router(app: &Shared) -> Router {
    let router = routes().into_iter().fold(Router::new(), |router, (info, handler)| {
        router.route(info.path, handler.layer(from_fn_with_state((app.clone(), info.access), guard)))
    });
    router.fallback(pages::missing).with_state(app.clone())
}

/// Routes that the embedding program adds, open or behind a guard of their own.
pub(crate) fn extra(app: &Shared, extra: Router, open: bool) -> Router {
    let access = if open { OPEN } else { READ };
    extra.layer(from_fn_with_state((app.clone(), access), guard))
}
