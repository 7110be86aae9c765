//! Waiting for what comes about elsewhere.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Longer than anything should take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// What a look finds at last; none when patience is over.
///
/// It looks again and again: what is waited for shows in a database server, an org or a log, and often in two of them, which
/// have no one notification. A look is cheap.
pub(crate) async fn found<T>(look: impl AsyncFn() -> Result<Option<T>>) -> Result<Option<T>> {
    let begun = Instant::now();
    loop {
        let found = look().await?;
        if found.is_some() || begun.elapsed() > PATIENCE {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
