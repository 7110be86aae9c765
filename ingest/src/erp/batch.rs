//! Log transactions: records with the checkpoint that covers them, all or nothing.

use std::sync::Arc;

use schemas::topic::Topics;
use stream::{Codec, Log, NewRecord, Producer};

use super::checkpoint::Memory;
use super::error::Result;

/// Records collected for the next log transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<NewRecord>,
    pub(crate) changes: usize,
    pub(crate) bytes: usize,
}

impl Batch {
    /// Adds the records of one change.
    pub(crate) fn add(&mut self, records: impl IntoIterator<Item = NewRecord>) {
        self.changes += 1;
        for record in records {
            self.bytes += record.value.as_ref().map_or(0, bytes::Bytes::len) + record.key.as_ref().map_or(0, bytes::Bytes::len);
            self.records.push(record);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// The one writer of a source. Opening it fences any earlier one.
pub(crate) struct Writer {
    producer: Box<dyn Producer>,
    codec: Codec,
    topics: Topics,
    name: String,
}

impl Writer {
    pub(crate) async fn open(name: &str, log: &Arc<dyn Log>, codec: &Codec, topics: &Topics) -> Result<Self> {
        let producer = log.producer(&topics.owned(&format!("ingest.{name}"))).await?;
        Ok(Self { producer, codec: codec.clone(), topics: topics.clone(), name: name.to_owned() })
    }

    /// Puts records and checkpoint on the log; when this fails, neither is there or the writer must not be used again.
    pub(crate) async fn write(&mut self, mut records: Vec<NewRecord>, memory: &Memory) -> Result<()> {
        records.push(memory.record(&self.name, &self.topics, &self.codec).await?);
        self.producer.begin().await?;
        let done = match self.producer.send(records).await {
            Ok(()) => self.producer.commit(None).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            // The first error says why; the next run reads from the log what took effect.
            if let Err(abort) = self.producer.abort().await {
                tracing::debug!(error = %abort, "abort after a failed log transaction failed too");
            }
            return Err(error.into());
        }
        Ok(())
    }
}
