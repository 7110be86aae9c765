//! A figure that costs much to compute, remembered for a while. Whoever asks after that while gets the
//! old one once more, and a new one is computed behind it; only the very first asker waits.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::now_micros;
use crate::error::Result;

struct Kept<T> {
    value: Option<T>,
    at: i64,
    busy: bool,
}

/// One remembered figure.
pub(crate) struct Cached<T> {
    kept: Arc<Mutex<Kept<T>>>,
    keep_ms: i64,
}

impl<T: Clone + Send + 'static> Cached<T> {
    pub(crate) fn new(keep_ms: i64) -> Self {
        Self { kept: Arc::new(Mutex::new(Kept { value: None, at: 0, busy: false })), keep_ms }
    }

    /// The figure, at most a little older than `keep_ms`.
    pub(crate) async fn get<F>(&self, compute: F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let now = now_micros();
        let old = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = now - kept.at < self.keep_ms * 1000;
            let old = kept.value.clone();
            if let Some(value) = &old
                && (fresh || kept.busy)
            {
                return Ok(value.clone());
            }
            kept.busy = old.is_some();
            old
        };
        match old {
            Some(value) => {
                let kept = self.kept.clone();
                tokio::spawn(async move { Self::settle(&kept, compute.await).map(drop) });
                Ok(value)
            }
            None => Self::settle(&self.kept, compute.await),
        }
    }

    fn settle(kept: &Mutex<Kept<T>>, computed: Result<T>) -> Result<T> {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.busy = false;
        let value = computed.inspect_err(|error| tracing::warn!(%error, "cannot refresh a figure"))?;
        kept.value = Some(value.clone());
        kept.at = now_micros();
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_asker_waits_and_later_ones_get_what_is_there() -> Result<()> {
        let figure = Cached::new(60_000);
        assert_eq!(figure.get(async { Ok(1) }).await?, 1);
        assert_eq!(figure.get(async { Ok(2) }).await?, 1);
        let stale = Cached::new(0);
        assert_eq!(stale.get(async { Ok(1) }).await?, 1);
        assert_eq!(stale.get(async { Ok(2) }).await?, 1);
        while stale.get(async { Ok(2) }).await? != 2 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
