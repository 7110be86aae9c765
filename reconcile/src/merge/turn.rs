//! One turn: the state while an event is applied, what follows so far, and words for reasons.

use std::collections::BTreeMap;

use super::effect::{Confirmed, ConflictRecord, Effect, WriteKind};
use super::send::{self, Plan};
use super::state::{ConflictNumber, EntityState, FieldState, Micros, Seen, WriteNumber};
use super::undo;
use crate::mapping::{self, EntityMapping, FieldMapping, FieldType, Pair, Side};
use crate::value::Value;

pub(super) struct Turn<'a> {
    pub(super) mapping: &'a EntityMapping,
    pub(super) state: &'a mut EntityState,
    pub(super) now: Micros,
    pub(super) effects: Vec<Effect>,
    pub(super) plans: Vec<Plan>,
    /// The event came from a first copy or a re-read.
    pub(super) backfill: bool,
    /// The merged record changed.
    pub(super) golden: bool,
}

impl<'a> Turn<'a> {
    pub(super) fn new(mapping: &'a EntityMapping, state: &'a mut EntityState, now: Micros) -> Self {
        Self { mapping, state, now, effects: Vec::new(), plans: Vec::new(), backfill: false, golden: false }
    }

    pub(super) fn finish(mut self) -> Vec<Effect> {
        self.conclude();
        send::flush(&mut self);
        self.forget_parents();
        if self.golden {
            self.effects.push(Effect::Golden);
        }
        self.effects
    }

    pub(super) fn field(&mut self, name: &str) -> &mut FieldState {
        self.state.fields.entry(name.to_owned()).or_default()
    }

    /// The side has a record that can be written to.
    pub(super) fn writable(&self, side: Side) -> bool {
        let state = &self.state.sides[side];
        state.record.is_some() && !state.deleted && state.creating.is_none() && state.deleting.is_none() && state.owed.is_none()
    }

    /// Keeps a conflict record: in state while open, and outside for good.
    pub(super) fn keep(&mut self, record: ConflictRecord) {
        if record.settled.is_none() {
            self.state.conflicts.insert(record.number.0, record.clone());
        } else {
            if !planted::on(planted::Bug::DecideAgain) {
                self.state.conflicts.remove(&record.number.0);
            }
        }
        self.effects.push(Effect::Conflict(record));
    }

    pub(super) fn next_conflict(&mut self) -> ConflictNumber {
        let number = ConflictNumber(self.state.next_conflict);
        self.state.next_conflict += 1;
        number
    }

    /// The canonical value as the side would show it after it was written there; the same value where that is not known.
    pub(super) fn predicted(&self, field: &FieldMapping, side: Side, value: &Value) -> Value {
        if matches!(field.kind, FieldType::Reference { .. }) {
            return value.clone();
        }
        let known = &self.state.sides[side].columns;
        let shown = mapping::write(field, side, value).and_then(|written| {
            let columns = field.columns[side].gather(|column| written.get(column).or_else(|| known.get(column)));
            mapping::read(field, side, &columns)
        });
        shown.unwrap_or_else(|_| value.clone())
    }

    /// The side's own values for a canonical one, by column; none when a reference's parent has no record there yet.
    pub(super) fn columns(&self, field: &FieldMapping, side: Side, value: &Value) -> Result<Option<BTreeMap<String, Value>>, crate::Error> {
        let one = |value: Value| field.columns[side].names().map(|name| (name.to_owned(), value.clone())).collect();
        match (&field.kind, value) {
            (FieldType::Reference { .. }, Value::Text(entity)) => {
                Ok(self.state.references.get(entity).and_then(|parent| parent.records[side].clone()).map(Value::Text).map(one))
            }
            (FieldType::Reference { .. }, _) => Ok(Some(one(Value::Null))),
            _ => mapping::write(field, side, value).map(Some),
        }
    }

    /// The canonical value of the side's own columns as they were told, or else are known; none when it cannot be read or refers to an unknown parent.
    pub(super) fn canonical(&self, field: &FieldMapping, side: Side, told: &BTreeMap<String, Value>) -> Option<Value> {
        let columns = field.columns[side].gather(|column| told.get(column).or_else(|| self.state.sides[side].columns.get(column)));
        match (&field.kind, columns.first()?) {
            (FieldType::Reference { .. }, Value::Null) => Some(Value::Null),
            (FieldType::Reference { .. }, Value::Text(record)) => self
                .state
                .references
                .iter()
                .find(|(_, parent)| parent.records[side].as_ref() == Some(record))
                .map(|(entity, _)| Value::Text(entity.clone())),
            (FieldType::Reference { .. }, _) => None,
            _ => mapping::read(field, side, &columns).ok(),
        }
    }

    /// Both sides' values of a field, when both have been seen.
    pub(super) fn both(&self, name: &str) -> Option<Pair<Seen>> {
        let seen = &self.state.fields.get(name)?.seen;
        Some(Pair { crm: seen.crm.clone()?, erp: seen.erp.clone()? })
    }

    /// Audits every write that was carried out and that nothing waits for any more, whatever ended the waiting. One whose
    /// answer is still to come is kept until then.
    pub(super) fn conclude(&mut self) {
        let state = &*self.state;
        let flying = |number| state.fields.values().any(|field| field.in_flight.as_ref().is_some_and(|flight| flight.write == number));
        // Nothing waits for one whose source has left.
        let made = |number, side: Side| state.sides[side].creating == Some(number) && state.sides[side.other()].record.is_some();
        let whole = |number| Side::BOTH.iter().any(|side| made(number, *side) || state.sides[*side].deleting == Some(number));
        let done = state.writes.iter().filter(|(_, open)| open.done).map(|(number, _)| WriteNumber(*number));
        let ended: Vec<WriteNumber> = done.filter(|number| !flying(*number) && !whole(*number)).collect();
        for number in ended {
            self.audit(number);
        }
    }

    /// Ends a write that was refused; one that its stream has shown was carried out by an earlier try.
    pub(super) fn refused(&mut self, number: WriteNumber) {
        if self.state.writes.get(&number.0).is_some_and(|open| !open.done) {
            self.state.writes.remove(&number.0);
        }
    }

    fn audit(&mut self, number: WriteNumber) {
        let Some(open) = self.state.writes.remove(&number.0) else { return };
        let side = open.command.side;
        let mut columns = open.confirmed;
        for (column, value) in &open.command.values {
            // Constants, and fields whose record vanished before its stream showed them.
            if !columns.contains_key(column) {
                let before = open.command.expected.get(column).cloned().unwrap_or_default();
                columns.insert(column.clone(), (before, value.clone()));
            }
        }
        if open.command.kind == WriteKind::Delete {
            columns = open.command.expected.iter().map(|(column, value)| (column.clone(), (value.clone(), Value::Null))).collect();
        }
        let record = open.command.record.clone().or_else(|| self.state.sides[side].record.clone()).unwrap_or_default();
        let at = if open.at == 0 { self.now } else { open.at };
        let confirmed = Confirmed { command: open.command, record, columns, steps: open.steps, altered: open.altered, at };
        undo::attach(self.state, &confirmed);
        self.effects.push(Effect::Confirmed(confirmed));
        self.golden = true;
    }

    /// Parents that no value means any more, which are kept all the same.
    const MOST_IDLE: usize = 8;

    /// Parents are kept while a value may still need their records, and a few after that.
    fn forget_parents(&mut self) {
        let state = &mut *self.state;
        if state.references.is_empty() {
            return;
        }
        let mut used: BTreeMap<&str, ()> = BTreeMap::new();
        for field in &self.mapping.fields {
            if !matches!(field.kind, FieldType::Reference { .. }) {
                continue;
            }
            let Some(field) = state.fields.get(&field.name) else { continue };
            let seen = [&field.seen.crm, &field.seen.erp].into_iter().flatten().map(|seen| &seen.value);
            let agreed = field.agreed.iter().flat_map(|pair| [&pair.crm, &pair.erp]);
            let flying = field.in_flight.iter().flat_map(|f| [&f.value, &f.source, &f.expected]);
            let resolved = field.resolution.iter().flat_map(|r| [&r.value.crm, &r.value.erp]);
            let held = field.held_by.and_then(|number| state.conflicts.get(&number.0));
            let held = held.into_iter().flat_map(|record| [&record.values.crm.value, &record.values.erp.value]);
            for value in seen.chain(agreed).chain(flying).chain(resolved).chain(held) {
                if let Some(text) = value.as_text() {
                    used.insert(text, ());
                }
            }
        }
        state.idle.retain(|parent| !used.contains_key(parent.as_str()));
        let idle: Vec<String> =
            state.references.keys().filter(|key| !used.contains_key(key.as_str()) && !state.idle.contains(key)).cloned().collect();
        state.idle.extend(idle);
        let surplus = state.idle.len().saturating_sub(Self::MOST_IDLE);
        for parent in state.idle.drain(..surplus) {
            state.references.remove(&parent);
        }
    }
}

/// `in Salesforce by Dana Ruiz`.
pub(super) fn whence(side: Side, actor: Option<&str>) -> String {
    let place = match side {
        Side::Crm => "Salesforce",
        Side::Erp => "the ERP",
    };
    match actor {
        Some(actor) => format!("in {place} by {actor}"),
        None => format!("in {place}"),
    }
}
