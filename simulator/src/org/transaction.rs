//! Transactions: an undo log with savepoints, and the list of touched records that commit reports.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::value::Row;
use super::{Actor, State};
use crate::events;

/// An open transaction. Dropping it without commit or rollback keeps its changes unreported, so
/// every path ends in one of the two.
pub(crate) struct Transaction {
    pub(crate) actor: Actor,
    pub(crate) now: i64,
    /// Number of the transaction: source of its key.
    pub(crate) number: u64,
    undo: Vec<Undo>,
    pub(crate) records_written: u64,
}

struct Undo {
    object: usize,
    number: u64,
    before: Option<Row>,
}

/// A record a transaction changed: its state before, after the first change, and at the end.
pub(crate) struct Touched {
    pub(crate) object: usize,
    pub(crate) number: u64,
    pub(crate) before: Option<Row>,
    pub(crate) first: Option<Row>,
    pub(crate) after: Option<Row>,
}

impl State {
    pub(crate) fn begin(&mut self, actor: &Actor) -> Transaction {
        self.transactions += 1;
        Transaction { actor: actor.clone(), now: self.now(), number: self.transactions, undo: Vec::new(), records_written: 0 }
    }

    /// Writes a row and remembers what was there.
    pub(crate) fn put(&mut self, tx: &mut Transaction, object: usize, number: u64, row: Option<Row>) {
        let definition = Arc::clone(&self.objects[object]);
        let before = self.tables[object].put(&definition, number, row);
        tx.undo.push(Undo { object, number, before });
    }

    /// Undoes what was written since `savepoint`.
    pub(crate) fn rollback_to(&mut self, tx: &mut Transaction, savepoint: usize) {
        while tx.undo.len() > savepoint {
            if let Some(entry) = tx.undo.pop() {
                let definition = Arc::clone(&self.objects[entry.object]);
                self.tables[entry.object].put(&definition, entry.number, entry.before);
            }
        }
    }

    /// Ends the transaction and reports its changes as change events.
    pub(crate) fn commit(&mut self, tx: Transaction) {
        self.written += tx.records_written;
        let mut touched: Vec<Touched> = Vec::new();
        // Where a record stands, until it was changed again.
        let mut places: HashMap<(usize, u64), Option<usize>> = HashMap::new();
        for Undo { object, number, before } in tx.undo {
            match places.entry((object, number)) {
                Entry::Vacant(place) => {
                    let after = self.tables[object].get(number).cloned();
                    place.insert(Some(touched.len()));
                    touched.push(Touched { object, number, before, first: after.clone(), after });
                }
                Entry::Occupied(mut place) => {
                    if let Some(one) = place.get_mut().take().and_then(|place| touched.get_mut(place)) {
                        one.first = before;
                    }
                }
            }
        }
        if !touched.is_empty() {
            self.commit_number += 7;
            events::publish_changes(self, &tx.actor, tx.number, tx.now, touched);
        }
    }

    /// Runs `work` in `outer` if there is one, else in a transaction of its own that is committed.
    pub(crate) fn within<R>(
        &mut self,
        actor: &Actor,
        outer: Option<&mut Transaction>,
        work: impl FnOnce(&mut Self, &mut Transaction) -> R,
    ) -> R {
        match outer {
            Some(tx) => work(self, tx),
            None => {
                let mut tx = self.begin(actor);
                let result = work(self, &mut tx);
                self.commit(tx);
                result
            }
        }
    }
}

impl Transaction {
    pub(crate) fn savepoint(&self) -> usize {
        self.undo.len()
    }
}
