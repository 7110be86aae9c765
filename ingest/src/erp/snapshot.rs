//! The first copy of tables: everything they held at one point of the log, as changes with op `r`.
//!
//! A snapshot that a new replication slot exported shows exactly what had been committed before the slot's consistent
//! point, so a copy at it and the stream from there are without gap and overlap. A table counts as copied once its
//! last chunk is on the log; a restart goes on with the tables that are not, at a snapshot of a temporary slot, and
//! the stream leaves out what that later copy already holds.

use std::pin::pin;

use futures::TryStreamExt as _;
use tokio_postgres::Client;

use super::batch::{Batch, Writer};
use super::catalog::TableInfo;
use super::checkpoint::Memory;
use super::config::Config;
use super::copy::{CopyRow, Rows};
use super::error::{Error, Result};
use super::ledger;
use super::pgoutput::Cell;
use super::publication::FreshSlot;
use super::sql::{identifier, literal};
use super::status::Reporter;
use super::table::{Facts, Place, Table};

/// Opens the transaction in which all tables are seen as at the slot's consistent point. Once it is open, the
/// connection that made the slot may go.
pub(crate) async fn open(client: &Client, slot: &FreshSlot) -> Result<i64> {
    let begin = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0",
        literal(&slot.snapshot)
    );
    client.batch_execute(&begin).await.map_err(Error::statement("opening the slot's snapshot"))?;
    let row = client
        .query_one("SELECT (extract(epoch FROM now()) * 1000000)::int8", &[])
        .await
        .map_err(Error::statement("reading the server's clock"))?;
    Ok(row.get(0))
}

/// One first copy: what it needs of its source.
pub(crate) struct Copy<'a> {
    pub(crate) client: &'a Client,
    pub(crate) config: &'a Config,
    pub(crate) place: Place<'a>,
    pub(crate) slot: &'a FreshSlot,
    /// When the snapshot was taken, by the server's clock.
    pub(crate) taken_at: i64,
    pub(crate) reporter: &'a Reporter,
}

impl Copy<'_> {
    /// Copies one table and remembers it as copied.
    pub(crate) async fn table(&self, info: &TableInfo, writer: &mut Writer, memory: &mut Memory) -> Result<u64> {
        let object = info.object();
        let key = info.key().ok_or_else(|| Error::Unfit(super::check::table_findings(info)))?;
        let table = Table::prepare(object.clone(), info.columns.clone(), key, &self.place).await?;
        let written = ledger::knows(self.client, &object).await?;
        let statement = if written {
            ledger::copy(info, key)
        } else {
            let columns: Vec<String> = info.columns.iter().map(|column| identifier(&column.name)).collect();
            format!("COPY (SELECT {} FROM {}) TO STDOUT", columns.join(", "), info.quoted())
        };
        let failed = || Error::statement(format!("copying {object}"));
        let mut received = pin!(self.client.copy_out(&statement).await.map_err(failed())?);
        let mut rows = Rows::default();
        let mut batch = Batch::default();
        let mut count = 0;
        while let Some(bytes) = received.try_next().await.map_err(failed())? {
            rows.extend(&bytes);
            while let Some(mut row) = rows.next() {
                let write = if written { row.pop().flatten().and_then(|id| String::from_utf8(id).ok()) } else { None };
                self.row(&table, &row, write, count, &mut batch).await?;
                count += 1;
            }
            if batch.changes >= self.config.batch_changes || batch.bytes >= self.config.batch_bytes {
                let full = std::mem::take(&mut batch);
                writer.write(full.records, memory).await?;
                self.reporter.copying(&object, count, full.changes);
            }
        }
        memory.copied.insert(object.clone());
        if self.slot.consistent > memory.position.lsn {
            memory.resume.since.insert(object.clone(), self.slot.consistent.to_string());
        }
        writer.write(batch.records, memory).await?;
        self.reporter.copying(&object, count, batch.changes);
        tracing::info!(table = %object, rows = count, source.lsn = %self.slot.consistent, "first copy of a table is complete");
        Ok(count)
    }

    async fn row(&self, table: &Table, row: &CopyRow, write: Option<String>, ordinal: u64, batch: &mut Batch) -> Result<()> {
        let cells: Vec<Cell<'_>> = row.iter().map(|value| value.as_ref().map_or(Cell::Null, |text| Cell::Text(text))).collect();
        let facts = Facts {
            position: self.slot.consistent,
            transaction: String::new(),
            ordinal,
            committed_at: self.taken_at,
            actor: None,
            origin: None,
            write,
            snapshot: true,
        };
        match table.read(&cells, facts.clone()) {
            Ok(records) => {
                tracing::debug!(sync.id = %table.sync_id(&facts), table = %table.object, "row read");
                batch.add(records);
            }
            Err(error @ Error::ConvertRow { .. }) => {
                self.reporter.set_aside(&error, table.sync_id(&facts));
                let text = row.iter().map(|value| value.as_deref().unwrap_or(b"\\N")).collect::<Vec<_>>().join(&b'\t');
                batch.add([table.set_aside(&text, &facts, &error, self.place.codec).await?]);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
