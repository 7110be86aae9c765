//! What is known of one entity between events. A caller stores it; nothing here is derived from anything else it keeps.

use std::collections::BTreeMap;

use super::effect::{ConflictRecord, WriteCommand};
use super::event::Verdict;
use crate::mapping::{Pair, Side};
use crate::value::Value;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// The id of a write: the entity's own counter, so that the same history gives the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriteNumber(pub u64);

/// The number of a conflict within its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConflictNumber(pub u64);

/// What one side was last seen to hold in one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Seen {
    /// Canonical value.
    pub value: Value,
    /// Commit time of the change that brought it.
    pub at: Micros,
    /// Who set it, where known.
    pub actor: Option<String>,
}

/// A write on its way, for one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InFlight {
    /// Which write.
    pub write: WriteNumber,
    /// Where to.
    pub target: Side,
    /// Canonical value being written.
    pub value: Value,
    /// Canonical value of the source side that it carries.
    pub source: Value,
    /// What the target was seen to hold when the write was decided.
    pub expected: Value,
    /// The target has answered that it is done; only its stream is still to show it.
    pub answered: bool,
    /// The conflict whose settlement it carries out.
    pub conflict: Option<ConflictNumber>,
    /// An edit of somebody else that the target's stream showed since the write was sent.
    pub between: Option<Seen>,
    /// An earlier write that was thought refused was shown since. Whoever puts back what was expected has edited.
    pub passed: bool,
    /// What the target said it holds right after, where it says so.
    pub told: Option<Value>,
    /// The record was found as it was after the write had had its chance, and this is what the target then made of the value,
    /// should it have been done: its stream will not show that any more.
    pub sealed: Option<Value>,
}

/// A write that the target refused for good. The difference stands until either side changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// Where to.
    pub target: Side,
    /// Why.
    pub reason: String,
    /// When it was known.
    pub at: Micros,
    /// What both sides held when the write was decided.
    pub values: Pair<Value>,
}

/// A write that was rejected, perhaps by a second try, or was found done by a re-read. The target's stream may still show it,
/// and before it an edit that it had overtaken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unseen {
    /// Which write.
    pub write: WriteNumber,
    /// Where to.
    pub target: Side,
    /// Value as the target would show it.
    pub value: Value,
    /// The edit that it carried.
    pub source: Seen,
    /// The edit that was seen instead.
    pub instead: Seen,
    /// What both sides had agreed on before.
    pub base: Pair<Value>,
    /// What the target was seen to hold when the write was decided.
    pub expected: Value,
    /// It makes the record, which shows so when it comes, whatever has stood in its place meanwhile.
    pub makes: bool,
    /// It was done.
    pub done: bool,
    /// What it carried is not the other side's any more: nothing is agreed on when it is shown.
    pub orphan: bool,
}

/// A value that a re-read reported before the side's stream showed it. What its stream shows until then is older.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ahead {
    /// What its stream showed last.
    pub stream: Seen,
    /// When the value was known.
    pub at: Micros,
    /// A write that was done before the re-read and that the stream has yet to show: what it shows before that is older,
    /// whatever the clocks say.
    pub until: Option<WriteNumber>,
    /// Its stream has shown the field since, or a re-read found the same again.
    pub shown: bool,
    /// What was read again is what its stream shows: nothing more is asked until that shows something else.
    pub same: bool,
}

impl Ahead {
    /// A value that was read when its stream had last shown another one.
    pub(super) const fn of(stream: Seen, at: Micros, until: Option<WriteNumber>) -> Self {
        Self { stream, at, until, shown: false, same: false }
    }

    /// How far the clocks of two systems may be apart, microseconds.
    pub(super) const APART: Micros = 3_600_000_000;

    /// Whether what the stream shows with this time is older than the re-read, by clocks that may be so far apart.
    pub(super) fn is_older(&self, at: Micros, apart: Micros) -> bool {
        at <= self.at.saturating_add(apart)
    }
}

/// A settled conflict's value on its way to whichever side lacks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolution {
    /// Which conflict.
    pub conflict: ConflictNumber,
    /// What each side is to hold: the chosen value twice, or to each its own.
    pub value: Pair<Value>,
    /// A person, or none for the policy.
    pub by: Option<String>,
    /// When.
    pub at: Micros,
    /// What each side is expected to hold when its turn comes.
    pub before: Pair<Value>,
    /// What each side has come to hold; none while it is still to be written.
    pub shown: Pair<Option<Value>>,
    /// The conflict is open again once both sides hold their values.
    pub reopens: bool,
}

/// State of one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FieldState {
    /// Last seen on each side; none before the side had the record.
    pub seen: Pair<Option<Seen>>,
    /// Values when both sides last corresponded.
    pub agreed: Option<Pair<Value>>,
    /// The write on its way.
    pub in_flight: Option<InFlight>,
    /// The conflict that holds the field until a person decides.
    pub held_by: Option<ConflictNumber>,
    /// A decision that is being carried out.
    pub resolution: Option<Resolution>,
    /// The last write was refused for good.
    pub failed: Option<Failure>,
    /// To each side, the writes that have ended but were never seen, oldest first.
    pub unseen: Pair<Vec<Unseen>>,
    /// `seen` of a side is ahead of that side's stream.
    pub ahead: Pair<Option<Ahead>>,
    /// Since when a side's stream owes an edit that a refusal told of. Nothing is decided until it shows it: only the stream
    /// knows who made the edit, and when, and what came before it.
    pub owed: Pair<Option<Micros>>,
}

impl InFlight {
    /// A write that was just sent.
    pub(super) fn sent(
        write: WriteNumber,
        target: Side,
        value: Value,
        source: Value,
        expected: Value,
        conflict: Option<ConflictNumber>,
    ) -> Self {
        Self { write, target, value, source, expected, answered: false, conflict, between: None, passed: false, told: None, sealed: None }
    }

    /// What both sides corresponded at before it, as far as it goes: what they had agreed on, or what they were seen to hold.
    pub(super) fn base(&self, agreed: Option<&Pair<Value>>) -> Pair<Value> {
        agreed.cloned().unwrap_or_else(|| match self.target {
            Side::Crm => Pair { crm: self.expected.clone(), erp: self.source.clone() },
            Side::Erp => Pair { crm: self.source.clone(), erp: self.expected.clone() },
        })
    }
}

impl FieldState {
    /// A side's stream owes an edit.
    pub(super) fn waits(&self) -> bool {
        Side::BOTH.iter().any(|side| self.owed[*side].is_some())
    }

    /// Writes that are remembered until their stream has shown them.
    const MOST_UNSEEN: usize = 8;

    /// Remembers a write that has ended without being seen; the oldest are given up.
    pub(super) fn owe(&mut self, write: Unseen) {
        let list = &mut self.unseen[write.target];
        list.retain(|known| known.write != write.write);
        list.push(write);
        let surplus = list.len().saturating_sub(Self::MOST_UNSEEN);
        list.drain(..surplus);
    }
}

/// State of one side of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SideState {
    /// Record id, once known.
    pub record: Option<String>,
    /// The record is gone.
    pub deleted: bool,
    /// What a refusal told of and the side's stream has yet to show; nothing is written there until then.
    pub owed: Option<Owed>,
    /// The source's own values of mapped columns, for preconditions and before-images.
    pub columns: BTreeMap<String, Value>,
    /// A create on its way.
    pub creating: Option<WriteNumber>,
    /// Why the last create was refused for good; a later change of the other side tries again.
    pub create_failed: Option<String>,
    /// A delete (or archiving) on its way because the other side's record is gone.
    pub deleting: Option<WriteNumber>,
    /// The conflict that records that this side was deleted while the other was edited, or asks what to do.
    pub deletion: Option<ConflictNumber>,
    /// Commit time of its newest change.
    pub at: Micros,
    /// Who made that change, where known.
    pub actor: Option<String>,
    /// What the delete policy asks for on the other side after this side's deletion is done.
    pub followed: bool,
    /// Who decided that the other side's record goes too.
    pub follow: Option<String>,
    /// A delete of ours that a re-read found the record to have outlived: its stream may have yet to show it.
    pub outlived: Option<WriteNumber>,
    /// What the archive columns held before we archived this side's record because the other one was deleted.
    pub archived: Option<BTreeMap<String, Value>>,
    /// Whether a person was asked to have a record made here, and said what.
    pub creation: Creation,
    /// The record that was here and is forgotten: it is gone and another one was to take its place, or it went to another entity.
    pub former: Option<Former>,
}

/// What is still known of a record that is forgotten, should it be the one that comes back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Former {
    /// Record id.
    pub record: String,
    /// The other side's record.
    pub opposite: Option<String>,
    /// By field, what these two had agreed on.
    pub agreed: BTreeMap<String, Pair<Value>>,
    /// By field, what they agree on should the write have been carried out that was on its way to it then.
    pub sent: BTreeMap<String, Pair<Value>>,
    /// The first write that was not sent by then.
    pub next_write: u64,
}

/// What a side's stream owes about the record as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owed {
    /// When it was known.
    pub since: Micros,
    /// The record was not there; otherwise it was not as expected.
    pub gone: bool,
}

/// What people have to do with making a record that a side lacks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Creation {
    /// Nothing: the create policy decides.
    #[default]
    Unasked,
    /// The open conflict that asks.
    Asked(ConflictNumber),
    /// It is to be made, says this person.
    Wanted(String),
    /// It is not to be made.
    Refused,
}

/// What a write did to one field: the values that counted as agreed before and after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Step {
    /// Before it.
    pub before: Pair<Value>,
    /// After it.
    pub after: Pair<Value>,
}

/// State of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EntityState {
    /// Entity id.
    pub entity: String,
    /// Per side.
    pub sides: Pair<SideState>,
    /// Per field, by canonical name.
    pub fields: BTreeMap<String, FieldState>,
    /// Parents that reference fields point at: parent entity → its records, as last stamped.
    pub references: BTreeMap<String, Parent>,
    /// Of these, the ones that no value means any more, the longest first. They are needed to put a value back.
    pub idle: Vec<String>,
    /// Open writes that are not per field: number → what is needed to finish them (audit).
    pub writes: BTreeMap<u64, OpenWrite>,
    /// Open conflicts.
    pub conflicts: BTreeMap<u64, ConflictRecord>,
    /// Ids of the last decisions, oldest first.
    pub decided: Vec<String>,
    /// Decisions that wait for a write on its way, in the order they are to be carried out.
    pub queued: Vec<Verdict>,
    /// Both first copies are done; the other side may be given a record.
    pub may_create: bool,
    /// Next write number.
    pub next_write: u64,
    /// Next conflict number.
    pub next_conflict: u64,
}

/// What a reference field points at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Parent {
    /// Parent entity; empty when the field refers to nothing.
    pub entity: String,
    /// Parent's record id on each side.
    pub records: Pair<Option<String>>,
}

/// What is kept of a write until its target's stream confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpenWrite {
    /// The command as sent.
    pub command: WriteCommand,
    /// Columns already confirmed, with before and after.
    pub confirmed: BTreeMap<String, (Value, Value)>,
    /// What it did to each field that has ended.
    pub steps: BTreeMap<String, Step>,
    /// It is known to have been carried out: by its answer, or by a change under our name.
    pub done: bool,
    /// The target kept another value than the one written.
    pub altered: bool,
    /// Commit time at the target of what confirmed it last.
    pub at: Micros,
}
