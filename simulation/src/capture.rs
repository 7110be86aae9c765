//! Capture of one simulated system, as the real ones do it: changes and the position after them in one log transaction, and
//! going on from that position.
//!
//! An expired position and a gap are healed by reading rows again, which then stand as snapshot rows at the place in the
//! stream where they were read; what they cover is passed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use planted::Bug;
use schemas::Value;
use schemas::cdc::{Change, ChangeSchema, OURSELVES, Op, Source};
use schemas::message::{Checkpoint, Side};
use schemas::topic::Topics;
use stream::{Codec, Log as _, NewRecord, Result, Start, TopicPartition};

use super::log::TurnedLog;
use super::shape::{Kind, schema};
use super::system::{Committed, Did, Row, System};
use super::systems::Shared;

/// The row schemas of both sides' streams, with their texts: the same for all runs.
pub(super) type RowSchemas = BTreeMap<(Kind, Side), RowSchema>;

pub(super) struct RowSchema {
    schema: ChangeSchema,
    text: Arc<str>,
}

/// All of them.
pub(super) fn row_schemas() -> RowSchemas {
    let one = |kind: Kind, side: Side| {
        let schema = schema(kind, side);
        let text = schema.schema_text().into();
        ((kind, side), RowSchema { schema, text })
    };
    let all = |side: Side| Kind::captured(side, true).iter().map(move |kind| one(*kind, side));
    all(Side::Crm).chain(all(Side::Erp)).collect()
}

/// What a capture runs with.
pub(super) struct Capture {
    pub(super) side: Side,
    pub(super) log: TurnedLog,
    pub(super) codec: Codec,
    pub(super) topics: Topics,
    pub(super) systems: Shared,
    pub(super) clock: Arc<AtomicI64>,
    pub(super) schemas: Arc<RowSchemas>,
    /// Most changes in one transaction.
    pub(super) batch: usize,
    /// What is captured.
    pub(super) kinds: &'static [Kind],
}

/// Where the capture is.
#[derive(Debug, Clone, Default)]
struct Place {
    /// Next position in the stream; none before the first copy.
    next: Option<usize>,
    /// Rows read at a later position than the stream's.
    through: BTreeMap<String, usize>,
    /// Sweeps answered: times that everything was read again on request.
    /// Commit time of the newest change.
    committed_at: i64,
}

/// A row for the log.
struct Fact {
    id: String,
    kind: Kind,
    op: Op,
    row: BTreeMap<String, Value>,
    changed: Option<Vec<String>>,
    position: usize,
    at: i64,
    by_us: bool,
    write: Option<String>,
}

impl Capture {
    /// Captures until something fails; whoever runs it begins again.
    pub(super) async fn run(self) -> Result<()> {
        let mut streams = Vec::new();
        for kind in self.kinds {
            let topic = match self.side {
                Side::Crm => self.topics.cdc_crm(kind.object(self.side)),
                Side::Erp => self.topics.cdc_erp(kind.object(self.side)),
            };
            let schema = &self.schemas[&(*kind, self.side)];
            streams.push((self.codec.schema_id(&topic, &schema.text).await?, topic, &schema.schema));
        }
        let mut producer = self.log.producer(&format!("ingest.{}", self.side)).await?;
        let (mut place, known) = self.resume().await?;
        if known && planted::on(Bug::SkipAfterCrash) {
            place.next = place.next.map(|next| next + 1);
        }
        loop {
            self.log.turn.pass().await;
            let Some((facts, next)) = self.read(&place) else {
                self.log.turn.idle();
                continue;
            };
            let mut records = Vec::with_capacity(facts.len() + 1);
            for fact in &facts {
                let (id, topic, schema) = &streams[fact.kind as usize];
                let change = self.change(schema, fact);
                let bytes = stream::codec::encode_change_as(*id, topic, schema, &change)?;
                records.push(NewRecord::new(topic.as_str(), fact.id.clone(), bytes));
                if fact.op == Op::Delete && self.side == Side::Erp {
                    records.push(NewRecord::tombstone(topic.as_str(), fact.id.clone()));
                }
            }
            let checkpoint = self.checkpoint(&next).await?;
            if planted::on(Bug::PositionFirst) {
                producer.begin().await?;
                producer.send(vec![checkpoint]).await?;
                producer.commit(None).await?;
            } else {
                records.push(checkpoint);
            }
            producer.begin().await?;
            producer.send(records).await?;
            producer.commit(None).await?;
            self.put_down(&facts);
            place = next;
        }
    }

    async fn resume(&self) -> Result<(Place, bool)> {
        let at = TopicPartition::new(self.topics.checkpoint(), 0);
        let end = self.log.ends(&at.topic).await?.get(&at).copied().unwrap_or(0);
        let mut reader = self.log.reader(vec![(at.clone(), Start::Earliest)]).await?;
        let mut found = None;
        while reader.position().await?.get(&at).copied().unwrap_or(0) < end {
            for record in reader.poll(1000, std::time::Duration::ZERO).await? {
                if record.key.as_deref() == Some(self.side.as_str().as_bytes()) {
                    found = self.codec.message::<Checkpoint>(&record).await?;
                }
            }
        }
        let Some(checkpoint) = found else { return Ok((Place::default(), false)) };
        let through = serde_json::from_str(&checkpoint.resume).unwrap_or_default();
        let place = Place { next: checkpoint.position.parse().ok(), through, committed_at: checkpoint.committed_at };
        Ok((place, true))
    }

    /// What comes next and the place after it; none when there is nothing.
    fn read(&self, place: &Place) -> Option<(Vec<Fact>, Place)> {
        let mut systems = self.systems.lock();
        let system = systems.side(self.side);
        let end = system.stream.len();
        let known = place.next.map(|next| if planted::on(Bug::ExpiredAsDone) { next.max(system.floor) } else { next });
        let Some(mut next) = known.filter(|next| *next >= system.floor) else {
            let told = !planted::on(Bug::CopyWithoutDeletes);
            let gone = system
                .gone
                .iter()
                .filter(|(_, gone)| told && self.kinds.contains(&gone.row.kind))
                .map(|(id, gone)| deleted(id, gone.row.kind, gone.at, gone.by_us, end));
            let facts = gone
                .chain(system.rows.iter().filter(|(_, row)| self.kinds.contains(&row.kind)).map(|(id, row)| reread(system, id, row)))
                .collect();
            let side = self.side;
            let again = place.next.is_some();
            systems.trace.note(format_args!("{side} is read as a whole"));
            if again {
                systems.fault("expired_position");
            }
            return Some((facts, Place { next: Some(end), through: BTreeMap::new(), committed_at: place.committed_at }));
        };
        let again = usize::from(std::mem::take(&mut system.fault.repeat)).min(next - system.floor);
        if again > 0 {
            systems.trace.note(format_args!("{} stream repeats {again} positions before {next}", self.side));
            systems.fault("source_repeat");
            // The position says that these are on the log already.
            if planted::on(Bug::KeepRepeats) {
                next -= again;
            }
        }
        let system = systems.side(self.side);
        if next >= end {
            return None;
        }
        let mut after = place.clone();
        let mut facts: Vec<Fact> = Vec::new();
        let mut gaps = 0;
        for index in next..(next + self.batch.max(1)).min(end) {
            let committed = &system.stream[index];
            after.next = Some(index + 1);
            if after.through.get(&committed.id).is_some_and(|through| *through > index) {
                continue;
            }
            after.committed_at = after.committed_at.max(committed.at);
            if committed.gap {
                if planted::on(Bug::ForgetGap) {
                    continue;
                }
                gaps += 1;
                facts.push(match system.rows.get(&committed.id) {
                    Some(row) => reread(system, &committed.id, row),
                    None => deleted(&committed.id, committed.kind, committed.at, committed.by_us, end),
                });
                after.through.insert(committed.id.clone(), end);
                continue;
            }
            facts.push(captured(self.side, committed, index));
        }
        after.next = after.next.max(place.next);
        after.through.retain(|_, through| after.next.is_none_or(|next| *through > next));
        for _ in 0..gaps {
            systems.fault("gap");
        }
        Some((facts, after))
    }

    /// Changes are on the log.
    fn put_down(&self, facts: &[Fact]) {
        let mut systems = self.systems.lock();
        let system = systems.side(self.side);
        for fact in facts.iter().filter(|fact| fact.op != Op::Read) {
            // What was found gone stands where the next change will.
            let told = |committed: &Committed| committed.id == fact.id && (committed.did == Did::Gone) == (fact.op == Op::Delete);
            if let Some(committed) = system.stream.get_mut(fact.position).filter(|committed| told(committed)) {
                committed.shown = true;
            }
        }
    }

    fn change(&self, schema: &ChangeSchema, fact: &Fact) -> Change {
        let row = schema.columns.iter().map(|column| fact.row.get(&column.name).cloned().unwrap_or(Value::Null)).collect();
        Change {
            before: None,
            after: (fact.op != Op::Delete).then_some(row),
            op: fact.op,
            changed: fact.changed.as_ref().map(|changed| changed.iter().filter_map(|name| schema.column(name)).collect()),
            source: Source {
                side: self.side,
                name: self.side.to_string(),
                object: fact.kind.object(self.side).to_owned(),
                position: match self.side {
                    Side::Crm => format!("{:016x}", fact.position),
                    Side::Erp => format!("0/{:X}", fact.position),
                },
                transaction: fact.position.to_string(),
                ordinal: 0,
                committed_at: fact.at,
                actor: Some(if fact.by_us { "Concord".to_owned() } else { format!("{} user", self.side) }),
                origin: fact.by_us.then(|| OURSELVES.to_owned()),
                write: fact.write.clone(),
                snapshot: fact.op == Op::Read,
            },
            ts_ms: self.clock.load(Relaxed) / 1000,
        }
    }

    async fn checkpoint(&self, place: &Place) -> Result<NewRecord> {
        let topic = self.topics.checkpoint();
        let checkpoint = Checkpoint {
            source: self.side.to_string(),
            position: place.next.unwrap_or(0).to_string(),
            ordinal: 0,
            copied: self.kinds.iter().map(|kind| kind.object(self.side).to_owned()).collect(),
            resume: serde_json::to_string(&place.through).unwrap_or_default(),
            committed_at: place.committed_at,
        };
        let bytes = self.codec.encode(&topic, &checkpoint).await?;
        Ok(NewRecord::new(topic, self.side.as_str(), bytes))
    }
}

/// A change as its stream carries it.
fn captured(side: Side, committed: &Committed, index: usize) -> Fact {
    let op = match committed.did {
        Did::Made => Op::Create,
        Did::Changed => Op::Update,
        Did::Gone => Op::Delete,
    };
    Fact {
        id: committed.id.clone(),
        kind: committed.kind,
        op,
        row: committed.row.clone(),
        changed: (side == Side::Crm && op == Op::Update).then(|| committed.changed.clone()),
        position: index,
        at: committed.at,
        by_us: committed.by_us,
        write: committed.write.clone().filter(|_| side == Side::Erp),
    }
}

/// A row that is gone.
fn deleted(id: &str, kind: Kind, at: i64, by_us: bool, position: usize) -> Fact {
    Fact { id: id.to_owned(), kind, op: Op::Delete, row: BTreeMap::new(), changed: None, position, at, by_us, write: None }
}

/// A row as it is now.
fn reread(system: &System, id: &str, row: &Row) -> Fact {
    // A CRM says when a record was modified to the second.
    let cut = if system.side == Side::Crm { row.modified_at.rem_euclid(1_000_000) } else { 0 };
    Fact {
        id: id.to_owned(),
        kind: row.kind,
        op: Op::Read,
        row: row.values.clone(),
        changed: None,
        position: system.stream.len(),
        at: row.modified_at - cut,
        by_us: system.side == Side::Crm && row.by_us,
        write: row.write.clone().filter(|_| system.side == Side::Erp),
    }
}
