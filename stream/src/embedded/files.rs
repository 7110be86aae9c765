//! The segment files of every partition.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use schemas::topic::Cleanup;

use super::segment::Segment;
use crate::in_process::{Pid, lock};
use crate::log::TopicPartition;

/// A segment, its open file, and the byte at which to begin.
pub(super) type Found = (Arc<Segment>, Arc<File>, u64);

/// All partitions' files.
pub(super) struct Files {
    pub(super) dir: PathBuf,
    partitions: RwLock<Vec<Arc<PartitionFiles>>>,
    /// Segments that no list names any more; removed when a checkpoint without them stands.
    obsolete: Mutex<Vec<Arc<Segment>>>,
}

/// One partition's segments, oldest first.
pub(super) struct PartitionFiles {
    pub(super) dir: PathBuf,
    pub(super) cleanup: Cleanup,
    pub(super) segments: Mutex<Vec<Arc<Segment>>>,
    /// Below this offset each key occurs once.
    pub(super) cleaned: AtomicU64,
    /// The newest segment should be closed with the next write, so that it can be compacted or expire.
    pub(super) close_wanted: AtomicBool,
    /// The newest segment's file, held open while it is written to.
    open: Mutex<Option<Arc<File>>>,
}

impl Files {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), partitions: RwLock::default(), obsolete: Mutex::default() }
    }

    pub(super) fn partition(&self, pid: Pid) -> Arc<PartitionFiles> {
        self.partitions.read().unwrap_or_else(std::sync::PoisonError::into_inner)[pid].clone()
    }

    pub(super) fn all(&self) -> Vec<Arc<PartitionFiles>> {
        self.partitions.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Adds the next partition; its folder is created.
    pub(super) fn add(&self, at: &TopicPartition, cleanup: Cleanup, segments: Vec<Arc<Segment>>, cleaned: u64) -> io::Result<()> {
        let dir = self.partition_dir(at);
        std::fs::create_dir_all(&dir)?;
        let files = PartitionFiles {
            dir,
            cleanup,
            segments: Mutex::new(segments),
            cleaned: AtomicU64::new(cleaned),
            close_wanted: AtomicBool::new(false),
            open: Mutex::default(),
        };
        self.partitions.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::new(files));
        Ok(())
    }

    pub(super) fn partition_dir(&self, at: &TopicPartition) -> PathBuf {
        self.dir.join("topics").join(at.to_string())
    }

    pub(super) fn retire(&self, segments: impl IntoIterator<Item = Arc<Segment>>) {
        lock(&self.obsolete).extend(segments);
    }

    pub(super) fn take_obsolete(&self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut *lock(&self.obsolete))
    }

    pub(super) fn has_obsolete(&self) -> bool {
        !lock(&self.obsolete).is_empty()
    }
}

impl PartitionFiles {
    /// The oldest offset kept.
    pub(super) fn start(&self) -> u64 {
        lock(&self.segments).first().map_or(0, |segment| segment.base)
    }

    /// The segment to append to, opened; a new one when the newest is full.
    pub(super) fn newest(&self, next: u64, bytes: usize, limit: u64) -> io::Result<(Arc<Segment>, Arc<File>)> {
        let mut segments = lock(&self.segments);
        let mut open = lock(&self.open);
        let closes = self.close_wanted.load(Ordering::Relaxed);
        if let Some(newest) = segments.last().filter(|newest| newest.bytes() == 0 || (!closes && newest.bytes() + bytes as u64 <= limit)) {
            let file = match &*open {
                Some(file) => file.clone(),
                None => newest.file()?,
            };
            *open = Some(file.clone());
            return Ok((newest.clone(), file));
        }
        let (segment, file) = Segment::create(&self.dir, next, 0)?;
        self.close_wanted.store(false, Ordering::Relaxed);
        segments.push(segment.clone());
        *open = Some(file.clone());
        Ok((segment, file))
    }

    /// The segment in which an offset or the next one kept stands, opened, and where to begin; none past the end.
    pub(super) fn locate(&self, offset: u64) -> io::Result<Option<Found>> {
        self.find(|segment| segment.end() > offset, |segment| segment.before_offset(offset))
    }

    /// The same for the first record written at or after a time.
    pub(super) fn locate_time(&self, ms: i64) -> io::Result<Option<Found>> {
        self.find(|segment| segment.bytes() > 0 && segment.last_ms() >= ms, |segment| segment.before_time(ms))
    }

    /// Opens under the lock, so that compaction cannot remove the file in between.
    fn find(&self, fits: impl Fn(&Segment) -> bool, begin: impl Fn(&Segment) -> u64) -> io::Result<Option<Found>> {
        let segments = lock(&self.segments);
        // Ends and times grow, so halving would do; newest first is as quick for those who read along.
        let mut found = None;
        for segment in segments.iter().rev() {
            if fits(segment) {
                found = Some(segment);
            } else if segment.bytes() > 0 {
                break;
            }
        }
        let Some(segment) = found else { return Ok(None) };
        let file = segment.file()?;
        Ok(Some((segment.clone(), file, begin(segment))))
    }
}
