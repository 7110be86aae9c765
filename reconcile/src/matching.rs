//! Which records are the same entity.
//!
//! Keys are tried by strength (design 6); [`decide`] says which entity a record belongs to, given what the caller's index holds.
//! A link once made is a fact that the caller keeps; nothing here is asked again about a linked record.
//!
//! Records that share no key are compared by score (Fellegi and Sunter, 1969):
//!
//! ```text
//! columns ─ Scorer::prepare ─▶ Prepared ─ block_keys ─▶ blocks ─ candidates ─▶ few records
//!                                  └─────────── Scorer::compare ◀───────────────┘
//!                                                     │ Comparison: score and reasons
//!                                               decide_scored ─▶ match │ review │ new
//! ```
//!
//! - [`normal`]: normal forms, the same for spellings of the same thing
//! - [`kind`]: what a field holds and how far two values can agree
//! - [`weights`]: what agreement is worth; data
//! - [`block`]: which records are worth comparing
//! - [`estimate`]: weights from records without labels
//! - [`cluster`]: which of many compared records are one, all at once
//!
//! Left out: where records, links and blocks are kept, and people's decisions; the caller has them.

pub mod block;
mod builtin;
pub mod cluster;
mod distance;
pub mod estimate;
pub mod kind;
mod level;
pub mod normal;
mod overlap;
mod phonetic;
mod place;
mod prepare;
mod rules;
mod score;
pub mod weights;
mod words;

pub use block::{BLOCK_CAP, BlockKey, Blocks, Found, MAX_CANDIDATES, candidates, joins, leaves};
pub use kind::{Kind, Level};
pub use place::{MAX_REVIEWED, Scored, ScoredPlacement, decide_scored};
pub use prepare::Prepared;
pub use rules::{CompareField, MatchRules};
pub use score::{Comparison, Reason, Scorer};
pub use weights::{FieldWeights, Rate, Thresholds, Weights};

use crate::mapping::{MatchKey, Normal, Side};
use crate::value::Value;

/// A record's value for one match key, normalised: what an index is keyed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyValue {
    /// Position of the key in the mapping: 0 is the strongest.
    pub key: usize,
    /// Normalised value; never empty.
    pub value: String,
}

/// An entity that has a key's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Entity id.
    pub entity: String,
    /// Its record on the side of the record being placed; an entity has one record per side.
    pub record: Option<String>,
}

/// Where a record belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// To this entity.
    Link {
        /// Entity id.
        entity: String,
        /// Name of the key that says so.
        rule: String,
    },
    /// To none that is known.
    New,
    /// To one of several that one key cannot tell apart, or to one that already has another record here: a person decides.
    Ambiguous {
        /// Entity ids, in order.
        entities: Vec<String>,
        /// Name of the key.
        rule: String,
    },
}

/// The normalised form of one value for matching; none when it says nothing about who the record is.
pub fn normalise(normal: Normal, value: &Value) -> Option<String> {
    let text = match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Decimal(number) => number.normalize().to_string(),
        Value::Null | Value::Bool(_) | Value::Date(_) | Value::Timestamp(_) | Value::List(_) => return None,
    };
    match normal {
        Normal::Exact => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Normal::SalesforceId => normal::salesforce_id(&text),
        Normal::Email => normal::email(&text),
        Normal::TaxId => normal::tax_id(&text),
    }
}

/// A record's normalised key values in order of strength. `column` gives a column's value; `$id` is the record id.
pub fn key_values<'v>(keys: &[MatchKey], side: Side, record: &str, column: impl Fn(&str) -> Option<&'v Value>) -> Vec<KeyValue> {
    keys.iter()
        .enumerate()
        .filter_map(|(index, key)| {
            let name = key.columns[side].as_str();
            let value = match name {
                "$id" => normalise(key.normal, &Value::text(record)),
                _ => normalise(key.normal, column(name)?),
            };
            value.map(|value| KeyValue { key: index, value })
        })
        .collect()
}

/// Where a record belongs: the first key that any entity shares decides. `look_up` gives the entities with a key's value.
pub fn decide(keys: &[MatchKey], record: &str, values: &[KeyValue], look_up: impl Fn(&KeyValue) -> Vec<Candidate>) -> Placement {
    let mut taken: Option<Placement> = None;
    for value in values {
        let rule = keys.get(value.key).map(|key| key.name.clone()).unwrap_or_default();
        let mut candidates = look_up(value);
        candidates.sort_by(|left, right| left.entity.cmp(&right.entity));
        candidates.dedup_by(|left, right| left.entity == right.entity);
        let free: Vec<&Candidate> =
            candidates.iter().filter(|candidate| candidate.record.as_deref().is_none_or(|there| there == record)).collect();
        match (free.as_slice(), candidates.as_slice()) {
            ([one], [_]) => return Placement::Link { entity: one.entity.clone(), rule },
            (_, []) => {}
            _ => {
                // A weaker key may still tell exactly, but never past a stronger one's answer.
                let entities = candidates.into_iter().map(|candidate| candidate.entity).collect();
                taken.get_or_insert(Placement::Ambiguous { entities, rule });
            }
        }
        if taken.is_some() {
            break;
        }
    }
    taken.unwrap_or(Placement::New)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Pair;

    fn keys() -> Vec<MatchKey> {
        let key = |name: &str, crm: &str, erp: &str, normal| MatchKey {
            name: name.to_owned(),
            columns: Pair { crm: crm.to_owned(), erp: erp.to_owned() },
            normal,
        };
        vec![key("crm id", "$id", "sf_id", Normal::SalesforceId), key("e-mail", "Email__c", "email", Normal::Email)]
    }

    fn candidate(entity: &str, record: Option<&str>) -> Candidate {
        Candidate { entity: entity.to_owned(), record: record.map(ToOwned::to_owned) }
    }

    #[test]
    fn the_strongest_shared_key_decides() {
        let keys = keys();
        let (id, mail) = (Value::text("001A0000006Vm9u"), Value::text(" Dana@Acme.example "));
        let values = key_values(&keys, Side::Erp, "7", |name| if name == "sf_id" { Some(&id) } else { Some(&mail) });
        assert_eq!(values[0].value, "001A0000006Vm9uIAC");
        assert_eq!(values[1].value, "dana@acme.example");
        let by = |key: usize| {
            decide(
                &keys,
                "7",
                &values,
                |value| if value.key >= key { vec![candidate(&format!("e{}", value.key), None)] } else { Vec::new() },
            )
        };
        assert_eq!(by(0), Placement::Link { entity: "e0".to_owned(), rule: "crm id".to_owned() });
        assert_eq!(by(1), Placement::Link { entity: "e1".to_owned(), rule: "e-mail".to_owned() });
        assert_eq!(by(2), Placement::New);
    }

    #[test]
    fn two_entities_or_one_that_has_another_record_here_are_for_a_person() {
        let keys = keys();
        let values = vec![KeyValue { key: 1, value: "dana@acme.example".to_owned() }];
        let place = |found: Vec<Candidate>| decide(&keys, "7", &values, |_| found.clone());
        assert!(
            matches!(place(vec![candidate("a", None), candidate("b", None)]), Placement::Ambiguous { entities, .. } if entities.len() == 2)
        );
        assert!(matches!(place(vec![candidate("a", Some("8"))]), Placement::Ambiguous { .. }));
        assert!(matches!(place(vec![candidate("a", Some("7"))]), Placement::Link { .. }));
    }
}
