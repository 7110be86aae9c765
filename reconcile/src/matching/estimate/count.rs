//! Counting: shares of values, pairs spread over all records, patterns of agreement.

use std::collections::{BTreeMap, BTreeSet};

use super::pool::{PairOf, Pool};
use crate::matching::kind::{Kind, Level};
use crate::matching::normal;
use crate::matching::prepare::Form;
use crate::matching::rules::CompareField;
use crate::matching::score::Scorer;
use crate::matching::weights::FieldWeights;

/// A level that was never seen is counted as if half a pair had reached it.
const UNSEEN: f64 = 0.5;

/// Random pairs that `u` is counted on, at most.
const RANDOM_PAIRS: u64 = 400_000;

/// Pairs that have one value of a field in common, at most.
const ALIKE_PAIRS: u64 = 20_000;

/// Values of a field whose shares are kept, at most.
const MAX_COMMON: usize = 300;

/// A word or code that fewer records than this have is rare.
const COMMON_FROM: u32 = 4;

/// A number that is one record's own is a placeholder when so many have it; the records of one entity seldom are as many.
const PLACEHOLDER_FROM: u32 = 10;

/// Shares of the values that many records have: words and whole texts of names and text, of other kinds the value.
pub(super) fn frequencies(fields: &[CompareField], pool: &Pool) -> BTreeMap<String, FieldWeights> {
    fields.iter().enumerate().map(|(index, field)| (field.name.clone(), shares(index, field.kind, pool))).collect()
}

fn shares(index: usize, kind: Kind, pool: &Pool) -> FieldWeights {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut with = 0_u32;
    for form in pool.records.iter().filter_map(|record| record.form(index)) {
        with += 1;
        let distinct: BTreeSet<&str> = form.words().iter().map(String::as_str).chain(std::iter::once(form.text())).collect();
        for word in distinct.into_iter().filter(|word| !word.is_empty()) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let total = f64::from(with.max(1));
    let from = if kind.is_own() { PLACEHOLDER_FROM } else { COMMON_FROM };
    let mut ranked: Vec<(u32, &str)> = counts.into_iter().filter(|(_, count)| *count >= from).map(|(word, count)| (count, word)).collect();
    ranked.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(right.1)));
    // What is cut off is rarer than what is kept, and nothing is known to be rarer than what was looked for.
    let least = ranked.get(MAX_COMMON).map_or(f64::from(from) / 2.0, |(count, _)| f64::from(*count));
    ranked.truncate(MAX_COMMON);
    let common = ranked.into_iter().map(|(count, word)| (word.to_owned(), f64::from(count) / total)).collect();
    let rare = if kind.is_own() { 0.0 } else { (least / total).min(1.0) };
    FieldWeights { common, rare, ..FieldWeights::default() }
}

/// Pairs spread evenly over all that could be compared: every pair of few records, a fixed selection of many.
pub(super) fn random_pairs(pool: &Pool) -> Vec<PairOf> {
    let count = pool.records.len() as u64;
    if count < 2 {
        return Vec::new();
    }
    let mut next = even_numbers();
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

/// The same numbers every time, spread well enough for counting (SplitMix64); each below what it is called with.
fn even_numbers() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }
}

/// Pairs that have one value of a field (of an e-mail address: its host), spread evenly over all that do: every one of few, a
/// fixed selection of many.
pub(super) fn alike_pairs(pool: &Pool, index: usize) -> Vec<PairOf> {
    let mut groups: BTreeMap<(&str, Option<&str>), [Vec<usize>; 2]> = BTreeMap::new();
    for (at, record) in pool.records.iter().enumerate() {
        let value = match record.form(index) {
            Some(Form::Mail { domain, .. }) if normal::is_shared(domain) => continue,
            Some(Form::Mail { domain, .. }) => (domain.as_str(), None),
            Some(Form::Words(words)) => (words.text.as_str(), words.number.as_deref()),
            Some(form) => (form.text(), None),
            None => continue,
        };
        let [first, second] = groups.entry(value).or_default();
        if pool.across.is_some_and(|across| at >= across) { second.push(at) } else { first.push(at) }
    }
    let mut all = 0_u64;
    let mut ends = Vec::new();
    for [first, second] in groups.into_values() {
        let (here, there) = (first.len() as u64, second.len() as u64);
        all += if pool.across.is_some() { here * there } else { here * here.saturating_sub(1) / 2 };
        ends.push((all, first, second));
    }
    let mut next = even_numbers();
    let mut pairs = Vec::new();
    let wanted = ALIKE_PAIRS.min(all);
    for turn in 0..wanted {
        let chosen = if all <= ALIKE_PAIRS { turn } else { next(all) };
        let group = ends.partition_point(|(end, ..)| *end <= chosen);
        let before = group.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |(end, ..)| *end);
        let Some((_, first, second)) = ends.get(group) else { continue };
        let within = chosen - before;
        let (one, other) = match pool.across {
            Some(_) => {
                (first.get((within % first.len().max(1) as u64) as usize), second.get((within / first.len().max(1) as u64) as usize))
            }
            None => {
                // The pairs of a group by number: 0 is 0-1, 1 is 0-2, 2 is 1-2, 3 is 0-3, …
                let later = ((1.0 + (1.0 + 8.0 * within as f64).sqrt()) / 2.0) as u64;
                (first.get(within.saturating_sub(later * later.saturating_sub(1) / 2) as usize), first.get(later as usize))
            }
        };
        if let (Some(one), Some(other)) = (one, other)
            && pool.comparable(*one, *other)
        {
            pairs.push((*one.min(other), *one.max(other)));
        }
    }
    pairs
}

/// A pair's levels by position in the kind's list; 255 where a record has no value.
pub(super) type Pattern = Vec<u8>;

const ABSENT: u8 = u8::MAX;

pub(super) fn patterns(scorer: &Scorer, pool: &Pool, pairs: &[PairOf]) -> BTreeMap<Pattern, u64> {
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
pub(super) struct Tally {
    counts: Vec<Vec<f64>>,
}

impl Tally {
    pub(super) fn new(fields: &[CompareField]) -> Self {
        Self { counts: fields.iter().map(|field| vec![0.0; field.kind.levels().len()]).collect() }
    }

    /// The counts of some patterns.
    pub(super) fn of(fields: &[CompareField], patterns: &BTreeMap<Pattern, u64>) -> Self {
        let mut tally = Self::new(fields);
        for (pattern, count) in patterns {
            tally.add(pattern, *count as f64);
        }
        tally
    }

    pub(super) fn add(&mut self, pattern: &[u8], weight: f64) {
        for (counts, at) in self.counts.iter_mut().zip(pattern) {
            if let Some(count) = counts.get_mut(usize::from(*at)) {
                *count += weight;
            }
        }
    }

    /// Shares of the levels of each field, with `belief` pairs' worth of what is known from elsewhere, so that nothing is never.
    pub(super) fn rates(&self, fields: &[CompareField], known: impl Fn(&CompareField, Level) -> f64, belief: f64) -> Vec<Vec<f64>> {
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

    /// Shares of the levels among pairs of two entities, when a `prior` share of the pairs counted is of one and reaches them as `m` says.
    pub(super) fn without(&self, m: &[Vec<f64>], prior: f64) -> Vec<Vec<f64>> {
        self.counts
            .iter()
            .zip(m)
            .map(|(counts, m)| {
                let total: f64 = counts.iter().sum();
                let rest: Vec<f64> = counts.iter().zip(m).map(|(count, m)| (count - total * prior * m).max(UNSEEN)).collect();
                let left: f64 = rest.iter().sum();
                rest.iter().map(|count| count / left).collect()
            })
            .collect()
    }
}
