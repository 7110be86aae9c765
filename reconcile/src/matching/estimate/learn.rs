//! Expectation and maximisation.
//!
//! Fields that go together would be learnt as what makes records one entity: neighbours, whose postcode and city agree, are more
//! than copies. So what a field says beyond the others ([`Seen::kept`]) is all that it says here.

use super::count::{Pattern, Tally};
use crate::matching::builtin;
use crate::matching::rules::CompareField;

/// Fields that agreement can be learnt from: with fewer, chance and sameness cannot be told apart, and the built-in `m` stays.
const LEAST_FIELDS: usize = 3;

/// Rounds that find how many of the pairs match when nothing else is learnt.
const FEW_ROUNDS: usize = 20;

/// Rounds, at most.
const MAX_ROUNDS: usize = 200;

/// A round that moves no rate by more than this is the last.
const STILL: f64 = 1e-6;

/// What expectation and maximisation found.
pub(super) struct Learned {
    pub(super) m: Vec<Vec<f64>>,
    pub(super) matches: f64,
    pub(super) rounds: usize,
}

/// A pattern of agreement, how many pairs have it, and which share of its worth each field keeps beside the others.
pub(super) struct Seen<'a> {
    pub(super) pattern: &'a Pattern,
    pub(super) count: u64,
    pub(super) kept: Vec<f64>,
}

pub(super) fn learn(fields: &[CompareField], patterns: &[Seen<'_>], u: &[Vec<f64>]) -> Learned {
    let start = Tally::new(fields).rates(fields, |field, level| builtin::rate(field.kind, level).m, 1.0);
    let total: f64 = patterns.iter().map(|seen| seen.count as f64).sum::<f64>().max(1.0);
    let mut learned = Learned { m: start, matches: total * 0.1, rounds: 0 };
    let mut apart: Vec<Vec<f64>> = u.to_vec();
    for round in 1..=MAX_ROUNDS {
        let share = (learned.matches / total).clamp(1e-9, 1.0 - 1e-9);
        let mut tally = Tally::new(fields);
        let mut rest = Tally::new(fields);
        let mut matches = 0.0;
        for Seen { pattern, count, kept } in patterns {
            let mut bits = (share / (1.0 - share)).log2();
            for (((m, u), at), kept) in learned.m.iter().zip(&apart).zip(pattern.iter()).zip(kept) {
                if let (Some(m), Some(u)) = (m.get(usize::from(*at)), u.get(usize::from(*at))) {
                    bits += kept * (m / u).log2();
                }
            }
            let sure = 1.0 / (1.0 + (-bits).exp2());
            let weight = sure * *count as f64;
            matches += weight;
            tally.add(pattern, weight);
            rest.add(pattern, *count as f64 - weight);
        }
        if fields.len() < LEAST_FIELDS {
            learned = Learned { m: learned.m, matches, rounds: round };
            if round == FEW_ROUNDS { break } else { continue }
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
