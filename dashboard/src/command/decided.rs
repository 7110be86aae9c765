//! Decisions that are on the log but not yet in the read model, so that a page shows them at once.
//!
//! Only this process remembers them, at most [`MAX`]; a page of another process shows the decision when
//! the conflict's row changes, a moment later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use schemas::Value;
use schemas::message::Choice;

use crate::queries::At;
use crate::queries::conflicts::Conflict;
use crate::queries::setting::Setting;

const MAX: usize = 10_000;
/// Answers taken back are remembered until the read model has long known of them.
const MAX_TAKEN_BACK: usize = 100;
/// After so long without an answer a person may decide again: the first decision may have been lost with its log.
const TAKEN_UP_WITHIN_S: i64 = 60;

/// What was decided.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    /// The decision's id.
    pub(crate) decision: String,
    pub(crate) choice: Choice,
    pub(crate) value: Value,
    pub(crate) actor: String,
    pub(crate) at: At,
}

/// What was answered about a possible match.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// The decision's id, for taking it back.
    pub(crate) decision: String,
    /// True for one entity, false for two.
    pub(crate) same: bool,
    pub(crate) actor: String,
    pub(crate) at: At,
}

#[derive(Default)]
struct Kept {
    conflicts: BTreeMap<String, Remembered>,
    reviews: BTreeMap<String, Answered>,
    /// Decisions to take something back, by the id of the write or conflict.
    undos: BTreeMap<String, String>,
    /// Decisions about matches that have been taken back, the newest last.
    taken_back: VecDeque<String>,
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

    /// The decisions that stand between a person and the next decision about the same.
    pub(crate) fn pending(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reviews = kept.reviews.values().map(|one| one.decision.clone());
        kept.conflicts.values().map(|one| one.decision.clone()).chain(reviews).collect()
    }

    /// Forgets decisions of which nothing more is to come.
    pub(crate) fn forget(&self, decisions: &[String]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.conflicts.retain(|_, one| !decisions.contains(&one.decision));
        kept.reviews.retain(|_, one| !decisions.contains(&one.decision));
    }

    /// Remembers the answer about a possible match.
    pub(crate) fn remember_match(&self, review: String, answered: Answered) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.reviews.insert(review, answered);
        while kept.reviews.len() > MAX {
            let Some(oldest) = kept.reviews.iter().min_by_key(|(_, one)| one.at).map(|(id, _)| id.clone()) else { break };
            kept.reviews.remove(&oldest);
        }
    }

    /// Forgets the answer that this decision gave: it is taken back.
    pub(crate) fn forget_match(&self, decision: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.reviews.retain(|_, one| one.decision != decision);
        kept.taken_back.push_back(decision.to_owned());
        if kept.taken_back.len() > MAX_TAKEN_BACK {
            kept.taken_back.pop_front();
        }
    }

    /// Remembers the decision to take a write back, or to restore or open a conflict.
    pub(crate) fn remember_undo(&self, what: String, decision: String) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.undos.len() >= MAX {
            kept.undos.clear();
        }
        // A conflict that is opened again is decided anew.
        kept.conflicts.remove(&what);
        kept.undos.insert(what, decision);
    }

    /// True while the read model does not show that decision; `shown` is the newest that it shows. Ids grow with time.
    pub(crate) fn undo_of(&self, what: &str, shown: Option<&str>) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.undos.get(what) {
            Some(decision) if shown.is_some_and(|shown| shown >= decision.as_str()) => {
                kept.undos.remove(what);
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// Whether it has been taken back here, a moment ago or longer.
    pub(crate) fn was_taken_back(&self, decision: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).taken_back.iter().any(|one| one == decision)
    }

    /// The last answer that somebody gave here.
    pub(crate) fn last_match(&self, actor: &str) -> Option<(String, Answered)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = kept.reviews.iter().filter(|(_, one)| one.actor == actor);
        own.max_by_key(|(_, one)| one.at).map(|(review, one)| (review.clone(), one.clone()))
    }

    /// The match that this decision is about, when the read model has not heard of it yet.
    pub(crate) fn match_of(&self, decision: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.reviews.iter().find(|(_, one)| one.decision == decision).map(|(review, _)| review.clone())
    }

    /// The answer about a match that still stands open in the read model; for a minute, as it may have been lost.
    pub(crate) fn about_match(&self, review: &str, open: bool, now: At) -> Option<Answered> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !open {
            kept.reviews.remove(review);
            return None;
        }
        kept.reviews.get(review).filter(|one| one.at.age_s(now) < TAKEN_UP_WITHIN_S).cloned()
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
            kept_both: false,
        }
    }

    #[test]
    fn a_decision_holds_until_the_row_changes_or_a_minute_has_passed_in_vain() {
        let decided = Decided::default();
        decided.remember(vec![(
            "e1:1".into(),
            Remembered { decision: "d1".into(), choice: Choice::Crm, value: Value::Null, actor: "admin".into(), at: At(0) },
        )]);
        let (soon, late) = (At(59_000_000), At(60_000_000));
        assert!(decided.about(&conflict("open"), soon).is_some() && decided.overdue(&conflict("open"), soon).is_none());
        assert!(decided.about(&conflict("open"), late).is_none() && decided.overdue(&conflict("open"), late).is_some());
        assert!(decided.about(&conflict("settled"), soon).is_none());
        assert!(decided.about(&conflict("open"), soon).is_none(), "a settled one is forgotten");
    }

    #[test]
    fn what_has_been_refused_is_in_nobodys_way() {
        let decided = Decided::default();
        let one = |decision: &str| Remembered {
            decision: decision.into(),
            choice: Choice::Crm,
            value: Value::Null,
            actor: "admin".into(),
            at: At(0),
        };
        decided.remember(vec![("e1:1".into(), one("d1")), ("e2:1".into(), one("d2"))]);
        assert_eq!(decided.pending(), ["d1", "d2"]);
        decided.forget(&["d1".into()]);
        assert!(decided.about(&conflict("open"), At(1)).is_none() && decided.pending() == ["d2"]);
    }
}
