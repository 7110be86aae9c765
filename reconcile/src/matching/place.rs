//! What follows from the scores of a record's candidates.

use super::score::Comparison;
use super::weights::Thresholds;

/// Entities that are shown to a person for one record, at most.
pub const MAX_REVIEWED: usize = 5;

/// An entity that a record was compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Entity id.
    pub entity: String,
    /// It already has another live record on the side of the record being placed.
    pub taken: bool,
    /// How they compare.
    pub comparison: Comparison,
}

/// Where a record belongs by score.
#[derive(Debug, Clone, PartialEq)]
pub enum ScoredPlacement {
    /// To this entity.
    Match {
        /// The entity.
        best: Scored,
    },
    /// Perhaps to one of these: a person decides.
    Review {
        /// The best first.
        candidates: Vec<Scored>,
    },
    /// To none that is known.
    New,
}

/// Where a record belongs. An entity may be given several times, for each of its records: the best counts.
///
/// A match needs the automatic threshold, a lead before every other entity, and a place on the record's side. An entity that
/// already has a record there is shown to a person only when it would have matched: it looks like a duplicate in one system.
pub fn decide_scored(thresholds: &Thresholds, mut scored: Vec<Scored>) -> ScoredPlacement {
    scored.sort_by(|left, right| right.comparison.score.total_cmp(&left.comparison.score).then_with(|| left.entity.cmp(&right.entity)));
    let mut candidates: Vec<Scored> = Vec::new();
    for one in scored {
        let least = if one.taken { thresholds.automatic } else { thresholds.review };
        if one.comparison.score >= least && candidates.iter().all(|known| known.entity != one.entity) {
            candidates.push(one);
        }
    }
    let lead =
        |best: &Scored, next: Option<&Scored>| next.is_none_or(|next| best.comparison.score - next.comparison.score >= thresholds.lead);
    match candidates.split_first() {
        None => ScoredPlacement::New,
        Some((best, rest)) if best.comparison.score >= thresholds.automatic && !best.taken && lead(best, rest.first()) => {
            ScoredPlacement::Match { best: best.clone() }
        }
        Some(_) => {
            candidates.truncate(MAX_REVIEWED);
            ScoredPlacement::Review { candidates }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(entity: &str, score: f64, taken: bool) -> Scored {
        Scored { entity: entity.to_owned(), taken, comparison: Comparison { score, ..Comparison::default() } }
    }

    fn place(scored: Vec<Scored>) -> ScoredPlacement {
        decide_scored(&Thresholds { automatic: 20.0, review: 10.0, lead: 5.0 }, scored)
    }

    #[test]
    fn only_a_clear_best_matches_without_asking() {
        assert_eq!(place(vec![scored("a", 9.0, false)]), ScoredPlacement::New);
        assert!(matches!(place(vec![scored("a", 12.0, false)]), ScoredPlacement::Review { .. }));
        assert!(
            matches!(place(vec![scored("a", 12.0, false), scored("b", 21.0, false)]), ScoredPlacement::Match { best } if best.entity == "b")
        );
        let both = place(vec![scored("a", 22.0, false), scored("b", 25.0, false)]);
        assert!(matches!(both, ScoredPlacement::Review { candidates } if candidates.len() == 2 && candidates[0].entity == "b"));
        // Two records of one entity are not each other's rivals.
        assert!(matches!(place(vec![scored("a", 22.0, false), scored("a", 25.0, false)]), ScoredPlacement::Match { .. }));
    }

    #[test]
    fn an_entity_that_has_a_record_here_is_a_duplicate_for_a_person() {
        assert_eq!(place(vec![scored("a", 15.0, true)]), ScoredPlacement::New);
        assert!(matches!(place(vec![scored("a", 25.0, true)]), ScoredPlacement::Review { .. }));
        assert!(matches!(place(vec![scored("a", 15.0, true), scored("b", 22.0, false)]), ScoredPlacement::Match { .. }));
    }
}
