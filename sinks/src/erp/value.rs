//! Values to Postgres's text form and back, in the forms that capture reads: `infinity` is the largest number, `-infinity` the smallest.

use schemas::Value;
use schemas::value::Decimal;

use super::arrays;
use crate::civil;

/// How a column's text form is read; what has no counterpart travels as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Double,
    Numeric,
    Text,
    Bytes,
    Date,
    Timestamp,
    /// Items, with the character between them.
    Array(Box<Kind>, char),
}

impl Kind {
    /// By the oid of a type that is no domain and no array.
    pub(crate) const fn of_type(oid: u32) -> Self {
        match oid {
            16 => Self::Bool,
            17 => Self::Bytes,
            20 | 21 | 23 | 26 => Self::Int,
            700 | 701 => Self::Double,
            1082 => Self::Date,
            1114 | 1184 => Self::Timestamp,
            1700 => Self::Numeric,
            _ => Self::Text,
        }
    }

    /// Reads a value from its text form; text that does not fit stays text, for somebody to look at.
    pub(crate) fn read(&self, text: &str) -> Value {
        self.try_read(text).unwrap_or_else(|| Value::text(text))
    }

    fn try_read(&self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Bool => Value::Bool(match text {
                "t" | "true" => true,
                "f" | "false" => false,
                _ => return None,
            }),
            Self::Int => Value::Int(text.parse().ok()?),
            Self::Double => Value::Double(text.parse().ok()?),
            Self::Numeric => match text {
                "NaN" | "Infinity" | "-Infinity" => return None,
                _ => Value::Decimal(Decimal(text.to_owned())),
            },
            Self::Text => Value::text(text),
            Self::Bytes => Value::Bytes(unhex(text)?),
            Self::Date => Value::Date(match text {
                "infinity" => i32::MAX,
                "-infinity" => i32::MIN,
                _ => i32::try_from(shift_bc(text, civil::parse_date)?).ok()?,
            }),
            Self::Timestamp => Value::Timestamp(match text {
                "infinity" => i64::MAX,
                "-infinity" => i64::MIN,
                _ => shift_bc(text, civil::parse_moment)?,
            }),
            Self::Array(item, delimiter) => arrays::read(text, item, *delimiter)?,
        })
    }
}

/// Reads a day or moment whose year may be marked as before Christ: year 1 BC is year 0.
fn shift_bc(text: &str, read: impl Fn(&str) -> Option<i64>) -> Option<i64> {
    let Some(plain) = text.strip_suffix(" BC") else { return read(text) };
    let (year, rest) = plain.split_once('-')?;
    let year: i64 = year.parse().ok()?;
    // The same day 400-year cycles later, moved back: the calendar repeats.
    let cycles = year / 400 + 1;
    let moved = read(&format!("{:04}-{rest}", 1 - year + cycles * 400))?;
    let unit = if plain.contains(':') { 86_400_000_000 } else { 1 };
    Some(moved - cycles * 146_097 * unit)
}

/// The text form that Postgres reads; none for null.
pub(crate) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => double(*value),
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => hex(bytes),
        Value::Decimal(Decimal(text)) => text.clone(),
        Value::Date(i32::MAX) | Value::Timestamp(i64::MAX) => "infinity".to_owned(),
        Value::Date(i32::MIN) | Value::Timestamp(i64::MIN) => "-infinity".to_owned(),
        Value::Date(days) => {
            let (text, before_christ) = civil::date_text(i64::from(*days));
            if before_christ { text + " BC" } else { text }
        }
        Value::Timestamp(micros) => {
            let (day, hour, minute, second, fraction) = civil::split(*micros);
            let (date, before_christ) = civil::date_text(day);
            format!("{date} {hour:02}:{minute:02}:{second:02}.{fraction:06}+00{}", if before_christ { " BC" } else { "" })
        }
        Value::List(items) => arrays::text(items),
    })
}

fn double(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{value:e}")
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2 + 2);
    text.push_str("\\x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(kind: &Kind, value: Value, form: &str) {
        assert_eq!(text(&value).as_deref(), Some(form));
        assert_eq!(kind.read(form), value, "{form}");
    }

    #[test]
    fn values_and_their_text_forms_are_one() {
        check(&Kind::Bool, Value::Bool(true), "t");
        check(&Kind::Int, Value::Int(i64::MIN), "-9223372036854775808");
        check(&Kind::Double, Value::Double(f64::INFINITY), "Infinity");
        check(&Kind::Double, Value::Double(1e300), "1e300");
        check(&Kind::Numeric, Value::Decimal(Decimal("-12.50".into())), "-12.50");
        check(&Kind::Bytes, Value::Bytes(vec![0, 255]), "\\x00ff");
        check(&Kind::Date, Value::Date(19_782), "2024-02-29");
        check(&Kind::Date, Value::Date(-719_528), "0001-01-01 BC");
        check(&Kind::Date, Value::Date(i32::MAX), "infinity");
        check(&Kind::Timestamp, Value::Timestamp(-1), "1969-12-31 23:59:59.999999+00");
        check(&Kind::Timestamp, Value::Timestamp(i64::MIN), "-infinity");
        assert!(text(&Value::Double(f64::NAN)).as_deref() == Some("NaN") && text(&Value::Null).is_none());
        assert_eq!(Kind::Numeric.read("NaN"), Value::text("NaN"));
    }

    proptest! {
        #[test]
        fn days_and_moments_survive_their_text(day in -1_700_000_i32..3_000_000, micros in -100_000_000_000_000_000_i64..253_000_000_000_000_000) {
            prop_assert_eq!(Kind::Date.read(&text(&Value::Date(day)).unwrap()), Value::Date(day));
            prop_assert_eq!(Kind::Timestamp.read(&text(&Value::Timestamp(micros)).unwrap()), Value::Timestamp(micros));
        }

        #[test]
        fn doubles_survive_their_text(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO) {
            prop_assert_eq!(Kind::Double.read(&text(&Value::Double(value)).unwrap()), Value::Double(value));
        }
    }
}
