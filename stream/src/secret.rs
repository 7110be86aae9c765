//! Texts of a configuration that must not be shown. Nothing is encrypted or wiped from memory.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

const STARS: &str = "***";

/// A text that must not be shown: prints, and serialises, as stars.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it; the caller keeps it out of logs and messages.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STARS)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STARS)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(STARS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_text_and_shown_as_stars() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").expect("is a text");
        assert_eq!((secret.reveal(), secret.is_empty(), Secret::default().is_empty()), ("hunter2", false, true));
        assert_eq!(format!("{secret:?} {secret} {}", serde_json::json!(secret)), "*** *** \"***\"");
    }
}
