//! The page *Matches*: pairs of records that may stand for the same thing, side by side, with what speaks for and against.

mod last;
mod pair;
mod queue;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::triage::Triage;
use super::{Region, badges, region};
use crate::auth::{Principal, Scope, is_local};
use crate::clock::now_micros;
use crate::command::{self, Asked};
use crate::error::{Error, Result};
use crate::live::Watched;
use crate::queries::conflicts::Cursor;
use crate::queries::matches::State as Which;
use crate::queries::{self, At};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show;

use last::Last;
use pair::Pair;
use queue::Queue;

/// Matches read for the queue at once.
const ROWS: i64 = 100;

/// What the address asks for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    after: Option<String>,
}

impl Wanted {
    fn which(&self) -> Which {
        self.state.as_deref().and_then(Which::parse).unwrap_or_default()
    }

    fn kind(&self) -> Option<&str> {
        self.kind.as_deref().filter(|kind| !kind.is_empty())
    }

    /// The part of an address that keeps the filters.
    fn suffix(&self) -> String {
        let mut parts = Vec::new();
        if self.which() == Which::Answered {
            parts.push("state=answered".to_owned());
        }
        if let Some(kind) = self.kind() {
            parts.push(format!("kind={}", show::query_escape(kind)));
        }
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }
}

/// The address of a match.
fn address(id: &str) -> String {
    format!("/matches/{}", show::path_escape(id))
}

#[derive(Template)]
#[template(path = "matches/queue.html")]
struct QueueRegion<'a> {
    q: &'a Queue,
}

#[derive(Template)]
#[template(path = "matches/pair.html")]
struct PairRegion<'a> {
    p: Option<&'a Pair>,
    q: &'a Queue,
    last: Option<&'a Last>,
    problem: &'a str,
    /// Whether this person may answer.
    may: bool,
}

/// Regions, and the match they show.
async fn regions(
    app: &App,
    principal: &Principal,
    wanted: &Wanted,
    id: Option<&str>,
    named: bool,
    problem: &str,
) -> Result<(Vec<Region>, Option<String>)> {
    let now = At(now_micros());
    let after = wanted.after.as_deref().and_then(Cursor::parse);
    command::catch_up(app).await?;
    let (counts, rows, last) = tokio::try_join!(
        queries::matches::counts(&app.pool),
        queries::matches::list(&app.pool, wanted.which(), wanted.kind(), after.as_ref(), ROWS),
        last::last(app, &principal.actor, now),
    )?;
    let id = id.map(str::to_owned).or_else(|| {
        // The first that nobody has answered a moment ago.
        let waiting = rows.iter().find(|row| app.decided.about_match(&row.id, row.open(), now).is_none());
        waiting.or(rows.first()).map(|row| row.id.clone())
    });
    let shown = match &id {
        Some(id) => match rows.iter().find(|row| row.id == *id) {
            Some(row) => Some(row.clone()),
            None => queries::matches::one(&app.pool, id).await?,
        },
        None => None,
    };
    let queue = Queue::new(&rows, &counts, wanted, shown.as_ref().map(|row| row.id.as_str()), named, &app.decided, ROWS, now);
    let pair = match &shown {
        Some(row) => {
            let undone = match &row.decision {
                Some(decision) if !row.open() => last::taken_back(app, decision).await?,
                _ => false,
            };
            Some(Pair::new(row, app.decided.about_match(&row.id, row.open(), now), undone, now))
        }
        None => None,
    };
    let case = PairRegion { p: pair.as_ref(), q: &queue, last: last.as_ref(), problem, may: principal.may(Scope::Sync) };
    let mut regions = badges(app).await?;
    regions.push(region("queue", &QueueRegion { q: &queue })?);
    regions.push(region("case", &case)?);
    Ok((regions, shown.map(|row| row.id)))
}

/// The page's regions as they are now, for a live update.
pub(crate) async fn live(app: &App, principal: &Principal, watched: &Watched) -> Result<Vec<Region>> {
    let wanted = Wanted { state: watched.state.clone(), kind: watched.kind.clone(), after: None };
    let id = watched.entity.as_deref().or(watched.shown.as_deref());
    Ok(regions(app, principal, &wanted, id, watched.entity.is_some(), "").await?.0)
}

async fn show_page(
    app: &App,
    principal: &Principal,
    headers: &HeaderMap,
    wanted: &Wanted,
    id: Option<&str>,
    problem: &str,
) -> Result<Response> {
    let (regions, shown) = regions(app, principal, wanted, id, id.is_some(), problem).await?;
    if id.is_some() && shown.is_none() {
        return Err(Error::Missing { what: "possible match of that name" });
    }
    let mut filter = format!("state={}", wanted.which().word());
    if let Some(kind) = wanted.kind() {
        filter.push_str("&kind=");
        filter.push_str(&show::query_escape(kind));
    }
    let (later, named) = (wanted.after.is_some(), id.is_some());
    Triage { title: "Matches", at: "matches", filter, later, named, shown, regions }.page(headers, principal)
}

/// `GET /matches`: the queue and the newest match of it.
pub(crate) async fn first(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Page> {
    Ok(show_page(&app, &principal, &headers, &wanted, None, "").await?)
}

/// `GET /matches/{id}`.
pub(crate) async fn page(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Page> {
    Ok(show_page(&app, &principal, &headers, &wanted, Some(&id), "").await?)
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    answer: String,
    /// The page to go to when the answer is taken.
    #[serde(default)]
    next: String,
}

/// `POST /matches/{id}/answer`: `answer` is `same` or `distinct`.
pub(crate) async fn answer(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<Answer>,
) -> Result<Response, Page> {
    let asked = match form.answer.as_str() {
        action @ ("same" | "distinct") => Ok(Asked { action: action.into(), review: Some(id.clone()), ..Asked::default() }),
        _ => Err(Error::Refused {
            code: "nothing_chosen",
            message: "Nothing was chosen, so nothing was decided.".into(),
            remedy: "Say whether the two are the same.".into(),
        }),
    };
    let next = if form.next.starts_with("/matches") && is_local(&form.next) { form.next } else { address(&id) };
    act(&app, &principal, &headers, asked, Some(&id), &next).await
}

#[derive(Deserialize)]
pub(crate) struct TakeBack {
    #[serde(default)]
    of: String,
}

/// `POST /matches/undo`: takes an answer back.
pub(crate) async fn take_back(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Form(form): Form<TakeBack>,
) -> Result<Response, Page> {
    // Back to the match that it was about.
    let review = match app.decided.match_of(&form.of) {
        Some(review) => Some(review),
        None => queries::decisions::one(&app.pool, &form.of).await?.and_then(|found| Some(format!("{}~{}", found.entity, found.other?))),
    };
    let next = review.as_deref().map_or_else(|| "/matches".to_owned(), address);
    let asked = Asked { action: "unmatch".into(), of: Some(form.of), ..Asked::default() };
    act(&app, &principal, &headers, Ok(asked), review.as_deref(), &next).await
}

async fn act(
    app: &App,
    principal: &Principal,
    headers: &HeaderMap,
    asked: Result<Asked>,
    id: Option<&str>,
    next: &str,
) -> Result<Response, Page> {
    let done = match asked {
        Ok(asked) => command::ask(app, principal, &[asked], None).await?.pop().unwrap_or(Err(Error::Missing { what: "decision" })),
        Err(error) => Err(error),
    };
    match done {
        Ok(_) => Ok(Redirect::to(next).into_response()),
        Err(error @ Error::Refused { .. }) => {
            let problem = format!("{} {}", error.message(), error.remedy());
            let mut page = show_page(app, principal, headers, &Wanted::default(), id, &problem).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
        Err(error) => Err(error.into()),
    }
}
