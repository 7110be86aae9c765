//! The loop that both write sinks share: read writes, hand them to the target in batches, publish the answers with
//! the offsets they finish, and hold still while the target cannot be written to.
//!
//! Promises: writes of one entity, and of one record, are tried in their order; a write is acknowledged only with its
//! answer; while the target is out or writing is paused, the membership stays alive and nothing is lost. What a target
//! does with a batch, and how it stays idempotent, is its own affair ([`Target`]).

mod inbox;
mod job;
mod outbox;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use planted::Bug;
use schemas::message::{HealthState, OutcomeResult, Side};
use schemas::topic::Topics;
use stream::{Codec, Log};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, micros};
use crate::config::Pace;
use crate::control;
use crate::error::{Error, chain};
use crate::health::{Reporter, Why};
use crate::metrics::Metrics;
use inbox::Inbox;
pub(crate) use job::{Answer, Applied, Job, Verdict};
use outbox::Outbox;
use window::Window;

/// What a batch of writes is handed to.
pub(crate) trait Target: Send {
    /// Side it writes to.
    const SIDE: Side;
    /// Its name in health and dead letters.
    const COMPONENT: &'static str;

    /// Connects, signs in and checks rights, as far as that is not already so.
    fn ready(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Tries writes, at most one for each entity. One answer for each, in order; those that were not reached because the
    /// target went away are to be tried later.
    fn apply(&mut self, jobs: &[Job]) -> impl Future<Output = Applied> + Send;

    /// What to show about it.
    fn facts(&self) -> Vec<(&'static str, String)>;
}

/// What the loop needs besides its target.
pub(crate) struct Shell {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) pace: Pace,
    pub(crate) group: String,
    pub(crate) instance: String,
}

/// How long a hold on the log's side lasts before membership and producer are made anew.
const REJOIN_AFTER: Duration = Duration::from_secs(1);
/// Being fenced so often without writing anything in between means that somebody else runs under our name.
const MOST_FENCES: u32 = 20;
/// A poll never waits longer, so that pauses, health and retries are looked at.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// A batch that takes longer than this has its membership kept alive meanwhile.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// Runs until `shutdown`, or until the log refuses for good.
pub(crate) async fn run<T: Target>(mut target: T, shell: Shell, shutdown: CancellationToken) -> Result<(), Error> {
    let stop = shutdown.child_token();
    let _stopped_with_us = stop.clone().drop_guard();
    let mut reporter = Reporter::new(shell.log.clone(), shell.codec.clone(), &shell.topics, shell.clock.clone(), T::COMPONENT);
    prepare(&shell, T::SIDE).await?;
    let paused = control::follow(shell.log.clone(), shell.codec.clone(), &shell.topics, stop);
    let mut fences = 0;
    loop {
        let mut session = Session::open::<T>(&shell, paused.clone()).await;
        let ended = match &mut session {
            Ok(session) => session.work(&mut target, &mut reporter, &shutdown).await,
            Err(error) => Err(std::mem::replace(error, Error::Log(stream::Error::Fenced(String::new())))),
        };
        let moved = session.is_ok_and(|session| session.published > 0);
        match ended {
            Ok(()) => {
                reporter.set(HealthState::Stopped, Why::default());
                reporter.tell(|| facts(&target, 0)).await;
                return Ok(());
            }
            Err(Error::Log(error)) if matches!(error, stream::Error::Fenced(_)) || error.class() == stream::Class::Transient => {
                fences = if moved || !matches!(error, stream::Error::Fenced(_)) { 0 } else { fences + 1 };
                if fences >= MOST_FENCES {
                    reporter.set(
                        HealthState::Failing,
                        Why { reason: error.to_string(), remedy: "give each process its own `instance`".to_owned() },
                    );
                    reporter.tell(|| facts(&target, 0)).await;
                    return Err(error.into());
                }
                tracing::warn!(component = T::COMPONENT, %error, "joining the log again");
                tokio::select! { () = shutdown.cancelled() => {}, () = tokio::time::sleep(REJOIN_AFTER) => {} }
            }
            Err(error) => {
                reporter.set(HealthState::Failing, Why { reason: error.to_string(), remedy: error.remedy() });
                reporter.tell(|| facts(&target, 0)).await;
                return Err(error);
            }
        }
    }
}

/// Creates the topics that a write sink reads and writes, where they are missing.
async fn prepare(shell: &Shell, side: Side) -> Result<(), Error> {
    let topics = &shell.topics;
    let writes = topics.writes(side);
    let names = [topics.dead_letters(&writes), writes, topics.outcomes(), topics.health(), topics.control()];
    let wanted: Vec<_> = names.iter().filter_map(|name| topics.config(name)).collect();
    Ok(shell.log.create_topics(&wanted).await?)
}

fn facts<T: Target>(target: &T, in_hand: usize) -> BTreeMap<String, String> {
    let mut facts: BTreeMap<String, String> = target.facts().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    facts.insert("in_hand".to_owned(), in_hand.to_string());
    facts
}

/// One membership with its producer, and what it has in hand.
struct Session<'a> {
    shell: &'a Shell,
    inbox: Inbox,
    outbox: Outbox,
    window: Window,
    paused: tokio::sync::watch::Receiver<control::Paused>,
    hold: Option<Hold>,
    failures: i64,
    published: u64,
}

/// The target cannot be written to until `until` at least.
struct Hold {
    until: i64,
    why: Why,
    state: HealthState,
}

impl<'a> Session<'a> {
    async fn open<T: Target>(shell: &'a Shell, paused: tokio::sync::watch::Receiver<control::Paused>) -> Result<Self, Error> {
        Ok(Self {
            inbox: Inbox::join(shell, T::SIDE, T::COMPONENT).await?,
            outbox: Outbox::open(shell, T::SIDE, T::COMPONENT).await?,
            window: Window::new(shell.pace.in_hand),
            shell,
            paused,
            // The first thing to do is to get ready.
            hold: Some(Hold { until: 0, why: Why::default(), state: HealthState::Starting }),
            failures: 0,
            published: 0,
        })
    }

    async fn work<T: Target>(&mut self, target: &mut T, reporter: &mut Reporter, shutdown: &CancellationToken) -> Result<(), Error> {
        loop {
            let held = self.held(target, reporter).await;
            let now = (self.shell.clock)();
            let wait = if held {
                LONGEST_WAIT
            } else {
                self.window
                    .next_due(now)
                    .map_or(LONGEST_WAIT, |due| Duration::from_micros(u64::try_from(due - now).unwrap_or(0)).min(LONGEST_WAIT))
            };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                read = self.inbox.read(&mut self.window, &mut self.outbox, wait, held) => read?,
            }
            self.shell.metrics.in_hand(T::SIDE.as_str(), self.window.unanswered());
            let in_hand = self.window.unanswered();
            reporter.tell(|| facts(target, in_hand)).await;
            if self.held(target, reporter).await {
                self.defer().await?;
            } else {
                self.one_batch(target, reporter).await?;
                self.defer().await?;
            }
        }
    }

    /// Whether writing is held back now; tries to end a hold whose time has come.
    async fn held<T: Target>(&mut self, target: &mut T, reporter: &mut Reporter) -> bool {
        let paused = self.paused.borrow().clone();
        if let Some(actor) = paused {
            let why = Why { reason: format!("paused by {actor}"), remedy: "resume writing on the Sync page".to_owned() };
            reporter.set(HealthState::Paused, why);
        } else if let Some(hold) = &self.hold {
            if hold.until <= (self.shell.clock)() {
                match target.ready().await {
                    Ok(()) => {
                        self.hold = None;
                        reporter.running();
                    }
                    Err(error) => self.hold_for(&error, reporter),
                }
            } else if !reporter.is(hold.state) {
                reporter.set(hold.state, hold.why.clone());
            }
        } else if !reporter.is(HealthState::Running) {
            reporter.running();
        }
        let held = !reporter.is(HealthState::Running);
        self.shell.metrics.paused(T::SIDE.as_str(), held);
        held
    }

    fn hold_for(&mut self, error: &Error, reporter: &mut Reporter) {
        self.failures += 1;
        let wait = error.after().unwrap_or_else(|| self.shell.pace.wait(self.failures, rand::random()));
        let why = Why { reason: chain(error), remedy: error.remedy() };
        // Whether or not a person is needed: once it is mended, writing goes on by itself.
        let state = HealthState::Paused;
        reporter.set(state, why.clone());
        self.hold = Some(Hold { until: (self.shell.clock)() + micros(wait), why, state });
    }

    async fn one_batch<T: Target>(&mut self, target: &mut T, reporter: &mut Reporter) -> Result<(), Error> {
        let begun = (self.shell.clock)();
        let batch = self.window.take(begun, self.shell.pace.batch);
        if batch.is_empty() {
            return self.publish().await;
        }
        let span = tracing::debug_span!("batch", component = T::COMPONENT, writes = batch.len());
        let (ids, jobs): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let applied = {
            let apply = tracing::Instrument::instrument(target.apply(&jobs), span);
            tokio::pin!(apply);
            loop {
                match tokio::time::timeout(KEEPALIVE, &mut apply).await {
                    Ok(applied) => break applied,
                    Err(_) => self.inbox.keep_alive(&mut self.window, &mut self.outbox).await?,
                }
            }
        };
        let now = (self.shell.clock)();
        #[expect(clippy::cast_precision_loss, reason = "a batch takes less than 2^52 microseconds")]
        self.shell.metrics.batch(T::SIDE.as_str(), jobs.len(), (now - begun) as f64 / 1e6);
        for (place, ((id, job), answer)) in ids.into_iter().zip(&jobs).zip(applied.answers).enumerate() {
            if place > 0 && planted::on(Bug::CutOutcomes) {
                self.window.settle(id);
                continue;
            }
            let answer = match answer {
                Answer::Later(later) if planted::on(Bug::GiveUpAtOnce) && later.tried => Answer::Done(later.give_up(1)),
                Answer::Later(later) if planted::on(Bug::PartialAsWhole) && later.tried => {
                    Answer::Done(Verdict::applied(job.write.record.clone(), Vec::new()))
                }
                Answer::Done(verdict) if planted::on(Bug::RejectedAsApplied) && verdict.result == OutcomeResult::Rejected => {
                    Answer::Done(Verdict::applied(job.write.record.clone(), Vec::new()))
                }
                answer => answer,
            };
            match answer {
                Answer::Done(verdict) => self.answer::<T>(id, job, &verdict, now).await?,
                Answer::Later(later) => {
                    let attempts = job.attempts + i64::from(later.tried);
                    if later.tried && attempts >= self.shell.pace.attempts {
                        let verdict = later.give_up(attempts);
                        self.answer::<T>(id, job, &verdict, now).await?;
                        continue;
                    }
                    self.shell.metrics.retried(T::SIDE.as_str(), 1);
                    tracing::debug!(
                        sync.id = job.sync_id(),
                        component = T::COMPONENT,
                        write.id = job.write.id,
                        code = later.code,
                        attempts,
                        "write to be tried again"
                    );
                    let wait = later.after.unwrap_or_else(|| self.shell.pace.wait(attempts, rand::random()));
                    self.window.later(id, now + if applied.halt.is_some() { 0 } else { micros(wait) }, attempts, later.code, later.reason);
                }
            }
        }
        if let Some(error) = applied.halt {
            self.hold_for(&error, reporter);
        } else {
            self.failures = 0;
        }
        self.publish().await
    }

    async fn answer<T: Target>(&mut self, id: window::JobId, job: &Job, verdict: &Verdict, now: i64) -> Result<(), Error> {
        if !self.window.settle(id) {
            // Its partition is another member's by now, which will find what we did and say so.
            return Ok(());
        }
        match verdict.result {
            OutcomeResult::Failed => {
                tracing::warn!(
                    sync.id = job.sync_id(),
                    component = T::COMPONENT,
                    write.id = job.write.id,
                    entity = job.write.entity,
                    code = verdict.code,
                    "write set aside"
                )
            }
            result @ (OutcomeResult::Applied | OutcomeResult::Rejected | OutcomeResult::Deferred) => {
                tracing::debug!(sync.id = job.sync_id(), component = T::COMPONENT, write.id = job.write.id, entity = job.write.entity, %result, "write answered")
            }
        }
        self.shell.metrics.written(T::SIDE.as_str(), verdict.result.as_str(), 1);
        self.outbox.outcome(job, verdict, now).await
    }

    /// Says once of each write that has been in hand for long that it is deferred.
    async fn defer(&mut self) -> Result<(), Error> {
        let now = (self.shell.clock)();
        let why = self.hold.as_ref().map(|hold| hold.why.clone());
        for (job, code, reason) in self.window.overdue(now, micros(self.shell.pace.defer_after)) {
            let message = reason.or_else(|| why.as_ref().map(|why| why.reason.clone())).unwrap_or_else(|| "writing is paused".to_owned());
            tracing::debug!(sync.id = job.sync_id(), component = self.outbox.component(), write.id = job.write.id, code, "write deferred");
            self.outbox.outcome(&job, &Verdict::deferred(code, message), now).await?;
        }
        self.publish().await
    }

    async fn publish(&mut self) -> Result<(), Error> {
        let finished = self.window.finished();
        if self.outbox.is_empty() && finished.is_empty() {
            return Ok(());
        }
        let membership = self.inbox.membership()?;
        if planted::on(Bug::OffsetsBeforeAnswers) {
            self.inbox.commit(&finished).await?;
        }
        self.outbox.publish(&membership, finished, &self.shell.pace).await?;
        self.published += 1;
        Ok(())
    }
}
