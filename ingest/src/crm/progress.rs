//! How far a source has come, and what it must not let roll back. Pure; it is the JSON of the checkpoint's `resume`.
//!
//! Reading a record by REST gives its present state, which may be ahead of the stream. Until the stream has come as
//! far, its events about that record must not put older values in place again:
//!
//! ```text
//!  stream time ──────┬──────────────────────┬────────────▶
//!     events before  │ covered … until      │ after
//!     a scan began   │ while it was reading │
//!     hold nothing   │ ask for the record   │ apply
//!     new: dropped   │ again                │
//! ```
//!
//! A *window* says so for every record of an object that was scanned; a *floor* for one record that was read again:
//! older events are dropped, an equal time (the clock has whole seconds) is settled by reading once more.
//! All times are the source's own, so no clock of ours matters.

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::Checkpoint;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::ids::ReplayId;

/// Rows may become visible after their time stamp: a long transaction commits what it stamped minutes before.
pub(crate) const OVERLAP_MS: i64 = 600_000;
/// Floors and windows are kept until the stream is past them by this.
const MARGIN_MS: i64 = 60_000;
/// More floors than this become a window of their object.
const MAX_FLOORS: usize = 2_000;

/// Which records a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    /// Every record.
    All,
    /// What changed since a time, deleted records too.
    Changed,
    /// What was deleted since a time.
    Deleted,
}

/// A walk over an object's records in the order of their ids, page by page, that goes on where it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scan {
    pub(crate) object: String,
    pub(crate) which: Which,
    /// Milliseconds.
    pub(crate) since: i64,
    /// The last id read; empty at the beginning.
    pub(crate) after: String,
    /// The newest time stamp of the object when the scan began, in milliseconds.
    pub(crate) covered: i64,
    /// The newest time stamp read, in milliseconds.
    pub(crate) newest: i64,
}

/// What an object's finished scan covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    covered: i64,
    until: i64,
}

/// What an event is worth, seen what has been read by REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Newer than anything read.
    Apply,
    /// What was read already has it.
    Covered,
    /// Cannot be told: read the record again.
    Reread,
}

/// What the source needs to go on, beside its position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Resume {
    /// The org that the position is of.
    #[serde(skip_serializing_if = "String::is_empty")]
    org: String,
    /// The stored position was refused: begin at the oldest event kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    earliest: bool,
    /// Read again what changed since then, once the stream is open. Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scans: Vec<Scan>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    windows: BTreeMap<String, Window>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    floors: BTreeMap<String, BTreeMap<String, i64>>,
}

/// How far a source has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    name: String,
    pub(crate) position: ReplayId,
    pub(crate) copied: BTreeSet<String>,
    /// Commit time of the newest event covered, in milliseconds.
    pub(crate) committed_ms: i64,
    resume: Resume,
}

impl Progress {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), position: ReplayId::default(), copied: BTreeSet::new(), committed_ms: 0, resume: Resume::default() }
    }

    pub(crate) fn parse(checkpoint: Checkpoint) -> Result<Self> {
        let wrong = |reason: String| Error::ReadCheckpoint { name: checkpoint.source.clone(), reason };
        let resume = match checkpoint.resume.as_str() {
            "" => Resume::default(),
            text => serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?,
        };
        let position = ReplayId::parse(&checkpoint.position).map_err(|_| wrong(format!("{:?} is not a replay id", checkpoint.position)))?;
        Ok(Self {
            position,
            copied: checkpoint.copied.into_iter().collect(),
            committed_ms: checkpoint.committed_at / 1000,
            resume,
            name: checkpoint.source,
        })
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let resume = if self.resume == Resume::default() { String::new() } else { serde_json::to_string(&self.resume).unwrap_or_default() };
        Checkpoint {
            source: self.name.clone(),
            position: self.position.hex(),
            ordinal: 0,
            copied: self.copied.iter().cloned().collect(),
            resume,
            committed_at: self.committed_ms.saturating_mul(1000),
        }
    }

    /// Says which org is read. Positions of one org mean nothing to another, or worse, something else.
    pub(crate) fn read_from(&mut self, org: &str) -> Result<()> {
        let same = |id: &str| id.get(..15).unwrap_or(id).to_owned();
        if !self.resume.org.is_empty() && same(&self.resume.org) != same(org) {
            return Err(Error::OtherOrg { name: self.name.clone(), known: self.resume.org.clone(), found: org.to_owned() });
        }
        if self.resume.org.is_empty() {
            org.clone_into(&mut self.resume.org);
        }
        Ok(())
    }

    /// Whether the stream begins at its oldest event because the position was refused.
    pub(crate) fn is_at_earliest(&self) -> bool {
        self.resume.earliest
    }

    /// The stream has been read to here.
    pub(crate) fn reached(&mut self, position: ReplayId, commit_ms: Option<i64>) {
        if !position.is_none() {
            self.position = position;
            self.resume.earliest = false;
            self.resume.catch_up = None;
        }
        if let Some(commit_ms) = commit_ms {
            self.committed_ms = self.committed_ms.max(commit_ms);
            self.tidy(commit_ms);
        }
    }

    /// The position is refused: forget it, and read again what changed since the newest event covered.
    pub(crate) fn lose_position(&mut self) {
        self.position = ReplayId::default();
        self.resume.earliest = true;
        self.catch_up_from(self.committed_ms);
    }

    /// Read again what changed since a time, with overlap, once the stream is open.
    pub(crate) fn catch_up_from(&mut self, ms: i64) {
        let since = ms.saturating_sub(OVERLAP_MS);
        self.resume.catch_up = Some(self.resume.catch_up.map_or(since, |earlier| earlier.min(since)));
    }

    /// Since when changes have to be read again, if they have to. Without a position this stays until there is one:
    /// each opening of the stream begins at another place, and may have left something out.
    pub(crate) fn catch_up(&self) -> Option<i64> {
        self.resume.catch_up
    }

    /// The scans that catch up are planned, and the stream begins before them whenever it is opened.
    pub(crate) fn caught_up(&mut self) {
        self.resume.catch_up = None;
    }

    /// Plans a scan; an unfinished one of the same kind begins anew, and still reaches as far back.
    pub(crate) fn plan(&mut self, mut scan: Scan) {
        let same = |planned: &Scan| planned.object == scan.object && planned.which == scan.which;
        if let Some(place) = self.resume.scans.iter().position(same) {
            scan.since = scan.since.min(self.resume.scans.remove(place).since);
        }
        self.resume.scans.push(scan);
    }

    /// The scan to go on with.
    pub(crate) fn scan(&self) -> Option<&Scan> {
        self.resume.scans.first()
    }

    /// Whether an object has a scan of this kind before it.
    pub(crate) fn plans(&self, object: &str, which: Which) -> bool {
        self.resume.scans.iter().any(|scan| scan.object == object && scan.which == which)
    }

    /// A page of the first scan has been read, up to and including this id.
    pub(crate) fn scanned(&mut self, after: String, newest: i64) {
        if let Some(scan) = self.resume.scans.first_mut() {
            scan.after = after;
            scan.newest = scan.newest.max(newest);
        }
    }

    /// The first scan is finished.
    pub(crate) fn finish_scan(&mut self) {
        if self.resume.scans.is_empty() {
            return;
        }
        let scan = self.resume.scans.remove(0);
        let until = scan.newest.max(scan.covered);
        let window = self.resume.windows.entry(scan.object.clone()).or_insert(Window { covered: i64::MIN, until });
        window.until = window.until.max(until);
        // Only a scan that shows changes and deletions of a time covers the events of that time.
        if scan.which != Which::Deleted {
            window.covered = window.covered.max(scan.covered.saturating_sub(OVERLAP_MS));
        }
        if scan.which == Which::All {
            self.copied.insert(scan.object);
        }
    }

    /// Forgets objects that are no longer followed.
    pub(crate) fn follow_only(&mut self, objects: &BTreeSet<String>) {
        self.copied.retain(|object| objects.contains(object));
        self.resume.scans.retain(|scan| objects.contains(&scan.object));
        self.resume.windows.retain(|object, _| objects.contains(object));
        self.resume.floors.retain(|object, _| objects.contains(object));
    }

    /// A record was read by REST, in the state of this time.
    pub(crate) fn was_read(&mut self, object: &str, id: &str, modified_ms: i64) {
        self.resume.floors.entry(object.to_owned()).or_default().insert(id.to_owned(), modified_ms);
        if self.resume.floors.values().map(BTreeMap::len).sum::<usize>() > MAX_FLOORS {
            for (object, floors) in std::mem::take(&mut self.resume.floors) {
                let until = floors.values().copied().max().unwrap_or(i64::MIN);
                let window = self.resume.windows.entry(object).or_insert(Window { covered: i64::MIN, until });
                window.until = window.until.max(until);
            }
        }
    }

    /// What an event about a record is worth. `modified_ms` is its LastModifiedDate where it carries one.
    pub(crate) fn judge(&self, object: &str, id: &str, commit_ms: i64, modified_ms: Option<i64>, deletes: bool) -> Verdict {
        let at = modified_ms.unwrap_or(commit_ms);
        if let Some(floor) = self.resume.floors.get(object).and_then(|floors| floors.get(id)) {
            return match at.cmp(floor) {
                std::cmp::Ordering::Less => Verdict::Covered,
                std::cmp::Ordering::Equal => Verdict::Reread,
                std::cmp::Ordering::Greater => Verdict::Apply,
            };
        }
        match self.resume.windows.get(object) {
            // Records that have left the recycle bin are seen by no scan.
            Some(window) if commit_ms <= window.covered && !deletes => Verdict::Covered,
            Some(window) if at <= window.until => Verdict::Reread,
            _ => Verdict::Apply,
        }
    }

    fn tidy(&mut self, commit_ms: i64) {
        let passed = commit_ms.saturating_sub(MARGIN_MS);
        self.resume.windows.retain(|_, window| window.until >= passed);
        self.resume.floors.retain(|_, floors| {
            floors.retain(|_, floor| *floor >= passed);
            !floors.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn scan(which: Which, covered: i64, newest: i64) -> Scan {
        Scan { object: "Account".into(), which, since: 0, after: String::new(), covered, newest }
    }

    fn progress() -> Progress {
        Progress::new("crm")
    }

    #[test]
    fn events_older_than_a_reread_record_do_not_roll_it_back() {
        let mut progress = progress();
        progress.was_read("Account", "001", NOW);
        let judge = |at| progress.judge("Account", "001", at, Some(at), false);
        assert_eq!(judge(NOW - 1000), Verdict::Covered);
        assert_eq!(judge(NOW), Verdict::Reread);
        assert_eq!(judge(NOW + 1000), Verdict::Apply);
        assert_eq!(progress.judge("Account", "002", NOW - 1000, None, false), Verdict::Apply);
        assert_eq!(progress.judge("Contact", "001", NOW - 1000, None, false), Verdict::Apply);
    }

    #[test]
    fn events_during_a_scan_are_read_again_and_those_before_it_are_covered() {
        let mut progress = progress();
        progress.plan(scan(Which::All, NOW, NOW + 5_000));
        progress.finish_scan();
        let judge = |at, deletes| progress.judge("Account", "001", at, None, deletes);
        assert_eq!(judge(NOW - OVERLAP_MS, false), Verdict::Covered);
        assert_eq!(judge(NOW - OVERLAP_MS, true), Verdict::Reread);
        assert_eq!(judge(NOW - OVERLAP_MS + 1, false), Verdict::Reread);
        assert_eq!(judge(NOW + 5_000, false), Verdict::Reread);
        assert_eq!(judge(NOW + 6_000, false), Verdict::Apply);
        assert!(progress.copied.contains("Account"));
    }

    #[test]
    fn a_late_commit_of_an_early_stamp_is_not_dropped() {
        let mut progress = progress();
        progress.plan(scan(Which::All, NOW, NOW));
        progress.finish_scan();
        assert_eq!(progress.judge("Account", "001", NOW + 1000, Some(NOW - OVERLAP_MS - 1), false), Verdict::Reread);
    }

    #[test]
    fn a_checkpoint_gives_back_everything() {
        let mut progress = progress();
        progress.plan(scan(Which::Changed, NOW, NOW));
        progress.plan(scan(Which::Deleted, NOW, NOW));
        progress.scanned("001x".into(), NOW + 1);
        progress.was_read("Contact", "003", NOW);
        progress.catch_up_from(NOW);
        progress.reached(ReplayId::new([1, 2]), Some(NOW));
        progress.lose_position();
        assert_eq!(Progress::parse(progress.checkpoint()).ok(), Some(progress));
    }

    #[test]
    fn a_quiet_source_has_an_empty_resume() {
        let mut progress = progress();
        progress.was_read("Contact", "003", NOW);
        progress.reached(ReplayId::new([1]), Some(NOW + MARGIN_MS + 1));
        assert_eq!(progress.checkpoint().resume, "");
        assert_eq!(progress.checkpoint().committed_at, (NOW + MARGIN_MS + 1) * 1000);
    }

    #[test]
    fn a_checkpoint_of_another_org_is_refused() {
        let mut progress = progress();
        assert!(progress.read_from("00DQy0000000001MAA").is_ok());
        assert!(progress.read_from("00DQy0000000001").is_ok());
        assert!(matches!(progress.read_from("00DQy0000000002MAA"), Err(Error::OtherOrg { .. })));
    }

    #[test]
    fn many_floors_become_a_window() {
        let mut progress = progress();
        for number in 0..=MAX_FLOORS {
            progress.was_read("Account", &number.to_string(), NOW);
        }
        assert!(progress.checkpoint().resume.len() < 200);
        assert_eq!(progress.judge("Account", "any", NOW, None, false), Verdict::Reread);
    }

    #[test]
    fn losing_the_position_keeps_the_earliest_time_to_catch_up_from() {
        let mut progress = progress();
        progress.reached(ReplayId::new([1]), Some(NOW));
        progress.lose_position();
        progress.catch_up_from(NOW + 5);
        assert_eq!(progress.catch_up(), Some(NOW - OVERLAP_MS));
        assert!(progress.is_at_earliest() && progress.position.is_none());
        progress.reached(ReplayId::new([2]), None);
        assert!(!progress.is_at_earliest());
    }
}
