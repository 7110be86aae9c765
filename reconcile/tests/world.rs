//! Two simulated systems, their streams, the sinks and people around one entity.

use std::collections::{BTreeMap, VecDeque};

use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, EntityMapping, FieldMapping, FieldType, Pair, Policy, Side, SideMapping};
use reconcile::merge::{self, Confirmed, ConflictRecord, DecisionResult, EntityState, Event, SideChange, Verdict, WriteCommand};

pub(crate) use self::shared::{Mixer, Shared};

mod events;
mod people;
mod shared;
mod sink;
mod source;

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
