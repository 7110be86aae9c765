//! Decisions that are on the log but not yet in the read model, so that a page shows them at once.
//!
//! Only this process remembers them, at most [`MAX`]; a page of another process shows the decision when
//! the conflict's row changes, a moment later.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use schemas::message::Choice;
use schemas::Value;

use crate::queries::At;
use crate::queries::conflicts::Conflict;
use crate::queries::setting::Setting;

const MAX: usize = 10_000;

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

    /// The decision about an open conflict. A settled one needs none and is forgotten.
    pub(crate) fn about(&self, conflict: &Conflict) -> Option<Remembered> {
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
