//! The loop over the change stream: messages in, log transactions out, confirmations back.
//!
//! While one log transaction is being committed the next is filled. A batch goes out as soon as nothing more is there
//! and no source transaction is open, or when it is full; only a full one splits a source transaction, and then the
//! checkpoint says after how many of its changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use schemas::cdc::OURSELVES;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::{Batch, Writer};
use super::catalog::{self, ColumnInfo, TableInfo, Types};
use super::checkpoint::{Memory, Position};
use super::clock;
use super::connection::message_length;
use super::error::{Error, Result};
use super::lsn::Lsn;
use super::metrics;
use super::ours::Ours;
use super::pgoutput::{self, Message, Old, Relation, Tuple};
use super::reader::{Chunk, Replication};
use super::source::Setup;
use super::sql::Sql;
use super::status::Reporter;
use super::table::{Facts, Place, Table};

/// What our own logical messages start with; `concord.actor` names who makes the changes that follow in its transaction.
const ACTOR: &str = "concord.actor";

/// A source transaction of which the commit has not come yet.
#[derive(Debug)]
struct Open {
    commit_lsn: Lsn,
    committed_at: i64,
    xid: u32,
    origin: Option<String>,
    actor: Option<String>,
    /// Changes seen so far.
    seen: u64,
}

/// A log transaction being committed.
struct Writing {
    task: JoinHandle<(Writer, Result<()>)>,
    position: Position,
    changes: usize,
    committed_at: i64,
}

/// The loop's state.
pub(crate) struct Streamer<'a> {
    setup: &'a Setup,
    reporter: &'a Reporter,
    types: Types,
    infos: Vec<TableInfo>,
    /// Tables by the object id the stream names them with; none for tables that are not ours to read.
    relations: HashMap<u32, Option<Arc<Table>>>,
    /// What was on the log when the stream began.
    covered: Position,
    /// Transactions of our own, until they are whole.
    ours: Ours,
    open: Option<Open>,
    batch: Batch,
    batch_since: Instant,
    /// As the batch and everything before it leaves it.
    memory: Memory,
    /// Bytes received and not looked at yet.
    pending: Bytes,
    behind: bool,
    written: Position,
    written_at: Instant,
}

impl<'a> Streamer<'a> {
    pub(crate) fn new(setup: &'a Setup, reporter: &'a Reporter, memory: Memory, types: Types, infos: Vec<TableInfo>) -> Self {
        Self {
            setup,
            reporter,
            types,
            infos,
            relations: HashMap::new(),
            covered: memory.position,
            ours: Ours::new(&setup.config.origin),
            open: None,
            batch: Batch::default(),
            batch_since: Instant::now(),
            written: memory.position,
            memory,
            pending: Bytes::new(),
            behind: false,
            written_at: Instant::now(),
        }
    }

    /// Runs until stopped or until something fails. What was being written is finished either way.
    pub(crate) async fn run(mut self, mut replication: Replication, writer: Writer, stop: &CancellationToken) -> Result<()> {
        let mut free = Some(writer);
        let mut writing: Option<Writing> = None;
        let ended = self.turn(&mut replication, &mut free, &mut writing, stop).await;
        if let Some(last) = writing.take() {
            let (_, done) = finished(&mut Some(last)).await;
            if let Ok(position) = done {
                self.confirm(&replication, position.0, position.1, position.2);
            }
        }
        ended
    }

    async fn turn(
        &mut self,
        replication: &mut Replication,
        free: &mut Option<Writer>,
        writing: &mut Option<Writing>,
        stop: &CancellationToken,
    ) -> Result<()> {
        loop {
            if free.is_some()
                && self.is_due(replication.chunks.is_empty())
                && let Some(writer) = free.take()
            {
                *writing = Some(self.write(writer));
            }
            let deadline = self.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                (writer, done) = finished(writing), if writing.is_some() => {
                    *writing = None;
                    let (position, changes, committed_at) = done?;
                    *free = Some(writer);
                    self.confirm(replication, position, changes, committed_at);
                }
                chunk = replication.chunks.recv(), if !self.has_more() && !self.is_full() => {
                    let Chunk { bytes, behind } = chunk.unwrap_or_else(|| Err(ended()))?;
                    metrics::received(bytes.len());
                    self.pending = bytes;
                    self.behind = behind;
                    self.work().await?;
                }
                () = std::future::ready(()), if self.has_more() && !self.is_full() => self.work().await?,
                () = tokio::time::sleep_until(deadline), if free.is_some() => {}
            }
        }
    }

    fn is_full(&self) -> bool {
        self.batch.changes >= self.setup.config.batch_changes || self.batch.bytes >= self.setup.config.batch_bytes
    }

    /// Whether messages are here that were not looked at.
    fn has_more(&self) -> bool {
        self.ours.is_waiting() || !self.pending.is_empty()
    }

    /// Whether what is there should be written now.
    fn is_due(&self, nothing_more: bool) -> bool {
        if self.is_full() {
            return true;
        }
        if self.open.is_some() || self.has_more() {
            return false;
        }
        if self.batch.is_empty() {
            return self.memory.position > self.written && self.written_at.elapsed() >= self.idle();
        }
        (nothing_more && !self.behind) || self.batch_since.elapsed() >= self.linger()
    }

    /// When to look again although nothing happened.
    fn deadline(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        match (&self.open, self.batch.is_empty()) {
            (Some(_), _) => far,
            (None, false) => self.batch_since + self.linger(),
            (None, true) if self.memory.position > self.written => self.written_at + self.idle(),
            (None, true) => far,
        }
    }

    fn linger(&self) -> Duration {
        Duration::from_millis(self.setup.config.linger_ms)
    }

    fn idle(&self) -> Duration {
        Duration::from_millis(self.setup.config.idle_checkpoint_ms)
    }

    fn write(&mut self, mut writer: Writer) -> Writing {
        let batch = std::mem::take(&mut self.batch);
        self.memory.tidy();
        let memory = self.memory.clone();
        let (position, committed_at) = (memory.position, memory.committed_at);
        self.written_at = Instant::now();
        self.written = position;
        Writing {
            position,
            changes: batch.changes,
            committed_at,
            task: tokio::spawn(async move {
                let done = writer.write(batch.records, &memory).await;
                (writer, done)
            }),
        }
    }

    /// The log has it. Only whole transactions are confirmed: a split one must be sent again from its start.
    fn confirm(&self, replication: &Replication, position: Position, changes: usize, committed_at: i64) {
        if position.changes == 0 {
            replication.confirm(position.lsn);
        }
        metrics::written(changes, clock::now_micros() - committed_at);
        self.reporter.note(|status| {
            status.position = position;
            status.committed_at = committed_at;
            status.changes += changes as u64;
            if position.changes == 0 {
                status.confirmed = position.lsn;
            }
        });
    }

    /// Looks at pending messages until there are none or the batch is full.
    async fn work(&mut self) -> Result<()> {
        while !self.is_full() {
            if let Some(message) = self.ours.next() {
                self.message(message).await?;
                continue;
            }
            let Some(length) = message_length(&self.pending)? else {
                return if self.pending.is_empty() { Ok(()) } else { Err(odd("a chunk that ends inside a message")) };
            };
            let message = self.pending.split_to(length);
            match (message.first(), message.get(5)) {
                (Some(b'd'), Some(b'w')) if message.len() >= 30 => {
                    if let Some(message) = self.ours.pass(message.slice(30..)) {
                        self.message(message).await?;
                    }
                }
                (Some(b'd'), Some(b'k')) if message.len() >= 14 => {
                    let sent = Lsn(message.slice(6..).get_u64());
                    if self.open.is_none() && sent > self.memory.position.lsn {
                        self.memory.position = Position::at(sent);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn message(&mut self, bytes: Bytes) -> Result<()> {
        let decoded = pgoutput::decode(&bytes)
            .map_err(|error| Error::Protocol { doing: "decoding the replication stream", what: error.to_string() })?;
        match decoded {
            Message::Begin(begin) => {
                self.open = Some(Open {
                    commit_lsn: begin.commit_lsn,
                    committed_at: clock::from_postgres(begin.committed_at),
                    xid: begin.xid,
                    origin: None,
                    actor: None,
                    seen: 0,
                });
            }
            Message::Commit(commit) => {
                self.open = None;
                if commit.end_lsn > self.memory.position.lsn {
                    self.memory.position = Position::at(commit.end_lsn);
                }
            }
            Message::Origin { name, .. } => {
                let name = if self.ours.is_origin(name) { OURSELVES } else { name };
                if let Some(open) = &mut self.open {
                    open.origin = Some(name.to_owned());
                }
            }
            Message::Logical { transactional: true, prefix: ACTOR, content, .. } => {
                if let Some(open) = &mut self.open {
                    open.actor = Some(String::from_utf8_lossy(content).into_owned());
                }
            }
            Message::Relation(relation) => self.relation(relation).await?,
            Message::Insert { relation, new } => self.change(&[relation], &[new], &bytes, |table, facts| table.insert(&new, facts)).await?,
            Message::Update { relation, old, new } => {
                let rows = match old {
                    Old::None => vec![new],
                    Old::Key(old) | Old::Full(old) => vec![old, new],
                };
                self.change(&[relation], &rows, &bytes, |table, facts| table.update(&old, &new, facts)).await?
            }
            Message::Delete { relation, old } => {
                let rows = match old {
                    Old::None => Vec::new(),
                    Old::Key(old) | Old::Full(old) => vec![old],
                };
                self.change(&[relation], &rows, &bytes, |table, facts| table.delete(&old, facts)).await?
            }
            Message::Truncate { relations, .. } => self.change(&relations, &[], &bytes, Table::truncate).await?,
            Message::Type { .. } | Message::Logical { .. } => {}
        }
        Ok(())
    }

    /// Counts a change and, unless the log has it already, adds its records to the batch. `rows` are the row before, as far
    /// as it is known, and after.
    async fn change(
        &mut self,
        relations: &[u32],
        rows: &[Tuple<'_>],
        bytes: &[u8],
        records: impl Fn(&Table, Facts) -> Result<Vec<stream::NewRecord>>,
    ) -> Result<()> {
        let open = self.open.as_mut().ok_or_else(|| odd("a change outside a transaction"))?;
        let ordinal = open.seen;
        open.seen += 1;
        // Asked for those that the log has, too: each takes its turn.
        let write = if self.ours.has_stamps() { write(&mut self.ours, &self.relations, relations, rows) } else { None };
        if self.covered.covers(open.commit_lsn, ordinal) {
            return Ok(());
        }
        let facts = Facts {
            position: open.commit_lsn,
            transaction: open.xid.to_string(),
            ordinal,
            committed_at: open.committed_at,
            actor: open.actor.clone(),
            origin: open.origin.clone(),
            write,
            snapshot: false,
        };
        if self.batch.is_empty() {
            self.batch_since = Instant::now();
        }
        let mut found = Vec::new();
        for relation in relations {
            let table = self.relations.get(relation).ok_or_else(|| odd("a change of a table that was not described"))?;
            let Some(table) = table else { continue };
            if facts.position < self.memory.since(&table.object) {
                continue;
            }
            match records(table, facts.clone()) {
                Ok(more) => {
                    tracing::debug!(sync.id = %table.sync_id(&facts), table = %table.object, "change captured");
                    found.extend(more);
                }
                Err(error @ Error::ConvertRow { .. }) => {
                    self.reporter.set_aside(&error, table.sync_id(&facts));
                    found.push(table.set_aside(bytes, &facts, &error, &self.setup.codec).await?);
                }
                Err(error) => return Err(error),
            }
        }
        if !found.is_empty() {
            self.batch.add(found);
        }
        self.memory.position = Position { lsn: facts.position, changes: ordinal + 1 };
        self.memory.committed_at = facts.committed_at;
        Ok(())
    }

    /// A table is described: for the first time on this connection, or because it changed.
    async fn relation(&mut self, relation: Relation) -> Result<()> {
        let namespace = if relation.namespace.is_empty() { "pg_catalog" } else { &relation.namespace };
        let object = format!("{namespace}.{}", relation.name);
        if !self.setup.config.tables.contains(&object) {
            self.relations.insert(relation.oid, None);
            return Ok(());
        }
        let columns: Vec<ColumnInfo> = relation
            .columns
            .iter()
            .map(|column| ColumnInfo { name: column.name.clone(), type_oid: column.type_oid, type_modifier: column.type_modifier })
            .collect();
        if let Some(Some(table)) = self.relations.get(&relation.oid)
            && table.object == object
            && table.columns == columns
        {
            return Ok(());
        }
        let as_known = self.infos.iter().any(|info| info.oid == relation.oid && info.columns == columns);
        if !as_known || columns.iter().any(|column| !self.types.knows(column.type_oid)) {
            let client = Sql::open(&self.setup.target).await?;
            self.types.learn(&client, columns.iter().map(|column| column.type_oid)).await?;
            self.infos = catalog::tables(&client, &self.setup.config.tables).await?;
        }
        let key = self.key(&relation, &object);
        let place = Place { source: &self.setup.config.name, topics: &self.setup.topics, codec: &self.setup.codec, types: &self.types };
        let table = Table::prepare(object, columns, &key, &place).await?;
        self.relations.insert(relation.oid, Some(Arc::new(table)));
        Ok(())
    }

    /// The key as the catalog says it, if those columns are in the description, else as the description says it: the
    /// catalog is of now, the description of when the change was made.
    fn key(&self, relation: &Relation, object: &str) -> Vec<String> {
        let described = |name: &String| relation.columns.iter().any(|column| column.name == *name);
        let now = self.infos.iter().find(|info| info.object() == object).and_then(TableInfo::key);
        match now {
            Some(key) if key.iter().all(described) => key.to_vec(),
            _ => relation.columns.iter().filter(|column| column.key).map(|column| column.name.clone()).collect(),
        }
    }
}

/// Waits for the log transaction that is being written; for ever when there is none.
async fn finished(writing: &mut Option<Writing>) -> (Writer, Result<(Position, usize, i64)>) {
    match writing {
        None => std::future::pending().await,
        Some(current) => match (&mut current.task).await {
            Ok((writer, done)) => (writer, done.map(|()| (current.position, current.changes, current.committed_at))),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody cancels it but a runtime that is shutting down, and that ends us too.
                Err(_) => std::future::pending().await,
            },
        },
    }
}

/// The write of ours that changed a row, by the row's key before or after.
fn write(ours: &mut Ours, known: &HashMap<u32, Option<Arc<Table>>>, relations: &[u32], rows: &[Tuple<'_>]) -> Option<String> {
    let table = known.get(relations.first()?)?.as_ref()?;
    rows.iter().find_map(|row| ours.write(&table.object, &table.record(row)?))
}

fn odd(what: &str) -> Error {
    Error::Protocol { doing: "reading the replication stream", what: what.to_owned() }
}

fn ended() -> Error {
    Error::Lost { doing: "reading the replication stream", source: std::io::ErrorKind::UnexpectedEof.into() }
}
