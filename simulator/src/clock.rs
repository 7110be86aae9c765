//! Time as an input: the org asks this clock and nothing else.
//!
//! A real clock follows the machine; a manual one moves only when told, so that a run can be
//! repeated. Timers of streams (keepalive, zero credit) are tokio's and not part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the org reads the time. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    Real,
    /// Milliseconds since 1970 that change only through [`Clock::set_ms`] and [`Clock::advance_ms`].
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `start_ms` (milliseconds since 1970, UTC).
    #[must_use]
    pub fn manual(start_ms: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start_ms)))
    }

    /// Milliseconds since 1970, UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that others take")]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::Real => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Manual(ms) => ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward; a real one is left alone.
    pub fn advance_ms(&self, by_ms: i64) {
        if let Self::Manual(ms) = self {
            ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// Sets a manual clock; a real one is left alone.
    pub fn set_ms(&self, to_ms: i64) {
        if let Self::Manual(ms) = self {
            ms.store(to_ms, Ordering::SeqCst);
        }
    }
}
