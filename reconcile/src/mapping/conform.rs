//! Values in a field's type. Numbers become decimals exactly or not at all; a decimal is rounded half to even at the field's
//! scale.

use rust_decimal::prelude::{FromStr, ToPrimitive};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{FieldType, time};
use crate::value::Value;

/// Between the items of a list that a person types.
pub(super) const SEPARATOR: &str = ";";

impl FieldType {
    /// A value in this type.
    ///
    /// # Errors
    /// Says why it has none: "it is not …".
    pub fn conform(&self, value: &Value) -> Result<Value, String> {
        conform(self, value)
    }
}

/// Text without quotes, for tables of words and text fields.
pub(super) fn plain(value: &Value) -> String {
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
        (FieldType::List { of, ordered }, Value::List(items)) => list(of, *ordered, items.iter()),
        (FieldType::List { of, ordered }, Value::Text(text)) => list(of, *ordered, items(text, SEPARATOR).iter()),
        (FieldType::List { .. }, _) => refused("a list"),
    }
}

/// The items of a text.
pub(super) fn items(text: &str, separator: &str) -> Vec<Value> {
    text.split(separator).map(str::trim).filter(|item| !item.is_empty()).map(Value::text).collect()
}

fn list<'v>(of: &FieldType, ordered: bool, items: impl Iterator<Item = &'v Value>) -> Result<Value, String> {
    let mut conformed = Vec::new();
    for item in items {
        let item = conform(of, item).map_err(|reason| format!("of its item {item}, {reason}"))?;
        if !item.is_null() {
            conformed.push(item);
        }
    }
    if !ordered {
        conformed.sort();
        conformed.dedup();
    }
    Ok(if conformed.is_empty() { Value::Null } else { Value::List(conformed) })
}

fn rounded(number: Decimal, scale: u32) -> Value {
    Value::Decimal(number.round_dp_with_strategy(scale, RoundingStrategy::MidpointNearestEven))
}
