//! Which fields of a kind are compared, and how: the checked form of what the mapping file says.

use super::kind::Kind;
use super::weights::{Thresholds, Weights};
use crate::mapping::Pair;

/// How records of one kind are compared by score.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchRules {
    /// The fields, in the order people read them.
    pub fields: Vec<CompareField>,
    /// What agreement is worth. The default has the built-in weights for every kind.
    pub weights: Weights,
    /// What follows from a score.
    pub thresholds: Thresholds,
}

/// One compared field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareField {
    /// Its name in reasons and weights files.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Columns on each side; the values of several are joined by a blank.
    pub columns: Pair<Vec<String>>,
    /// Position of a field whose value may stand here by mistake: given name and surname, first and second address line.
    pub swaps_with: Option<usize>,
}
