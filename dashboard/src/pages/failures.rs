//! The page *Failures*: writes that a target refuses and messages set aside, each with its reason and remedy.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::sync::side::part_name;
use super::{Region, Regions, Shell, badges, region, whole};
use crate::auth::Principal;
use crate::clock::now_micros;
use crate::error::Result;
use crate::queries::failures::{DeadLetter, FailedWrite};
use crate::queries::{self, At};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show::{self, When};

/// Rows shown of each kind.
const ROWS: i64 = 100;
/// Letters of a name.
const NAME: usize = 60;

struct View {
    now: At,
    writes: Vec<FailedWrite>,
    dead_letters: Vec<DeadLetter>,
    failed: i64,
    dead: i64,
}

impl View {
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

/// The page's regions as they are now.
pub(crate) async fn regions(app: &App) -> Result<Vec<Region>> {
    let (found, mut regions, unfinished, dead) = tokio::try_join!(
        queries::failures::latest(&app.pool, ROWS),
        badges(app),
        queries::writes::unfinished(&app.pool),
        queries::failures::dead_letters(&app.pool),
    )?;
    let v = &View { now: At(now_micros()), writes: found.writes, dead_letters: found.dead_letters, failed: unfinished.failed, dead };
    regions.extend([region("writes", &Writes { v })?, region("dead-letters", &DeadLetters { v })?]);
    Ok(regions)
}

#[derive(Template)]
#[template(path = "failures.html")]
struct Failures {
    shell: Shell,
    r: Regions,
}

/// `GET /failures`.
pub(crate) async fn page(State(app): State<Shared>, principal: Principal, headers: HeaderMap) -> Result<Response, Page> {
    let r = Regions(regions(&app).await?);
    let shell = Shell::new("Failures", "failures", &headers, &principal).live("/events?page=failures".into());
    Ok(whole("failures page", &Failures { shell, r })?)
}
