//! The page *Sync*: what both sides are doing, what flows between them, what needs a person.

mod changes;
mod headline;
pub(crate) mod side;

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::{Region, Regions, Shell, badges, region, whole};
use crate::auth::{Principal, Scope};
use crate::clock::now_micros;
use crate::command;
use crate::error::Result;
use crate::queries::conflicts::Counts;
use crate::queries::flow::Flow;
use crate::queries::health::Component;
use crate::queries::pipeline::{Receivables, Stage};
use crate::queries::setting::Setting;
use crate::queries::writes::Unfinished;
use crate::queries::{self, At};
use crate::respond::Page;
use crate::server::{App, Shared};
use crate::show::{self, Tide, When};

use changes::ChangeView;
use headline::Headline;
use side::{Check, SideView};

/// Changes shown.
const CHANGES: i64 = 12;

/// Everything the page and `GET /api/crm/status` need, read at one time.
pub(crate) struct Facts {
    pub(crate) now: At,
    pub(crate) components: Vec<Component>,
    pub(crate) flow: Flow,
    pub(crate) unfinished: Unfinished,
    pub(crate) counts: Counts,
    pub(crate) dead_letters: i64,
    pub(crate) pause: Option<Setting>,
    /// A pause or its end that the read model does not show yet.
    pub(crate) pause_to_come: Option<bool>,
}

impl Facts {
    pub(crate) async fn read(app: &App) -> Result<Self> {
        let now = At(now_micros());
        let pool = &app.pool;
        let (components, flow, unfinished, counts, dead_letters, pause) = tokio::try_join!(
            queries::health::all(pool),
            queries::flow::last_hour(pool, now),
            queries::writes::unfinished(pool),
            queries::conflicts::counts(pool),
            queries::failures::dead_letters(pool),
            queries::setting::pause(pool),
        )?;
        let pause_to_come = app.decided.pause_to_come(pause.as_ref());
        Ok(Self { now, components, flow, unfinished, counts, dead_letters, pause, pause_to_come })
    }

    /// What did not get across.
    pub(crate) fn failed(&self) -> i64 {
        self.unfinished.failed + self.dead_letters
    }

    pub(crate) fn in_flight(&self) -> i64 {
        self.unfinished.crm.total() + self.unfinished.erp.total()
    }

    pub(crate) fn paused(&self) -> bool {
        self.pause.as_ref().is_some_and(Setting::paused)
    }

    pub(crate) fn headline(&self) -> Headline {
        Headline::new(self)
    }
}

struct View {
    facts: Facts,
    headline: Headline,
    crm: SideView,
    erp: SideView,
    tide: Tide,
    checks: Vec<Check>,
    changes: Vec<ChangeView>,
    stages: Vec<Stage>,
    all: Option<Stage>,
    receivables: Receivables,
    oldest_conflict: String,
    as_of: Option<When>,
    /// Whether this person may take writes back.
    may: bool,
}

impl View {
    async fn read(app: &App, principal: &Principal) -> Result<Self> {
        let receivables = {
            let pool = app.pool.clone();
            app.receivables.get(async move { queries::pipeline::receivables(&pool).await })
        };
        let (facts, changes, stages, receivables) = tokio::try_join!(
            Facts::read(app),
            queries::audit::latest(&app.pool, CHANGES),
            queries::pipeline::stages(&app.pool),
            receivables
        )?;
        let now = facts.now;
        let (all, stages): (Vec<Stage>, Vec<Stage>) = stages.into_iter().partition(|stage| stage.stage == "all");
        let all = all.into_iter().next();
        Ok(Self {
            headline: facts.headline(),
            crm: SideView::new("crm", &facts.components, &facts.unfinished.crm, now),
            erp: SideView::new("erp", &facts.components, &facts.unfinished.erp, now),
            tide: Tide::new(&facts.flow),
            checks: side::checks(&facts),
            changes: changes.into_iter().map(|change| ChangeView::new(change, now)).collect(),
            oldest_conflict: facts.counts.oldest.map(|at| When::calm(at, now).ago).unwrap_or_default(),
            as_of: [all.as_ref().map(|all| all.at), receivables.at].into_iter().flatten().max().map(|at| When::calm(at, now)),
            stages,
            all,
            receivables,
            facts,
            may: principal.may(Scope::Sync),
        })
    }

    fn latency(value: Option<u32>) -> String {
        value.map_or_else(|| "–".into(), |value| show::millis(i64::from(value)))
    }

    fn p50(&self, side: &str) -> String {
        Self::latency(if side == "crm" { self.facts.flow.to_crm.p50_ms } else { self.facts.flow.to_erp.p50_ms })
    }

    fn p95(&self, side: &str) -> String {
        Self::latency(if side == "crm" { self.facts.flow.to_crm.p95_ms } else { self.facts.flow.to_erp.p95_ms })
    }

    fn confirmed(&self) -> String {
        show::count(self.facts.flow.to_crm.confirmed() + self.facts.flow.to_erp.confirmed())
    }

    fn passing(&self) -> usize {
        self.checks.iter().filter(|check| check.passes).count()
    }

    fn overdue(&self) -> bool {
        self.receivables.overdue.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
    }

    fn conflicts_found(&self) -> i64 {
        self.facts.flow.to_crm.conflicts() + self.facts.flow.to_erp.conflicts()
    }
}

macro_rules! part {
    ($name:ident, $path:tt) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            v: &'a View,
        }
    };
}
part!(Head, "sync/head.html");
part!(Bridge, "sync/bridge.html");
part!(Stats, "sync/stats.html");
part!(Figures, "sync/figures.html");
part!(Changes, "sync/changes.html");
part!(Pipeline, "sync/pipeline.html");
part!(Health, "sync/health.html");

/// The page's regions as they are now.
pub(crate) async fn regions(app: &App, principal: &Principal) -> Result<Vec<Region>> {
    let v = &View::read(app, principal).await?;
    let mut regions = badges(app).await?;
    regions.extend([
        region("head", &Head { v })?,
        region("bridge", &Bridge { v })?,
        region("stats", &Stats { v })?,
        region("figures", &Figures { v })?,
        region("changes", &Changes { v })?,
        region("pipeline", &Pipeline { v })?,
        region("health", &Health { v })?,
    ]);
    Ok(regions)
}

#[derive(Template)]
#[template(path = "sync.html")]
struct Sync {
    shell: Shell,
    r: Regions,
}

/// `GET /`.
pub(crate) async fn page(State(app): State<Shared>, principal: Principal, headers: HeaderMap) -> Result<Response, Page> {
    let r = Regions(regions(&app, &principal).await?);
    let shell = Shell::new("Sync", "sync", &headers, &principal).live("/events?page=sync".into());
    Ok(whole("sync page", &Sync { shell, r })?)
}

/// `POST /pause`.
pub(crate) async fn pause(State(app): State<Shared>, principal: Principal) -> Result<Response, Page> {
    command::pause(&app, &principal.actor, true).await?;
    Ok(Redirect::to("/").into_response())
}

/// `POST /resume`.
pub(crate) async fn resume(State(app): State<Shared>, principal: Principal) -> Result<Response, Page> {
    command::pause(&app, &principal.actor, false).await?;
    Ok(Redirect::to("/").into_response())
}
