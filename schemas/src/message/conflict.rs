//! A field that both sides changed.

use super::Side;
use crate::value::Value;
use crate::{record, symbols};

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
        /// Object field that a settlement writes in the CRM; empty where the field never travels there.
        pub crm_column: String,
        /// Column that a settlement writes in the ERP; empty where the field never travels there.
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
