//! The whole pipeline in one process: real processors and sink loops, two simulated systems, one thread.
//!
//! A [`World`] is built from a setup, told one event after another, and brought to rest. The same setup and events give
//! the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use processors::store::{Home, MemoryStores};
use processors::{Environment, ProcessorName};
use reconcile::mapping::Mapping;
use schemas::Value;
use schemas::message::{Action, Choice, Conflict, ConflictState, Decision, EntityLink, Side};
use schemas::topic::Topics;
use stream::memory::MemoryOptions;
use stream::{Codec, Log, MemoryLog, NewRecord};
use tokio_util::sync::CancellationToken;

mod faults;
mod log;
mod people;

use super::actor::{Actor, Ended, Going};
use super::capture::{Capture, RowSchemas};
use super::log::TurnedLog;
use super::mapping;
use super::script::{Event, Fault, Orders, Setup, Timed, Who};
use super::shape::{self, FIELDS, Kind, Shape, TIERS};
use super::systems::Shared;
use super::target;
use super::trace::Trace;
use super::turn::Turn;
pub(super) use people::Asked;

/// Partitions of topics keyed by entity.
const PARTITIONS: u32 = 2;
/// When a run begins, microseconds since 1970-01-01T00:00:00Z.
const BEGIN: i64 = 1_760_000_000_000_000;
/// Rounds in which a run must come to rest.
const ROUNDS: usize = 600;
/// Times that a run at rest is left alone for so long, microseconds, that records are read again.
const WAITS: u32 = 4;
const REREAD_US: i64 = 100_000_000;
/// Calls of one actor in one round.
const CALLS: u32 = 12;

/// What all runs of a thread share; nothing in it changes a run.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) known: &'static mapping::Known,
    pub(super) codec: Codec,
    pub(super) schemas: Arc<RowSchemas>,
    /// How long an answered write may stay unseen, milliseconds; none for longer than any run.
    pub(super) reread_after_ms: u64,
    pub(super) processors: processors::metrics::Metrics,
    pub(super) sinks: sinks::Metrics,
}

pub(super) struct World {
    common: Common,
    pub(super) log: MemoryLog,
    pub(super) topics: Topics,
    pub(super) systems: Shared,
    pub(super) trace: Trace,
    clock: Arc<AtomicI64>,
    mappings: Vec<Arc<Mapping>>,
    mapping: usize,
    /// What people asked for, in order.
    pub(super) asked: Vec<Asked>,
    /// Links as they were ever said, compacted away or not.
    links: BTreeMap<(u32, u64), EntityLink>,
    /// Versions of the mapping that were ever in force.
    versions: BTreeSet<i64>,
    pub(super) setup: Setup,
    stores: BTreeMap<Who, MemoryStores>,
    actors: BTreeMap<Who, Actor>,
    zombie: Option<(Who, Actor)>,
    /// Events so far.
    now: usize,
    slow: BTreeMap<Who, usize>,
    disk_full_until: usize,
    delayed_until: usize,
}

impl World {
    pub(super) async fn new(common: &Common, setup: Setup, trace: Trace) -> anyhow::Result<Self> {
        let clock = Arc::new(AtomicI64::new(BEGIN));
        let tick = clock.clone();
        let log = MemoryLog::new(MemoryOptions { markers: setup.markers, ..MemoryOptions::with_clock(move || tick.load(Relaxed) / 1000) });
        let topics = Topics::new("", PARTITIONS);
        let systems = Shared::new(setup.manners, setup.skews, clock.clone(), trace.clone());
        let mut world = Self {
            common: common.clone(),
            log,
            topics,
            systems,
            trace,
            clock,
            mappings: common.known.by_wishes.get(&setup.wishes.mapped()).cloned().unwrap_or_default(),
            asked: Vec::new(),
            links: BTreeMap::new(),
            mapping: usize::from(setup.mapping) % mapping::COUNT,
            versions: BTreeSet::new(),
            setup,
            stores: BTreeMap::new(),
            actors: BTreeMap::new(),
            zombie: None,
            now: 0,
            slow: BTreeMap::new(),
            disk_full_until: 0,
            delayed_until: 0,
        };
        let mut configs = world.topics.fixed();
        configs.extend(processors::topic_configs(&world.mappings[0], &world.topics));
        for side in [Side::Crm, Side::Erp] {
            configs.extend(world.topics.config(&world.topics.dead_letters(&world.topics.writes(side))));
        }
        let mut seen = BTreeSet::new();
        configs.retain(|config| seen.insert(config.name.clone()));
        world.log.create_topics(&configs).await?;
        world.people_were_here();
        world.versions.insert(world.mappings[world.mapping].version);
        for who in Who::ALL {
            world.start(who)?;
        }
        Ok(world)
    }

    /// Records from before Concord came.
    fn people_were_here(&mut self) {
        let mut systems = self.systems.lock();
        for (kind, letter, counts) in [(Kind::Customer, 'C', self.setup.customers), (Kind::Contact, 'P', self.setup.contacts)] {
            let [both, crm, erp] = counts;
            for number in 0..both + crm + erp {
                let key = format!("{letter}-{number}");
                self.clock.fetch_add(700_000, Relaxed);
                if number < both + crm {
                    systems.create(Side::Crm, kind, &key, number);
                }
                self.clock.fetch_add(900_000, Relaxed);
                if number < both || number >= both + crm {
                    // Some values differ at first contact.
                    systems.create(Side::Erp, kind, &key, if number % 2 == 0 { number } else { 500 + number });
                }
            }
        }
        people::were_here(&mut systems, &self.setup, &self.clock);
        // What happened before is no part of the streams.
        let ends = [systems.crm.stream.len(), systems.erp.stream.len()];
        systems.crm.floor = ends[0];
        systems.erp.floor = ends[1];
        self.clock.fetch_add(60_000_000, Relaxed);
    }

    /// Starts a process anew; what was there of it is gone.
    fn start(&mut self, who: Who) -> anyhow::Result<()> {
        self.actors.remove(&who);
        let turn = Turn::default();
        let log = TurnedLog {
            inner: self.log.clone(),
            turn: turn.clone(),
            trace: self.trace.clone(),
            actor: who.name(),
            codec: self.common.codec.clone(),
        };
        let going: Going = match who {
            Who::CaptureCrm => self.capture(Side::Crm, log),
            Who::CaptureErp => self.capture(Side::Erp, log),
            Who::Matcher => self.processor(ProcessorName::Matcher, "0", who, log),
            Who::StandbyMatcher => self.processor(ProcessorName::Matcher, "1", who, log),
            Who::Reconciler => self.processor(ProcessorName::Reconciler, "0", who, log),
            Who::OtherReconciler => self.processor(ProcessorName::Reconciler, "1", who, log),
            Who::SinkCrm => self.sink(target::Crm { systems: self.systems.clone(), turn: turn.clone() }, log),
            Who::SinkErp => self.sink(target::Erp { systems: self.systems.clone(), turn: turn.clone() }, log),
        };
        self.actors.insert(who, Actor::new(turn, going));
        Ok(())
    }

    fn capture(&self, side: Side, log: TurnedLog) -> Going {
        let capture = Capture {
            side,
            log,
            codec: self.common.codec.clone(),
            topics: self.topics.clone(),
            systems: self.systems.clone(),
            clock: self.clock.clone(),
            schemas: self.common.schemas.clone(),
            batch: self.setup.batches[0],
            kinds: Kind::captured(side, self.setup.wishes.orders != Orders::None),
        };
        Box::pin(async move { capture.run().await.map_or_else(|error| error.to_string(), |()| String::new()) })
    }

    fn processor(&mut self, name: ProcessorName, instance: &str, who: Who, log: TurnedLog) -> Going {
        let stores = self.stores.entry(who).or_default().clone();
        let clock = self.clock.clone();
        let environment = Environment {
            log: Arc::new(log),
            codec: self.common.codec.clone(),
            topics: self.topics.clone(),
            mapping: self.mappings[self.mapping].clone(),
            mappings: self.common.known.mappings.clone(),
            home: Home::Memory(stores),
            clock: Arc::new(move || clock.load(Relaxed)),
            config: processors::Config {
                instance: instance.to_owned(),
                batch_records: self.setup.batches[1],
                reread_after_ms: self.common.reread_after_ms,
                ..processors::Config::default()
            },
            metrics: self.common.processors.clone(),
            shutdown: CancellationToken::new(),
        };
        Box::pin(async move { processors::run(name, environment).await.map_or_else(|error| error.to_string(), |()| String::new()) })
    }

    fn sink<T: sinks::simulated::Target + Sync + 'static>(&self, target: T, log: TurnedLog) -> Going {
        let clock = self.clock.clone();
        let environment = sinks::simulated::Environment {
            log: Arc::new(log),
            codec: self.common.codec.clone(),
            topics: self.topics.clone(),
            clock: Arc::new(move || clock.load(Relaxed)),
            metrics: self.common.sinks.clone(),
            pace: sinks::Pace { batch: self.setup.batches[1], ..sinks::Pace::default() },
        };
        Box::pin(async move {
            sinks::simulated::run(target, environment, CancellationToken::new())
                .await
                .map_or_else(|error| error.to_string(), |()| String::new())
        })
    }

    /// One event.
    pub(super) async fn perform(&mut self, timed: &Timed) -> anyhow::Result<()> {
        self.now += 1;
        self.clock.fetch_add(timed.after, Relaxed);
        if self.disk_full_until == self.now {
            self.log.faults().disk_full(false);
        }
        if self.delayed_until == self.now {
            self.log.faults().hold_visibility(false);
        }
        match timed.event {
            Event::Step(who, calls) => {
                if self.slow.get(&who).is_none_or(|until| *until <= self.now) {
                    self.step(who, u32::from(calls))?;
                }
            }
            Event::Wake(calls) => self.wake(calls),
            Event::Edit(edit) => {
                self.systems.lock().edit(edit);
            }
            Event::Create(side, kind, number) => self.systems.lock().create(side, kind, &format!("N-{number}"), number),
            Event::Delete(side, kind, record) => self.systems.lock().drop_record(side, kind, record),
            Event::Clash(side, kind, record, number) => self.systems.lock().clash(side, kind, record, number),
            Event::Undelete(side, record) => self.systems.lock().bring_back(side, record),
            Event::Merge(winner, loser) => self.systems.lock().merge(winner, loser),
            Event::Decide { which, choice, number, twice, late } => self.decide(which, choice, number, twice, late).await?,
            Event::Wish(wish) => self.wish(wish).await?,
            Event::Fault(Fault::Compact) => self.compact().await?,
            Event::Fault(Fault::Configure(wanted)) => self.configure(wanted).await?,
            Event::Fault(fault) => self.fail(fault)?,
        }
        Ok(())
    }

    fn step(&mut self, who: Who, calls: u32) -> anyhow::Result<bool> {
        let Some(actor) = self.actors.get_mut(&who) else { return Ok(false) };
        match actor.step(calls) {
            Ended::Waiting => Ok(!actor.turn.is_idle()),
            Ended::Asleep => {
                self.trace.note(format_args!("{} begins again", who.name()));
                self.start(who)?;
                Ok(true)
            }
            Ended::Gone(reason) => {
                self.trace.note(format_args!("{} ends: {reason}", who.name()));
                self.start(who)?;
                Ok(true)
            }
        }
    }

    fn wake(&mut self, calls: u8) {
        let Some((who, zombie)) = &mut self.zombie else { return };
        let ended = zombie.step(u32::from(calls));
        self.trace.note(format_args!(
            "the old {} wakes up: {}",
            who.name(),
            if ended == Ended::Waiting { "and goes on" } else { "and ends" }
        ));
        if ended != Ended::Waiting {
            self.zombie = None;
        }
    }

    fn count(&self, kind: &'static str) {
        self.systems.lock().fault(kind);
    }

    async fn decide(&mut self, which: u32, choice: u8, number: u32, twice: bool, late: bool) -> anyhow::Result<()> {
        let conflicts = self.latest_conflicts().await?;
        let state = if late { ConflictState::Settled } else { ConflictState::Open };
        let open: Vec<&Conflict> = conflicts.values().filter(|conflict| conflict.state == state).collect();
        let Some(conflict) = (!open.is_empty()).then(|| open[which as usize % open.len()]) else { return Ok(()) };
        // A value of the ERP's is read as the field's own; a reference is to another of its customers.
        let field = FIELDS.iter().position(|field| field.name == conflict.field && field.kind.name() == conflict.kind);
        let value = field.map_or(Value::Null, |field| self.decided(field, number));
        let decision = Decision {
            conflict: conflict.id.clone(),
            choice: [Choice::Crm, Choice::Erp, Choice::Value, Choice::Both][usize::from(choice) % 4],
            value,
            ..Decision::new(format!("decision-{number}"), &conflict.entity, Action::Settle, "Ana Lima", self.clock.load(Relaxed))
        };
        self.trace.note(format_args!("Ana decides {} of {}: {:?}", conflict.id, conflict.field, decision.choice));
        if late {
            self.count("decision_late");
        }
        if twice {
            self.count("decision_repeated");
        }
        let topic = self.topics.decisions();
        for _ in 0..=u8::from(twice) {
            let bytes = self.common.codec.encode(&topic, &decision).await?;
            // A person whose disk is full tries again later, or not.
            let _refused = self.log.publish(vec![NewRecord::new(topic.as_str(), decision.entity.clone(), bytes)]).await;
        }
        Ok(())
    }

    /// Another value than either side's.
    fn decided(&self, field: usize, number: u32) -> Value {
        let systems = self.systems.lock();
        match (FIELDS[field].shape, shape::typed(Side::Erp, field, number)) {
            (Shape::Word, _) => Value::text(TIERS[number as usize % TIERS.len()][0]),
            (Shape::Link, _) => Value::Null,
            (Shape::Text, _) => systems.erp.typed(field, number),
            (Shape::Money | Shape::Flag, value) => value,
        }
    }

    /// Everything goes on, without faults, until nothing more happens. False when that never comes.
    pub(super) async fn settle(&mut self) -> anyhow::Result<bool> {
        self.zombie = None;
        self.slow.clear();
        self.log.faults().disk_full(false);
        self.log.faults().hold_visibility(false);
        let mut quiet = 0;
        let mut waits = WAITS;
        for _ in 0..ROUNDS {
            self.clock.fetch_add(500_000, Relaxed);
            if self.runs_away().await? {
                return Ok(false);
            }
            let mut busy = false;
            for who in Who::ALL {
                busy |= self.step(who, CALLS)?;
            }
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 1 && self.is_read(|_| true).await? {
                if waits == 0 {
                    return Ok(true);
                }
                // What no stream has shown by then is read again.
                waits -= 1;
                quiet = 0;
                self.clock.fetch_add(REREAD_US, Relaxed);
            }
        }
        Ok(false)
    }

    /// Versions of the mapping that were ever in force.
    pub(super) fn versions(&self) -> BTreeSet<i64> {
        self.versions.clone()
    }

    /// Ends every process, and lets what they had spawned end too.
    pub(super) async fn close(mut self) {
        self.zombie = None;
        self.actors.clear();
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
}
