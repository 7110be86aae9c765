//! The messages that Concord's parts send each other. Each is an Avro record under namespace `concord`.
//!
//! Times are microseconds since 1970-01-01T00:00:00Z and come from the sources or from the log, never
//! from the clock of whoever computes. Ids are text: an entity id is a UUID, a write id is
//! `<entity>:w<number>`, a conflict id is `<entity>:<number>`.

mod conflict;
mod decision;
mod entity;
mod matching;
mod operation;
mod summary;
mod write;

pub use conflict::{Conflict, ConflictState};
pub use decision::{Action, Choice, Decision, DecisionOutcome, DecisionResult};
pub use entity::{EntityChange, EntityLink, EntityOp, Reference};
pub use matching::{MatchReason, MatchReview, MatchState};
pub use operation::{Checkpoint, DeadLetter, Health, HealthState, Setting};
pub use summary::{CustomerFinancials, PipelineSummary};
pub use write::{AuditEntry, ColumnChange, Lane, Outcome, OutcomeResult, RowTarget, WhenEmpty, Write, WriteOp};

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
