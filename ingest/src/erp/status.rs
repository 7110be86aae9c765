//! How the source is doing, for whoever watches: in the process by a channel, elsewhere by the `health` topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::message::{Health, HealthState};
use schemas::topic::Topics;
use stream::{Class, Codec, Log, NewRecord};
use tokio::sync::watch;

use super::checkpoint::Position;
use super::clock;
use super::error::Error;
use super::lsn::Lsn;
use super::metrics;
use super::sync_id::SyncId;

/// Figures alone are published at most this often.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// And something at least this often, so that silence means something.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// What the source is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Connecting and looking.
    Starting,
    /// Reading a table for the first time.
    Copying {
        /// Which.
        table: String,
        /// Rows on the log so far.
        rows: u64,
    },
    /// Reading the change stream.
    Streaming,
    /// Held back by a fault outside; tries again by itself.
    Paused,
    /// Ended in order.
    Stopped,
}

/// A source's state and figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Why it is held back; empty when it is not.
    pub reason: String,
    /// What a person can do about it.
    pub remedy: String,
    /// Since when it is in this state, microseconds since 1970.
    pub since: i64,
    /// What is on the log.
    pub position: Position,
    /// What the server was told.
    pub confirmed: Lsn,
    /// Commit time of the newest change on the log, microseconds since 1970.
    pub committed_at: i64,
    /// Changes put on the log since the start.
    pub changes: u64,
    /// Rows set aside since the start.
    pub dead_letters: u64,
    /// Gaps found since the start, each healed by reading the tables again.
    pub gaps: u64,
    /// The server's version.
    pub server: String,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: State::Starting,
            reason: String::new(),
            remedy: String::new(),
            since: clock::now_micros(),
            position: Position::default(),
            confirmed: Lsn::default(),
            committed_at: 0,
            changes: 0,
            dead_letters: 0,
            gaps: 0,
            server: String::new(),
        }
    }
}

/// Keeps the status.
#[derive(Debug, Clone)]
pub(crate) struct Reporter(watch::Sender<Status>);

impl Reporter {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Status::default()))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.0.subscribe()
    }

    /// Changes figures.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Status)) {
        self.0.send_modify(change);
    }

    /// Goes over to a state in which nothing is wrong.
    pub(crate) fn enter(&self, state: State) {
        self.note(|status| {
            if status.state != state {
                tracing::info!(state = ?state, "erp source");
                status.since = clock::now_micros();
            }
            status.state = state;
            status.reason.clear();
            status.remedy.clear();
        });
    }

    /// Some more rows of a first copy are on the log.
    pub(crate) fn copying(&self, table: &str, rows: u64, more: usize) {
        metrics::copied(more);
        self.note(|status| {
            status.state = State::Copying { table: table.to_owned(), rows };
            status.changes += more as u64;
        });
    }

    pub(crate) fn set_aside(&self, error: &Error, sync_id: SyncId<'_>) {
        tracing::warn!(sync.id = %sync_id, error = %error, "row set aside");
        metrics::dead_letter();
        self.note(|status| status.dead_letters += 1);
    }

    /// Holds back because of an error.
    pub(crate) fn pause(&self, error: &Error) {
        metrics::paused(error.class());
        let remedy = match (error, error.class()) {
            (Error::Unfit(findings), _) => findings.iter().map(|finding| finding.remedy.as_str()).collect::<Vec<_>>().join("; "),
            (_, Class::Transient) => "nothing if it passes; else see that the server runs and can be reached".to_owned(),
            (_, Class::Record | Class::Fatal) => {
                "correct what the reason names; `concord check` tells the command. Reading resumes by itself".to_owned()
            }
        };
        self.note(|status| {
            if status.state != State::Paused {
                status.since = clock::now_micros();
            }
            status.state = State::Paused;
            status.reason = error.to_string();
            status.remedy = remedy;
        });
    }
}

/// Puts the status on the `health` topic whenever it matters, until the source is gone. Health is for people: losing one
/// message of it is not worth stopping for.
pub(crate) async fn publish(mut status: watch::Receiver<Status>, name: String, log: Arc<dyn Log>, codec: Codec, topics: Topics) {
    let topic = topics.health();
    let component = format!("ingest.{name}");
    let mut last: Option<(State, String)> = None;
    loop {
        let now = status.borrow_and_update().clone();
        let matters = (plain(&now.state), now.reason.clone());
        let stopped = now.state == State::Stopped;
        let pause = if last.as_ref() == Some(&matters) { FIGURES_EVERY } else { Duration::ZERO };
        last = Some(matters);
        if !pause.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = status.wait_for(|next| Some((plain(&next.state), next.reason.clone())) != last) => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
            }
        }
        // Figures may have moved on during the pause.
        let health = health(&component, &status.borrow().clone());
        let sent = match codec.encode(&topic, &health).await {
            Ok(value) => log.publish(vec![NewRecord::new(topic.clone(), component.clone().into_bytes(), value)]).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::debug!(error = %error, "health could not be published");
        }
        // A quiet source still says that it is there.
        if stopped || matches!(tokio::time::timeout(SIGN_OF_LIFE, status.changed()).await, Ok(Err(_))) {
            return;
        }
    }
}

/// The state without its figures.
fn plain(state: &State) -> State {
    match state {
        State::Copying { table, .. } => State::Copying { table: table.clone(), rows: 0 },
        other => other.clone(),
    }
}

fn health(component: &str, status: &Status) -> Health {
    let mut facts = BTreeMap::from([
        ("position".to_owned(), status.position.lsn.to_string()),
        ("confirmed".to_owned(), status.confirmed.to_string()),
        ("committed_at".to_owned(), status.committed_at.to_string()),
        ("changes".to_owned(), status.changes.to_string()),
        ("dead_letters".to_owned(), status.dead_letters.to_string()),
        ("gaps".to_owned(), status.gaps.to_string()),
        ("server".to_owned(), status.server.clone()),
    ]);
    let state = match &status.state {
        State::Starting => HealthState::Starting,
        State::Copying { table, rows } => {
            facts.insert("copying".to_owned(), table.clone());
            facts.insert("rows".to_owned(), rows.to_string());
            HealthState::Starting
        }
        State::Streaming => HealthState::Running,
        State::Paused => HealthState::Paused,
        State::Stopped => HealthState::Stopped,
    };
    Health {
        component: component.to_owned(),
        state,
        reason: status.reason.clone(),
        remedy: status.remedy.clone(),
        since: status.since,
        at: clock::now_micros(),
        facts,
    }
}
