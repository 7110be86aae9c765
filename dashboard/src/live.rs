//! Keeps pages live: Postgres says that something has changed, and every open page gets the regions
//! that look different now.
//!
//! Notifications are coalesced to at most four renderings a second; every few seconds pages are rendered
//! anyway, so that ages grow and stale reports show. Streams are bounded and end with their session.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::auth::{self, Principal};
use crate::error::{Error, Result};
use crate::metrics::metrics;
use crate::pages::{self, Region};
use crate::respond::Program;
use crate::server::Shared;

/// The read model's sink notifies on it whenever it has committed.
pub(crate) const CHANNEL: &str = "concord_changed";

const AT_MOST_EVERY: Duration = Duration::from_millis(250);
const AT_LEAST_EVERY: Duration = Duration::from_secs(5);
const RECONNECT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CHECK_SESSION_EVERY: u32 = 3;
const QUEUED: usize = 16;

/// Says when something has changed.
pub(crate) struct Live {
    changed: watch::Receiver<u64>,
    touched: Arc<Notify>,
}

impl Live {
    /// Starts listening; ends with `shutdown`.
    pub(crate) fn start(pool: PgPool, shutdown: CancellationToken) -> Self {
        let (sender, changed) = watch::channel(0);
        let touched = Arc::new(Notify::new());
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(pump(sender, touched.clone())));
        tokio::spawn(shutdown.run_until_cancelled_owned(listen(pool, touched.clone())));
        Self { changed, touched }
    }

    /// Says so without Postgres: something that pages show was changed in this process.
    pub(crate) fn touch(&self) {
        self.touched.notify_one();
    }
}

async fn pump(sender: watch::Sender<u64>, touched: Arc<Notify>) {
    loop {
        // Both a touch and the end of the wait mean: render.
        let _ = tokio::time::timeout(AT_LEAST_EVERY, touched.notified()).await;
        sender.send_modify(|generation| *generation += 1);
        tokio::time::sleep(AT_MOST_EVERY).await;
    }
}

async fn listen(pool: PgPool, touched: Arc<Notify>) {
    let mut told = false;
    loop {
        let ended: sqlx::Result<()> = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            told = false;
            loop {
                // None is a lost connection that has been made again: what was said meanwhile is unknown.
                listener.try_recv().await?;
                touched.notify_one();
            }
        }
        .await;
        if let Err(error) = ended
            && !told
        {
            tracing::warn!(%error, "pages are refreshed every few seconds only: cannot listen to the read model");
            told = true;
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Which page wants to be kept live.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Watched {
    pub(crate) page: String,
    #[serde(default)]
    pub(crate) entity: Option<String>,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// The record that the list showed first; it stays while a person works on it.
    #[serde(default)]
    pub(crate) shown: Option<String>,
}

/// `GET /events?page=…`: fragments of HTML, each a region by id.
pub(crate) async fn events(State(app): State<Shared>, principal: Principal, Query(watched): Query<Watched>) -> Result<Response, Program> {
    if !pages::can_watch(&watched) {
        return Err(Program(Error::Missing { what: "page that can be kept live" }));
    }
    let permit = app.streams.clone().try_acquire_owned().map_err(|_| Error::Busy("Too many pages are being kept live."))?;
    let (sender, receiver) = mpsc::channel(QUEUED);
    let shutdown = app.shutdown.clone();
    tokio::spawn(async move {
        metrics().live_streams.inc();
        tokio::select! {
            () = feed(&app, &principal, &watched, &sender) => {}
            () = sender.closed() => {}
            () = shutdown.cancelled() => {}
        }
        metrics().live_streams.dec();
        drop(permit);
    });
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("still here")).into_response())
}

type Sender = mpsc::Sender<Result<Event, Infallible>>;

async fn feed(app: &Shared, principal: &Principal, watched: &Watched, sender: &Sender) {
    let mut changed = app.live.changed.clone();
    let mut sent: BTreeMap<&'static str, String> = BTreeMap::new();
    let (mut rounds, mut trouble) = (0u32, false);
    loop {
        changed.borrow_and_update();
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(CHECK_SESSION_EVERY) && !auth::still_valid(&app.pool, principal).await {
            let _ = sender.send(Ok(Event::default().event("ended").data("The sign-in has ended."))).await;
            return;
        }
        let event = match pages::regions(app, principal, watched).await {
            Ok(regions) => {
                let html = differing(&mut sent, regions);
                let event = if trouble || !html.is_empty() { Some(Event::default().event("html").data(html)) } else { None };
                trouble = false;
                event
            }
            Err(error) => {
                tracing::warn!(%error, "a live page could not be rendered");
                let event = (!trouble).then(|| Event::default().event("trouble").data(error.message()));
                trouble = true;
                event
            }
        };
        if let Some(event) = event
            && sender.send(Ok(event)).await.is_err()
        {
            return;
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// The regions that are not as they were sent last, as one piece of HTML.
fn differing(sent: &mut BTreeMap<&'static str, String>, regions: Vec<Region>) -> String {
    let mut html = String::new();
    for region in regions {
        if sent.get(region.id) != Some(&region.html) {
            html.push_str(&region.html);
            sent.insert(region.id, region.html);
        }
    }
    html
}
