//! What a processor sees while it decides: its state with the batch's own changes, and a place for outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schemas::message::SYNC_ID_HEADER;
use schemas::wire::Wire;
use stream::{NewRecord, Offsets, Record, TopicPartition};

use crate::error::{Error, Result};
use crate::store::Store;

/// First byte of every stored value; counts up when the form of stored values changes.
const FORMAT: u8 = 2;

/// A key, and what the open batch held for it: nothing, a value, or a removal.
type Before = (Vec<u8>, Option<Option<Vec<u8>>>);

/// One partition's store with the changes of the open batch on top.
pub(crate) struct Slot {
    pub(crate) store: Store,
    pub(crate) changelog: TopicPartition,
    pub(crate) batch: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What the current record has replaced in `batch`, newest last.
    undo: Vec<Before>,
    /// Room to encode values in.
    room: Vec<u8>,
}

impl Slot {
    pub(crate) fn new(store: Store, changelog: TopicPartition) -> Self {
        Self { store, changelog, batch: BTreeMap::new(), undo: Vec::new(), room: Vec::new() }
    }

    /// The current record's changes stay.
    pub(crate) fn keep(&mut self) {
        self.undo.clear();
    }

    /// The current record's changes go.
    pub(crate) fn revert(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(value) => self.batch.insert(key, value),
                None => self.batch.remove(&key),
            };
        }
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let before = self.batch.insert(key.clone(), value);
        self.undo.push((key, before));
    }
}

/// What a processor may see and do while it decides about one record.
pub struct Context<'a> {
    pub(crate) processor: &'static str,
    pub(crate) slot: &'a mut Slot,
    pub(crate) outputs: &'a mut Vec<NewRecord>,
    pub(crate) read: &'a Offsets,
    pub(crate) now: i64,
    pub(crate) sync_id: Option<Bytes>,
    /// What was set aside, though the rest of its record goes on; and what no longer is.
    pub(crate) aside: Vec<Aside>,
}

/// Of which record something is set aside, and why; or nothing any more.
pub(crate) struct Aside {
    /// The topic that it came on, and its key there.
    pub(crate) topic: Arc<str>,
    pub(crate) key: String,
    pub(crate) error: Option<Error>,
}

impl Context<'_> {
    /// When the record was written to the log (or the clock's time, between records), microseconds since
    /// 1970-01-01T00:00:00Z.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// The id that follows one edit from its source to its last effect.
    pub fn sync_id(&self) -> Option<&Bytes> {
        self.sync_id.as_ref()
    }

    /// Speaks under another edit's id from here on.
    pub fn set_sync_id(&mut self, id: Option<Bytes>) {
        self.sync_id = id;
    }

    /// The next offset to be processed of an input partition; 0 when nothing of it was read yet.
    pub fn read_to(&self, partition: &TopicPartition) -> u64 {
        self.read.get(partition).copied().unwrap_or(0)
    }

    /// A stored value.
    ///
    /// # Errors
    /// When the store fails or holds something that is not a `T`.
    pub fn get<T: Wire>(&self, key: &[u8]) -> Result<Option<T>> {
        self.look(key, |value| value.map(read).transpose())?.map_err(|reason| self.unreadable(&reason))
    }

    /// Whether there is a value.
    ///
    /// # Errors
    /// When the store fails.
    pub fn has(&self, key: &[u8]) -> Result<bool> {
        self.look(key, |value| value.is_some())
    }

    fn look<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R> {
        match self.slot.batch.get(key) {
            Some(value) => Ok(look(value.as_deref())),
            None => self.slot.store.get(key, look),
        }
    }

    /// Stores a value.
    pub fn put<T: Wire>(&mut self, key: Vec<u8>, value: &T) {
        let mut bytes = std::mem::take(&mut self.slot.room);
        bytes.clear();
        bytes.push(FORMAT);
        value.put(&mut bytes);
        self.slot.set(key, Some(bytes.as_slice().to_vec()));
        self.slot.room = bytes;
    }

    /// Removes a value.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.slot.set(key, None);
    }

    /// At most `limit` keys that start with `prefix` and come after `after`, in order.
    ///
    /// # Errors
    /// When the store fails.
    pub fn keys(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Vec<u8>>> {
        Ok(self.entries(prefix, after, limit)?.into_iter().map(|(key, _)| key).collect())
    }

    /// The same with values.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn scan<T: Wire>(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, T)>> {
        let entries = self.entries(prefix, after, limit)?;
        entries.into_iter().map(|(key, value)| Ok((key, read(&value).map_err(|reason| self.unreadable(&reason))?))).collect()
    }

    fn entries(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut from = after.to_vec();
        if !after.is_empty() {
            // The least key after `after`.
            from.push(0);
        }
        let start = if from.as_slice() > prefix { from.clone() } else { prefix.to_vec() };
        let changed: Vec<_> = self.slot.batch.range(start..).take_while(|(key, _)| key.starts_with(prefix)).collect();
        let hidden = changed.iter().filter(|(_, value)| value.is_none()).count();
        let stored = self.slot.store.scan(prefix, &from, limit.saturating_add(hidden).saturating_add(changed.len()))?;
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = stored.into_iter().collect();
        for (key, value) in changed {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(merged.into_iter().take(limit).collect())
    }

    /// Writes a record when the batch commits. It carries the edit's id unless it has one.
    pub fn emit(&mut self, record: NewRecord) {
        let named = record.headers.iter().any(|(name, _)| &**name == SYNC_ID_HEADER);
        let record = match &self.sync_id {
            Some(id) if !named => record.header(SYNC_ID_HEADER, id.clone()),
            _ => record,
        };
        self.outputs.push(record);
    }

    /// Sets aside a part of a record that came on this topic under this key, and goes on with the rest of it.
    pub fn misfit(&mut self, topic: &Arc<str>, key: &str, error: Error) {
        self.aside.push(Aside { topic: topic.clone(), key: key.to_owned(), error: Some(error) });
    }

    /// Says that nothing of that record is set aside any more.
    pub fn mended(&mut self, topic: &Arc<str>, key: &str) {
        self.aside.push(Aside { topic: topic.clone(), key: key.to_owned(), error: None });
    }

    fn unreadable(&self, reason: &str) -> Error {
        Error::ReadState { processor: self.processor, changelog: self.slot.changelog.topic.to_string(), reason: reason.to_owned() }
    }
}

fn read<T: Wire>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&FORMAT, mut rest)) => {
            let value = T::take(&mut rest).map_err(|error| error.to_string())?;
            if rest.is_empty() { Ok(value) } else { Err("bytes are left over".to_owned()) }
        }
        Some((other, _)) => Err(format!("format {other} is not known to this build, which writes {FORMAT}")),
        None => Err("an empty value".to_owned()),
    }
}

/// An edit's id, for logs.
pub(crate) fn shown(id: Option<&Bytes>) -> Option<&str> {
    id.and_then(|id| std::str::from_utf8(id).ok())
}

/// The edit's id of a record.
pub(crate) fn sync_id(record: &Record) -> Option<Bytes> {
    record.headers.iter().find(|(name, _)| &**name == SYNC_ID_HEADER).map(|(_, value)| value.clone())
}
