//! JSON and text to field values, with the checks and error codes of a write.

use serde_json::Value as Json;

use super::id::RecordId;
use super::schema::{Field, Kind};
use super::time::{parse_date, parse_datetime};
use super::value::Value;
use crate::error::ApiError;

/// The value `json` is for `field`, trimmed, rounded and checked; references are not looked up here.
pub(crate) fn from_json(field: &Field, json: &Json) -> Result<Value, ApiError> {
    if json.is_null() || json.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Ok(Value::Null);
    }
    match &field.kind {
        Kind::Text
        | Kind::TextArea
        | Kind::Phone
        | Kind::Url
        | Kind::Email
        | Kind::Picklist { .. }
        | Kind::PersonName
        | Kind::AutoNumber => {
            let text = match json {
                Json::String(text) => text.trim().to_owned(),
                Json::Number(number) => number.to_string(),
                Json::Bool(flag) => flag.to_string(),
                _ => return Err(mismatch("string", field, json)),
            };
            check_text(field, text)
        }
        Kind::Id | Kind::Reference(_) => match json.as_str().map(str::trim).map(RecordId::parse) {
            Some(Some(id)) => Ok(Value::Id(id)),
            _ => Err(ApiError::field("MALFORMED_ID", format!("{}: id value of incorrect type: {}", field.label, shown(json)), &field.name)),
        },
        Kind::Boolean => match json {
            Json::Bool(flag) => Ok(Value::Bool(*flag)),
            Json::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Ok(Value::Bool(true)),
            Json::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Ok(Value::Bool(false)),
            _ => Err(mismatch("boolean", field, json)),
        },
        Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => {
            let number = match json {
                Json::Number(number) => number.as_f64(),
                Json::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
                _ => None,
            };
            check_number(field, number.ok_or_else(|| mismatch("double", field, json))?)
        }
        Kind::Date => json
            .as_str()
            .and_then(|text| {
                parse_date(text.trim()).or_else(|| parse_datetime(text.trim()).and_then(|ms| i32::try_from(ms.div_euclid(86_400_000)).ok()))
            })
            .map(Value::Date)
            .ok_or_else(|| mismatch("date", field, json)),
        Kind::DateTime => json
            .as_str()
            .and_then(|text| parse_datetime(text.trim()).or_else(|| parse_date(text.trim()).map(|days| i64::from(days) * 86_400_000)))
            .map(Value::DateTime)
            .ok_or_else(|| mismatch("datetime", field, json)),
        Kind::Address => Err(mismatch("address", field, json)),
    }
}

fn check_text(field: &Field, text: String) -> Result<Value, ApiError> {
    if field.length > 0 && text.chars().count() > field.length {
        return Err(ApiError::field(
            "STRING_TOO_LONG",
            format!("{}: data value too large: {} (max length={})", field.label, text.chars().take(200).collect::<String>(), field.length),
            &field.name,
        ));
    }
    match &field.kind {
        Kind::Email if !plausible_email(&text) => {
            Err(ApiError::field("INVALID_EMAIL_ADDRESS", format!("{}: invalid email address: {text}", field.label), &field.name))
        }
        Kind::Picklist { values, restricted: true } => match values.iter().find(|value| value.eq_ignore_ascii_case(&text)) {
            Some(value) => Ok(Value::Text(value.clone())),
            None => Err(ApiError::field(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                format!("{}: bad value for restricted picklist field: {text}", field.label),
                &field.name,
            )),
        },
        _ => Ok(Value::Text(text)),
    }
}

fn check_number(field: &Field, number: f64) -> Result<Value, ApiError> {
    let outside = || {
        ApiError::field(
            "NUMBER_OUTSIDE_VALID_RANGE",
            format!("{}: value outside of valid range on numeric field: {number}", field.label),
            &field.name,
        )
    };
    if field.kind == Kind::Int {
        let limit = 10f64.powi(i32::try_from(field.precision.max(1)).unwrap_or(9));
        if number.fract() != 0.0 || number.abs() >= limit {
            return Err(outside());
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the field's digits just above")]
        return Ok(Value::Int(number as i64));
    }
    if field.precision > 0 {
        let whole_digits = field.precision.saturating_sub(field.scale);
        if number.abs() >= 10f64.powi(i32::try_from(whole_digits).unwrap_or(18)) {
            return Err(outside());
        }
    }
    Ok(Value::Double(round(number, field.scale)))
}

/// Rounds half away from zero on the decimal a person typed, not on its binary neighbour.
pub(crate) fn round(number: f64, scale: u32) -> f64 {
    let text = format!("{number}");
    let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if digits <= scale as usize {
        return number;
    }
    let nudged = number + number.signum() * 10f64.powi(-(i32::try_from(digits).unwrap_or(17) + 1));
    format!("{nudged:.*}", scale as usize).parse().unwrap_or(number)
}

fn plausible_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && !local.contains([' ', '@', ','])
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && domain.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-')
}

fn mismatch(wanted: &str, field: &Field, json: &Json) -> ApiError {
    let found = match json {
        Json::String(_) => "VALUE_STRING",
        Json::Number(_) => "VALUE_NUMBER",
        Json::Bool(_) => "VALUE_TRUE",
        Json::Array(_) => "START_ARRAY",
        Json::Object(_) => "START_OBJECT",
        Json::Null => "VALUE_NULL",
    };
    ApiError::json(format!(
        "Cannot deserialize instance of {wanted} from {found} value {} or request may be missing a required field at [line:1, column:1] ({})",
        shown(json),
        field.name
    ))
}

fn shown(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// A value from text that is known to be good (the org's own records).
pub(crate) fn from_plain_text(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Boolean => Value::Bool(text == "true"),
        Kind::Int => text.parse().map_or(Value::Null, Value::Int),
        Kind::Double | Kind::Currency | Kind::Percent => text.parse().map_or(Value::Null, Value::Double),
        Kind::Id | Kind::Reference(_) => RecordId::parse(text).map_or(Value::Null, Value::Id),
        Kind::Date => parse_date(text).map_or(Value::Null, Value::Date),
        Kind::DateTime => parse_datetime(text).map_or(Value::Null, Value::DateTime),
        _ => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::round;

    #[test]
    fn numbers_round_as_decimals() {
        for (number, scale, expected) in
            [(1.005, 2, 1.01), (2.675, 2, 2.68), (-1.005, 2, -1.01), (10.0, 2, 10.0), (0.1 + 0.2, 2, 0.3), (1234.5, 0, 1235.0)]
        {
            assert_eq!(round(number, scale), expected, "{number}");
        }
    }
}
