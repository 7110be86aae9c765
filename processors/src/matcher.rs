//! Which record is which entity: reads both systems' changes, links records to entities, and says each change in
//! canonical fields.
//!
//! ```text
//! cdc record ─▶ merge into the record's latest row ─▶ resolve references ─▶ link ─▶ entity.changes
//!                                                     │ parent not seen      └───▶ entity.links
//!                                                     └▶ wait for it
//! ```
//!
//! A record links by the entity id it carries, then by what was decided before, then by the mapping's keys; otherwise it
//! founds an entity, whose id is made of side, object and record id, so that a replay founds the same one. A link once
//! made stays: it is state, restored from the changelog, and never guessed again.
//!
//! A record that several entities may be, or one that has a record of its side already, founds an entity too, but nothing is
//! made for it on the other side: it may be there.
//!
//! One member does all of it, because a match may join any two records. It leaves out people's reviews
//! of matches, merging and splitting entities, and fields that are reached through other tables.

mod awaited;
mod captured;
mod change;
mod copies;
mod delete;
mod entity;
mod jobs;
mod link;
mod plan;
mod reference;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use reconcile::mapping::Mapping;
use schemas::cdc::{Change, ChangeSchema};
use schemas::message::{Checkpoint, EntityChange, EntityLink, Side};
use schemas::topic::Topics;
use stream::{Codec, Log, Offsets, Record};

use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::outbox::Channel;
use crate::task::{Context, Processor, Work};
use awaited::Awaited;
use copies::CopyEnds;
use plan::Plan;

/// The entity kind that everything else is stamped with.
pub const CUSTOMER: &str = "customer";

/// Its name in topics, metrics, health and folders.
pub(crate) const NAME: &str = "matcher";

/// Decides which record is which entity.
pub struct Matcher {
    log: Arc<dyn Log>,
    codec: Codec,
    topics: Topics,
    checkpoints: String,
    plan: Arc<Plan>,
    changes: Channel<EntityChange>,
    links: Channel<EntityLink>,
    metrics: Metrics,
    /// First copies as far as they were looked up since the partitions were assigned: true once done.
    copies: BTreeMap<Side, BTreeMap<String, bool>>,
    /// Some copy is not done yet, or it is not known.
    copies_open: bool,
    /// What open copies still wait for.
    awaited: Awaited,
    /// Jobs may be waiting.
    jobs_open: bool,
}

/// A decoded record.
pub enum Input {
    /// A change of a record.
    Change(Arc<ChangeSchema>, Box<Change>),
    /// A source's position, with where the topics of copied objects end.
    Checkpoint(Checkpoint, Vec<CopyEnds>),
}

impl Matcher {
    /// A matcher for a mapping, whose offsets are committed under `group`.
    ///
    /// # Errors
    /// What the schema registry says.
    pub async fn open(
        log: Arc<dyn Log>,
        codec: Codec,
        topics: &Topics,
        mapping: Arc<Mapping>,
        group: &str,
        metrics: Metrics,
    ) -> Result<Self> {
        let registry = Error::log(NAME);
        Ok(Self {
            changes: Channel::open(&codec, &topics.entity_changes()).await.map_err(&registry)?,
            links: Channel::open(&codec, &topics.entity_links()).await.map_err(&registry)?,
            checkpoints: topics.checkpoint(),
            plan: Arc::new(Plan::new(mapping, topics)),
            topics: topics.clone(),
            log,
            codec,
            metrics,
            copies: BTreeMap::new(),
            copies_open: true,
            awaited: Awaited::new(group),
            jobs_open: true,
        })
    }
}

impl Processor for Matcher {
    type Input = Input;

    async fn decode(&self, record: &Record) -> Result<Option<Input>> {
        let Some(value) = &record.value else { return Ok(None) };
        let topic = &record.partition.topic;
        if **topic == *self.checkpoints {
            let checkpoint: Checkpoint = self.codec.decode(topic, value).await.map_err(|error| decoding(NAME, topic, error))?;
            let ends = self.copy_ends(&checkpoint).await?;
            return Ok(Some(Input::Checkpoint(checkpoint, ends)));
        }
        let (schema, change) = self.codec.decode_change(topic, value).await.map_err(|error| decoding(NAME, topic, error))?;
        Ok(Some(Input::Change(schema, Box::new(change))))
    }

    fn process(&mut self, input: Input, record: &Record, context: &mut Context<'_>) -> Result<()> {
        match input {
            Input::Change(schema, change) => self.change(context, &schema, *change, record),
            Input::Checkpoint(checkpoint, ends) => self.checkpoint(context, &checkpoint, ends),
        }
    }

    fn work(&mut self, context: &mut Context<'_>) -> Result<Work> {
        if self.copies_open {
            self.finish_copies(context)?;
        }
        if self.jobs_open { self.do_jobs(context) } else { Ok(Work::None) }
    }

    async fn ask(&mut self, read: &Offsets) -> Result<()> {
        self.awaited.ask(&*self.log, read).await.map_err(Error::log(NAME))
    }

    fn forget(&mut self) {
        self.copies.clear();
        (self.copies_open, self.jobs_open) = (true, true);
        self.awaited.forget();
    }
}

/// A record that cannot be decoded, or a log that cannot be reached.
pub(crate) fn decoding(processor: &'static str, topic: &str, error: stream::Error) -> Error {
    match error {
        stream::Error::Decode { topic, reason } => Error::DecodeRecord { topic, reason },
        // The id in the bytes is not of a schema anyone registered: the bytes are wrong, not the registry.
        stream::Error::Schema { reason, .. } => Error::DecodeRecord { topic: topic.to_owned(), reason },
        source => Error::Log { processor, source },
    }
}
