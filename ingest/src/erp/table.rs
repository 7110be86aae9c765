//! One captured table: its columns as typed Avro, its key, and its changes as log records.

use std::sync::Arc;

use bytes::Bytes;
use schemas::cdc::{Change, ChangeSchema, Column, Op, Row, Source};
use schemas::message::{DeadLetter, SYNC_ID_HEADER, Side};
use schemas::topic::Topics;
use schemas::value::Value;
use stream::codec::encode_change_as;
use stream::{Codec, NewRecord};

use super::catalog::{ColumnInfo, Types};
use super::clock;
use super::error::{Error, Result};
use super::lsn::Lsn;
use super::pgoutput::{Cell, Old, Tuple};
use super::sync_id::SyncId;
use super::values::Kind;

/// A table and how its rows are written.
#[derive(Debug)]
pub(crate) struct Table {
    /// `schema.table`.
    pub(crate) object: String,
    pub(crate) topic: Arc<str>,
    pub(crate) columns: Vec<ColumnInfo>,
    source: String,
    dead_letters: Arc<str>,
    partitions: u32,
    kinds: Vec<Kind>,
    schema: ChangeSchema,
    schema_id: u32,
    /// The header's name, made once.
    sync_header: Arc<str>,
    /// Indexes of the key's columns.
    key: Vec<usize>,
}

/// What all changes of one transaction, or of one copy, have in common, and the place of one of them.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) position: Lsn,
    pub(crate) transaction: String,
    pub(crate) ordinal: u64,
    /// Microseconds since 1970.
    pub(crate) committed_at: i64,
    pub(crate) actor: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) snapshot: bool,
    pub(crate) write: Option<String>,
}

/// What a table's records need to know of their source.
pub(crate) struct Place<'a> {
    pub(crate) source: &'a str,
    pub(crate) topics: &'a Topics,
    pub(crate) codec: &'a Codec,
    pub(crate) types: &'a Types,
}

impl Table {
    /// Prepares a table: its Avro schema is registered.
    pub(crate) async fn prepare(object: String, columns: Vec<ColumnInfo>, key: &[String], place: &Place<'_>) -> Result<Self> {
        let kinds: Vec<Kind> = columns.iter().map(|column| place.types.kind(column.type_oid, column.type_modifier)).collect();
        let schema = ChangeSchema {
            side: Side::Erp,
            object: object.clone(),
            columns: columns
                .iter()
                .zip(&kinds)
                .map(|(column, kind)| Column { name: column.name.clone(), kind: kind.column_type() })
                .collect(),
        };
        let key: Vec<usize> = key.iter().filter_map(|name| schema.column(name)).collect();
        if key.is_empty() {
            return Err(Error::Protocol { doing: "preparing a table", what: format!("{object} without its key columns") });
        }
        let topic = place.topics.cdc_erp(&object);
        let text: Arc<str> = schema.schema_text().into();
        let schema_id = place.codec.schema_id(&topic, &text).await?;
        Ok(Self {
            object,
            columns,
            source: place.source.to_owned(),
            dead_letters: place.topics.dead_letters(&topic).into(),
            partitions: place.topics.entity_partitions(),
            topic: topic.into(),
            kinds,
            schema,
            schema_id,
            sync_header: SYNC_ID_HEADER.into(),
            key,
        })
    }

    /// A row that a first copy has read.
    pub(crate) fn read(&self, cells: &[Cell<'_>], facts: Facts) -> Result<Vec<NewRecord>> {
        self.one(Op::Read, None, cells, None, facts)
    }

    /// A new row.
    pub(crate) fn insert(&self, new: &Tuple<'_>, facts: Facts) -> Result<Vec<NewRecord>> {
        self.one(Op::Create, None, &self.cells(new)?, None, facts)
    }

    /// A changed row. When its key changed, the old key gets a delete and a tombstone and the new key a create, so
    /// that every key's own history is right.
    pub(crate) fn update(&self, old: &Old<'_>, new: &Tuple<'_>, facts: Facts) -> Result<Vec<NewRecord>> {
        let new = self.cells(new)?;
        let (before, whole) = match old {
            Old::None => return self.one(Op::Update, None, &new, None, facts),
            Old::Key(old) => (self.cells(old)?, false),
            Old::Full(old) => (self.cells(old)?, true),
        };
        let filled = whole.then_some(before.as_slice());
        if self.record_id(&before)? == self.record_id(&new)? {
            return self.one(Op::Update, Some(&before), &new, filled, facts);
        }
        let mut records = self.gone(&before, facts.clone())?;
        records.extend(self.one(Op::Create, None, &new, filled, facts)?);
        Ok(records)
    }

    /// A row that is gone.
    pub(crate) fn delete(&self, old: &Old<'_>, facts: Facts) -> Result<Vec<NewRecord>> {
        match old {
            Old::Key(old) | Old::Full(old) => self.gone(&self.cells(old)?, facts),
            Old::None => Err(Error::Protocol { doing: "reading a delete", what: format!("a row of {} without its key", self.object) }),
        }
    }

    /// The whole table was emptied: said in every partition, so that every reader of the topic sees it in order.
    pub(crate) fn truncate(&self, facts: Facts) -> Result<Vec<NewRecord>> {
        let sync_id = self.sync_id(&facts).bytes();
        let change = self.change(Op::Truncate, None, None, None, facts);
        let value = Bytes::from(self.encode(&change)?);
        Ok((0..self.partitions)
            .map(|partition| {
                let record = NewRecord::new(self.topic.clone(), Bytes::new(), value.clone());
                NewRecord { partition: Some(partition), ..self.named(record, sync_id.clone()) }
            })
            .collect())
    }

    /// What names the record that a row belongs to, where the row has its key.
    pub(crate) fn record(&self, row: &Tuple<'_>) -> Option<String> {
        String::from_utf8(self.record_id(&self.cells(row).ok()?).ok()?).ok()
    }

    /// The id that follows one change of this table to its last effect.
    pub(crate) fn sync_id(&self, facts: &Facts) -> SyncId<'_> {
        SyncId { copied: facts.snapshot.then_some(self.object.as_str()), position: facts.position, ordinal: facts.ordinal }
    }

    fn named(&self, mut record: NewRecord, sync_id: Bytes) -> NewRecord {
        record.headers = vec![(self.sync_header.clone(), sync_id)];
        record
    }

    /// A change that could not be carried, set aside with its bytes.
    pub(crate) async fn set_aside(&self, message: &[u8], facts: &Facts, error: &Error, codec: &Codec) -> Result<NewRecord> {
        let letter = DeadLetter {
            topic: self.topic.to_string(),
            partition: -1,
            offset: -1,
            key: None,
            value: Some(message.to_vec()),
            component: format!("ingest.{}", self.source),
            reason: error.to_string(),
            remedy: "correct the row at its source; its next change is captured again".to_owned(),
            at: clock::now_micros(),
        };
        let value = codec.encode(&self.dead_letters, &letter).await?;
        let record = NewRecord::new(self.dead_letters.clone(), self.object.as_bytes().to_vec(), value);
        Ok(self.named(record, self.sync_id(facts).bytes()))
    }

    fn cells<'a>(&self, tuple: &Tuple<'a>) -> Result<Vec<Cell<'a>>> {
        if tuple.len() == self.kinds.len() {
            return Ok(tuple.cells().collect());
        }
        let what = format!("a row of {} with {} values for {} columns", self.object, tuple.len(), self.kinds.len());
        Err(Error::Protocol { doing: "reading a row", what })
    }

    fn gone(&self, before: &[Cell<'_>], facts: Facts) -> Result<Vec<NewRecord>> {
        let key = self.record_id(before)?;
        let (row, _) = self.row(before, None)?;
        let sync_id = self.sync_id(&facts).bytes();
        let change = self.change(Op::Delete, Some(row), None, None, facts);
        let value = self.encode(&change)?;
        let key = Bytes::from(key);
        let gone = NewRecord::new(self.topic.clone(), key.clone(), value);
        Ok(vec![self.named(gone, sync_id.clone()), self.named(NewRecord::tombstone(self.topic.clone(), key), sync_id)])
    }

    fn one(
        &self,
        op: Op,
        before: Option<&[Cell<'_>]>,
        after: &[Cell<'_>],
        fill: Option<&[Cell<'_>]>,
        facts: Facts,
    ) -> Result<Vec<NewRecord>> {
        let key = self.record_id(after)?;
        let before = before.map(|before| self.row(before, None)).transpose()?.map(|(row, _)| row);
        let (after, carried) = self.row(after, fill)?;
        let sync_id = self.sync_id(&facts).bytes();
        let change = self.change(op, before, Some(after), carried, facts);
        Ok(vec![self.named(NewRecord::new(self.topic.clone(), key, self.encode(&change)?), sync_id)])
    }

    fn change(&self, op: Op, before: Option<Row>, after: Option<Row>, changed: Option<Vec<usize>>, facts: Facts) -> Change {
        Change {
            before,
            after,
            op,
            changed,
            source: Source {
                side: Side::Erp,
                name: self.source.clone(),
                object: self.object.clone(),
                position: facts.position.to_string(),
                transaction: facts.transaction,
                ordinal: i64::try_from(facts.ordinal).unwrap_or(i64::MAX),
                committed_at: facts.committed_at,
                actor: facts.actor,
                origin: facts.origin,
                write: facts.write,
                snapshot: facts.snapshot,
            },
            ts_ms: clock::now_ms(),
        }
    }

    fn encode(&self, change: &Change) -> Result<Vec<u8>> {
        // Values come from the column's own kind, so what does not fit is a value: too many digits, say.
        encode_change_as(self.schema_id, &self.topic, &self.schema, change).map_err(|error| Error::ConvertRow {
            table: self.object.clone(),
            column: "(row)".to_owned(),
            reason: error.to_string(),
        })
    }

    /// Typed values, and the columns that are known when some are not. Unchanged large values come from `fill`, the
    /// whole old row, where there is one.
    fn row(&self, cells: &[Cell<'_>], fill: Option<&[Cell<'_>]>) -> Result<(Row, Option<Vec<usize>>)> {
        let mut row = Row::with_capacity(cells.len());
        let mut missing = Vec::new();
        for (index, cell) in cells.iter().enumerate() {
            let cell = match (cell, fill.and_then(|old| old.get(index))) {
                (Cell::Unchanged, Some(old)) => old,
                _ => cell,
            };
            row.push(match cell {
                Cell::Null => Value::Null,
                Cell::Unchanged => {
                    missing.push(index);
                    Value::Null
                }
                Cell::Text(text) => self.kinds[index].value(text).map_err(|reason| self.bad(index, reason))?,
                Cell::Binary(_) => return Err(self.bad(index, "the value came in binary form, which was not asked for".to_owned())),
            });
        }
        let carried = (!missing.is_empty()).then(|| (0..cells.len()).filter(|index| !missing.contains(index)).collect());
        Ok((row, carried))
    }

    /// What names a record: the key column's text, or a JSON array of the texts of several.
    fn record_id(&self, cells: &[Cell<'_>]) -> Result<Vec<u8>> {
        let text = |index: &usize| match cells.get(*index) {
            Some(Cell::Text(text)) => Ok(*text),
            _ => Err(self.bad(*index, "a column of the key has no value".to_owned())),
        };
        if let [only] = self.key.as_slice() {
            return text(only).map(<[u8]>::to_vec);
        }
        let parts =
            self.key.iter().map(|index| text(index).map(|text| String::from_utf8_lossy(text).into_owned())).collect::<Result<Vec<_>>>()?;
        serde_json::to_vec(&parts).map_err(|error| self.bad(self.key[0], error.to_string()))
    }

    fn bad(&self, index: usize, reason: String) -> Error {
        let column = self.columns.get(index).map_or_else(|| index.to_string(), |column| column.name.clone());
        Error::ConvertRow { table: self.object.clone(), column, reason }
    }
}
