//! The chart of edits per minute: to the ERP above the line, to Salesforce below it, conflicts on it.

use crate::queries::flow::{Direction, Flow, MINUTES};

/// Size of the drawing in its own units; the page stretches it.
const WIDTH: f64 = 600.0;
const MIDDLE: f64 = 62.0;
const REACH: f64 = 54.0;
/// So that two edits in an hour do not look like a flood.
const LEAST_SCALE: i64 = 10;
const MAX_MARKS: usize = 60;

/// Paths and the sentence that says the same in words.
#[derive(Debug, Clone)]
pub(crate) struct Tide {
    /// Into the ERP.
    pub(crate) up: String,
    /// Into Salesforce.
    pub(crate) down: String,
    /// Places of conflicts, in percent of the width.
    pub(crate) marks: Vec<String>,
    pub(crate) sentence: String,
    /// True when nothing was carried across.
    pub(crate) empty: bool,
}

impl Tide {
    pub(crate) fn new(flow: &Flow) -> Self {
        let (to_crm, to_erp) = (series(&flow.to_crm), series(&flow.to_erp));
        let top = to_crm.iter().chain(&to_erp).copied().max().unwrap_or(0).max(LEAST_SCALE);
        let conflicts: Vec<i64> = flow.to_crm.minutes.iter().zip(&flow.to_erp.minutes).map(|(a, b)| a.conflicts + b.conflicts).collect();
        let marks = conflicts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .take(MAX_MARKS)
            .map(|(nth, _)| format!("{:.1}%", place(nth) / WIDTH * 100.0))
            .collect();
        let found: i64 = conflicts.iter().sum();
        Self {
            up: path(&to_erp, top, -1.0),
            down: path(&to_crm, top, 1.0),
            marks,
            sentence: format!(
                "Edits per minute over the last hour. Salesforce to ERP {}, ERP to Salesforce {}. {} found.",
                range(&to_erp),
                range(&to_crm),
                super::plural(found, "conflict was", "conflicts were"),
            ),
            empty: flow.to_crm.confirmed() + flow.to_erp.confirmed() == 0,
        }
    }
}

/// Edits by minute. The running minute has not seen all of its edits yet; the last sixty seconds stand for it.
fn series(direction: &Direction) -> Vec<i64> {
    let mut counts: Vec<i64> = direction.minutes.iter().map(|minute| minute.confirmed).collect();
    if let Some(last) = counts.last_mut() {
        *last = direction.per_minute;
    }
    counts
}

fn range(counts: &[i64]) -> String {
    match (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0)) {
        (_, 0) => "none".to_owned(),
        (low, high) if low == high => format!("{high} each minute"),
        (low, high) => format!("between {low} and {high}"),
    }
}

fn place(nth: usize) -> f64 {
    nth as f64 * WIDTH / (MINUTES - 1) as f64
}

fn path(counts: &[i64], top: i64, sign: f64) -> String {
    let mut out = format!("M0 {MIDDLE}");
    for (nth, count) in counts.iter().enumerate() {
        let height = MIDDLE + sign * REACH * *count as f64 / top as f64;
        out.push_str(&format!("L{:.1} {height:.1}", place(nth)));
    }
    out.push_str(&format!("L{WIDTH} {MIDDLE}Z"));
    out
}
