//! Time as an input: processors are given a function, so that simulation can answer.

use std::sync::Arc;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn real() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the one place where processors read the machine's clock")]
    Arc::new(|| match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(_) => 0,
    })
}
