//! Compaction of one partition: its closed segments are rewritten without what newer records of the same key replace.
//!
//! Bounded: at most [`KEYS`] keys and one segment more are looked at in one pass, the rest in the next. A pass is due
//! when as much was written since the last as is worth half of what is kept, so each byte is rewritten a few times at most.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::EmbeddedOptions;
use super::files::PartitionFiles;
use super::record::{Body, First, first};
use super::segment::{Chunk, Segment};
use crate::in_process::lock;

/// Keys held in memory during a pass: about 10 MB.
const KEYS: usize = 150_000;
const PIECE: usize = 256 << 10;

/// Compacts if it is due; returns the segments that were replaced. Gives up, without effect, when `busy`.
pub(super) fn compact(
    partition: &PartitionFiles,
    options: &EmbeddedOptions,
    oldest_tombstone: i64,
    busy: impl Fn() -> bool,
) -> io::Result<Vec<Arc<Segment>>> {
    let segments = lock(&partition.segments).clone();
    let cleaned = partition.cleaned.load(Ordering::Acquire);
    let (clean, dirty): (Vec<_>, Vec<_>) = segments.iter().partition(|segment| segment.end() <= cleaned);
    let bytes = |segments: &[&Arc<Segment>]| segments.iter().map(|segment| segment.bytes()).sum::<u64>();
    if bytes(&dirty) < options.compact_bytes.max(bytes(&clean) / 2) {
        return Ok(Vec::new());
    }
    let Some((_open, closed)) = segments.split_last() else { return Ok(Vec::new()) };
    if dirty.len() < 2 {
        partition.close_wanted.store(true, Ordering::Relaxed);
        return Ok(Vec::new());
    }
    let hasher = (RandomState::new(), RandomState::new());
    let name = |key: &[u8]| (u128::from(hasher.0.hash_one(key)) << 64) | u128::from(hasher.1.hash_one(key));
    let mut newest: HashMap<u128, u64> = HashMap::new();
    let mut upto = cleaned;
    for segment in closed.iter().filter(|segment| segment.end() > cleaned) {
        if newest.len() >= KEYS || busy() {
            break;
        }
        each(segment, |body, _| {
            newest.insert(name(body.key().unwrap_or_default()), body.offset());
            Ok(())
        })?;
        upto = segment.end();
    }
    let inputs: Vec<Arc<Segment>> = closed.iter().take_while(|segment| segment.end() <= upto).cloned().collect();
    if upto == cleaned || inputs.is_empty() {
        return Ok(Vec::new());
    }
    let mut output = Output::new(partition, &inputs, options.segment_bytes);
    for segment in &inputs {
        if busy() {
            output.abandon()?;
            return Ok(Vec::new());
        }
        each(segment, |body, whole| {
            let superseded = newest.get(&name(body.key().unwrap_or_default())).is_some_and(|offset| *offset > body.offset());
            let gone = !body.has_value() && body.timestamp_ms() < oldest_tombstone;
            if superseded || gone { Ok(()) } else { output.push(&body, whole) }
        })?;
    }
    let outputs = output.finish(upto)?;
    let mut segments = lock(&partition.segments);
    segments.splice(..inputs.len(), outputs);
    partition.cleaned.store(upto, Ordering::Release);
    Ok(inputs)
}

/// Goes through a segment's records.
fn each(segment: &Segment, mut record: impl FnMut(Body<'_>, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let file = segment.file()?;
    let (mut at, mut need) = (0, PIECE);
    while at < segment.bytes() {
        let buffer = segment.read(&file, at, need)?;
        let mut used = 0;
        need = PIECE;
        loop {
            match first(&buffer[used..]) {
                First::Whole(body, size) => {
                    record(body, &buffer[used..used + size])?;
                    used += size;
                }
                First::Short(bytes) => {
                    need = need.max(bytes);
                    break;
                }
                First::Damaged => return Err(damaged(segment, at + used as u64)),
            }
        }
        if used == 0 && buffer.len() as u64 + at >= segment.bytes() {
            return Err(damaged(segment, at));
        }
        at += used as u64;
    }
    Ok(())
}

fn damaged(segment: &Segment, at: u64) -> io::Error {
    io::Error::other(format!("{} is damaged at byte {at}", segment.path().display()))
}

/// The segments that a pass writes.
struct Output<'a> {
    partition: &'a PartitionFiles,
    base: u64,
    generation: u64,
    limit: u64,
    done: Vec<Arc<Segment>>,
    open: Option<(Arc<Segment>, Arc<File>)>,
    piece: Vec<u8>,
    marks: Option<(u64, u64, i64, i64)>,
}

impl<'a> Output<'a> {
    fn new(partition: &'a PartitionFiles, inputs: &[Arc<Segment>], limit: u64) -> Self {
        let generation = inputs.iter().map(|segment| segment.generation).max().unwrap_or(0) + 1;
        let base = inputs.first().map_or(0, |segment| segment.base);
        Self { partition, base, generation, limit, done: Vec::new(), open: None, piece: Vec::new(), marks: None }
    }

    fn push(&mut self, body: &Body<'_>, whole: &[u8]) -> io::Result<()> {
        let full = self.open.as_ref().is_some_and(|(segment, _)| segment.bytes() + (self.piece.len() + whole.len()) as u64 > self.limit);
        if full {
            self.close(body.offset())?;
        }
        let (offset, ms) = (body.offset(), body.timestamp_ms());
        let (first, _, first_ms, _) = self.marks.unwrap_or((offset, offset, ms, ms));
        self.marks = Some((first, offset + 1, first_ms, ms));
        self.piece.extend_from_slice(whole);
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(Segment::create(&self.partition.dir, self.base, self.generation)?);
        }
        if let (Some((segment, file)), Some((first, end, first_ms, last_ms))) = (&self.open, self.marks.take()) {
            (&**file).write_all(&self.piece)?;
            segment.extend(&Chunk { bytes: &self.piece, first, end, first_ms, last_ms });
            self.piece.clear();
        }
        Ok(())
    }

    fn close(&mut self, end: u64) -> io::Result<()> {
        self.flush()?;
        if let Some((segment, _file)) = self.open.take() {
            segment.end_at(end);
            segment.sync()?;
            self.base = end;
            self.done.push(segment);
        }
        Ok(())
    }

    fn finish(mut self, end: u64) -> io::Result<Vec<Arc<Segment>>> {
        self.close(end)?;
        Ok(self.done)
    }

    fn abandon(mut self) -> io::Result<()> {
        self.close(self.base)?;
        self.done.iter().try_for_each(|segment| segment.remove())
    }
}
