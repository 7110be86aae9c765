//! What can happen to an entity.

use std::collections::BTreeMap;

use super::effect::{Confirmed, ConflictRecord};
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
    /// The record has left this entity: it belongs to another one now, or was merged away. Nothing follows on the other side.
    pub unlinked: bool,
    /// The record has come from another entity: it is not one that we are just making.
    pub joined: bool,
    /// Somebody else has brought it back: what it bears did not make this change.
    pub returned: bool,
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
    /// It came through Concord's own origin or client tag; says who, never what. Of a row that was read: the last hand on it
    /// was ours.
    pub ours: bool,
    /// The last write of this entity that the record bears. A live change bears the write that made it, and none if somebody
    /// else did; a record that comes back bears what it bore.
    pub write: Option<WriteNumber>,
    /// It was made by a write that was sent for another entity, to which the record belonged then.
    pub foreign: bool,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Done.
    Applied,
    /// Done, and what the written columns held right after.
    AppliedAs(BTreeMap<String, Value>),
    /// A precondition did not hold; the values found, by column; none when the record is gone.
    Rejected(Option<BTreeMap<String, Value>>),
    /// Refused for good, with the reason.
    Failed(String),
    /// Not tried yet.
    Deferred,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Its id: the same id again is the same decision.
    pub id: String,
    /// Who.
    pub actor: String,
    /// When, by the clock of where it was decided.
    pub at: Micros,
    /// What several decisions made in one go have in common.
    pub batch: Option<String>,
    /// Do it although somebody has edited since.
    pub force: bool,
    /// What is wanted.
    pub demand: Demand,
}

impl Verdict {
    /// A decision about an open conflict.
    pub fn settle(id: impl Into<String>, conflict: ConflictNumber, choice: Choice, actor: impl Into<String>) -> Self {
        Self::new(id, actor, Demand::Settle { conflict, choice })
    }

    /// A decision by itself.
    pub fn new(id: impl Into<String>, actor: impl Into<String>, demand: Demand) -> Self {
        Self { id: id.into(), actor: actor.into(), at: 0, batch: None, force: false, demand }
    }
}

/// What is wanted. What was remembered of a settled conflict or a finished write comes along; none when it is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Demand {
    /// Settle an open conflict.
    Settle {
        /// Which conflict.
        conflict: ConflictNumber,
        /// That side's value, another one, or each its own.
        choice: Choice,
    },
    /// Put back a value that lost.
    Restore {
        /// The conflict it lost in.
        conflict: Option<ConflictNumber>,
        /// Its field, for a value that comes along because the conflict is no longer kept.
        field: Option<String>,
        /// Whose value, or which.
        choice: Choice,
        /// The conflict as it was settled.
        kept: Option<Box<ConflictRecord>>,
    },
    /// Open a settled conflict again, with both sides holding what they held.
    Reopen {
        /// Which conflict.
        conflict: ConflictNumber,
        /// As it was settled.
        kept: Option<Box<ConflictRecord>>,
    },
    /// Take back a write.
    Undo {
        /// Which write.
        write: WriteNumber,
        /// What it did.
        kept: Option<Box<Confirmed>>,
    },
    /// Make the record that a side lacks.
    Create {
        /// That side.
        side: Side,
    },
    /// Do not make it.
    Refuse {
        /// That side.
        side: Side,
    },
    /// Try again what was refused for good.
    Retry {
        /// By this side; by either when none is named.
        side: Option<Side>,
    },
}

/// The chosen value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Choice {
    /// A side's.
    Side(Side),
    /// Another one.
    Value(Value),
    /// Each side's own.
    Both,
}

/// Something happened to the entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// A side changed.
    Changed(SideChange),
    /// A record was read because its stream owes something. It may tell more than the stream has shown so far.
    Read(SideChange),
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
