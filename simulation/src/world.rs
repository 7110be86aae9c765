//! The whole pipeline in one process: real processors and sink loops, two simulated systems, one thread.
//!
//! A [`World`] is built from a setup, told one event after another, and brought to rest. The same setup and events give
//! the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use futures::FutureExt as _;
use processors::store::{Home, MemoryStores};
use processors::{Environment, ProcessorName};
use reconcile::mapping::Mapping;
use schemas::Value;
use schemas::message::{Action, Choice, Conflict, ConflictState, Decision, EntityLink, Message, Side};
use schemas::topic::Topics;
use stream::memory::MemoryOptions;
use stream::{Codec, Log, MemoryLog, NewRecord, Start};
use tokio_util::sync::CancellationToken;

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
/// Writes after which a run is taken never to come to rest.
const MOST_WRITES: u64 = 2500;
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

    fn fail(&mut self, fault: Fault) -> anyhow::Result<()> {
        self.trace.note(format_args!("{fault:?}"));
        match fault {
            Fault::Crash(who) => {
                self.count(who.crash());
                self.start(who)?;
            }
            Fault::CrashAll => {
                self.count("crash_all");
                self.zombie = None;
                self.actors.clear();
                for who in Who::ALL {
                    self.start(who)?;
                }
            }
            Fault::LoseDisk(who) => {
                if self.stores.remove(&who).is_some() {
                    self.count("disk_lost");
                }
                self.start(who)?;
            }
            Fault::Zombie(who) => {
                self.count("zombie");
                if let Some(actor) = self.actors.remove(&who) {
                    self.zombie = Some((who, actor));
                }
                // The zombie's machine is not the new one's.
                self.stores.remove(&who);
                self.start(who)?;
            }
            Fault::RefuseCommit(who) => self.arm(who, "log_refuses_commit", |armed| armed.refuse_commit = true),
            Fault::RefusePoll(who) => self.arm(who, "log_refuses_poll", |armed| armed.refuse_poll = true),
            Fault::LoseAnswer(who) => self.arm(who, "log_answer_lost", |armed| armed.lose_answer = true),
            Fault::Reorder(who, polls) => self.arm(who, "reorder", |armed| armed.withhold = polls),
            Fault::DiskFull(events) => {
                self.count("disk_full");
                self.log.faults().disk_full(true);
                self.disk_full_until = self.now + usize::from(events);
            }
            Fault::Delay(events) => {
                self.count("delay");
                self.log.faults().hold_visibility(true);
                self.delayed_until = self.now + usize::from(events);
            }
            Fault::Slow(who, events) => {
                self.count("slow");
                self.slow.insert(who, self.now + usize::from(events));
            }
            Fault::Rebalance(group) => {
                self.count("rebalance");
                self.log.faults().rebalance(group_name(group));
            }
            Fault::Evict(group) => {
                self.count("evicted");
                self.log.faults().evict(group_name(group));
            }
            Fault::Stall(who, events) => {
                self.count("stall");
                self.slow.insert(who, self.now + usize::from(events));
                if let Some(group) = who.group() {
                    self.log.faults().evict(group);
                }
            }
            Fault::Jump(side, by) => {
                // A CRM's clock does not go back.
                let by = if side == Side::Crm { by.abs() } else { by };
                let mut systems = self.systems.lock();
                systems.side(side).skew += by;
                systems.fault("clock_jump");
            }
            Fault::Expire(side) => {
                let mut systems = self.systems.lock();
                let system = systems.side(side);
                system.floor = system.stream.len();
            }
            Fault::ExpireAfterDelete(side, kind, record) => {
                let mut systems = self.systems.lock();
                systems.drop_record(side, kind, record);
                let system = systems.side(side);
                system.floor = system.stream.len();
            }
            Fault::Repeat(side, times) => self.systems.lock().side(side).fault.repeat = times,
            Fault::Gap(side) => self.systems.lock().side(side).fault.gap = true,
            Fault::Down(side, calls) => self.systems.lock().side(side).fault.down = calls,
            Fault::TargetLosesAnswer(side) => self.systems.lock().side(side).fault.lose_answer = true,
            Fault::PutBack => {
                let fault = &mut self.systems.lock().erp.fault;
                (fault.lose_answer, fault.put_back) = (true, true);
            }
            Fault::Compact => {}
            Fault::Partial(side, rows) => self.systems.lock().side(side).fault.locked = rows,
            Fault::Race(edit) => self.systems.lock().side(edit.side).fault.race = Some(edit),
            Fault::Configure(_) => {}
        }
        Ok(())
    }

    fn arm(&self, who: Who, kind: &'static str, arm: impl FnOnce(&mut super::turn::Armed)) {
        if let Some(actor) = self.actors.get(&who) {
            self.count(kind);
            arm(&mut actor.turn.armed());
        }
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

    /// The log is compacted, but for what its readers have yet to see: that is younger than compaction's lag.
    /// Another mapping: with a new start of whoever follows it, or while everything runs.
    async fn configure(&mut self, wanted: u8) -> anyhow::Result<()> {
        let Some(next) = mapping::after(self.mapping, wanted) else { return Ok(()) };
        self.count("configuration_change");
        self.mapping = next;
        let mapping = self.mappings[next].clone();
        self.versions.insert(mapping.version);
        if wanted.is_multiple_of(2) {
            for who in [Who::Matcher, Who::StandbyMatcher, Who::Reconciler, Who::OtherReconciler] {
                self.start(who)?;
            }
            return Ok(());
        }
        let topic = self.topics.control();
        let setting = processors::in_force::setting(&mapping.text, mapping.version, "somebody", self.clock.load(Relaxed));
        let bytes = self.common.codec.encode(&topic, &setting).await?;
        let _refused = self.log.publish(vec![NewRecord::new(topic.as_str(), processors::in_force::SETTING, bytes)]).await;
        Ok(())
    }

    async fn compact(&mut self) -> anyhow::Result<()> {
        if self.is_read(|group| group == ProcessorName::Matcher.as_str()).await? {
            self.read_links().await?;
            self.trace.note(format_args!("the log is compacted"));
            self.count("compaction");
            self.log.compact();
        }
        Ok(())
    }

    /// More has been written than any run has reason to.
    pub(super) async fn runs_away(&self) -> anyhow::Result<bool> {
        let mut writes = 0;
        for side in [Side::Crm, Side::Erp] {
            writes += self.log.ends(&self.topics.writes(side)).await?.values().sum::<u64>();
        }
        Ok(writes > MOST_WRITES)
    }

    /// Whether these readers have read everything.
    async fn is_read(&self, which: impl Fn(&str) -> bool) -> anyhow::Result<bool> {
        let mut groups: Vec<(String, Vec<String>)> = processors::topology(&self.mappings[0], &self.topics)
            .into_iter()
            .filter(|node| node.name != ProcessorName::Aggregates)
            .map(|node| (node.name.as_str().to_owned(), node.inputs))
            .collect();
        groups.extend([Side::Crm, Side::Erp].map(|side| (format!("sink.{side}"), vec![self.topics.writes(side)])));
        for (group, topics) in groups.into_iter().filter(|(group, _)| which(group)) {
            let committed = self.log.committed(&group, &topics).await?;
            for topic in &topics {
                // What is behind the last record may be a transaction's marker.
                let slack = u64::from(self.setup.markers);
                for (at, end) in self.log.ends(topic).await? {
                    if end > 0 && committed.get(&at).copied().unwrap_or(0) + slack < end {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Versions of the mapping that were ever in force.
    pub(super) fn versions(&self) -> BTreeSet<i64> {
        self.versions.clone()
    }

    /// All messages of a topic, in order within each partition.
    pub(super) async fn messages<M: Message>(&self, topic: &str) -> anyhow::Result<Vec<M>> {
        let mut found = Vec::new();
        for (at, end) in self.log.ends(topic).await? {
            let mut reader = self.log.reader(vec![(at.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&at).copied().unwrap_or(0) < end {
                let Some(records) = reader.poll(1000, std::time::Duration::ZERO).now_or_never() else { break };
                for record in records? {
                    found.extend(self.common.codec.message::<M>(&record).await?);
                }
            }
        }
        Ok(found)
    }

    /// Every conflict as it was last recorded.
    pub(super) async fn latest_conflicts(&self) -> anyhow::Result<BTreeMap<String, Conflict>> {
        let conflicts: Vec<Conflict> = self.messages(&self.topics.conflicts()).await?;
        Ok(conflicts.into_iter().map(|conflict| (conflict.id.clone(), conflict)).collect())
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

fn group_name(group: u8) -> &'static str {
    ["matcher", "reconciler", "sink.crm", "sink.erp"][usize::from(group) % 4]
}
