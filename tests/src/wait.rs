//! Waiting for a state, never for seconds.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long an answer may stay the same: long enough for a busy machine. A test that is right never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How long in all, however much the answer moves: a slow machine may need minutes for what a fast one does in seconds.
const IN_ALL: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Asks again and again until the answer is what is wanted.
///
/// # Panics
/// When the answer has not changed within [`PATIENCE`], or is not the one within ten minutes; the message holds the last answer.
pub async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F, wanted: impl Fn(&T) -> bool) -> T
where
    T: Debug,
    F: Future<Output = T>,
{
    let started = Instant::now();
    let (mut last, mut moved) = (String::new(), started);
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        let now = format!("{answer:?}");
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        let waited = started.elapsed();
        assert!(moved.elapsed() < PATIENCE && waited < IN_ALL, "not within {waited:.0?}: {what}; the last answer was {last}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
