//! What the matcher remembers of pairs of entities, and of what people decided about them.
//!
//! ```text
//! a entity                              → Doubts   entities that this one may be the same as, open for a person
//! v left 0 right                        → Pair     the review of a pair: open, or answered for good
//! d kind 0 side record 0 side record    → Apart    two records that are not one entity, from either's view
//! y decision                            → Done     what a decision did, so that it can be taken back
//! u side object 0 record                → Heir     an entity that waits for the record that its own was merged into
//! ```
//!
//! That two are not the same is kept of records, not of entities: it holds wherever the records go.

use schemas::message::{Action, DecisionResult, MatchState, Side};
use schemas::record;

use super::state::{key, letter, place};

record! {
    /// Entities that an entity may be the same as.
    pub struct Doubts {
        /// Their ids.
        pub others: Vec<String>,
    }
}

record! {
    /// What is known of a pair. Titles and values are looked up when it is said.
    pub struct Pair {
        /// Kind.
        pub kind: String,
        /// Where it stands.
        pub state: MatchState,
        /// Which rule asks: a key's name, `score`, `merged`; empty when a person decided unasked.
        pub rule: String,
        /// Why a person is asked, in words.
        pub reason: String,
        /// When it was found.
        pub opened_at: i64,
        /// The decision that answered it.
        pub decision: Option<String>,
        /// Who.
        pub decided_by: Option<String>,
        /// When.
        pub decided_at: Option<i64>,
    }
}

record! {
    /// That two records are not one entity.
    pub struct Apart {
        /// The decision that said so.
        pub decision: String,
    }
}

record! {
    /// A record of one side, within its kind.
    pub struct Spot {
        /// Side.
        pub side: Side,
        /// Record id.
        pub record: String,
    }
}

record! {
    /// Two records.
    pub struct Twain {
        /// One.
        pub left: Spot,
        /// The other.
        pub right: Spot,
        /// The decision that had parted them.
        pub decision: String,
    }
}

record! {
    /// A record that went from one entity to another.
    pub struct Moved {
        /// Side.
        pub side: Side,
        /// Record.
        pub record: String,
        /// Its entity before.
        pub from: String,
        /// Its entity since.
        pub to: String,
        /// Why it belonged to the entity before.
        pub rule: String,
        /// A deleted record whose place it took.
        pub displaced: Option<String>,
    }
}

record! {
    /// What a decision did.
    pub struct Done {
        /// What was wanted.
        pub action: Action,
        /// What became of it.
        pub result: DecisionResult,
        /// The pair it was about.
        pub left: String,
        /// The other of the pair.
        pub right: String,
        /// Kind.
        pub kind: String,
        /// Records that changed their entity.
        pub moved: Vec<Moved>,
        /// Records that it parted.
        pub parted: Vec<Twain>,
        /// Records that were parted before and are not any more.
        pub lifted: Vec<Twain>,
        /// The decision that took it back.
        pub taken_back_by: Option<String>,
    }
}

record! {
    /// An entity that waits for a record.
    pub struct Heir {
        /// The entity.
        pub entity: String,
    }
}

/// Two entity ids, the smaller first, as reviews name them.
pub(super) fn ordered<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    if one <= other { (one, other) } else { (other, one) }
}

/// The id of the review of a pair.
pub(super) fn pair_id(one: &str, other: &str) -> String {
    let (left, right) = ordered(one, other);
    format!("{left}~{right}")
}

pub(super) fn doubts_key(entity: &str) -> Vec<u8> {
    key(b'a', &[entity.as_bytes()])
}

pub(super) fn pair_key(one: &str, other: &str) -> Vec<u8> {
    let (left, right) = ordered(one, other);
    key(b'v', &[left.as_bytes(), right.as_bytes()])
}

fn spot(side: Side, record: &str) -> Vec<u8> {
    let mut out = vec![letter(side)];
    out.extend_from_slice(record.as_bytes());
    out
}

pub(super) fn apart_key(kind: &str, one: &Spot, other: &Spot) -> Vec<u8> {
    key(b'd', &[kind.as_bytes(), &spot(one.side, &one.record), &spot(other.side, &other.record)])
}

pub(super) fn done_key(decision: &str) -> Vec<u8> {
    key(b'y', &[decision.as_bytes()])
}

pub(super) fn heir_key(side: Side, object: &str, record: &str) -> Vec<u8> {
    key(b'u', &[&place(side, object), record.as_bytes()])
}
