//! Whether an input has been processed up to an end, where no record comes that says so.
//!
//! Offsets end in marks of transactions, in aborted records and in what compaction has removed; a member is never given
//! any of these. So while something waits for an end, the log is asked once a second whether anything committed lies
//! between what was processed and that end. What was processed is looked up anew each time, because what a session
//! remembers of it may be too little.

use std::collections::BTreeMap;
use std::time::Duration;

use stream::{Log, Offsets, Start, TopicPartition};

/// How often the log is asked, microseconds.
const EVERY_US: u64 = 1_000_000;
/// Partitions asked about at a time.
const AT_ONCE: usize = 8;
/// How long one look waits for what does not come, and how often; a transaction that is still open outlasts them.
const WAIT: Duration = Duration::from_millis(25);
const WAITS: usize = 10;

/// Ends that are waited for.
pub(super) struct Awaited {
    group: String,
    ends: BTreeMap<TopicPartition, u64>,
    /// Everything committed before these has been processed.
    passed: BTreeMap<TopicPartition, u64>,
    /// What was processed when it was last looked at: whoever moves on needs no proof.
    looked: BTreeMap<TopicPartition, u64>,
    /// When the log was asked, or began to be waited for.
    asked: Option<i64>,
}

impl Awaited {
    pub(super) fn new(group: &str) -> Self {
        Self { group: group.to_owned(), ends: BTreeMap::new(), passed: BTreeMap::new(), looked: BTreeMap::new(), asked: None }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(&self.group);
    }

    /// Waits for these ends and no others.
    pub(super) fn set(&mut self, ends: Vec<(TopicPartition, u64)>, now: i64) {
        self.ends = ends.into_iter().collect();
        if self.ends.is_empty() {
            self.looked.clear();
            self.asked = None;
        } else if self.asked.is_none() {
            self.asked = Some(now);
        }
    }

    /// Whether nothing before an end is still to come.
    pub(super) fn passed(&self, partition: &TopicPartition, end: u64) -> bool {
        self.passed.get(partition).is_some_and(|passed| *passed >= end)
    }

    /// Looks whether partitions that have not moved since the last look have anything left before their end.
    pub(super) async fn ask(&mut self, log: &dyn Log, read: &Offsets, now: i64) -> stream::Result<()> {
        // A clock that was put back has passed the moment, too.
        if self.ends.is_empty() || self.asked.is_some_and(|asked| now.abs_diff(asked) < EVERY_US) {
            return Ok(());
        }
        let mut topics: Vec<String> = self.ends.keys().map(|partition| partition.topic.to_string()).collect();
        topics.dedup();
        let committed = log.committed(&self.group, &topics).await?;
        let mut looks = 0;
        for (partition, end) in &self.ends {
            let offset = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or(0);
            let processed = offset(read).max(offset(&committed));
            let moved = self.looked.insert(partition.clone(), processed) != Some(processed);
            if processed >= *end {
                self.passed.insert(partition.clone(), *end);
            } else if !moved && looks < AT_ONCE {
                looks += 1;
                if nothing_between(log, partition, processed, *end).await? {
                    self.passed.insert(partition.clone(), *end);
                }
            }
        }
        self.asked = Some(now);
        Ok(())
    }
}

/// Whether no committed record stands from one offset to another, and none can come.
async fn nothing_between(log: &dyn Log, partition: &TopicPartition, from: u64, end: u64) -> stream::Result<bool> {
    let mut reader = log.reader(vec![(partition.clone(), Start::Offset(from))]).await?;
    let mut waits = 0;
    loop {
        let wait = if waits == 0 { Duration::ZERO } else { WAIT };
        if let Some(record) = reader.poll(1, wait).await?.first() {
            return Ok(record.offset >= end);
        }
        if reader.position().await?.get(partition).copied().unwrap_or(0) >= end {
            return Ok(true);
        }
        if waits >= WAITS {
            return Ok(false);
        }
        waits += 1;
    }
}

/// The offset after the last committed record before `end`, as far as a short look can tell; otherwise `end` itself, up to
/// where [`Awaited`] then asks.
pub(super) async fn last_record(log: &dyn Log, partition: &TopicPartition, end: u64) -> stream::Result<u64> {
    let mut waits = 0;
    let mut back = 8;
    loop {
        let start = end.saturating_sub(back);
        let mut reader = log.reader(vec![(partition.clone(), Start::Offset(start))]).await?;
        let mut last = None;
        let mut wait = Duration::ZERO;
        while reader.position().await?.get(partition).copied().unwrap_or(0) < end {
            if waits > WAITS {
                return Ok(end);
            }
            let records = reader.poll(1000, wait).await?;
            last = records.iter().map(|record| record.offset + 1).rfind(|next| *next <= end).or(last);
            waits += usize::from(records.is_empty());
            wait = WAIT;
        }
        if last.is_some() || start == 0 {
            return Ok(last.unwrap_or(0));
        }
        back = back.saturating_mul(16);
    }
}
