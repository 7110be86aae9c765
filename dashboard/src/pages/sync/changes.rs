//! One line of the latest changes.

use crate::queries::At;
use crate::queries::audit::Entry;
use crate::show::{self, Shown, When, shown};

/// Columns shown of one change; the rest are counted.
const COLUMNS: usize = 3;

pub(super) struct ColumnView {
    pub(super) name: String,
    pub(super) before: Shown,
    pub(super) after: Shown,
}

pub(super) struct ChangeView {
    /// Where it can be taken back.
    pub(super) undo: String,
    pub(super) undone_by: Option<String>,
    pub(super) title: String,
    pub(super) kind: String,
    pub(super) side: String,
    pub(super) side_name: &'static str,
    pub(super) op: &'static str,
    pub(super) columns: Vec<ColumnView>,
    pub(super) more: usize,
    pub(super) altered: bool,
    pub(super) reason: String,
    pub(super) actor: String,
    /// The record whose conflict it settled.
    pub(super) settled: Option<String>,
    pub(super) when: When,
    pub(super) took: String,
}

impl ChangeView {
    pub(super) fn new(change: Entry, now: At) -> Self {
        let columns = change.columns.0;
        let more = columns.len().saturating_sub(COLUMNS);
        Self {
            undo: format!("/changes/{}/undo", show::path_escape(&change.id)),
            undone_by: change.undone_by,
            title: if change.title.is_empty() { change.record } else { change.title },
            kind: change.kind,
            side_name: show::side_name(&change.side),
            side: change.side,
            op: match change.op.as_str() {
                "create" => "created",
                "delete" => "deleted",
                _ => "changed",
            },
            columns: columns
                .into_iter()
                .take(COLUMNS)
                .map(|column| ColumnView {
                    name: if column.field.is_empty() { column.column } else { column.field.replace('_', " ") },
                    before: shown(Some(&column.before)),
                    after: shown(Some(&column.after)),
                })
                .collect(),
            more,
            altered: change.altered,
            // The reason usually names the actor; nobody needs to read the name twice.
            actor: change.actor.filter(|actor| !change.reason.contains(actor.as_str())).unwrap_or_default(),
            reason: change.reason,
            settled: change.conflict.map(|_| change.entity),
            when: When::new(change.at, now),
            took: show::millis((change.at.0 - change.caused_at.0).max(0) / 1000),
        }
    }
}
