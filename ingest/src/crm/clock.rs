//! The wall clock, read in this one place, and Salesforce's spelling of times.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::Date;

/// Microseconds since 1970-01-01T00:00:00Z.
#[expect(clippy::disallowed_methods, reason = "the one place of Salesforce capture that reads the clock")]
pub(crate) fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Milliseconds of `2026-01-31T10:00:00.000+0000`.
pub(crate) fn parse_datetime(text: &str) -> Option<i64> {
    jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text)
        .and_then(|parsed| parsed.to_timestamp())
        .or_else(|_| text.parse::<Timestamp>())
        .ok()
        .map(Timestamp::as_millisecond)
}

/// `2026-01-31T10:00:00.000Z`, as a query takes it.
pub(crate) fn query_datetime(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Days since 1970-01-01 of `2026-01-31`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    date.since(Date::constant(1970, 1, 1)).ok().map(|span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_without_a_colon_are_read() {
        assert_eq!(parse_datetime("2022-03-17T16:21:26.000+0000"), Some(1_647_534_086_000));
        assert_eq!(parse_datetime("2022-03-17T18:21:26.500+0200"), Some(1_647_534_086_500));
        assert_eq!(parse_datetime("2022-03-17T16:21:26Z"), Some(1_647_534_086_000));
        assert_eq!(parse_datetime("yesterday"), None);
    }

    #[test]
    fn dates_are_days_and_never_shifted() {
        assert_eq!(parse_date("1970-01-02"), Some(1));
        assert_eq!(parse_date("2022-05-31"), Some(19_143));
        assert_eq!(parse_date("1969-12-31"), Some(-1));
    }

    #[test]
    fn a_time_in_a_query_has_milliseconds_and_a_z() {
        assert_eq!(query_datetime(1_647_534_086_050), "2022-03-17T16:21:26.050Z");
    }
}
