//! Both systems, everything that ever stood in them, and the people who edit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::Value;
use schemas::message::Side;

use super::shape::{FIELDS, Kind, LINK, field_of, fields, number_column};
use super::system::{By, Edit, Manner, Put, Row, System};
use super::trace::Trace;

/// How many of each kind of fault have happened.
pub type Counts = BTreeMap<&'static str, u64>;

pub(super) struct Systems {
    pub(super) crm: System,
    pub(super) erp: System,
    /// Everything that came to stand anywhere, in commit order.
    pub(super) history: Vec<Put>,
    /// Times that a write changed something, by write id.
    pub(super) effects: BTreeMap<String, u32>,
    /// Deletions by people, with how much of the history was before.
    pub(super) deletions: Vec<(Side, String, usize)>,
    /// Records that people brought back, likewise.
    pub(super) returns: Vec<(Side, String, usize)>,
    /// Rows that a write deleted.
    pub(super) removals: Vec<(Side, String)>,
    /// Fields of the ERP where somebody put back what a write had replaced.
    pub(super) put_back: BTreeSet<(String, usize)>,
    /// Numbers that people gave to several records, or said to belong to several.
    pub(super) shared_numbers: BTreeSet<String>,
    pub(super) faults: Counts,
    pub(super) trace: Trace,
    clock: Arc<AtomicI64>,
}

/// Both systems, shared by the actors around them.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Systems>>);

impl Shared {
    pub(super) fn new(manners: [Manner; 2], skews: [i64; 2], clock: Arc<AtomicI64>, trace: Trace) -> Self {
        Self(Arc::new(Mutex::new(Systems {
            crm: System::new(Side::Crm, manners[0], skews[0]),
            erp: System::new(Side::Erp, manners[1], skews[1]),
            history: Vec::new(),
            effects: BTreeMap::new(),
            deletions: Vec::new(),
            returns: Vec::new(),
            removals: Vec::new(),
            put_back: BTreeSet::new(),
            shared_numbers: BTreeSet::new(),
            faults: Counts::new(),
            trace,
            clock,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Systems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Systems {
    pub(super) fn side(&mut self, side: Side) -> &mut System {
        match side {
            Side::Crm => &mut self.crm,
            Side::Erp => &mut self.erp,
        }
    }

    pub(super) fn at(&self, side: Side) -> &System {
        match side {
            Side::Crm => &self.crm,
            Side::Erp => &self.erp,
        }
    }

    pub(super) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// A transaction at a side.
    pub(super) fn commit(&mut self, side: Side, kind: Kind, id: Option<&str>, values: Vec<(String, Value)>, by: &By) -> String {
        let now = self.clock.load(Relaxed);
        let mut puts = Vec::new();
        let id = self.side(side).commit(now, kind, id, values, by, &mut puts);
        if let By::Write(write) = by
            && (!puts.is_empty() || kind == Kind::Order)
        {
            *self.effects.entry(write.clone()).or_default() += 1;
        }
        self.note(puts);
        id
    }

    fn note(&mut self, puts: Vec<Put>) {
        for put in puts {
            if put.by == By::Trigger {
                self.fault("trigger_fired");
            }
            let Put { side, id, field, value, by, .. } = &put;
            self.trace.note(format_args!("{side} {id} {} is {value:?} by {by:?}", FIELDS[*field].name));
            self.history.push(put);
        }
    }

    /// A person edits one field; false when there is no record.
    pub(super) fn edit(&mut self, edit: Edit) -> bool {
        let system = self.at(edit.side);
        let kind = FIELDS[edit.field].kind;
        let Some(id) = system.nth(kind, edit.record).cloned() else { return false };
        let value = system.typed(edit.field, edit.number);
        let column = FIELDS[edit.field].column(edit.side).to_owned();
        self.commit(edit.side, kind, Some(&id), vec![(column, value)], &By::Person);
        true
    }

    /// A person puts values back where a write has just been.
    pub(super) fn put_back(&mut self, side: Side, id: &str, values: Vec<(String, Value)>) {
        let Some(kind) = self.at(side).rows.get(id).map(|row| row.kind) else { return };
        self.fault("put_back");
        self.put_back.extend(values.iter().filter_map(|(column, _)| Some((id.to_owned(), field_of(kind, side, column)?))));
        self.commit(side, kind, Some(id), values, &By::Person);
    }

    /// Somebody deletes a row.
    pub(super) fn delete(&mut self, side: Side, id: &str, by: &By) -> bool {
        let now = self.clock.load(Relaxed);
        let before = self.history.len();
        let mut puts = Vec::new();
        let done = self.side(side).delete(now, id, by, &mut puts);
        if done {
            self.trace.note(format_args!("{side} {id} is deleted by {by:?}"));
            match by {
                By::Write(write) => {
                    *self.effects.entry(write.clone()).or_default() += 1;
                    self.removals.push((side, id.to_owned()));
                }
                By::Person | By::Trigger | By::Return => self.deletions.push((side, id.to_owned(), before)),
            }
            self.note(puts);
        }
        done
    }

    /// A person deletes a record.
    pub(super) fn drop_record(&mut self, side: Side, kind: Kind, record: u32) {
        let Some(id) = self.at(side).nth(kind, record).cloned() else { return };
        self.delete(side, &id, &By::Person);
    }

    /// A person deletes a record while another edits its counterpart, which both know by its number.
    pub(super) fn clash(&mut self, side: Side, kind: Kind, record: u32, number: u32) {
        let Some(id) = self.at(side).nth(kind, record).cloned() else { return };
        let known = self.at(side).rows.get(&id).and_then(|row| row.values.get(number_column(side))).cloned();
        self.delete(side, &id, &By::Person);
        let other = side.other();
        let same = |row: &Row| row.kind == kind && row.values.get(number_column(other)) == known.as_ref() && known.is_some();
        let counterpart = self.at(other).rows.iter().find(|(_, row)| same(row)).map(|(id, _)| id.clone());
        let field = fields(kind).map(|(index, _)| index).nth(number as usize % 2);
        if let (Some(counterpart), Some(field)) = (counterpart, field) {
            let value = self.at(other).typed(field, number);
            self.commit(other, kind, Some(&counterpart), vec![(FIELDS[field].column(other).to_owned(), value)], &By::Person);
        }
    }

    /// A person brings a deleted record back.
    pub(super) fn bring_back(&mut self, side: Side, record: u32) {
        let now = self.clock.load(Relaxed);
        let count = self.at(side).gone.len();
        let Some(id) = self.at(side).gone.keys().nth(record as usize % count.max(1)).cloned() else { return };
        let mut puts = Vec::new();
        if self.side(side).restore(now, &id, &mut puts) {
            self.fault("undelete");
            self.trace.note(format_args!("{side} {id} is back"));
            self.returns.push((side, id, self.history.len()));
            for put in &mut puts {
                // Whoever put it there still did.
                let same = |before: &&Put| before.side == side && before.id == put.id && before.field == put.field;
                if let Some(before) = self.history.iter().rev().find(same) {
                    put.by = if before.by == By::Person { By::Person } else { By::Return };
                    put.altered = before.altered;
                }
            }
            self.note(puts);
        }
    }

    /// A person merges two customers of the CRM: the loser's contacts go to the winner, and the loser is deleted.
    pub(super) fn merge(&mut self, winner: u32, loser: u32) {
        let system = self.at(Side::Crm);
        let (Some(winner), Some(loser)) = (system.nth(Kind::Customer, winner).cloned(), system.nth(Kind::Customer, loser).cloned()) else {
            return;
        };
        if winner == loser {
            return;
        }
        let children: Vec<String> = system.ids(Kind::Contact).filter(|child| system.refers(child, &loser)).cloned().collect();
        self.fault("crm_merge");
        let column = FIELDS[LINK].column(Side::Crm);
        for child in children {
            self.commit(Side::Crm, Kind::Contact, Some(&child), vec![(column.to_owned(), Value::text(&winner))], &By::Person);
        }
        self.delete(Side::Crm, &loser, &By::Person);
    }

    /// A person makes a record with a number of its own.
    pub(super) fn create(&mut self, side: Side, kind: Kind, number: &str, first: u32) {
        let system = self.at(side);
        let mut values = vec![(number_column(side).to_owned(), Value::text(number))];
        values.extend(fields(kind).map(|(index, field)| (field.column(side).to_owned(), system.typed(index, first))));
        values.retain(|(_, value)| !value.is_null());
        self.commit(side, kind, None, values, &By::Person);
    }
}
