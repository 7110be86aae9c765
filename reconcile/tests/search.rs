//! Every interleaving of a small world, breadth first.
//!
//! Bounds: one to three edits with the faults that each test names, a value of its own for every edit, and
//!
//! - a decision waits behind at most one other: more of them in a row are only a longer queue, and without end;
//! - a decision that is refused is no step: it would give a state with one more answer each time. Instead each state that can
//!   refuse one is looked at, and nothing but the answer may come of it;
//! - what was confirmed and answered is forgotten after each step, where nothing is taken back any more: no step depends on it,
//!   and no audit looks at it.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::Write as _;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, EntityMapping, Pair, Policy, Side};
use reconcile::merge::{self, Choice, DecisionResult};

use crate::auditor;
use crate::reference;
use crate::stories;
use crate::world::{self, Manner, SECOND, World};

/// What the small world may do besides working.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) edits: u8,
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

#[derive(Debug, Clone)]
enum Step {
    Edit(Side, &'static str, Value),
    Delete(Side),
    Deliver(Side),
    Repeat(Side),
    Check(Side),
    Execute(Side, bool),
    Answer,
    Decide(Choice),
    Undo(u64),
    Restore(u64, Side),
    Reopen(u64),
    ReadAgain(Side),
    Commit(Side),
    Kill(Side),
}

#[derive(Clone, Hash, PartialEq, Eq)]
struct Node {
    world: World,
    budget: Budget,
}

const STATES: usize = 3_000_000;
/// Decisions that may wait for a write at the same time.
const WAITING: usize = 2;

fn steps(node: &Node, fields: &[&'static str]) -> Vec<Step> {
    let world = &node.world;
    let mut steps = Vec::new();
    for side in Side::BOTH {
        let system = &world.systems[side];
        if !system.stream.is_empty() {
            steps.push(Step::Deliver(side));
        }
        if node.budget.repeats > 0 && system.last.is_some() {
            steps.push(Step::Repeat(side));
        }
        if !system.commands.is_empty() {
            if system.manner.racy && !system.checked {
                steps.push(Step::Check(side));
            } else {
                steps.push(Step::Execute(side, false));
                if node.budget.lost_answers > 0 {
                    steps.push(Step::Execute(side, true));
                }
            }
        }
        if !system.uncommitted.is_empty() {
            steps.push(Step::Commit(side));
        }
        if node.budget.kills > 0 && (system.checked || !system.uncommitted.is_empty()) {
            steps.push(Step::Kill(side));
        }
        if system.record.is_some() {
            if node.budget.edits > 0 {
                for field in fields {
                    let value = Value::text(format!("{field}{}", 10 - node.budget.edits));
                    steps.push(Step::Edit(side, field, value));
                }
            }
            if node.budget.deletes > 0 {
                steps.push(Step::Delete(side));
            }
        }
    }
    if !world.answers.is_empty() {
        steps.push(Step::Answer);
    }
    if let Some(conflict) = world.state.conflicts.values().next().filter(|_| world.state.queued.len() < WAITING) {
        steps.push(Step::Decide(Choice::Side(Side::Crm)));
        steps.push(Step::Decide(Choice::Side(Side::Erp)));
        // Whether a record stays is not decided by a value; that is refused, and `refused` looks at it.
        if conflict.field != merge::RECORD {
            steps.push(Step::Decide(Choice::Value(Value::text("chosen"))));
        }
    }
    if node.budget.takebacks > 0 {
        steps.extend((0..world.state.next_write).map(Step::Undo));
        for record in world.conflicts.values().filter(|record| record.settled.is_some()) {
            steps.extend(Side::BOTH.map(|side| Step::Restore(record.number.0, side)));
            steps.push(Step::Reopen(record.number.0));
        }
    }
    if steps.is_empty() || world.quiet() || node.budget.timeouts > 0 {
        for (side, _) in merge::unconfirmed(&world.state, i64::MAX) {
            // A read waits behind the writes to its record.
            if world.systems[side].commands.is_empty() {
                steps.push(Step::ReadAgain(side));
            }
        }
    }
    steps
}

fn take(mapping: &EntityMapping, node: &Node, step: &Step) -> Node {
    let mut next = node.clone();
    let world = &mut next.world;
    match step {
        Step::Edit(side, field, value) => {
            // Every other edit is too close to the one before to be ordered.
            world.tick(if next.budget.edits.is_multiple_of(2) { SECOND } else { 10 * SECOND });
            world.edit(*side, &[(field, value.clone())]);
            next.budget.edits -= 1;
        }
        Step::Delete(side) => {
            world.tick(10 * SECOND);
            world.delete(*side);
            next.budget.deletes -= 1;
        }
        Step::Deliver(side) => world.deliver(mapping, *side),
        Step::Repeat(side) => {
            world.repeat(mapping, *side);
            next.budget.repeats -= 1;
        }
        Step::Check(side) => world.check(*side),
        Step::Execute(side, lost) => {
            world.execute(*side, *lost);
            next.budget.lost_answers -= u8::from(*lost);
        }
        Step::Answer => world.answer(mapping),
        Step::Decide(choice) => world.decide(mapping, choice.clone()),
        Step::Undo(_) | Step::Restore(..) | Step::Reopen(_) => {
            let demand = match step {
                Step::Undo(number) => stories::undo(world, *number),
                Step::Restore(number, side) => stories::restore(world, *number, Choice::Side(*side)),
                Step::Reopen(number) => stories::reopen(world, *number),
                _ => return next,
            };
            stories::ask(world, mapping, demand, false);
            next.budget.takebacks -= 1;
        }
        Step::Commit(side) => world.commit_answers(*side),
        Step::Kill(side) => {
            world.kill(*side);
            world.commit_answers(side.other());
            world.commits = false;
            next.budget.kills -= 1;
        }
        Step::ReadAgain(side) => {
            next.budget.timeouts -= u8::from(!world.quiet());
            world.read_owed(*side);
        }
    }
    if next.budget.takebacks == 0 {
        // Only what is taken back needs them.
        next.world.confirmed.clear();
        next.world.replies.clear();
    }
    next
}

/// A decision that is refused changes nothing but that it was taken.
fn refused(mapping: &EntityMapping, world: &World) -> Option<String> {
    let about_record = world.state.conflicts.values().next().is_some_and(|conflict| conflict.field == merge::RECORD);
    if !about_record {
        return None;
    }
    let mut after = world.clone();
    after.decide(mapping, Choice::Value(Value::text("chosen")));
    let refused = after.replies.last().is_some_and(|(result, _)| *result == DecisionResult::Refused);
    after.state.decided.pop();
    (!refused || after.state != world.state || after.systems != world.systems || after.conflicts != world.conflicts)
        .then(|| format!("a record was decided by a value: {:?}", after.replies.last()))
}

fn key(node: &Node) -> u128 {
    let mut low = DefaultHasher::new();
    node.hash(&mut low);
    let mut high = DefaultHasher::new();
    0x5eed_u64.hash(&mut high);
    node.hash(&mut high);
    u128::from(low.finish()) | (u128::from(high.finish()) << 64)
}

/// Visits every reachable state and audits each one at rest. Returns how many there are.
pub(crate) fn search(
    name: &str,
    mapping: &EntityMapping,
    manners: Pair<Manner>,
    budget: Budget,
    fields: &[&'static str],
    loops: bool,
) -> usize {
    search_from(name, mapping, World::agreed(mapping, manners), budget, fields, loops)
}

pub(crate) fn search_from(
    name: &str,
    mapping: &EntityMapping,
    world: World,
    budget: Budget,
    fields: &[&'static str],
    loops: bool,
) -> usize {
    let mut first = Node { world, budget };
    first.world.commits = budget.kills > 0;
    // The reference knows nothing of values that a target alters, nor of edits that were overtaken while others were decided.
    let plain = budget.takebacks == 0
        && Side::BOTH.iter().all(|side| {
            let manner = &first.world.systems[*side].manner;
            !manner.racy && !manner.coalesces && !manner.nameless && manner.cut.is_none() && manner.trigger.is_none()
        });
    let mut seen = BTreeSet::from([key(&first)]);
    let mut trail: Vec<(usize, Option<Step>)> = vec![(0, None)];
    let mut frontier = vec![(0_usize, first)];
    let mut rests = 0_usize;
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (index, node) in frontier {
            let steps = steps(&node, fields);
            let mut wrong = Vec::new();
            if loops {
                wrong.extend(auditor::no_loop(&node.world));
            }
            wrong.extend(reference::at_any_time(&node.world));
            wrong.extend(refused(mapping, &node.world));
            let silent = !merge::unconfirmed(&node.world.state, i64::MAX).is_empty();
            if node.world.quiet() && !silent {
                rests += 1;
                wrong.extend(auditor::at_rest(&node.world));
                if plain {
                    wrong.extend(reference::at_rest(mapping, &node.world));
                }
            }
            if !wrong.is_empty() {
                let steps: Vec<String> = path(&trail, index).iter().map(|step| format!("{step:?}")).collect();
                panic!(
                    "{name}: {wrong:#?}\nafter\n  {}\nstate {:?}\nconflicts {:?}",
                    steps.join("\n  "),
                    node.world.state,
                    node.world.conflicts
                );
            }
            for step in steps {
                let after = take(mapping, &node, &step);
                if seen.insert(key(&after)) {
                    trail.push((index, Some(step)));
                    next.push((trail.len() - 1, after));
                }
            }
            assert!(seen.len() <= STATES, "{name}: more than {STATES} states; make the world smaller");
        }
        frontier = next;
    }
    let _ = writeln!(std::io::stdout(), "{name}: {} states, {rests} of them at rest", seen.len());
    seen.len()
}

fn path(trail: &[(usize, Option<Step>)], mut index: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while let (parent, Some(step)) = &trail[index] {
        steps.push(step.clone());
        index = *parent;
    }
    steps.reverse();
    steps
}

pub(crate) fn manners() -> Pair<Manner> {
    Pair { crm: Manner::default(), erp: Manner { whole_rows: true, ..Manner::default() } }
}

pub(crate) const SMALL: Budget = Budget { edits: 2, repeats: 1, timeouts: 0, lost_answers: 1, deletes: 0, kills: 0, takebacks: 0 };

#[test]
fn newer_edits_win_whatever_the_order() {
    let mapping = world::mapping(Policy::LastWrite);
    search("last_write", &mapping, manners(), Budget { edits: 3, repeats: 0, ..SMALL }, &["name", "phone"], true);
}

#[test]
fn newer_edits_win_though_answers_are_lost_and_changes_repeated() {
    let mapping = world::mapping(Policy::LastWrite);
    search("last_write, lost, repeated", &mapping, manners(), Budget { edits: 3, ..SMALL }, &["name"], false);
}

#[test]
fn a_side_wins_by_policy_whatever_the_order() {
    for policy in [Policy::Crm, Policy::Erp] {
        let mapping = world::mapping(policy);
        search(policy.as_str(), &mapping, manners(), Budget { edits: 3, repeats: 0, ..SMALL }, &["name"], true);
    }
}

#[test]
fn a_review_ends_in_agreement_whatever_the_order() {
    let mapping = world::mapping(Policy::Review);
    search("review", &mapping, manners(), Budget { edits: 3, repeats: 0, lost_answers: 0, ..SMALL }, &["name"], false);
}

#[test]
fn a_target_that_does_not_check_at_commit_loses_nothing() {
    let racy = Pair { crm: Manner { racy: true, ..Manner::default() }, ..manners() };
    for policy in [Policy::LastWrite, Policy::Crm, Policy::Review] {
        let name = format!("racy, {}", policy.as_str());
        search(&name, &world::mapping(policy), racy.clone(), Budget { edits: 3, repeats: 0, ..SMALL }, &["name"], false);
    }
}

#[test]
fn a_target_that_cuts_and_a_trigger_lose_nothing() {
    let trigger = Some(("name".to_owned(), "phone".to_owned()));
    let manners =
        Pair { crm: Manner { cut: Some(3), ..Manner::default() }, erp: Manner { trigger, whole_rows: true, ..Manner::default() } };
    search("altered", &world::mapping(Policy::LastWrite), manners, SMALL, &["name", "phone"], false);
}

#[test]
fn a_target_that_cuts_without_checking_at_commit_loses_nothing() {
    // Cut to what was there before, and cut to something else.
    for (cut, start) in [(4, "cut to what was there"), (3, "cut to something else")] {
        let racy = Pair { crm: Manner { racy: true, cut: Some(cut), ..Manner::default() }, ..manners() };
        for policy in [Policy::LastWrite, Policy::Crm] {
            let mapping = world::mapping(policy);
            let mut world = World::agreed(&mapping, racy.clone());
            if cut == 4 {
                world.edit(Side::Erp, &[("name", Value::text("name again"))]);
                world.settle(&mapping);
            }
            let name = format!("racy, {start}, {}", policy.as_str());
            search_from(&name, &mapping, world, Budget { edits: 3, repeats: 0, ..SMALL }, &["name"], false);
        }
    }
}

#[test]
fn a_trigger_where_nothing_is_checked_at_commit_loses_nothing() {
    let trigger = Some(("name__c".to_owned(), "phone__c".to_owned()));
    for cut in [None, Some(3)] {
        let racy = Pair { crm: Manner { racy: true, trigger: trigger.clone(), cut, ..Manner::default() }, ..manners() };
        let name = format!("racy, trigger, cut {cut:?}");
        search(&name, &world::mapping(Policy::LastWrite), racy, Budget { repeats: 0, ..SMALL }, &["name", "phone"], false);
    }
}

#[test]
fn a_record_that_is_read_ahead_of_its_stream_loses_nothing() {
    let cut = Pair { crm: Manner { cut: Some(3), racy: true, ..Manner::default() }, ..manners() };
    for (name, manners) in [("time-out", manners()), ("time-out, racy, cut", cut)] {
        let budget = Budget { edits: 3, repeats: 0, timeouts: 1, ..SMALL };
        search(name, &world::mapping(Policy::LastWrite), manners, budget, &["name"], false);
    }
}

#[test]
fn a_record_that_is_read_ahead_of_both_streams_loses_nothing() {
    let racy = Pair { crm: Manner { racy: true, ..Manner::default() }, ..manners() };
    let budget = Budget { edits: 3, repeats: 0, timeouts: 2, ..SMALL };
    search("time-outs, racy", &world::mapping(Policy::LastWrite), racy, budget, &["name"], false);
    search("time-outs, review", &world::mapping(Policy::Review), manners(), Budget { edits: 2, ..budget }, &["name"], false);
    let budget = Budget { edits: 2, takebacks: 1, repeats: 0, lost_answers: 0, timeouts: 1, ..SMALL };
    search("time-out, taken back", &world::mapping(Policy::LastWrite), manners(), budget, &["name"], false);
}

#[test]
fn changes_that_become_one_before_they_are_read_lose_nothing() {
    let manners = Pair {
        crm: Manner { coalesces: true, ..Manner::default() },
        erp: Manner { coalesces: true, whole_rows: true, ..Manner::default() },
    };
    search("coalesced", &world::mapping(Policy::LastWrite), manners, Budget { edits: 3, ..SMALL }, &["name"], false);
}

#[test]
fn sides_that_do_not_say_who_loses_nothing() {
    let manners =
        Pair { crm: Manner { nameless: true, ..Manner::default() }, erp: Manner { nameless: true, whole_rows: true, ..Manner::default() } };
    search("nameless", &world::mapping(Policy::LastWrite), manners, Budget { edits: 3, ..SMALL }, &["name"], false);
}

#[test]
fn deletes_among_edits_lose_nothing() {
    for policy in [DeletePolicy::Ignore, DeletePolicy::Delete, DeletePolicy::Ask] {
        let mut mapping = world::mapping(Policy::LastWrite);
        mapping.delete = Pair { crm: policy, erp: policy };
        let name = format!("deletes, {policy:?}");
        search(&name, &mapping, manners(), Budget { deletes: 1, lost_answers: 0, ..SMALL }, &["name"], false);
    }
}

#[test]
fn a_record_is_made_once_whatever_the_order() {
    for side in Side::BOTH {
        let mapping = world::mapping(Policy::LastWrite);
        let mut world = World::linked(manners());
        world.systems[side.other()].record = None;
        world.systems[side.other()].row.clear();
        world.read_again(side);
        let name = format!("created from {}", side.as_str());
        search_from(&name, &mapping, world, SMALL, &["name", "phone"], true);
    }
}

#[test]
fn two_records_that_meet_come_to_agree() {
    for policy in [Policy::Crm, Policy::LastWrite, Policy::Review] {
        let mapping = world::mapping(policy);
        let mut world = World::linked(manners());
        world.edit(Side::Erp, &[("name", Value::text("erp"))]);
        world.edit(Side::Crm, &[("name", Value::text("crm"))]);
        for side in Side::BOTH {
            world.systems[side].stream.clear();
            world.read_again(side);
            if let Some(change) = world.systems[side].stream.back_mut() {
                change.may_create = false;
            }
            world.deliver(&mapping, side);
        }
        world.apply(&mapping, &merge::Event::Changed(stories::released()));
        let name = format!("first contact, {}", policy.as_str());
        search_from(&name, &mapping, world, Budget { repeats: 0, edits: 2, ..SMALL }, &["name"], false);
    }
}

#[test]
fn what_is_taken_back_at_any_moment_loses_nothing() {
    for (policy, takebacks, edits) in [(Policy::LastWrite, 1, 2), (Policy::LastWrite, 2, 1), (Policy::Review, 1, 2)] {
        let budget = Budget { edits, takebacks, repeats: 0, lost_answers: 0, ..SMALL };
        search(&format!("{takebacks} taken back, {}", policy.as_str()), &world::mapping(policy), manners(), budget, &["name"], false);
    }
}

#[test]
fn what_is_taken_back_on_a_target_that_does_not_check_at_commit_loses_nothing() {
    let racy = Pair { crm: Manner { racy: true, ..Manner::default() }, ..manners() };
    let budget = Budget { edits: 1, takebacks: 2, repeats: 0, lost_answers: 0, ..SMALL };
    search("taken back, racy", &world::mapping(Policy::LastWrite), racy, budget, &["name"], false);
}
