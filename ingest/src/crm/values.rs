//! Values as events and REST carry them, into the values of a column.
//!
//! Amounts arrive as binary floating point in both; they are rounded, half away from zero, to the scale that the
//! field's description gives, starting from the shortest decimal that stands for the number. Times are milliseconds
//! UTC in events; a date is its midnight UTC and is never shifted. A refusal's text never holds the value: it is logged.

use schemas::cdc::ColumnType;
use schemas::{Decimal, Value};
use serde_json::Value as Json;

use super::avro::Datum;
use super::clock;

const DAY_MS: i64 = 86_400_000;

/// A value of an event.
pub(crate) fn from_event(kind: &ColumnType, datum: &Datum) -> Result<Value, String> {
    Ok(match (kind, datum) {
        (_, Datum::Null) => Value::Null,
        (ColumnType::Boolean, Datum::Bool(value)) => Value::Bool(*value),
        (ColumnType::Int, Datum::Long(value)) => Value::Int(*value),
        (ColumnType::Int, Datum::Double(value)) => whole(*value)?,
        (ColumnType::Timestamp, Datum::Long(ms)) => Value::Timestamp(micros(*ms)?),
        (ColumnType::Date, Datum::Long(ms)) => {
            Value::Date(i32::try_from(ms.div_euclid(DAY_MS)).map_err(|_| "the value is not a date in range".to_owned())?)
        }
        (ColumnType::Decimal { .. } | ColumnType::BigDecimal, Datum::Double(value)) => decimal(kind, *value)?,
        (ColumnType::Decimal { .. } | ColumnType::BigDecimal, Datum::Long(value)) => round(kind, &value.to_string()),
        (ColumnType::Text, Datum::Text(text)) => Value::text(text.clone()),
        (ColumnType::Text, Datum::List(items)) => Value::text(
            items
                .iter()
                .filter_map(|item| if let Datum::Text(text) = item { Some(text.as_str()) } else { None })
                .collect::<Vec<_>>()
                .join(";"),
        ),
        (ColumnType::Text, Datum::Long(number)) => Value::text(number.to_string()),
        (ColumnType::Text, Datum::Bool(value)) => Value::text(value.to_string()),
        (ColumnType::Text, Datum::Double(number)) => Value::text(number.to_string()),
        _ => return Err(format!("a value of another type than {kind:?}")),
    })
}

/// A value of a query's answer.
pub(crate) fn from_rest(kind: &ColumnType, json: &Json) -> Result<Value, String> {
    let wrong = || format!("a value of another type than {kind:?}");
    Ok(match (kind, json) {
        (_, Json::Null) => Value::Null,
        (ColumnType::Boolean, Json::Bool(value)) => Value::Bool(*value),
        (ColumnType::Int, Json::Number(number)) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => whole(number.as_f64().ok_or_else(wrong)?)?,
        },
        (ColumnType::Decimal { .. } | ColumnType::BigDecimal, Json::Number(number)) => decimal(kind, number.as_f64().ok_or_else(wrong)?)?,
        (ColumnType::Timestamp, Json::String(text)) => Value::Timestamp(micros(clock::parse_datetime(text).ok_or_else(wrong)?)?),
        (ColumnType::Date, Json::String(text)) => Value::Date(clock::parse_date(text).ok_or_else(wrong)?),
        (ColumnType::Text, Json::String(text)) => Value::text(text.clone()),
        (ColumnType::Text, Json::Number(number)) => Value::text(number.to_string()),
        (ColumnType::Text, Json::Bool(value)) => Value::text(value.to_string()),
        _ => return Err(wrong()),
    })
}

fn micros(ms: i64) -> Result<i64, String> {
    ms.checked_mul(1000).ok_or_else(|| "the value is not a time in range".to_owned())
}

fn whole(number: f64) -> Result<Value, String> {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        #[expect(clippy::cast_possible_truncation, reason = "the number is whole and small enough")]
        return Ok(Value::Int(number as i64));
    }
    Err("the value is not a whole number".to_owned())
}

fn decimal(kind: &ColumnType, number: f64) -> Result<Value, String> {
    if !number.is_finite() {
        return Err("the value is not a finite number".to_owned());
    }
    // Rust prints the shortest decimal that reads back as the same number, and never an exponent.
    Ok(round(kind, &number.to_string()))
}

fn round(kind: &ColumnType, text: &str) -> Value {
    Value::Decimal(Decimal(match kind {
        ColumnType::Decimal { scale, .. } => rounded(text, *scale as usize),
        _ => text.to_owned(),
    }))
}

/// Plain decimal text with exactly `scale` digits after the point, rounded half away from zero.
fn rounded(text: &str, scale: usize) -> String {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let up = fraction.as_bytes().get(scale).is_some_and(|digit| *digit >= b'5');
    let mut kept: Vec<u8> = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(scale)).collect();
    if up {
        let mut place = kept.len();
        loop {
            if place == 0 {
                kept.insert(0, b'1');
                break;
            }
            place -= 1;
            if kept[place] == b'9' {
                kept[place] = b'0';
            } else {
                kept[place] += 1;
                break;
            }
        }
    }
    let point = kept.len() - scale;
    let nonzero = kept.iter().any(|digit| *digit != b'0');
    let mut out = String::with_capacity(kept.len() + 2);
    if negative && nonzero {
        out.push('-');
    }
    out.extend(kept[..point].iter().map(|byte| *byte as char));
    if scale > 0 {
        out.push('.');
        out.extend(kept[point..].iter().map(|byte| *byte as char));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: ColumnType = ColumnType::Decimal { precision: 18, scale: 2 };

    #[track_caller]
    fn check(number: f64, expected: &str) {
        assert_eq!(from_event(&MONEY, &Datum::Double(number)), Ok(Value::Decimal(Decimal(expected.to_owned()))));
    }

    #[test]
    fn amounts_are_rounded_to_the_scale_of_their_field() {
        check(1250.0, "1250.00");
        check(0.1 + 0.2, "0.30");
        check(2.675, "2.68");
        check(-2.675, "-2.68");
        check(9.999, "10.00");
        check(-0.001, "0.00");
        check(1e20, "100000000000000000000.00");
        assert!(from_event(&MONEY, &Datum::Double(f64::NAN)).is_err());
    }

    #[test]
    fn events_and_rest_agree_on_every_type() {
        let agree = |kind: ColumnType, datum: Datum, json: Json| {
            let value = from_event(&kind, &datum);
            assert!(value.is_ok(), "{value:?}");
            assert_eq!(value, from_rest(&kind, &json), "{kind:?}");
        };
        agree(ColumnType::Date, Datum::Long(1_653_955_200_000), "2022-05-31".into());
        agree(ColumnType::Timestamp, Datum::Long(1_647_534_086_000), "2022-03-17T16:21:26.000+0000".into());
        agree(MONEY, Datum::Double(1e7), serde_json::json!(1.0e7));
        agree(ColumnType::Int, Datum::Long(12), serde_json::json!(12));
        agree(ColumnType::Boolean, Datum::Bool(false), false.into());
        agree(ColumnType::Text, Datum::Text("x".into()), "x".into());
        agree(ColumnType::Decimal { precision: 18, scale: 15 }, Datum::Double(48.137_154_3), serde_json::json!(48.137_154_3));
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        assert!(from_event(&ColumnType::Boolean, &Datum::Text("yes".into())).is_err());
        assert!(from_rest(&ColumnType::Date, &"31.05.2022".into()).is_err());
    }
}
