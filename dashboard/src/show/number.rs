//! Numbers: grouped by thousands, exact where they are money. Templates have some by reference and some by value.

use std::borrow::Borrow;

/// A count.
pub(crate) fn count(value: impl Borrow<i64>) -> String {
    let value = *value.borrow();
    let digits = value.unsigned_abs().to_string();
    let grouped = group(&digits);
    if value < 0 { format!("−{grouped}") } else { grouped }
}

/// An exact decimal with two places, rounded half away from zero in text so that no digit is lost on the way.
pub(crate) fn amount(text: &str) -> String {
    let (sign, plain) = match text.strip_prefix('-') {
        Some(rest) => ("−", rest),
        None => ("", text),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(2)).collect();
    if fraction.as_bytes().get(2).is_some_and(|digit| *digit >= b'5') {
        let mut place = digits.len();
        loop {
            if place == 0 {
                digits.insert(0, b'1');
                break;
            }
            place -= 1;
            if digits[place] < b'9' {
                digits[place] += 1;
                break;
            }
            digits[place] = b'0';
        }
    }
    let cents = String::from_utf8_lossy(&digits[digits.len() - 2..]).into_owned();
    let whole = String::from_utf8_lossy(&digits[..digits.len() - 2]).into_owned();
    let whole = whole.trim_start_matches('0');
    let sign = if whole.is_empty() && cents == "00" { "" } else { sign };
    format!("{sign}{}.{cents}", group(if whole.is_empty() { "0" } else { whole }))
}

/// The same for narrow columns: whole amounts without their two noughts.
pub(crate) fn brief(text: &str) -> String {
    let exact = amount(text);
    exact.strip_suffix(".00").map_or(exact.clone(), str::to_owned)
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Milliseconds, as seconds when there are many.
pub(crate) fn millis(value: i64) -> String {
    match value {
        ..1000 => format!("{value} ms"),
        1000..60_000 => format!("{:.1} s", value as f64 / 1000.0),
        _ => super::span(value / 1000),
    }
}

/// A size.
pub(crate) fn bytes(value: i64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut size, mut unit) = (value.max(0) as f64, 0);
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 || size >= 10.0 { format!("{size:.0} {}", UNITS[unit]) } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// Parts of 10,000 as a percentage.
pub(crate) fn percent(basis_points: impl Borrow<i64>) -> String {
    let basis_points = *basis_points.borrow();
    format!("{}.{} %", basis_points / 100, basis_points.rem_euclid(100) / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_amounts_can_be_brief() {
        assert_eq!((brief("282000"), brief("12.50"), brief("-3000.004")), ("282,000".into(), "12.50".into(), "−3,000".into()));
    }

    #[test]
    fn amounts_keep_every_digit_and_two_places() {
        for (text, shown) in [
            ("1234567.5", "1,234,567.50"),
            ("0", "0.00"),
            ("-12.345", "−12.35"),
            ("999.995", "1,000.00"),
            ("-0.001", "0.00"),
            ("123456789012345678901234.10", "123,456,789,012,345,678,901,234.10"),
            ("n/a", "n/a"),
        ] {
            assert_eq!(amount(text), shown, "{text}");
        }
    }

    #[test]
    fn counts_sizes_and_times_read_well() {
        assert_eq!((count(0), count(48_213), count(-1000)), ("0".into(), "48,213".into(), "−1,000".into()));
        assert_eq!((bytes(512), bytes(18_400_000), bytes(1_500)), ("512 B".into(), "18 MB".into(), "1.5 kB".into()));
        assert_eq!((millis(48), millis(2400), millis(61_000)), ("48 ms".into(), "2.4 s".into(), "1 min".into()));
        assert_eq!(percent(4567), "45.6 %");
    }
}
