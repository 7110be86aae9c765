//! What both write sinks are told about pace, and the types that settings are made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};
pub use stream::Secret;
use stream::duration;

/// How a write sink batches, waits and gives up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Most writes in one batch.
    pub batch: usize,
    /// Most writes in hand, answered or not, before reading on waits.
    pub in_hand: usize,
    /// How long a filling batch waits for more; a lone write goes at once.
    #[serde(with = "duration")]
    pub linger: Duration,
    /// First wait after a failure that may pass; doubles, with jitter.
    #[serde(with = "duration")]
    pub backoff: Duration,
    /// Longest such wait.
    #[serde(with = "duration")]
    pub backoff_max: Duration,
    /// A write unanswered for so long is reported as deferred, once.
    #[serde(with = "duration")]
    pub defer_after: Duration,
    /// A write that failed so often for reasons that should have passed is set aside.
    pub attempts: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch: 1000,
            in_hand: 5000,
            linger: Duration::from_millis(10),
            backoff: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
            defer_after: Duration::from_secs(30),
            attempts: 50,
        }
    }
}

impl Pace {
    /// How long to wait after the `failures`-th failure in a row; `chance` in 0..1 spreads the waits.
    pub(crate) fn wait(&self, failures: i64, chance: f64) -> Duration {
        let doublings = u32::try_from(failures.clamp(1, 20) - 1).unwrap_or(0);
        let full = self.backoff.saturating_mul(1 << doublings).min(self.backoff_max);
        full.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units_and_unknown_keys_are_refused() {
        let pace: Pace = serde_json::from_str(r#"{"linger": "2ms", "backoff_max": "1min 30s"}"#).unwrap();
        assert_eq!((pace.linger, pace.backoff_max), (Duration::from_millis(2), Duration::from_secs(90)));
        assert!(serde_json::from_str::<Pace>(r#"{"lingre": "2ms"}"#).is_err());
        assert!(serde_json::from_str::<Pace>(r#"{"linger": "2"}"#).is_err());
    }

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread() {
        let pace = Pace::default();
        assert_eq!(pace.wait(1, 1.0), Duration::from_millis(200));
        assert_eq!(pace.wait(3, 1.0), Duration::from_millis(800));
        assert_eq!(pace.wait(3, 0.0), Duration::from_millis(400));
        assert_eq!(pace.wait(60, 1.0), Duration::from_secs(30));
    }
}
