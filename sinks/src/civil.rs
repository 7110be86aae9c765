//! Days and moments as text, in the proleptic Gregorian calendar, for the two forms that targets speak.

const DAY: i64 = 86_400_000_000;

/// Year, month and day of a day counted from 1970-01-01.
pub(crate) fn civil(days: i64) -> (i64, u8, u8) {
    // Years start in March, so that the leap day is the last; 400 years are 146,097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let calendar_month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + i64::from(calendar_month <= 2);
    (year, u8::try_from(calendar_month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

/// Days from 1970-01-01 of a date; none when there is no such month or day.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 400_000 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Days from 1970-01-01 of `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-').map(number);
    let found = days(parts.next()??, parts.next()??, parts.next()??)?;
    parts.next().is_none().then_some(found)
}

/// Microseconds from 1970 of `YYYY-MM-DD HH:MM:SS[.ffffff][+HH[:MM[:SS]]|Z]`; the `T` may be a blank, the offset may lack its colon.
pub(crate) fn parse_moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let (time, offset) = match time.find(['+', '-', 'Z']) {
        Some(place) => time.split_at(place),
        None => (time, ""),
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = clock.split(':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || fraction.len() > 6 {
        return None;
    }
    let micros = if fraction.is_empty() { 0 } else { number(fraction)? * 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?) };
    let of_day = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros;
    parse_date(date)?.checked_mul(DAY)?.checked_add(of_day)?.checked_sub(offset_micros(offset)?)
}

fn offset_micros(text: &str) -> Option<i64> {
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    let mut seconds = 0;
    for (pair, worth) in digits.as_bytes().chunks(2).zip([3600, 60, 1]) {
        seconds += number(std::str::from_utf8(pair).ok()?)? * worth;
    }
    Some(sign * seconds * 1_000_000)
}

fn number(digits: &str) -> Option<i64> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// `YYYY-MM-DD`; years before 1 count backwards and are marked ` BC` by the caller.
pub(crate) fn date_text(days: i64) -> (String, bool) {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    (format!("{year:04}-{month:02}-{day:02}"), before_christ)
}

/// Day from 1970, and hour, minute, second and microsecond in it.
pub(crate) fn split(micros: i64) -> (i64, i64, i64, i64, i64) {
    let (day, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let second = rest / 1_000_000;
    (day, second / 3600, second / 60 % 60, second % 60, rest % 1_000_000)
}

/// A moment as HTTP writes it, to the second.
pub(crate) fn http_date(micros: i64) -> String {
    let (day, hour, minute, second, _) = split(micros);
    let (year, month, of_month) = civil(day);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"].get(usize::try_from(day.rem_euclid(7)).unwrap_or(0)).unwrap_or(&"Thu");
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = names.get(usize::from(month) - 1).unwrap_or(&"Jan");
    format!("{weekday}, {of_month:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read_in_both_dialects() {
        assert_eq!(parse_moment("1970-01-01 00:00:01.5+00"), Some(1_500_000));
        assert_eq!(parse_moment("1970-01-01T05:30:00.001+0530"), Some(1000));
        assert_eq!(parse_moment("1969-12-31T23:59:59Z"), Some(-1_000_000));
        assert_eq!(parse_moment("2026-13-01T00:00:00Z"), None);
        assert_eq!(http_date(784_111_777_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    proptest! {
        #[test]
        fn a_day_survives_its_text(day in -700_000_i64..2_000_000) {
            let (text, before_christ) = date_text(day);
            prop_assert!(!before_christ);
            prop_assert_eq!(parse_date(&text), Some(day));
        }

        #[test]
        fn no_text_makes_reading_panic(text in "\\PC{0,40}|[-+0-9:. TZ]{0,40}") {
            let _ = (parse_date(&text), parse_moment(&text));
        }
    }
}
