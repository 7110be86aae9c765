//! From Postgres's text form of a value to a typed one.
//!
//! The session is set so that there is one form of each (`datestyle=ISO`, `timezone=UTC`, `bytea_output=hex`).
//! `infinity` in a date or time becomes the largest number and `-infinity` the smallest, as in Postgres's own binary
//! form. Types without a counterpart (time of day, intervals, ranges, addresses, money, …) travel as text.

use schemas::cdc::ColumnType;
use schemas::value::{Decimal, Value};

use super::arrays;

/// How a column's text form is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `t` or `f`.
    Bool,
    /// Whole numbers up to 64 bits.
    Int,
    /// Binary floating point.
    Double,
    /// Exact number with bounds, where the column has them and Avro can say them.
    Numeric(Option<(u32, u32)>),
    /// Anything else.
    Text,
    /// Universally unique identifier.
    Uuid,
    /// A JSON document.
    Json,
    /// Bytes.
    Bytes,
    /// Day.
    Date,
    /// Moment, with or without time zone; without is taken as UTC.
    Timestamp,
    /// Several values, with the character between them.
    Array(Box<Kind>, u8),
}

const DAY_MICROS: i64 = 86_400_000_000;

impl Kind {
    /// How values of a built-in scalar type are read.
    pub fn of_builtin(oid: u32, modifier: i32) -> Option<Self> {
        Some(match oid {
            16 => Self::Bool,
            17 => Self::Bytes,
            20 | 21 | 23 | 26 => Self::Int,
            114 | 3802 => Self::Json,
            700 | 701 => Self::Double,
            1082 => Self::Date,
            1114 | 1184 => Self::Timestamp,
            1700 => Self::Numeric(numeric_bounds(modifier)),
            2950 => Self::Uuid,
            18 | 19 | 25 | 142 | 650 | 774 | 790 | 829 | 869 | 1042 | 1043 | 1083 | 1186 | 1266 | 1560 | 1562 => Self::Text,
            _ => return None,
        })
    }

    /// The Avro type of such a column.
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Bool => ColumnType::Boolean,
            Self::Int => ColumnType::Int,
            Self::Double => ColumnType::Double,
            Self::Numeric(Some((precision, scale))) => ColumnType::Decimal { precision: *precision, scale: *scale },
            Self::Numeric(None) => ColumnType::BigDecimal,
            Self::Text => ColumnType::Text,
            Self::Uuid => ColumnType::Uuid,
            Self::Json => ColumnType::Json,
            Self::Bytes => ColumnType::Bytes,
            Self::Date => ColumnType::Date,
            Self::Timestamp => ColumnType::Timestamp,
            Self::Array(item, _) => ColumnType::Array(Box::new(item.column_type())),
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with the text, without the text: it may be a customer's.
    pub fn value(&self, text: &[u8]) -> Result<Value, String> {
        let text = std::str::from_utf8(text).map_err(|_| "the value is not UTF-8".to_owned())?;
        let bad = |what: &str| format!("the value is not {what}");
        Ok(match self {
            Self::Bool => match text {
                "t" => Value::Bool(true),
                "f" => Value::Bool(false),
                _ => return Err(bad("a boolean")),
            },
            Self::Int => Value::Int(text.parse().map_err(|_| bad("a whole number"))?),
            Self::Double => Value::Double(text.parse().map_err(|_| bad("a number"))?),
            Self::Numeric(_) => match text {
                "NaN" | "Infinity" | "-Infinity" => return Err(format!("{text} has no counterpart in an exact number")),
                _ => Value::Decimal(Decimal(text.to_owned())),
            },
            Self::Text | Self::Uuid | Self::Json => Value::Text(text.to_owned()),
            Self::Bytes => Value::Bytes(bytes(text).ok_or_else(|| bad("bytes in hexadecimal"))?),
            Self::Date => Value::Date(date(text).ok_or_else(|| bad("a date"))?),
            Self::Timestamp => Value::Timestamp(timestamp(text).ok_or_else(|| bad("a time"))?),
            Self::Array(item, delimiter) => arrays::value(text, item, *delimiter)?,
        })
    }
}

/// Precision and scale in a type modifier, where Avro's decimal can hold such numbers.
fn numeric_bounds(modifier: i32) -> Option<(u32, u32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = u32::try_from(packed >> 16 & 0xffff).ok()?;
    // The scale is a signed number of eleven bits.
    let scale = u32::try_from((packed & 0x7ff ^ 0x400) - 0x400).ok()?;
    ((1..=38).contains(&precision) && scale <= precision).then_some((precision, scale))
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

fn date(text: &str) -> Option<i32> {
    match text {
        "infinity" => return Some(i32::MAX),
        "-infinity" => return Some(i32::MIN),
        _ => {}
    }
    let (text, before_christ) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    i32::try_from(days(text, before_christ)?).ok()
}

fn timestamp(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (text, before_christ) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let (day, time) = text.split_once(' ')?;
    let (time, offset) = match time.find(['+', '-']) {
        Some(place) => time.split_at(place),
        None => (time, ""),
    };
    let midnight = days(day, before_christ)?.checked_mul(DAY_MICROS)?;
    midnight.checked_add(micros_of_day(time)?)?.checked_sub(offset_micros(offset)?)
}

/// `HH:MM:SS` with up to six digits after a point.
fn micros_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || fraction.len() > 6 {
        return None;
    }
    let micros = if fraction.is_empty() { 0 } else { number(fraction)? * 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?) };
    Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// `+HH`, `-HH:MM` or `+HH:MM:SS`.
fn offset_micros(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first() {
        None => return Some(0),
        Some(b'+') => (1, &text[1..]),
        Some(_) => (-1, &text[1..]),
    };
    let mut seconds = 0;
    for (part, worth) in digits.split(':').zip([3600, 60, 1]) {
        seconds += number(part)? * worth;
    }
    Some(sign * seconds * 1_000_000)
}

/// Days since 1970-01-01 of `YYYY-MM-DD` in the proleptic Gregorian calendar.
fn days(text: &str, before_christ: bool) -> Option<i64> {
    let mut parts = text.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 300_000 {
        return None;
    }
    let year = if before_christ { 1 - year } else { year };
    // Years start in March, so that the leap day is the last; 400 years are 146,097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn number(digits: &str) -> Option<i64> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(kind: &Kind, text: &str, expected: Value) {
        assert_eq!(kind.value(text.as_bytes()), Ok(expected), "{text}");
    }

    #[test]
    fn days_and_moments_count_from_1970() {
        check(&Kind::Date, "1970-01-01", Value::Date(0));
        check(&Kind::Date, "2024-02-29", Value::Date(19_782));
        check(&Kind::Date, "0001-01-01 BC", Value::Date(-719_528));
        check(&Kind::Date, "infinity", Value::Date(i32::MAX));
        check(&Kind::Timestamp, "2000-01-01 00:00:00+00", Value::Timestamp(crate::erp::clock::POSTGRES_EPOCH_MICROS));
        check(&Kind::Timestamp, "1970-01-01 00:00:01.5", Value::Timestamp(1_500_000));
        check(&Kind::Timestamp, "1970-01-01 05:30:00.000001+05:30", Value::Timestamp(1));
        check(&Kind::Timestamp, "1969-12-31 23:59:59.999999+00", Value::Timestamp(-1));
        check(&Kind::Timestamp, "-infinity", Value::Timestamp(i64::MIN));
    }

    #[test]
    fn numbers_bytes_and_booleans_are_typed() {
        check(&Kind::Bool, "t", Value::Bool(true));
        check(&Kind::Int, "-9223372036854775808", Value::Int(i64::MIN));
        check(&Kind::Double, "1e+300", Value::Double(1e300));
        check(&Kind::Numeric(None), "-12.50", Value::Decimal(Decimal("-12.50".into())));
        check(&Kind::Bytes, "\\x00ff", Value::Bytes(vec![0, 255]));
        assert!(Kind::Numeric(None).value(b"NaN").is_err());
        assert!(Kind::Bytes.value(b"\\x0").is_err());
    }

    #[test]
    fn bounds_of_numbers_come_from_the_type_modifier() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
        assert_eq!(numeric_bounds(-1), None);
        assert_eq!(numeric_bounds(modifier(12, 2)), Some((12, 2)));
        assert_eq!(numeric_bounds(modifier(38, 38)), Some((38, 38)));
        assert_eq!(numeric_bounds(modifier(39, 2)), None);
        assert_eq!(numeric_bounds(modifier(5, -2)), None);
        assert_eq!(numeric_bounds(modifier(2, 5)), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_value_panic(text in "\\PC{0,40}|[-+0-9:. {}\",\\\\xBC]{0,40}") {
            for kind in [Kind::Bool, Kind::Int, Kind::Double, Kind::Numeric(None), Kind::Bytes, Kind::Date, Kind::Timestamp] {
                let _ = kind.value(text.as_bytes());
                let _ = Kind::Array(Box::new(kind), b',').value(text.as_bytes());
            }
        }
    }
}
