//! The page *Failures*: writes that a target refuses and messages set aside, each with its reason and remedy. What was refused
//! is tried again from here once its cause is gone.

mod again;

use std::collections::BTreeSet;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::sync::side::part_name;
use super::{Region, Regions, Shell, badges, region, whole};
use crate::auth::{Principal, Scope};
use crate::clock::now_micros;
use crate::command::{self, Asked, MAX_ASKED};
use crate::error::{Error, Result};
use crate::queries::failures::{DeadLetter, FailedWrite};
use crate::queries::{self, At};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show::{self, When};

use again::Again;

/// Rows shown of each kind.
const ROWS: i64 = 100;
/// Letters of a name.
const NAME: usize = 60;

struct View {
    now: At,
    writes: Vec<(FailedWrite, Option<Again>)>,
    dead_letters: Vec<(DeadLetter, Option<Again>)>,
    failed: i64,
    dead: i64,
    /// Whether this person may try again.
    may: bool,
    problem: String,
}

impl View {
    async fn read(app: &App, principal: &Principal, rows: i64, problem: &str) -> Result<Self> {
        let (found, unfinished, dead) = tokio::try_join!(
            queries::failures::latest(&app.pool, rows),
            queries::writes::unfinished(&app.pool),
            queries::failures::dead_letters(&app.pool),
        )?;
        let asks = found.writes.iter().map(|write| &write.again).chain(found.dead_letters.iter().map(|letter| &letter.again));
        let entities: BTreeSet<&str> = asks.flatten().filter_map(|ask| ask.entity.as_deref()).collect();
        let entities: Vec<&str> = entities.into_iter().collect();
        let decisions = if entities.is_empty() { Vec::new() } else { queries::decisions::retries(&app.pool, &entities).await? };
        let now = At(now_micros());
        let again = |ask: &Option<Asked>, at: At, from: Option<&str>| {
            ask.as_ref().map(|ask| Again::new(ask, at, from, &decisions, &app.decided, now))
        };
        let write = |write: FailedWrite| {
            let again = again(&write.again, write.answered_at.unwrap_or(write.caused_at), write.sync_id.as_deref());
            (write, again)
        };
        let letter = |letter: DeadLetter| {
            let again = again(&letter.again, letter.at, None);
            (letter, again)
        };
        Ok(Self {
            now,
            writes: found.writes.into_iter().map(write).collect(),
            dead_letters: found.dead_letters.into_iter().map(letter).collect(),
            failed: unfinished.failed,
            dead,
            may: principal.may(Scope::Sync),
            problem: problem.to_owned(),
        })
    }

    fn when(&self, at: &At) -> When {
        When::new(*at, self.now)
    }

    fn part(&self, component: &str) -> String {
        show::capital(&part_name(component))
    }

    /// What people know a record by; a long name is cut.
    fn name(&self, write: &FailedWrite) -> String {
        let known = write.title.as_deref().filter(|title| !title.is_empty()).or(write.record.as_deref());
        show::shorten(known.unwrap_or(&write.entity), NAME)
    }

    fn letter(&self, letter: &DeadLetter) -> String {
        let known = letter.title.as_deref().or(letter.record.as_deref());
        known.map_or_else(|| letter.source_topic.clone(), |known| show::shorten(known, NAME))
    }

    /// `3 times since 12:04`.
    fn times(&self, letter: &DeadLetter) -> Option<String> {
        (letter.times > 1).then(|| format!("{} times, first {}", show::count(letter.times), self.when(&letter.since).ago))
    }

    fn answered(&self, write: &FailedWrite) -> When {
        When::new(write.answered_at.unwrap_or(write.caused_at), self.now)
    }

    fn again(&self) -> impl Iterator<Item = &Again> {
        self.writes.iter().filter_map(|(_, again)| again.as_ref()).chain(self.dead_letters.iter().filter_map(|(_, again)| again.as_ref()))
    }

    /// What is asked for when all that can be is to be tried again.
    fn all(&self) -> Vec<Asked> {
        again::all(self.again(), MAX_ASKED)
    }

    /// There are several, so that one button for all of them helps.
    fn several(&self) -> bool {
        self.may && self.all().len() > 1
    }
}

#[derive(Template)]
#[template(path = "failures/head.html")]
struct Head<'a> {
    v: &'a View,
}

#[derive(Template)]
#[template(path = "failures/writes.html")]
struct Writes<'a> {
    v: &'a View,
}

#[derive(Template)]
#[template(path = "failures/dead_letters.html")]
struct DeadLetters<'a> {
    v: &'a View,
}

async fn regions(app: &App, principal: &Principal, problem: &str) -> Result<Vec<Region>> {
    let (v, mut regions) = tokio::try_join!(View::read(app, principal, ROWS, problem), badges(app))?;
    let v = &v;
    regions.extend([region("head", &Head { v })?, region("writes", &Writes { v })?, region("dead-letters", &DeadLetters { v })?]);
    Ok(regions)
}

/// The page's regions as they are now, for a live update.
pub(crate) async fn live(app: &App, principal: &Principal) -> Result<Vec<Region>> {
    regions(app, principal, "").await
}

#[derive(Template)]
#[template(path = "failures.html")]
struct Failures {
    shell: Shell,
    r: Regions,
}

async fn show_page(app: &App, principal: &Principal, headers: &HeaderMap, problem: &str) -> Result<Response> {
    let r = Regions(regions(app, principal, problem).await?);
    let shell = Shell::new("Failures", "failures", headers, principal).live("/events?page=failures".into());
    whole("failures page", &Failures { shell, r })
}

/// `GET /failures`.
pub(crate) async fn page(State(app): State<Shared>, principal: Principal, headers: HeaderMap) -> Result<Response, Page> {
    Ok(show_page(&app, &principal, &headers, "").await?)
}

#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// Which failure; `all` for every one that can be.
    #[serde(default)]
    again: String,
}

/// `POST /failures/retry`: tries again what was refused, of one record or of all.
pub(crate) async fn retry(
    State(app): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    Form(form): Form<Wanted>,
) -> Result<Response, Page> {
    let asks = match form.again.as_str() {
        "all" => View::read(&app, &principal, MAX_ASKED as i64, "").await?.all(),
        one => again::asked(one).into_iter().collect(),
    };
    match decide(&app, &principal, &asks).await {
        Ok(()) => Ok(Redirect::to("/failures").into_response()),
        Err(error @ (Error::Refused { .. } | Error::Missing { .. })) => {
            let problem = format!("{} {}", error.message(), error.remedy());
            let mut page = show_page(&app, &principal, &headers, &problem).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Decides each, and says what the first was refused for that was.
async fn decide(app: &App, principal: &Principal, asks: &[Asked]) -> Result<()> {
    if asks.is_empty() {
        return Err(Error::Refused {
            code: "nothing_chosen",
            message: "Nothing here can be tried again now, so nothing was decided.".into(),
            remedy: "What was decided a moment ago is being carried out.".into(),
        });
    }
    let batch = command::batch_of(None, asks.len())?;
    let answers = command::ask(app, principal, asks, batch.as_deref()).await?;
    let mut problem = Ok(());
    for (ask, answer) in asks.iter().zip(answers) {
        match answer {
            Ok(decision) => app.decided.remember_undo(again::name(ask), decision.id),
            Err(error) => problem = problem.and(Err(error)),
        }
    }
    problem
}
