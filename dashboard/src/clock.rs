//! The only place in this crate that reads the clock of the machine.

use jiff::Timestamp;

/// Microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_micros() -> i64 {
    Timestamp::now().as_microsecond()
}
