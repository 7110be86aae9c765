//! Trying again what was refused: what is asked for, and how far that has come.

use std::collections::BTreeSet;

use crate::command::{Asked, Decided};
use crate::queries::At;
use crate::queries::decisions::Decision;
use crate::show::{self, When};

/// What stands beside a failure that may be tried again.
pub(super) struct Again {
    pub(super) ask: Asked,
    /// What somebody decided about it before, if anybody did.
    pub(super) told: Option<Told>,
    /// It can be decided (again).
    pub(super) possible: bool,
}

/// How far a decision to try again has come.
pub(super) struct Told {
    pub(super) class: &'static str,
    pub(super) icon: &'static str,
    pub(super) words: &'static str,
    /// By whom and when; nothing while the read model does not show it.
    pub(super) by: Option<(String, When)>,
    pub(super) reason: String,
}

impl Again {
    /// About a failure that was told at some time and follows from the edit or decision `from`.
    pub(super) fn new(ask: &Asked, at: At, from: Option<&str>, decisions: &[Decision], decided: &Decided, now: At) -> Self {
        let about = |one: &&Decision| {
            one.action == ask.action
                && Some(&one.entity) == ask.entity.as_ref()
                && (one.side.is_none() || ask.side.is_none() || one.side == ask.side)
        };
        let newest = decisions.iter().find(about);
        // The read model shows a decision a moment after it was taken; until then it is not offered again.
        let shown = newest.map(|decision| decision.id.as_str());
        let taken = names(ask).iter().any(|name| decided.undo_of(name, shown));
        let decision = newest.filter(|decision| decision.at > at && from != Some(decision.id.as_str()));
        let told = if taken { Some(Told::taken()) } else { decision.map(|decision| Told::new(decision, now)) };
        Self { ask: ask.clone(), told, possible: !taken && decision.is_none_or(|decision| decision.done) }
    }

    /// As the form has it; [`asked`] reads it.
    pub(super) fn value(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}:{}:{}", self.ask.action, part(&self.ask.side), part(&self.ask.entity))
    }
}

/// What a form asks for.
pub(super) fn asked(value: &str) -> Option<Asked> {
    let mut parts = value.splitn(3, ':').map(str::to_owned);
    let (action, side, entity) = (parts.next()?, parts.next()?, parts.next()?);
    let possible = matches!(action.as_str(), "retry" | "convert") && !entity.is_empty();
    possible.then(|| Asked { action, entity: Some(entity), side: Some(side).filter(|side| !side.is_empty()), ..Asked::default() })
}

/// One decision for each entity, whichever side refused.
pub(super) fn all<'a>(possible: impl Iterator<Item = &'a Again>, most: usize) -> Vec<Asked> {
    let mut seen = BTreeSet::new();
    possible
        .filter(|again| again.possible && seen.insert((&again.ask.action, &again.ask.entity)))
        .map(|again| Asked { side: None, ..again.ask.clone() })
        .take(most)
        .collect()
}

/// Under which name a decision is remembered that was just taken.
pub(super) fn name(ask: &Asked) -> String {
    format!(
        "{} {}{}",
        ask.action,
        ask.entity.as_deref().unwrap_or_default(),
        ask.side.as_ref().map_or(String::new(), |side| format!(" {side}"))
    )
}

/// Under which names a decision about it may be remembered.
fn names(ask: &Asked) -> [String; 2] {
    [name(ask), name(&Asked { side: None, ..ask.clone() })]
}

impl Told {
    fn taken() -> Self {
        Self { class: "run", icon: "run", words: "Decided, being carried out", by: None, reason: String::new() }
    }

    fn new(decision: &Decision, now: At) -> Self {
        let (class, icon, words) = match decision.result.as_deref() {
            None => ("run", "run", "Decided, being carried out"),
            Some("waiting") => ("run", "clock", "Decided, waiting"),
            Some("refused") => ("bad", "x", "Cannot be tried again yet"),
            Some("unchanged") => ("ok", "okc", "Nothing to be tried again"),
            Some(_) if decision.done => ("run", "clock", "Tried again, without an answer yet"),
            Some(_) => ("run", "run", "Being tried again"),
        };
        let refused = decision.refused() || decision.result.as_deref() == Some("unchanged");
        Self {
            class,
            icon,
            words,
            by: Some((decision.actor.clone(), When::calm(decision.at, now))),
            reason: if refused { show::sentence(&decision.reason) } else { String::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(side: Option<&str>, entity: &str) -> Asked {
        Asked { action: "retry".into(), entity: Some(entity.into()), side: side.map(str::to_owned), ..Asked::default() }
    }

    #[test]
    fn what_a_button_asks_for_is_read_back() {
        for ask in [ask(Some("crm"), "e:1"), ask(None, "e1")] {
            let again = Again::new(&ask, At(0), None, &[], &Decided::default(), At(1));
            assert_eq!(asked(&again.value()).as_ref(), Some(&ask));
            assert!(again.possible && again.told.is_none());
        }
        assert!(asked("undo::e1").is_none() && asked("retry:crm:").is_none() && asked("").is_none());
    }

    #[test]
    fn an_entity_is_decided_once_whichever_sides_refused() {
        let decided = Decided::default();
        let one = |ask: Asked| Again::new(&ask, At(0), None, &[], &decided, At(1));
        let rows = [one(ask(Some("crm"), "e1")), one(ask(Some("erp"), "e1")), one(ask(None, "e1")), one(ask(Some("crm"), "e2"))];
        assert_eq!(all(rows.iter(), 500), [ask(None, "e1"), ask(None, "e2")]);
        assert_eq!(all(rows.iter(), 1).len(), 1);
    }

    #[test]
    fn what_was_just_decided_is_not_offered_again() {
        let decided = Decided::default();
        decided.remember_undo(name(&ask(None, "e1")), "d1".into());
        let again = Again::new(&ask(Some("erp"), "e1"), At(0), None, &[], &decided, At(1));
        assert!(!again.possible && again.told.is_some_and(|told| told.class == "run"));
        assert!(Again::new(&ask(Some("erp"), "e2"), At(0), None, &[], &decided, At(1)).possible);
    }
}
