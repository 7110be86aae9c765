//! Reading a partition's files on from an offset.

use std::fs::File;
use std::sync::Arc;

use super::files::PartitionFiles;
use super::record::{First, first};
use super::segment::Segment;
use super::storage;
use crate::error::Error;
use crate::in_process::{Cursor, weight};
use crate::log::{Record, Result, TopicPartition};

/// Read at a time.
const PIECE: usize = 64 << 10;

/// A place in a partition.
pub(super) struct DiskCursor {
    files: Arc<PartitionFiles>,
    at: TopicPartition,
    offset: u64,
    place: Option<Place>,
}

/// A place in a segment. It stays good when compaction replaces the segment, for the file is open.
struct Place {
    segment: Arc<Segment>,
    file: Arc<File>,
    /// Where in the file `buffer[used]` stands.
    at: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Place {
    fn new((segment, file, at): (Arc<Segment>, Arc<File>, u64)) -> Self {
        Self { segment, file, at, buffer: Vec::new(), used: 0 }
    }

    /// The next record's body, passed over; none at the end of the segment.
    fn step<T>(&mut self, files: &PartitionFiles, take: impl FnOnce(&super::record::Body<'_>) -> Option<T>) -> Result<Option<Option<T>>> {
        let mut need = PIECE;
        loop {
            match first(&self.buffer[self.used..]) {
                First::Whole(body, size) => {
                    let taken = take(&body);
                    if taken.is_some() {
                        self.used += size;
                        self.at += size as u64;
                    }
                    return Ok(Some(taken));
                }
                First::Damaged => return Err(self.damaged(files, "a record's checksum is wrong")),
                First::Short(bytes) => need = need.max(bytes),
            }
            let had = self.buffer.len() - self.used;
            self.buffer = self.segment.read(&self.file, self.at, need).map_err(|error| storage(&files.dir, "read a segment", &error))?;
            self.used = 0;
            if self.buffer.is_empty() {
                return Ok(None);
            }
            if self.buffer.len() <= had {
                return Err(self.damaged(files, "it ends in the middle of a record"));
            }
        }
    }

    /// Keeps no memory for what was read already.
    fn forget(&mut self) {
        if self.used == self.buffer.len() {
            self.buffer = Vec::new();
            self.used = 0;
        }
    }

    fn damaged(&self, files: &PartitionFiles, what: &str) -> Error {
        storage(&files.dir, "read a segment", &format!("{} is damaged at byte {}: {what}", self.segment.path().display(), self.at))
    }
}

impl DiskCursor {
    pub(super) fn new(files: Arc<PartitionFiles>, at: TopicPartition, offset: u64) -> Self {
        Self { files, at, offset, place: None }
    }

    /// The offset of the first record written at or after a time, below `end`.
    pub(super) fn at_time(files: Arc<PartitionFiles>, ms: i64, end: u64) -> Result<u64> {
        let Some(found) = files.locate_time(ms).map_err(|error| storage(&files.dir, "open a segment", &error))? else { return Ok(end) };
        let mut place = Place::new(found);
        loop {
            match place.step(&files, |body| Some((body.offset(), body.timestamp_ms())))? {
                Some(Some((offset, timestamp_ms))) if timestamp_ms >= ms => return Ok(offset.min(end)),
                Some(_) => {}
                None => return Ok(end),
            }
        }
    }
}

/// What the next record is to a reader.
enum Next {
    Skipped,
    Taken(Box<Option<Record>>),
}

impl Cursor for DiskCursor {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn read(&mut self, end: u64, max: usize, mut bytes: usize, out: &mut Vec<Record>) -> Result<()> {
        let mut taken = 0;
        while self.offset < end && taken < max {
            let place = match &mut self.place {
                Some(place) => place,
                None => match self.files.locate(self.offset).map_err(|error| storage(&self.files.dir, "open a segment", &error))? {
                    Some(found) => self.place.insert(Place::new(found)),
                    None => {
                        self.offset = end;
                        return Ok(());
                    }
                },
            };
            let (offset, at) = (self.offset, &self.at);
            let next = place.step(&self.files, |body| {
                if body.offset() < offset {
                    Some(Next::Skipped)
                } else if body.offset() >= end {
                    None
                } else {
                    Some(Next::Taken(Box::new(body.record(at))))
                }
            })?;
            match next {
                Some(Some(Next::Skipped)) => {}
                Some(Some(Next::Taken(record))) => {
                    let Some(record) = *record else { return Err(place.damaged(&self.files, "a record is not one")) };
                    self.offset = record.offset + 1;
                    taken += 1;
                    let size = weight(&record);
                    out.push(record);
                    if size >= bytes {
                        return Ok(());
                    }
                    bytes -= size;
                }
                // The next record is not to be seen yet.
                Some(None) => self.offset = end,
                None => {
                    let after = place.segment.end();
                    if after >= end {
                        // Everything that is shown; the next record may stand here or in a newer segment.
                        self.offset = end;
                        place.forget();
                    } else {
                        self.offset = self.offset.max(after);
                        self.place = None;
                    }
                }
            }
        }
        if let Some(place) = &mut self.place {
            place.forget();
        }
        Ok(())
    }
}
