//! A group of one process: who owns which partition. Facts in, assignments out.
//!
//! A partition moves in two steps, so that its old owner can finish: it is in nobody's target but still owned until
//! the owner polls and hears of it; then the new owner's next poll takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::state::{Consumed, Pid};
use crate::error::Error;
use crate::log::{Result, Sharing};

/// A member as its group sees it.
pub(crate) struct Membered {
    topics: Vec<Range<Pid>>,
    owned: BTreeSet<Pid>,
    target: BTreeSet<Pid>,
    /// Taken away without its having polled; it has yet to hear of them.
    lost: BTreeSet<Pid>,
    revocations: u64,
    bell: Arc<Notify>,
    /// None while it polls; then since when it does not.
    idle_since: Option<Instant>,
    expired: bool,
}

/// What a member has to be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Revoked(Vec<Pid>),
    Assigned(Vec<Pid>),
}

/// A group: members and committed offsets.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) committed: BTreeMap<Pid, u64>,
    /// Transactions with offsets of this group that are being stored; nothing moves meanwhile.
    pub(crate) staged: usize,
    sharing: Option<Sharing>,
    members: BTreeMap<u64, Membered>,
    owners: BTreeMap<Pid, u64>,
    /// Everybody gives everything back before anything is assigned.
    draining: bool,
}

impl Group {
    /// Adds a member; the others hear of it when they poll.
    pub(crate) fn join(
        &mut self,
        name: &str,
        number: u64,
        topics: Vec<Range<Pid>>,
        sharing: Sharing,
        bell: Arc<Notify>,
        now: Instant,
    ) -> Result<()> {
        if self.members.is_empty() {
            self.sharing = None;
        }
        if *self.sharing.get_or_insert(sharing) != sharing {
            return Err(Error::Refused {
                doing: format!("joining group {name}"),
                reason: "its members share their topics in another way".into(),
            });
        }
        let sizes: BTreeSet<usize> = topics.iter().map(ExactSizeIterator::len).collect();
        if sharing == Sharing::ByPartition && sizes.len() > 1 {
            return Err(Error::Refused {
                doing: format!("joining group {name}"),
                reason: "topics that are read together must have the same number of partitions".into(),
            });
        }
        let member = Membered {
            topics,
            owned: BTreeSet::new(),
            target: BTreeSet::new(),
            lost: BTreeSet::new(),
            revocations: 0,
            bell,
            idle_since: Some(now),
            expired: false,
        };
        self.members.insert(number, member);
        self.balance();
        Ok(())
    }

    pub(crate) fn leave(&mut self, number: u64) {
        self.members.remove(&number);
        self.owners.retain(|_, owner| *owner != number);
        self.balance();
    }

    /// Says that a member is inside `poll`, or is not any more.
    pub(crate) fn polling(&mut self, number: u64, idle_since: Option<Instant>) {
        let Some(member) = self.members.get_mut(&number) else { return };
        member.idle_since = idle_since;
        if member.expired && idle_since.is_none() {
            member.expired = false;
            self.balance();
        }
    }

    /// Takes partitions from members that have not polled for too long. Returns when to look again.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut changed = false;
        for (number, member) in &mut self.members {
            let Some(due) = member.idle_since.filter(|_| !member.expired).map(|since| since + timeout) else { continue };
            if due <= now {
                member.expired = true;
                take_all(*number, member, &mut self.owners);
                changed = true;
            } else {
                next = Some(next.map_or(due, |other| other.min(due)));
            }
        }
        if changed {
            self.balance();
        }
        next
    }

    /// Everybody loses everything and may get it again; `at_once` does not wait for polls, so commits under way fail.
    pub(crate) fn shake(&mut self, at_once: bool) {
        if at_once {
            for (number, member) in &mut self.members {
                take_all(*number, member, &mut self.owners);
            }
        }
        self.draining = !self.owners.is_empty();
        self.balance();
    }

    /// What a member has to be told next; what is told has happened.
    pub(crate) fn step(&mut self, number: u64) -> Option<Told> {
        if self.staged > 0 {
            return None;
        }
        let member = self.members.get_mut(&number)?;
        let mut gone = std::mem::take(&mut member.lost);
        let leaving: Vec<Pid> = member.owned.difference(&member.target).copied().collect();
        for pid in leaving {
            member.owned.remove(&pid);
            self.owners.remove(&pid);
            gone.insert(pid);
        }
        if !gone.is_empty() {
            member.revocations += 1;
            if self.draining && self.owners.is_empty() {
                self.draining = false;
                self.balance();
            }
            self.ring();
            return Some(Told::Revoked(gone.into_iter().collect()));
        }
        let free: Vec<Pid> = member.target.difference(&member.owned).filter(|pid| !self.owners.contains_key(pid)).copied().collect();
        if free.is_empty() {
            return None;
        }
        member.owned.extend(&free);
        self.owners.extend(free.iter().map(|pid| (*pid, number)));
        Some(Told::Assigned(free))
    }

    /// How often a member has lost partitions.
    pub(crate) fn revocations(&self, number: u64) -> u64 {
        self.members.get(&number).map_or(0, |member| member.revocations)
    }

    /// Whether a member may still commit these offsets.
    pub(crate) fn check(&self, consumed: &Consumed) -> Result<()> {
        let (number, revocations) = consumed.member;
        let sound = self.members.get(&number).is_some_and(|member| {
            member.revocations == revocations
                && member.lost.is_empty()
                && consumed.offsets.iter().all(|(pid, _)| member.owned.contains(pid))
        });
        if sound { Ok(()) } else { Err(Error::Fenced(format!("a member of group {}", consumed.group))) }
    }

    pub(crate) fn ring(&self) {
        self.members.values().for_each(|member| member.bell.notify_one());
    }

    /// Works out who should own what, as Kafka's range assignor does, members in the order in which they joined.
    fn balance(&mut self) {
        // The last owner may have left instead of giving back.
        self.draining &= !self.owners.is_empty();
        let numbers: Vec<u64> = self.members.iter().filter(|(_, member)| !member.expired).map(|(number, _)| *number).collect();
        for member in self.members.values_mut() {
            member.target.clear();
        }
        if !self.draining {
            match self.sharing.unwrap_or(Sharing::One) {
                Sharing::One => {
                    if let Some(member) = numbers.first().and_then(|number| self.members.get_mut(number)) {
                        member.target = member.topics.iter().cloned().flatten().collect();
                    }
                }
                Sharing::ByPartition => self.spread(&numbers),
            }
        }
        self.ring();
    }

    fn spread(&mut self, numbers: &[u64]) {
        let topics: BTreeMap<Pid, Range<Pid>> =
            self.members.values().flat_map(|member| &member.topics).map(|range| (range.start, range.clone())).collect();
        for range in topics.into_values() {
            let readers: Vec<u64> = numbers.iter().copied().filter(|number| self.members[number].topics.contains(&range)).collect();
            let mut next = range.start;
            for (index, number) in readers.iter().enumerate() {
                let share = range.len() / readers.len() + usize::from(index < range.len() % readers.len());
                if let Some(member) = self.members.get_mut(number) {
                    member.target.extend(next..next + share);
                }
                next += share;
            }
        }
    }
}

fn take_all(number: u64, member: &mut Membered, owners: &mut BTreeMap<Pid, u64>) {
    member.lost.append(&mut member.owned);
    owners.retain(|_, owner| *owner != number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(members: u64, sharing: Sharing) -> Group {
        let mut group = Group::default();
        for number in 0..members {
            group.join("g", number, vec![0..4, 4..8], sharing, Arc::default(), Instant::now()).expect("joins");
        }
        group
    }

    #[test]
    fn equal_partition_numbers_meet_in_one_member() {
        let mut group = group(3, Sharing::ByPartition);
        assert_eq!(group.step(0), Some(Told::Assigned(vec![0, 1, 4, 5])));
        assert_eq!(group.step(1), Some(Told::Assigned(vec![2, 6])));
        assert_eq!(group.step(2), Some(Told::Assigned(vec![3, 7])));
    }

    #[test]
    fn a_partition_moves_only_after_its_owner_has_heard() {
        let mut group = group(1, Sharing::ByPartition);
        assert_eq!(group.step(0), Some(Told::Assigned((0..8).collect())));
        group.join("g", 9, vec![0..4, 4..8], Sharing::ByPartition, Arc::default(), Instant::now()).expect("joins");
        assert_eq!(group.step(9), None);
        assert_eq!(group.step(0), Some(Told::Revoked(vec![2, 3, 6, 7])));
        assert_eq!(group.step(9), Some(Told::Assigned(vec![2, 3, 6, 7])));
    }

    #[test]
    fn one_member_has_everything_and_the_next_follows() {
        let mut group = group(2, Sharing::One);
        assert_eq!(group.step(1), None);
        assert_eq!(group.step(0), Some(Told::Assigned((0..8).collect())));
        group.leave(0);
        assert_eq!(group.step(1), Some(Told::Assigned((0..8).collect())));
    }

    #[test]
    fn owners_that_leave_while_everybody_gives_back_hold_up_nobody() {
        let mut group = group(1, Sharing::One);
        group.step(0);
        group.shake(false);
        group.leave(0);
        group.join("g", 1, vec![0..4, 4..8], Sharing::One, Arc::default(), Instant::now()).expect("joins");
        assert_eq!(group.step(1), Some(Told::Assigned((0..8).collect())));
    }

    #[test]
    fn who_does_not_poll_loses_its_partitions_and_cannot_commit() {
        let mut group = group(2, Sharing::One);
        group.step(0);
        let proof = Consumed { group: "g".into(), member: (0, group.revocations(0)), offsets: vec![(0, 5)] };
        assert!(group.check(&proof).is_ok());
        group.polling(1, None);
        group.expire(Instant::now() + Duration::from_secs(10), Duration::from_secs(9));
        assert!(group.check(&proof).is_err());
        assert_eq!(group.step(1), Some(Told::Assigned((0..8).collect())));
        group.polling(0, None);
        assert_eq!(group.step(0), Some(Told::Revoked((0..8).collect())));
    }
}
