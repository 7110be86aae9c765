//! One ERP source from start to stop: what is there, a first copy where it is missing, then the stream; again after
//! every fault.

use std::sync::Arc;
use std::time::Duration;

use schemas::topic::{TopicConfig, Topics};
use stream::{Class, Codec, Log};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::batch::Writer;
use super::catalog::{self, TableInfo, Types};
use super::check::{self, check};
use super::checkpoint::{Memory, Position, Resume};
use super::config::Config;
use super::connection::Connection;
use super::error::{Error, Result};
use super::metrics;
use super::publication::{self, FreshSlot};
use super::reader::Replication;
use super::snapshot::{self, Copy};
use super::sql::Sql;
use super::status::{self, Reporter, State, Status};
use super::stream::Streamer;
use super::table::Place;
use super::target::Target;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// All that stays the same while a source runs.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) target: Target,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) codec: Codec,
    pub(crate) topics: Topics,
}

/// Reads one Postgres database onto the log.
pub struct ErpSource {
    setup: Setup,
    reporter: Reporter,
}

impl ErpSource {
    /// A source that has not started yet.
    ///
    /// # Errors
    /// [`Error::Configure`] when the address cannot be used.
    pub fn new(config: Config, log: Arc<dyn Log>, codec: Codec, topics: Topics) -> Result<Self> {
        let target = Target::of(&config)?;
        Ok(Self { setup: Setup { config, target, log, codec, topics }, reporter: Reporter::new() })
    }

    /// How it is doing, from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.reporter.watch()
    }

    /// The topics that reading these tables needs.
    pub fn topics(config: &Config, topics: &Topics) -> Vec<TopicConfig> {
        let mut names = vec![topics.checkpoint(), topics.health()];
        for table in &config.tables {
            let topic = topics.cdc_erp(table);
            names.push(topics.dead_letters(&topic));
            names.push(topic);
        }
        names.iter().filter_map(|name| topics.config(name)).collect()
    }

    /// Reads until stopped. Faults of the server, the network or the log pause it, with the reason in its status, and
    /// it goes on by itself when they are mended.
    ///
    /// # Errors
    /// Only when another process has taken over this source.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let Setup { config, log, codec, topics, .. } = &self.setup;
        let health = tokio::spawn(status::publish(self.status(), config.name.clone(), log.clone(), codec.clone(), topics.clone()));
        let ended = self.keep_running(&stop).await;
        self.reporter.enter(State::Stopped);
        // A log that does not answer must not keep us from ending.
        if tokio::time::timeout(LAST_RETRY, health).await.is_err() {
            tracing::debug!("the last state could not be published");
        }
        ended
    }

    async fn keep_running(&self, stop: &CancellationToken) -> Result<()> {
        let mut wait = FIRST_RETRY;
        loop {
            let before = self.reporter.watch().borrow().changes;
            let error = match self.run_once(stop).await {
                Ok(()) => return Ok(()),
                Err(error @ Error::Log(stream::Error::Fenced(_))) => return Err(error),
                Err(error) => error,
            };
            if stop.is_cancelled() {
                return Ok(());
            }
            match error.class() {
                Class::Transient => tracing::warn!(error = %error, "erp source paused; trying again"),
                Class::Record | Class::Fatal => tracing::error!(error = %error, "erp source paused until this is mended"),
            }
            self.reporter.pause(&error);
            if self.reporter.watch().borrow().changes > before {
                wait = FIRST_RETRY;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(LAST_RETRY);
        }
    }

    async fn run_once(&self, stop: &CancellationToken) -> Result<()> {
        tokio::select! {
            // Stopping between steps of the start loses nothing: each is on the log or is done again.
            () = stop.cancelled() => Ok(()),
            begun = self.begin() => {
                let (streamer, replication, writer) = begun?;
                self.reporter.enter(State::Streaming);
                streamer.run(replication, writer, stop).await
            }
        }
    }

    /// Everything up to the running stream.
    async fn begin(&self) -> Result<(Streamer<'_>, Replication, Writer)> {
        let Setup { config, target, log, codec, topics } = &self.setup;
        log.create_topics(&Self::topics(config, topics)).await?;
        // Opening the writer first means that the checkpoint read next is nobody else's to change.
        let mut writer = Writer::open(&config.name, log, codec, topics).await?;
        let memory = Memory::load(&config.name, log, topics, codec).await?;

        let mut connection = Connection::open(target).await?;
        let system = system_identifier(&mut connection).await?;
        let client = Sql::open(target).await?;
        let infos = self.fit_tables(&client).await?;
        let mut types = Types::default();
        types.learn(&client, infos.iter().flat_map(|info| &info.columns).map(|column| column.type_oid)).await?;
        publication::ensure(&client, config, &infos).await?;
        self.reporter.note(|status| status.server = connection.parameter("server_version").unwrap_or_default().to_owned());

        let (mut memory, fresh) = match self.usable(memory, &system, &client).await? {
            Some(memory) => (memory, None),
            None => {
                publication::drop_slot(&client, &config.slot).await?;
                let fresh = publication::create_slot(&mut connection, &config.slot, false).await?;
                let resume = Resume { system, ..Resume::default() };
                let memory = Memory { position: Position::at(fresh.consistent), resume, ..Memory::default() };
                writer.write(Vec::new(), &memory).await?;
                tracing::info!(slot = %config.slot, source.lsn = %fresh.consistent, "replication slot created");
                (memory, Some(fresh))
            }
        };
        if infos.iter().any(|info| !memory.copied.contains(&info.object())) {
            self.copy(&mut connection, &client, fresh, &infos, &types, &mut writer, &mut memory).await?;
        }
        drop(connection);
        let silence = Duration::from_millis(config.silence_timeout_ms.max(100));
        let replication = Replication::start(target, &config.slot, &config.publication, memory.position.lsn, silence).await?;
        let position = memory.position;
        self.reporter.note(|status| status.position = position);
        Ok((Streamer::new(&self.setup, &self.reporter, memory, types, infos), replication, writer))
    }

    /// The configured tables, or what keeps them from being read.
    async fn fit_tables(&self, client: &Sql) -> Result<Vec<TableInfo>> {
        let infos = catalog::tables(client, &self.setup.config.tables).await?;
        if infos.len() == self.setup.config.tables.len() && infos.iter().all(|info| check::table_findings(info).is_empty()) {
            return Ok(infos);
        }
        Err(Error::Unfit(check(&self.setup.config).await?))
    }

    /// What is remembered, if the slot still goes with it; else there is a gap, which is said and healed by a new copy.
    async fn usable(&self, memory: Option<Memory>, system: &str, client: &Sql) -> Result<Option<Memory>> {
        let Some(memory) = memory else { return Ok(None) };
        let slot = publication::slot(client, &self.setup.config.slot).await?;
        let gap = match slot {
            _ if memory.resume.system != system => "the database is another cluster than before (restored, or another server)".to_owned(),
            None => "the replication slot is gone".to_owned(),
            Some(slot) if slot.lost => "the server has removed log files that the slot needed (max_slot_wal_keep_size)".to_owned(),
            Some(slot) if slot.confirmed.is_some_and(|confirmed| confirmed > memory.position.lsn) => {
                "the replication slot was made anew or moved on by someone else".to_owned()
            }
            Some(_) => return Ok(Some(memory)),
        };
        tracing::warn!(gap = %gap, source.lsn = %memory.position.lsn, "gap in the erp's change stream; reading the tables again");
        metrics::gap();
        self.reporter.note(|status| status.gaps += 1);
        Ok(None)
    }

    /// Copies the tables that are not on the log yet.
    #[expect(clippy::too_many_arguments, reason = "the steps of one start share what the earlier ones opened")]
    async fn copy(
        &self,
        connection: &mut Connection,
        client: &Sql,
        fresh: Option<FreshSlot>,
        infos: &[TableInfo],
        types: &Types,
        writer: &mut Writer,
        memory: &mut Memory,
    ) -> Result<()> {
        let Setup { config, codec, topics, .. } = &self.setup;
        let slot = match fresh {
            Some(slot) => slot,
            None => publication::create_slot(connection, &format!("{}_copy", config.slot), true).await?,
        };
        let taken_at = snapshot::open(client, &slot).await?;
        let place = Place { source: &config.name, topics, codec, types };
        let copy = Copy { client, config, place, slot: &slot, taken_at, reporter: &self.reporter };
        for info in infos {
            if !memory.copied.contains(&info.object()) {
                self.reporter.enter(State::Copying { table: info.object(), rows: 0 });
                copy.table(info, writer, memory).await?;
            }
        }
        client.batch_execute("COMMIT").await.map_err(Error::statement("ending the snapshot"))
    }
}

async fn system_identifier(connection: &mut Connection) -> Result<String> {
    let rows = connection.query("asking which cluster this is", "IDENTIFY_SYSTEM").await?;
    rows.into_iter()
        .next()
        .and_then(|row| row.into_iter().next().flatten())
        .ok_or_else(|| Error::Protocol { doing: "asking which cluster this is", what: "no answer".to_owned() })
}
