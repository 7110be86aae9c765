//! Times as people type them.

use anyhow::{Context as _, bail};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// A time with its zone, a time in this machine's zone, or so long before `now`.
pub(super) fn read(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(local) = text.parse::<DateTime>() {
        return Ok(local
            .to_zoned(TimeZone::system())
            .with_context(|| format!("there is no time {text} in this machine's zone"))?
            .timestamp());
    }
    if let Ok(age) = humantime::parse_duration(text) {
        let age = SignedDuration::try_from(age).context("that is too long ago")?;
        return now.checked_sub(age).context("that is too long ago");
    }
    bail!("`{text}` is not a time; write 2026-03-01T09:00:00Z, 2026-03-01 09:00, or so long ago: 2h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_type_them() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        for (text, time) in [
            ("2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z"),
            ("2026-03-01T09:00:00+02:00", "2026-03-01T07:00:00Z"),
            ("2h", "2026-03-01T10:00:00Z"),
            ("90s", "2026-03-01T11:58:30Z"),
        ] {
            assert_eq!(read(text, now).expect(text).to_string(), time);
        }
        assert!(read("2026-03-01 09:00", now).is_ok() && read("2026-03-01", now).is_ok());
        assert!(read("yesterday", now).is_err());
    }
}
