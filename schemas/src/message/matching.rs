//! Possible matches, for people to review.

use super::Field;
use crate::{record, symbols};

symbols! {
    /// Where a possible match stands.
    pub enum MatchState {
        /// Waits for a person; nothing is made on the other side for either entity.
        Open = "open",
        /// They are one entity.
        Same = "same",
        /// They are two.
        Distinct = "distinct",
        /// The question went away: a record changed, was deleted or was linked by other means.
        Withdrawn = "withdrawn",
    }
}

record! {
    /// One comparison that speaks for or against a match.
    pub struct MatchReason {
        /// What was compared, for people: a field's label or a key's name.
        pub label: String,
        /// The left record's value, as compared.
        pub left: String,
        /// The right record's value.
        pub right: String,
        /// In words: `equal`, `nearly equal`, `differs`, `missing`, …
        pub finding: String,
        /// Weight in thousandths of a bit: above zero for, below against.
        pub weight: i64,
    }
}

record! {
    /// Two entities that may be one. Kept for good: a person's answer is a fact.
    pub struct MatchReview {
        /// `<left>~<right>`, the smaller entity id first.
        pub id: String,
        /// Entity kind.
        pub kind: String,
        /// Left entity.
        pub left: String,
        /// Right entity.
        pub right: String,
        /// A name a person would know the left one by.
        pub left_title: String,
        /// A name a person would know the right one by.
        pub right_title: String,
        /// Left entity's record in the CRM.
        pub left_crm: Option<String>,
        /// Left entity's record in the ERP.
        pub left_erp: Option<String>,
        /// Right entity's record in the CRM.
        pub right_crm: Option<String>,
        /// Right entity's record in the ERP.
        pub right_erp: Option<String>,
        /// The left one's canonical fields as last seen.
        pub left_fields: Vec<Field>,
        /// The right one's.
        pub right_fields: Vec<Field>,
        /// Where it stands.
        pub state: MatchState,
        /// Total weight in thousandths of a bit; none when a key was ambiguous and nothing was scored.
        pub score: Option<i64>,
        /// Probability of a match in parts of 10,000, where scored.
        pub probability_bp: Option<i64>,
        /// Why a person is asked, in words.
        pub reason: String,
        /// Comparisons, the heaviest first.
        pub reasons: Vec<MatchReason>,
        /// When it was found: commit time of the change that brought it.
        pub opened_at: i64,
        /// The decision that answered it.
        pub decision: Option<String>,
        /// Who answered.
        pub decided_by: Option<String>,
        /// When.
        pub decided_at: Option<i64>,
        /// Version of the mapping and rules in force.
        pub mapping_version: i64,
    }
}
