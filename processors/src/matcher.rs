//! Which record is which entity: reads both systems' changes, links records to entities, and says each change in
//! canonical fields.
//!
//! ```text
//! cdc record ─▶ merge into the record's latest row ─▶ resolve references ─▶ link ─▶ entity.changes
//!                                                     │ parent not seen      ├───▶ entity.links
//!                                                     └▶ wait for it         └───▶ match.reviews
//! decisions ─▶ the same, not the same, split, not so after all ─▶ relink ─▶ all of these, decision.outcomes
//! ```
//!
//! A record links by the entity id it carries, then by what was decided before, then by the mapping's keys, then by
//! comparison; otherwise it founds an entity, whose id is made of side, object and record id, so that a replay founds the same
//! one. A link once made stays: it is state, restored from the changelog, and never guessed again. Only a person takes it back,
//! and what a person says holds.
//!
//! A record that several entities may be, or one that has a record of its side already, founds an entity too, but nothing is
//! made for it on the other side until a person has answered the review that it opens. Which records are one does not
//! depend on the order in which they came: what the first copies leave open is looked at when all are known.
//!
//! One member does all of it, because a match may join any two records.

mod apart;
mod awaited;
mod captured;
mod change;
mod copies;
mod decide;
mod delete;
mod entity;
mod jobs;
mod join;
mod link;
mod look_up;
mod merged;
mod pair;
mod plan;
mod reference;
mod remap;
mod rematch;
mod review;
mod score;
mod state;
mod stray;
mod unite;
mod unread;
mod view;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;

use reconcile::mapping::Mapping;
use schemas::cdc::{Change, ChangeSchema};
use schemas::message::{Checkpoint, DeadLetter, Decision, DecisionOutcome, EntityChange, EntityLink, MatchReview, Setting, Side};
use schemas::topic::Topics;
use stream::{Codec, Log, Offsets, Record};

use crate::error::{Error, Result};
use crate::in_force::Mappings;
use crate::metrics::Metrics;
use crate::outbox::Channel;
use crate::task::{Context, Processor, Work};
use awaited::Awaited;
use copies::CopyEnds;
use join::Arrivals;
use plan::Plan;
use waiting::Waits;

pub use look_up::{FoundRecords, LookUps};

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
    reviews: Channel<MatchReview>,
    outcomes: Channel<DecisionOutcome>,
    decisions: String,
    control: String,
    /// The mapping that we were started with.
    given: Arc<Mapping>,
    mappings: Mappings,
    /// What the store says of the mapping in force has been followed.
    mapping_settled: bool,
    /// The mapping before the one in force, while values are made again.
    before: Option<Arc<Mapping>>,
    metrics: Metrics,
    /// First copies as far as they were looked up since the partitions were assigned: true once done.
    copies: BTreeMap<Side, BTreeMap<String, bool>>,
    /// Some copy is not done yet, or it is not known.
    copies_open: bool,
    /// What open copies still wait for.
    awaited: Awaited,
    /// Jobs may be waiting.
    jobs_open: bool,
    /// Root rows that wait for the rows beside them.
    arrivals: Arrivals,
    /// Records that wait for a parent.
    waits: Waits,
    /// How long they may, before it is said of them.
    parent_wait_us: i64,
    /// Dead letters of records that are placed later than they are read.
    letters: BTreeMap<Arc<str>, Channel<DeadLetter>>,
}

/// A decoded record.
pub enum Input {
    /// A change of a record.
    Change(Arc<ChangeSchema>, Box<Change>),
    /// A source's position, with where the topics of copied objects end.
    Checkpoint(Checkpoint, Vec<CopyEnds>),
    /// What a person decided.
    Decision(Box<Decision>),
    /// A setting was changed.
    Setting(Box<Setting>),
}

impl Matcher {
    /// A matcher for a mapping, with what was read of others, whose offsets are committed under `group`. A record whose parent
    /// nobody has seen for `parent_wait_us` is set aside in words, and goes on waiting.
    ///
    /// # Errors
    /// What the schema registry says.
    pub async fn open(
        log: Arc<dyn Log>,
        codec: Codec,
        topics: &Topics,
        (mapping, mappings): (&Arc<Mapping>, &Mappings),
        group: &str,
        metrics: Metrics,
        parent_wait_us: i64,
    ) -> Result<Self> {
        let registry = Error::log(NAME);
        let plan = Arc::new(Plan::new(mapping.clone(), topics));
        let mut letters = BTreeMap::new();
        for source in &plan.sources {
            let channel = Channel::open(&codec, &topics.dead_letters(&source.topic)).await.map_err(&registry)?;
            letters.insert(source.topic.clone(), channel);
        }
        Ok(Self {
            changes: Channel::open(&codec, &topics.entity_changes()).await.map_err(&registry)?,
            links: Channel::open(&codec, &topics.entity_links()).await.map_err(&registry)?,
            reviews: Channel::open(&codec, &topics.match_reviews()).await.map_err(&registry)?,
            outcomes: Channel::open(&codec, &topics.decision_outcomes()).await.map_err(&registry)?,
            decisions: topics.decisions(),
            control: topics.control(),
            given: mapping.clone(),
            mappings: mappings.clone(),
            mapping_settled: false,
            before: None,
            checkpoints: topics.checkpoint(),
            plan,
            topics: topics.clone(),
            log,
            codec,
            metrics,
            copies: BTreeMap::new(),
            copies_open: true,
            awaited: Awaited::new(group),
            jobs_open: true,
            arrivals: Arrivals::default(),
            waits: Waits::default(),
            parent_wait_us,
            letters,
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
        if **topic == *self.control {
            let setting = self.codec.decode(topic, value).await.map_err(|error| decoding(NAME, topic, error))?;
            return Ok(Some(Input::Setting(Box::new(setting))));
        }
        if **topic == *self.decisions {
            let decision = self.codec.decode(topic, value).await.map_err(|error| decoding(NAME, topic, error))?;
            return Ok(Some(Input::Decision(Box::new(decision))));
        }
        let (schema, change) = self.codec.decode_change(topic, value).await.map_err(|error| decoding(NAME, topic, error))?;
        Ok(Some(Input::Change(schema, Box::new(change))))
    }

    fn process(&mut self, input: Input, record: &Record, context: &mut Context<'_>) -> Result<()> {
        let settled = self.mapping_settled;
        self.settle_mapping(context)?;
        let done = match input {
            Input::Change(schema, change) => self.change(context, &schema, *change, record),
            Input::Checkpoint(checkpoint, ends) => self.checkpoint(context, &checkpoint, ends),
            Input::Decision(decision) => self.decided(context, &decision),
            Input::Setting(setting) => self.control(context, &setting),
        };
        // What was settled goes with a record that is set aside, and is settled again with the next.
        self.mapping_settled = settled || done.is_ok();
        done
    }

    fn work(&mut self, context: &mut Context<'_>) -> Result<Work> {
        self.settle_mapping(context)?;
        if self.copies_open {
            self.finish_copies(context)?;
        }
        self.look_at_waiting(context)?;
        let plan = self.plan.clone();
        let arrivals = self.place_arrivals(context, &plan)?;
        let jobs = if self.jobs_open { self.do_jobs(context)? } else { Work::None };
        Ok(arrivals.max(jobs))
    }

    async fn ask(&mut self, read: &Offsets, now: i64) -> Result<()> {
        self.awaited.ask(&*self.log, read, now).await.map_err(Error::log(NAME))
    }

    fn facts(&self) -> BTreeMap<&'static str, Option<String>> {
        self.waiting_facts()
    }

    fn forget(&mut self) {
        self.mapping_settled = false;
        self.waits = Waits::default();
        self.copies.clear();
        (self.copies_open, self.jobs_open) = (true, true);
        self.awaited.forget();
        self.arrivals = Arrivals::default();
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
