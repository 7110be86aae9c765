//! Values in the plain form that pages show: null, booleans, numbers, strings; decimals, dates and times as strings.

use base64::Engine as _;
use schemas::Value;
use schemas::message::Field;
use schemas::value::Decimal;
use serde_json::{Map, Value as Json, json};

use crate::civil;

/// Postgres text cannot hold a zero byte; the replacement character shows that something stood there.
pub(crate) fn clean(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.to_owned() }
}

pub(crate) fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::Text(text) | Value::Decimal(Decimal(text)) => json!(clean(text)),
        Value::Bytes(bytes) => json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        Value::Date(days) => json!(civil::date_text(i64::from(*days)).0),
        Value::Timestamp(micros) => {
            let (day, hour, minute, second, fraction) = civil::split(*micros);
            let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
            json!(format!("{}T{hour:02}:{minute:02}:{second:02}{fraction}Z", civil::date_text(day).0))
        }
        Value::List(items) => items.iter().map(plain).collect(),
    }
}

/// Named values as one object.
pub(crate) fn object(fields: &[Field]) -> String {
    let map: Map<String, Json> = fields.iter().map(|field| (clean(&field.name), plain(&field.value))).collect();
    Json::Object(map).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_their_plain_form() {
        let check = |value: Value, expected: Json| assert_eq!(plain(&value), expected);
        check(Value::Decimal(Decimal("12.50".into())), json!("12.50"));
        check(Value::Date(19_782), json!("2024-02-29"));
        check(Value::Timestamp(1_500_000), json!("1970-01-01T00:00:01.500000Z"));
        check(Value::Timestamp(0), json!("1970-01-01T00:00:00Z"));
        check(Value::text("a\0b"), json!("a\u{fffd}b"));
        check(Value::List(vec![Value::Int(1), Value::Null]), json!([1, null]));
        check(Value::Double(f64::NAN), Json::Null);
    }
}
