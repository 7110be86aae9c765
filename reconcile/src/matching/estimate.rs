//! Weights from records without labels.
//!
//! - Shares of common values are counted.
//! - `u` is what pairs drawn evenly from all records agree in: almost none of them are of one entity.
//! - `m` comes from expectation and maximisation over the pairs that share blocks: how likely each is of one entity by the
//!   weights so far, then new weights from that, until nothing moves (Winkler, 1988).
//! - Which fields go together is counted on pairs that agree in one of them, as far as they are of two entities.
//!
//! Nothing is drawn by chance: the same records in the same order give the same weights.

mod count;
mod given;
mod learn;
mod pool;

pub use pool::{Blocked, Index, PairOf, Pool};

use std::collections::BTreeMap;

use count::Tally;
use given::Known;
use learn::{Learned, Seen};

use super::builtin;
use super::kind::Level;
use super::overlap::Overlaps;
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

/// How often it is counted which fields go together and learnt from that what agreement is worth.
const ROUNDS: usize = 2;

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
    let random = count::patterns(&scorer, pool, &count::random_pairs(pool));
    let anywhere = Tally::of(fields, &random);
    progress(0.6);
    let near = count::patterns(&scorer, pool, &blocked.pairs);
    progress(0.8);
    let alike: Vec<_> = (0..fields.len()).map(|index| count::patterns(&scorer, pool, &count::alike_pairs(pool, index))).collect();
    progress(0.9);

    let by_chance = anywhere.rates(fields, |field, level| builtin::rate(field.kind, level).u, 1.0);
    let guess = Tally::new(fields).rates(fields, |field, level| builtin::rate(field.kind, level).m, 1.0);
    // As many pairs of one entity as there are records, until more is known.
    let mut found = Learned { m: guess, matches: total, rounds: 0 };
    let mut u = by_chance.clone();
    for round in 0..ROUNDS {
        let so_far = (round > 0).then(|| overlaps(fields, &weights, &found.m));
        let known = Known { fields, m: &found.m, u: &u, even: even(prior(pool, &found)), overlaps: so_far };
        for field in weights.fields.values_mut() {
            field.given.clear();
        }
        for (index, (field, alike)) in fields.iter().zip(&alike).enumerate() {
            for (other, levels) in known.beside(index, &[&random, alike]) {
                if let Some(entry) = fields.get(other).and_then(|other| weights.fields.get_mut(&other.name)) {
                    entry.given.insert(field.name.clone(), levels);
                }
            }
        }
        let known = Known { overlaps: Some(overlaps(fields, &weights, &found.m)), ..known };
        let seen: Vec<Seen<'_>> = near.iter().map(|(pattern, count)| Seen { pattern, count: *count, kept: known.kept(pattern) }).collect();
        let learned = learn::learn(fields, &seen, &by_chance);
        // Some of the random pairs are of one entity; what they agree in is not by chance.
        u = anywhere.without(&learned.m, prior(pool, &learned));
        found = Learned { rounds: found.rounds + learned.rounds, ..learned };
    }
    let prior = prior(pool, &found);
    for ((field, m), u) in fields.iter().zip(&found.m).zip(&u) {
        let levels: BTreeMap<_, _> =
            field.kind.levels().iter().zip(m.iter().zip(u)).map(|(level, (m, u))| (*level, Rate { m: *m, u: *u })).collect();
        if let Some(entry) = weights.fields.get_mut(&field.name) {
            entry.levels = levels;
        }
    }
    weights.thresholds = thresholds(prior);
    progress(1.0);
    Estimate { weights, prior, compared: blocked.pairs.len(), rounds: found.rounds }
}

/// Share of the pairs of one entity among all.
fn prior(pool: &Pool, learned: &Learned) -> f64 {
    (learned.matches / pool.pairs().max(1.0)).clamp(1e-12, 0.5)
}

/// What fields say beyond one another by the shares found so far.
fn overlaps(fields: &[CompareField], weights: &Weights, m: &[Vec<f64>]) -> Overlaps {
    let rate = |index: usize, level: Level| {
        let at = fields.get(index).and_then(|field| field.kind.levels().iter().position(|known| *known == level));
        at.and_then(|at| m.get(index)?.get(at).copied()).unwrap_or(0.0)
    };
    Overlaps::of(fields, weights, rate)
}

/// The thresholds for records of which any two are one entity with some probability.
fn thresholds(prior: f64) -> Thresholds {
    let odds = |sure: f64| (sure / (1.0 - sure)).log2();
    let even = even(prior);
    Thresholds { automatic: even + odds(AUTOMATIC), review: even + odds(REVIEW), lead: odds(LEAD) }
}

/// The score at which a pair is as likely of one entity as of two.
fn even(prior: f64) -> f64 {
    -(prior / (1.0 - prior)).log2()
}

impl Estimate {
    /// The score at which a pair is as likely of one entity as of two.
    pub fn even(&self) -> f64 {
        even(self.prior)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::kind::Kind;
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
    fn which_fields_go_together_is_learnt_too() {
        let field = |name: &str, kind| CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with: None };
        let fields = vec![
            field("name", Kind::Organisation),
            field("postcode", Kind::Postcode),
            field("city", Kind::Locality),
            field("tax id", Kind::TaxId),
        ];
        // A place has one postcode; names and tax ids have nothing to do with it. Each third company is there twice.
        let syllables = ["bra", "den", "fol", "gri", "hum", "jas", "kle", "lom", "mir", "nog", "pas", "rul", "sti"];
        let word = |at: usize| format!("{}{}{}", syllables[at % 13], syllables[at / 13 % 13], syllables[(at * 7 + 3) % 13]);
        let mut records = Vec::new();
        for at in 0..1_500_usize {
            let area = at * 31 % 75;
            let texts =
                [word(at), format!("{:05}", 10_000 + area * 137), word(area * 19), format!("DE{:09}", (at * 7_919_777) % 999_999_937)];
            for _ in 0..1 + usize::from(at % 3 == 0) {
                records.push(Prepared::from_texts(&fields, texts.iter().map(String::as_str)));
            }
        }
        let pool = Pool { records, across: None };
        let found = estimate(&fields, &pool, |_| {});
        let share =
            |field: &str, other: &str| found.weights.fields[field].given.get(other)?.get(&Level::Equal)?.get(&Level::Equal).copied();
        assert!(share("city", "postcode").is_some_and(|share| share > 0.9), "{:?}", found.weights.fields["city"].given);
        assert!(share("postcode", "city").is_some_and(|share| share > 0.9), "{:?}", found.weights.fields["postcode"].given);
        for field in ["name", "tax id"] {
            assert_eq!((share(field, "postcode"), share("postcode", field)), (None, None), "{field}");
        }
        let scorer = Scorer::of(&fields, &found.weights);
        let score = |left: [&str; 4], right: [&str; 4]| {
            scorer.compare(&Prepared::from_texts(&fields, left), &Prepared::from_texts(&fields, right)).score
        };
        let city = word(19);
        let neighbour = score(["Acme", "10137", &city, "DE1"], ["Zenith", "10137", &city, "DE2"]);
        let without = score(["Acme", "10137", "", "DE1"], ["Zenith", "10137", "", "DE2"]);
        assert!((neighbour - without).abs() < 0.5, "{neighbour} {without}");
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
