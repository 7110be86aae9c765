//! Names of several words: which words of one stand in the other, and how much that tells.

use std::collections::BTreeMap;

use super::distance::{edits, jaro_winkler};
use super::kind::Level;

/// How much a word tells: the fewer records have it, the more.
pub(crate) struct Rarity<'a> {
    common: Option<&'a BTreeMap<String, f64>>,
    rare: f64,
}

/// Words that many organisations have, for weights that know nothing yet.
const USUAL: [&str; 60] = [
    "automotive",
    "bank",
    "bau",
    "building",
    "center",
    "central",
    "centre",
    "chemical",
    "city",
    "college",
    "company",
    "computer",
    "construction",
    "consulting",
    "data",
    "de",
    "department",
    "deutschland",
    "digital",
    "electric",
    "energy",
    "engineering",
    "europe",
    "france",
    "germany",
    "global",
    "group",
    "gruppe",
    "handel",
    "holding",
    "hotel",
    "immobilien",
    "industrial",
    "industries",
    "institute",
    "international",
    "italia",
    "lab",
    "logistics",
    "management",
    "marketing",
    "media",
    "national",
    "of",
    "partner",
    "partners",
    "pharma",
    "product",
    "research",
    "restaurant",
    "services",
    "software",
    "solutions",
    "systems",
    "technologies",
    "technology",
    "the",
    "trading",
    "transport",
    "university",
];

/// Share of records for a usual word, and for any other, when nothing is known.
const USUAL_SHARE: f64 = 0.02;
const OTHER_SHARE: f64 = 0.0002;

impl<'a> Rarity<'a> {
    /// From the shares of common words; every other has `rare`.
    pub(crate) fn of(common: &'a BTreeMap<String, f64>, rare: f64) -> Self {
        if common.is_empty() { Self::even() } else { Self { common: Some(common), rare } }
    }

    /// From the words that are usual anywhere.
    pub(crate) fn even() -> Self {
        Self { common: None, rare: OTHER_SHARE }
    }

    /// What a word tells, in bits.
    pub(crate) fn bits(&self, word: &str) -> f64 {
        let share = match self.common {
            Some(common) => common.get(word).copied().unwrap_or(self.rare),
            None if USUAL.binary_search(&word).is_ok() => USUAL_SHARE,
            None => self.rare,
        };
        -share.clamp(1e-9, 0.9).log2()
    }
}

/// How alike two words are, 0 to 1.
fn alike(left: &str, right: &str) -> f64 {
    if left == right {
        return 1.0;
    }
    if left.bytes().any(|byte| byte.is_ascii_digit()) || right.bytes().any(|byte| byte.is_ascii_digit()) {
        return 0.0;
    }
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    if short.len() < 3 {
        return 0.0;
    }
    if long.starts_with(short) {
        return if short.len() >= 4 { 0.85 } else { 0.7 };
    }
    if short.len() >= 4 && edits(left, right, if short.len() >= 8 { 2 } else { 1 }).is_some() {
        return 0.9;
    }
    if short.len() >= 4 && jaro_winkler(left, right) >= 0.92 { 0.8 } else { 0.0 }
}

/// Names of organisations and other text.
pub(crate) fn text(left: &[String], right: &[String], rarity: &Rarity<'_>) -> Level {
    if left == right {
        return Level::Equal;
    }
    if left.concat() == right.concat() || sorted(left) == sorted(right) {
        return Level::Reordered;
    }
    let Shared { short_bits, contained, whole, .. } = shared(left, right, rarity);
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    match whole {
        whole if whole >= 0.9 => Level::Close,
        whole if whole >= 0.7 => Level::Similar,
        // All of the shorter name, and it tells something.
        whole if whole >= 0.45 || (contained >= 0.85 && short_bits >= 10.0) => Level::Part,
        _ if abbreviates(short, long) => Level::Initial,
        _ => Level::Different,
    }
}

/// What two texts share.
pub(crate) struct Shared {
    /// What the shared words tell, bits.
    pub(crate) bits: f64,
    /// What the shorter text tells.
    short_bits: f64,
    /// Share of the shorter text that is in the longer.
    contained: f64,
    /// Share of both.
    whole: f64,
}

/// Finds for each word of the shorter text its like in the longer one.
pub(crate) fn shared(left: &[String], right: &[String], rarity: &Rarity<'_>) -> Shared {
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    let total = |words: &[String]| words.iter().map(|word| rarity.bits(word)).sum::<f64>();
    let (short_bits, long_bits) = (total(short), total(long));
    let mut shared_short = 0.0;
    let mut shared_long = 0.0;
    let mut used = 0_u64;
    for word in short {
        let mut best = (0.0, 0);
        for (at, other) in long.iter().enumerate().take(64) {
            if used & (1 << at) == 0 {
                let alike = alike(word, other);
                if alike > best.0 {
                    best = (alike, at);
                }
            }
        }
        if best.0 > 0.0 {
            used |= 1 << best.1;
            shared_short += best.0 * rarity.bits(word);
            shared_long += best.0 * long.get(best.1).map_or(0.0, |word| rarity.bits(word));
        }
    }
    Shared {
        bits: (shared_short + shared_long) / 2.0,
        short_bits,
        contained: shared_short / short_bits.max(1e-9),
        whole: (shared_short + shared_long) / (short_bits + long_bits).max(1e-9),
    }
}

/// `ibm` for `international business machines`.
fn abbreviates(short: &[String], long: &[String]) -> bool {
    let [one] = short else { return false };
    if one.chars().count() < 2 || long.len() < 2 {
        return false;
    }
    let initials = |skip: bool| -> String {
        long.iter()
            .filter(|word| !(skip && matches!(word.as_str(), "of" | "the" | "for" | "de" | "der" | "and" | "fur")))
            .filter_map(|word| word.chars().next())
            .collect()
    };
    *one == initials(false) || *one == initials(true)
}

/// Names of people.
pub(crate) fn person(left: &[String], right: &[String]) -> Level {
    if left == right {
        return Level::Equal;
    }
    if sorted(left) == sorted(right) || left.concat() == right.concat() {
        return Level::Reordered;
    }
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    let mut used = 0_u64;
    let (mut equal, mut close, mut initial) = (0, 0, 0);
    // The surest first, so that an initial does not take the place of a whole name.
    for step in 0..3 {
        for (from, word) in short.iter().enumerate().take(16) {
            if used & (1 << (from + 32)) != 0 {
                continue;
            }
            let found = long.iter().enumerate().take(32).find(|(at, other)| {
                used & (1 << at) == 0
                    && match step {
                        0 => word == *other,
                        1 => word.len() >= 3 && other.len() >= 3 && (edits(word, other, 1).is_some() || jaro_winkler(word, other) >= 0.93),
                        _ => (word.chars().count() == 1 || other.chars().count() == 1) && word.chars().next() == other.chars().next(),
                    }
            });
            if let Some((at, _)) = found {
                used |= 1 << at | 1 << (from + 32);
                match step {
                    0 => equal += 1,
                    1 => close += 1,
                    _ => initial += 1,
                }
            }
        }
    }
    let matched = equal + close + initial;
    let whole_words = equal + close;
    if matched == short.len() && short.len() >= 2 && whole_words > 0 {
        return if initial > 0 { Level::Initial } else { Level::Close };
    }
    match jaro_winkler(&sorted(left).join(" "), &sorted(right).join(" ")) {
        alike if alike >= 0.9 => Level::Similar,
        _ if whole_words > 0 => Level::Part,
        _ => Level::Different,
    }
}

fn sorted(words: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::normal;

    fn check(compare: impl Fn(&str, &str) -> Level, cases: &[(&str, &str, Level)]) {
        for (left, right, expected) in cases {
            assert_eq!(compare(left, right), *expected, "{left} | {right}");
            assert_eq!(compare(right, left), *expected, "{right} | {left}");
        }
    }

    #[test]
    fn organisations_agree_by_the_words_that_tell() {
        check(
            |left, right| text(&normal::organisation(left), &normal::organisation(right), &Rarity::even()),
            &[
                ("Acme GmbH", "ACME Inc.", Level::Equal),
                ("Bosch Robert GmbH", "Robert Bosch", Level::Reordered),
                ("North Point Ltd", "Northpoint", Level::Reordered),
                ("Siemens Healthineers AG", "Siemens Healtineers", Level::Close),
                ("Hamilton Widgets", "Hamilton Widgets International", Level::Similar),
                ("International Business Machines", "IBM Corp.", Level::Initial),
                ("Global Services Group", "Global Energy Group", Level::Part),
                ("Acme", "Zenith", Level::Different),
            ],
        );
    }

    #[test]
    fn people_agree_by_words_in_any_order() {
        check(
            |left, right| person(&normal::person(left), &normal::person(right)),
            &[
                ("Dr. Anna Weiß", "WEISS, Anna", Level::Equal),
                ("Weiss Anna", "Anna Weiss", Level::Reordered),
                ("Anna Weis", "Anna Weiss", Level::Close),
                ("A. Weiss", "Anna Weiss", Level::Initial),
                ("Anna Maria Weiss", "Anna Weiss", Level::Close),
                ("Anna Weiss", "Peter Weiss", Level::Part),
                ("Anna Weiss", "Hugo Stark", Level::Different),
            ],
        );
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(USUAL.is_sorted());
    }
}
