//! What should follow from a change: the three-way merge of each entity, around the pure `reconcile::merge`.
//!
//! ```text
//! entity.changes ─┐                                  ┌▶ writes.crm, writes.erp
//! outcomes ───────┼▶ state of the entity ─▶ merge ───┼▶ conflicts, audit
//! decisions ──────┘          ▲────────────────┘      ├▶ decision.outcomes
//!                                                    └▶ golden.<kind>
//! ```
//!
//! Where a target's stream does not show an answered write, or the edit for which one was refused, the record is read again
//! after a while ([`reread`]).
//!
//! All three inputs are keyed by entity id and have the same partitions, so that everything about one entity meets in one
//! task. Nothing is decided here: messages become events, effects become messages.

pub(crate) mod conversion;
mod decision;
mod event;
mod golden;
mod in_force;
mod message;
mod remembered;
mod reread;
mod rows;
mod state;
mod unwritten;

use std::collections::BTreeMap;
use std::sync::Arc;

use reconcile::mapping::{EntityMapping, Mapping};
use reconcile::merge::{self, Effect, Event};
use schemas::message::{
    Action, AuditEntry, Conflict, Decision, DecisionOutcome, EntityChange, EntityOp, Outcome, SYNC_ID_HEADER, Side, Write,
};
use schemas::topic::Topics;
use stream::{Codec, NewRecord, Record};

use crate::error::{Error, Result};
use crate::in_force::Mappings;
use crate::metrics::Metrics;
use crate::outbox::Channel;
use crate::task::{Context, Processor, Work};
use golden::Golden;
pub(crate) use golden::column_type;
use in_force::{Following, Marked};
use remembered::Memory;
use state::Stored;
use unwritten::Unwritten;

/// Its name in topics, metrics, health and folders.
pub(crate) const NAME: &str = "reconciler";

/// Decides what should follow from changes, outcomes and decisions.
pub struct Reconciler {
    codec: Codec,
    mapping: Arc<Mapping>,
    mappings: Mappings,
    changes_topic: Arc<str>,
    outcomes_topic: String,
    decisions_topic: String,
    writes: BTreeMap<Side, Channel<Write>>,
    conflicts: Channel<Conflict>,
    partitions: u32,
    audit: Channel<AuditEntry>,
    answers: Channel<DecisionOutcome>,
    memory: Memory,
    golden: Arc<BTreeMap<String, Golden>>,
    /// The mapping that we were started with.
    given: Following,
    /// What each partition follows, as far as it was looked up since it was assigned.
    following: BTreeMap<u32, Following>,
    topics: Topics,
    metrics: Metrics,
    /// How long an answered write may stay unseen before its record is read again.
    reread_after_us: i64,
}

/// A decoded record.
pub enum Input {
    /// A side's change.
    Change(Box<EntityChange>),
    /// The answer to a write.
    Outcome(Box<Outcome>),
    /// What a person decided.
    Decision(Box<Decision>),
    /// Another mapping is in force from here on.
    Mapped(Box<Marked>),
}

impl Reconciler {
    /// A reconciler for a mapping, with what was read of others. A record whose stream owes something for `reread_after_us` is
    /// read again; of each entity the last `remembered` settled conflicts and finished writes can be taken back.
    ///
    /// # Errors
    /// What the schema registry says.
    pub async fn open(
        codec: Codec,
        topics: &Topics,
        (mapping, mappings): (&Arc<Mapping>, &Mappings),
        metrics: Metrics,
        reread_after_us: i64,
        remembered: u64,
    ) -> Result<Self> {
        let registry = Error::log(NAME);
        let mut golden = BTreeMap::new();
        for entity in &mapping.entities {
            golden.insert(entity.kind.clone(), Golden::open(&codec, topics, entity, metrics.clone()).await.map_err(&registry)?);
        }
        let mut writes = BTreeMap::new();
        for side in [Side::Crm, Side::Erp] {
            writes.insert(side, Channel::open(&codec, &topics.writes(side)).await.map_err(&registry)?);
        }
        let golden = Arc::new(golden);
        Ok(Self {
            changes_topic: topics.entity_changes().into(),
            outcomes_topic: topics.outcomes(),
            decisions_topic: topics.decisions(),
            writes,
            conflicts: Channel::open(&codec, &topics.conflicts()).await.map_err(&registry)?,
            partitions: topics.entity_partitions(),
            audit: Channel::open(&codec, &topics.audit()).await.map_err(&registry)?,
            answers: Channel::open(&codec, &topics.decision_outcomes()).await.map_err(&registry)?,
            memory: Memory::new(remembered),
            given: Following { mapping: mapping.clone(), golden: golden.clone() },
            golden,
            following: BTreeMap::new(),
            topics: topics.clone(),
            metrics,
            reread_after_us,
            mapping: mapping.clone(),
            mappings: mappings.clone(),
            codec,
        })
    }

    fn entity(&self, kind: &str) -> Option<&EntityMapping> {
        self.mapping.entities.iter().find(|entity| entity.kind == kind)
    }
}

impl Processor for Reconciler {
    type Input = Input;

    async fn decode(&self, record: &Record) -> Result<Option<Input>> {
        let Some(value) = &record.value else { return Ok(None) };
        let topic = &*record.partition.topic;
        let failed = |error| crate::matcher::decoding(NAME, topic, error);
        if topic != self.outcomes_topic && topic != self.decisions_topic {
            let change: EntityChange = self.codec.decode(topic, value).await.map_err(failed)?;
            return Ok(Some(match change.op {
                EntityOp::Mapped => Input::Mapped(Box::new(self.marked(&change).await?)),
                _ => Input::Change(Box::new(change)),
            }));
        }
        Ok(Some(if topic == self.outcomes_topic {
            Input::Outcome(Box::new(self.codec.decode(topic, value).await.map_err(failed)?))
        } else {
            Input::Decision(Box::new(self.codec.decode(topic, value).await.map_err(failed)?))
        }))
    }

    fn process(&mut self, input: Input, _record: &Record, context: &mut Context<'_>) -> Result<()> {
        self.settle_mapping(context)?;
        if self.converts(context, &input)? {
            return Ok(());
        }
        let entity = match &input {
            Input::Mapped(marked) => {
                self.take_up(context, marked);
                return Ok(());
            }
            // Captured kinds are the aggregates' business.
            Input::Change(change) if self.entity(&change.kind).is_none() => {
                return match self.mapping.captured.iter().any(|captured| captured.kind == change.kind) {
                    true => Ok(()),
                    false => Err(Error::Unmapped { what: format!("kind {}", change.kind), version: self.mapping.version }),
                };
            }
            Input::Decision(decision) if !decision::is_ours(decision.action) => return Ok(()),
            Input::Change(change) => change.entity.clone(),
            Input::Outcome(outcome) => outcome.entity.clone(),
            Input::Decision(decision) => decision.entity.clone(),
        };
        let key = entity.clone().into_bytes();
        let mut stored = match (context.get::<Stored>(&key)?, &input) {
            (Some(stored), _) => stored,
            (None, Input::Change(change)) => first_seen(&entity, &change.kind, context.now()),
            (None, Input::Mapped(_)) => return Ok(()),
            (None, Input::Outcome(outcome)) => {
                return Err(Error::Meaningless {
                    what: format!("the outcome of write {}", outcome.write),
                    reason: format!("nothing is known of entity {entity}"),
                });
            }
            (None, Input::Decision(decision)) => {
                let reason = format!("nothing is known of a record {entity}; see that its id is right");
                self.answer(context, &decision::refused(decision, "", reason, self.mapping.version));
                return Ok(());
            }
        };
        let kind = stored.kind.clone();
        let mapping = self.mapping.clone();
        let Some(mapping) = mapping.entities.iter().find(|entity| entity.kind == kind) else {
            return Err(Error::Unmapped { what: format!("kind {kind}"), version: self.mapping.version });
        };
        let event = match input {
            Input::Change(change) => {
                if change.op != EntityOp::Released {
                    stored.note_edit(crate::convert::side(change.side), change.committed_at, context.sync_id());
                }
                event::changed(*change)?
            }
            Input::Outcome(outcome) if reread::is_read(&outcome.write) => match event::read(mapping, &stored.state, &outcome)? {
                Some(event) => event,
                None => return Ok(()),
            },
            Input::Mapped(_) => return Ok(()),
            Input::Outcome(outcome) => match event::answered(&stored.state, &outcome)? {
                Some(event) => event,
                None => return Ok(()),
            },
            Input::Decision(decision) => {
                let verdict = match decision::verdict(context, &stored, &decision, self.memory)? {
                    Ok(verdict) => verdict,
                    Err(reason) => {
                        self.answer(context, &decision::refused(&decision, &kind, reason, mapping.version));
                        return Ok(());
                    }
                };
                for side in [Side::Crm, Side::Erp] {
                    stored.note_edit(crate::convert::side(side), context.now(), context.sync_id());
                }
                if decision.action == Action::Retry {
                    stored.note_retried(context.sync_id());
                }
                Event::Decided(verdict)
            }
        };
        let unwritten = Unwritten::of(mapping, &stored.state);
        let effects = merge::apply(mapping, &mut stored.state, &event, context.now());
        self.tell_unwritten(context, mapping, &unwritten, &stored.state);
        for effect in effects {
            self.follow(context, mapping, &mut stored, effect)?;
        }
        stored.forget_closed();
        self.note_unshown(context, &mut stored)?;
        context.put(key, &stored);
        Ok(())
    }

    fn work(&mut self, context: &mut Context<'_>) -> Result<Work> {
        self.settle_mapping(context)?;
        self.keep_mapping(context)?;
        self.read_again(context)
    }

    fn forget(&mut self) {
        self.following.clear();
    }
}

impl Reconciler {
    fn answer(&self, context: &mut Context<'_>, outcome: &DecisionOutcome) {
        context.emit(self.answers.record(outcome.entity.clone(), outcome));
    }

    /// Turns one effect into messages.
    fn follow(&self, context: &mut Context<'_>, mapping: &EntityMapping, stored: &mut Stored, effect: Effect) -> Result<()> {
        let entity = stored.state.entity.clone();
        match effect {
            Effect::Write(command) => {
                let edit = stored.edit_of(&command, context.sync_id());
                let write = message::write(mapping, &stored.state, &command);
                tracing::debug!(sync.id = edit, processor = NAME, write.id, write.side = %write.side, entity, "write decided");
                if let Some(channel) = self.writes.get(&write.side) {
                    context.emit(named(channel.record(entity, &write), edit));
                }
            }
            Effect::Conflict(record) => {
                let conflict = message::conflict(mapping, &stored.state, &record);
                let message = self.conflicts.record(conflict.id.clone(), &conflict).placed_by(entity.as_bytes(), self.partitions);
                context.emit(message);
                if record.settled.is_some() {
                    self.memory.keep_conflict(context, &entity, record);
                }
            }
            Effect::Confirmed(confirmed) => {
                let entry = message::audit(mapping, &stored.state, &confirmed);
                // The edit that the write carried, not its echo.
                let edit = stored.edit(confirmed.command.number).map(str::to_owned);
                tracing::debug!(sync.id = edit, processor = NAME, write.id = entry.id, write.side = %entry.side, entity, "write confirmed");
                context.emit(named(self.audit.record(entity.clone(), &entry), edit));
                self.memory.keep_write(context, &entity, confirmed);
            }
            Effect::Decided(reply) => self.answer(context, &decision::answer(stored, reply, mapping.version)),
            Effect::Golden => {
                if let Some(golden) = self.golden.get(&mapping.kind) {
                    context.emit(golden.record(mapping, &stored.state, context.now())?);
                }
            }
        }
        Ok(())
    }
}

/// State of an entity of which nothing is known yet.
///
/// Its writes are numbered from the time on, in microseconds since 1970: nothing may be known because Concord began anew with
/// empty state, and the numbers that were given before still stand on Salesforce's records and in the ERP's ledger. No entity
/// gets a million writes a second, so the time is always beyond them.
fn first_seen(entity: &str, kind: &str, now: i64) -> Stored {
    let next_write = u64::try_from(now).unwrap_or(0);
    let state = merge::EntityState { entity: entity.to_owned(), next_write, ..merge::EntityState::default() };
    Stored { kind: kind.to_owned(), state, ..Stored::default() }
}

/// Gives a record another edit's id than the one in hand, if there is one.
fn named(record: NewRecord, edit: Option<String>) -> NewRecord {
    match edit {
        Some(id) => record.header(SYNC_ID_HEADER, id),
        None => record,
    }
}
