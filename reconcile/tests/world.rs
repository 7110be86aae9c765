//! Two simulated systems, their streams, the sinks and people around one entity.

use std::collections::{BTreeMap, VecDeque};

use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, EntityMapping, FieldMapping, FieldType, Pair, Policy, Side, SideMapping};
use reconcile::merge::{
    self, Answer, Choice, Confirmed, ConflictRecord, DecisionResult, Effect, EntityState, Event, SideChange, Verdict, WriteCommand,
    WriteKind, WriteNumber,
};

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
    /// Commands answered since the sink's last commit: a kill loses the answers and brings the commands back.
    pub uncommitted: VecDeque<(WriteCommand, Event)>,
    /// Writes carried out, by number: the record, and what it held right after.
    pub ledger: BTreeMap<u64, (String, BTreeMap<String, Value>)>,
    pub made: u32,
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

#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct World {
    pub state: EntityState,
    pub systems: Pair<System>,
    pub answers: VecDeque<Event>,
    pub clock: i64,
    /// Everything that ever stood anywhere, in commit order.
    pub history: Vec<Commit>,
    pub conflicts: BTreeMap<u64, ConflictRecord>,
    pub confirmed: Vec<Confirmed>,
    pub decided: Vec<Value>,
    /// What decisions were answered.
    pub replies: Vec<(DecisionResult, String)>,
    /// What each side's stream showed last, by field.
    pub shown: BTreeMap<(Side, String), Value>,
    /// Sinks commit their answers in a step of its own.
    pub commits: bool,
    /// What writes were asked to put where, with how much of the history was before; the target may have made of it what it held.
    pub carried: Vec<(Side, String, Value, usize)>,
    /// Deletions by people, with how much of the history was before.
    pub deletions: Vec<(Side, usize)>,
}

impl World {
    /// Both sides have the record, and hold the same.
    pub(crate) fn linked(manners: Pair<Manner>) -> Self {
        let system = |side: Side, manner: Manner| System {
            side,
            manner,
            record: Some(format!("{}-1", side.as_str())),
            row: BTreeMap::new(),
            stream: VecDeque::new(),
            commands: VecDeque::new(),
            checked: false,
            by_us: false,
            bears: None,
            uncommitted: VecDeque::new(),
            ledger: BTreeMap::new(),
            made: 0,
            last: None,
        };
        let mut world = Self {
            state: EntityState { entity: "e1".to_owned(), ..EntityState::default() },
            systems: Pair { crm: system(Side::Crm, manners.crm), erp: system(Side::Erp, manners.erp) },
            answers: VecDeque::new(),
            clock: 1000 * SECOND,
            history: Vec::new(),
            conflicts: BTreeMap::new(),
            confirmed: Vec::new(),
            decided: Vec::new(),
            replies: Vec::new(),
            shown: BTreeMap::new(),
            commits: false,
            carried: Vec::new(),
            deletions: Vec::new(),
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
        let clock = self.clock;
        let changes: Vec<(String, Value)> = edits.iter().map(|(field, value)| (column(side, field), value.clone())).collect();
        for (field, value) in edits {
            let commit = Commit { side, field: (*field).to_owned(), value: value.clone(), at: clock, write: None, asked: true };
            self.history.push(commit);
        }
        self.commit(side, changes, None);
    }

    /// A person deletes the record.
    pub(crate) fn delete(&mut self, side: Side) {
        let Some(record) = self.systems[side].record.clone() else { return };
        let change = self.change(side, &record, true, Vec::new(), None);
        self.deletions.push((side, self.history.len()));
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
        let system = &mut self.systems[side];
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
            let history = self.history.len();
            self.carried.extend(all.iter().take(count).map(|(name, value)| (side, canonical(side, name), value.clone(), history)));
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
                    self.history.push(Commit { side, field, value: value.clone(), at: clock, write, asked });
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

    /// The next answer reaches the core.
    pub(crate) fn answer(&mut self, mapping: &EntityMapping) {
        let Some(mut event) = self.answers.pop_front() else { return };
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
        self.answers.push_back(Event::Read(change));
    }

    /// The sink reads the target and compares, without committing yet. Only racy systems need it.
    pub(crate) fn check(&mut self, side: Side) {
        let Some(command) = self.systems[side].commands.front().cloned() else { return };
        let system = &self.systems[side];
        let holds = self.holds(side, &command) || command.kind == WriteKind::Create;
        let done = system.record.is_some() && system.bears == Some(command.number.0);
        // An earlier try did it, whatever became of it since.
        if done || command.kind == WriteKind::Delete && system.record.is_none() {
            let record = system.record.clone();
            self.systems[side].commands.pop_front();
            self.reply(&command, Answer::Applied, record);
        } else if holds {
            self.systems[side].checked = true;
        } else {
            self.reject(side, &command);
        }
    }

    fn holds(&self, side: Side, command: &WriteCommand) -> bool {
        let system = &self.systems[side];
        system.record.is_some() && command.expected.iter().all(|(name, value)| system.row.get(name) == Some(value))
    }

    fn reject(&mut self, side: Side, command: &WriteCommand) {
        let system = &mut self.systems[side];
        system.commands.pop_front();
        system.checked = false;
        let actual = system
            .record
            .is_some()
            .then(|| command.expected.keys().map(|name| (name.clone(), system.row.get(name).cloned().unwrap_or_default())).collect());
        self.reply(command, Answer::Rejected(actual), None);
    }

    fn reply(&mut self, command: &WriteCommand, answer: Answer, record: Option<String>) {
        let event = Event::Answered { write: command.number, answer, record };
        if self.commits {
            self.systems[command.side].uncommitted.push_back((command.clone(), event));
        } else {
            self.answers.push_back(event);
        }
    }

    /// The sink commits: its answers are on the log and its commands behind it.
    pub(crate) fn commit_answers(&mut self, side: Side) {
        let answers = std::mem::take(&mut self.systems[side].uncommitted);
        self.answers.extend(answers.into_iter().map(|(_, event)| event));
    }

    /// The sink is killed and starts again from its last commit, without what it remembered of its tries.
    pub(crate) fn kill(&mut self, side: Side) {
        let system = &mut self.systems[side];
        system.checked = false;
        for (command, _) in std::mem::take(&mut system.uncommitted).into_iter().rev() {
            system.commands.push_front(command);
        }
        if system.manner.racy {
            for command in system.commands.iter().filter(|command| command.kind != WriteKind::Create) {
                system.ledger.remove(&command.number.0);
            }
        }
    }

    /// The sink carries out the next command. `lost` loses the answer: the sink will try the same command again.
    pub(crate) fn execute(&mut self, side: Side, lost: bool) {
        let Some(command) = self.systems[side].commands.front().cloned() else { return };
        let number = command.number.0;
        let racy = self.systems[side].manner.racy;
        if racy && !self.systems[side].checked {
            self.check(side);
            if !self.systems[side].checked {
                return;
            }
        }
        // Tried before, and the ledger knows. A system without one has compared what it holds.
        let kept = self.systems[side].ledger.get(&number).filter(|_| !racy || command.kind == WriteKind::Create);
        if let Some(record) = kept.cloned() {
            self.systems[side].commands.pop_front();
            self.systems[side].checked = false;
            self.reply(&command, told(racy, record.1), Some(record.0));
            return;
        }
        let checked = self.systems[side].checked;
        if command.kind != WriteKind::Create && !checked && !self.holds(side, &command) {
            self.reject(side, &command);
            return;
        }
        self.systems[side].checked = false;
        self.carry_out(side, &command);
        let record = self.systems[side].record.clone();
        let row = &self.systems[side].row;
        let after: BTreeMap<String, Value> =
            command.values.keys().map(|name| (name.clone(), row.get(name).cloned().unwrap_or_default())).collect();
        self.systems[side].ledger.insert(number, (record.clone().unwrap_or_default(), after.clone()));
        if !lost {
            self.systems[side].commands.pop_front();
            self.reply(&command, told(racy, after), record);
        }
    }

    fn carry_out(&mut self, side: Side, command: &WriteCommand) {
        match command.kind {
            WriteKind::Create => {
                let system = &mut self.systems[side];
                system.made += 1;
                system.record = Some(format!("{}-made-{}", side.as_str(), system.made));
                for name in ["name", "phone"] {
                    system.row.insert(column(side, name), Value::Null);
                }
                let values = command.values.clone().into_iter().collect();
                self.commit(side, values, Some(command.number.0));
                // A create says all there is.
                let row = self.systems[side].row.clone();
                if let Some(change) = self.systems[side].stream.back_mut() {
                    for (name, value) in row {
                        change.fields.insert(canonical(side, &name), value.clone());
                        change.columns.insert(name, value);
                    }
                }
            }
            WriteKind::Update | WriteKind::Archive | WriteKind::Unarchive => {
                let values = command.values.clone().into_iter().collect();
                self.commit(side, values, Some(command.number.0));
            }
            WriteKind::Delete => {
                if let Some(record) = self.systems[side].record.clone() {
                    let change = self.change(side, &record, true, Vec::new(), Some(command.number.0));
                    self.systems[side].row.clear();
                    self.systems[side].record = None;
                    self.push(side, change);
                }
            }
        }
    }

    /// The target refuses the next command for good.
    pub(crate) fn refuse(&mut self, side: Side, reason: &str) {
        if let Some(command) = self.systems[side].commands.pop_front() {
            self.reply(&command, Answer::Failed(reason.to_owned()), None);
        }
    }

    /// A person decides the oldest open conflict.
    pub(crate) fn decide(&mut self, mapping: &EntityMapping, choice: Choice) {
        let Some(number) = self.state.conflicts.values().next().map(|record| record.number) else { return };
        if let Choice::Value(value) = &choice {
            self.decided.push(value.clone());
        }
        let id = format!("decision-{}", self.state.decided.len());
        let verdict = Verdict::settle(id, number, choice, "Ana Lima");
        self.apply(mapping, &Event::Decided(verdict));
    }

    pub(crate) fn apply(&mut self, mapping: &EntityMapping, event: &Event) -> Vec<Effect> {
        let effects = merge::apply(mapping, &mut self.state, event, self.clock);
        for effect in &effects {
            match effect {
                Effect::Write(command) => self.systems[command.side].commands.push_back(command.clone()),
                Effect::Conflict(record) => {
                    self.conflicts.insert(record.number.0, record.clone());
                }
                Effect::Confirmed(confirmed) => self.confirmed.push(confirmed.clone()),
                Effect::Decided(reply) => self.replies.push((reply.result, reply.reason.clone())),
                Effect::Golden => {}
            }
        }
        effects
    }

    /// Nothing is on its way anywhere.
    pub(crate) fn quiet(&self) -> bool {
        self.answers.is_empty()
            && Side::BOTH.iter().all(|side| {
                let system = &self.systems[*side];
                system.stream.is_empty() && system.commands.is_empty() && system.uncommitted.is_empty()
            })
    }

    /// Runs everything until nothing is on its way, reading again what stays unconfirmed.
    pub(crate) fn settle(&mut self, mapping: &EntityMapping) {
        for _ in 0..500 {
            for side in Side::BOTH {
                self.execute(side, false);
                self.deliver(mapping, side);
            }
            self.answer(mapping);
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

    /// What a field holds on both sides.
    pub(crate) fn values(&self, field: &str) -> (String, String) {
        let text = |side| self.value(side, field).as_text().unwrap_or("-").to_owned();
        (text(Side::Crm), text(Side::Erp))
    }
}

/// A system that compares and writes in one transaction also says what it holds then.
fn told(racy: bool, after: BTreeMap<String, Value>) -> Answer {
    if racy { Answer::Applied } else { Answer::AppliedAs(after) }
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
