//! The journal: one frame for each group of transactions, and for each creation of topics.
//!
//! A frame is `length u32, crc32c u32, payload`. A payload is
//! `1, chunks u32, { pid u32, first u64, end u64, time i64, time i64, length u32, records }, offsets u32, { group length u16, group, pid u32, offset u64 }`
//! or `2, topic as JSON`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::topic::{Cleanup, TopicConfig};
use serde::{Deserialize, Serialize};

use super::segment::Chunk;
use crate::in_process::Pid;

const HEAD: usize = 8;
const TRANSACTIONS: u8 = 1;
const TOPIC: u8 = 2;

/// A topic as the journal and checkpoints write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopicFacts {
    pub(super) name: String,
    pub(super) partitions: u32,
    /// None for a compacted topic.
    pub(super) days: Option<u32>,
}

impl TopicFacts {
    pub(super) fn of(config: &TopicConfig) -> Self {
        let days = match config.cleanup {
            Cleanup::Compact => None,
            Cleanup::Delete { days } => Some(days),
        };
        Self { name: config.name.clone(), partitions: config.partitions, days }
    }

    pub(super) fn config(&self) -> TopicConfig {
        let cleanup = self.days.map_or(Cleanup::Compact, |days| Cleanup::Delete { days });
        TopicConfig { name: self.name.clone(), partitions: self.partitions, cleanup }
    }
}

/// A group's offset.
pub(super) type GroupOffset = (Arc<str>, Pid, u64);

/// A frame under construction.
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    chunks: u32,
}

/// Where a chunk stands within a frame.
pub(super) struct Place {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Frame {
    pub(super) fn transactions(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&[0; HEAD]);
        bytes.push(TRANSACTIONS);
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, chunks: 0 }
    }

    pub(super) fn topic(topic: &TopicConfig) -> io::Result<Vec<u8>> {
        let mut frame = Self { bytes: vec![0; HEAD], chunks: 0 };
        frame.bytes.push(TOPIC);
        frame.bytes.extend_from_slice(&serde_json::to_vec(&TopicFacts::of(topic))?);
        Ok(frame.sealed())
    }

    /// Adds a chunk whose records `write` appends.
    pub(super) fn chunk(
        &mut self,
        pid: Pid,
        (first, end): (u64, u64),
        (first_ms, last_ms): (i64, i64),
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Place {
        self.chunks += 1;
        self.bytes.extend_from_slice(&(pid as u32).to_le_bytes());
        for number in [first, end, first_ms as u64, last_ms as u64] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(&[0; 4]);
        let from = self.bytes.len();
        write(&mut self.bytes);
        let to = self.bytes.len();
        self.bytes[from - 4..from].copy_from_slice(&((to - from) as u32).to_le_bytes());
        Place { first, end, first_ms, last_ms, from, to }
    }

    /// Ends the frame.
    pub(super) fn finish(mut self, offsets: &[GroupOffset]) -> Vec<u8> {
        self.bytes[HEAD + 1..HEAD + 5].copy_from_slice(&self.chunks.to_le_bytes());
        self.bytes.extend_from_slice(&(offsets.len() as u32).to_le_bytes());
        for (group, pid, offset) in offsets {
            self.bytes.extend_from_slice(&(group.len() as u16).to_le_bytes());
            self.bytes.extend_from_slice(group.as_bytes());
            self.bytes.extend_from_slice(&(*pid as u32).to_le_bytes());
            self.bytes.extend_from_slice(&offset.to_le_bytes());
        }
        self.sealed()
    }

    fn sealed(mut self) -> Vec<u8> {
        let length = (self.bytes.len() - HEAD) as u32;
        let checksum = crc32c::crc32c(&self.bytes[HEAD..]);
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
        self.bytes
    }
}

/// What a frame says.
pub(super) enum Entry<'a> {
    Transactions { chunks: Vec<(Pid, Chunk<'a>)>, offsets: Vec<GroupOffset> },
    Topic(TopicFacts),
}

/// Reads a payload; none when it is not one.
pub(super) fn parse(payload: &[u8]) -> Option<Entry<'_>> {
    let (kind, rest) = payload.split_first()?;
    match *kind {
        TOPIC => serde_json::from_slice(rest).ok().map(Entry::Topic),
        TRANSACTIONS => {
            let mut scan = Scan(rest);
            let count = scan.u32()?;
            let mut chunks = Vec::new();
            for _ in 0..count {
                let pid = scan.u32()? as Pid;
                let (first, end, first_ms, last_ms) = (scan.u64()?, scan.u64()?, scan.u64()? as i64, scan.u64()? as i64);
                let length = scan.u32()? as usize;
                chunks.push((pid, Chunk { bytes: scan.take(length)?, first, end, first_ms, last_ms }));
            }
            let count = scan.u32()?;
            let mut offsets = Vec::new();
            for _ in 0..count {
                let length = scan.u16()?;
                let group = std::str::from_utf8(scan.take(usize::from(length))?).ok()?;
                offsets.push((group.into(), scan.u32()? as Pid, scan.u64()?));
            }
            Some(Entry::Transactions { chunks, offsets })
        }
        _ => None,
    }
}

struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

/// A journal file that is being written.
pub(super) struct Journal {
    dir: PathBuf,
    pub(super) number: u64,
    pub(super) file: Arc<File>,
    pub(super) bytes: u64,
}

/// The file of a journal.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("journal-{number:020}"))
}

impl Journal {
    /// Begins a journal.
    pub(super) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path(dir, number))?;
        File::open(dir)?.sync_all()?;
        Ok(Self { dir: dir.to_owned(), number, file: Arc::new(file), bytes: 0 })
    }

    /// Goes on after what was read of a journal; the rest is cut off.
    pub(super) fn resume(dir: &Path, number: u64, bytes: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path(dir, number))?;
        file.set_len(bytes)?;
        File::open(dir)?.sync_all()?;
        Ok(Self { dir: dir.to_owned(), number, file: Arc::new(file), bytes })
    }

    /// Appends a frame. When this fails, nothing of it is left, or the journal must not be written to any more.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.file.write_all_at(frame, self.bytes)?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed append has left.
    pub(super) fn mend(&self) -> io::Result<()> {
        self.file.set_len(self.bytes)
    }

    /// The next journal.
    pub(super) fn next(&self) -> io::Result<Self> {
        Self::create(&self.dir, self.number + 1)
    }
}

/// Reads a journal's frames from the start and returns the bytes of the whole ones.
pub(super) fn replay<E: From<io::Error>>(path: &Path, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut input = io::BufReader::with_capacity(1 << 20, file);
    let (mut whole, mut payload) = (0u64, Vec::new());
    loop {
        let mut head = [0; HEAD];
        if size - whole < HEAD as u64 {
            return Ok(whole);
        }
        input.read_exact(&mut head)?;
        let length = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if length == 0 || length > size - whole - HEAD as u64 {
            return Ok(whole);
        }
        payload.resize(length as usize, 0);
        input.read_exact(&mut payload)?;
        if crc32c::crc32c(&payload) != checksum {
            return Ok(whole);
        }
        each(&payload)?;
        whole += HEAD as u64 + length;
    }
}
