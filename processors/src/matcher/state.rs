//! What the matcher remembers, and under which keys.
//!
//! ```text
//! r side object 0 record           → Known    a record: its entity and latest values
//! e entity                         → Entity   an entity: its record on each side
//! t entity                         → Mark     an entity linked by a key while a first copy ran
//! k kind 0 key 0 value             → Holders  who has a match key
//! s kind 0 entity                  → Mark     an entity whose key somebody else has, seen while a first copy ran
//! c parent 0 side object 0 record  → Mark     a record that refers to an entity
//! w side object 0 parent 0 object 0 record → Mark   a record that waits for a parent nobody has seen yet
//! n kind 0 entity                  → Waiting  an entity that waits for both first copies
//! p side object                    → Copied   a first copy that is done, or nearly
//! j number                         → Job      work that is too much for one batch
//! ```
//!
//! Rows beside root rows stand in [`super::join`]. What is remembered of pairs of entities and of decisions stands in
//! [`super::pair`], blocks in [`super::score`], records that wait too long in [`super::waiting`], and those that bear an id
//! which is not theirs in [`super::stray`].

use schemas::message::{Field, Side};
use schemas::value::Value;
use schemas::{record, symbols};

record! {
    /// One record as last seen.
    pub struct Known {
        /// Its entity; empty until it is placed.
        pub entity: String,
        /// Latest values of the columns that the mapping uses.
        pub columns: Vec<Field>,
        /// It was deleted.
        pub gone: bool,
        /// Entities that its reference fields point at, by field.
        pub parents: Vec<Parent>,
        /// Reference fields whose parent nobody has seen yet.
        pub pending: Vec<String>,
        /// Who made the change that points there.
        pub pointed_by: Option<Author>,
        /// The customer it is stamped with.
        pub customer: Option<String>,
        /// Whether the latest values came from a copy.
        pub snapshot: bool,
        /// Position of the change that brought them.
        pub position: String,
        /// Its commit time.
        pub committed_at: i64,
        /// Who made it.
        pub actor: Option<String>,
        /// What it came through.
        pub origin: Option<String>,
        /// The last write of ours that it bears, as far as the change said.
        pub write: Option<String>,
        /// Id of the edit, kept while something waits.
        pub sync_id: String,
        /// Offset of the latest change in its partition.
        pub offset: i64,
        /// Why it belongs to its entity, as `EntityLink` says it.
        pub rule: String,
        /// Since when it waits for a parent, by the log's clock; 0 when it does not.
        pub waiting_since: i64,
        /// It waits, and its stream told of it: it is no old record, even if it is copied before it is placed.
        pub unsaid: bool,
        /// The latest change is that somebody else brought it back, with an older write of ours on it.
        pub returned: bool,
    }
}

record! {
    /// Who made a change.
    pub struct Author {
        /// By name.
        pub actor: Option<String>,
        /// What it came through.
        pub origin: Option<String>,
        /// The write of ours that made it; of a row that was found, the last one that it bears.
        pub write: Option<String>,
        /// It is a row as it was found.
        pub snapshot: bool,
    }
}

record! {
    /// A parent of a record.
    pub struct Parent {
        /// Reference field.
        pub field: String,
        /// Parent entity.
        pub entity: String,
    }
}

record! {
    /// One entity.
    pub struct Entity {
        /// Kind.
        pub kind: String,
        /// Its CRM record.
        pub crm: Option<String>,
        /// Its ERP record.
        pub erp: Option<String>,
        /// The CRM record was deleted.
        pub crm_gone: bool,
        /// The ERP record was deleted.
        pub erp_gone: bool,
        /// Commit time of the record that founded it.
        pub since: i64,
        /// The entity that its last record went to.
        pub went_to: Option<String>,
    }
}

impl Entity {
    /// One without records yet.
    pub(crate) fn new(kind: &str, since: i64) -> Self {
        Self { kind: kind.to_owned(), crm: None, erp: None, crm_gone: false, erp_gone: false, since, went_to: None }
    }

    /// The only side that has a record.
    pub(crate) fn only_side(&self) -> Option<Side> {
        match (self.live(Side::Crm), self.live(Side::Erp)) {
            (Some(_), None) => Some(Side::Crm),
            (None, Some(_)) => Some(Side::Erp),
            _ => None,
        }
    }

    /// It has no record on any side.
    pub(crate) fn is_empty(&self) -> bool {
        self.live(Side::Crm).is_none() && self.live(Side::Erp).is_none()
    }

    /// The records that are there.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Side, &String)> {
        [Side::Crm, Side::Erp].into_iter().filter_map(|side| Some((side, self.live(side)?)))
    }

    /// The record on a side, deleted or not.
    pub(crate) fn record(&self, side: Side) -> Option<&String> {
        match side {
            Side::Crm => self.crm.as_ref(),
            Side::Erp => self.erp.as_ref(),
        }
    }

    /// The record on a side, if it is there.
    pub(crate) fn live(&self, side: Side) -> Option<&String> {
        let gone = match side {
            Side::Crm => self.crm_gone,
            Side::Erp => self.erp_gone,
        };
        self.record(side).filter(|_| !gone)
    }

    pub(crate) fn set(&mut self, side: Side, record: Option<String>, gone: bool) {
        match side {
            Side::Crm => (self.crm, self.crm_gone) = (record, gone),
            Side::Erp => (self.erp, self.erp_gone) = (record, gone),
        }
    }
}

record! {
    /// Who has a value of a match key.
    pub struct Holders {
        /// Each record that has it.
        pub holders: Vec<Holder>,
        /// More had it than are listed, so that it says nothing about who a record is.
        pub many: bool,
    }
}

record! {
    /// One record that has a value of a match key.
    pub struct Holder {
        /// Its side.
        pub side: Side,
        /// Record id.
        pub record: String,
        /// Its entity.
        pub entity: String,
    }
}

record! {
    /// An entity that waits for both first copies.
    pub struct Waiting {
        /// Side of the record that stands for it.
        pub side: Side,
        /// That record.
        pub record: String,
    }
}

record! {
    /// A first copy: done once everything below these offsets was processed.
    pub struct Copied {
        /// Source whose checkpoint said so.
        pub source: String,
        /// Where the topic ended then, by partition.
        pub ends: Vec<i64>,
        /// Everything was processed.
        pub done: bool,
    }
}

symbols! {
    /// What a job does.
    pub enum JobKind {
        /// Looks again at entities of a kind that were linked by a key while the first copies ran: parts those that others match too.
        Verify = "verify",
        /// Looks again at those whose key somebody else has: links them or asks.
        Compare = "compare",
        /// Lists records that no key has linked by what they can be compared by.
        Block = "block",
        /// Compares them.
        Score = "score",
        /// Links those that match, and asks about those that may.
        Unite = "unite",
        /// Tells waiting entities of a kind that both first copies are done.
        Release = "release",
        /// Lists records by other keys and rules.
        Reindex = "reindex",
        /// Says anew what the records that refer to an entity's record refer to.
        Repoint = "repoint",
        /// Places records that waited for a parent.
        Place = "place",
        /// Tells the children of an entity that it has a record on a side.
        Children = "children",
        /// Deletes every record that a truncated table had.
        Truncate = "truncate",
        /// Forgets every row that a truncated table had beside root rows.
        TruncateRows = "truncate-rows",
        /// Joins the root rows anew that point at one row.
        Rejoin = "rejoin",
        /// Says the values that another mapping reads otherwise.
        Revalue = "revalue",
        /// Places records that another mapping can read.
        ReadAnew = "read-anew",
        /// Stamps the records that hang on a captured record with its customer.
        Restamp = "restamp",
    }
}

record! {
    /// Work that is too much for one batch.
    pub struct Job {
        /// What to do.
        pub kind: JobKind,
        /// Prefix of the keys to go through.
        pub prefix: Vec<u8>,
        /// The last key done.
        pub cursor: Vec<u8>,
        /// Side concerned.
        pub side: Side,
        /// Kind, object or entity concerned.
        pub name: String,
        /// Partition of a truncate.
        pub partition: i64,
        /// Offset of a truncate: later changes are not touched.
        pub offset: i64,
        /// Commit time.
        pub committed_at: i64,
        /// Position at the source.
        pub position: String,
        /// Who did it.
        pub actor: Option<String>,
        /// Id of the edit that caused it.
        pub sync_id: String,
    }
}

record! {
    /// A value that says nothing but that its key is there.
    pub struct Mark {
        /// Always true.
        pub is: bool,
    }
}

pub(crate) const MARK: Mark = Mark { is: true };

pub(super) const fn letter(side: Side) -> u8 {
    match side {
        Side::Crm => b'c',
        Side::Erp => b'e',
    }
}

pub(super) fn key(head: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + parts.iter().map(|part| part.len() + 1).sum::<usize>());
    out.push(head);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(0);
        }
        out.extend_from_slice(part);
    }
    out
}

/// A side and object, as one part of a key.
pub(super) fn place(side: Side, object: &str) -> Vec<u8> {
    let mut out = vec![letter(side)];
    out.extend_from_slice(object.as_bytes());
    out
}

pub(crate) fn record_key(side: Side, object: &str, record: &str) -> Vec<u8> {
    key(b'r', &[&place(side, object), record.as_bytes()])
}

/// Every record of an object.
pub(crate) fn records_prefix(side: Side, object: &str) -> Vec<u8> {
    key(b'r', &[&place(side, object), b""])
}

pub(crate) fn entity_key(entity: &str) -> Vec<u8> {
    key(b'e', &[entity.as_bytes()])
}

pub(crate) fn match_key(kind: &str, name: &str, value: &str) -> Vec<u8> {
    key(b'k', &[kind.as_bytes(), name.as_bytes(), value.as_bytes()])
}

pub(crate) fn provisional_key(entity: &str) -> Vec<u8> {
    key(b't', &[entity.as_bytes()])
}

pub(crate) fn suspect_key(kind: &str, entity: &str) -> Vec<u8> {
    key(b's', &[kind.as_bytes(), entity.as_bytes()])
}

pub(crate) fn suspects_prefix(kind: &str) -> Vec<u8> {
    key(b's', &[kind.as_bytes(), b""])
}

pub(crate) fn child_key(parent: &str, side: Side, object: &str, record: &str) -> Vec<u8> {
    key(b'c', &[parent.as_bytes(), &place(side, object), record.as_bytes()])
}

pub(crate) fn children_prefix(parent: &str) -> Vec<u8> {
    key(b'c', &[parent.as_bytes(), b""])
}

/// The children of a parent on one side.
pub(crate) fn side_children_prefix(parent: &str, side: Side) -> Vec<u8> {
    key(b'c', &[parent.as_bytes(), &[letter(side)]])
}

pub(crate) fn waiting_key(side: Side, parent_object: &str, parent: &str, object: &str, record: &str) -> Vec<u8> {
    key(b'w', &[&place(side, parent_object), parent.as_bytes(), object.as_bytes(), record.as_bytes()])
}

/// Everything that waits for a record.
pub(crate) fn waiting_prefix(side: Side, parent_object: &str, parent: &str) -> Vec<u8> {
    key(b'w', &[&place(side, parent_object), parent.as_bytes(), b""])
}

pub(crate) fn uncopied_key(kind: &str, entity: &str) -> Vec<u8> {
    key(b'n', &[kind.as_bytes(), entity.as_bytes()])
}

pub(crate) fn uncopied_prefix(kind: &str) -> Vec<u8> {
    key(b'n', &[kind.as_bytes(), b""])
}

pub(crate) fn copied_key(side: Side, object: &str) -> Vec<u8> {
    key(b'p', &[&place(side, object)])
}

/// Records of which something is set aside.
pub(crate) const UNREAD: &[u8] = b"x";

pub(crate) fn unread_key(side: Side, object: &str, record: &str) -> Vec<u8> {
    key(b'x', &[&place(side, object), record.as_bytes()])
}

pub(crate) const JOBS: &[u8] = b"j";

pub(crate) fn job_key(number: u64) -> Vec<u8> {
    key(b'j', &[&number.to_be_bytes()])
}

/// The number after the one in a job's key.
pub(crate) fn next_job(last: Option<&Vec<u8>>) -> u64 {
    last.and_then(|key| key.get(1..).and_then(|bytes| bytes.first_chunk::<8>())).map_or(0, |bytes| u64::from_be_bytes(*bytes) + 1)
}

/// Object and record of a key made by [`child_key`] or [`waiting_key`] after `prefix`.
pub(crate) fn tail<'a>(key: &'a [u8], prefix: &[u8]) -> Option<(&'a str, &'a str)> {
    let rest = std::str::from_utf8(key.get(prefix.len()..)?).ok()?;
    rest.split_once('\0')
}

/// A column's value.
pub(crate) fn column<'a>(columns: &'a [Field], name: &str) -> Option<&'a Value> {
    columns.iter().find(|field| field.name == name).map(|field| &field.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_record_are_not_taken_for_those_of_another() {
        assert!(record_key(Side::Erp, "public.a", "1").starts_with(&records_prefix(Side::Erp, "public.a")));
        assert!(!record_key(Side::Erp, "public.ab", "1").starts_with(&records_prefix(Side::Erp, "public.a")));
        assert!(!waiting_key(Side::Crm, "Account", "12", "Contact", "3").starts_with(&waiting_prefix(Side::Crm, "Account", "1")));
        let key = child_key("e", Side::Erp, "public.contacts", "7");
        assert_eq!(tail(&key, &side_children_prefix("e", Side::Erp)), Some(("public.contacts", "7")));
        let waiting = waiting_key(Side::Crm, "Account", "12", "Contact", "3");
        assert_eq!(tail(&waiting, &waiting_prefix(Side::Crm, "Account", "12")), Some(("Contact", "3")));
        assert_eq!(tail(&unread_key(Side::Crm, "Account", "001"), UNREAD), Some(("cAccount", "001")));
        assert_eq!(next_job(Some(&job_key(41))), 42);
    }
}
