//! Brings a store up to its changelog before anything is processed with it.

use std::time::Duration;

use stream::{Start, TopicPartition};

use super::Task;
use crate::error::{Error, Result};
use crate::store::{Position, Store};

/// A tail that reaches further back than this may have lost tombstones to compaction; the store is rebuilt instead.
/// Kafka keeps tombstones for 24 hours.
const OLDEST_TAIL_US: i64 = 12 * 3600 * 1_000_000;
/// Records read and applied at a time.
const CHUNK: usize = 2000;

/// Replays what the store lacks, or all of the changelog when the store is not a prefix of it.
pub(super) async fn restore(task: &Task, store: &Store, changelog: &TopicPartition) -> Result<()> {
    let log = Error::log(task.name);
    let end = task.log.ends(&changelog.topic).await.map_err(&log)?.get(changelog).copied().unwrap_or(0);
    let now = (task.clock)();
    let known = match store.position()? {
        Some(position) if position.next == end || planted::on(planted::Bug::RestoreWithoutTail) => return Ok(()),
        Some(position)
            if position.next < end && (now - position.at < OLDEST_TAIL_US || no_tail(task, changelog, position.next, end).await?) =>
        {
            Some(position.next)
        }
        Some(position) => {
            tracing::warn!(
                processor = task.name,
                partition = changelog.partition,
                "state.position" = position.next,
                "changelog.end" = end,
                "local state is not a recent prefix of its changelog; rebuilding it"
            );
            store.clear()?;
            None
        }
        None => None,
    };
    let start = known.map_or(Start::Earliest, Start::Offset);
    let mut reader = task.log.reader(vec![(changelog.clone(), start)]).await.map_err(&log)?;
    let mut restored = 0;
    let mut reached = known.unwrap_or(0);
    while reached < end {
        let records = reader.poll(CHUNK, Duration::from_millis(500)).await.map_err(&log)?;
        reached = reader.position().await.map_err(&log)?.get(changelog).copied().unwrap_or(reached);
        if let Some(last) = records.last() {
            reached = reached.max(last.offset + 1);
            restored += records.len() as u64;
            task.report.restoring(restored);
            let changes = records.into_iter().filter_map(|record| Some((record.key?.to_vec(), record.value.map(|value| value.to_vec()))));
            store.apply(changes, Position { next: reached, at: now })?;
        }
        if task.shutdown.is_cancelled() {
            return Ok(());
        }
    }
    store.apply(std::iter::empty(), Position { next: reached, at: now })?;
    task.metrics.restored.with_label_values(&[task.name]).inc_by(restored);
    if restored > 0 {
        tracing::info!(processor = task.name, partition = changelog.partition, records = restored, "state restored from its changelog");
    }
    Ok(())
}

/// Whether nothing but marks of transactions stands between a store's position and the changelog's end.
async fn no_tail(task: &Task, changelog: &TopicPartition, from: u64, end: u64) -> Result<bool> {
    let log = Error::log(task.name);
    let mut reader = task.log.reader(vec![(changelog.clone(), Start::Offset(from))]).await.map_err(&log)?;
    while reader.position().await.map_err(&log)?.get(changelog).copied().unwrap_or(end) < end {
        if !reader.poll(1, Duration::from_millis(500)).await.map_err(&log)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
