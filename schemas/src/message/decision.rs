//! What people decide, and what became of it.

use super::Side;
use crate::value::Value;
use crate::{record, symbols};

symbols! {
    /// What a person wants done.
    pub enum Action {
        /// Settle an open conflict (`conflict`, `choice`, `value`).
        Settle = "settle",
        /// Put back a value that lost in a settled conflict (`conflict`, `choice` says whose).
        Restore = "restore",
        /// Take back how a conflict was settled: both sides get back what they held and it is open again (`conflict`).
        Reopen = "reopen",
        /// Take back one write (`write`).
        Undo = "undo",
        /// Make the record that a side lacks, where the mapping says that a person is asked (`side`).
        Create = "create",
        /// Do not make it (`side`).
        Refuse = "refuse",
        /// Make an order of a won opportunity; `entity` is the opportunity.
        Convert = "convert",
        /// Two entities are one (`other`); answers a match review, or merges by hand.
        Same = "same",
        /// Two entities are not one, and are not asked about again (`other`).
        Distinct = "distinct",
        /// A record does not belong to the entity it is linked to (`side`, `record`).
        Split = "split",
        /// Take back a decision about a match (`of`).
        Unmatch = "unmatch",
        /// Try again what the sides refused for good, or one of them (`side`).
        Retry = "retry",
    }
}

symbols! {
    /// Which value a person chose.
    pub enum Choice {
        /// The CRM's.
        Crm = "crm",
        /// The ERP's.
        Erp = "erp",
        /// Another one, given with the decision.
        Value = "value",
        /// Each side keeps its own; they count as agreed until either changes.
        Both = "both",
    }
}

record! {
    /// What a person decided. The reconciler and the matcher each carry out their own actions and answer with a
    /// [`DecisionOutcome`].
    pub struct Decision {
        /// Unique id; deciding twice with the same id is deciding once.
        pub id: String,
        /// Entity id.
        pub entity: String,
        /// What is wanted.
        pub action: Action,
        /// The conflict it is about; empty when about none.
        pub conflict: String,
        /// Canonical field of a restored value, for a conflict older than what is remembered of a record.
        pub field: Option<String>,
        /// Which value.
        pub choice: Choice,
        /// The value, when it is another one.
        pub value: Value,
        /// The write it is about.
        pub write: Option<String>,
        /// The other entity.
        pub other: Option<String>,
        /// The side it is about.
        pub side: Option<Side>,
        /// The record it is about.
        pub record: Option<String>,
        /// The earlier decision it is about.
        pub of: Option<String>,
        /// What several decisions made in one go have in common: a whole record, the same shape everywhere, a time range.
        pub batch: Option<String>,
        /// Do it although the value has been edited since; that edit is then on record as the loser.
        pub force: bool,
        /// Who decided.
        pub actor: String,
        /// When, by the clock of where it was decided.
        pub at: i64,
    }
}

impl Decision {
    /// A decision about nothing in particular yet.
    pub fn new(id: impl Into<String>, entity: impl Into<String>, action: Action, actor: impl Into<String>, at: i64) -> Self {
        Self {
            id: id.into(),
            entity: entity.into(),
            action,
            conflict: String::new(),
            field: None,
            choice: Choice::Value,
            value: Value::Null,
            write: None,
            other: None,
            side: None,
            record: None,
            of: None,
            batch: None,
            force: false,
            actor: actor.into(),
            at,
        }
    }
}

symbols! {
    /// What became of a decision.
    pub enum DecisionResult {
        /// It is being carried out, or is done where nothing is to be written.
        Accepted = "accepted",
        /// It changes nothing: already so, or decided before.
        Unchanged = "unchanged",
        /// It cannot be done; the reason says why and what may help.
        Refused = "refused",
        /// It cannot be carried out yet: the reason says what it waits for. It is answered again.
        Waiting = "waiting",
    }
}

record! {
    /// The answer to a decision; the last one counts, should there be several.
    pub struct DecisionOutcome {
        /// The decision it answers.
        pub decision: String,
        /// Its batch.
        pub batch: Option<String>,
        /// Entity id.
        pub entity: String,
        /// Entity kind; empty when the entity is not known.
        pub kind: String,
        /// What was wanted.
        pub action: Action,
        /// What became of it.
        pub result: DecisionResult,
        /// Why, in words.
        pub reason: String,
        /// The conflict that holds what it replaced, if there is one.
        pub conflict: Option<String>,
        /// Who decided.
        pub actor: String,
        /// When it was decided.
        pub at: i64,
        /// Version of the mapping and policies in force.
        pub mapping_version: i64,
    }
}
