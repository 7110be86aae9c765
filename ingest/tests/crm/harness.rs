//! A simulated org with a clock of its own, a log in memory, a source between them, and ways to look at what arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use ingest::crm::{Auth, Config, Error, Secret};
use schemas::Value;
use schemas::cdc::{Change, ChangeSchema, Op};
use schemas::message::{Checkpoint, DeadLetter, Health, HealthState, Message, SYNC_ID_HEADER};
use schemas::topic::Topics;
use serde_json::Value as Json;
use simulator::{Actor, Clock, Org, RecordId, Settings, Simulator};
use stream::{Codec, Log as _, MemoryLog, MemoryOptions, Record, Start};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::erp::harness::Numbers;
use crate::patience::{PATIENCE, found};

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) org: Org,
    pub(crate) clock: Clock,
    pub(crate) memory: MemoryLog,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) config: Config,
}

/// A source that runs in the background.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

/// One change as it stands on the log.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) key: String,
    pub(crate) sync_id: String,
    pub(crate) schema: Arc<ChangeSchema>,
    /// None for a tombstone.
    pub(crate) change: Option<Change>,
}

impl Seen {
    pub(crate) fn op(&self) -> Option<Op> {
        self.change.as_ref().map(|change| change.op)
    }

    /// A column of the row after.
    pub(crate) fn after(&self, column: &str) -> Option<Value> {
        let place = self.schema.column(column)?;
        self.change.as_ref()?.after.as_ref()?.get(place).cloned()
    }

    /// Names of the columns that the change carries; none means all.
    pub(crate) fn carried(&self) -> Option<BTreeSet<String>> {
        let changed = self.change.as_ref()?.changed.as_ref()?;
        Some(changed.iter().map(|&place| self.schema.columns[place].name.clone()).collect())
    }
}

/// `c`, `u`, `d`, `r`, and `-` for a tombstone.
pub(crate) fn ops(seen: &[Seen]) -> String {
    seen.iter().map(|seen| seen.op().map_or("-", Op::as_str)).collect()
}

impl World {
    /// An org, and a source that follows these objects by client credentials.
    pub(crate) async fn new(objects: &[&str]) -> Result<Self> {
        let clock = Clock::manual(now_ms() / 1000 * 1000);
        let mut settings = Settings { clock: clock.clone(), ..Settings::default() };
        settings.live.keepalive_ms = 50;
        let simulator = Simulator::start(settings).await?;
        let config = Config {
            login_url: simulator.rest_url(),
            auth: Auth::ClientCredentials { client_id: simulator.client_id(), client_secret: Secret::new(simulator.client_secret()) },
            pubsub_endpoint: simulator.pubsub_address(),
            root_certificate: Some(simulator.ca_pem()),
            objects: objects.iter().map(|&object| object.to_owned()).collect(),
            backoff_min_ms: 10,
            backoff_max_ms: 100,
            pause_ms: 100,
            silence_timeout_ms: 5_000,
            health_interval_ms: 100,
            ..Config::default()
        };
        Ok(Self {
            org: simulator.org(),
            simulator,
            clock,
            memory: MemoryLog::new(MemoryOptions::with_clock(now_ms)),
            codec: Codec::new(Arc::new(Numbers::default())),
            topics: Topics::new("", 1),
            config,
        })
    }

    pub(crate) fn start(&self) -> Running {
        self.start_as(self.config.clone())
    }

    pub(crate) fn start_as(&self, config: Config) -> Running {
        let stop = CancellationToken::new();
        let run = ingest::crm::run(config, Arc::new(self.memory.clone()), self.codec.clone(), self.topics.clone(), stop.clone());
        Running { stop, task: tokio::spawn(run) }
    }

    /// Starts a source and waits until it has copied everything and follows the stream, some time later by the org's
    /// clock, so that what comes next is newer than anything copied.
    pub(crate) async fn start_following(&self) -> Result<Running> {
        let running = self.start();
        self.until("the source follows the stream", async || {
            let checkpoint = self.checkpoint().await?;
            Ok(checkpoint.is_some_and(|checkpoint| {
                !checkpoint.position.is_empty()
                    && !checkpoint.resume.contains("scans")
                    && checkpoint.copied.len() == self.config.objects.len()
            }))
        })
        .await?;
        self.clock.advance_ms(60_000);
        Ok(running)
    }

    pub(crate) fn person(&self) -> Actor {
        Actor::lightning(self.org.admin_user())
    }

    pub(crate) fn create(&self, object: &str, fields: Json) -> Result<RecordId> {
        self.clock.advance_ms(1_000);
        Ok(self.org.create(&self.person(), object, &fields)?)
    }

    pub(crate) fn update(&self, id: RecordId, fields: Json) -> Result<()> {
        self.clock.advance_ms(1_000);
        Ok(self.org.update(&self.person(), id, &fields)?)
    }

    pub(crate) fn delete(&self, id: RecordId) -> Result<()> {
        self.clock.advance_ms(1_000);
        Ok(self.org.delete(&self.person(), id)?)
    }

    /// Every record of a topic.
    pub(crate) async fn records(&self, topic: &str) -> Result<Vec<Record>> {
        let mut all = Vec::new();
        if !self.memory.topics().await?.iter().any(|name| name == topic) {
            return Ok(all);
        }
        for (partition, end) in self.memory.ends(topic).await? {
            let mut reader = self.memory.reader(vec![(partition.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&partition).copied().unwrap_or(0) < end {
                all.extend(reader.poll(10_000, Duration::from_millis(200)).await?);
            }
        }
        Ok(all)
    }

    /// Every change of an object, in order.
    pub(crate) async fn changes(&self, object: &str) -> Result<Vec<Seen>> {
        let topic = self.topics.cdc_crm(object);
        let mut all = Vec::new();
        let mut last = None;
        for record in self.records(&topic).await? {
            let key = String::from_utf8(record.key.clone().context("a record without key")?.to_vec())?;
            let sync_id = String::from_utf8(record.header(SYNC_ID_HEADER).context("a record without sync id")?.to_vec())?;
            let (schema, change) = match &record.value {
                Some(value) => {
                    let (schema, change) = self.codec.decode_change(&topic, value).await?;
                    last = Some(schema.clone());
                    (schema, Some(change))
                }
                None => (last.clone().context("a tombstone before any change")?, None),
            };
            all.push(Seen { key, sync_id, schema, change });
        }
        Ok(all)
    }

    /// Waits until an object's changes are as wanted.
    pub(crate) async fn changes_when(&self, object: &str, what: &str, wanted: impl Fn(&[Seen]) -> bool) -> Result<Vec<Seen>> {
        let seen = found(async || Ok(Some(self.changes(object).await?).filter(|seen| wanted(seen)))).await?;
        if let Some(seen) = seen {
            return Ok(seen);
        }
        let seen = self.changes(object).await?;
        let last: Vec<_> = seen.iter().rev().take(3).map(|seen| (&seen.key, &seen.sync_id, seen.carried())).collect();
        bail!("{what} did not come; {} of {object}: … {last:?}; health: {:?}", ops(&seen), self.health().await?)
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
        if found(async || Ok(holds().await?.then_some(()))).await?.is_none() {
            bail!("{what}: it did not come to that; health: {:?}; checkpoint: {:?}", self.health().await?, self.checkpoint().await?);
        }
        Ok(())
    }

    async fn last<M: Message>(&self, topic: &str) -> Result<Option<M>> {
        match self.records(topic).await?.last() {
            Some(record) => Ok(self.codec.message(record).await?),
            None => Ok(None),
        }
    }

    pub(crate) async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.last(&self.topics.checkpoint()).await
    }

    pub(crate) async fn health(&self) -> Result<Option<Health>> {
        self.last(&self.topics.health()).await
    }

    /// Every state that was reported, in order.
    pub(crate) async fn reports(&self) -> Result<Vec<Health>> {
        let mut all = Vec::new();
        for record in self.records(&self.topics.health()).await? {
            all.extend(self.codec.message(&record).await?);
        }
        Ok(all)
    }

    /// Waits for a report in this state whose reason and remedy have these words.
    pub(crate) async fn health_when(&self, state: HealthState, words: &str) -> Result<Health> {
        let meant = |health: &Health| health.state == state && format!("{} | {}", health.reason, health.remedy).contains(words);
        match found(async || Ok(self.reports().await?.into_iter().rev().find(&meant))).await? {
            Some(health) => Ok(health),
            None => bail!("no report {state} with {words:?} among {:?}", self.reports().await?.iter().rev().take(5).collect::<Vec<_>>()),
        }
    }

    pub(crate) async fn dead_letters(&self, object: &str) -> Result<Vec<DeadLetter>> {
        let topic = self.topics.dead_letters(&self.topics.cdc_crm(object));
        let mut all = Vec::new();
        for record in self.records(&topic).await? {
            all.extend(self.codec.message(&record).await?);
        }
        Ok(all)
    }

    /// What an object's changes amount to: every live record with its known columns.
    pub(crate) async fn folded(&self, object: &str) -> Result<BTreeMap<String, BTreeMap<String, Value>>> {
        let mut state: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for seen in self.changes(object).await? {
            let Some(change) = &seen.change else { continue };
            match change.op {
                Op::Delete | Op::Truncate => {
                    state.remove(&seen.key);
                }
                Op::Create | Op::Read | Op::Update => {
                    let row = state.entry(seen.key.clone()).or_default();
                    let carried = seen.carried();
                    for (column, value) in seen.schema.columns.iter().zip(change.after.iter().flatten()) {
                        if carried.as_ref().is_none_or(|carried| carried.contains(&column.name)) {
                            row.insert(column.name.clone(), value.clone());
                        }
                    }
                }
            }
        }
        Ok(state)
    }
}

impl Running {
    /// Stops and reports how it ended.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.context("the source did not stop")??.context("the source ended with an error")
    }

    /// Ends at once, wherever it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<Result<(), Error>> {
        Ok(tokio::time::timeout(PATIENCE, self.task).await.context("the source goes on")??)
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of a test")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
