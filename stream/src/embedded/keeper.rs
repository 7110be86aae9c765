//! The thread behind the writer: checkpoints, compaction, retention. One piece of work at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use schemas::topic::Cleanup;

use super::checkpoint::Pending;
use super::files::{Files, PartitionFiles};
use super::{EmbeddedOptions, compaction, storage};
use crate::clock::now_ms;
use crate::in_process::lock;
use crate::log::Result;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// The way to the keeper's thread.
pub(super) struct Keeper {
    desk: Mutex<Desk>,
    wake: Condvar,
    stopped: AtomicBool,
    /// Files could go if a checkpoint said so.
    checkpoint_wanted: AtomicBool,
}

#[derive(Default)]
struct Desk {
    pending: Option<Pending>,
    busy: bool,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(files: Arc<Files>, options: EmbeddedOptions) -> Result<(Arc<Self>, JoinHandle<()>)> {
        let keeper = Arc::new(Self {
            desk: Mutex::default(),
            wake: Condvar::new(),
            stopped: AtomicBool::new(false),
            checkpoint_wanted: AtomicBool::new(false),
        });
        let dir = files.dir.clone();
        let spawned = {
            let keeper = keeper.clone();
            std::thread::Builder::new().name("log-keeper".into()).spawn(move || keeper.run(&files, &options))
        };
        Ok((keeper, spawned.map_err(|error| storage(&dir, "start the keeper", &error))?))
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_all();
    }

    /// Whether the writer should begin a new journal although this one is not full.
    pub(super) fn wants_checkpoint(&self) -> bool {
        self.checkpoint_wanted.load(Ordering::Acquire)
    }

    /// Whether a checkpoint could be written at once; waits for that when asked to.
    pub(super) fn is_free(&self, wait: bool) -> bool {
        let mut desk = lock(&self.desk);
        while wait && desk.busy && !self.stopped.load(Ordering::Acquire) {
            desk = self.wake.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        !desk.busy
    }

    /// Takes a checkpoint to be written.
    pub(super) fn give(&self, pending: Pending) {
        let mut desk = lock(&self.desk);
        desk.pending = Some(pending);
        desk.busy = true;
        self.checkpoint_wanted.store(false, Ordering::Release);
        self.wake.notify_all();
    }

    fn run(&self, files: &Files, options: &EmbeddedOptions) {
        while !self.stopped.load(Ordering::Acquire) {
            if let Some(pending) = self.pending(options) {
                self.write(pending, files);
                continue;
            }
            for partition in files.all() {
                // A checkpoint goes first: the writer may be waiting for it.
                if self.stopped.load(Ordering::Acquire) || lock(&self.desk).pending.is_some() {
                    break;
                }
                self.keep(files, &partition, options);
            }
            if files.has_obsolete() {
                self.checkpoint_wanted.store(true, Ordering::Release);
            }
        }
    }

    fn pending(&self, options: &EmbeddedOptions) -> Option<Pending> {
        let desk = lock(&self.desk);
        if desk.pending.is_none() && !self.stopped.load(Ordering::Acquire) {
            return self.wake.wait_timeout(desk, options.keep_every).unwrap_or_else(PoisonError::into_inner).0.pending.take();
        }
        let mut desk = desk;
        desk.pending.take()
    }

    fn write(&self, pending: Pending, files: &Files) {
        if let Err(error) = pending.write(&files.dir) {
            // The journals stay, and the next checkpoint covers them too.
            tracing::error!(%error, path = %files.dir.display(), "a checkpoint could not be written");
        }
        lock(&self.desk).busy = false;
        self.wake.notify_all();
    }

    fn keep(&self, files: &Files, partition: &PartitionFiles, options: &EmbeddedOptions) {
        match partition.cleanup {
            Cleanup::Delete { days } => expire(files, partition, now_ms().saturating_sub(i64::from(days) * DAY_MS)),
            Cleanup::Compact => {
                let oldest = now_ms().saturating_sub(i64::try_from(options.tombstone_retention.as_millis()).unwrap_or(i64::MAX));
                let busy = || self.stopped.load(Ordering::Acquire) || lock(&self.desk).pending.is_some();
                match compaction::compact(partition, options, oldest, busy) {
                    Ok(obsolete) => files.retire(obsolete),
                    Err(error) => tracing::error!(%error, path = %partition.dir.display(), "a partition could not be compacted"),
                }
            }
        }
    }
}

/// Lets go of closed segments whose records are all older.
fn expire(files: &Files, partition: &PartitionFiles, oldest: i64) {
    let mut segments = lock(&partition.segments);
    let closed = segments.len().saturating_sub(1);
    let gone = segments[..closed].iter().take_while(|segment| segment.last_ms() < oldest).count();
    files.retire(segments.drain(..gone));
    if segments.len() == 1 && segments[0].bytes() > 0 && segments[0].facts().first_ms < oldest {
        partition.close_wanted.store(true, Ordering::Relaxed);
    }
}
