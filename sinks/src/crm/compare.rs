//! Values to and from Salesforce's JSON, and whether a value there is the one we mean.
//!
//! Salesforce has no empty text (blank is null), trims text, keeps numbers as doubles and times to the second or
//! millisecond, and writes ids with 15 or 18 characters.

use base64::Engine as _;
use rust_decimal::Decimal as Number;
use schemas::Value;
use schemas::value::Decimal;
use serde_json::{Value as Json, json};

use crate::civil;

/// The JSON that Salesforce takes.
pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::Text(text) => {
            if text.is_empty() {
                Json::Null
            } else {
                json!(text)
            }
        }
        Value::Bytes(bytes) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        Value::Decimal(Decimal(text)) => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => json!(whole),
            (_, Ok(number)) => json!(number),
            _ => json!(text),
        },
        Value::Date(days) => json!(civil::date_text(i64::from(*days)).0),
        Value::Timestamp(micros) => {
            let (day, hour, minute, second, fraction) = civil::split(*micros);
            json!(format!("{}T{hour:02}:{minute:02}:{second:02}.{:03}+0000", civil::date_text(day).0, fraction / 1000))
        }
        // A multi-select picklist.
        Value::List(items) => {
            let texts: Vec<String> = items
                .iter()
                .map(|item| match json(item) {
                    Json::String(text) => text,
                    other => other.to_string(),
                })
                .collect();
            if texts.is_empty() { Json::Null } else { json!(texts.join(";")) }
        }
    }
}

/// Whether Salesforce's value is this one.
pub(crate) fn same(value: &Value, there: &Json) -> bool {
    match (value, there) {
        (value, Json::Null) => blank(value),
        (value, Json::String(text)) if text.trim().is_empty() => blank(value),
        (Value::Bool(value), Json::Bool(there)) => value == there,
        // A checkbox is never null.
        (Value::Null, Json::Bool(there)) => !there,
        (Value::Int(_) | Value::Double(_) | Value::Decimal(_), there) => {
            number(&json(value)).is_some_and(|value| number(there) == Some(value))
        }
        (Value::Date(days), Json::String(text)) => civil::parse_date(text.split('T').next().unwrap_or(text)) == Some(i64::from(*days)),
        (Value::Timestamp(micros), Json::String(text)) => civil::parse_moment(text).is_some_and(|there| {
            let unit = if there % 1_000_000 == 0 { 1_000_000 } else { 1000 };
            micros.div_euclid(unit) == there.div_euclid(unit)
        }),
        (Value::Text(value), Json::String(there)) => value.trim() == there.trim() || same_id(value, there),
        (Value::Text(value), Json::Number(there)) => *value == there.to_string(),
        (Value::Text(value), Json::Bool(there)) => *value == there.to_string(),
        (value @ (Value::List(_) | Value::Bytes(_)), there) => json(value) == *there,
        _ => false,
    }
}

fn blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.trim().is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Bytes(_) | Value::Decimal(_) | Value::Date(_) | Value::Timestamp(_) => {
            false
        }
    }
}

fn number(json: &Json) -> Option<Number> {
    let text = match json {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        _ => return None,
    };
    let parsed = Number::from_scientific(&text).or_else(|_| text.parse());
    parsed.ok().map(|number| number.normalize())
}

/// Whether two texts are one record id, written with 15 or 18 characters.
fn same_id(one: &str, other: &str) -> bool {
    let id = |text: &str| matches!(text.len(), 15 | 18) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    id(one) && id(other) && one.len() != other.len() && one[..15] == other[..15]
}

/// The first 15 characters of a record id, which tell records apart.
pub(crate) fn short_id(id: &str) -> &str {
    id.get(..15).unwrap_or(id)
}

/// Salesforce's value in the type of a value known for the same field.
pub(crate) fn read(there: &Json, like: &Value) -> Value {
    match (there, like) {
        (Json::Null, _) => Value::Null,
        (Json::Bool(value), _) => Value::Bool(*value),
        (Json::Number(number), Value::Int(_)) => number.as_i64().map_or_else(|| decimal(there), Value::Int),
        (Json::Number(number), Value::Double(_)) => number.as_f64().map_or(Value::Null, Value::Double),
        (Json::Number(_), _) => decimal(there),
        (Json::String(text), Value::Date(_)) => {
            civil::parse_date(text).and_then(|days| i32::try_from(days).ok()).map_or_else(|| Value::text(text), Value::Date)
        }
        (Json::String(text), Value::Timestamp(_)) => civil::parse_moment(text).map_or_else(|| Value::text(text), Value::Timestamp),
        (Json::String(text), Value::List(_)) => Value::List(text.split(';').map(Value::text).collect()),
        (Json::String(text), _) => Value::text(text),
        (Json::Array(_) | Json::Object(_), _) => Value::text(there.to_string()),
    }
}

fn decimal(there: &Json) -> Value {
    number(there).map_or_else(|| Value::text(there.to_string()), |number| Value::Decimal(Decimal(number.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Value, there: Json, expected: bool) {
        assert_eq!(same(&value, &there), expected, "{value:?} {there}");
    }

    fn amount(text: &str) -> Value {
        Value::Decimal(Decimal(text.to_owned()))
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        check(Value::Null, Json::Null, true);
        check(Value::text(""), Json::Null, true);
        check(Value::Null, json!(""), true);
        check(Value::text("a"), Json::Null, false);
        check(amount("12.50"), json!(12.5), true);
        check(amount("12.50"), json!(12.51), false);
        check(amount("1000000000"), json!(1.0e9), true);
        check(Value::Int(7), json!(7.0), true);
        check(Value::Double(0.1), json!(0.1), true);
        check(amount("0"), Json::Null, false);
        check(Value::Date(19_782), json!("2024-02-29"), true);
        check(Value::Timestamp(1_769_853_600_000_000), json!("2026-01-31T10:00:00.000+0000"), true);
        check(Value::Timestamp(1_769_853_600_123_456), json!("2026-01-31T10:00:00.123+0000"), true);
        check(Value::Timestamp(1_769_853_601_000_000), json!("2026-01-31T10:00:00.000+0000"), false);
        check(Value::text(" padded "), json!("padded"), true);
        check(Value::text("0015500001QdZPK"), json!("0015500001QdZPKAA3"), true);
        check(Value::text("0015500001QdZPk"), json!("0015500001QdZPKAA3"), false);
        check(Value::Bool(false), json!(false), true);
        check(Value::List(vec![Value::text("a"), Value::text("b")]), json!("a;b"), true);
    }

    #[test]
    fn values_are_written_and_read_back_in_their_type() {
        let round = |value: Value| assert_eq!(read(&json(&value), &value), value);
        round(Value::Int(3));
        round(Value::Double(1.5));
        round(Value::Bool(true));
        round(amount("12.5"));
        round(Value::Date(-1));
        round(Value::Timestamp(1_769_853_600_123_000));
        round(Value::text("x"));
        assert_eq!(json(&amount("12.00")), json!(12.0));
        assert_eq!(read(&json!(12.5), &Value::Null), amount("12.5"));
    }
}
