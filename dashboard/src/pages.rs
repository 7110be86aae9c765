//! The pages. Each is made of regions that are rendered alike for the first answer and for live updates.

pub(crate) mod conflicts;
pub(crate) mod failures;
pub(crate) mod login;
pub(crate) mod matches;
pub(crate) mod sync;
mod triage;
pub(crate) mod undo;

use askama::Template;
use askama::filters::HtmlSafeOutput;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};

use crate::auth::{Principal, cookie_of};
use crate::error::{Error, Result};
use crate::live::Watched;
use crate::queries;
use crate::server::App;
use crate::{assets, respond, show};

/// A part of a page that is replaced as a whole; `html` is one element with this id.
pub(crate) struct Region {
    pub(crate) id: &'static str,
    pub(crate) html: String,
}

/// Renders one.
pub(crate) fn region(id: &'static str, template: &impl Template) -> Result<Region> {
    let html = template.render().map_err(|source| Error::Render { what: id, source })?;
    Ok(Region { id, html })
}

/// The regions of a page, by id.
pub(crate) struct Regions(Vec<Region>);

impl Regions {
    pub(crate) fn get(&self, id: &str) -> HtmlSafeOutput<&str> {
        HtmlSafeOutput(self.0.iter().find(|region| region.id == id).map_or("", |region| region.html.as_str()))
    }
}

/// What stands around every page.
pub(crate) struct Shell {
    pub(crate) title: String,
    /// The entry of the navigation we are at.
    pub(crate) at: &'static str,
    pub(crate) theme: &'static str,
    pub(crate) actor: String,
    /// Where live updates come from; empty for pages that have none.
    pub(crate) live: String,
}

impl Shell {
    pub(crate) fn new(title: impl Into<String>, at: &'static str, headers: &HeaderMap, principal: &Principal) -> Self {
        Self { title: title.into(), at, theme: theme(headers), actor: principal.actor.clone(), live: String::new() }
    }

    #[must_use]
    pub(crate) fn live(mut self, address: String) -> Self {
        self.live = address;
        self
    }

    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }

    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    pub(crate) fn initials(&self) -> String {
        self.actor.chars().take(2).flat_map(char::to_uppercase).collect()
    }
}

fn theme(headers: &HeaderMap) -> &'static str {
    match cookie_of(headers, "theme") {
        Some("dark") => "dark",
        Some("light") => "light",
        _ => "system",
    }
}

#[derive(Template)]
#[template(path = "parts/badge.html")]
struct Badge {
    id: &'static str,
    open: i64,
}

/// The numbers beside "Conflicts" and "Matches" in the navigation.
pub(crate) async fn badges(app: &App) -> Result<Vec<Region>> {
    let (conflicts, matches) = tokio::try_join!(queries::conflicts::open(&app.pool), queries::matches::open(&app.pool))?;
    Ok(vec![
        region("badge", &Badge { id: "badge", open: conflicts })?,
        region("matches-badge", &Badge { id: "matches-badge", open: matches })?,
    ])
}

/// True when a page of this name is kept live.
pub(crate) fn can_watch(watched: &Watched) -> bool {
    matches!(watched.page.as_str(), "sync" | "conflicts" | "matches" | "failures" | "undo")
}

/// All regions of a page as they are now.
pub(crate) async fn regions(app: &App, principal: &Principal, watched: &Watched) -> Result<Vec<Region>> {
    match watched.page.as_str() {
        "conflicts" => conflicts::live(app, principal, watched).await,
        "matches" => matches::live(app, principal, watched).await,
        "undo" => undo::live(app, principal, watched).await,
        "failures" => failures::live(app, principal).await,
        _ => sync::regions(app, principal).await,
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct Failed<'a> {
    title: &'a str,
    message: String,
    remedy: String,
    again: bool,
}

impl Failed<'_> {
    fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

/// An error as a page. It needs nothing from the read model.
pub(crate) fn error_page(error: &Error) -> String {
    let (title, again) = match error {
        Error::Missing { .. } => ("Nothing here", false),
        Error::Refused { .. } => ("That did not work", false),
        _ => ("This page could not be read", true),
    };
    let page = Failed { title, message: error.message(), remedy: error.remedy(), again };
    page.render().unwrap_or_else(|_| show::capital("the dashboard cannot show this error; see its log"))
}

/// Whatever is not in the table of routes.
pub(crate) async fn missing(uri: axum::http::Uri) -> Response {
    let error = Error::Missing { what: "page at this address" };
    if respond::wants_json(uri.path()) {
        respond::failure(&error, true)
    } else {
        (StatusCode::NOT_FOUND, Html(error_page(&error))).into_response()
    }
}

/// Renders a whole page.
pub(crate) fn whole(what: &'static str, template: &impl Template) -> Result<Response> {
    Ok(Html(template.render().map_err(|source| Error::Render { what, source })?).into_response())
}
