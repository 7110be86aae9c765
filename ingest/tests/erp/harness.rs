//! A private Postgres, a log in memory, a source between them, and ways to look at what arrived.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use ingest::erp::{Config, ErpSource, Secret, State, Status};
use schemas::cdc::{Change, ChangeSchema, Op};
use schemas::message::SYNC_ID_HEADER;
use schemas::topic::Topics;
use schemas::value::Value;
use servers::{Postgres, PostgresOptions};
use stream::{Codec, Log, MemoryLog, MemoryOptions, Record, Registry, Start, TopicPartition};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::patience::{PATIENCE, found};

/// Schemas by number, without compatibility rules.
#[derive(Default)]
pub(crate) struct Numbers(Mutex<Vec<String>>);

#[async_trait]
impl Registry for Numbers {
    async fn register(&self, _: &str, schema: &str) -> stream::Result<u32> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(|text| text == schema).unwrap_or_else(|| {
            known.push(schema.to_owned());
            known.len() - 1
        });
        Ok(place as u32)
    }

    async fn schema(&self, id: u32) -> stream::Result<Arc<str>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id as usize).map(|text| text.as_str().into()).ok_or(stream::Error::UnknownTopic(format!("schema {id}")))
    }
}

/// Everything a test needs.
pub(crate) struct World {
    pub(crate) postgres: Postgres,
    pub(crate) memory: MemoryLog,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
    pub(crate) config: Config,
    client: tokio_postgres::Client,
}

/// A source that runs in the background.
pub(crate) struct Running {
    pub(crate) status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: JoinHandle<ingest::erp::Result<()>>,
}

impl World {
    /// A server with this schema, and a source configured for these tables.
    pub(crate) async fn new(schema: &str, tables: &[&str]) -> Result<Self> {
        Self::with(PostgresOptions::default(), schema, tables).await
    }

    pub(crate) async fn with(options: PostgresOptions, schema: &str, tables: &[&str]) -> Result<Self> {
        let postgres = Postgres::start(options).await?;
        postgres.create_database("erp").await?;
        postgres.execute("erp", schema).await?;
        let client = connect(&postgres.url("erp")).await?;
        let config = Config {
            url: Secret::new(postgres.url("erp")),
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            idle_checkpoint_ms: 50,
            ..Config::default()
        };
        Ok(Self {
            postgres,
            memory: MemoryLog::new(MemoryOptions::with_clock(now_ms)),
            codec: Codec::new(Arc::new(Numbers::default())),
            topics: Topics::new("", 3),
            config,
            client,
        })
    }

    /// Runs statements in one connection that stays open.
    pub(crate) async fn sql(&self, statements: &str) -> Result<()> {
        self.client.batch_execute(statements).await.with_context(|| statements.to_owned())
    }

    /// One value of the database.
    pub(crate) async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, query: &str) -> Result<T> {
        Ok(self.client.query_one(query, &[]).await.with_context(|| query.to_owned())?.try_get(0)?)
    }

    pub(crate) fn start(&self) -> Result<Running> {
        self.start_on(Arc::new(self.memory.clone()))
    }

    pub(crate) fn start_on(&self, log: Arc<dyn Log>) -> Result<Running> {
        let source = ErpSource::new(self.config.clone(), log, self.codec.clone(), self.topics.clone())?;
        let (status, stop) = (source.status(), CancellationToken::new());
        let task = tokio::spawn(source.run(stop.clone()));
        Ok(Running { status, stop, task })
    }

    /// Every record of a topic, partition by partition.
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

    /// Every change of a table, in the order in which they were committed; a table's truncation once. Each must carry the
    /// id that is made of its place.
    pub(crate) async fn changes(&self, table: &str) -> Result<Vec<Seen>> {
        let topic = self.topics.cdc_erp(table);
        let mut all = Vec::new();
        for record in self.records(&topic).await? {
            let key = String::from_utf8(record.key.context("a record without key")?.to_vec())?;
            let sync_id = record.headers.iter().find(|(name, _)| &**name == SYNC_ID_HEADER).context("a record without sync id")?.1.clone();
            let Some(value) = record.value else { continue };
            let (schema, change) = self.codec.decode_change(&topic, &value).await?;
            let copied = if change.source.snapshot { format!("read-{table}-") } else { String::new() };
            let expected = format!("erp-{copied}{}-{}", change.source.position.replace('/', "-"), change.source.ordinal);
            anyhow::ensure!(sync_id == expected, "{sync_id:?} is not {expected}");
            if change.op == Op::Truncate && record.partition != TopicPartition::new(topic.as_str(), 0) {
                continue;
            }
            all.push(Seen { key, schema, change });
        }
        all.sort_by_key(|seen| (position(&seen.change.source.position), seen.change.source.ordinal, seen.change.op != Op::Delete));
        Ok(all)
    }

    /// Waits until a table has at least so many changes.
    pub(crate) async fn wait_for(&self, table: &str, count: usize) -> Result<Vec<Seen>> {
        let enough = async || Ok(Some(self.changes(table).await?).filter(|changes| changes.len() >= count));
        match found(enough).await? {
            Some(changes) => Ok(changes),
            None => {
                let changes = self.changes(table).await?;
                bail!("{} of {count} changes of {table}: {changes:?}", changes.len())
            }
        }
    }

    /// Waits until the server was told that everything so far is safe.
    pub(crate) async fn confirmed(&self) -> Result<()> {
        let now: String = self.ask("SELECT pg_current_wal_insert_lsn()::text").await?;
        let query = format!(
            "SELECT coalesce((SELECT confirmed_flush_lsn >= '{now}' FROM pg_replication_slots WHERE slot_name = 'concord'), false)"
        );
        eventually(|| async { self.ask::<bool>(&query).await }).await.context("the slot did not advance")
    }
}

impl Running {
    /// Waits for a state of the source.
    pub(crate) async fn until(&mut self, condition: impl FnMut(&Status) -> bool) -> Result<Status> {
        let found = match tokio::time::timeout(PATIENCE, self.status.wait_for(condition)).await {
            Ok(found) => Some(found?.clone()),
            Err(_) => None,
        };
        match found {
            Some(status) => Ok(status),
            None => bail!("the source's status stays {:?}", *self.status.borrow()),
        }
    }

    pub(crate) async fn streaming(&mut self) -> Result<Status> {
        self.until(|status| status.state == State::Streaming).await
    }

    /// Stops in order.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }

    /// Stops wherever it is, as a crash would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it ended before it was killed");
    }
}

/// A change as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) key: String,
    pub(crate) schema: Arc<ChangeSchema>,
    pub(crate) change: Change,
}

impl Seen {
    /// A column of the row after.
    pub(crate) fn after(&self, column: &str) -> Option<&Value> {
        self.change.after.as_ref()?.get(self.schema.column(column)?)
    }

    /// A column of the row before.
    pub(crate) fn before(&self, column: &str) -> Option<&Value> {
        self.change.before.as_ref()?.get(self.schema.column(column)?)
    }

    /// Names of the columns that `after` carries, when not all.
    pub(crate) fn carried(&self) -> Option<Vec<&str>> {
        Some(self.change.changed.as_ref()?.iter().map(|index| self.schema.columns[*index].name.as_str()).collect())
    }

    pub(crate) fn op(&self) -> &'static str {
        self.change.op.as_str()
    }
}

pub(crate) fn position(text: &str) -> u64 {
    text.parse::<ingest::erp::Lsn>().map_or(0, |lsn| lsn.0)
}

/// A table as its changes say it should be.
pub(crate) fn folded(changes: &[Seen]) -> BTreeMap<String, Vec<Value>> {
    let mut rows = BTreeMap::new();
    for seen in changes {
        match (seen.change.op, &seen.change.after) {
            (Op::Delete, _) => drop(rows.remove(&seen.key)),
            (Op::Truncate, _) => rows.clear(),
            (_, Some(row)) => drop(rows.insert(seen.key.clone(), row.clone())),
            (_, None) => {}
        }
    }
    rows
}

#[expect(clippy::disallowed_methods, reason = "records get the time they were written at")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// A SQL connection.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until something is true.
pub(crate) async fn eventually<F: Future<Output = Result<bool>>>(condition: impl Fn() -> F) -> Result<()> {
    found(async || Ok(condition().await?.then_some(()))).await?.context("it did not happen in time")
}
