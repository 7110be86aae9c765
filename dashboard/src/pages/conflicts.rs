//! The page *Conflicts*: the queue, and one record with the fields that differ.

mod case;
pub(crate) mod progress;
mod queue;

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Region, Regions, Shell, badge, region, whole};
use crate::auth::Principal;
use crate::clock::now_micros;
use crate::command::{self, Wanted};
use crate::error::{Error, Result};
use crate::live::Watched;
use crate::queries::conflicts::{Conflict, Cursor, State as Which};
use crate::queries::{self, At};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show;

use case::Case;
use queue::Queue;

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
}

/// Regions, and the record they show.
async fn regions(app: &App, asked: &Asked, entity: Option<&str>, named: bool, echo: &Echo) -> Result<(Vec<Region>, Option<String>)> {
    let now = At(now_micros());
    let which = asked.which();
    let after = asked.after.as_deref().and_then(Cursor::parse);
    let (counts, rows) =
        tokio::try_join!(queries::conflicts::counts(&app.pool), queries::conflicts::list(&app.pool, which, after.as_ref(), FIELDS))?;
    let entity = entity.map(str::to_owned).or_else(|| rows.first().map(|row| row.entity.clone()));
    let case = match &entity {
        None => None,
        Some(entity) => {
            let (conflicts, writes) =
                tokio::try_join!(queries::conflicts::of_entity(&app.pool, entity), queries::writes::settling(&app.pool, entity))?;
            Case::new(conflicts, &writes, &app.decided, echo, now)
        }
    };
    let mut queue = Queue::new(rows, &counts, which, entity.as_deref(), &app.decided, FIELDS, now);
    queue.named = named;
    let shown = entity.filter(|_| case.is_some());
    let regions =
        vec![badge(&counts)?, region("queue", &QueueRegion { q: &queue })?, region("case", &CaseRegion { c: case.as_ref(), q: &queue })?];
    Ok((regions, shown))
}

/// The page's regions as they are now, for a live update.
pub(crate) async fn live(app: &App, watched: &Watched) -> Result<Vec<Region>> {
    let asked = Asked { state: watched.state.clone(), after: None };
    let entity = watched.entity.as_deref().or(watched.shown.as_deref());
    Ok(regions(app, &asked, entity, watched.entity.is_some(), &Echo::default()).await?.0)
}

#[derive(Template)]
#[template(path = "conflicts.html")]
struct Conflicts {
    shell: Shell,
    r: Regions,
    /// True when an address names a record, so that small screens show it instead of the queue.
    open: bool,
}

async fn show_page(
    app: &App,
    principal: &Principal,
    headers: &HeaderMap,
    asked: &Asked,
    entity: Option<&str>,
    echo: &Echo,
) -> Result<Response> {
    let (regions, shown) = regions(app, asked, entity, entity.is_some(), echo).await?;
    if entity.is_some() && shown.is_none() {
        return Err(Error::Missing { what: "conflict of that record" });
    }
    let mut live = format!("/events?page=conflicts&state={}", asked.which().word());
    if let Some(shown) = shown {
        live.push_str(if entity.is_some() { "&entity=" } else { "&shown=" });
        live.push_str(&show::query_escape(&shown));
    }
    // Later pages of the list would jump back to the first one.
    let live = if asked.after.is_some() { String::new() } else { live };
    let shell = Shell::new("Conflicts", "conflicts", headers, principal).live(live);
    whole("conflicts page", &Conflicts { shell, r: Regions(regions), open: entity.is_some() })
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

/// `POST /conflicts/{entity}/resolve`: `choice:<conflict>` is `crm`, `erp` or `value`, and then `value:<conflict>` has it.
/// Fields without a choice stay open.
pub(crate) async fn resolve(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, Page> {
    let mut echo = Echo::default();
    for (name, value) in form {
        match name.split_once(':') {
            Some(("choice", id)) => drop(echo.choices.insert(id.to_owned(), value)),
            Some(("value", id)) => drop(echo.values.insert(id.to_owned(), value)),
            _ => {}
        }
    }
    let conflicts = queries::conflicts::of_entity(&app.pool, &entity).await?;
    match chosen(&app, conflicts, &echo) {
        Ok(wanted) => {
            command::decide(&app, &principal.actor, wanted).await?;
            Ok(Redirect::to(&format!("/conflicts/{}", show::query_escape(&entity).replace('/', "%2F"))).into_response())
        }
        Err(error) => {
            echo.problem = format!("{} {}", error.message(), error.remedy());
            let mut page = show_page(&app, &principal, &headers, &Asked::default(), Some(&entity), &echo).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
    }
}

fn chosen(app: &App, conflicts: Vec<Conflict>, echo: &Echo) -> Result<Vec<(Conflict, Wanted)>> {
    let now = At(now_micros());
    let mut out = Vec::new();
    for conflict in conflicts {
        let value = echo.values.get(&conflict.id).filter(|value| !value.is_empty());
        let choice = match (echo.choices.get(&conflict.id), value) {
            (Some(choice), _) => choice.as_str(),
            // A value typed in says what is meant even when its button was not pressed.
            (None, Some(_)) => "value",
            (None, None) => continue,
        };
        if !conflict.open() || app.decided.about(&conflict, now).is_some() {
            continue;
        }
        let wanted = command::wanted(&conflict, choice, value.map(|value| Json::String(value.clone())).as_ref())?;
        out.push((conflict, wanted));
    }
    if out.is_empty() {
        return Err(Error::Refused {
            code: "nothing_chosen",
            message: "Nothing was chosen, so nothing was decided.".into(),
            remedy: "Choose a value for at least one open field.".into(),
        });
    }
    Ok(out)
}
