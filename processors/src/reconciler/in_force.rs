//! The mapping that each partition follows: what its store says, until the matcher's marker brings the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use reconcile::mapping::Mapping;
use schemas::message::EntityChange;

use super::golden::Golden;
use super::{NAME, Reconciler};
use crate::error::{Error, Result};
use crate::in_force::{GoldenSchema, InForce, KEY, SETTING};
use crate::task::Context;

/// A mapping, with what is needed to write its golden records.
#[derive(Clone)]
pub(super) struct Following {
    pub(super) mapping: Arc<Mapping>,
    pub(super) golden: Arc<BTreeMap<String, Golden>>,
}

/// A marker, ready to be taken up.
pub struct Marked(Following);

impl Reconciler {
    /// Reads a marker. The schemas of its golden records are registered here, because deciding awaits nothing.
    pub(super) async fn marked(&self, change: &EntityChange) -> Result<Marked> {
        let wrong = |reason: String| Error::Meaningless { what: format!("version {} of the mapping", change.mapping_version), reason };
        let text = change.columns.iter().find(|field| field.name == SETTING).and_then(|field| match &field.value {
            schemas::Value::Text(text) => Some(text),
            _ => None,
        });
        let text = text.ok_or_else(|| wrong("it has no text".to_owned()))?;
        let mapping = self.mappings.read(text, change.mapping_version).map_err(|error| wrong(error.to_string()))?;
        let mut golden = BTreeMap::new();
        for entity in &mapping.entities {
            let opened = Golden::open(&self.codec, &self.topics, entity, self.metrics.clone()).await.map_err(Error::log(NAME))?;
            golden.insert(entity.kind.clone(), opened);
        }
        Ok(Marked(Following { mapping, golden: Arc::new(golden) }))
    }

    /// Decides by the mapping of the partition at hand from here on.
    pub(super) fn settle_mapping(&mut self, context: &mut Context<'_>) -> Result<()> {
        let partition = context.slot.changelog.partition;
        if !self.following.contains_key(&partition) {
            let following = match context.get::<InForce>(KEY)? {
                None => self.given.clone(),
                Some(kept) if kept.version == self.given.mapping.version => self.given.clone(),
                Some(kept) => self.kept(&kept)?,
            };
            self.following.insert(partition, following);
        }
        if let Some(following) = self.following.get(&partition)
            && !Arc::ptr_eq(&following.mapping, &self.mapping)
        {
            self.mapping = following.mapping.clone();
            self.golden = following.golden.clone();
        }
        Ok(())
    }

    /// Keeps the first mapping that a partition follows. Not with a record, which may be set aside with all that it did.
    pub(super) fn keep_mapping(&self, context: &mut Context<'_>) -> Result<()> {
        if self.given.mapping.text.is_empty() || context.has(KEY)? {
            return Ok(());
        }
        context.put(KEY.to_vec(), &keep(&self.given));
        Ok(())
    }

    fn kept(&self, kept: &InForce) -> Result<Following> {
        let mapping = self.mappings.stored(kept)?;
        let golden = mapping.entities.iter().filter_map(|entity| {
            let schema = kept.golden.iter().find(|schema| schema.kind == entity.kind)?;
            let id = u32::try_from(schema.id).ok()?;
            Some((entity.kind.clone(), Golden::registered(&self.topics, entity, id, self.metrics.clone())))
        });
        Ok(Following { golden: Arc::new(golden.collect()), mapping })
    }

    /// The matcher goes by another mapping from here on, and so do we. A marker that is shown again changes nothing.
    pub(super) fn take_up(&mut self, context: &mut Context<'_>, marked: &Marked) {
        if marked.0.mapping.version <= self.mapping.version {
            return;
        }
        context.put(KEY.to_vec(), &keep(&marked.0));
        tracing::info!(
            processor = NAME,
            partition = context.slot.changelog.partition,
            mapping.version = marked.0.mapping.version,
            "another mapping is in force"
        );
        self.following.insert(context.slot.changelog.partition, marked.0.clone());
    }
}

fn keep(following: &Following) -> InForce {
    let schema = |(kind, golden): (&String, &Golden)| GoldenSchema { kind: kind.clone(), id: i64::from(golden.id()) };
    InForce {
        version: following.mapping.version,
        text: following.mapping.text.clone(),
        before: None,
        golden: following.golden.iter().map(schema).collect(),
    }
}
