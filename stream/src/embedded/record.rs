//! A record as bytes, the same in the journal and in segments.
//!
//! `length u32, crc32c u32, offset u64, time i64, flags u8, [key length u32, key], [value length u32, value],
//! headers u16, { name length u16, name, value length u32, value }`, little-endian; the length and the checksum are of
//! what follows the checksum.

use std::sync::Arc;

use bytes::Bytes;

use crate::in_process::Placed;
use crate::log::{Headers, Record, TopicPartition};

/// Length and checksum.
pub(super) const HEAD: usize = 8;
const HAS_KEY: u8 = 1;
const HAS_VALUE: u8 = 2;
/// Offset, time, flags.
const FIXED: usize = 17;

/// Appends a record.
pub(super) fn encode(placed: &Placed, timestamp_ms: i64, out: &mut Vec<u8>) {
    let head = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(&placed.offset.to_le_bytes());
    out.extend_from_slice(&timestamp_ms.to_le_bytes());
    out.push(placed.key.as_ref().map_or(0, |_| HAS_KEY) | placed.value.as_ref().map_or(0, |_| HAS_VALUE));
    for bytes in [&placed.key, &placed.value].into_iter().flatten() {
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(&(placed.headers.len() as u16).to_le_bytes());
    for (name, value) in &placed.headers {
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(value);
    }
    let length = (out.len() - head - HEAD) as u32;
    let checksum = crc32c::crc32c(&out[head + HEAD..]);
    out[head..head + 4].copy_from_slice(&length.to_le_bytes());
    out[head + 4..head + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// What stands first in a buffer.
pub(super) enum First<'a> {
    /// A whole record: its body, and its size with head.
    Whole(Body<'a>, usize),
    /// The buffer ends too early; so many bytes are needed.
    Short(usize),
    /// Not a record.
    Damaged,
}

/// A record's bytes after the head, checked against the checksum.
pub(super) struct Body<'a>(&'a [u8]);

/// Looks at the first record of a buffer.
pub(super) fn first(buffer: &[u8]) -> First<'_> {
    let Some((head, rest)) = buffer.split_first_chunk::<HEAD>() else { return First::Short(HEAD) };
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let checksum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    match rest.get(..length) {
        None => First::Short(HEAD + length),
        Some(body) if length >= FIXED && crc32c::crc32c(body) == checksum => First::Whole(Body(body), HEAD + length),
        Some(_) => First::Damaged,
    }
}

impl Body<'_> {
    pub(super) fn offset(&self) -> u64 {
        Scan(self.0).number()
    }

    pub(super) fn timestamp_ms(&self) -> i64 {
        Scan(&self.0[8..]).number() as i64
    }

    pub(super) fn has_value(&self) -> bool {
        self.0[16] & HAS_VALUE != 0
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        let mut scan = Scan(&self.0[FIXED..]);
        (self.0[16] & HAS_KEY != 0).then(|| scan.bytes()).flatten()
    }

    /// The record; none when the body is not one in spite of its checksum.
    pub(super) fn record(&self, at: &TopicPartition) -> Option<Record> {
        let whole = Bytes::copy_from_slice(self.0);
        let mut scan = Scan(&whole[FIXED..]);
        let key = if self.0[16] & HAS_KEY != 0 { Some(whole.slice_ref(scan.bytes()?)) } else { None };
        let value = if self.has_value() { Some(whole.slice_ref(scan.bytes()?)) } else { None };
        let count = scan.short()?;
        let mut headers = Headers::with_capacity(count);
        for _ in 0..count {
            let length = scan.short()?;
            let name: Arc<str> = std::str::from_utf8(scan.take(length)?).ok()?.into();
            headers.push((name, whole.slice_ref(scan.bytes()?)));
        }
        Some(Record { partition: at.clone(), offset: self.offset(), timestamp_ms: self.timestamp_ms(), key, value, headers })
    }
}

struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn short(&mut self) -> Option<usize> {
        Some(usize::from(u16::from_le_bytes(self.take(2)?.try_into().ok()?)))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }
}
