//! What should follow from an event: writes, conflict records, audit entries.

use std::collections::BTreeMap;

use super::event::Verdict;
use super::state::{ConflictNumber, Micros, Seen, Step, WriteNumber};
use crate::mapping::{Pair, Policy, Side};
use crate::value::Value;

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// Change values.
    Update,
    /// Make the record.
    Create,
    /// Remove it.
    Delete,
    /// Set the columns that archive it.
    Archive,
    /// Set them back to what they held before.
    Unarchive,
}

/// A command to one side, in its own columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WriteCommand {
    /// Its number.
    pub number: WriteNumber,
    /// Target.
    pub side: Side,
    /// What to do.
    pub kind: WriteKind,
    /// Record id; none for a create.
    pub record: Option<String>,
    /// Columns to set.
    pub values: BTreeMap<String, Value>,
    /// What those columns must still hold.
    pub expected: BTreeMap<String, Value>,
    /// Canonical field behind each column.
    pub fields: BTreeMap<String, String>,
    /// Follows from a person's decision.
    pub decided: bool,
    /// Follows from a first copy.
    pub backfill: bool,
    /// Why, in words.
    pub reason: String,
    /// Commit time of the edit it carries.
    pub caused_at: Micros,
    /// Who made that edit.
    pub actor: Option<String>,
    /// The conflict it settles.
    pub conflict: Option<ConflictNumber>,
}

/// A conflict, open or settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConflictRecord {
    /// Its number.
    pub number: ConflictNumber,
    /// Canonical field.
    pub field: String,
    /// Values both sides last agreed on.
    pub base: Pair<Value>,
    /// What each side held.
    pub values: Pair<Seen>,
    /// Policy in force.
    pub policy: Policy,
    /// Why a person was asked, or which rule decided.
    pub reason: String,
    /// When it was found.
    pub opened_at: Micros,
    /// How it was settled; none while open.
    pub settled: Option<Settlement>,
    /// Our write had already replaced the losing value.
    pub overtaken: bool,
}

/// How a conflict was settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settlement {
    /// The side that won; none when another value was chosen, or each side keeps its own.
    pub winner: Option<Side>,
    /// The value that won; nothing when each side keeps its own.
    pub chosen: Value,
    /// Each side keeps its own value.
    pub both: bool,
    /// Commit times were too close to order.
    pub tie: bool,
    /// A person, or none for the policy.
    pub by: Option<String>,
    /// When.
    pub at: Micros,
}

/// A write that its target's stream confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Confirmed {
    /// The command.
    pub command: WriteCommand,
    /// Record id.
    pub record: String,
    /// Column → before and after.
    pub columns: BTreeMap<String, (Value, Value)>,
    /// What it did to each canonical field.
    pub steps: BTreeMap<String, Step>,
    /// The target kept another value than the one written.
    pub altered: bool,
    /// Commit time at the target.
    pub at: Micros,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionResult {
    /// It is carried out.
    Accepted,
    /// It changes nothing.
    Unchanged,
    /// It cannot be done.
    Refused,
    /// Something must end first; it is answered again then.
    Waiting,
}

/// The answer to a decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The decision.
    pub verdict: Box<Verdict>,
    /// What became of it.
    pub result: DecisionResult,
    /// Why, and what may help.
    pub reason: String,
    /// The conflict that holds what it replaced.
    pub conflict: Option<ConflictNumber>,
}

/// What should follow.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Send this write.
    Write(WriteCommand),
    /// Keep this conflict record (again, when it changed).
    Conflict(ConflictRecord),
    /// A write is done.
    Confirmed(Confirmed),
    /// A decision is answered; one that has to wait is answered again when its turn has come.
    Decided(Reply),
    /// The merged record changed: publish it from the state.
    Golden,
}
