//! A write to one side, the answer to it, and what it has changed.

use super::{Field, Side};
use crate::value::Value;
use crate::{record, symbols};

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
