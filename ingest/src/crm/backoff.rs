//! How long to wait before the next try: twice as long each time, with jitter, so that many do not return at once.
//!
//! The count begins anew only when something was received. A connection that opens and closes at once is a failure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waiting times after failures in a row.
pub(crate) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms: min_ms.max(1), max_ms: max_ms.max(min_ms).max(1), failures: 0 }
    }

    /// The wait after one more failure: between half of the full time and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.min_ms.saturating_mul(1 << self.failures.min(20)).min(self.max_ms);
        self.failures = self.failures.saturating_add(1);
        // A hasher with random keys is chance enough for jitter.
        let chance = RandomState::new().hash_one(self.failures) % (full / 2 + 1);
        Duration::from_millis(full / 2 + chance)
    }

    /// Something was received.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::new(100, 1_000);
        let mut within = |low: u64, high: u64| {
            let ms = backoff.next().as_millis() as u64;
            assert!((low..=high).contains(&ms), "{ms} is not in {low}..={high}");
        };
        within(50, 100);
        within(100, 200);
        within(200, 400);
        within(400, 800);
        within(500, 1_000);
        within(500, 1_000);
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
