//! Which of many compared records are one entity, decided for all at once.
//!
//! Two records that agree may still not be one entity: another fits better, or the rest of the group does not fit. So a link
//! across two files takes for each record its best free partner, and a group within one file grows only while the records of
//! both halves agree on average.

use std::collections::BTreeMap;

use super::estimate::PairOf;

/// Records of a large group that are asked whether another fits, at most.
const MOST_HEARD: usize = 8;

/// A scored pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredPair {
    /// The records.
    pub pair: PairOf,
    /// Their score, bits.
    pub score: f64,
}

/// The best first; among equals the earlier records.
fn ranked(pairs: &[ScoredPair], least: f64) -> Vec<ScoredPair> {
    let mut ranked: Vec<ScoredPair> = pairs.iter().filter(|pair| pair.score >= least).copied().collect();
    ranked.sort_by(|left, right| right.score.total_cmp(&left.score).then_with(|| left.pair.cmp(&right.pair)));
    ranked
}

/// Links between two files in which each record has at most one partner: the best pair first, then the best of what is left.
pub fn one_to_one(pairs: &[ScoredPair], least: f64) -> Vec<ScoredPair> {
    let mut taken = std::collections::BTreeSet::new();
    ranked(pairs, least)
        .into_iter()
        .filter(|link| {
            let (one, other) = link.pair;
            let free = !taken.contains(&one) && !taken.contains(&other);
            if free {
                taken.insert(one);
                taken.insert(other);
            }
            free
        })
        .collect()
}

/// Groups of records: a group's parts agree on average by at least `least` bits. `score` gives the score of any two records.
/// Records that are alone are left out.
pub fn groups(pairs: &[ScoredPair], least: f64, mut score: impl FnMut(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for link in ranked(pairs, least) {
        let (one, other) = link.pair;
        for record in [one, other] {
            group_of.entry(record).or_insert(record);
            groups.entry(record).or_insert_with(|| vec![record]);
        }
        let (Some(here), Some(there)) = (group_of.get(&one).copied(), group_of.get(&other).copied()) else { continue };
        if here == there {
            continue;
        }
        let (Some(left), Some(right)) = (groups.get(&here), groups.get(&there)) else { continue };
        let (left, right) = (some(left), some(right));
        let mut sum = 0.0;
        for from in &left {
            for to in &right {
                sum += score(*from.min(to), *from.max(to));
            }
        }
        if sum / (left.len() * right.len()) as f64 >= least {
            let moved = groups.remove(&there).unwrap_or_default();
            for record in &moved {
                group_of.insert(*record, here);
            }
            if let Some(group) = groups.get_mut(&here) {
                group.extend(moved);
                group.sort_unstable();
            }
        }
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// Records of a group that speak for it: all of a small one, some of a large one, spread evenly.
fn some(group: &[usize]) -> Vec<usize> {
    let step = group.len().div_ceil(MOST_HEARD).max(1);
    group.iter().copied().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(scores: &[(usize, usize, f64)]) -> Vec<ScoredPair> {
        scores.iter().map(|(one, other, score)| ScoredPair { pair: (*one, *other), score: *score }).collect()
    }

    #[test]
    fn across_two_files_the_best_free_partner_is_taken() {
        let all = pairs(&[(0, 10, 20.0), (0, 11, 30.0), (1, 11, 25.0), (1, 10, 5.0), (2, 12, 1.0)]);
        let links: Vec<PairOf> = one_to_one(&all, 4.0).into_iter().map(|link| link.pair).collect();
        assert_eq!(links, [(0, 11), (1, 10)]);
    }

    #[test]
    fn a_group_grows_only_while_both_halves_agree_on_average() {
        // 0, 1, 2 agree; 3 resembles 2 alone.
        let all = [(0, 1, 20.0), (1, 2, 20.0), (0, 2, 15.0), (2, 3, 12.0), (0, 3, -20.0), (1, 3, -20.0), (4, 5, 11.0)];
        let score = |one: usize, other: usize| all.iter().find(|(a, b, _)| (*a, *b) == (one, other)).map_or(-30.0, |(_, _, score)| *score);
        assert_eq!(groups(&pairs(&all), 10.0, score), [vec![0, 1, 2], vec![4, 5]]);
    }
}
