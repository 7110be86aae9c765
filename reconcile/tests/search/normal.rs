//! What of a state can still matter. Of states that differ in nothing else, one is visited for all.
//!
//! - The past counts by its facts, which say why.
//! - What was confirmed and answered is looked at only where something is taken back; the change and the decision that came
//!   last, only where they may come again; the ids of earlier decisions, only if those may, and no other is given the same id.
//! - What a target remembers of a write matters while the sink may try that write again.
//! - An answer to a write that has ended is passed over by the core, whatever happens before it comes. It is taken off at
//!   once, unless a kill may bring its write back. Nothing else depends on when it comes, so no order is missed.
//! - The sinks' commits are no steps. One has no effect but on what a kill undoes, so a kill takes along any number of the last
//!   answers that nobody has heard yet: those after some commit.

use reconcile::merge::{Event, WriteCommand};

use super::Node;
use super::step::Budget;
use crate::world::{Mixer, System, World};

/// Takes off what cannot matter any more.
pub(super) fn forget(world: &mut World, budget: Budget) {
    if budget.takebacks == 0 {
        world.confirmed.clear();
        world.replies.clear();
        let remembered = usize::from(budget.repeats > 0);
        if world.state.decided.len() > remembered {
            let surplus = world.state.decided.len() - remembered;
            world.state.decided.drain(..surplus);
        }
    }
    if budget.repeats == 0 {
        world.verdict = None;
    }
    let World { state, systems, .. } = world;
    let ended = |event: &Event| matches!(event, Event::Answered { write, .. } if write.0 < state.next_write && !state.writes.contains_key(&write.0));
    for system in [&mut systems.crm, &mut systems.erp] {
        if budget.repeats == 0 && system.last.is_some() {
            system.last = None;
        }
        if !system.manner.racy && (system.bears.is_some() || system.by_us) {
            (system.bears, system.by_us) = (None, false);
        }
        if budget.kills == 0 && system.answers.iter().any(|(command, event)| command.is_some() || ended(event)) {
            system.answers.retain(|(_, event)| !ended(event));
            system.answers.iter_mut().for_each(|(command, _)| *command = None);
        }
        if system.ledger.keys().any(|number| !pending(system, *number)) {
            let kept = system.ledger.iter().filter(|(number, _)| pending(system, **number));
            let kept = kept.map(|(number, entry)| (*number, entry.clone())).collect();
            system.ledger = kept;
        }
    }
}

/// The sink may try this write again.
fn pending(system: &System, number: u64) -> bool {
    let is = |command: &WriteCommand| command.number.0 == number;
    system.commands.iter().any(is) || system.answers.iter().any(|(command, _)| command.as_ref().is_some_and(is))
}

/// Two states with one key are the same for whatever may happen.
pub(super) fn key(node: &Node, loops: bool) -> u128 {
    let Node { world, budget, facts } = node;
    let parts = [world.state.key(), world.systems.crm.key(), world.systems.erp.key(), world.shown.key(), facts.1];
    let taken_back = (budget.takebacks > 0).then(|| (&world.confirmed, &world.replies, world.conflicts.key(), world.past.key()));
    let written = loops.then(|| world.past.key());
    Mixer::of(&(parts, budget, world.clock, &world.verdict, taken_back, written))
}
