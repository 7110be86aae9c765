//! The matcher's comparison by itself, for measuring: the same store, the same blocks and the same look-up, with records that
//! are put there directly.
//!
//! It leaves out what surrounds a look-up: reading the record from the log, its links and reviews, the changelog.

use std::path::Path;
use std::sync::Arc;

use reconcile::mapping::{EntityMapping, Mapping};
use schemas::message::{Field, Side};
use stream::{NewRecord, Offsets, TopicPartition};

use super::change::blank;
use super::link::{Asked, founded};
use super::score::{ByScore, Rules, Scorers};
use super::state::{Entity, Known, entity_key, record_key};
use crate::config::Config;
use crate::convert;
use crate::error::Result;
use crate::store::{Home, Position, Stores};
use crate::task::{Context, Slot};

/// Records of the first kind of a mapping, and the index to find them by.
pub struct LookUps {
    slot: Slot,
    mapping: Arc<Mapping>,
    scorers: Scorers,
    outputs: Vec<NewRecord>,
    read: Offsets,
    /// Batches written.
    written: u64,
}

/// What a look-up has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundRecords {
    /// Entities; the likeliest first.
    pub entities: Vec<String>,
    /// The only one is linked without asking.
    pub sure: bool,
}

impl LookUps {
    /// An empty index in a folder.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(folder: &Path, config: &Config, mapping: Mapping) -> Result<Self> {
        let stores = Stores::open(&Home::Disk(folder.to_owned()), super::NAME, config)?;
        let changelog = TopicPartition::new("measured", 0);
        let scorers = Scorers::new(&mapping);
        let slot = Slot::new(stores.store(0)?, changelog);
        Ok(Self { slot, mapping: Arc::new(mapping), scorers, outputs: Vec::new(), read: Offsets::new(), written: 0 })
    }

    fn with<R>(&mut self, run: impl FnOnce(&mut Context<'_>, &EntityMapping, Option<Rules<'_>>) -> R) -> Option<R> {
        let mapping = self.mapping.entities.first()?;
        let mut context = Context {
            processor: super::NAME,
            slot: &mut self.slot,
            outputs: &mut self.outputs,
            read: &self.read,
            now: 0,
            sync_id: None,
            aside: Vec::new(),
        };
        let done = run(&mut context, mapping, self.scorers.of(mapping));
        self.slot.keep();
        Some(done)
    }

    /// Puts a record there that stands alone in its entity, without its blocks.
    pub fn put(&mut self, side: Side, record: &str, columns: Vec<Field>) {
        self.with(|context, mapping, _| {
            let object = &mapping.sides[convert::side(side)].object;
            let entity = founded(side, object, record);
            let mut there = Entity::new(&mapping.kind, 0);
            there.set(side, Some(record.to_owned()), false);
            context.put(entity_key(&entity), &there);
            context.put(record_key(side, object, record), &Known { entity, columns, ..blank() });
        });
    }

    /// Lists a record that is there in its blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub fn list(&mut self, side: Side, record: &str) -> Result<()> {
        self.with(|context, mapping, rules| {
            let entity = founded(side, &mapping.sides[convert::side(side)].object, record);
            rules.map_or(Ok(()), |rules| rules.relist(context, &entity, false))
        })
        .unwrap_or(Ok(()))
    }

    /// Who a record may be that is not there, by comparison.
    ///
    /// # Errors
    /// Those of the store.
    pub fn look_up(&mut self, side: Side, record: &str, columns: &[Field]) -> Result<FoundRecords> {
        let asked = Asked { side, id: record, entity: None, columns };
        let found = self
            .with(|context, _, rules| rules.map_or(Ok(ByScore::Nobody), |rules| rules.by_score(context, asked)))
            .unwrap_or(Ok(ByScore::Nobody))?;
        Ok(match found {
            ByScore::Nobody => FoundRecords::default(),
            ByScore::One(entity) => FoundRecords { entities: vec![entity], sure: true },
            ByScore::Some(entities) => FoundRecords { entities, sure: false },
        })
    }

    /// The entity of a record that was put there.
    #[must_use]
    pub fn entity(&self, side: Side, record: &str) -> String {
        self.mapping.entities.first().map_or_else(String::new, |mapping| founded(side, &mapping.sides[convert::side(side)].object, record))
    }

    /// Writes what was put and listed since, as one batch; how many bytes of keys and values it was.
    ///
    /// # Errors
    /// Those of the store.
    pub fn commit(&mut self) -> Result<u64> {
        let batch = std::mem::take(&mut self.slot.batch);
        let bytes = batch.iter().map(|(key, value)| (key.len() + value.as_ref().map_or(0, Vec::len)) as u64).sum();
        self.written += 1;
        self.slot.store.apply(batch.into_iter(), Position { next: self.written, at: 0 })?;
        Ok(bytes)
    }
}
