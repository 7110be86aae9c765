//! What can happen next, and what becomes of it.

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Side};
use reconcile::merge::{self, Choice};

use super::{Node, normal};
use crate::stories;
use crate::world::SECOND;

/// What the small world may do besides working.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) edits: u8,
    /// Changes and decisions that come again.
    pub(crate) repeats: u8,
    /// Records read although the streams and sinks are still busy.
    pub(crate) timeouts: u8,
    pub(crate) lost_answers: u8,
    pub(crate) deletes: u8,
    /// Sinks killed between any two steps.
    pub(crate) kills: u8,
    /// Undos, restores and conflicts opened again.
    pub(crate) takebacks: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Of a field, by its place in the list.
    Edit(Side, u8),
    Delete(Side),
    Deliver(Side),
    Repeat(Side),
    Check(Side),
    Execute(Side, Lost),
    Answer(Side),
    Decide(Chosen),
    DecideAgain,
    Undo(u8),
    Restore(u8, Side),
    Reopen(u8),
    ReadAgain(Side),
    /// With so many answers that were not committed.
    Kill(Side, u8),
}

/// Whether the answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    Crm,
    Erp,
    Another,
    Both,
}

/// Decisions that may wait for a write at the same time.
const WAITING: usize = 2;

/// Numbers of the small world fit.
fn small<T: TryInto<u8>>(number: T) -> u8 {
    number.try_into().unwrap_or(u8::MAX)
}

pub(super) fn steps(node: &Node, fields: &[&'static str]) -> Vec<Step> {
    let (world, budget) = (&node.world, &node.budget);
    let mut steps = Vec::new();
    for side in Side::BOTH {
        let system = &world.systems[side];
        if !system.stream.is_empty() {
            steps.push(Step::Deliver(side));
        }
        if budget.repeats > 0 && system.last.is_some() {
            steps.push(Step::Repeat(side));
        }
        if !system.commands.is_empty() {
            if system.manner.racy && !system.checked {
                steps.push(Step::Check(side));
            } else {
                steps.push(Step::Execute(side, Lost::No));
                if budget.lost_answers > 0 {
                    steps.push(Step::Execute(side, Lost::Yes));
                }
            }
        }
        if !system.answers.is_empty() {
            steps.push(Step::Answer(side));
        }
        if budget.kills > 0 {
            let least = usize::from(!system.checked);
            steps.extend((least..=system.answers.len()).map(|lost| Step::Kill(side, small(lost))));
        }
        if system.record.is_some() {
            if budget.edits > 0 {
                steps.extend((0..fields.len()).map(|field| Step::Edit(side, small(field))));
            }
            if budget.deletes > 0 {
                steps.push(Step::Delete(side));
            }
        }
    }
    if let Some(conflict) = world.state.conflicts.values().next().filter(|_| world.state.queued.len() < WAITING) {
        steps.extend([Step::Decide(Chosen::Crm), Step::Decide(Chosen::Erp)]);
        // Whether a record stays is not decided by a value; that is refused, and `refused` looks at it.
        if conflict.field != merge::RECORD {
            steps.extend([Step::Decide(Chosen::Another), Step::Decide(Chosen::Both)]);
        }
    }
    if budget.repeats > 0 && world.verdict.is_some() {
        steps.push(Step::DecideAgain);
    }
    if budget.takebacks > 0 {
        steps.extend((0..world.state.next_write).map(|number| Step::Undo(small(number))));
        for record in world.conflicts.values().filter(|record| record.settled.is_some()) {
            let number = small(record.number.0);
            steps.extend(Side::BOTH.map(|side| Step::Restore(number, side)));
            steps.push(Step::Reopen(number));
        }
    }
    if steps.is_empty() || world.quiet() || budget.timeouts > 0 {
        for (side, _) in merge::unconfirmed(&world.state, i64::MAX) {
            // A read waits behind the writes to its record.
            if world.systems[side].commands.is_empty() {
                steps.push(Step::ReadAgain(side));
            }
        }
    }
    steps
}

pub(super) fn take(mapping: &EntityMapping, fields: &[&'static str], node: &Node, step: Step) -> Node {
    let mut next = node.clone();
    let (world, budget) = (&mut next.world, &mut next.budget);
    match step {
        Step::Edit(side, field) => {
            // Every other edit is too close to the one before to be ordered.
            world.tick(if budget.edits.is_multiple_of(2) { SECOND } else { 10 * SECOND });
            let field = fields[usize::from(field)];
            world.edit(side, &[(field, Value::text(format!("{field}{}", 10 - budget.edits)))]);
            budget.edits -= 1;
        }
        Step::Delete(side) => {
            world.tick(10 * SECOND);
            world.delete(side);
            budget.deletes -= 1;
        }
        Step::Deliver(side) => world.deliver(mapping, side),
        Step::Repeat(side) => {
            world.repeat(mapping, side);
            budget.repeats -= 1;
        }
        Step::Check(side) => world.check(side),
        Step::Execute(side, lost) => {
            world.execute(side, lost == Lost::Yes);
            budget.lost_answers -= u8::from(lost == Lost::Yes);
        }
        Step::Answer(side) => world.answer_of(mapping, side),
        Step::Decide(chosen) => {
            let choice = match chosen {
                Chosen::Crm => Choice::Side(Side::Crm),
                Chosen::Erp => Choice::Side(Side::Erp),
                Chosen::Another => Choice::Value(Value::text("chosen")),
                Chosen::Both => Choice::Both,
            };
            world.decide(mapping, choice);
        }
        Step::DecideAgain => {
            world.decide_again(mapping);
            budget.repeats -= 1;
        }
        Step::Undo(_) | Step::Restore(..) | Step::Reopen(_) => {
            let demand = match step {
                Step::Undo(number) => stories::undo(world, number.into()),
                Step::Restore(number, side) => stories::restore(world, number.into(), Choice::Side(side)),
                Step::Reopen(number) => stories::reopen(world, number.into()),
                _ => return next,
            };
            stories::ask(world, mapping, demand, false);
            budget.takebacks -= 1;
        }
        Step::Kill(side, lost) => {
            world.kill(side, lost.into());
            budget.kills -= 1;
        }
        Step::ReadAgain(side) => {
            budget.timeouts -= u8::from(!world.quiet());
            world.read_owed(side);
        }
    }
    normal::forget(&mut next.world, next.budget);
    if !next.world.past.is(&node.world.past) || !next.world.conflicts.is(&node.world.conflicts) {
        next.facts = Node::facts(&next.world);
    }
    next
}
