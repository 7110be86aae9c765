//! The messages that Concord's parts send each other. Each is an Avro record under namespace `concord`.
//!
//! Times are microseconds since 1970-01-01T00:00:00Z and come from the sources or from the log, never
//! from the clock of whoever computes. Ids are text: an entity id is a UUID, a write id is
//! `<entity>:w<number>`, a conflict id is `<entity>:<number>`.

mod decision;
mod matching;

pub use decision::{Action, Choice, Decision, DecisionOutcome, DecisionResult};
pub use matching::{MatchReason, MatchReview, MatchState};

use crate::value::Value;
pub use crate::wire::Message;
use crate::{record, symbols};

/// Header of every record that follows from an edit: one id from the source's commit to the last effect.
pub const SYNC_ID_HEADER: &str = "sync-id";

/// What the id of a write begins with that has no values and only asks what its columns hold.
pub const READ_WRITE: &str = "read-";

symbols! {
    /// One of the two systems that Concord keeps in agreement.
    pub enum Side {
        /// The CRM, Salesforce.
        Crm = "crm",
        /// The ERP, a Postgres database.
        Erp = "erp",
    }
}

impl Side {
    /// The side across.
    pub const fn other(self) -> Self {
        match self {
            Self::Crm => Self::Erp,
            Self::Erp => Self::Crm,
        }
    }
}

record! {
    /// A named value: a canonical field, or a column or object field of one side.
    pub struct Field {
        /// Field or column name.
        pub name: String,
        /// Its value.
        pub value: Value,
    }
}

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

symbols! {
    /// What a write does to its record.
    pub enum WriteOp {
        /// Change some values of an existing record.
        Update = "update",
        /// Make the record; its external id holds the entity id, so that trying again cannot make two.
        Create = "create",
        /// Remove the record.
        Delete = "delete",
    }
}

symbols! {
    /// How urgent a write is; decisions go before live changes, those before backfill.
    pub enum Lane {
        /// Follows from a live edit.
        Live = "live",
        /// Follows from a person's decision.
        Decision = "decision",
        /// Follows from a first copy or a sweep.
        Backfill = "backfill",
    }
}

symbols! {
    /// What writing nothing into a row's columns does.
    pub enum WhenEmpty {
        /// The column is set to null.
        Null = "null",
        /// The row is removed.
        Delete = "delete",
        /// The row stays, with its `retire` values.
        Retire = "retire",
    }
}

record! {
    /// A row beside the root row: which one it is, and how it is made when there is none.
    pub struct RowTarget {
        /// Its name in the mapping, the part of a column name before the point.
        pub name: String,
        /// Table, `schema.table`.
        pub table: String,
        /// The foreign key, in the order of the primary key that it points at: columns of this row that point at the root row,
        /// or, for a `parent`, columns of the root row that point at this one.
        pub key_columns: Vec<String>,
        /// The root points at this row, rather than this row at the root.
        pub parent: bool,
        /// Key of the row that was chosen when the write was decided; none when there was none. For people: what is written to
        /// is the row that is chosen when the write is carried out, if it holds the values expected.
        pub record: Option<String>,
        /// What a row must hold to be chosen: a value, null for none, or a list, for any one of its items.
        pub conditions: Vec<Field>,
        /// Which of several rows is chosen: the first by these columns, each with a `-` before it when the largest comes first;
        /// nulls last; then by primary key.
        pub order: Vec<String>,
        /// All columns of this row that the mapping uses; a row in which they are all null is empty.
        pub columns: Vec<String>,
        /// Column values of a row that is inserted, the foreign key aside.
        pub constants: Vec<Field>,
        /// What writing nothing does.
        pub when_empty: WhenEmpty,
        /// Column values that retire a row.
        pub retire: Vec<Field>,
    }
}

record! {
    /// A command to one side, in that side's own columns, with the values expected there.
    pub struct Write {
        /// Idempotency key: the same write always has the same id.
        pub id: String,
        /// Entity id.
        pub entity: String,
        /// Entity kind.
        pub kind: String,
        /// Side to write to.
        pub side: Side,
        /// Object or table to write to.
        pub object: String,
        /// Record id; none for a create.
        pub record: Option<String>,
        /// What to do.
        pub op: WriteOp,
        /// Column values to set.
        pub values: Vec<Field>,
        /// Values that the written columns must still have; a write whose precondition fails changes nothing.
        pub expected: Vec<Field>,
        /// Column that holds the entity id on a create.
        pub id_column: Option<String>,
        /// Column that takes the id of this write, where the side keeps it in the record (the CRM): its stream then shows which
        /// write made a change, and a record that is read shows which was the last.
        pub write_column: Option<String>,
        /// Rows beside the root row that hold some of the columns, where the entity is drawn from several tables; their
        /// columns are named `<row>.<column>`.
        pub rows: Vec<RowTarget>,
        /// How urgent it is.
        pub lane: Lane,
        /// Why, in words a person understands.
        pub reason: String,
        /// Commit time of the edit that it carries across.
        pub caused_at: i64,
        /// Who made that edit, where known.
        pub actor: Option<String>,
        /// The conflict whose settlement it carries out.
        pub conflict: Option<String>,
        /// Version of the mapping that made the columns.
        pub mapping_version: i64,
    }
}

symbols! {
    /// What became of a write.
    pub enum OutcomeResult {
        /// Done (or found done by an earlier try).
        Applied = "applied",
        /// A precondition did not hold; nothing was written, `actual` has the values found.
        Rejected = "rejected",
        /// Refused for a reason that trying again will not mend; it is in the dead-letter queue.
        Failed = "failed",
        /// Not tried yet for longer than usual: the side is paused or its limit is reached.
        Deferred = "deferred",
    }
}

record! {
    /// The answer to a write.
    pub struct Outcome {
        /// The write it answers.
        pub write: String,
        /// Entity id.
        pub entity: String,
        /// Entity kind.
        pub kind: String,
        /// Side written to.
        pub side: Side,
        /// Object or table written to.
        pub object: String,
        /// Record id, known even for a create once it is done.
        pub record: Option<String>,
        /// What became of it.
        pub result: OutcomeResult,
        /// Values found in the written columns, where the sink saw them; empty and rejected means the record is gone.
        pub actual: Vec<Field>,
        /// The target's error code, for example `STRING_TOO_LONG` or an SQLSTATE.
        pub code: Option<String>,
        /// What went wrong and what may help.
        pub message: Option<String>,
        /// How often it was tried.
        pub attempts: i64,
        /// Commit time of the edit that the write carried.
        pub caused_at: i64,
        /// When the answer was known, by the sink's clock.
        pub at: i64,
    }
}

symbols! {
    /// Where a conflict stands.
    pub enum ConflictState {
        /// Waits for a person; the field is held.
        Open = "open",
        /// A policy or a person has picked a value.
        Settled = "settled",
    }
}

record! {
    /// A field that changed on both sides since they agreed, or whose edit a write overtook. Kept for good: it holds
    /// every losing value.
    pub struct Conflict {
        /// `<entity>:<number>`.
        pub id: String,
        /// Entity id.
        pub entity: String,
        /// Entity kind.
        pub kind: String,
        /// A name a person would know the entity by.
        pub title: String,
        /// Canonical field.
        pub field: String,
        /// The field's name for people.
        pub label: String,
        /// Open or settled.
        pub state: ConflictState,
        /// CRM value both sides last agreed on.
        pub base_crm: Value,
        /// ERP value both sides last agreed on.
        pub base_erp: Value,
        /// Canonical value in the CRM.
        pub crm: Value,
        /// Canonical value in the ERP.
        pub erp: Value,
        /// When the CRM value was committed.
        pub crm_at: i64,
        /// When the ERP value was committed.
        pub erp_at: i64,
        /// Who set the CRM value, where known.
        pub crm_actor: Option<String>,
        /// Who set the ERP value, where known.
        pub erp_actor: Option<String>,
        /// Record id in the CRM.
        pub crm_record: Option<String>,
        /// Record id in the ERP.
        pub erp_record: Option<String>,
        /// Object field that a settlement writes in the CRM.
        pub crm_column: String,
        /// Column that a settlement writes in the ERP.
        pub erp_column: String,
        /// Policy in force: `last_write`, `crm`, `erp` or `review`.
        pub policy: String,
        /// Why a person was asked, or which rule decided, in words.
        pub reason: String,
        /// The side that won; none while open, when another value was chosen, and when each side keeps its own.
        pub winner: Option<Side>,
        /// The value that won; nothing when each side keeps its own.
        pub chosen: Value,
        /// Each side keeps its own value.
        pub both: bool,
        /// The commit times were too close to tell which is newer.
        pub tie: bool,
        /// Our write had already replaced the losing value when its edit was seen.
        pub overtaken: bool,
        /// Who settled it: a person's name, or `policy`.
        pub settled_by: Option<String>,
        /// When it was settled.
        pub settled_at: Option<i64>,
        /// When it was found.
        pub opened_at: i64,
        /// Version of the mapping and policies in force.
        pub mapping_version: i64,
    }
}

record! {
    /// One column before and after a write.
    pub struct ColumnChange {
        /// Column or object field.
        pub column: String,
        /// Canonical field it belongs to; empty for constants and ids.
        pub field: String,
        /// Value before.
        pub before: Value,
        /// Value after, as the target's own stream showed it.
        pub after: Value,
    }
}

record! {
    /// A write that reached its target, as the target's own stream confirmed it.
    pub struct AuditEntry {
        /// Same as the write's id.
        pub id: String,
        /// Entity id.
        pub entity: String,
        /// Entity kind.
        pub kind: String,
        /// A name a person would know the entity by.
        pub title: String,
        /// Side written to.
        pub side: Side,
        /// Object or table.
        pub object: String,
        /// Record id.
        pub record: String,
        /// What was done.
        pub op: WriteOp,
        /// Before and after.
        pub columns: Vec<ColumnChange>,
        /// The target kept another value than the one written.
        pub altered: bool,
        /// Why, in words.
        pub reason: String,
        /// Who made the edit that was carried across, where known.
        pub actor: Option<String>,
        /// The conflict that was settled by it.
        pub conflict: Option<String>,
        /// Commit time of the edit at its source.
        pub caused_at: i64,
        /// Commit time of the write at its target.
        pub at: i64,
        /// Version of the mapping in force.
        pub mapping_version: i64,
    }
}

symbols! {
    /// How a part of Concord is doing.
    pub enum HealthState {
        /// Not ready yet.
        Starting = "starting",
        /// Working.
        Running = "running",
        /// Held back on purpose or by a fault outside; resumes by itself.
        Paused = "paused",
        /// Needs a person.
        Failing = "failing",
        /// Ended in order.
        Stopped = "stopped",
    }
}

record! {
    /// How one part is doing now; keyed by component.
    pub struct Health {
        /// For example `ingest.erp`, `ingest.crm`, `sink.crm`, `sink.erp`, `matcher`, `reconciler`.
        pub component: String,
        /// State.
        pub state: HealthState,
        /// Why it is in that state; empty when all is well.
        pub reason: String,
        /// What a person can do about it; empty when nothing.
        pub remedy: String,
        /// Since when.
        pub since: i64,
        /// When this was written.
        pub at: i64,
        /// Facts to show: `position`, `lag_ms`, `api_calls`, `api_limit`, `slot_bytes`, `server`, …
        pub facts: std::collections::BTreeMap<String, String>,
    }
}

record! {
    /// Where a source has been read to; written in the same log transaction as the data it covers.
    pub struct Checkpoint {
        /// Source name: `erp` or `crm`, with `.<object>` where objects have streams of their own.
        pub source: String,
        /// LSN or replay id (hexadecimal) up to which everything is on the log.
        pub position: String,
        /// Changes already written of the transaction at `position`, when it was split.
        pub ordinal: i64,
        /// Objects or tables whose first copy is complete.
        pub copied: Vec<String>,
        /// Anything else the source needs to go on, as JSON; empty when nothing.
        pub resume: String,
        /// Commit time of the newest change covered.
        pub committed_at: i64,
    }
}

record! {
    /// A message set aside: one bad record stops only itself.
    pub struct DeadLetter {
        /// Topic (or source, when it never got that far) the bytes come from.
        pub topic: String,
        /// Partition there.
        pub partition: i64,
        /// Offset there.
        pub offset: i64,
        /// The record's key.
        pub key: Option<Vec<u8>>,
        /// The record's bytes, unchanged.
        pub value: Option<Vec<u8>>,
        /// Which part set it aside.
        pub component: String,
        /// What is wrong with it; empty when nothing is any more that was set aside under this key before.
        pub reason: String,
        /// What may help.
        pub remedy: String,
        /// When.
        pub at: i64,
    }
}

record! {
    /// A versioned setting, flag or pause; keyed by name.
    pub struct Setting {
        /// For example `pause`.
        pub name: String,
        /// The value, as JSON.
        pub value: String,
        /// Counts up with each change.
        pub version: i64,
        /// Who changed it.
        pub actor: String,
        /// When.
        pub at: i64,
    }
}

record! {
    /// What one customer owes and has on order. Amounts are plain decimal text, exact.
    pub struct CustomerFinancials {
        /// Customer entity id.
        pub customer: String,
        /// Open invoice amounts less payments.
        pub ar_balance: String,
        /// Part of the balance that was due before `as_of`.
        pub overdue: String,
        /// Orders neither shipped in full, invoiced nor cancelled.
        pub open_orders: i64,
        /// Their amount.
        pub open_order_value: String,
        /// Day the overdue amount was computed for, days since 1970-01-01.
        pub as_of: i32,
        /// Commit time of the newest change included.
        pub at: i64,
    }
}

record! {
    /// The pipeline at one stage, or over all stages under the name `all`. Amounts are plain decimal text, exact.
    pub struct PipelineSummary {
        /// Stage name, or `all`.
        pub stage: String,
        /// Opportunities there.
        pub count: i64,
        /// Sum of their amounts.
        pub value: String,
        /// Sum of amount times probability.
        pub weighted: String,
        /// Of those, closed and won.
        pub won: i64,
        /// Of those, closed and lost.
        pub lost: i64,
        /// Won over closed, in parts of 10,000; none while nothing is closed.
        pub win_rate_bp: Option<i64>,
        /// Commit time of the newest change included.
        pub at: i64,
    }
}

/// Name and schema text of every message, for registering and for `avro/*.avsc`.
pub fn all() -> Vec<(&'static str, String)> {
    fn one<M: Message>() -> (&'static str, String) {
        (M::NAME, M::schema_text())
    }
    vec![
        one::<EntityChange>(),
        one::<EntityLink>(),
        one::<Write>(),
        one::<Outcome>(),
        one::<Conflict>(),
        one::<Decision>(),
        one::<DecisionOutcome>(),
        one::<MatchReview>(),
        one::<AuditEntry>(),
        one::<Health>(),
        one::<Checkpoint>(),
        one::<DeadLetter>(),
        one::<Setting>(),
        one::<CustomerFinancials>(),
        one::<PipelineSummary>(),
    ]
}
