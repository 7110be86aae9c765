//! Taking one write back: what would be written, field by field, and then how far it has come.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Region, Regions, Shell, badges, region, whole};
use crate::auth::{Principal, Scope};
use crate::clock::now_micros;
use crate::command::{self, Asked};
use crate::error::{Error, Result};
use crate::live::Watched;
use crate::queries::At;
use crate::queries::decisions::{self, Decision};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show::{self, Shown, When, shown};
use crate::undo::{Item, What, plan};

/// A column that gets another value.
struct ChangeView {
    side: String,
    side_name: &'static str,
    name: String,
    column: String,
    now: Shown,
    then: Shown,
}

struct View {
    action: String,
    item: Item,
    when: When,
    changes: Vec<ChangeView>,
    /// The undo that was decided, if any; the newest.
    decision: Option<Decided>,
    /// It has been decided, and the read model does not show it yet.
    taken: bool,
    /// It can be decided (again).
    possible: bool,
    may_force: bool,
    problem: String,
}

struct Decided {
    actor: String,
    when: When,
    class: &'static str,
    icon: &'static str,
    words: String,
    reason: String,
}

impl Decided {
    fn new(decision: &Decision, now: At) -> Self {
        let (class, icon, words) = match decision.result.as_deref() {
            None => ("run", "run", "Decided, being carried out"),
            Some("waiting") => ("run", "clock", "Decided, waiting"),
            Some("refused") => ("bad", "x", "Refused"),
            Some("unchanged") => ("ok", "okc", "Nothing had to be written"),
            Some(_) if decision.writes_failed > 0 => ("bad", "x", "A side refuses the value"),
            Some(_) if decision.done => ("ok", "okc", "Taken back and confirmed"),
            Some(_) => ("run", "run", "Being written"),
        };
        Self {
            actor: decision.actor.clone(),
            when: When::calm(decision.at, now),
            class,
            icon,
            words: words.to_owned(),
            reason: show::sentence(&decision.reason),
        }
    }
}

#[derive(Template)]
#[template(path = "undo/write.html")]
struct WriteRegion<'a> {
    v: &'a View,
}

async fn regions(app: &App, principal: &Principal, id: &str, problem: &str) -> Result<Vec<Region>> {
    let now = At(now_micros());
    let filter = decisions::Filter { write: Some(id.to_owned()), ..decisions::Filter::default() };
    let what = What::Write(id.to_owned());
    let (plan, decided) = tokio::try_join!(plan(app, &what), decisions::list(&app.pool, &filter, 1))?;
    let item = plan.items.into_iter().next().ok_or(Error::Missing { what: "confirmed write of this id" })?;
    let decision = decided.first();
    // The read model shows a decision a moment after it was taken; until then it is not offered again.
    let taken = app.decided.undo_of(id, decision.map(|decision| decision.id.as_str()));
    let changes = item
        .changes
        .iter()
        .map(|change| ChangeView {
            side_name: show::side_name(&change.side),
            side: change.side.clone(),
            name: show::capital(&if change.field.is_empty() { change.column.clone() } else { change.field.replace('_', " ") }),
            column: change.column.clone(),
            now: shown(Some(&change.now)),
            then: shown(Some(&change.then)),
        })
        .collect();
    let view = View {
        action: format!("/changes/{}/undo", show::path_escape(id)),
        when: When::calm(item.at, now),
        possible: item.ask.is_some() && !taken && decision.is_none_or(Decision::refused),
        taken,
        changes,
        item,
        decision: decision.map(|decision| Decided::new(decision, now)),
        may_force: principal.may(Scope::Admin),
        problem: problem.to_owned(),
    };
    let mut regions = badges(app).await?;
    regions.push(region("write", &WriteRegion { v: &view })?);
    Ok(regions)
}

/// The page's regions as they are now, for a live update.
pub(crate) async fn live(app: &App, principal: &Principal, watched: &Watched) -> Result<Vec<Region>> {
    regions(app, principal, watched.entity.as_deref().unwrap_or_default(), "").await
}

#[derive(Template)]
#[template(path = "undo.html")]
struct Undo {
    shell: Shell,
    r: Regions,
}

async fn show_page(app: &App, principal: &Principal, headers: &HeaderMap, id: &str, problem: &str) -> Result<Response> {
    let r = Regions(regions(app, principal, id, problem).await?);
    let shell = Shell::new("Undo a write", "sync", headers, principal).live(format!("/events?page=undo&entity={}", show::query_escape(id)));
    whole("undo page", &Undo { shell, r })
}

/// `GET /changes/{id}/undo`.
pub(crate) async fn page(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Page> {
    Ok(show_page(&app, &principal, &headers, &id, "").await?)
}

#[derive(Deserialize)]
pub(crate) struct Confirm {
    #[serde(default)]
    force: Option<String>,
}

/// `POST /changes/{id}/undo`.
pub(crate) async fn undo(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(form): Form<Confirm>,
) -> Result<Response, Page> {
    let asked = Asked { action: "undo".into(), write: Some(id.clone()), force: form.force.is_some(), ..Asked::default() };
    match command::ask(&app, &principal, &[asked], None).await?.pop() {
        Some(Ok(decision)) => {
            app.decided.remember_undo(id.clone(), decision.id);
            Ok(Redirect::to(&format!("/changes/{}/undo", show::path_escape(&id))).into_response())
        }
        Some(Err(error @ Error::Refused { .. })) => {
            let problem = format!("{} {}", error.message(), error.remedy());
            let mut page = show_page(&app, &principal, &headers, &id, &problem).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(Error::Missing { what: "decision" }.into()),
    }
}
