//! Two simulated systems, their streams, the sinks and people around one entity.

use std::collections::{BTreeMap, VecDeque};

use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, EntityMapping, FieldMapping, FieldType, Pair, Policy, Side, SideMapping};
use reconcile::merge::{
    self, Choice, Confirmed, ConflictRecord, DecisionResult, Demand, Effect, EntityState, Event, Reply, SideChange, Verdict, WriteCommand,
    WriteNumber,
};

pub(crate) use self::shared::{Mixer, Shared};

mod shared;
mod sink;

pub(crate) const SECOND: i64 = 1_000_000;

/// A text field called the same on both sides.
pub(crate) fn field(name: &str, policy: Policy) -> FieldMapping {
    FieldMapping { policy, ..FieldMapping::plain(name, FieldType::Text, format!("{name}__c"), name) }
}

pub(crate) fn mapping(policy: Policy) -> EntityMapping {
    EntityMapping {
        kind: "customer".to_owned(),
        title: "name".to_owned(),
        sides: Pair {
            crm: SideMapping { object: "Account".to_owned(), ..SideMapping::default() },
            erp: SideMapping { object: "public.customers".to_owned(), ..SideMapping::default() },
        },
        fields: vec![field("name", policy), field("phone", policy)],
        keys: Vec::new(),
        scored: None,
        create: Pair { crm: CreatePolicy::Auto, erp: CreatePolicy::Auto },
        delete: Pair { crm: DeletePolicy::Ignore, erp: DeletePolicy::Ignore },
        first_contact: policy,
        skew_us: 2 * SECOND,
        tie: Side::Erp,
        version: 1,
    }
}

/// How a system treats what is written to it.
#[derive(Debug, Clone, Default, Hash, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Text longer than this is cut, in any column.
    pub cut: Option<usize>,
    /// When the first column changes under our name, the second one takes its value in brackets.
    pub trigger: Option<(String, String)>,
    /// Preconditions are checked when the sink reads, not when the system commits.
    pub racy: bool,
    /// Changes carry whole rows, as Postgres sends them; otherwise only what changed.
    pub whole_rows: bool,
    /// Adjacent changes that nobody has read yet become one, as a compacted log makes them.
    pub coalesces: bool,
    /// It does not say under whose name a change was made.
    pub nameless: bool,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct System {
    pub side: Side,
    pub manner: Manner,
    pub record: Option<String>,
    pub row: BTreeMap<String, Value>,
    pub stream: VecDeque<SideChange>,
    pub commands: VecDeque<WriteCommand>,
    /// The command at the head was checked and will be committed next, whatever happens in between.
    pub checked: bool,
    /// The last hand on the record was ours.
    pub by_us: bool,
    /// The last write of ours that the record bears.
    pub bears: Option<u64>,
    /// What the sink has answered, and the core has not heard yet; with the command, which a kill may bring back.
    pub answers: VecDeque<(Option<WriteCommand>, Event)>,
    /// Writes carried out, by number: the record, and what it held right after.
    pub ledger: BTreeMap<u64, (String, BTreeMap<String, Value>)>,
    pub made: u32,
    /// The change that reached the core last.
    pub last: Option<SideChange>,
}

/// One value that came to stand in one field of one side.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct Commit {
    pub side: Side,
    pub field: String,
    pub value: Value,
    pub at: i64,
    /// None is a person.
    pub write: Option<u64>,
    /// The column that the command asked for; others follow from triggers.
    pub asked: bool,
}

/// What people decided about a field, as it was carried out.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct Decided {
    pub field: String,
    /// What both sides are to hold; none when it says nothing of that.
    pub values: Option<Pair<Value>>,
    /// How much of the history was before.
    pub before: usize,
    /// The core knew of all that stood anywhere.
    pub informed: bool,
}

/// Everything that ever happened, in the order in which it did.
#[derive(Debug, Clone, Hash, PartialEq, Eq, Default)]
pub(crate) struct Past {
    /// What came to stand anywhere, in commit order.
    pub history: Vec<Commit>,
    /// What writes were asked to put where, with how much of the history was before; the target may have made of it what it held.
    pub carried: Vec<(Side, String, Value, usize)>,
    /// Deletions by people, with how much of the history was before.
    pub deletions: Vec<(Side, usize)>,
    /// Decisions by people.
    pub decided: Vec<Decided>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub state: Shared<EntityState>,
    pub systems: Pair<Shared<System>>,
    pub clock: i64,
    pub past: Shared<Past>,
    /// Conflicts as they were last kept.
    pub conflicts: Shared<BTreeMap<u64, ConflictRecord>>,
    /// Writes that are audited.
    pub confirmed: Vec<Confirmed>,
    /// What decisions were answered.
    pub replies: Vec<(DecisionResult, String)>,
    /// What each side's stream showed last, by field.
    pub shown: Shared<BTreeMap<(Side, String), Value>>,
    /// The last decision that was taken.
    pub verdict: Option<Verdict>,
}

impl World {
    /// Both sides have the record, and hold the same.
    pub(crate) fn linked(manners: Pair<Manner>) -> Self {
        let system = |side: Side, manner: Manner| {
            Shared::new(System {
                side,
                manner,
                record: Some(format!("{}-1", side.as_str())),
                row: BTreeMap::new(),
                stream: VecDeque::new(),
                commands: VecDeque::new(),
                checked: false,
                by_us: false,
                bears: None,
                answers: VecDeque::new(),
                ledger: BTreeMap::new(),
                made: 0,
                last: None,
            })
        };
        let mut world = Self {
            state: Shared::new(EntityState { entity: "e1".to_owned(), ..EntityState::default() }),
            systems: Pair { crm: system(Side::Crm, manners.crm), erp: system(Side::Erp, manners.erp) },
            clock: 1000 * SECOND,
            past: Shared::new(Past::default()),
            conflicts: Shared::new(BTreeMap::new()),
            confirmed: Vec::new(),
            replies: Vec::new(),
            shown: Shared::new(BTreeMap::new()),
            verdict: None,
        };
        for side in Side::BOTH {
            for name in ["name", "phone"] {
                world.systems[side].row.insert(column(side, name), Value::text(format!("{name}0")));
            }
        }
        world
    }

    /// As `linked`, with both first copies taken in.
    pub(crate) fn agreed(mapping: &EntityMapping, manners: Pair<Manner>) -> Self {
        let mut world = Self::linked(manners);
        for side in Side::BOTH {
            world.read_again(side);
            if let Some(change) = world.systems[side].stream.back_mut() {
                change.may_create = side == Side::Erp;
            }
            world.deliver(mapping, side);
        }
        assert!(world.state.fields.values().all(|field| field.agreed.is_some()));
        world
    }

    pub(crate) fn tick(&mut self, micros: i64) {
        self.clock += micros;
    }

    /// A person edits columns; none deletes.
    pub(crate) fn edit(&mut self, side: Side, edits: &[(&str, Value)]) {
        if self.systems[side].record.is_none() {
            return;
        }
        let clock = self.clock;
        let changes: Vec<(String, Value)> = edits.iter().map(|(field, value)| (column(side, field), value.clone())).collect();
        for (field, value) in edits {
            let commit = Commit { side, field: (*field).to_owned(), value: value.clone(), at: clock, write: None, asked: true };
            self.past.history.push(commit);
        }
        self.commit(side, changes, None);
    }

    /// A person deletes the record.
    pub(crate) fn delete(&mut self, side: Side) {
        let Some(record) = self.systems[side].record.clone() else { return };
        let change = self.change(side, &record, true, Vec::new(), None);
        let before = self.past.history.len();
        self.past.deletions.push((side, before));
        let system = &mut self.systems[side];
        system.row.clear();
        system.record = None;
        self.push(side, change);
    }

    /// A person brings the record back with these values.
    pub(crate) fn undelete(&mut self, side: Side, record: &str, row: BTreeMap<String, Value>) {
        self.systems[side].record = Some(record.to_owned());
        self.systems[side].row = row;
        self.read_again(side);
        if let Some(change) = self.systems[side].stream.back_mut() {
            change.snapshot = false;
        }
    }

    fn change(&self, side: Side, record: &str, deleted: bool, columns: Vec<String>, write: Option<u64>) -> SideChange {
        let system = &self.systems[side];
        let mut fields = BTreeMap::new();
        let mut values = BTreeMap::new();
        for name in columns {
            let value = system.row.get(&name).cloned().unwrap_or_default();
            fields.insert(canonical(side, &name), value.clone());
            values.insert(name, value);
        }
        SideChange {
            side,
            record: record.to_owned(),
            deleted,
            unlinked: false,
            joined: false,
            returned: false,
            foreign: false,
            fields,
            columns: values,
            references: BTreeMap::new(),
            may_create: true,
            snapshot: false,
            released: false,
            at: self.clock,
            actor: Some(if write.is_some() { "Concord".to_owned() } else { format!("{} user", side.as_str()) }),
            ours: write.is_some() && !system.manner.nameless,
            write: write.map(WriteNumber),
        }
    }

    fn push(&mut self, side: Side, change: SideChange) {
        let system = &mut self.systems[side];
        if system.manner.coalesces
            && let Some(last) = system.stream.back_mut()
            && !last.deleted
            && !change.deleted
        {
            last.fields.extend(change.fields.clone());
            last.columns.extend(change.columns.clone());
            last.at = change.at;
            last.actor = change.actor;
            last.ours = change.ours;
            last.write = change.write;
            return;
        }
        system.stream.push_back(change);
    }

    /// A transaction at a side: the row changes, the stream says so.
    fn commit(&mut self, side: Side, changes: Vec<(String, Value)>, write: Option<u64>) {
        let clock = self.clock;
        let system = &mut *self.systems[side];
        let Some(record) = system.record.clone() else { return };
        let mut all = changes;
        let count = all.len();
        if write.is_some()
            && let Some((from, to)) = &system.manner.trigger
            && let Some((_, value)) = all.iter().find(|(name, value)| name == from && system.row.get(from) != Some(value))
        {
            let text = format!("({})", value.as_text().unwrap_or_default());
            let follow = (to.clone(), Value::text(text));
            if !all.iter().any(|(name, _)| name == to) {
                all.push(follow);
            }
        }
        let asked = write.is_some();
        if asked {
            let history = self.past.history.len();
            let carried = all.iter().take(count).map(|(name, value)| (side, canonical(side, name), value.clone(), history));
            self.past.carried.extend(carried);
        }
        let wanted: Vec<String> = all.iter().map(|(name, _)| name.clone()).take(if asked { count } else { 0 }).collect();
        let mut changed = Vec::new();
        for (name, mut value) in all {
            if asked && let (Some(cut), Value::Text(text)) = (system.manner.cut, &value) {
                value = Value::Text(text.chars().take(cut).collect());
            }
            if system.row.get(&name) != Some(&value) {
                changed.push(name.clone());
                if asked {
                    let field = canonical(side, &name);
                    let asked = wanted.contains(&name);
                    self.past.history.push(Commit { side, field, value: value.clone(), at: clock, write, asked });
                }
                system.row.insert(name, value);
            }
        }
        system.by_us = asked;
        system.bears = write.or(system.bears);
        let columns = if system.manner.whole_rows { system.row.keys().cloned().collect() } else { changed };
        if columns.is_empty() && !asked {
            return;
        }
        let change = self.change(side, &record, false, columns, write);
        self.push(side, change);
    }

    /// The side is read; the row goes through its stream like a change.
    pub(crate) fn read_again(&mut self, side: Side) {
        let Some(record) = self.systems[side].record.clone() else { return };
        let columns = self.systems[side].row.keys().cloned().collect();
        let mut change = self.change(side, &record, false, columns, None);
        change.snapshot = true;
        let system = &mut self.systems[side];
        change.write = system.bears.map(WriteNumber);
        change.ours = system.by_us && !system.manner.whole_rows && !system.manner.nameless;
        system.stream.push_back(change);
    }

    /// The next change of a side reaches the core.
    pub(crate) fn deliver(&mut self, mapping: &EntityMapping, side: Side) {
        if let Some(change) = self.systems[side].stream.pop_front() {
            self.systems[side].last = Some(change.clone());
            self.shown.extend(change.fields.iter().map(|(field, value)| ((side, field.clone()), value.clone())));
            self.apply(mapping, &Event::Changed(change));
        }
    }

    /// The newest delivered change of a side comes again.
    pub(crate) fn repeat(&mut self, mapping: &EntityMapping, side: Side) {
        if let Some(change) = self.systems[side].last.clone() {
            self.apply(mapping, &Event::Changed(change));
        }
    }

    /// The next answer of either side reaches the core.
    pub(crate) fn answer(&mut self, mapping: &EntityMapping) {
        if let Some(side) = Side::BOTH.into_iter().find(|side| !self.systems[*side].answers.is_empty()) {
            self.answer_of(mapping, side);
        }
    }

    /// The next answer of a side reaches the core.
    pub(crate) fn answer_of(&mut self, mapping: &EntityMapping, side: Side) {
        let Some((_, mut event)) = self.systems[side].answers.pop_front() else { return };
        if let Event::Read(change) = &mut event {
            // What its stream does not owe any more is left to the stream.
            let owed = merge::unshown(&self.state, change.side, i64::MAX);
            change.fields.retain(|field, _| owed.contains(&field.as_str()));
            let owes = !owed.is_empty() || merge::owes_record(&self.state, change.side, i64::MAX);
            if !owes || self.state.sides[change.side].record.as_ref() != Some(&change.record) {
                return;
            }
        }
        self.apply(mapping, &event);
    }

    /// The record is read because its stream owes something; the answer comes behind the others.
    pub(crate) fn read_owed(&mut self, side: Side) {
        let Some(record) = self.state.sides[side].record.clone() else { return };
        let gone = self.systems[side].record.as_ref() != Some(&record);
        let columns = self.systems[side].row.keys().filter(|_| !gone).cloned().collect();
        let mut change = self.change(side, &record, gone, columns, None);
        change.snapshot = true;
        change.actor = None;
        change.write = self.state.next_write.checked_sub(1).map(WriteNumber);
        self.systems[side].answers.push_back((None, Event::Read(change)));
    }

    /// A person decides the oldest open conflict.
    pub(crate) fn decide(&mut self, mapping: &EntityMapping, choice: Choice) {
        let Some(number) = self.state.conflicts.values().next().map(|record| record.number) else { return };
        let known = |id: &String| self.state.decided.contains(id) || self.state.queued.iter().any(|verdict| verdict.id == *id);
        let id = (0..).map(|number| format!("decision-{number}")).find(|id| !known(id)).unwrap_or_default();
        let verdict = Verdict::settle(id, number, choice, "Ana Lima");
        self.verdict = Some(verdict.clone());
        self.apply(mapping, &Event::Decided(verdict));
    }

    /// The last decision comes again.
    pub(crate) fn decide_again(&mut self, mapping: &EntityMapping) {
        if let Some(verdict) = self.verdict.clone() {
            self.apply(mapping, &Event::Decided(verdict));
        }
    }

    pub(crate) fn apply(&mut self, mapping: &EntityMapping, event: &Event) -> Vec<Effect> {
        let clock = self.clock;
        let effects = merge::apply(mapping, &mut self.state, event, clock);
        for effect in &effects {
            match effect {
                Effect::Write(command) => self.systems[command.side].commands.push_back(command.clone()),
                Effect::Conflict(record) => {
                    self.conflicts.insert(record.number.0, record.clone());
                }
                Effect::Confirmed(confirmed) => self.confirmed.push(confirmed.clone()),
                Effect::Decided(reply) => {
                    self.replies.push((reply.result, reply.reason.clone()));
                    self.note(reply);
                }
                Effect::Golden => {}
            }
        }
        effects
    }

    /// Keeps what a decision asks both sides to hold, once it is carried out.
    fn note(&mut self, reply: &Reply) {
        let (DecisionResult::Accepted, Some(number)) = (reply.result, reply.conflict) else { return };
        let kept = self.conflicts.get(&number.0).cloned();
        let own = |record: &ConflictRecord| Pair { crm: record.values.crm.value.clone(), erp: record.values.erp.value.clone() };
        let twice = |value: &Value| Pair { crm: value.clone(), erp: value.clone() };
        let chosen = |choice: &Choice, record: &ConflictRecord| match choice {
            Choice::Side(side) => twice(&record.values[*side].value),
            Choice::Value(value) => twice(value),
            Choice::Both => own(record),
        };
        let decided: Vec<(String, Option<Pair<Value>>)> = match &reply.verdict.demand {
            Demand::Settle { choice, .. } => kept.iter().map(|record| (record.field.clone(), Some(chosen(choice, record)))).collect(),
            Demand::Restore { choice, kept: Some(lost), .. } => vec![(lost.field.clone(), Some(chosen(choice, lost)))],
            // It is held again, and says so by itself.
            Demand::Reopen { kept: Some(record), .. } => vec![(record.field.clone(), None)],
            Demand::Undo { kept: Some(done), .. } => {
                done.steps.iter().map(|(field, step)| (field.clone(), Some(step.before.clone()))).collect()
            }
            _ => Vec::new(),
        };
        let informed = Side::BOTH.iter().all(|side| self.systems[*side].stream.is_empty() && self.systems[*side].commands.is_empty());
        let before = self.past.history.len();
        let decided = decided.into_iter().map(|(field, values)| Decided { field, values, before, informed });
        self.past.decided.extend(decided);
    }

    /// Nothing is on its way anywhere.
    pub(crate) fn quiet(&self) -> bool {
        Side::BOTH.iter().all(|side| {
            let system = &self.systems[*side];
            system.stream.is_empty() && system.commands.is_empty() && system.answers.is_empty()
        })
    }

    /// Runs everything until nothing is on its way, reading again what stays unconfirmed.
    pub(crate) fn settle(&mut self, mapping: &EntityMapping) {
        for _ in 0..500 {
            for side in Side::BOTH {
                self.execute(side, false);
                self.deliver(mapping, side);
            }
            for side in Side::BOTH {
                self.answer_of(mapping, side);
            }
            if self.quiet() {
                let silent = merge::unconfirmed(&self.state, i64::MAX);
                if silent.is_empty() {
                    return;
                }
                for (side, _) in silent {
                    self.read_owed(side);
                }
            }
        }
        panic!("it does not come to rest: {self:#?}");
    }

    pub(crate) fn value(&self, side: Side, field: &str) -> Value {
        self.systems[side].row.get(&column(side, field)).cloned().unwrap_or_default()
    }

    /// A value as a side keeps it when it is written there.
    pub(crate) fn as_cut(&self, side: Side, value: &Value) -> Value {
        match (value, self.systems[side].manner.cut) {
            (Value::Text(text), Some(cut)) => Value::Text(text.chars().take(cut).collect()),
            _ => value.clone(),
        }
    }

    /// What a field holds on both sides.
    pub(crate) fn values(&self, field: &str) -> (String, String) {
        let text = |side| self.value(side, field).as_text().unwrap_or("-").to_owned();
        (text(Side::Crm), text(Side::Erp))
    }
}

pub(crate) fn column(side: Side, field: &str) -> String {
    match side {
        Side::Crm => format!("{field}__c"),
        Side::Erp => field.to_owned(),
    }
}

fn canonical(side: Side, column: &str) -> String {
    match side {
        Side::Crm => column.trim_end_matches("__c").to_owned(),
        Side::Erp => column.to_owned(),
    }
}
