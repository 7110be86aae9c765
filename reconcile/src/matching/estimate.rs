//! Weights from records without labels.
//!
//! - Shares of common values are counted.
//! - `u` is what pairs drawn evenly from all records agree in: almost none of them are of one entity.
//! - `m` comes from expectation and maximisation over the pairs that share blocks: how likely each is of one entity by the
//!   weights so far, then new weights from that, until nothing moves (Winkler, 1988).
//!
//! Nothing is drawn by chance: the same records in the same order give the same weights.

mod count;
mod learn;
mod pool;

pub use pool::{Blocked, Index, PairOf, Pool};

use std::collections::BTreeMap;

use count::Tally;

use super::builtin;
use super::rules::CompareField;
use super::score::Scorer;
use super::weights::{Rate, Thresholds, Weights};

/// Estimated weights and how they came about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Estimate {
    /// The weights with thresholds.
    pub weights: Weights,
    /// Share of matches among all pairs.
    pub prior: f64,
    /// Pairs compared.
    pub compared: usize,
    /// Rounds until nothing moved.
    pub rounds: usize,
}

/// Surer than this, and a pair matches without asking.
const AUTOMATIC: f64 = 0.9999;

/// Less likely than this, and nobody is asked.
const REVIEW: f64 = 0.02;

/// How much likelier than the next best a match without asking is.
const LEAD: f64 = 0.99;

/// Estimates the weights of some fields from records. `progress` hears how much of the work is done, 0 to 1.
pub fn estimate(fields: &[CompareField], pool: &Pool, mut progress: impl FnMut(f64)) -> Estimate {
    let mut weights = Weights { fields: count::frequencies(fields, pool), thresholds: Thresholds::default() };
    let scorer = Scorer::of(fields, &weights);
    let total = pool.records.len().max(1) as f64;
    let blocked = pool.blocked(&scorer, |at| progress(0.4 * at as f64 / total));
    let random = count::random_pairs(pool);
    let anywhere = Tally::of(fields, &count::patterns(&scorer, pool, &random));
    progress(0.6);
    let near = count::patterns(&scorer, pool, &blocked.pairs);
    progress(0.9);
    let learned = learn::learn(fields, &near, &anywhere.rates(fields, |field, level| builtin::rate(field.kind, level).u, 1.0));
    let prior = (learned.matches / pool.pairs().max(1.0)).clamp(1e-12, 0.5);
    // Some of the random pairs are of one entity; what they agree in is not by chance.
    let u = anywhere.without(&learned.m, prior);
    for ((field, m), u) in fields.iter().zip(&learned.m).zip(&u) {
        let levels: BTreeMap<_, _> =
            field.kind.levels().iter().zip(m.iter().zip(u)).map(|(level, (m, u))| (*level, Rate { m: *m, u: *u })).collect();
        if let Some(entry) = weights.fields.get_mut(&field.name) {
            entry.levels = levels;
        }
    }
    weights.thresholds = thresholds(prior);
    progress(1.0);
    Estimate { weights, prior, compared: blocked.pairs.len(), rounds: learned.rounds }
}

/// The thresholds for records of which any two are one entity with some probability.
fn thresholds(prior: f64) -> Thresholds {
    let odds = |sure: f64| (sure / (1.0 - sure)).log2();
    let even = -odds(prior);
    Thresholds { automatic: even + odds(AUTOMATIC), review: even + odds(REVIEW), lead: odds(LEAD) }
}

impl Estimate {
    /// The score at which a pair is as likely of one entity as of two.
    pub fn even(&self) -> f64 {
        -(self.prior / (1.0 - self.prior)).log2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::kind::{Kind, Level};
    use crate::matching::prepare::Prepared;

    /// People, every second one a copy of the one before with a slip in the surname.
    fn people() -> (Vec<CompareField>, Pool) {
        let field = |name: &str, kind| CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with: None };
        let fields =
            vec![field("first", Kind::GivenName), field("last", Kind::Surname), field("birth", Kind::Date), field("city", Kind::Locality)];
        let firsts = ["anna", "peter", "maria", "james", "helen", "oscar", "ruth"];
        let lasts = ["miller", "schmidt", "rossi", "garcia", "nowak", "jansen", "dupont", "larsson", "kowalski", "silva", "berg"];
        let mut records = Vec::new();
        for at in 0..300_usize {
            let birth = format!("{}-{:02}-{:02}", 1930 + at % 71, 1 + at * 7 % 12, 1 + at * 13 % 28);
            let city = format!("town{}", at % 23);
            let last = lasts[at % 11];
            let slipped = if at % 4 == 0 { format!("{last}x") } else { last.to_owned() };
            for last in [last, &slipped] {
                records.push(Prepared::from_texts(&fields, [firsts[at % 7], last, &birth, &city]));
            }
        }
        (fields, Pool { records, across: None })
    }

    #[test]
    fn weights_are_learnt_without_labels_and_are_the_same_every_time() {
        let (fields, pool) = people();
        let found = estimate(&fields, &pool, |_| {});
        assert_eq!(found, estimate(&fields, &pool, |_| {}));
        let last = &found.weights.fields["last"].levels;
        assert!((last[&Level::Equal].m - 0.75).abs() < 0.05 && (last[&Level::Close].m - 0.25).abs() < 0.05, "{last:?}");
        assert!((last[&Level::Equal].u - 1.0 / 11.0).abs() < 0.03, "{last:?}");
        let matches = found.prior * pool.pairs();
        assert!((matches - 300.0).abs() < 30.0, "{matches}");
        assert!(found.weights.thresholds.review < found.weights.thresholds.automatic);
    }

    #[test]
    fn few_records_are_no_reason_to_fail() {
        let (fields, pool) = people();
        for count in 0..3 {
            let few = Pool { records: pool.records.iter().take(count).cloned().collect(), across: None };
            assert!(estimate(&fields, &few, |_| {}).weights.thresholds.automatic.is_finite());
        }
    }
}
