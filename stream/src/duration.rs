//! Durations with units in configuration files, such as `"250ms"` or `"1min 30s"`: `#[serde(with = "stream::duration")]`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Reads one.
///
/// # Errors
/// The text, when it is not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| D::Error::custom(format!("{text:?} is not a duration such as \"2s\": {error}")))
}

/// Writes one, so that it reads back the same.
///
/// # Errors
/// What the serializer says.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Wait(#[serde(with = "super")] Duration);

    #[test]
    fn a_duration_carries_its_unit_both_ways() {
        let wait = Wait(Duration::from_millis(90_250));
        assert_eq!(serde_json::to_string(&wait).expect("text"), "\"1m 30s 250ms\"");
        for (text, expected) in [("\"1m 30s 250ms\"", Some(90_250)), ("\"2s\"", Some(2000)), ("\"2\"", None), ("2", None)] {
            assert_eq!(serde_json::from_str(text).ok(), expected.map(|ms| Wait(Duration::from_millis(ms))), "{text}");
        }
    }
}
