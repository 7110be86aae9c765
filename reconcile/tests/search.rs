//! Every interleaving of a small world: each state that can be reached is visited once and audited, after every event and at
//! rest.
//!
//! Bounds: the edits and faults that each test names, a value of its own for every edit, and
//!
//! - a decision waits behind at most one other: more of them in a row are only a longer queue, and without end;
//! - a decision that is refused is no step: it would give a state with one more answer each time. Instead each state that can
//!   refuse one is looked at, and nothing but the answer may come of it.
//!
//! States that differ in nothing that can still matter are visited once; [`normal`] says what that is and why.

use std::hash::{BuildHasherDefault, Hasher};
use std::io::Write as _;
use std::rc::Rc;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, EntityMapping, Pair, Policy, Side};
use reconcile::merge::{self, Choice, DecisionResult};

pub(crate) use self::step::Budget;
use self::step::{Step, steps, take};
use crate::auditor;
use crate::facts::{self, Facts};
use crate::reference;
use crate::stories;
use crate::world::{self, Manner, Mixer, World};

mod normal;
mod step;

/// A state of everything, and what may still happen.
#[derive(Clone)]
struct Node {
    world: World,
    budget: Budget,
    /// Of the world as it is.
    facts: Rc<(Facts, u128)>,
}

impl Node {
    fn first(mut world: World, budget: Budget) -> Self {
        normal::forget(&mut world, budget);
        let facts = Self::facts(&world);
        Self { world, budget, facts }
    }

    fn facts(world: &World) -> Rc<(Facts, u128)> {
        let facts = facts::of(world);
        let key = Mixer::of(&facts);
        Rc::new((facts, key))
    }
}

/// What is searched.
pub(crate) struct Search<'a> {
    pub(crate) name: &'a str,
    pub(crate) mapping: &'a EntityMapping,
    pub(crate) budget: Budget,
    /// The fields that people edit.
    pub(crate) fields: &'a [&'static str],
    /// No value may be written to a side twice.
    pub(crate) loops: bool,
    pub(crate) order: Order,
    /// States that are too many.
    pub(crate) most: usize,
}

/// In which order states are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// What takes the fewest steps first: what is found is the shortest.
    Breadth,
    /// The last found first: what is still to be visited stays small. What is found is shortened.
    Depth,
}

/// What a search saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) states: usize,
    pub(crate) rests: usize,
    pub(crate) steps: usize,
}

/// What broke, and how.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) wrong: Vec<String>,
    pub(crate) steps: Vec<String>,
    world: Box<World>,
}

/// Keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u128(&mut self, key: u128) {
        // Half of it is enough to find the place.
        self.0 = key as u64;
    }
}

#[expect(clippy::disallowed_types, reason = "only asked for members, so its order does not matter")]
type Keys = std::collections::HashSet<u128, BuildHasherDefault<AsIs>>;

impl Search<'_> {
    /// Visits every state that can be reached, until one breaks a promise.
    pub(crate) fn run(&self, world: World) -> Result<Count, Broken> {
        let first = Node::first(world, self.budget);
        let mut keys = Keys::default();
        keys.insert(normal::key(&first, self.loops));
        let mut trail: Vec<(u32, Step)> = Vec::new();
        let mut count = Count { states: 0, rests: 0, steps: 0 };
        let mut waiting = vec![(0_u32, first.clone())];
        let mut next = Vec::new();
        loop {
            let Some((index, node)) = waiting.pop() else {
                if next.is_empty() {
                    break;
                }
                std::mem::swap(&mut waiting, &mut next);
                continue;
            };
            count.states += 1;
            assert!(count.states <= self.most, "{}: more than {} states; make the world smaller", self.name, self.most);
            let (rests, wrong) = self.verdict(&node);
            count.rests += usize::from(rests);
            if !wrong.is_empty() {
                return Err(self.shortest(&first, path(&trail, index)).unwrap_or_else(|| Broken {
                    wrong,
                    steps: Vec::new(),
                    world: Box::new(node.world),
                }));
            }
            for step in steps(&node, self.fields) {
                count.steps += 1;
                let after = take(self.mapping, self.fields, &node, step);
                if keys.insert(normal::key(&after, self.loops)) {
                    trail.push((index, step));
                    let index = u32::try_from(trail.len()).expect("below four billion states");
                    match self.order {
                        Order::Breadth => next.push((index, after)),
                        Order::Depth => waiting.push((index, after)),
                    }
                }
            }
        }
        Ok(count)
    }

    /// What breaks, with no step that it does without.
    fn shortest(&self, first: &Node, mut path: Vec<Step>) -> Option<Broken> {
        let mut broken = self.replay(first, &path)?;
        let mut left = path.len();
        while left > 0 {
            left -= 1;
            let mut fewer = path.clone();
            fewer.remove(left);
            if let Some(found) = self.replay(first, &fewer) {
                fewer.truncate(found.steps.len());
                path = fewer;
                left = path.len();
                broken = found;
            }
        }
        Some(broken)
    }

    fn replay(&self, first: &Node, path: &[Step]) -> Option<Broken> {
        let mut node = first.clone();
        let mut done = Vec::new();
        for step in path {
            if !steps(&node, self.fields).contains(step) {
                return None;
            }
            node = take(self.mapping, self.fields, &node, *step);
            done.push(format!("{step:?}"));
            let (_, wrong) = self.verdict(&node);
            if !wrong.is_empty() {
                return Some(Broken { wrong, steps: done, world: Box::new(node.world) });
            }
        }
        None
    }

    /// Whether it is at rest, and what is wrong.
    fn verdict(&self, node: &Node) -> (bool, Vec<String>) {
        let world = &node.world;
        let mut wrong = Vec::new();
        if self.loops {
            wrong.extend(auditor::no_loop(world));
        }
        wrong.extend(reference::at_any_time(world));
        wrong.extend(reference::strayed(self.mapping, world));
        wrong.extend(refused(self.mapping, world));
        let rests = world.quiet() && merge::unconfirmed(&world.state, i64::MAX).is_empty();
        if rests {
            wrong.extend(auditor::by_facts(world, &node.facts.0));
            // Where changes become one before anybody reads them, what was replaced cannot be known.
            let told = |side: &Side| !world.systems[*side].manner.coalesces && !world.systems[*side].manner.nameless;
            if Side::BOTH.iter().all(told) {
                wrong.extend(reference::by_facts(self.mapping, world, &node.facts.0));
            }
        }
        (rests, wrong)
    }
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
    after.state.decided.clone_from(&world.state.decided);
    (!refused || after.state != world.state || after.systems != world.systems || after.conflicts != world.conflicts)
        .then(|| format!("a record was decided by a value: {:?}", after.replies.last()))
}

fn path(trail: &[(u32, Step)], mut index: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    while index > 0 {
        let (parent, step) = trail[index as usize - 1];
        steps.push(step);
        index = parent;
    }
    steps.reverse();
    steps
}

const STATES: usize = 3_000_000;

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
    let search = Search { name, mapping, budget, fields, loops, order: Order::Breadth, most: STATES };
    search.print(world)
}

impl Search<'_> {
    /// Says how many states there are, or what breaks.
    pub(crate) fn print(&self, world: World) -> usize {
        match self.run(world) {
            Ok(count) => {
                let Count { states, rests, steps } = count;
                let _ = writeln!(std::io::stdout(), "{}: {states} states, {rests} of them at rest, {steps} steps", self.name);
                states
            }
            Err(Broken { wrong, steps, world }) => panic!(
                "{}: {wrong:#?}\nafter\n  {}\nstate {:?}\nconflicts {:?}\npast {:?}",
                self.name,
                steps.join("\n  "),
                world.state,
                world.conflicts,
                world.past
            ),
        }
    }
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
