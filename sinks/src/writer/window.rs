//! The writes in hand: which may be tried now, and which offsets are finished. Decides only; no I/O, no clock.

use std::collections::{BTreeMap, HashSet};

use schemas::message::Lane;
use stream::{Offsets, TopicPartition};

use super::job::Job;

/// A write's place in the window; grows with arrival.
pub(crate) type JobId = u64;

enum State {
    /// May be tried from this time on.
    Waiting { due: i64 },
    /// Handed to the target.
    Trying,
    /// Answered; kept until everything before it in its partition is.
    Settled,
}

struct Entry {
    /// None for a record that never was a write, and once answered.
    job: Option<Job>,
    partition: TopicPartition,
    offset: u64,
    state: State,
    deferred: bool,
    trouble: Option<(Option<String>, Option<String>)>,
}

pub(crate) struct Window {
    entries: BTreeMap<JobId, Entry>,
    /// The offset after the newest record read, by partition.
    read: Offsets,
    next: JobId,
    most: usize,
    unanswered: usize,
}

impl Window {
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: BTreeMap::new(), read: Offsets::new(), next: 0, most: most.max(1), unanswered: 0 }
    }

    /// How many more may be read.
    pub(crate) fn room(&self) -> usize {
        self.most.saturating_sub(self.entries.len())
    }

    /// Writes without an answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Whether a record has not been read before by this membership.
    pub(crate) fn is_new(&self, partition: &TopicPartition, offset: u64) -> bool {
        self.read.get(partition).is_none_or(|next| offset >= *next)
    }

    /// A write has been read.
    pub(crate) fn push(&mut self, job: Job) {
        let (partition, offset) = (job.partition.clone(), job.offset);
        self.unanswered += 1;
        self.insert(Entry { job: Some(job), partition, offset, state: State::Waiting { due: i64::MIN }, deferred: false, trouble: None });
    }

    /// A record has been read that needs no answer.
    pub(crate) fn pass(&mut self, partition: TopicPartition, offset: u64) {
        self.insert(Entry { job: None, partition, offset, state: State::Settled, deferred: false, trouble: None });
    }

    fn insert(&mut self, entry: Entry) {
        self.read.insert(entry.partition.clone(), entry.offset + 1);
        self.entries.insert(self.next, entry);
        self.next += 1;
    }

    /// Forgets partitions that are another member's now.
    pub(crate) fn revoke(&mut self, partitions: &[TopicPartition]) {
        self.entries.retain(|_, entry| !partitions.contains(&entry.partition));
        self.read.retain(|partition, _| !partitions.contains(partition));
        self.unanswered = self.entries.values().filter(|entry| entry.job.is_some()).count();
    }

    /// Takes up to `most` writes that may be tried: the first of each entity and record, decisions before live changes
    /// before backfill, then in order of arrival.
    pub(crate) fn take(&mut self, now: i64, most: usize) -> Vec<(JobId, Job)> {
        let mut busy: HashSet<(&str, &str)> = HashSet::new();
        let mut found: Vec<(u8, JobId)> = Vec::new();
        for (id, entry) in &self.entries {
            let Some(job) = &entry.job else { continue };
            let mut first = busy.insert(("", &job.write.entity));
            if let Some(record) = &job.write.record {
                first &= busy.insert((&job.write.object, record));
            }
            if first && matches!(entry.state, State::Waiting { due } if due <= now) {
                found.push((urgency(job.write.lane), *id));
            }
        }
        found.sort_unstable();
        found.truncate(most);
        let mut taken = Vec::with_capacity(found.len());
        for (_, id) in found {
            if let Some(entry) = self.entries.get_mut(&id)
                && let Some(job) = &entry.job
            {
                entry.state = State::Trying;
                taken.push((id, job.clone()));
            }
        }
        taken
    }

    /// How many writes could be tried now, at most.
    pub(crate) fn waiting(&self, now: i64) -> usize {
        self.entries.values().filter(|entry| matches!(entry.state, State::Waiting { due } if due <= now)).count()
    }

    /// When the next waiting write may be tried; not before `now`.
    pub(crate) fn next_due(&self, now: i64) -> Option<i64> {
        self.entries.values().filter_map(|entry| if let State::Waiting { due } = entry.state { Some(due.max(now)) } else { None }).min()
    }

    /// A write has its answer. False when its partition has been taken away.
    pub(crate) fn settle(&mut self, id: JobId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        if entry.job.take().is_some() {
            self.unanswered -= 1;
        }
        entry.state = State::Settled;
        true
    }

    /// A write must be tried again, not before `due`.
    pub(crate) fn later(&mut self, id: JobId, due: i64, attempts: i64, code: Option<String>, reason: Option<String>) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.state = State::Waiting { due };
            if code.is_some() || reason.is_some() {
                entry.trouble = Some((code, reason));
            }
            if let Some(job) = &mut entry.job {
                job.attempts = attempts;
            }
        }
    }

    /// Writes that have been in hand for longer than `longest` and were not yet told of, with their last trouble.
    pub(crate) fn overdue(&mut self, now: i64, longest: i64) -> Vec<(Job, Option<String>, Option<String>)> {
        let mut found = Vec::new();
        for entry in self.entries.values_mut() {
            if let Some(job) = &entry.job
                && !entry.deferred
                && now.saturating_sub(job.read_at) >= longest
            {
                entry.deferred = true;
                let (code, reason) = entry.trouble.clone().unwrap_or_default();
                found.push((job.clone(), code, reason));
            }
        }
        found
    }

    /// Removes what is answered without a gap from the front of each partition, and returns the offsets to commit.
    pub(crate) fn finished(&mut self) -> Offsets {
        let mut offsets = Offsets::new();
        let mut stuck: HashSet<TopicPartition> = HashSet::new();
        let mut done = Vec::new();
        for (id, entry) in &self.entries {
            if stuck.contains(&entry.partition) {
                continue;
            }
            if matches!(entry.state, State::Settled) || planted::on(planted::Bug::SkipUnanswered) {
                offsets.insert(entry.partition.clone(), entry.offset + 1);
                done.push(*id);
            } else {
                stuck.insert(entry.partition.clone());
            }
        }
        for id in done {
            self.entries.remove(&id);
        }
        offsets
    }
}

const fn urgency(lane: Lane) -> u8 {
    match lane {
        Lane::Decision => 0,
        Lane::Live => 1,
        Lane::Backfill => 2,
    }
}

#[cfg(test)]
mod tests {
    use schemas::message::{Side, Write, WriteOp};

    use super::*;

    fn write(id: &str, entity: &str, lane: Lane) -> Write {
        Write {
            id: id.to_owned(),
            entity: entity.to_owned(),
            kind: "customer".to_owned(),
            side: Side::Erp,
            object: "public.customers".to_owned(),
            record: Some(entity.to_owned()),
            op: WriteOp::Update,
            values: Vec::new(),
            expected: Vec::new(),
            id_column: None,
            write_column: None,
            rows: Vec::new(),
            lane,
            reason: String::new(),
            caused_at: 0,
            actor: None,
            conflict: None,
            mapping_version: 1,
        }
    }

    fn window(writes: &[(&str, &str, Lane)]) -> Window {
        let mut window = Window::new(100);
        for (offset, (id, entity, lane)) in writes.iter().enumerate() {
            window.push(Job::of(write(id, entity, *lane), offset as u64));
        }
        window
    }

    fn names(taken: &[(JobId, Job)]) -> Vec<&str> {
        taken.iter().map(|(_, job)| job.write.id.as_str()).collect()
    }

    fn offset(window: &mut Window) -> Option<u64> {
        window.finished().into_values().next()
    }

    #[test]
    fn decisions_go_first_and_backfill_last() {
        let mut window = window(&[("1", "a", Lane::Backfill), ("2", "b", Lane::Live), ("3", "c", Lane::Decision), ("4", "d", Lane::Live)]);
        assert_eq!(names(&window.take(0, 3)), ["3", "2", "4"]);
        assert_eq!(names(&window.take(0, 3)), ["1"]);
    }

    #[test]
    fn the_second_write_of_an_entity_waits_for_the_first_whatever_its_lane() {
        let mut window = window(&[("1", "a", Lane::Live), ("2", "a", Lane::Decision), ("3", "b", Lane::Live)]);
        let taken = window.take(0, 9);
        assert_eq!(names(&taken), ["1", "3"]);
        window.later(taken[0].0, 50, 1, None, None);
        assert!(window.take(49, 9).is_empty());
        let again = window.take(50, 9);
        assert_eq!(names(&again), ["1"]);
        assert_eq!(again[0].1.attempts, 1);
        assert!(window.settle(again[0].0));
        assert_eq!(names(&window.take(50, 9)), ["2"]);
    }

    #[test]
    fn offsets_are_committed_only_up_to_the_first_unanswered_write() {
        let mut window = window(&[("1", "a", Lane::Live), ("2", "b", Lane::Live), ("3", "c", Lane::Live)]);
        let ids: Vec<JobId> = window.take(0, 9).into_iter().map(|(id, _)| id).collect();
        window.settle(ids[1]);
        assert_eq!(offset(&mut window), None);
        window.settle(ids[0]);
        assert_eq!(offset(&mut window), Some(2));
        assert_eq!(offset(&mut window), None);
        window.settle(ids[2]);
        assert_eq!((offset(&mut window), window.room(), window.unanswered()), (Some(3), 100, 0));
    }

    #[test]
    fn a_record_that_is_no_write_only_moves_the_offset() {
        let mut window = Window::new(10);
        window.pass(TopicPartition::new("writes", 0), 7);
        assert_eq!(offset(&mut window), Some(8));
    }

    #[test]
    fn a_record_delivered_again_is_known_until_its_partition_is_revoked() {
        let mut window = window(&[("1", "a", Lane::Live)]);
        let partition = TopicPartition::new("writes", 0);
        assert!(!window.is_new(&partition, 0) && window.is_new(&partition, 1));
        window.revoke(std::slice::from_ref(&partition));
        assert!(window.is_new(&partition, 0));
    }

    #[test]
    fn what_is_revoked_is_forgotten_even_while_it_is_being_tried() {
        let mut window = window(&[("1", "a", Lane::Live)]);
        let taken = window.take(0, 9);
        window.revoke(&[TopicPartition::new("writes", 0)]);
        assert!(!window.settle(taken[0].0));
        assert_eq!((offset(&mut window), window.unanswered()), (None, 0));
    }

    #[test]
    fn a_write_that_waits_long_is_reported_once() {
        let mut window = window(&[("1", "a", Lane::Live)]);
        assert!(window.overdue(9, 10).is_empty());
        assert_eq!(window.overdue(10, 10).len(), 1);
        assert!(window.overdue(11, 10).is_empty());
    }
}
