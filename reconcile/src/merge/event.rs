//! What can happen to an entity.

use std::collections::BTreeMap;

use super::state::{ConflictNumber, Micros, Parent, WriteNumber};
use crate::mapping::Side;
use crate::value::Value;

/// One side's change of the entity, as the matcher stamped it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SideChange {
    /// Where.
    pub side: Side,
    /// Record id.
    pub record: String,
    /// The record is gone.
    pub deleted: bool,
    /// Canonical fields that the change carries.
    pub fields: BTreeMap<String, Value>,
    /// The columns behind them.
    pub columns: BTreeMap<String, Value>,
    /// References resolved to entities.
    pub references: BTreeMap<String, Parent>,
    /// Both first copies are done.
    pub may_create: bool,
    /// From a first copy or a re-read.
    pub snapshot: bool,
    /// Carries no values: something the entity waited for has come.
    pub released: bool,
    /// Commit time.
    pub at: Micros,
    /// Who, where known.
    pub actor: Option<String>,
    /// It came through Concord's own origin or client tag; says who, never what.
    pub ours: bool,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done.
    Applied,
    /// A precondition did not hold; the values found, by column; none when the record is gone.
    Rejected(Option<BTreeMap<String, Value>>),
    /// Refused for good, with the reason.
    Failed(String),
    /// Not tried yet.
    Deferred,
}

/// What a person decided about one conflict.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Which conflict.
    pub conflict: ConflictNumber,
    /// That side's value, or this one.
    pub choice: Choice,
    /// Who.
    pub actor: String,
}

/// The chosen value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Choice {
    /// A side's.
    Side(Side),
    /// Another one.
    Value(Value),
}

/// Something happened to the entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A side changed.
    Changed(SideChange),
    /// A write was answered.
    Answered {
        /// Which.
        write: WriteNumber,
        /// How.
        answer: Answer,
        /// Record id, known for creates once done.
        record: Option<String>,
    },
    /// A person decided.
    Decided(Verdict),
}
