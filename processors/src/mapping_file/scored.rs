//! How records without a common key are compared, as the file says it: `match` of an entity.
//!
//! ```toml
//! [entity.customer.match]
//! compare = [
//!   { name = "name", as = "organisation", crm = "Name", erp = "name" },
//!   { name = "street", as = "street", crm = "BillingStreet", erp = ["street", "street2"] },   # joined by a blank
//!   { name = "first name", as = "given_name", crm = "FirstName", erp = "first_name", swaps_with = "last name" },
//! ]
//! automatic = 24.0      # bits from which two are linked without asking
//! review = 12.0         # bits from which a person is asked
//! lead = 6.0            # bits by which a match is better than the next best
//! [entity.customer.match.weights.field.name.levels]     # what `concord matching estimate` prints; built in without it
//! ```

use reconcile::mapping::Pair;
use reconcile::matching::{CompareField, Kind, MatchRules, Thresholds, Weights};
use serde::Deserialize;
use toml::Spanned;

use super::Wrong;

type Result<T> = std::result::Result<T, Wrong>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Match {
    compare: Vec<Compare>,
    automatic: Option<Spanned<f64>>,
    review: Option<Spanned<f64>>,
    lead: Option<Spanned<f64>>,
    weights: Option<super::weights::File>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compare {
    name: Spanned<String>,
    #[serde(rename = "as")]
    kind: Spanned<String>,
    crm: Columns,
    erp: Columns,
    swaps_with: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a column name, or a list of them")]
enum Columns {
    One(String),
    Several(Vec<String>),
}

impl Columns {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(column) => vec![column],
            Self::Several(columns) => columns,
        }
    }
}

fn wrong(at: usize, reason: String) -> Wrong {
    Wrong { at: Some(at), reason }
}

/// An entity's `match`.
pub(super) fn rules(here: &str, shape: Match) -> Result<MatchRules> {
    let here = format!("{here}.match");
    if shape.compare.is_empty() {
        return Err(Wrong { at: None, reason: format!("{here}.compare names no fields") });
    }
    let mut fields: Vec<CompareField> = Vec::new();
    for field in &shape.compare {
        let (name, at) = (field.name.get_ref(), field.name.span().start);
        if fields.iter().any(|other| other.name == *name) {
            return Err(wrong(at, format!("{here}.compare has two fields named {name:?}")));
        }
        let kind = Kind::parse(field.kind.get_ref()).ok_or_else(|| {
            let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
            let reason = format!("{here}.compare: {name} is as {:?}, but must be one of {}", field.kind.get_ref(), words.join(", "));
            wrong(field.kind.span().start, reason)
        })?;
        fields.push(CompareField { name: name.clone(), kind, columns: Pair::default(), swaps_with: None });
    }
    let (names, shapes): (Vec<String>, Vec<Compare>) = (fields.iter().map(|field| field.name.clone()).collect(), shape.compare);
    for (index, shape) in shapes.into_iter().enumerate() {
        let columns = Pair { crm: shape.crm.into_vec(), erp: shape.erp.into_vec() };
        if columns.crm.is_empty() || columns.erp.is_empty() {
            return Err(wrong(shape.name.span().start, format!("{here}.compare: {} needs a column on each side", names[index])));
        }
        fields[index].columns = columns;
        let Some(sibling) = shape.swaps_with else { continue };
        let other = names.iter().position(|name| name == sibling.get_ref()).filter(|other| *other != index);
        match other {
            Some(other) if Kind::may_swap(fields[index].kind, fields[other].kind) => fields[index].swaps_with = Some(other),
            Some(_) => {
                let reason =
                    format!("{here}.compare: values of {} never stand in {}: their kinds differ too much", names[index], sibling.get_ref());
                return Err(wrong(sibling.span().start, reason));
            }
            None => {
                let reason = format!("{here}.compare: {} swaps with {:?}, which is no other field of it", names[index], sibling.get_ref());
                return Err(wrong(sibling.span().start, reason));
            }
        }
    }
    let weights = shape.weights.map_or_else(|| Ok(Weights::default()), super::weights::weights)?;
    let mut named = weights.fields.iter().flat_map(|(name, field)| std::iter::once(name).chain(field.given.keys()));
    if let Some(stranger) = named.find(|name| !names.contains(*name)) {
        return Err(Wrong { at: None, reason: format!("{here}.weights: {stranger:?} is not one of the fields compared") });
    }
    let built_in = weights.thresholds;
    let bits = |given: &Option<Spanned<f64>>, or: f64| given.as_ref().map_or(or, |bits| *bits.get_ref());
    let thresholds = Thresholds {
        automatic: bits(&shape.automatic, built_in.automatic),
        review: bits(&shape.review, built_in.review),
        lead: bits(&shape.lead, built_in.lead),
    };
    let sound = thresholds.review.is_finite() && thresholds.automatic.is_finite() && thresholds.lead >= 0.0 && thresholds.lead.is_finite();
    if !sound || thresholds.review > thresholds.automatic {
        let at = [&shape.review, &shape.automatic, &shape.lead].into_iter().flatten().map(|bits| bits.span().start).min();
        let reason =
            format!("{here}: review ({}) is at most automatic ({}), and lead is not below zero", thresholds.review, thresholds.automatic);
        return Err(Wrong { at, reason });
    }
    Ok(MatchRules { fields, weights, thresholds })
}
