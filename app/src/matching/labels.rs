//! Pairs that a person has labelled, and how well scores agree with them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use reconcile::matching::estimate::PairOf;

use super::csv::{CsvError, Table};

/// Labelled pairs: true for one entity.
pub(super) struct Labels {
    pub(super) pairs: BTreeMap<PairOf, bool>,
    /// Pairs of two entities were labelled too; otherwise every pair that is not listed is one of two entities.
    pub(super) both: bool,
}

/// Precision and recall from one score on.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Quality {
    /// Score, bits.
    pub(super) from: f64,
    /// Share of the pairs from there on that are of one entity.
    pub(super) precision: f64,
    /// Share of the pairs of one entity that are there.
    pub(super) recall: f64,
}

/// Reads a file of two ids, and 1 or 0 when it has a third column. `place` finds the record of an id in a file's records.
pub(super) fn read(file: &Path, place: impl Fn(&str, usize) -> Option<usize>) -> anyhow::Result<Labels> {
    let table = Table::read(file)?;
    if table.columns.len() < 2 {
        bail!(
            "{}, line 1: two columns with ids are needed, and a third with 1 or 0 if there are pairs of two entities too",
            file.display()
        );
    }
    let wrong = |line, column, reason: String| CsvError { file: file.to_owned(), at: Some((line, column)), reason };
    let mut labels = Labels { pairs: BTreeMap::new(), both: false };
    for (line, row) in &table.rows {
        let id = |at: usize| row.get(at).map_or("", |id| id.trim());
        let record =
            |at: usize| place(id(at), at).ok_or_else(|| wrong(*line, at + 1, format!("there is no record with the id {:?}", id(at))));
        let (one, other) = (record(0)?, record(1)?);
        let same = match row.get(2).map(|label| label.trim().to_lowercase()).as_deref() {
            None | Some("" | "1" | "true" | "yes" | "match" | "same") => true,
            Some("0" | "false" | "no" | "distinct" | "different") => false,
            Some(label) => return Err(wrong(*line, 3, format!("{label:?} is not 1 or 0"))).context("reading the labelled pairs"),
        };
        labels.both |= !same;
        labels.pairs.insert((one.min(other), one.max(other)), same);
    }
    if !labels.pairs.values().any(|same| *same) {
        bail!("{}: no pair is labelled as one entity", file.display());
    }
    Ok(labels)
}

impl Labels {
    /// Precision and recall of the scored pairs from a score on. Pairs that were never compared count as not found.
    pub(super) fn quality(&self, scored: &BTreeMap<PairOf, f64>, from: f64) -> Quality {
        let all = self.pairs.values().filter(|same| **same).count();
        let (mut right, mut wrong) = (0_usize, 0_usize);
        for (pair, _) in scored.iter().filter(|(_, score)| **score >= from) {
            match self.pairs.get(pair) {
                Some(true) => right += 1,
                Some(false) => wrong += 1,
                None => wrong += usize::from(!self.both),
            }
        }
        let found = right + wrong;
        Quality { from, precision: if found == 0 { 1.0 } else { right as f64 / found as f64 }, recall: right as f64 / all.max(1) as f64 }
    }
}
