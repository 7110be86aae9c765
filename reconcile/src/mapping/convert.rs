//! Values between a column and their canonical form.
//!
//! Reading: nothing and empty text are null; then the table of words, or the `read` expression; then the field's type.
//! Writing is the mirror image. Numbers become decimals exactly or not at all; a decimal is rounded half to even at the
//! field's scale.

use rust_decimal::prelude::{FromStr, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{EntityMapping, Expression, FieldMapping, FieldType, Side, expression, time};
use crate::error::Error;
use crate::value::Value;

/// The canonical form of a column's value. A reference stays the side's own record id, which links turn into an entity.
pub fn read(field: &FieldMapping, side: Side, column: &Value) -> Result<Value, Error> {
    let rule = &field.columns[side];
    if blank(column) && rule.read.is_none() {
        return Ok(Value::Null);
    }
    let fault = |reason: String| Error::read(field, side, column, reason);
    let value = match &rule.read {
        Some(expression) => apply(field, expression, column).map_err(fault)?,
        None => column.clone(),
    };
    if blank(&value) {
        return Ok(Value::Null);
    }
    let value = if rule.words.is_empty() {
        value
    } else {
        let word = plain(&value);
        let known = rule.words.get(&word).ok_or_else(|| fault("it is not in the table of words".to_owned()))?;
        Value::Text(known.clone())
    };
    conform(&field.kind, &value).map_err(fault)
}

/// The column's value for a canonical one, which is first brought to the field's type (a person may have typed it).
pub fn write(field: &FieldMapping, side: Side, canonical: &Value) -> Result<Value, Error> {
    let rule = &field.columns[side];
    let fault = |reason: String| Error::write(field, side, canonical, reason);
    if blank(canonical) && rule.write.is_none() {
        return Ok(Value::Null);
    }
    let value = if blank(canonical) { Value::Null } else { conform(&field.kind, canonical).map_err(fault)? };
    let value = if rule.words.is_empty() || value.is_null() {
        value
    } else {
        let word = plain(&value);
        let there = rule.words.iter().find(|(_, known)| **known == word).map(|(there, _)| there.clone());
        Value::Text(there.ok_or_else(|| fault("it is not in the table of words".to_owned()))?)
    };
    match &rule.write {
        Some(expression) => apply(field, expression, &value).map_err(fault),
        None => Ok(value),
    }
}

/// Whether every sample, a value of `side`'s column, still means the same after it was read, written across and read there.
pub fn round_trip(field: &FieldMapping, side: Side, samples: &[Value]) -> Vec<Error> {
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
            match write(field, target, &value).and_then(|column| read(field, target, &column)) {
                Ok(back) if back == value => {}
                Ok(back) => broken.push(Error::RoundTrip {
                    field: field.name.clone(),
                    side: target.as_str(),
                    column: field.columns[target].column.clone(),
                    value: value.to_string(),
                    back: back.to_string(),
                }),
                Err(error) => broken.push(error),
            }
        }
    }
    broken
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
    for side in Side::BOTH {
        for (index, field) in mapping.fields.iter().enumerate() {
            let column = &field.columns[side].column;
            if column.is_empty() {
                fault(&field.name, format!("it names no {} column", side.as_str()));
            } else if mapping.fields[..index].iter().any(|earlier| earlier.columns[side].column == *column) {
                fault(&field.name, format!("another field is mapped to the {} column {column} too", side.as_str()));
            }
            if mapping.sides[side].constants.contains_key(column) {
                fault(&field.name, format!("the {} column {column} is also a constant", side.as_str()));
            }
        }
    }
    for (index, field) in mapping.fields.iter().enumerate() {
        if field.name.is_empty() || field.name.starts_with('$') {
            fault(&field.name, "a field's name is not empty and does not begin with $".to_owned());
        }
        if mapping.fields[..index].iter().any(|earlier| earlier.name == field.name) {
            fault(&field.name, "the name is used twice".to_owned());
        }
        for (side, reason) in words_faults(field) {
            fault(&field.name, format!("{} column {}: {reason}", side.as_str(), field.columns[side].column));
        }
    }
    found
}

fn words_faults(field: &FieldMapping) -> Vec<(Side, String)> {
    let mut faults = Vec::new();
    for side in Side::BOTH {
        let words = &field.columns[side].words;
        if let FieldType::Enum(known) = &field.kind {
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
    }
    faults
}

fn apply(field: &FieldMapping, expression: &Expression, value: &Value) -> Result<Value, String> {
    let exact = matches!(field.kind, FieldType::Decimal { .. });
    expression::transform(expression, value, exact).map_err(|reason| format!("`{}`: {reason}", expression.text))
}

fn blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}

/// Text without quotes, for tables of words and text fields.
fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Decimal(number) => number.normalize().to_string(),
        other => other.to_string(),
    }
}

/// The value in a field's type.
pub(crate) fn conform(kind: &FieldType, value: &Value) -> Result<Value, String> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let refused = |what: &str| Err(format!("it is not {what}"));
    match (kind, value) {
        (FieldType::Text, Value::List(_)) => refused("text"),
        (FieldType::Text, Value::Decimal(number)) => Ok(Value::Text(number.to_string())),
        (FieldType::Text, other) => Ok(Value::Text(plain(other))),
        (FieldType::Int, Value::Int(_)) => Ok(value.clone()),
        (FieldType::Int, Value::Decimal(number)) if number.fract().is_zero() => {
            number.to_i64().map(Value::Int).ok_or_else(|| "it is too large for a whole number".to_owned())
        }
        (FieldType::Int, Value::Text(text)) => match text.trim().parse() {
            Ok(number) => Ok(Value::Int(number)),
            Err(_) => refused("a whole number"),
        },
        (FieldType::Int, _) => refused("a whole number"),
        (FieldType::Decimal { scale }, Value::Int(number)) => Ok(rounded(Decimal::from(*number), *scale)),
        (FieldType::Decimal { scale }, Value::Decimal(number)) => Ok(rounded(*number, *scale)),
        (FieldType::Decimal { scale }, Value::Text(text)) => {
            let text = text.trim();
            match Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)) {
                Ok(number) => Ok(rounded(number, *scale)),
                Err(_) => refused("a decimal number of at most 28 digits"),
            }
        }
        (FieldType::Decimal { .. }, _) => refused("a decimal number"),
        (FieldType::Bool, Value::Bool(_)) => Ok(value.clone()),
        (FieldType::Bool, Value::Int(0)) => Ok(Value::Bool(false)),
        (FieldType::Bool, Value::Int(1)) => Ok(Value::Bool(true)),
        (FieldType::Bool, Value::Text(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(Value::Bool(true)),
            "false" | "f" | "no" | "n" | "0" => Ok(Value::Bool(false)),
            _ => refused("true or false"),
        },
        (FieldType::Bool, _) => refused("true or false"),
        (FieldType::Date, Value::Date(_)) => Ok(value.clone()),
        (FieldType::Date, Value::Timestamp(micros)) => {
            i32::try_from(micros.div_euclid(time::DAY_US)).map(Value::Date).or_else(|_| refused("a day"))
        }
        (FieldType::Date, Value::Text(text)) => {
            time::parse_date(text).map_or_else(|| refused("a day such as 2026-11-22"), |day| Ok(Value::Date(day)))
        }
        (FieldType::Date, _) => refused("a day"),
        (FieldType::Timestamp, Value::Timestamp(_)) => Ok(value.clone()),
        (FieldType::Timestamp, Value::Date(days)) => Ok(Value::Timestamp(i64::from(*days) * time::DAY_US)),
        (FieldType::Timestamp, Value::Text(text)) => time::parse_timestamp(text)
            .map_or_else(|| refused("an instant such as 2026-11-22T10:00:00Z"), |instant| Ok(Value::Timestamp(instant))),
        (FieldType::Timestamp, _) => refused("an instant"),
        (FieldType::Enum(known), other) => {
            let word = plain(other);
            if known.is_empty() || known.contains(&word) {
                Ok(Value::Text(word))
            } else {
                Err(format!("it is not one of {}", known.join(", ")))
            }
        }
        (FieldType::Reference { .. }, Value::Text(_)) => Ok(value.clone()),
        (FieldType::Reference { .. }, Value::Int(id)) => Ok(Value::Text(id.to_string())),
        (FieldType::Reference { .. }, _) => refused("a record id"),
    }
}

fn rounded(number: Decimal, scale: u32) -> Value {
    Value::Decimal(number.round_dp_with_strategy(scale, RoundingStrategy::MidpointNearestEven))
}
