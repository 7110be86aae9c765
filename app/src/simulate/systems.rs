//! Both systems, everything that ever stood in them, and the people who edit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::Value;
use schemas::message::Side;

use super::plant::Plant;
use super::system::{By, Edit, FIELDS, Manner, Put, System, number_column};
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
    pub(super) faults: Counts,
    pub(super) plant: Option<Plant>,
    pub(super) trace: Trace,
    clock: Arc<AtomicI64>,
}

/// Both systems, shared by the actors around them.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Systems>>);

impl Shared {
    pub(super) fn new(manners: [Manner; 2], skews: [i64; 2], clock: Arc<AtomicI64>, trace: Trace, plant: Option<Plant>) -> Self {
        Self(Arc::new(Mutex::new(Systems {
            crm: System::new(Side::Crm, manners[0], skews[0]),
            erp: System::new(Side::Erp, manners[1], skews[1]),
            history: Vec::new(),
            effects: BTreeMap::new(),
            deletions: Vec::new(),
            faults: Counts::new(),
            plant,
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
    pub(super) fn commit(&mut self, side: Side, id: Option<&str>, values: Vec<(String, Value)>, by: &By) -> String {
        let now = self.clock.load(Relaxed);
        let mut puts = Vec::new();
        let id = self.side(side).commit(now, id, values, by, &mut puts);
        if let By::Write(write) = by
            && !puts.is_empty()
        {
            *self.effects.entry(write.clone()).or_default() += 1;
        }
        for put in puts {
            if put.by == By::Trigger {
                self.fault("trigger_fired");
            }
            self.trace.note(format_args!("{side} {id} {} is {:?} by {:?}", FIELDS[put.field].name, put.value, put.by));
            self.history.push(put);
        }
        id
    }

    /// A person edits one field; false when there is no record or nothing changes.
    pub(super) fn edit(&mut self, edit: Edit) -> bool {
        let system = self.at(edit.side);
        let count = system.rows.len();
        if count == 0 {
            return false;
        }
        let Some(id) = system.rows.keys().nth(edit.record as usize % count).cloned() else { return false };
        let value = system.typed(edit.field, edit.number);
        let column = FIELDS[edit.field].column(edit.side).to_owned();
        self.commit(edit.side, Some(&id), vec![(column, value)], &By::Person);
        true
    }

    /// Somebody deletes a row.
    pub(super) fn delete(&mut self, side: Side, id: &str, by: &By) -> bool {
        let now = self.clock.load(Relaxed);
        let done = self.side(side).delete(now, id, *by != By::Person);
        if done {
            self.trace.note(format_args!("{side} {id} is deleted by {by:?}"));
            match by {
                By::Write(write) => *self.effects.entry(write.clone()).or_default() += 1,
                By::Person | By::Trigger => self.deletions.push((side, id.to_owned(), self.history.len())),
            }
        }
        done
    }

    /// A person deletes a record.
    pub(super) fn drop_record(&mut self, side: Side, record: u32) {
        let rows = &self.at(side).rows;
        let Some(id) = rows.keys().nth(record as usize % rows.len().max(1)).cloned() else { return };
        self.delete(side, &id, &By::Person);
    }

    /// A person makes a record with a number of its own.
    pub(super) fn create(&mut self, side: Side, number: &str, first: u32) {
        let system = self.at(side);
        let mut values = vec![(number_column(side).to_owned(), Value::text(number))];
        values.extend(FIELDS.iter().enumerate().map(|(index, field)| (field.column(side).to_owned(), system.typed(index, first))));
        self.commit(side, None, values, &By::Person);
    }
}
