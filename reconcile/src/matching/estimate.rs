//! Weights from records without labels.
//!
//! - Shares of common values are counted.
//! - `u` is what pairs drawn evenly from all records agree in: almost none of them are of one entity.
//! - `m` comes from expectation and maximisation over the pairs that share blocks: how likely each is of one entity by the
//!   weights so far, then new weights from that, until nothing moves (Winkler, 1988).
//!
//! Nothing is drawn by chance: the same records in the same order give the same weights.

use std::collections::{BTreeMap, BTreeSet};

use super::block::{BlockKey, Blocks, candidates, joins};
use super::builtin;
use super::kind::Level;
use super::prepare::Prepared;
use super::rules::CompareField;
use super::score::Scorer;
use super::weights::{FieldWeights, Rate, Thresholds, Weights};

/// Random pairs that `u` is counted on, at most.
const RANDOM_PAIRS: u64 = 1_000_000;

/// Rounds of expectation and maximisation, at most.
const MAX_ROUNDS: usize = 200;

/// A round that moves no rate by more than this is the last.
const STILL: f64 = 1e-6;

/// Values of a field whose shares are kept, at most.
const MAX_COMMON: usize = 2_000;

/// A value that fewer records than this have is rare.
const COMMON_FROM: u32 = 2;

/// Records to learn from: one file against itself, or the records from `across` on against those before.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// All records.
    pub records: Vec<Prepared>,
    /// Position of the first record of the second file, if there are two.
    pub across: Option<usize>,
}

/// Two records, by position; the first is the earlier.
pub type PairOf = (usize, usize);

impl Pool {
    /// Whether two records may be of one entity at all.
    pub fn comparable(&self, one: usize, other: usize) -> bool {
        one != other && self.across.is_none_or(|across| (one < across) != (other < across))
    }

    /// How many pairs could be compared.
    pub fn pairs(&self) -> f64 {
        let count = self.records.len() as f64;
        match self.across {
            None => count * (count - 1.0) / 2.0,
            Some(across) => across as f64 * (count - across as f64),
        }
    }

    /// The pairs that share blocks, as a stream of new records would meet them.
    pub fn blocked(&self, scorer: &Scorer, mut progress: impl FnMut(usize)) -> Blocked {
        let mut index = Index::default();
        let mut found = Blocked::default();
        for (at, record) in self.records.iter().enumerate() {
            progress(at);
            let keys = scorer.block_keys(record);
            let Ok(near) = candidates(&keys, &mut index);
            found.full += near.full;
            found.dropped += near.dropped;
            found.pairs.extend(near.members.into_iter().filter(|other| self.comparable(*other, at)).map(|other| (other, at)));
            index.add(&keys, at);
        }
        found
    }
}

/// What blocking left to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocked {
    /// Pairs to compare.
    pub pairs: Vec<PairOf>,
    /// Times a block was full.
    pub full: usize,
    /// Candidates left out because there were too many.
    pub dropped: usize,
}

/// Blocks in memory.
#[derive(Debug, Default)]
pub struct Index {
    blocks: BTreeMap<String, Vec<usize>>,
}

impl Index {
    /// Puts a record into its blocks.
    pub fn add(&mut self, keys: &[BlockKey], record: usize) {
        let Ok(joined) = joins(keys, self);
        for block in joined {
            self.blocks.entry(block).or_default().push(record);
        }
    }
}

impl Blocks for Index {
    type Member = usize;
    type Error = std::convert::Infallible;

    fn members(&mut self, block: &str) -> Result<Vec<usize>, Self::Error> {
        Ok(self.blocks.get(block).cloned().unwrap_or_default())
    }
}

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

/// Estimates the weights of some fields from records. `progress` hears how much of the work is done, 0 to 1.
pub fn estimate(fields: &[CompareField], pool: &Pool, mut progress: impl FnMut(f64)) -> Estimate {
    let mut weights = Weights { fields: frequencies(fields, pool), thresholds: Thresholds::default() };
    let scorer = Scorer::of(fields, &weights);
    let count = pool.records.len().max(1) as f64;
    let blocked = pool.blocked(&scorer, |at| progress(0.4 * at as f64 / count));
    let random = random_pairs(pool);
    let u = rates(fields, &scorer, pool, &random);
    progress(0.6);
    let patterns = patterns(&scorer, pool, &blocked.pairs);
    progress(0.9);
    let learned = learn(fields, &patterns, &u);
    for ((field, m), u) in fields.iter().zip(&learned.m).zip(&u) {
        let levels = field.kind.levels().iter().zip(m.iter().zip(u)).map(|(level, (m, u))| (*level, Rate { m: *m, u: *u })).collect();
        if let Some(entry) = weights.fields.get_mut(&field.name) {
            entry.levels = levels;
        }
    }
    let prior = (learned.matches / pool.pairs().max(1.0)).clamp(1e-12, 0.5);
    let even = -(prior / (1.0 - prior)).log2();
    let odds = |sure: f64| (sure / (1.0 - sure)).log2();
    weights.thresholds = Thresholds { automatic: even + odds(0.9999), review: even + odds(0.02), lead: odds(0.99) };
    progress(1.0);
    Estimate { weights, prior, compared: blocked.pairs.len(), rounds: learned.rounds }
}

/// Shares of the values that several records have.
fn frequencies(fields: &[CompareField], pool: &Pool) -> BTreeMap<String, FieldWeights> {
    let mut all = BTreeMap::new();
    for (index, field) in fields.iter().enumerate() {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        let mut with = 0_u32;
        for form in pool.records.iter().filter_map(|record| record.form(index)) {
            with += 1;
            let distinct: BTreeSet<&str> = form.words().iter().map(String::as_str).collect();
            for word in distinct {
                *counts.entry(word).or_default() += 1;
            }
        }
        let total = f64::from(with.max(1));
        let mut ranked: Vec<(u32, &str)> = counts
            .into_iter()
            .filter(|(_, count)| *count >= COMMON_FROM && field.kind.counts_frequency())
            .map(|(word, count)| (count, word))
            .collect();
        ranked.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(right.1)));
        ranked.truncate(MAX_COMMON);
        // What is cut off is rarer than what is kept.
        let rare = if ranked.len() == MAX_COMMON { ranked.last().map_or(1.0, |(count, _)| f64::from(*count)) } else { 1.0 };
        let common = ranked.into_iter().map(|(count, word)| (word.to_owned(), f64::from(count) / total)).collect();
        all.insert(field.name.clone(), FieldWeights { levels: BTreeMap::new(), common, rare: rare / total });
    }
    all
}

/// Pairs spread evenly over all that could be compared: every pair of few records, a fixed selection of many.
fn random_pairs(pool: &Pool) -> Vec<PairOf> {
    let count = pool.records.len() as u64;
    if count < 2 {
        return Vec::new();
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        // SplitMix64: the same numbers every time, spread well enough for counting.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    };
    let wanted = RANDOM_PAIRS.min(pool.pairs() as u64 * 2);
    let mut pairs = Vec::with_capacity(wanted as usize);
    for _ in 0..wanted {
        let (one, other) = match pool.across.map(|across| across as u64).filter(|across| *across > 0 && *across < count) {
            None => (next(count), next(count)),
            Some(across) => (next(across), across + next(count - across)),
        };
        if pool.comparable(one as usize, other as usize) {
            pairs.push((one.min(other) as usize, one.max(other) as usize));
        }
    }
    pairs
}

/// How often each level of each field is reached.
fn rates(fields: &[CompareField], scorer: &Scorer, pool: &Pool, pairs: &[PairOf]) -> Vec<Vec<f64>> {
    let patterns = patterns(scorer, pool, pairs);
    let mut tally = Tally::new(fields);
    for (pattern, count) in &patterns {
        tally.add(pattern, *count as f64);
    }
    tally.rates(fields, |field, level| builtin::rate(field.kind, level).u, 1.0)
}

/// A pair's levels by position in the kind's list; 255 where a record has no value.
type Pattern = Vec<u8>;

const ABSENT: u8 = u8::MAX;

fn patterns(scorer: &Scorer, pool: &Pool, pairs: &[PairOf]) -> BTreeMap<Pattern, u64> {
    let mut patterns = BTreeMap::new();
    for (one, other) in pairs {
        let (Some(left), Some(right)) = (pool.records.get(*one), pool.records.get(*other)) else { continue };
        let pattern: Pattern = scorer
            .levels(left, right)
            .into_iter()
            .zip(scorer.fields())
            .map(|(level, field)| {
                level.and_then(|level| field.kind.levels().iter().position(|known| *known == level)).map_or(ABSENT, |at| at as u8)
            })
            .collect();
        *patterns.entry(pattern).or_default() += 1;
    }
    patterns
}

/// Counts of levels by field.
struct Tally {
    counts: Vec<Vec<f64>>,
}

impl Tally {
    fn new(fields: &[CompareField]) -> Self {
        Self { counts: fields.iter().map(|field| vec![0.0; field.kind.levels().len()]).collect() }
    }

    fn add(&mut self, pattern: &[u8], weight: f64) {
        for (counts, at) in self.counts.iter_mut().zip(pattern) {
            if let Some(count) = counts.get_mut(usize::from(*at)) {
                *count += weight;
            }
        }
    }

    /// Shares of the levels of each field, with `belief` pairs' worth of what is known from elsewhere, so that nothing is never.
    fn rates(&self, fields: &[CompareField], known: impl Fn(&CompareField, Level) -> f64, belief: f64) -> Vec<Vec<f64>> {
        self.counts
            .iter()
            .zip(fields)
            .map(|(counts, field)| {
                let total: f64 = counts.iter().sum();
                counts
                    .iter()
                    .zip(field.kind.levels())
                    .map(|(count, level)| (count + belief * known(field, *level)) / (total + belief))
                    .collect()
            })
            .collect()
    }
}

/// What expectation and maximisation found.
struct Learned {
    m: Vec<Vec<f64>>,
    matches: f64,
    rounds: usize,
}

fn learn(fields: &[CompareField], patterns: &BTreeMap<Pattern, u64>, u: &[Vec<f64>]) -> Learned {
    let start = Tally::new(fields).rates(fields, |field, level| builtin::rate(field.kind, level).m, 1.0);
    let total: f64 = patterns.values().map(|count| *count as f64).sum::<f64>().max(1.0);
    let mut learned = Learned { m: start, matches: total * 0.1, rounds: 0 };
    let mut apart: Vec<Vec<f64>> = u.to_vec();
    for round in 1..=MAX_ROUNDS {
        let share = (learned.matches / total).clamp(1e-9, 1.0 - 1e-9);
        let mut tally = Tally::new(fields);
        let mut rest = Tally::new(fields);
        let mut matches = 0.0;
        for (pattern, count) in patterns {
            let mut bits = (share / (1.0 - share)).log2();
            for ((m, u), at) in learned.m.iter().zip(&apart).zip(pattern) {
                if let (Some(m), Some(u)) = (m.get(usize::from(*at)), u.get(usize::from(*at))) {
                    bits += (m / u).log2();
                }
            }
            let sure = 1.0 / (1.0 + (-bits).exp2());
            let weight = sure * *count as f64;
            matches += weight;
            tally.add(pattern, weight);
            rest.add(pattern, *count as f64 - weight);
        }
        let m = tally.rates(fields, |field, level| builtin::rate(field.kind, level).m, 2.0);
        apart = rest.rates(fields, |field, level| builtin::rate(field.kind, level).u, 2.0);
        let moved = m.iter().flatten().zip(learned.m.iter().flatten()).map(|(new, old)| (new - old).abs()).fold(0.0, f64::max);
        learned = Learned { m, matches, rounds: round };
        if moved < STILL {
            break;
        }
    }
    learned
}
