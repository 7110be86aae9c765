//! What a log in memory can be made to do wrong. Everything is off until asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::error::Error;
use crate::in_process::{Call, Gate, State, lock};
use crate::log::Result;

/// Breaks a [`super::MemoryLog`]. Clones break the same log.
#[derive(Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    plan: Arc<Mutex<Plan>>,
}

struct Plan {
    random: StdRng,
    refuse_next: BTreeMap<Call, u64>,
    refuse_per_mille: BTreeMap<Call, u32>,
    lose_next: BTreeMap<Call, u64>,
    lose_per_mille: BTreeMap<Call, u32>,
    repeat_next: u64,
    disconnected: bool,
    disk_full: bool,
    held: bool,
    injected: u64,
}

impl Faults {
    pub(super) fn new(state: Arc<Mutex<State>>, seed: u64) -> Self {
        let plan = Plan {
            random: StdRng::seed_from_u64(seed),
            refuse_next: BTreeMap::new(),
            refuse_per_mille: BTreeMap::new(),
            lose_next: BTreeMap::new(),
            lose_per_mille: BTreeMap::new(),
            repeat_next: 0,
            disconnected: false,
            disk_full: false,
            held: false,
            injected: 0,
        };
        Self { state, plan: Arc::new(Mutex::new(plan)) }
    }

    /// The next `times` calls of this kind fail with [`Error::Unavailable`] and have no effect.
    pub fn refuse_next(&self, call: Call, times: u64) {
        lock(&self.plan).refuse_next.insert(call, times);
    }

    /// So many of a thousand calls of this kind fail with [`Error::Unavailable`], drawn from the seed.
    pub fn refuse_sometimes(&self, call: Call, per_mille: u32) {
        lock(&self.plan).refuse_per_mille.insert(call, per_mille);
    }

    /// The next `times` calls of this kind take effect, yet the caller gets [`Error::Unavailable`]. For
    /// [`Call::Commit`], [`Call::CommitOffsets`] and [`Call::Publish`].
    pub fn lose_next_answer(&self, call: Call, times: u64) {
        lock(&self.plan).lose_next.insert(call, times);
    }

    /// So many of a thousand calls of this kind take effect, yet the caller gets [`Error::Unavailable`].
    pub fn lose_answers_sometimes(&self, call: Call, per_mille: u32) {
        lock(&self.plan).lose_per_mille.insert(call, per_mille);
    }

    /// The next `times` polls of members deliver their records twice. Outside the contract.
    pub fn repeat_next_delivery(&self, times: u64) {
        lock(&self.plan).repeat_next = times;
    }

    /// While true, every call fails with [`Error::Unavailable`].
    pub fn disconnect(&self, disconnected: bool) {
        lock(&self.plan).disconnected = disconnected;
    }

    /// While true, nothing can be committed or published.
    pub fn disk_full(&self, full: bool) {
        lock(&self.plan).disk_full = full;
    }

    /// While true, what is committed is acknowledged but not yet shown to readers and members.
    pub fn hold_visibility(&self, held: bool) {
        lock(&self.plan).held = held;
        if !held {
            let mut state = lock(&self.state);
            for pid in 0..state.partitions.len() {
                let next = state.partitions[pid].next;
                state.show(pid, next);
            }
        }
    }

    /// Every member of a group gives up all it has and is then assigned anew.
    pub fn rebalance(&self, group: &str) {
        if let Some(group) = lock(&self.state).groups.get_mut(group) {
            group.shake(false);
        }
    }

    /// Every member of a group loses all it has at once: what it is about to commit is refused.
    pub fn evict(&self, group: &str) {
        if let Some(group) = lock(&self.state).groups.get_mut(group) {
            group.shake(true);
        }
    }

    /// No producer opened so far under this transactional id commits any more.
    pub fn fence(&self, transactional_id: &str) {
        lock(&self.state).fence(transactional_id);
    }

    /// How many faults have happened so far.
    pub fn injected(&self) -> u64 {
        lock(&self.plan).injected
    }

    pub(super) fn disk_is_full(&self) -> bool {
        lock(&self.plan).disk_full
    }

    pub(super) fn visibility_held(&self) -> bool {
        lock(&self.plan).held
    }

    pub(super) fn gate(&self, call: Call) -> Result<Gate> {
        let mut plan = lock(&self.plan);
        let plan = &mut *plan;
        let refused = plan.disconnected || take(&mut plan.refuse_next, call) || drawn(&mut plan.random, &plan.refuse_per_mille, call);
        if refused {
            plan.injected += 1;
            return Err(Error::Unavailable { doing: format!("{call:?}"), reason: "an injected fault".into() });
        }
        if take(&mut plan.lose_next, call) || drawn(&mut plan.random, &plan.lose_per_mille, call) {
            plan.injected += 1;
            return Ok(Gate::LoseAnswer);
        }
        if call == Call::Poll && plan.repeat_next > 0 {
            plan.repeat_next -= 1;
            plan.injected += 1;
            return Ok(Gate::Repeat);
        }
        Ok(Gate::Pass)
    }
}

fn take(left: &mut BTreeMap<Call, u64>, call: Call) -> bool {
    match left.get_mut(&call) {
        Some(times) if *times > 0 => {
            *times -= 1;
            true
        }
        _ => false,
    }
}

fn drawn(random: &mut StdRng, per_mille: &BTreeMap<Call, u32>, call: Call) -> bool {
    per_mille.get(&call).is_some_and(|limit| random.random_range(0..1000) < *limit)
}
