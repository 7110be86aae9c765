//! Decisions that are on the log but not yet in the read model, so that a page shows them at once.
//!
//! Only this process remembers them, at most [`MAX`]; a page of another process shows the decision when
//! the conflict's row changes, a moment later.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use schemas::Value;
use schemas::message::Choice;

use crate::queries::At;
use crate::queries::conflicts::Conflict;
use crate::queries::setting::Setting;

const MAX: usize = 10_000;
/// After so long a person may decide again: the first decision may have been lost with its log, or refused.
const TAKEN_UP_WITHIN_S: i64 = 60;

/// What was decided.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    pub(crate) choice: Choice,
    pub(crate) value: Value,
    pub(crate) actor: String,
    pub(crate) at: At,
}

#[derive(Default)]
struct Kept {
    conflicts: BTreeMap<String, Remembered>,
    pause: Option<(bool, i64)>,
}

/// Decisions by conflict id.
#[derive(Default)]
pub(crate) struct Decided(Mutex<Kept>);

impl Decided {
    pub(crate) fn remember(&self, decisions: Vec<(String, Remembered)>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.conflicts.extend(decisions);
        while kept.conflicts.len() > MAX {
            let Some(oldest) = kept.conflicts.iter().min_by_key(|(_, one)| one.at).map(|(id, _)| id.clone()) else { break };
            kept.conflicts.remove(&oldest);
        }
    }

    /// The decision about an open conflict that is being taken up now. A settled conflict needs none and is forgotten.
    pub(crate) fn about(&self, conflict: &Conflict, now: At) -> Option<Remembered> {
        self.find(conflict).filter(|one| one.at.age_s(now) < TAKEN_UP_WITHIN_S)
    }

    /// The decision about an open conflict that should have been taken up long ago.
    pub(crate) fn overdue(&self, conflict: &Conflict, now: At) -> Option<Remembered> {
        self.find(conflict).filter(|one| one.at.age_s(now) >= TAKEN_UP_WITHIN_S)
    }

    fn find(&self, conflict: &Conflict) -> Option<Remembered> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !conflict.open() {
            kept.conflicts.remove(&conflict.id);
            return None;
        }
        kept.conflicts.get(&conflict.id).cloned()
    }

    pub(crate) fn remember_pause(&self, paused: bool, version: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pause = Some((paused, version));
    }

    /// The version of the last pause written here.
    pub(crate) fn pause_version(&self) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pause.map_or(0, |(_, version)| version)
    }

    /// What the pause is going to be, when the read model has not caught up: true for paused.
    pub(crate) fn pause_to_come(&self, shown: Option<&Setting>) -> Option<bool> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (paused, version) = kept.pause?;
        if shown.is_some_and(|setting| setting.version >= version) {
            kept.pause = None;
            return None;
        }
        Some(paused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(state: &str) -> Conflict {
        Conflict {
            id: "e1:1".into(),
            entity: "e1".into(),
            kind: "customer".into(),
            title: String::new(),
            field: "phone".into(),
            label: "Phone".into(),
            state: state.into(),
            base_crm: None,
            base_erp: None,
            crm: None,
            erp: None,
            crm_at: None,
            erp_at: None,
            crm_actor: None,
            erp_actor: None,
            crm_record: None,
            erp_record: None,
            crm_column: "Phone".into(),
            erp_column: "phone".into(),
            policy: "review".into(),
            reason: String::new(),
            winner: None,
            chosen: None,
            tie: false,
            overtaken: false,
            settled_by: None,
            settled_at: None,
            opened_at: At(0),
            mapping_version: 1,
        }
    }

    #[test]
    fn a_decision_holds_until_the_row_changes_or_a_minute_has_passed_in_vain() {
        let decided = Decided::default();
        decided.remember(vec![("e1:1".into(), Remembered { choice: Choice::Crm, value: Value::Null, actor: "admin".into(), at: At(0) })]);
        let (soon, late) = (At(59_000_000), At(60_000_000));
        assert!(decided.about(&conflict("open"), soon).is_some() && decided.overdue(&conflict("open"), soon).is_none());
        assert!(decided.about(&conflict("open"), late).is_none() && decided.overdue(&conflict("open"), late).is_some());
        assert!(decided.about(&conflict("settled"), soon).is_none());
        assert!(decided.about(&conflict("open"), soon).is_none(), "a settled one is forgotten");
    }
}
