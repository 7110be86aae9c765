//! The score of two records: how much more likely they agree as they do when they are one entity than when they are two.
//!
//! ```text
//! score = Σ log2(m / u) over the compared fields that both have, in bits
//! ```
//!
//! A field that one of them lacks says nothing. An equal value that many records have is worth less, by its own share instead of
//! the field's average. A field that goes together with a stronger one counts what it says beyond that ([`overlap`](super::overlap)).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::builtin;
use super::kind::{Kind, Level};
use super::level::{level, same_elsewhere};
use super::overlap::Overlaps;
use super::prepare::{Form, Prepared};
use super::rules::{CompareField, MatchRules};
use super::weights::Weights;
use super::words::{self, Rarity};
use crate::mapping::Side;
use crate::value::Value;

/// Match rules made ready for comparing many records.
#[derive(Debug, Clone)]
pub struct Scorer {
    fields: Vec<CompareField>,
    worth: Vec<Worth>,
    /// Fields whose values may stand in one another.
    siblings: BTreeSet<(usize, usize)>,
    overlaps: Overlaps,
}

/// What agreement in one field is worth.
#[derive(Debug, Clone)]
struct Worth {
    /// By level, bits.
    bits: [f64; Level::ALL.len()],
    /// By level: how often records of one entity agree so.
    m: [f64; Level::ALL.len()],
    common: BTreeMap<String, f64>,
    rare: f64,
    /// What is shared counts by its words.
    by_word: bool,
}

/// How two records compare.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Sum of all fields, bits.
    pub score: f64,
    /// In the order of the fields; only of those that both have.
    pub(crate) parts: Vec<Part>,
}

/// One field's part of a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    /// Position of the field.
    pub(crate) field: usize,
    pub(crate) level: Level,
    pub(crate) bits: f64,
    /// Bits that another field has said already.
    pub(crate) taken: f64,
    /// That field.
    pub(crate) beside: Option<usize>,
}

/// Bits that are no more than nothing to a person.
const NOTHING: f64 = 0.05;

/// Bits taken off that are worth a word.
const WORTH_A_WORD: f64 = 0.5;

/// What one field says about two records.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Field's name.
    pub field: String,
    /// Level reached.
    pub level: Level,
    /// The level in words that follow the field's name, and what another field has said of it already.
    pub words: String,
    /// Its worth.
    pub bits: f64,
}

impl fmt::Display for Reason {
    /// `tax id equal: +12.4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.bits < 0.0 { "−" } else { "+" };
        write!(f, "{} {}: {sign}{:.1}", self.field, self.words, self.bits.abs())
    }
}

impl Scorer {
    /// Makes rules ready.
    pub fn new(rules: &MatchRules) -> Self {
        Self::of(&rules.fields, &rules.weights)
    }

    /// From fields and weights.
    pub fn of(fields: &[CompareField], weights: &Weights) -> Self {
        let worth: Vec<Worth> = fields
            .iter()
            .map(|field| {
                let given = weights.fields.get(&field.name);
                let rate = |level: Level| {
                    given.and_then(|given| given.levels.get(&level).copied()).unwrap_or_else(|| builtin::rate(field.kind, level))
                };
                let mut bits = [0.0; Level::ALL.len()];
                for level in field.kind.levels() {
                    if let Some(place) = bits.get_mut(*level as usize) {
                        *place = rate(*level).bits();
                    }
                }
                let common = given.map(|given| given.common.clone()).unwrap_or_default();
                let rare = given.map_or(0.0, |given| given.rare);
                let by_word = matches!(field.kind, Kind::Organisation | Kind::Person | Kind::Text) && rare > 0.0 && !common.is_empty();
                let m = Level::ALL.map(|level| rate(level).m);
                Worth { bits, m, common, rare, by_word }
            })
            .collect();
        let sibling = |(index, field): (usize, &CompareField)| field.swaps_with.map(|other| (index.min(other), index.max(other)));
        let siblings = fields.iter().enumerate().filter_map(sibling).filter(|(one, other)| one != other).collect();
        let m = |index: usize, level: Level| worth.get(index).and_then(|worth| worth.m.get(level as usize).copied()).unwrap_or(0.0);
        let overlaps = Overlaps::of(fields, weights, m);
        Self { fields: fields.to_vec(), worth, siblings, overlaps }
    }

    /// The compared fields.
    pub fn fields(&self) -> &[CompareField] {
        &self.fields
    }

    /// Prepares a record of one side. `column` gives a column's value.
    pub fn prepare<'v>(&self, side: Side, column: impl Fn(&str) -> Option<&'v Value>) -> Prepared {
        Prepared::of(&self.fields, side, column)
    }

    /// Compares two records.
    pub fn compare(&self, left: &Prepared, right: &Prepared) -> Comparison {
        let mut parts = Vec::with_capacity(self.fields.len());
        for (index, (level, worth)) in self.levels(left, right).into_iter().zip(&self.worth).enumerate() {
            let Some(level) = level else { continue };
            let bits = match (level, left.form(index), right.form(index)) {
                (Level::Equal, Some(form), _) => worth.equal_bits(form),
                (Level::Close | Level::Similar | Level::Part, Some(Form::Words(one)), Some(Form::Words(other))) if worth.by_word => {
                    worth.shared_bits(level, &one.words, &other.words)
                }
                _ => worth.at(level),
            };
            parts.push(Part { field: index, level, bits, taken: 0.0, beside: None });
        }
        self.overlaps.take_off(&mut parts);
        Comparison { score: parts.iter().map(|part| part.bits).sum(), parts }
    }

    /// The level that each field reaches; none where a record has no value.
    pub(crate) fn levels(&self, left: &Prepared, right: &Prepared) -> Vec<Option<Level>> {
        let mut levels: Vec<Option<Level>> = self
            .fields
            .iter()
            .zip(&self.worth)
            .enumerate()
            .map(|(index, (field, worth))| {
                Some(level(field.kind, left.form(index)?, right.form(index)?, &Rarity::of(&worth.common, worth.rare)))
            })
            .collect();
        for (one, other) in &self.siblings {
            swap(*one, *other, left, right, &mut levels);
        }
        levels
    }

    /// Why two records have their score, in the order of the fields.
    pub fn reasons(&self, comparison: &Comparison) -> Vec<Reason> {
        comparison
            .parts
            .iter()
            .filter_map(|part| {
                let field = self.fields.get(part.field)?;
                let words = field.kind.words(part.level);
                let beside = part.beside.filter(|_| part.taken >= WORTH_A_WORD).and_then(|other| self.fields.get(other));
                let words = match beside {
                    Some(other) if part.bits < NOTHING => format!("{words}, which says nothing beyond the {}", other.name),
                    Some(other) => format!("{words}, which says less beside the {}", other.name),
                    None => words.to_owned(),
                };
                Some(Reason { field: field.name.clone(), level: part.level, words, bits: part.bits })
            })
            .collect()
    }

    /// The words of a field that tell most, at most `count`, the rarest first.
    pub(crate) fn rarest<'w>(&self, index: usize, words: &'w [String], count: usize) -> Vec<&'w String> {
        let Some(worth) = self.worth.get(index) else { return Vec::new() };
        let rarity = Rarity::of(&worth.common, worth.rare);
        let mut ranked: Vec<(f64, &String)> =
            words.iter().filter(|word| word.chars().count() > 1).map(|word| (rarity.bits(word), word)).collect();
        ranked.sort_by(|left, right| {
            right.0.total_cmp(&left.0).then_with(|| right.1.len().cmp(&left.1.len())).then_with(|| left.1.cmp(right.1))
        });
        ranked.dedup_by(|left, right| left.1 == right.1);
        ranked.into_iter().take(count).map(|(_, word)| word).collect()
    }

    /// Kind of a field.
    pub(crate) fn kind(&self, index: usize) -> Option<Kind> {
        self.fields.get(index).map(|field| field.kind)
    }
}

impl Worth {
    /// The worth of an equal value by how many have it.
    fn equal_bits(&self, form: &Form) -> f64 {
        let share = match self.common.get(form.text()) {
            Some(share) => *share,
            None if self.rare > 0.0 => {
                let words = form.words().iter().map(|word| self.common.get(word).copied().unwrap_or(self.rare));
                words.product::<f64>().max(self.rare)
            }
            None => return self.at(Level::Equal),
        };
        self.m_at(Level::Equal) - share.log2()
    }

    /// The worth of some shared words: a pair of two entities shares them as often as the words are common.
    fn shared_bits(&self, level: Level, left: &[String], right: &[String]) -> f64 {
        let shared = words::shared(left, right, &Rarity::of(&self.common, self.rare));
        self.m_at(level) + shared.bits.min(-self.rare.log2())
    }

    /// The average worth of a level.
    fn at(&self, level: Level) -> f64 {
        self.bits.get(level as usize).copied().unwrap_or(0.0)
    }

    fn m_at(&self, level: Level) -> f64 {
        self.m.get(level as usize).map_or(0.0, |m| m.log2())
    }
}

/// Values that stand in each other's field: counted once for each that is found there.
fn swap(one: usize, other: usize, left: &Prepared, right: &Prepared, levels: &mut [Option<Level>]) {
    let agrees = |level: Option<Level>| matches!(level, Some(Level::Equal | Level::Close | Level::Reordered));
    let (Some(first), Some(second)) = (levels.get(one).copied(), levels.get(other).copied()) else { return };
    if agrees(first) || agrees(second) {
        return;
    }
    let across = |from: usize, to: usize| Some(same_elsewhere(left.form(from)?, right.form(to)?));
    let verdict = |across: Option<bool>| across.map(|same| if same { Level::Swapped } else { Level::Different });
    let (there, back) = (across(one, other), across(other, one));
    let found = match (there, back) {
        (Some(true), _) => (Some(Level::Swapped), verdict(back)),
        (_, Some(true)) => (Some(Level::Swapped), verdict(there)),
        _ => return,
    };
    if let Some(place) = levels.get_mut(one) {
        *place = found.0;
    }
    if let Some(place) = levels.get_mut(other) {
        *place = found.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::weights::{FieldWeights, Thresholds};

    fn fields() -> Vec<CompareField> {
        let field = |name: &str, kind, swaps_with| CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with };
        vec![
            field("first name", Kind::GivenName, Some(1)),
            field("last name", Kind::Surname, None),
            field("street", Kind::Street, None),
            field("birth date", Kind::Date, None),
            field("tax id", Kind::TaxId, None),
        ]
    }

    fn record(texts: [&str; 5]) -> Prepared {
        Prepared::from_texts(&fields(), texts)
    }

    fn reasons(left: [&str; 5], right: [&str; 5]) -> Vec<String> {
        let scorer = Scorer::of(&fields(), &Weights::default());
        let (left, right) = (record(left), record(right));
        let there = scorer.compare(&left, &right);
        let back = scorer.compare(&right, &left);
        assert!((there.score - back.score).abs() < 1e-9, "the same from both ends");
        let reasons = scorer.reasons(&there);
        assert!((reasons.iter().map(|reason| reason.bits).sum::<f64>() - there.score).abs() < 1e-9, "the reasons are the score");
        reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_score_explains_itself_and_what_is_missing_says_nothing() {
        assert_eq!(
            reasons(
                ["Anna", "Müller", "Hauptstr. 12", "1980-03-04", "DE 123.456.788"],
                ["Ana", "Mueller", "Bahnhofstraße 3", "04.03.1980", "n/a"]
            ),
            ["first name nearly equal: +5.5", "last name equal: +7.6", "street differs: −2.8", "birth date equal: +13.1"]
        );
    }

    #[test]
    fn names_in_each_others_field_are_found_there() {
        let both = reasons(["Anna", "Miller", "", "", ""], ["Miller", "Anna", "", "", ""]);
        assert_eq!(both, ["first name in the other field: +5.3", "last name in the other field: +5.3"]);
        let one = reasons(["Anna", "", "", "", ""], ["", "Anna", "", "", ""]);
        assert_eq!(one, ["first name in the other field: +5.3"], "one value is evidence once");
    }

    #[test]
    fn a_rare_value_is_worth_more_than_a_common_one() {
        let common = BTreeMap::from([("miller".to_owned(), 0.02)]);
        let weights = Weights {
            fields: BTreeMap::from([("last name".to_owned(), FieldWeights { common, rare: 0.000_1, ..FieldWeights::default() })]),
            thresholds: Thresholds::default(),
        };
        let scorer = Scorer::of(&fields(), &weights);
        let score = |name: &str| scorer.compare(&record(["", name, "", "", ""]), &record(["", name, "", "", ""])).score;
        assert!((score("miller") - 5.3).abs() < 0.1 && (score("zyskowski") - 13.0).abs() < 0.1);
    }
}
