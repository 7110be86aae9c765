//! One source: a session reads until something breaks, the loop around it waits and begins the next.
//!
//! A session: catalog of the objects ─▶ stream open ─▶ first copies ─▶ events, batch by batch, each with its checkpoint
//! in one log transaction. On a first start the stream is opened before the copies begin, so that nothing falls between
//! them; the position becomes known with the stream's first response, and whatever changed between the beginning of the
//! copies and the opening of the stream is read once more then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use schemas::message::{HealthState, SYNC_ID_HEADER};
use schemas::topic::{TopicConfig, Topics};
use stream::{Class, Codec, Log, NewRecord, Producer};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::batch::Batch;
use super::catalog::{Catalog, Known};
use super::config::Config;
use super::error::{Error, Result};
use super::fault::Fault;
use super::ids::ReplayId;
use super::login::Login;
use super::progress::{Progress, Scan, Which};
use super::pubsub::{From, PubSub, Subscription};
use super::recent::Recent;
use super::rest::Rest;
use super::scan::Fresh;
use super::status::Status;
use super::users::Users;
use super::{checkpoint, http, metrics, reading};

/// The topic of dead letters whose object is not known is named after this.
pub(crate) const UNKNOWN_OBJECT: &str = "unknown";

/// A stream that was refused would have been so by now.
const SETTLED: Duration = Duration::from_secs(1);

/// A source with its connections.
pub(crate) struct Source {
    pub(crate) config: Config,
    /// Event channel.
    pub(crate) channel: String,
    pub(crate) topics: Topics,
    pub(crate) codec: Codec,
    log: Arc<dyn Log>,
    login: Arc<Login>,
    pub(crate) rest: Rest,
    pub(crate) pubsub: PubSub,
    pub(crate) catalog: Catalog,
    pub(crate) users: Users,
    pub(crate) recent: Recent,
    producer: Option<Box<dyn Producer>>,
    /// As committed.
    pub(crate) progress: Progress,
    /// What the first copies put on the log, so that catching up need not repeat it.
    pub(crate) fresh: Fresh,
    pub(crate) status: Status,
    backoff: Backoff,
}

impl Source {
    /// A source over an event channel.
    pub(crate) fn new(config: Config, channel: String, log: Arc<dyn Log>, codec: Codec, topics: Topics) -> Result<Self> {
        let http = http::client(&config)?;
        let login = Arc::new(Login::new(&config, http.clone()));
        let rest = Rest::new(&config, http, login.clone());
        let pubsub = PubSub::new(&config, login.clone())?;
        let followed: BTreeSet<String> = config.objects.iter().cloned().collect();
        let every = Duration::from_millis(config.health_interval_ms.max(100));
        let status = Status::start(component(&config.name), log.clone(), codec.clone(), &topics, every);
        Ok(Self {
            channel,
            catalog: Catalog::new(followed, config.write_fields.clone(), topics.clone(), codec.clone()),
            users: Users::default(),
            recent: Recent::default(),
            producer: None,
            progress: Progress::new(&config.name),
            fresh: Fresh::default(),
            backoff: Backoff::new(config.backoff_min_ms, config.backoff_max_ms),
            config,
            topics,
            codec,
            log,
            login,
            rest,
            pubsub,
            status,
        })
    }

    /// Reads until told to stop, or until only a person or a restart can help.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<()> {
        let ended = loop {
            let error = tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                error = self.session() => error,
            };
            let wait = match self.after(error).await {
                Ok(wait) => wait,
                Err(error) => break Err(error),
            };
            tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        };
        match &ended {
            Ok(()) => self.status.set(HealthState::Stopped, "", ""),
            Err(error) => self.status.set(HealthState::Failing, &error.to_string(), error.remedy()),
        }
        self.status.finish().await;
        ended
    }

    /// Decides what follows a broken session: an end, or another one after a wait.
    async fn after(&mut self, error: Error) -> Result<Duration> {
        metrics::reconnect(match error.class() {
            Class::Transient => "transient",
            Class::Record => "record",
            Class::Fatal => "fatal",
        });
        if let Error::Log(log) = &error {
            // What the open transaction has come to is not known: begin from what the log says.
            self.producer = None;
            if log.class() == Class::Fatal && !matches!(log, stream::Error::Schema { .. }) {
                return Err(error);
            }
        }
        let fault = error.fault();
        if fault == Fault::Position {
            tracing::warn!(error = %error, crm.position = %self.progress.position.hex(), "position refused; reading again what changed since");
            metrics::gap("position");
            self.status.fact("gap", format!("position {} was refused; what changed since is read again", self.progress.position.hex()));
            let mut progress = self.progress.clone();
            progress.lose_position();
            if let Err(error) = self.commit(Batch::default(), progress).await {
                tracing::warn!(error = %error, "cannot note that the position is lost");
            }
        } else if !matches!(error, Error::Closed) {
            tracing::warn!(error = %error, remedy = error.remedy(), "salesforce capture pauses");
        }
        self.status.paused(&error);
        Ok(match fault {
            Fault::Passing | Fault::Token | Fault::Position => self.backoff.next(),
            Fault::Exhausted | Fault::Person => {
                // Whatever a person changes may change what we know.
                self.catalog.forget();
                Duration::from_millis(self.config.pause_ms)
            }
        })
    }

    async fn session(&mut self) -> Error {
        match self.read().await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn read(&mut self) -> Result<std::convert::Infallible> {
        self.open_log().await?;
        let access = self.login.access().await?;
        self.users.signed_in_as(access.user.clone());
        self.status.fact("org", &access.org);
        self.status.fact("server", &access.instance_url);
        self.progress.read_from(&access.org)?;
        let objects: Vec<String> = self.catalog.followed().iter().cloned().collect();
        for object in &objects {
            self.catalog.current(object, &self.pubsub, &self.rest).await?;
        }
        if self.progress.is_at_earliest() {
            self.plan_catch_up(ReplayId::default()).await?;
        }
        let mut subscription = self.pubsub.subscribe(&self.channel, self.begin()).await?;
        self.plan_copies(&objects).await?;
        self.scan().await?;
        let mut first = true;
        loop {
            let mut responses = vec![next(&mut subscription, &self.status).await?];
            self.backoff.reset();
            self.status.set(HealthState::Running, "", "");
            if first && self.progress.position.is_none() {
                // A keepalive says where the stream is; before an event there is no place to begin from.
                let here = if responses[0].events.is_empty() { position(&responses) } else { ReplayId::default() };
                self.plan_catch_up(here).await?;
                self.scan().await?;
            }
            self.fresh = Fresh::default();
            first = false;
            let broken = gather(&mut subscription, &mut responses, self.config.batch_events);
            self.apply(responses).await?;
            self.scan().await?;
            self.tell_usage();
            if let Some(error) = broken {
                return Err(error);
            }
        }
    }

    fn begin(&self) -> From {
        if !self.progress.position.is_none() {
            From::After(self.progress.position.clone())
        } else if self.progress.is_at_earliest() {
            From::Earliest
        } else {
            From::Latest
        }
    }

    /// Opens the producer, which ends whatever an earlier one left open, then reads the checkpoint.
    async fn open_log(&mut self) -> Result<()> {
        if self.producer.is_some() {
            return Ok(());
        }
        let mut names = vec![self.topics.checkpoint(), self.topics.health()];
        for object in self.catalog.followed().iter().map(String::as_str).chain([UNKNOWN_OBJECT]) {
            let topic = self.topics.cdc_crm(object);
            names.push(self.topics.dead_letters(&topic));
            if object != UNKNOWN_OBJECT {
                names.push(topic);
            }
        }
        let configs: Vec<TopicConfig> = names.iter().filter_map(|name| self.topics.config(name)).collect();
        self.log.create_topics(&configs).await?;
        let producer = self.log.producer(&self.topics.owned(&component(&self.config.name).replace('.', "-"))).await?;
        self.progress = checkpoint::load(&*self.log, &self.codec, &self.topics.checkpoint(), &self.config.name).await?;
        self.progress.follow_only(self.catalog.followed());
        self.producer = Some(producer);
        tracing::info!(crm.position = %self.progress.position.hex(), source = %self.config.name, "salesforce capture begins");
        Ok(())
    }

    /// Plans copies of objects that have never been copied.
    async fn plan_copies(&mut self, objects: &[String]) -> Result<()> {
        let mut progress = self.progress.clone();
        let mut newest = 0;
        for object in objects {
            if self.progress.copied.contains(object) || self.progress.plans(object, Which::All) {
                continue;
            }
            let known = self.catalog.current(object, &self.pubsub, &self.rest).await?;
            let covered = reading::newest(&self.rest, &known).await?;
            newest = newest.max(covered);
            progress.plan(plan(&known, Which::All, 0, covered));
        }
        if self.progress.position.is_none() && !self.progress.is_at_earliest() && progress != self.progress {
            progress.catch_up_from(newest);
            progress.committed_ms = progress.committed_ms.max(newest);
        }
        if progress != self.progress {
            self.commit(Batch::default(), progress).await?;
        }
        Ok(())
    }

    /// Plans to read what changed since the time noted, now that the stream is open, at this place if it is known.
    async fn plan_catch_up(&mut self, here: ReplayId) -> Result<()> {
        let Some(since) = self.progress.catch_up() else { return Ok(()) };
        let mut progress = self.progress.clone();
        for object in self.progress.copied.clone() {
            let known = self.catalog.current(&object, &self.pubsub, &self.rest).await?;
            let covered = reading::newest(&self.rest, &known).await?;
            progress.plan(plan(&known, Which::Changed, since, covered));
        }
        if progress.is_at_earliest() {
            progress.caught_up();
        }
        progress.reached(here, None);
        self.commit(Batch::default(), progress).await
    }

    /// Commits records and progress in one transaction.
    pub(crate) async fn commit(&mut self, batch: Batch, progress: Progress) -> Result<()> {
        let topic = self.topics.checkpoint();
        let value = self.codec.encode(&topic, &progress.checkpoint()).await?;
        let counts = batch.counts().clone();
        let mut records = batch.records;
        records.push(
            NewRecord::new(topic, self.config.name.clone(), value).header(SYNC_ID_HEADER, format!("crm-{}", progress.position.hex())),
        );
        let Some(producer) = self.producer.as_mut() else { return Err(Error::Closed) };
        let written = async {
            producer.begin().await?;
            producer.send(records).await?;
            producer.commit(None).await
        };
        if let Err(error) = written.await {
            if !matches!(error, stream::Error::Fenced(_))
                && let Err(abort) = producer.abort().await
            {
                tracing::warn!(error = %abort, "cannot abort a log transaction");
            }
            self.producer = None;
            return Err(error.into());
        }
        for (op, count) in counts {
            metrics::changes(op, count);
        }
        self.progress = progress;
        self.status.fact("position", self.progress.position.hex());
        Ok(())
    }

    pub(crate) fn tell_usage(&self) {
        if let Some((calls, limit)) = self.rest.usage() {
            self.status.fact("api_calls", calls);
            self.status.fact("api_limit", limit);
        }
    }
}

/// A scan from the beginning.
pub(crate) fn plan(known: &Known, which: Which, since: i64, covered: i64) -> Scan {
    Scan { object: known.layout.object.clone(), which, since, after: String::new(), covered, newest: 0 }
}

/// `ingest.crm`.
pub(crate) fn component(name: &str) -> String {
    format!("ingest.{name}")
}

/// The next response. A quiet stream that is open and has not been refused for a while counts as running.
async fn next(subscription: &mut Subscription, status: &Status) -> Result<super::proto::FetchResponse> {
    loop {
        match tokio::time::timeout(SETTLED, subscription.next()).await {
            Ok(response) => return response,
            Err(_) if subscription.is_open() => status.set(HealthState::Running, "", ""),
            Err(_) => {}
        }
    }
}

/// Takes more responses that are here already, up to a number of events; an error among them is for later.
fn gather(subscription: &mut Subscription, responses: &mut Vec<super::proto::FetchResponse>, max_events: usize) -> Option<Error> {
    let mut events: usize = responses.iter().map(|response| response.events.len()).sum();
    while events < max_events {
        match subscription.ready()? {
            Ok(response) => {
                events += response.events.len();
                responses.push(response);
            }
            Err(error) => return Some(error),
        }
    }
    None
}

/// The position after some responses: the last event's, or a keepalive's tip.
pub(crate) fn position(responses: &[super::proto::FetchResponse]) -> ReplayId {
    let last = responses.iter().rev().find_map(|response| match response.events.last() {
        Some(event) => Some(event.replay_id.to_vec()),
        None => Some(response.latest_replay_id.to_vec()).filter(|id| !id.is_empty()),
    });
    ReplayId::new(last.unwrap_or_default())
}
