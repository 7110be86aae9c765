//! The wall clock, read in this one place, and Postgres's own count of time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds from 1970-01-01 to 2000-01-01, where Postgres counts from.
pub(crate) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Microseconds since 1970-01-01T00:00:00Z.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now_micros() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_ms() -> i64 {
    now_micros() / 1000
}

/// A time of Postgres's as microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn from_postgres(micros: i64) -> i64 {
    micros.saturating_add(POSTGRES_EPOCH_MICROS)
}
