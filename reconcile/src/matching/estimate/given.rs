//! Which fields go together: how often records of two entities agree in one field when they agree in another.
//!
//! What is counted are pairs that agree in one field, drawn without a look at any other, each as far as it is of two entities by
//! all that is known. Fields that go together make such pairs look like one entity, so it is counted twice: first without the
//! word of the field that is counted, then, with what was found and learnt, by all fields.

use std::collections::BTreeMap;

use super::count::Pattern;
use crate::matching::builtin;
use crate::matching::kind::Level;
use crate::matching::overlap::Overlaps;
use crate::matching::rules::CompareField;
use crate::matching::score::Part;

/// Pairs that agree in both fields, at least, before two fields are said to go together.
const LEAST_PAIRS: f64 = 10.0;

/// They agree in both so many times as often as if they had nothing to do with one another, at least.
const LEAST_TIE: f64 = 2.0;

/// So many pairs' worth of what is known from elsewhere.
const BELIEF: f64 = 2.0;

/// What has been learnt of the fields.
pub(super) struct Known<'a> {
    pub(super) fields: &'a [CompareField],
    pub(super) m: &'a [Vec<f64>],
    pub(super) u: &'a [Vec<f64>],
    /// The score at which a pair is as likely of one entity as of two.
    pub(super) even: f64,
    /// Which fields go together, as far as it is known.
    pub(super) overlaps: Option<Overlaps>,
}

/// By a level of one field and a level of another: the share of the pairs that agree so far or better in the other.
pub(super) type Levels = BTreeMap<Level, BTreeMap<Level, f64>>;

impl Known<'_> {
    /// The fields that go together with this one, or would by what is built in.
    pub(super) fn beside(&self, index: usize, patterns: &[&BTreeMap<Pattern, u64>]) -> Vec<(usize, Levels)> {
        let Some(this) = self.fields.get(index) else { return Vec::new() };
        let counts = self.count(index, patterns);
        let mut beside = Vec::new();
        for (other, field) in self.fields.iter().enumerate().filter(|(other, _)| *other != index) {
            let mut levels = Levels::new();
            let (mut tied, mut built_in) = (false, false);
            for (at, level) in this.kind.levels().iter().enumerate().filter(|(at, _)| self.speaks_for(index, *at)) {
                let Some(counts) = counts.get(at).and_then(|counts| counts.get(other)) else { continue };
                let total: f64 = counts.iter().sum();
                let (mut hits, mut chance) = (0.0, 0.0);
                let by_chance = self.u.get(other).map(Vec::as_slice).unwrap_or_default();
                for (own, ((own_level, count), u)) in field.kind.levels().iter().zip(counts).zip(by_chance).enumerate() {
                    hits += count;
                    chance += u;
                    if !self.speaks_for(other, own) {
                        continue;
                    }
                    let guess = builtin::given((this.kind, *level), (field.kind, *own_level));
                    built_in |= guess.is_some();
                    let share = (hits + BELIEF * guess.unwrap_or(chance)) / (total + BELIEF);
                    if (guess.is_some() || hits >= LEAST_PAIRS) && share >= LEAST_TIE * chance {
                        levels.entry(*level).or_default().insert(*own_level, share.min(1.0));
                        tied = true;
                    }
                }
            }
            // What is built in stands unless the file says otherwise.
            if tied || built_in {
                beside.push((other, levels));
            }
        }
        beside
    }

    /// What share of its worth each field of a pattern keeps beside the others.
    pub(super) fn kept(&self, pattern: &[u8]) -> Vec<f64> {
        let mut kept = vec![1.0; pattern.len()];
        for part in self.parts(pattern) {
            if let Some(place) = kept.get_mut(part.field).filter(|_| part.taken > 0.0) {
                *place = part.bits / (part.bits + part.taken);
            }
        }
        kept
    }

    /// Pairs of two entities by the field's level, the other field and its level.
    fn count(&self, index: usize, patterns: &[&BTreeMap<Pattern, u64>]) -> Vec<Vec<Vec<f64>>> {
        let empty: Vec<Vec<f64>> = self.u.iter().map(|u| vec![0.0; u.len()]).collect();
        let mut counts = vec![empty; self.u.get(index).map_or(0, Vec::len)];
        for (pattern, count) in patterns.iter().flat_map(|patterns| patterns.iter()) {
            let Some(here) = pattern.get(index).and_then(|at| counts.get_mut(usize::from(*at))) else { continue };
            let parts = self.parts(pattern);
            let score = parts.iter().map(|part| part.bits).sum::<f64>() - self.even;
            for (other, (counts, at)) in here.iter_mut().zip(pattern).enumerate() {
                let Some(place) = counts.get_mut(usize::from(*at)) else { continue };
                // Before it is known what goes together, a field is no witness of how often it agrees by chance.
                let own = parts.iter().find(|part| part.field == other && self.overlaps.is_none()).map_or(0.0, |part| part.bits);
                *place += *count as f64 / (1.0 + (score - own).exp2());
            }
        }
        counts
    }

    /// What each field of a pattern says.
    fn parts(&self, pattern: &[u8]) -> Vec<Part> {
        let mut parts = Vec::with_capacity(pattern.len());
        for (field, ((m, u), at)) in self.m.iter().zip(self.u).zip(pattern).enumerate() {
            let level = self.fields.get(field).and_then(|field| field.kind.levels().get(usize::from(*at)));
            if let (Some(level), Some(m), Some(u)) = (level, m.get(usize::from(*at)), u.get(usize::from(*at))) {
                parts.push(Part { field, level: *level, bits: (m / u).log2(), taken: 0.0, beside: None });
            }
        }
        if let Some(overlaps) = &self.overlaps {
            overlaps.take_off(&mut parts);
        }
        parts
    }

    /// Whether a level is more usual among records of one entity.
    fn speaks_for(&self, index: usize, at: usize) -> bool {
        let rate = |rates: &[Vec<f64>]| rates.get(index).and_then(|rates| rates.get(at)).copied();
        matches!((rate(self.m), rate(self.u)), (Some(m), Some(u)) if m > u)
    }
}
