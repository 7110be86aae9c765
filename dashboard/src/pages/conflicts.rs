//! The page *Conflicts*: the queue, and one record with the fields that differ.

mod case;
pub(crate) mod progress;
mod queue;
mod spread;

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::triage::Triage;
use super::{Region, badges, region};
use crate::auth::{Principal, Scope};
use crate::clock::now_micros;
use crate::command::{self, Asked as Decision};
use crate::error::{Error, Result};
use crate::live::Watched;
use crate::queries::conflicts::{Cursor, Filter, State as Which};
use crate::queries::{self, At};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show;

use case::{Background, Case};
use queue::Queue;
use spread::Confirm;

/// Fields read for the queue at once.
const FIELDS: i64 = 300;

/// What the address asks for.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    after: Option<String>,
}

impl Asked {
    fn which(&self) -> Which {
        self.state.as_deref().and_then(Which::parse).unwrap_or(Which::Open)
    }
}

/// What a form had chosen when it could not be taken, so that nothing typed is lost.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    problem: String,
    choices: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    /// Which other conflicts are to be decided alike: `values` or `field`.
    everywhere: BTreeMap<String, String>,
    /// Asks whether all of them are meant.
    confirm: Option<Confirm>,
}

#[derive(Template)]
#[template(path = "conflicts/queue.html")]
struct QueueRegion<'a> {
    q: &'a Queue,
}

#[derive(Template)]
#[template(path = "conflicts/case.html")]
struct CaseRegion<'a> {
    c: Option<&'a Case>,
    q: &'a Queue,
    /// Whether this person may decide.
    may: bool,
}

/// Regions, and the record they show.
async fn regions(
    app: &App,
    principal: &Principal,
    asked: &Asked,
    entity: Option<&str>,
    named: bool,
    echo: &Echo,
) -> Result<(Vec<Region>, Option<String>)> {
    let now = At(now_micros());
    let which = asked.which();
    let after = asked.after.as_deref().and_then(Cursor::parse);
    let all = Filter::default();
    command::catch_up(app).await?;
    let (counts, rows) =
        tokio::try_join!(queries::conflicts::counts(&app.pool), queries::conflicts::list(&app.pool, which, &all, after.as_ref(), FIELDS))?;
    let entity = entity.map(str::to_owned).or_else(|| rows.first().map(|row| row.entity.clone()));
    let case = match &entity {
        None => None,
        Some(entity) => {
            let pool = &app.pool;
            let (conflicts, writes, others, decisions) = tokio::try_join!(
                queries::conflicts::of_entity(pool, entity),
                queries::writes::settling(pool, entity),
                queries::conflicts::others(pool, entity),
                queries::decisions::about_conflicts(pool, entity),
            )?;
            let background = Background { writes: &writes, others: &others, decisions: &decisions };
            Case::new(conflicts, &background, &app.decided, echo, now)
        }
    };
    let mut queue = Queue::new(rows, &counts, which, entity.as_deref(), &app.decided, FIELDS, now);
    queue.named = named;
    let shown = entity.filter(|_| case.is_some());
    let mut regions = badges(app).await?;
    regions.push(region("queue", &QueueRegion { q: &queue })?);
    regions.push(region("case", &CaseRegion { c: case.as_ref(), q: &queue, may: principal.may(Scope::Sync) })?);
    Ok((regions, shown))
}

/// The page's regions as they are now, for a live update.
pub(crate) async fn live(app: &App, principal: &Principal, watched: &Watched) -> Result<Vec<Region>> {
    let asked = Asked { state: watched.state.clone(), after: None };
    let entity = watched.entity.as_deref().or(watched.shown.as_deref());
    Ok(regions(app, principal, &asked, entity, watched.entity.is_some(), &Echo::default()).await?.0)
}

async fn show_page(
    app: &App,
    principal: &Principal,
    headers: &HeaderMap,
    asked: &Asked,
    entity: Option<&str>,
    echo: &Echo,
) -> Result<Response> {
    let (regions, shown) = regions(app, principal, asked, entity, entity.is_some(), echo).await?;
    if entity.is_some() && shown.is_none() {
        return Err(Error::Missing { what: "conflict of that record" });
    }
    let filter = format!("state={}", asked.which().word());
    let (later, named) = (asked.after.is_some(), entity.is_some());
    Triage { title: "Conflicts", at: "conflicts", filter, later, named, shown, regions }.page(headers, principal)
}

/// `GET /conflicts`: the queue and the newest record of it.
pub(crate) async fn first(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Page> {
    Ok(show_page(&app, &principal, &headers, &asked, None, &Echo::default()).await?)
}

/// `GET /conflicts/{entity}`.
pub(crate) async fn page(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Page> {
    Ok(show_page(&app, &principal, &headers, &asked, Some(&entity), &Echo::default()).await?)
}

/// `POST /conflicts/{entity}/resolve`: `choice:<conflict>` is `crm`, `erp`, `both` or `value`, and then `value:<conflict>` has it;
/// `all` is a choice for every open field. `everywhere:<conflict>` is `values` or `field`: other conflicts are decided alike, once
/// `confirm` says that their number is known. Fields without a choice stay open.
pub(crate) async fn resolve(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, Page> {
    let mut echo = Echo::default();
    let (mut all, mut confirmed) = (None, None);
    for (name, value) in form {
        match name.split_once(':') {
            Some(("choice", id)) => drop(echo.choices.insert(id.to_owned(), value)),
            Some(("value", id)) => drop(echo.values.insert(id.to_owned(), value)),
            Some(("everywhere", id)) if !value.is_empty() => drop(echo.everywhere.insert(id.to_owned(), value)),
            None if name == "all" => all = Some(value),
            None if name == "confirm" => confirmed = Confirm::parse(&value),
            _ => {}
        }
    }
    command::catch_up(&app).await?;
    let conflicts = queries::conflicts::of_entity(&app.pool, &entity).await?;
    if let Some(choice) = all {
        echo.choices = conflicts.iter().filter(|one| one.open()).map(|one| (one.id.clone(), choice.clone())).collect();
    }
    let now = At(now_micros());
    let chosen = match spread::chosen(&app, conflicts, &echo, now) {
        Ok(chosen) => spread::everywhere(&app, chosen, confirmed.as_ref(), now).await,
        Err(error) => Err(error),
    };
    match chosen {
        Ok(Ok(wanted)) => {
            let batch = command::batch_of(None, wanted.len())?;
            command::settle(&app, &principal.actor, batch, wanted).await?;
            Ok(Redirect::to(&address(&entity)).into_response())
        }
        Ok(Err(confirm)) => {
            echo.confirm = Some(confirm);
            Ok(show_page(&app, &principal, &headers, &Asked::default(), Some(&entity), &echo).await?)
        }
        Err(error @ Error::Refused { .. }) => Ok(refused(&app, &principal, &headers, &entity, echo, &error).await?),
        Err(error) => Err(error.into()),
    }
}

/// The address of a record.
fn address(entity: &str) -> String {
    format!("/conflicts/{}", show::path_escape(entity))
}

/// The page again, with what was wrong and all that was entered.
async fn refused(app: &App, principal: &Principal, headers: &HeaderMap, entity: &str, mut echo: Echo, error: &Error) -> Result<Response> {
    echo.problem = format!("{} {}", error.message(), error.remedy());
    let mut page = show_page(app, principal, headers, &Asked::default(), Some(entity), &echo).await?;
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(page)
}

#[derive(Deserialize)]
pub(crate) struct Restore {
    #[serde(default)]
    restore: String,
}

/// `POST /conflicts/{entity}/restore`: `restore` is `crm:<conflict>` or `erp:<conflict>` for the value that lost there, or
/// `reopen:<conflict>`.
pub(crate) async fn restore(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Form(form): Form<Restore>,
) -> Result<Response, Page> {
    let (what, conflict) = form.restore.split_once(':').unwrap_or_default();
    let asked = Decision {
        action: if what == "reopen" { "reopen" } else { "restore" }.into(),
        conflict: Some(conflict.to_owned()),
        choice: Some(what.to_owned()),
        ..Decision::default()
    };
    match command::ask(&app, &principal, &[asked], None).await?.pop() {
        Some(Ok(decision)) => {
            app.decided.remember_undo(conflict.to_owned(), decision.id);
            Ok(Redirect::to(&address(&entity)).into_response())
        }
        Some(Err(error @ Error::Refused { .. })) => Ok(refused(&app, &principal, &headers, &entity, Echo::default(), &error).await?),
        Some(Err(error)) => Err(error.into()),
        None => Err(Error::Missing { what: "decision" }.into()),
    }
}
