//! What a field says beyond another that agrees as well.
//!
//! Two customers of one postcode are of one city, whoever they are: to count both is to count the postcode twice. For every two
//! fields that go together, the weights say how often records of two entities agree in the one when they agree in the other
//! ([`FieldWeights::given`]). Of what agrees in a pair of records the field with the most bits counts in full. Each other one
//! counts at most
//!
//! ```text
//! log2(m / g)    m: share of the pairs of one entity that agree so far or better
//!                g: the same of two entities whose stronger field agrees
//! ```
//!
//! and nothing when it implies the stronger one, as a postcode does a city that is rarer than most. Of several stronger fields the
//! one that leaves least counts. Agreement never becomes evidence against a match this way, and what differs counts as before.

use super::builtin;
use super::kind::Level;
use super::rules::CompareField;
use super::score::Part;
use super::weights::{FieldWeights, Weights};

/// For each two fields, what one adds at most when the other agrees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlaps {
    fields: usize,
    /// By field and the field that agrees as well.
    most: Vec<Option<Box<Most>>>,
    any: bool,
}

/// A field that adds less than so many bits to another is implied by it.
const IMPLIED: f64 = 0.5;

/// Bits at most, by the other field's level and the field's own.
type Most = [[f64; Level::ALL.len()]; Level::ALL.len()];

impl Overlaps {
    /// From fields, their weights, and `m` by field and level.
    pub(crate) fn of(fields: &[CompareField], weights: &Weights, m: impl Fn(usize, Level) -> f64) -> Self {
        let mut most = Vec::with_capacity(fields.len() * fields.len());
        for (index, field) in fields.iter().enumerate() {
            let given = weights.fields.get(&field.name);
            most.extend(
                fields
                    .iter()
                    .enumerate()
                    .map(|(at, other)| (at != index).then(|| between(field, other, given, |level| m(index, level)))?),
            );
        }
        Self { fields: fields.len(), any: most.iter().any(Option::is_some), most }
    }

    /// What a field adds at most when another agrees so far.
    fn most(&self, field: (usize, Level), other: (usize, Level)) -> f64 {
        let known = self.most.get(field.0 * self.fields + other.0).and_then(Option::as_deref);
        known.and_then(|most| most.get(other.1 as usize)?.get(field.1 as usize).copied()).unwrap_or(f64::INFINITY)
    }

    /// Takes from each part what a stronger one has said already.
    pub(crate) fn take_off(&self, parts: &mut [Part]) {
        if !self.any {
            return;
        }
        let mut order: Vec<usize> = (0..parts.len()).filter(|at| parts.get(*at).is_some_and(|part| part.bits > 0.0)).collect();
        if order.len() < 2 {
            return;
        }
        let bits = |parts: &[Part], at: usize| parts.get(at).map_or(0.0, |part| part.bits);
        order.sort_by(|one, other| bits(parts, *other).total_cmp(&bits(parts, *one)).then_with(|| one.cmp(other)));
        for (done, at) in order.iter().enumerate() {
            let Some(part) = parts.get(*at) else { continue };
            let (here, full) = ((part.field, part.level), part.bits);
            let mut left = full;
            let mut beside = None;
            for head in order.iter().take(done).filter_map(|head| parts.get(*head)) {
                let there = (head.field, head.level);
                let beyond = if self.most(there, here) < IMPLIED { 0.0 } else { self.most(here, there) };
                if beyond < left {
                    (left, beside) = (beyond, Some(head.field));
                }
            }
            if let Some(part) = parts.get_mut(*at) {
                (part.bits, part.taken, part.beside) = (left, full - left, beside);
            }
        }
    }
}

/// What a field adds at most beside another; none when nothing is known of the two.
fn between(field: &CompareField, other: &CompareField, given: Option<&FieldWeights>, m: impl Fn(Level) -> f64) -> Option<Box<Most>> {
    let estimated = given.and_then(|given| given.given.get(&other.name));
    let mut most = [[f64::INFINITY; Level::ALL.len()]; Level::ALL.len()];
    let mut known = false;
    for theirs in other.kind.levels() {
        let mut reached = 0.0;
        for own in field.kind.levels() {
            reached += m(*own);
            let share = match estimated {
                Some(levels) => levels.get(theirs).and_then(|shares| shares.get(own)).copied(),
                None => builtin::given((other.kind, *theirs), (field.kind, *own)),
            };
            let (Some(share), Some(place)) = (share, most.get_mut(*theirs as usize).and_then(|row| row.get_mut(*own as usize))) else {
                continue;
            };
            *place = (reached.min(1.0) / share).log2().max(0.0);
            known = true;
        }
    }
    known.then(|| Box::new(most))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::matching::Kind;
    use crate::matching::prepare::Prepared;
    use crate::matching::score::Scorer;
    use crate::matching::weights::{Rate, Thresholds};

    fn fields() -> Vec<CompareField> {
        let field = |name: &str, kind| CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with: None };
        vec![
            field("postcode", Kind::Postcode),
            field("city", Kind::Locality),
            field("e-mail", Kind::Email),
            field("site", Kind::Website),
            field("tax id", Kind::TaxId),
        ]
    }

    fn reasons(weights: &Weights, left: [&str; 5], right: [&str; 5]) -> Vec<String> {
        let fields = fields();
        let scorer = Scorer::of(&fields, weights);
        let (left, right) = (Prepared::from_texts(&fields, left), Prepared::from_texts(&fields, right));
        let (there, back) = (scorer.compare(&left, &right), scorer.compare(&right, &left));
        let reasons = scorer.reasons(&there);
        assert_eq!(reasons, scorer.reasons(&back), "the same from both ends");
        assert!((reasons.iter().map(|reason| reason.bits).sum::<f64>() - there.score).abs() < 1e-9, "the reasons are the score");
        reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_city_says_nothing_beyond_its_postcode_and_a_host_nothing_beyond_the_site() {
        let weights = Weights::default();
        assert_eq!(
            reasons(&weights, ["10115", "Berlin", "", "", "DE123456788"], ["10115", "Berlin", "", "", "DE123456788"]),
            ["postcode equal: +8.6", "city equal, which says nothing beyond the postcode: +0.0", "tax id equal: +18.7"]
        );
        assert_eq!(
            reasons(
                &weights,
                ["", "Berlin", "ann@acme.example", "acme.example", ""],
                ["", "Berlin", "bob@acme.example", "acme.example", ""]
            ),
            ["city equal: +6.2", "e-mail same domain, which says nothing beyond the site: +0.0", "site equal: +15.2"]
        );
        // Without the stronger field it counts in full, and what differs does as well.
        assert_eq!(reasons(&weights, ["", "Berlin", "", "", ""], ["", "Berlin", "", "", ""]), ["city equal: +6.2"]);
        assert_eq!(
            reasons(&weights, ["10115", "Berlin", "", "", ""], ["80331", "Berlin", "", "", ""]),
            ["postcode differs: −3.4", "city equal: +6.2"]
        );
    }

    #[test]
    fn what_was_estimated_stands_before_what_is_built_in() {
        let given = |share: f64| {
            BTreeMap::from([("postcode".to_owned(), BTreeMap::from([(Level::Equal, BTreeMap::from([(Level::Equal, share)]))]))])
        };
        let levels = BTreeMap::from([(Level::Equal, Rate { m: 0.8, u: 0.001 })]);
        let city = |share: Option<f64>| {
            let given = share.map_or_else(|| BTreeMap::from([("postcode".to_owned(), BTreeMap::new())]), given);
            let field = FieldWeights { levels: levels.clone(), given, ..FieldWeights::default() };
            let weights = Weights { fields: BTreeMap::from([("city".to_owned(), field)]), thresholds: Thresholds::default() };
            reasons(&weights, ["10115", "Berlin", "", "", ""], ["10115", "Berlin", "", "", ""])
        };
        // The city is rarer here, so the postcode is what adds little.
        assert_eq!(city(None)[1], "city equal: +9.6");
        assert_eq!(city(Some(0.05)), ["postcode equal, which says less beside the city: +3.0", "city equal: +9.6"]);
    }
}
