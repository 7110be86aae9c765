//! Which rows a batch of writes changed, for whoever reads the change stream.
//!
//! They are told in one message before the commit, sent together with it; keys of new rows are known only then. Rows that a
//! trigger or a foreign key changed on its own are not among them.

use std::sync::Arc;

use schemas::stamp::Stamp;

use super::catalog::Table;
use super::plan::record_id;
use crate::writer::Job;

/// Puts the text into the stream of the transaction.
pub(crate) const EMIT: &str = "SELECT pg_catalog.pg_logical_emit_message(true, $1::text, $2::text)";

/// Rows changed so far, in the order of the changes.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    rows: Vec<(Arc<Table>, String, usize)>,
}

impl Touched {
    /// The write of this place in the batch has changed, made or removed the row with this key.
    pub(crate) fn row(&mut self, table: &Arc<Table>, key: &[Option<String>], job: usize) {
        if let Some(record) = record_id(key.to_vec()) {
            self.rows.push((table.clone(), record, job));
        }
    }

    /// How many there are, to come back to.
    pub(crate) fn mark(&self) -> usize {
        self.rows.len()
    }

    /// What came after the mark was rolled back.
    pub(crate) fn back_to(&mut self, mark: usize) {
        self.rows.truncate(mark);
    }

    /// What the message says; none when nothing was changed.
    pub(crate) fn text(self, jobs: &[Job]) -> Option<String> {
        let stamp = |(table, record, job): (Arc<Table>, String, usize)| {
            Some(Stamp { object: table.object.clone(), record, write: jobs.get(job)?.write.id.clone() })
        };
        let mut stamps: Vec<Stamp> = self.rows.into_iter().filter_map(stamp).collect();
        // A write that changes one row twice (a reference to a new row, then a column) says so once.
        let mut said = std::collections::BTreeSet::new();
        stamps.retain(|stamp| said.insert(stamp.clone()));
        (!stamps.is_empty()).then(|| schemas::stamp::text(&stamps))
    }
}
