//! What people do: edit, delete, bring back, decide.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Pair, Side};
use reconcile::merge::{Choice, ConflictRecord, DecisionResult, Demand, Event, Reply, Verdict};

use super::{Commit, Decided, World, column};

impl World {
    /// A person edits columns; none deletes.
    pub(crate) fn edit(&mut self, side: Side, edits: &[(&str, Value)]) {
        if self.systems[side].record.is_none() {
            return;
        }
        let clock = self.clock;
        let changes: Vec<(String, Value)> = edits.iter().map(|(field, value)| (column(side, field), value.clone())).collect();
        for (field, value) in edits {
            let commit = Commit { side, field: (*field).to_owned(), value: value.clone(), at: clock, write: None, asked: true };
            self.past.history.push(commit);
        }
        self.commit(side, changes, None);
    }

    /// A person deletes the record.
    pub(crate) fn delete(&mut self, side: Side) {
        let Some(record) = self.systems[side].record.clone() else { return };
        let change = self.change(side, &record, true, Vec::new(), None);
        let before = self.past.history.len();
        self.past.deletions.push((side, before));
        let system = &mut self.systems[side];
        system.row.clear();
        system.record = None;
        self.push(side, change);
    }

    /// A person brings the record back with these values.
    pub(crate) fn undelete(&mut self, side: Side, record: &str, row: BTreeMap<String, Value>) {
        self.systems[side].record = Some(record.to_owned());
        self.systems[side].row = row;
        self.read_again(side);
        if let Some(change) = self.systems[side].stream.back_mut() {
            change.snapshot = false;
        }
    }

    /// A person decides the oldest open conflict.
    pub(crate) fn decide(&mut self, mapping: &EntityMapping, choice: Choice) {
        let Some(number) = self.state.conflicts.values().next().map(|record| record.number) else { return };
        let known = |id: &String| self.state.decided.contains(id) || self.state.queued.iter().any(|verdict| verdict.id == *id);
        let id = (0..).map(|number| format!("decision-{number}")).find(|id| !known(id)).unwrap_or_default();
        let verdict = Verdict::settle(id, number, choice, "Ana Lima");
        self.verdict = Some(verdict.clone());
        self.apply(mapping, &Event::Decided(verdict));
    }

    /// The last decision comes again.
    pub(crate) fn decide_again(&mut self, mapping: &EntityMapping) {
        if let Some(verdict) = self.verdict.clone() {
            self.apply(mapping, &Event::Decided(verdict));
        }
    }

    /// Keeps what a decision asks both sides to hold, once it is carried out.
    pub(super) fn note(&mut self, reply: &Reply) {
        let (DecisionResult::Accepted, Some(number)) = (reply.result, reply.conflict) else { return };
        let kept = self.conflicts.get(&number.0).cloned();
        let own = |record: &ConflictRecord| Pair { crm: record.values.crm.value.clone(), erp: record.values.erp.value.clone() };
        let twice = |value: &Value| Pair { crm: value.clone(), erp: value.clone() };
        let chosen = |choice: &Choice, record: &ConflictRecord| match choice {
            Choice::Side(side) => twice(&record.values[*side].value),
            Choice::Value(value) => twice(value),
            Choice::Both => own(record),
        };
        let decided: Vec<(String, Option<Pair<Value>>)> = match &reply.verdict.demand {
            Demand::Settle { choice, .. } => kept.iter().map(|record| (record.field.clone(), Some(chosen(choice, record)))).collect(),
            Demand::Restore { choice, kept: Some(lost), .. } => vec![(lost.field.clone(), Some(chosen(choice, lost)))],
            // It is held again, and says so by itself.
            Demand::Reopen { kept: Some(record), .. } => vec![(record.field.clone(), None)],
            Demand::Undo { kept: Some(done), .. } => {
                done.steps.iter().map(|(field, step)| (field.clone(), Some(step.before.clone()))).collect()
            }
            _ => Vec::new(),
        };
        let informed = Side::BOTH.iter().all(|side| self.systems[*side].stream.is_empty() && self.systems[*side].commands.is_empty());
        let before = self.past.history.len();
        let decided = decided.into_iter().map(|(field, values)| Decided { field, values, before, informed });
        self.past.decided.extend(decided);
    }
}
