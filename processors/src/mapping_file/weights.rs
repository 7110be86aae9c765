//! Weights files: TOML that `concord matching estimate` writes, into what the core scores with.
//!
//! ```toml
//! [thresholds]
//! automatic = 24.0
//! review = 12.0
//! lead = 6.0
//! [field.surname]
//! rare = 2e-4                          # share of the records for a value that is not listed below
//! [field.surname.levels]
//! equal = { m = 0.8, u = 0.004 }       # a level that is missing has its built-in rate
//! [field.surname.common]
//! miller = 0.012                       # share of the records that have this word
//! [field.city.given.postcode]          # of two entities whose postcode agrees so far, the share whose city agrees so far or better
//! equal = { equal = 0.97, close = 0.98 }
//! ```

use std::collections::BTreeMap;

use reconcile::matching::{FieldWeights, Level, Rate, Thresholds, Weights};
use serde::Deserialize;
use toml::Spanned;

use super::Wrong;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    thresholds: Option<Bounds>,
    #[serde(default)]
    field: BTreeMap<String, Field>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    automatic: Spanned<f64>,
    review: Spanned<f64>,
    lead: Spanned<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    rare: Option<Spanned<f64>>,
    #[serde(default)]
    levels: BTreeMap<Spanned<String>, Rates>,
    #[serde(default)]
    common: BTreeMap<String, Spanned<f64>>,
    #[serde(default)]
    given: BTreeMap<String, BTreeMap<Spanned<String>, Shares>>,
}

/// By the word of a level.
type Shares = BTreeMap<Spanned<String>, Spanned<f64>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    m: Spanned<f64>,
    u: Spanned<f64>,
}

/// Reads a weights file's text.
#[cfg(test)]
pub(super) fn parse(text: &str) -> Result<Weights, Wrong> {
    let file: File =
        toml::from_str(text).map_err(|error| Wrong { at: error.span().map(|span| span.start), reason: error.message().to_owned() })?;
    weights(file)
}

/// Weights from the shape of their file, which may stand in a mapping, too.
pub(super) fn weights(file: File) -> Result<Weights, Wrong> {
    let thresholds = match file.thresholds {
        None => Thresholds::default(),
        Some(bounds) => thresholds(&bounds)?,
    };
    let mut fields = BTreeMap::new();
    for (name, field) in file.field {
        let mut levels = BTreeMap::new();
        for (word, rates) in field.levels {
            levels.insert(level(&name, &word)?, Rate { m: share(&name, &rates.m)?, u: share(&name, &rates.u)? });
        }
        let mut common = BTreeMap::new();
        for (word, value) in field.common {
            common.insert(word, share(&name, &value)?);
        }
        let rare = field.rare.map(|rare| share(&name, &rare)).transpose()?.unwrap_or(0.0);
        let mut given = BTreeMap::new();
        for (other, shape) in field.given {
            let mut known = BTreeMap::new();
            for (word, shape) in shape {
                let mut shares = BTreeMap::new();
                for (own, value) in shape {
                    shares.insert(level(&name, &own)?, share(&name, &value)?);
                }
                known.insert(level(&name, &word)?, shares);
            }
            given.insert(other, known);
        }
        fields.insert(name, FieldWeights { levels, common, rare, given });
    }
    Ok(Weights { fields, thresholds })
}

fn thresholds(bounds: &Bounds) -> Result<Thresholds, Wrong> {
    let finite = |bound: &Spanned<f64>| match bound.get_ref() {
        number if number.is_finite() => Ok(*number),
        number => Err(Wrong { at: Some(bound.span().start), reason: format!("{number} is no threshold") }),
    };
    let (automatic, review, lead) = (finite(&bounds.automatic)?, finite(&bounds.review)?, finite(&bounds.lead)?);
    if review > automatic {
        return Err(Wrong { at: Some(bounds.review.span().start), reason: format!("review = {review} is above automatic = {automatic}") });
    }
    Ok(Thresholds { automatic, review, lead })
}

fn level(name: &str, word: &Spanned<String>) -> Result<Level, Wrong> {
    Level::parse(word.get_ref()).ok_or_else(|| Wrong {
        at: Some(word.span().start),
        reason: format!("{name}: no level {:?}; there are {}", word.get_ref(), Level::ALL.map(Level::as_str).join(", ")),
    })
}

/// A share of records or pairs: above 0, at most 1.
fn share(name: &str, value: &Spanned<f64>) -> Result<f64, Wrong> {
    let share = *value.get_ref();
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    Err(Wrong { at: Some(value.span().start), reason: format!("{name}: {share} is not a share above 0 and at most 1") })
}

#[cfg(test)]
mod tests {
    use reconcile::matching::Kind;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut weights = Weights { thresholds: Thresholds { automatic: 20.25, review: 8.5, lead: 5.0 }, ..Weights::default() };
        let levels = BTreeMap::from([(Level::Equal, Rate { m: 0.8, u: 0.004 }), (Level::Different, Rate { m: 0.2, u: 0.996 })]);
        let common = BTreeMap::from([("müller \"m\"".to_owned(), 0.012), ("o'neill".to_owned(), 0.5)]);
        let shares = BTreeMap::from([(Level::Equal, 0.5), (Level::Close, 0.75)]);
        let given = BTreeMap::from([
            ("birth \"date\"".to_owned(), BTreeMap::from([(Level::Equal, shares.clone()), (Level::Swapped, shares)])),
            ("city".to_owned(), BTreeMap::new()),
        ]);
        weights.fields.insert("last name".to_owned(), FieldWeights { levels, common, rare: 0.000_25, given });
        let text = weights.to_toml("", |_| Some(Kind::Surname));
        assert_eq!(parse(&text).expect("reads"), weights, "{text}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, reason) in [
            ("[field.a.levels]\nequl = { m = 0.5, u = 0.1 }", "no level \"equl\""),
            ("[field.a.levels]\nequal = { m = 1.5, u = 0.1 }", "1.5 is not a share"),
            ("[field.a.given.b]\nequal = { equl = 0.5 }", "no level \"equl\""),
            ("[field.a.given.b]\nequal = { equal = 0.0 }", "0 is not a share"),
            ("[thresholds]\nautomatic = 1.0\nreview = 2.0\nlead = 1.0", "above automatic"),
            ("[field.a]\nrarely = 1.0", "unknown field"),
        ] {
            let wrong = parse(text).expect_err(text);
            assert!(wrong.reason.contains(reason) && wrong.at.is_some_and(|at| at > 0), "{wrong:?}");
        }
    }
}
