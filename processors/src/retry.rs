//! How long to wait after a failure that may pass.

use std::time::Duration;

use crate::config::Config;

/// Doubling waits with jitter, back to the start after success.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: u64,
    most: u64,
    failures: u32,
    seed: u64,
}

impl Backoff {
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        Self { first: config.backoff_ms.max(1), most: config.backoff_max_ms.max(1), failures: 0, seed: seed | 1 }
    }

    /// The wait after one more failure: between half and all of the doubled time.
    pub(crate) fn wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures += 1;
        // xorshift: the jitter only has to differ between processes.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        Duration::from_millis(full / 2 + self.seed % (full / 2 + 1))
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_bound_and_start_again_after_success() {
        let config = Config { backoff_ms: 100, backoff_max_ms: 1000, ..Config::default() };
        let mut backoff = Backoff::new(&config, 7);
        let waits: Vec<u128> = (0..6).map(|_| backoff.wait().as_millis()).collect();
        for (wait, full) in waits.iter().zip([100, 200, 400, 800, 1000, 1000]) {
            assert!((full / 2..=full).contains(wait), "{wait} of {full}");
        }
        backoff.succeeded();
        assert!(backoff.wait().as_millis() <= 100);
    }
}
