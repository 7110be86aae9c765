//! One file of a partition: records from a base offset on, and a sparse index of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use serde::{Deserialize, Serialize};

use crate::in_process::lock;

/// At most one index entry for so many bytes.
const INDEX_EVERY: u64 = 32 << 10;

/// A place that reading may begin from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) at: u64,
    pub(super) timestamp_ms: i64,
}

/// What a checkpoint says about a segment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SegmentFacts {
    pub(super) base: u64,
    pub(super) generation: u64,
    pub(super) bytes: u64,
    pub(super) end: u64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
}

/// A run of records that were committed together, ready to be appended.
pub(super) struct Chunk<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
}

/// A segment. Only the writer appends, and only to the newest of a partition.
pub(super) struct Segment {
    pub(super) base: u64,
    pub(super) generation: u64,
    path: PathBuf,
    bytes: AtomicU64,
    end: AtomicU64,
    first_ms: AtomicI64,
    last_ms: AtomicI64,
    synced: AtomicU64,
    file: Mutex<Weak<File>>,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    marks: Vec<Mark>,
    loaded: bool,
}

impl Segment {
    /// A segment without records, which `generation` compactions have rewritten.
    pub(super) fn create(dir: &Path, base: u64, generation: u64) -> io::Result<(Arc<Self>, Arc<File>)> {
        let facts = SegmentFacts { base, generation, bytes: 0, end: base, first_ms: 0, last_ms: 0 };
        let segment = Self::known(dir, &facts);
        lock(&segment.index).loaded = true;
        let file = Arc::new(File::options().read(true).write(true).create(true).truncate(true).open(&segment.path)?);
        *lock(&segment.file) = Arc::downgrade(&file);
        Ok((Arc::new(segment), file))
    }

    /// A segment that a checkpoint knows.
    pub(super) fn known(dir: &Path, facts: &SegmentFacts) -> Self {
        Self {
            base: facts.base,
            generation: facts.generation,
            path: dir.join(format!("{:020}-{}.log", facts.base, facts.generation)),
            bytes: AtomicU64::new(facts.bytes),
            end: AtomicU64::new(facts.end),
            first_ms: AtomicI64::new(facts.first_ms),
            last_ms: AtomicI64::new(facts.last_ms),
            synced: AtomicU64::new(facts.bytes),
            file: Mutex::new(Weak::new()),
            index: Mutex::default(),
        }
    }

    pub(super) fn facts(&self) -> SegmentFacts {
        SegmentFacts {
            base: self.base,
            generation: self.generation,
            bytes: self.bytes(),
            end: self.end(),
            first_ms: self.first_ms.load(Ordering::Acquire),
            last_ms: self.last_ms(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn index_path(&self) -> PathBuf {
        self.path.with_extension("index")
    }

    /// Bytes of committed records.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn last_ms(&self) -> i64 {
        self.last_ms.load(Ordering::Acquire)
    }

    /// The file, opened unless somebody has it open.
    pub(super) fn file(&self) -> io::Result<Arc<File>> {
        let mut known = lock(&self.file);
        if let Some(file) = known.upgrade() {
            return Ok(file);
        }
        let file = Arc::new(File::options().read(true).write(true).open(&self.path)?);
        *known = Arc::downgrade(&file);
        Ok(file)
    }

    /// Says that a chunk stands behind the last; its bytes are in the file.
    pub(super) fn extend(&self, chunk: &Chunk<'_>) {
        let at = self.bytes();
        {
            let mut index = lock(&self.index);
            if index.marks.last().is_none_or(|mark| at - mark.at >= INDEX_EVERY) {
                index.marks.push(Mark { offset: chunk.first, at, timestamp_ms: chunk.first_ms });
            }
        }
        if at == 0 {
            self.first_ms.store(chunk.first_ms, Ordering::Release);
        }
        self.last_ms.store(chunk.last_ms, Ordering::Release);
        self.end.store(chunk.end, Ordering::Release);
        self.bytes.store(at + chunk.bytes.len() as u64, Ordering::Release);
    }

    /// Sets where the next segment goes on, when records behind the last were left out.
    pub(super) fn end_at(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Where to begin reading so that no record at or after an offset is missed.
    pub(super) fn before_offset(&self, offset: u64) -> u64 {
        self.floor(|mark| mark.offset <= offset)
    }

    /// Where to begin reading so that no record written at or after a time is missed.
    pub(super) fn before_time(&self, ms: i64) -> u64 {
        self.floor(|mark| mark.timestamp_ms < ms)
    }

    fn floor(&self, before: impl Fn(&Mark) -> bool) -> u64 {
        let mut index = lock(&self.index);
        if !index.loaded {
            let first = index.marks.first().map_or(self.bytes(), |mark| mark.at);
            let mut marks = read_marks(&self.index_path());
            marks.retain(|mark| mark.at < first);
            marks.append(&mut index.marks);
            index.marks = marks;
            index.loaded = true;
        }
        let place = index.marks.partition_point(before);
        place.checked_sub(1).map_or(0, |place| index.marks[place].at)
    }

    /// Makes the file safe against a loss of power, and its index likely to be found.
    pub(super) fn sync(&self) -> io::Result<()> {
        let bytes = self.bytes();
        if self.synced.load(Ordering::Acquire) == bytes {
            return Ok(());
        }
        self.file()?.sync_data()?;
        // With the index read in first, so that what is written is all of it.
        self.floor(|_| false);
        let marks = lock(&self.index).marks.clone();
        std::fs::write(self.index_path(), encode_marks(&marks))?;
        self.synced.store(bytes, Ordering::Release);
        Ok(())
    }

    /// Removes the files. Readers that have them open go on.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(self.index_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads into a buffer from a place, as much as there is; none at the end.
    pub(super) fn read(&self, file: &File, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let count = usize::try_from(self.bytes().saturating_sub(at)).unwrap_or(usize::MAX).min(most);
        let mut buffer = vec![0; count];
        file.read_exact_at(&mut buffer, at)?;
        Ok(buffer)
    }
}

const MARK: usize = 24;

fn encode_marks(marks: &[Mark]) -> Vec<u8> {
    let mut out = Vec::with_capacity(marks.len() * MARK + 4);
    for mark in marks {
        out.extend_from_slice(&mark.offset.to_le_bytes());
        out.extend_from_slice(&mark.at.to_le_bytes());
        out.extend_from_slice(&mark.timestamp_ms.to_le_bytes());
    }
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

/// The marks of an index file; none when it is missing or damaged, for it only saves time.
fn read_marks(path: &Path) -> Vec<Mark> {
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let Some((marks, checksum)) = bytes.split_last_chunk::<4>() else { return Vec::new() };
    if crc32c::crc32c(marks) != u32::from_le_bytes(*checksum) {
        return Vec::new();
    }
    let number = |bytes: &[u8], from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mark = |bytes: &[u8; MARK]| Mark { offset: number(bytes, 0), at: number(bytes, 8), timestamp_ms: number(bytes, 16) as i64 };
    marks.as_chunks::<MARK>().0.iter().map(mark).collect()
}
