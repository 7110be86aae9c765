//! `concord bench matching`: how well records without a common key are matched, on public labelled sets, and what one
//! look-up costs among a million customers.
//!
//! Nothing is learnt from the labels: weights and thresholds are estimated from each set's own records, and the labels only
//! count what came out.

mod customer;
mod datasets;
mod lookup;
mod sets;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

pub use lookup::{LookUpReport, look_up};
use reconcile::matching::cluster::{ScoredPair, groups, one_to_one};
use reconcile::matching::estimate::{PairOf, Pool, estimate};
use reconcile::matching::{CompareField, Scorer};
pub use sets::{NAMES, load};

/// What is measured: every set, and one look-up among many customers.
#[derive(Debug, Clone, serde::Serialize)]
pub struct MatchingReport {
    /// By set.
    pub sets: BTreeMap<String, SetReport>,
    /// 99 of 100 look-ups take less.
    pub lookup_p99_ms: f64,
    /// Share of the customers nobody has that a person would be asked about all the same.
    pub strangers_for_review: f64,
    /// More about look-ups.
    pub lookup: LookUpReport,
}

/// How one set came out.
#[derive(Debug, Clone, serde::Serialize)]
pub struct SetReport {
    /// Share of the linked pairs that are of one entity.
    pub precision: f64,
    /// Share of the pairs of one entity that are linked.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Share of the pairs linked without asking that are of one entity.
    pub auto_precision: f64,
    /// Share of the pairs of one entity that are linked without asking.
    pub auto_recall: f64,
    /// Reading, estimating, comparing, deciding.
    pub seconds: f64,
    /// Records.
    pub records: usize,
    /// Pairs of one entity, by the labels.
    pub pairs: usize,
    /// Pairs that were compared.
    pub comparisons: usize,
    /// Share of the pairs of one entity among them.
    pub blocking_recall: f64,
    /// Pairs linked without asking.
    pub automatic: usize,
    /// Pairs a person would be shown.
    pub review: usize,
    /// Share of the pairs of one entity that are linked without asking or shown.
    pub review_recall: f64,
}

/// A set of labelled records.
#[derive(Debug, Clone)]
pub struct LabelledSet {
    /// What is compared.
    pub fields: Vec<CompareField>,
    /// The records.
    pub pool: Pool,
    /// The pairs of one entity.
    pub truth: BTreeSet<PairOf>,
}

/// Everything.
///
/// # Errors
/// When a set cannot be fetched, or the disk is full.
pub fn matching(customers: usize, say: &dyn Fn(String)) -> anyhow::Result<MatchingReport> {
    let mut sets = BTreeMap::new();
    for name in NAMES {
        let started = Instant::now();
        let set = load(name, say)?;
        let report = measure(&set, started);
        say(format!(
            "{name}: F1 {:.4} (precision {:.4}, recall {:.4}), without asking {:.4} of {}, for review {}, {:.1} s",
            report.f1, report.precision, report.recall, report.auto_precision, report.automatic, report.review, report.seconds
        ));
        sets.insert(name.to_owned(), report);
    }
    let lookup = look_up(customers, say)?;
    Ok(MatchingReport { sets, lookup_p99_ms: lookup.times.p99_ms, strangers_for_review: lookup.strangers_for_review, lookup })
}

/// Matches a set as new records would be, and counts by its labels what came out.
pub fn measure(set: &LabelledSet, started: Instant) -> SetReport {
    let LabelledSet { fields, pool, truth } = set;
    let estimate = estimate(fields, pool, |_| {});
    let thresholds = estimate.weights.thresholds;
    let scorer = Scorer::of(fields, &estimate.weights);
    let blocked = pool.blocked(&scorer, |_| {});
    let score = |one: usize, other: usize| match (pool.records.get(one), pool.records.get(other)) {
        (Some(left), Some(right)) => scorer.compare(left, right).score,
        _ => f64::NEG_INFINITY,
    };
    let scored: Vec<ScoredPair> = blocked.pairs.iter().map(|pair| ScoredPair { pair: *pair, score: score(pair.0, pair.1) }).collect();
    let link = |least: f64| -> BTreeSet<PairOf> {
        match pool.across {
            Some(_) => one_to_one(&scored, least).into_iter().map(|link| link.pair).collect(),
            None => groups(&scored, least, score).iter().flat_map(|group| pairs_of(group)).collect(),
        }
    };
    let linked = link(estimate.even());
    let automatic = link(thresholds.automatic);
    let right = |pairs: &BTreeSet<PairOf>| pairs.intersection(truth).count();
    let share = |part: usize, whole: usize| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    let (precision, recall) = (share(right(&linked), linked.len()), share(right(&linked), truth.len()));
    let shown: BTreeSet<PairOf> =
        scored.iter().filter(|pair| pair.score >= thresholds.review && !automatic.contains(&pair.pair)).map(|pair| pair.pair).collect();
    SetReport {
        precision,
        recall,
        f1: if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 },
        auto_precision: share(right(&automatic), automatic.len()),
        auto_recall: share(right(&automatic), truth.len()),
        seconds: started.elapsed().as_secs_f64(),
        records: pool.records.len(),
        pairs: truth.len(),
        comparisons: blocked.pairs.len(),
        blocking_recall: share(blocked.pairs.iter().filter(|pair| truth.contains(pair)).count(), truth.len()),
        automatic: automatic.len(),
        review: shown.len(),
        review_recall: share(right(&automatic) + right(&shown), truth.len()),
    }
}

/// All pairs within a group.
fn pairs_of(group: &[usize]) -> impl Iterator<Item = PairOf> + '_ {
    group.iter().enumerate().flat_map(move |(at, one)| group.iter().skip(at + 1).map(move |other| (*one.min(other), *one.max(other))))
}
