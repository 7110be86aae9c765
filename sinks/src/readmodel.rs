//! Fills the read model, the Postgres database that pages are made of, from every topic a page needs.
//!
//! Promises: offsets stand in the same transaction as the rows they cover, so each record counts exactly once, and a
//! record that is older than what is there changes nothing; group membership only says who writes. The database can be
//! dropped at any time and is built again. Whoever listens on `concord_changed` hears which tables changed.
//! What a page shows is decided elsewhere; nothing is decided here.

mod batch;
mod dead_letter;
mod decision;
mod flow;
mod json;
mod prune;
mod source;
mod store;
mod topics;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemas::message::{DeadLetter, HealthState, Side};
use schemas::topic::Topics;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use stream::{Codec, Log, Member, MemberConfig, NewRecord, Offsets, Polled, Record, Sharing, Start, TopicPartition, duration};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, micros};
use crate::config::{Pace, Secret};
use crate::error::{Class, Error, chain};
use crate::health::{Reporter, Why};
use crate::metrics::Metrics;
use crate::sync_id::{shown, sync_id, with_sync_id};
use batch::Batch;
use topics::Wanted;

/// A captured object whose rows the read model keeps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceObject {
    /// `crm` or `erp`.
    #[serde(with = "side")]
    pub side: Side,
    /// `schema.table`, or the object's API name.
    pub object: String,
}

mod side {
    use schemas::message::Side;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Side, D::Error> {
        let word = String::deserialize(deserializer)?;
        Side::parse(&word).ok_or_else(|| D::Error::custom(format!("side is crm or erp, not {word:?}")))
    }

    pub(super) fn serialize<S: Serializer>(side: &Side, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(side.as_str())
    }
}

/// Where the read model is and what it keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Connection string, `postgres://user:password@host:port/database`.
    pub url: Secret,
    /// Captured objects whose rows are kept: opportunities, orders, invoices, payments.
    #[serde(default)]
    pub source_objects: Vec<SourceObject>,
    /// The field that names an entity to people, by kind; without one, the name that came with its link.
    #[serde(default)]
    pub titles: BTreeMap<String, String>,
    /// How long finished writes are kept.
    #[serde(default = "days_30", with = "duration")]
    pub keep_writes: Duration,
    /// How long audit entries are kept here; the log keeps them longer.
    #[serde(default = "days_400", with = "duration")]
    pub keep_audit: Duration,
    /// How long figures per minute are kept.
    #[serde(default = "days_90", with = "duration")]
    pub keep_flow: Duration,
    /// How long dead letters are kept here.
    #[serde(default = "days_90", with = "duration")]
    pub keep_dead_letters: Duration,
    /// Consumer group.
    #[serde(default = "default_group")]
    pub group: String,
    /// Batches and waits.
    #[serde(default = "default_pace")]
    pub pace: Pace,
}

fn days_30() -> Duration {
    Duration::from_secs(30 * 86_400)
}

fn days_90() -> Duration {
    Duration::from_secs(90 * 86_400)
}

fn days_400() -> Duration {
    Duration::from_secs(400 * 86_400)
}

fn default_group() -> String {
    "sink.readmodel".to_owned()
}

fn default_pace() -> Pace {
    Pace { batch: 5000, ..Pace::default() }
}

impl Config {
    /// The usual settings for a database.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Secret::new(url),
            source_objects: Vec::new(),
            titles: BTreeMap::new(),
            keep_writes: days_30(),
            keep_audit: days_400(),
            keep_flow: days_90(),
            keep_dead_letters: days_90(),
            group: default_group(),
            pace: default_pace(),
        }
    }
}

const SINK: &str = "readmodel";
const COMPONENT: &str = "sink.readmodel";
const TARGET: &str = "the read model";
/// Topics that have come since are looked for this often.
const LOOK_FOR_TOPICS_MICROS: i64 = 5_000_000;
/// Offsets are shown to the group this often; the ones that count stand in the database.
const SHOW_OFFSETS_MICROS: i64 = 1_000_000;
const LONGEST_WAIT: Duration = Duration::from_millis(500);
const REJOIN_AFTER: Duration = Duration::from_secs(1);

/// The read model sink.
pub struct ReadModelSink {
    config: Config,
    clock: Clock,
    metrics: Metrics,
}

/// Connects and brings the read model's schema up to date.
///
/// # Errors
/// When the database cannot be reached or changed.
pub async fn migrate(config: &Config) -> Result<(), Error> {
    let pool = pool(config)?;
    sqlx::migrate!("../migrations/read_model").run(&pool).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => store::error("migrating", &error),
        other => Error::Migrate(other),
    })
}

fn pool(config: &Config) -> Result<PgPool, Error> {
    let options: PgConnectOptions = config.url.reveal().parse().map_err(|error: sqlx::Error| Error::Setting {
        what: format!("the read model's url is not a connection string: {}", chain(&error)),
        remedy: "write it as postgres://user:password@host:5432/database".to_owned(),
    })?;
    // What a crash of the database loses is read from the log again: the offsets are lost with it.
    let options = options.application_name("concord read model").options([("synchronous_commit", "off")]);
    Ok(PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(5)).connect_lazy_with(options))
}

impl ReadModelSink {
    /// A sink that has not connected yet.
    pub fn new(config: Config, clock: Clock, metrics: Metrics) -> Self {
        Self { config, clock, metrics }
    }

    /// Fills the read model until `shutdown`.
    ///
    /// # Errors
    /// When a setting cannot work, or the log refuses for good. Faults of the database pause the sink instead.
    pub async fn run(self, log: Arc<dyn Log>, codec: Codec, topics: Topics, shutdown: CancellationToken) -> Result<(), Error> {
        let mut reporter = Reporter::new(log.clone(), codec.clone(), &topics, self.clock.clone(), COMPONENT);
        let pool = pool(&self.config)?;
        let ended = loop {
            let mut session = Session {
                sink: &self,
                log: &log,
                codec: &codec,
                topics: &topics,
                pool: &pool,
                reporter: &mut reporter,
                told: 0,
                aside: BTreeSet::new(),
            };
            match session.work(&shutdown).await {
                Ok(Ended::Stopped) => break Ok(()),
                Ok(Ended::NewTopics) => {}
                Err(Error::Log(error)) if matches!(error, stream::Error::Fenced(_)) || error.class() == stream::Class::Transient => {
                    tracing::warn!(component = COMPONENT, %error, "joining the log again");
                    tokio::select! { () = shutdown.cancelled() => {}, () = tokio::time::sleep(REJOIN_AFTER) => {} }
                }
                Err(error) => break Err(error),
            }
        };
        match &ended {
            Ok(()) => reporter.set(HealthState::Stopped, Why::default()),
            Err(error) => reporter.set(HealthState::Failing, Why { reason: chain(error), remedy: error.remedy() }),
        }
        reporter.tell(BTreeMap::new).await;
        pool.close().await;
        ended
    }
}

enum Ended {
    Stopped,
    NewTopics,
}

/// One membership.
struct Session<'a> {
    sink: &'a ReadModelSink,
    log: &'a Arc<dyn Log>,
    codec: &'a Codec,
    topics: &'a Topics,
    pool: &'a PgPool,
    reporter: &'a mut Reporter,
    told: i64,
    /// Records set aside already: a batch that is halved is read again.
    aside: BTreeSet<(TopicPartition, u64)>,
}

impl Session<'_> {
    fn now(&self) -> i64 {
        (self.sink.clock)()
    }

    async fn work(&mut self, shutdown: &CancellationToken) -> Result<Ended, Error> {
        self.log.create_topics(&self.topics.fixed()).await?;
        let wanted = Wanted::among(&self.log.topics().await?, self.topics, &self.sink.config);
        let names: Vec<String> = wanted.names().map(str::to_owned).collect();
        let config = MemberConfig {
            group: self.topics.owned(&self.sink.config.group),
            topics: names.clone(),
            sharing: Sharing::One,
            start: Start::Earliest,
        };
        let mut member = self.log.join(config).await?;
        tracing::info!(component = COMPONENT, topics = names.len(), "joined");
        let mut positions = Offsets::new();
        // None while the database is not known to be there.
        let mut ready = false;
        let (mut failures, mut retry_at, mut look_at, mut prune) = (0, 0, self.now() + LOOK_FOR_TOPICS_MICROS, prune::Prune::default());
        loop {
            let partitions = positions.len();
            self.reporter.tell(|| BTreeMap::from([("partitions".to_owned(), partitions.to_string())])).await;
            self.sink.metrics.paused(SINK, !ready);
            if !ready && self.now() >= retry_at {
                match self.open(member.as_mut(), &mut positions).await {
                    Ok(()) => {
                        (ready, failures) = (true, 0);
                        self.reporter.running();
                    }
                    Err(error @ (Error::Log(_) | Error::Setting { .. })) => return Err(error),
                    Err(error) => retry_at = self.hold(&error, &mut failures),
                }
            }
            let most = if ready { self.sink.config.pace.batch } else { 1 };
            let polled = tokio::select! {
                () = shutdown.cancelled() => return Ok(Ended::Stopped),
                polled = member.poll(most, LONGEST_WAIT) => polled?,
            };
            match polled {
                Polled::Assigned(partitions) => {
                    positions.extend(partitions.into_iter().map(|partition| (partition, 0)));
                    // Read on from what the database says, whatever the group says.
                    ready = false;
                }
                Polled::Revoked(partitions) => positions.retain(|partition, _| !partitions.contains(partition)),
                // What came while the database was out is read again from where it stands.
                Polled::Records(records) if !ready => {
                    if !records.is_empty() {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                Polled::Records(mut records) => {
                    // What is delivered again is in already.
                    records.retain(|record| positions.get(&record.partition).is_some_and(|next| record.offset >= *next));
                    if let Err(error) = self.bring_in(&wanted, records, member.as_mut(), &mut positions).await {
                        match error {
                            error @ Error::Log(_) => return Err(error),
                            error => (ready, retry_at) = (false, self.hold(&error, &mut failures)),
                        }
                    }
                }
            }
            if ready {
                self.show_offsets(member.as_mut(), &positions).await?;
                prune.step(self.pool, &self.sink.config, self.now(), &self.sink.metrics).await;
            }
            if self.now() >= look_at {
                look_at = self.now() + LOOK_FOR_TOPICS_MICROS;
                if Wanted::among(&self.log.topics().await?, self.topics, &self.sink.config).names().ne(names.iter().map(String::as_str)) {
                    return Ok(Ended::NewTopics);
                }
            }
        }
    }

    fn hold(&mut self, error: &Error, failures: &mut i64) -> i64 {
        *failures += 1;
        self.reporter.set(HealthState::Paused, Why { reason: chain(error), remedy: error.remedy() });
        self.now() + micros(error.after().unwrap_or_else(|| self.sink.config.pace.wait(*failures, rand::random())))
    }

    /// Makes sure of the schema, and reads every partition on from where the database stands.
    async fn open(&mut self, member: &mut dyn Member, positions: &mut Offsets) -> Result<(), Error> {
        sqlx::migrate!("../migrations/read_model").run(self.pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => store::error("migrating", &error),
            other => Error::Migrate(other),
        })?;
        let stored = store::positions(self.pool).await.map_err(|error| store::error("reading positions", &error))?;
        for (partition, next) in positions.iter_mut() {
            *next = stored.get(partition).copied().unwrap_or(0);
            let start = if *next == 0 { Start::Earliest } else { Start::Offset(*next) };
            member.seek(partition, start).await?;
        }
        Ok(())
    }

    async fn show_offsets(&mut self, member: &mut dyn Member, positions: &Offsets) -> Result<(), Error> {
        let now = self.now();
        if now - self.told >= SHOW_OFFSETS_MICROS {
            self.told = now;
            let offsets: Offsets =
                positions.iter().filter(|(_, next)| **next > 0).map(|(partition, next)| (partition.clone(), *next)).collect();
            if !offsets.is_empty() {
                member.commit(&offsets).await?;
            }
        }
        Ok(())
    }

    /// Brings records in; those that cannot be, one by one, are set aside.
    async fn bring_in(
        &mut self,
        wanted: &Wanted,
        records: Vec<Record>,
        member: &mut dyn Member,
        positions: &mut Offsets,
    ) -> Result<(), Error> {
        let begun = self.now();
        let count = records.len();
        let mut parts: Vec<&[Record]> = vec![&records];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let batch = self.decode(wanted, part).await?;
            match store::apply(self.pool, &batch, positions).await {
                Ok(store::Stored::Done) => {
                    for (message, count) in batch.counts() {
                        self.sink.metrics.read_model(message, count);
                    }
                }
                Ok(store::Stored::Elsewhere) => {
                    // Somebody else has written meanwhile, or the database was put back: go by what it says.
                    return self.open(member, positions).await;
                }
                Err(error) if store::of_one_record(&error) && part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
                Err(error) if store::of_one_record(&error) => {
                    self.set_aside(&part[0], chain(&error), "It was left out of the pages; the rest goes on").await?;
                    let mut empty = Batch::default();
                    empty.passed(&part[0]);
                    store::apply(self.pool, &empty, positions).await.map_err(|error| store::error("storing", &error))?;
                }
                Err(error) => return Err(store::error("storing", &error)),
            }
        }
        self.aside.clear();
        if count > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a batch takes less than 2^52 microseconds")]
            self.sink.metrics.batch(SINK, count, (self.now() - begun) as f64 / 1e6);
        }
        Ok(())
    }

    async fn decode(&mut self, wanted: &Wanted, records: &[Record]) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        for record in records {
            match batch.take(wanted, &self.sink.config.titles, self.codec, record).await {
                Ok(()) => {
                    let id = sync_id(record);
                    tracing::debug!(
                        sync.id = shown(id.as_ref()),
                        component = COMPONENT,
                        topic = &*record.partition.topic,
                        offset = record.offset,
                        "record read"
                    );
                }
                Err(error) if error.class() == stream::Class::Record => {
                    self.set_aside(record, error.to_string(), "It was written by another program or damaged; pages do without it").await?
                }
                Err(error) => return Err(error.into()),
            }
            batch.passed(record);
        }
        Ok(batch)
    }

    async fn set_aside(&mut self, record: &Record, reason: String, remedy: &str) -> Result<(), Error> {
        let topic: &str = &record.partition.topic;
        if !self.aside.insert((record.partition.clone(), record.offset)) {
            return Ok(());
        }
        let id = sync_id(record);
        tracing::warn!(
            sync.id = shown(id.as_ref()),
            component = COMPONENT,
            topic,
            partition = record.partition.partition,
            offset = record.offset,
            reason,
            "record set aside"
        );
        self.sink.metrics.set_aside(SINK, 1);
        if topic.ends_with(".dlq") || topic == self.topics.health() {
            // A dead letter about a dead letter, or about a sign of life, helps nobody.
            return Ok(());
        }
        let letter = DeadLetter {
            topic: topic.to_owned(),
            partition: i64::from(record.partition.partition),
            offset: i64::try_from(record.offset).unwrap_or(i64::MAX),
            key: record.key.as_ref().map(|bytes| bytes.to_vec()),
            value: record.value.as_ref().map(|bytes| bytes.to_vec()),
            component: COMPONENT.to_owned(),
            reason,
            remedy: remedy.to_owned(),
            at: self.now(),
        };
        let queue = self.topics.dead_letters(topic);
        let config: Vec<_> = self.topics.config(&queue).into_iter().collect();
        self.log.create_topics(&config).await?;
        let bytes = self.codec.encode(&queue, &letter).await?;
        let mut new = NewRecord::new(queue, record.key.clone().unwrap_or_default(), bytes);
        new.key.clone_from(&record.key);
        Ok(self.log.publish(vec![with_sync_id(new, id.as_ref())]).await?)
    }
}

/// A partition with the offset after a record.
fn after(record: &Record) -> (TopicPartition, u64) {
    (record.partition.clone(), record.offset + 1)
}

/// What a database error means for the sink as a whole.
fn class_of(code: &str) -> Class {
    match code.get(..2).unwrap_or_default() {
        "22" | "23" | "54" => Class::Record,
        "28" | "3D" | "42" | "3F" => Class::Fatal,
        _ => Class::Transient,
    }
}
