//! What contradicts itself in a mapping, and values that do not come back as they were written.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{EntityMapping, FieldMapping, FieldType, Side, conform, read, write};
use crate::error::Error;
use crate::value::Value;

/// Whether every sample, the values of `side`'s columns in the rule's order, still means the same after it was read, written
/// across and read there.
pub fn round_trip(field: &FieldMapping, side: Side, samples: &[Vec<Value>]) -> Vec<Error> {
    if matches!(field.kind, FieldType::Reference { .. }) {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for sample in samples {
        let value = match read(field, side, sample) {
            Ok(value) => value,
            Err(error) => {
                broken.push(error);
                continue;
            }
        };
        for target in Side::BOTH {
            if !field.direction.allows(target) {
                continue;
            }
            let there = if target == side { sample.as_slice() } else { &[] };
            match back(field, target, &value, there) {
                Ok(back) if back == value => {}
                Ok(back) => broken.push(changed(field, target, &value, &back)),
                Err(error) => broken.push(error),
            }
        }
    }
    broken
}

/// What a side's columns say after a value was written over what they held.
fn back(field: &FieldMapping, side: Side, value: &Value, there: &[Value]) -> Result<Value, Error> {
    let rule = &field.columns[side];
    let written = write(field, side, value)?;
    let held: BTreeMap<&str, &Value> = rule.names().zip(there).collect();
    read(field, side, &rule.gather(|column| written.get(column).or_else(|| held.get(column).copied())))
}

fn changed(field: &FieldMapping, side: Side, value: &Value, back: &Value) -> Error {
    Error::RoundTrip {
        field: field.name.clone(),
        side: side.as_str(),
        column: field.columns[side].shown(),
        value: value.to_string(),
        back: back.to_string(),
    }
}

/// The first value of a few of the field's type that comes back from a side as another one. Values that a side refuses are no
/// fault: they are refused in words, not changed.
fn law(field: &FieldMapping) -> Option<Error> {
    if field.lossy || matches!(field.kind, FieldType::Reference { .. }) {
        return None;
    }
    let values = samples(&field.kind);
    Side::BOTH.into_iter().filter(|side| field.direction.allows(*side)).find_map(|side| {
        let wrong = |value: &Value| match back(field, side, value, &[]) {
            Ok(back) if back != *value => Some(changed(field, side, value, &back)),
            Ok(_) | Err(_) => None,
        };
        values.iter().find_map(wrong)
    })
}

/// Values of a type that conversions have been seen to trip over.
fn samples(kind: &FieldType) -> Vec<Value> {
    let texts =
        ["Acme", "acme", "0", "007", "O'Brien", "Zoë Müller-Ñandú", "Main St. 12 b", "a, b", "José Maria de la Cruz", "株式会社", "\"x\""];
    let raw: Vec<Value> = match kind {
        FieldType::Text => texts.map(Value::text).to_vec(),
        FieldType::Int => [0, 1, -1, 12, 1_234_567].map(Value::Int).to_vec(),
        FieldType::Decimal { scale } => [0, 1, -1, 12_345, 999_999_999].map(|digits| Value::Decimal(Decimal::new(digits, *scale))).to_vec(),
        FieldType::Bool => [true, false].map(Value::Bool).to_vec(),
        // The first day, leap days, a day before 1970, the last day.
        FieldType::Date => [-719_162, -1, 0, 11_016, 20_779, 2_932_896].map(Value::Date).to_vec(),
        FieldType::Timestamp => [-1_000_000, 0, 1_795_338_000_000_000].map(Value::Timestamp).to_vec(),
        FieldType::Enum(words) => words.iter().map(Value::text).collect(),
        FieldType::Reference { .. } => Vec::new(),
        FieldType::List { of, .. } => {
            let items = samples(of);
            let few = items.get(..2).unwrap_or(&items).to_vec();
            vec![Value::List(items), Value::List(few)]
        }
    };
    raw.iter().filter_map(|value| conform(kind, value).ok()).filter(|value| !value.is_null()).collect()
}

/// What contradicts itself in an entity's mapping.
pub fn check(mapping: &EntityMapping) -> Vec<Error> {
    let mut found = Vec::new();
    let mut fault = |field: &str, reason: String| {
        found.push(Error::Mapping { kind: mapping.kind.clone(), field: field.to_owned(), reason });
    };
    if mapping.fields.is_empty() {
        fault("", "it has no fields; name at least one".to_owned());
    }
    if mapping.field(&mapping.title).is_none() {
        fault("", format!("its title is the field `{}`, which it does not have", mapping.title));
    }
    if mapping.skew_us < 0 {
        fault("", "the skew is negative; give a duration of zero or more".to_owned());
    }
    for (index, field) in mapping.fields.iter().enumerate() {
        if field.name.is_empty() || field.name.starts_with('$') {
            fault(&field.name, "a field's name is not empty and does not begin with $".to_owned());
        }
        if mapping.fields[..index].iter().any(|earlier| earlier.name == field.name) {
            fault(&field.name, "the name is used twice".to_owned());
        }
        for side in Side::BOTH {
            for reason in columns_faults(mapping, index, side) {
                fault(&field.name, reason);
            }
        }
        for (side, reason) in words_faults(field) {
            fault(&field.name, format!("{} column {}: {reason}", side.as_str(), field.columns[side].shown()));
        }
        for reason in value_faults(field) {
            fault(&field.name, reason);
        }
        if let Some(Error::RoundTrip { side, column, value, back, .. }) = law(field) {
            let remedy = "let `read` undo `write`, or accept it with lossy = true";
            fault(&field.name, format!("{value} comes back from {side} column {column} as {back}; {remedy}"));
        }
    }
    found
}

/// What is wrong with a field's columns on one side.
fn columns_faults(mapping: &EntityMapping, index: usize, side: Side) -> Vec<String> {
    let mut faults = Vec::new();
    let field = &mapping.fields[index];
    let rule = &field.columns[side];
    let word = side.as_str();
    if rule.parts.is_empty() || rule.names().any(str::is_empty) {
        faults.push(format!("it names no {word} column"));
        return faults;
    }
    for (place, name) in rule.names().enumerate() {
        if rule.names().take(place).any(|earlier| earlier == name) {
            faults.push(format!("it names the {word} column {name} twice"));
        }
        if mapping.sides[side].constants.contains_key(name) {
            faults.push(format!("the {word} column {name} is also a constant"));
        }
    }
    let writes =
        |field: &FieldMapping, name: &str| field.direction.allows(side) && field.columns[side].written().any(|column| column == name);
    for name in rule.written() {
        // Read by several, written by one.
        if writes(field, name) && mapping.fields[..index].iter().any(|earlier| writes(earlier, name)) {
            faults.push(format!("another field is mapped to the {word} column {name} too, and both would write it"));
        }
    }
    if rule.split() && rule.read.is_none() {
        faults.push(format!("its {word} columns each say how they are written, but nothing says how they are read; add `read`"));
    }
    if matches!(field.kind, FieldType::Reference { .. }) && (rule.parts.len() > 1 || rule.read.is_some() || rule.parts[0].write.is_some()) {
        faults.push(format!("a reference is one {word} column as it is, without expressions"));
    }
    if rule.separator.is_some() && !matches!(field.kind, FieldType::List { .. }) {
        faults.push("a separator is for lists".to_owned());
    }
    if rule.separator.as_ref().is_some_and(String::is_empty) {
        faults.push("the separator is empty".to_owned());
    }
    faults
}

fn value_faults(field: &FieldMapping) -> Vec<String> {
    let mut faults = Vec::new();
    if field.max_length == Some(0) {
        faults.push("no text is so short".to_owned());
    }
    if let FieldType::List { of, .. } = &field.kind
        && matches!(**of, FieldType::List { .. } | FieldType::Reference { .. })
    {
        faults.push("a list holds neither lists nor references".to_owned());
    }
    let Some(default) = &field.default else { return faults };
    if matches!(field.kind, FieldType::Reference { .. }) {
        faults.push("a reference has no default".to_owned());
    }
    for side in Side::BOTH.into_iter().filter(|side| field.direction.allows(*side)) {
        if let Err(error) = write(field, side, &default.value) {
            faults.push(format!("its default cannot be written: {error}"));
        }
    }
    faults
}

fn words_faults(field: &FieldMapping) -> Vec<(Side, String)> {
    let mut faults = Vec::new();
    let known = match &field.kind {
        FieldType::Enum(known) => known,
        FieldType::List { of, .. } => match &**of {
            FieldType::Enum(known) => known,
            _ => return faults,
        },
        _ => return faults,
    };
    for side in Side::BOTH {
        let words = &field.columns[side].words;
        if words.is_empty() || known.is_empty() {
            continue;
        }
        for (there, canonical) in words {
            if !known.contains(canonical) {
                faults.push((side, format!("`{there}` stands for `{canonical}`, which is not one of the field's words")));
            }
        }
        if field.direction.allows(side) {
            for missing in known.iter().filter(|word| !words.values().any(|canonical| canonical == *word)) {
                faults.push((side, format!("no word stands for `{missing}`, so it cannot be written")));
            }
        }
    }
    faults
}
