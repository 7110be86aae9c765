//! The event bus: a bounded ring of events in commit order, and a signal that wakes subscribers.
//!
//! Replay ids grow but not by one. What age or number pushes out is gone, and a position before it is
//! refused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

/// An event that is about to be stored.
#[derive(Clone)]
pub(crate) struct Publication {
    pub(crate) topic: String,
    pub(crate) schema_id: String,
    pub(crate) id: String,
    pub(crate) payload: Bytes,
}

/// A stored event.
pub(crate) struct Event {
    pub(crate) replay_id: u64,
    pub(crate) stored_ms: i64,
    pub(crate) publication: Publication,
}

/// The replay id before the first event.
const START: u64 = 1_104_717;

pub(crate) struct Bus {
    ring: Mutex<Ring>,
    tip: watch::Sender<u64>,
    numbers: AtomicU64,
}

struct Ring {
    events: VecDeque<Arc<Event>>,
    tip: u64,
    purged_through: u64,
}

/// Why a position cannot be read from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutsideRetention;

impl Bus {
    pub(crate) fn new() -> Self {
        Self {
            ring: Mutex::new(Ring { events: VecDeque::new(), tip: START, purged_through: START }),
            tip: watch::Sender::new(START),
            numbers: AtomicU64::new(1),
        }
    }

    pub(crate) fn next_event_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Stores events, drops what is over the limits, wakes subscribers.
    pub(crate) fn publish(&self, publications: Vec<Publication>, now_ms: i64, keep: usize, keep_ms: i64) -> Vec<u64> {
        if publications.is_empty() {
            return Vec::new();
        }
        let mut ring = self.lock();
        let mut ids = Vec::with_capacity(publications.len());
        for publication in publications {
            ring.tip += 1 + ring.tip % 3;
            let replay_id = ring.tip;
            ids.push(replay_id);
            ring.events.push_back(Arc::new(Event { replay_id, stored_ms: now_ms, publication }));
        }
        while ring.events.len() > keep || ring.events.front().is_some_and(|event| event.stored_ms < now_ms - keep_ms) {
            if let Some(event) = ring.events.pop_front() {
                ring.purged_through = event.replay_id;
            }
        }
        let tip = ring.tip;
        drop(ring);
        self.tip.send_replace(tip);
        ids
    }

    /// Stores the last `count` events of a topic again under new replay ids, as a redelivery does.
    pub(crate) fn repeat(&self, count: usize, now_ms: i64) {
        let again: Vec<Publication> = {
            let ring = self.lock();
            let skip = ring.events.len().saturating_sub(count);
            ring.events.iter().skip(skip).map(|event| event.publication.clone()).collect()
        };
        self.publish(again, now_ms, usize::MAX, i64::MAX / 2);
    }

    /// Drops all stored events, as a purge after the retention window does.
    pub(crate) fn purge(&self) {
        let mut ring = self.lock();
        ring.events.clear();
        ring.purged_through = ring.tip;
    }

    pub(crate) fn tip(&self) -> u64 {
        self.lock().tip
    }

    /// The position before the oldest event.
    pub(crate) fn earliest(&self) -> u64 {
        self.lock().purged_through
    }

    /// Whether reading may start after `replay_id`.
    pub(crate) fn check(&self, replay_id: u64) -> Result<(), OutsideRetention> {
        let ring = self.lock();
        if replay_id < ring.purged_through || replay_id > ring.tip { Err(OutsideRetention) } else { Ok(()) }
    }

    /// Up to `limit` events after `after` that `wanted` takes, not stored later than `until_ms`, and
    /// the position reached.
    pub(crate) fn read(&self, after: u64, limit: usize, until_ms: i64, wanted: impl Fn(&Event) -> bool) -> (Vec<Arc<Event>>, u64) {
        let ring = self.lock();
        let from = ring.events.partition_point(|event| event.replay_id <= after);
        let mut found = Vec::new();
        let mut reached = after;
        for event in ring.events.range(from..) {
            if found.len() == limit || event.stored_ms > until_ms {
                return (found, reached);
            }
            reached = event.replay_id;
            if wanted(event) {
                found.push(Arc::clone(event));
            }
        }
        (found, reached.max(ring.tip))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.tip.subscribe()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().events.len()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The 10 bytes that clients see.
pub(crate) fn replay_bytes(replay_id: u64) -> Bytes {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&replay_id.to_be_bytes());
    Bytes::copy_from_slice(&bytes)
}

/// Reads the 8- and the 10-byte form.
pub(crate) fn parse_replay(bytes: &[u8]) -> Option<u64> {
    if !matches!(bytes.len(), 8 | 10) || bytes[8..].iter().any(|byte| *byte != 0) {
        return None;
    }
    bytes[..8].try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &'static str) -> Publication {
        Publication { topic: "/event/X".to_owned(), schema_id: String::new(), id: text.to_owned(), payload: Bytes::new() }
    }

    #[test]
    fn a_position_before_what_was_dropped_is_refused() {
        let bus = Bus::new();
        let start = bus.tip();
        assert_eq!(bus.check(start), Ok(()));
        let ids = bus.publish(vec![note("a"), note("b"), note("c")], 0, 2, 1_000);
        assert_eq!(bus.check(start), Err(OutsideRetention));
        assert_eq!(bus.check(ids[0]), Ok(()));
        assert_eq!(bus.read(ids[0], 10, i64::MAX, |_| true).0.len(), 2);
        bus.publish(vec![note("d")], 5_000, 100, 1_000);
        assert_eq!(bus.len(), 1);
        assert_eq!(bus.check(bus.tip() + 1), Err(OutsideRetention));
    }

    #[test]
    fn replay_ids_are_read_in_both_lengths() {
        let bytes = replay_bytes(1_104_717);
        assert_eq!(&bytes[..], [0, 0, 0, 0, 0, 0x10, 0xDB, 0x4D, 0, 0]);
        assert_eq!(parse_replay(&bytes), Some(1_104_717));
        assert_eq!(parse_replay(&bytes[..8]), Some(1_104_717));
        assert_eq!(parse_replay(b"1104717"), None);
    }
}
