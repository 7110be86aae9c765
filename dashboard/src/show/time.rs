//! Times: how long ago, with the exact time beside it.

use jiff::Timestamp;

use crate::queries::At;

/// A time in its three spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// For `<time datetime>`.
    pub(crate) iso: String,
    /// For the title.
    pub(crate) exact: String,
    /// For the eye.
    pub(crate) ago: String,
}

impl When {
    /// Seconds count while it is fresh.
    pub(crate) fn new(at: At, now: At) -> Self {
        let age = at.age_s(now);
        Self::with(at, if age < 1 { "now".into() } else { format!("{} ago", span(age)) })
    }

    /// Changes once a minute, for parts of a page that a person is working in.
    pub(crate) fn calm(at: At, now: At) -> Self {
        let age = at.age_s(now);
        Self::with(at, if age < 60 { "just now".into() } else { format!("{} ago", span(age)) })
    }

    fn with(at: At, ago: String) -> Self {
        let exact = Timestamp::from_microsecond(at.0).map(|time| time.strftime("%-d %B %Y, %H:%M:%S UTC").to_string()).unwrap_or_default();
        Self { iso: at.rfc3339(), exact, ago }
    }
}

/// A duration in the two units that matter.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_name_the_units_that_matter() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (61, "1 min"), (3600, "1 h"), (7560, "2 h 06 min"), (200_000, "2 d")] {
            assert_eq!(span(seconds), text);
        }
        let when = When::new(At(1_700_000_000_000_000), At(1_700_000_090_000_000));
        assert_eq!(
            (when.ago.as_str(), when.iso.as_str(), when.exact.as_str()),
            ("1 min ago", "2023-11-14T22:13:20.000Z", "14 November 2023, 22:13:20 UTC")
        );
    }
}
