//! What customers owe and have on order, and the pipeline by stage: folds over captured changes.

use std::sync::Arc;

use reconcile::mapping::Mapping;
use schemas::message::EntityChange;
use schemas::topic::Topics;
use stream::{Codec, Record};

use crate::error::Result;
use crate::task::{Context, Processor};

/// Its name in topics, metrics, health and folders.
pub(crate) const NAME: &str = "aggregates";

/// Keeps the totals.
pub struct Aggregates {
    codec: Codec,
}

impl Aggregates {
    /// Totals for a mapping.
    ///
    /// # Errors
    /// What the schema registry says.
    pub async fn open(codec: Codec, _topics: &Topics, _mapping: Arc<Mapping>) -> Result<Self> {
        Ok(Self { codec })
    }
}

impl Processor for Aggregates {
    type Input = EntityChange;

    async fn decode(&self, record: &Record) -> Result<Option<EntityChange>> {
        self.codec.message(record).await.map_err(|error| crate::matcher::decoding(&record.partition.topic, error))
    }

    fn process(&mut self, _change: EntityChange, _record: &Record, _context: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
