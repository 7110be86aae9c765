//! How Concord's parts are doing, how far sources are read, what was set aside, what is set.

use crate::{record, symbols};

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
