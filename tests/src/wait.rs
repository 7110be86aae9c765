//! Waiting for a state, never for seconds.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; a test that is right never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks again and again until the answer is what is wanted.
///
/// # Panics
/// When it is not within [`PATIENCE`]; the message holds the last answer.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F, wanted: impl Fn(&T) -> bool) -> T
where
    T: Debug,
    F: Future<Output = T>,
{
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; the last answer was {answer:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
