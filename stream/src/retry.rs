//! Bounded backoff with full jitter: each wait is drawn from nothing up to a limit that doubles.

use std::time::Duration;

use rand::Rng;

/// How to wait between tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Limit of the first wait.
    pub first: Duration,
    /// Limit that the waits grow to.
    pub most: Duration,
    /// Tries after which [`Retry::next_wait`] gives up; none means never.
    pub tries: Option<u32>,
}

impl Default for Backoff {
    /// From 100 ms to 10 s, for ever.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(10), tries: None }
    }
}

impl Backoff {
    /// The limit of the wait after so many failures.
    pub fn limit(&self, failures: u32) -> Duration {
        let factor = 2u32.saturating_pow(failures.saturating_sub(1).min(31));
        self.first.saturating_mul(factor).min(self.most)
    }

    /// A count of failures, with the chance to draw from.
    pub fn start<R: Rng>(self, random: R) -> Retry<R> {
        Retry { backoff: self, random, failures: 0 }
    }
}

/// Counts failures and says how long to wait.
#[derive(Debug, Clone)]
pub struct Retry<R> {
    backoff: Backoff,
    random: R,
    failures: u32,
}

impl<R: Rng> Retry<R> {
    /// How long to wait after another failure; none when it is enough.
    pub fn next_wait(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.backoff.tries.is_some_and(|tries| self.failures >= tries) {
            return None;
        }
        let limit = u64::try_from(self.backoff.limit(self.failures).as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(self.random.random_range(0..=limit)))
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_stay_below_it() {
        let backoff = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), tries: None };
        let limits: Vec<u128> = (1..7).map(|failures| backoff.limit(failures).as_millis()).collect();
        assert_eq!(limits, [10, 20, 40, 80, 100, 100]);
        let mut retry = backoff.start(StdRng::seed_from_u64(7));
        for failures in 1..200 {
            assert!(retry.next_wait().expect("never gives up") <= backoff.limit(failures));
        }
        retry.reset();
        assert!(retry.next_wait().expect("never gives up") <= backoff.first);
    }

    #[test]
    fn the_same_seed_gives_the_same_waits_and_tries_end() {
        let backoff = Backoff { tries: Some(3), ..Backoff::default() };
        let waits = |seed| {
            let mut retry = backoff.start(StdRng::seed_from_u64(seed));
            std::iter::from_fn(|| retry.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_eq!(waits(1).len(), 2);
    }
}
