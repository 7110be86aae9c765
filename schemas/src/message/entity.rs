//! What is told of an entity: one side's changes, and which records belong to it.

use super::{Field, Side};
use crate::{record, symbols};

symbols! {
    /// What happened to the record an entity change speaks of.
    pub enum EntityOp {
        /// Values were seen: created, updated, read by a snapshot or undeleted.
        Changed = "changed",
        /// The record is gone.
        Deleted = "deleted",
        /// No values: what the entity was waiting for has come (first copies done, parent linked).
        Released = "released",
        /// No values: the record has left this entity. It belongs to another one now, or was merged away at its source;
        /// nothing follows on the other side.
        Unlinked = "unlinked",
        /// The record has come from another entity, with all that is known of it: a change in every other way.
        Joined = "joined",
        /// Somebody else has brought the record back, and it bears an older write of ours: a change in every other way.
        Returned = "returned",
        /// No record: from here on the partition's changes follow another mapping, whose text is the column `mapping`.
        Mapped = "mapped",
    }
}

record! {
    /// What a reference field points at, with the parent's record on each side as far as it is known.
    pub struct Reference {
        /// The canonical field that refers.
        pub field: String,
        /// The parent entity; empty when the field refers to nothing.
        pub entity: String,
        /// The parent's record id in the CRM.
        pub crm: Option<String>,
        /// The parent's record id in the ERP.
        pub erp: Option<String>,
    }
}

record! {
    /// One side's change of one entity in canonical fields, stamped with link and references.
    pub struct EntityChange {
        /// Entity id.
        pub entity: String,
        /// Entity kind from the mapping: `customer`, `contact`, `opportunity`, `order`, `invoice`, `payment`.
        pub kind: String,
        /// Where the change happened.
        pub side: Side,
        /// Object or table of the root record, for example `Account` or `public.customers`.
        pub object: String,
        /// Record id there.
        pub record: String,
        /// What happened.
        pub op: EntityOp,
        /// Canonical fields that the change carries, and only those.
        pub fields: Vec<Field>,
        /// The source's own values behind them, by column or object field name; preconditions compare these.
        pub columns: Vec<Field>,
        /// Canonical fields before the change, where the source or state knew them.
        pub before: Vec<Field>,
        /// Reference fields resolved to entities.
        pub references: Vec<Reference>,
        /// The customer that the record belongs to; for a customer, itself.
        pub customer: Option<String>,
        /// False while a first copy is running: the other side may still turn out to have this entity.
        pub may_create: bool,
        /// True for rows of a first copy or a re-read, whose commit time says nothing about who edited last.
        pub snapshot: bool,
        /// Position in the source's stream: an LSN, or a replay id in hexadecimal.
        pub position: String,
        /// When the source committed it.
        pub committed_at: i64,
        /// Who did it, where the source says.
        pub actor: Option<String>,
        /// The client or replication origin it came through, where the source says; `concord` is ourselves.
        pub origin: Option<String>,
        /// Id of the last write of ours that the record bears, as far as the change says. Of a live change under our name
        /// it is the write that made it; of a row of a copy, every earlier write was done or refused before the row was read.
        pub write: Option<String>,
        /// Version of the mapping that made the canonical fields.
        pub mapping_version: i64,
    }
}

record! {
    /// That a record belongs to an entity, or no longer does.
    pub struct EntityLink {
        /// Entity id.
        pub entity: String,
        /// Entity kind.
        pub kind: String,
        /// Side of the record.
        pub side: Side,
        /// Object or table.
        pub object: String,
        /// Record id.
        pub record: String,
        /// False when the link has ended.
        pub linked: bool,
        /// Why: `new`, `entity-id`, `stored-id:<key>`, `key:<key>`, `decision`.
        pub rule: String,
        /// A name a person would know the entity by.
        pub title: String,
        /// When the record that brought the link was committed.
        pub at: i64,
    }
}
