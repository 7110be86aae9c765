//! Each kind of conflict and trouble, by name.

use std::collections::BTreeMap;

use reconcile::mapping::{EntityMapping, Pair, Policy, Side};
use reconcile::merge::{Confirmed, ConflictNumber, DecisionResult, Demand, Event, SideChange, Verdict, WriteNumber};

use crate::auditor;
use crate::world::{Manner, World, mapping};

mod creates;
mod decisions;
mod fields;
mod found;
mod leaving;
mod moves;
mod records;
mod references;
mod remap;
mod rereads;
mod restores;
mod retries;
mod returns;
mod standing;
mod undos;

pub(crate) fn calm() -> Pair<Manner> {
    Pair { crm: Manner::default(), erp: Manner { whole_rows: true, ..Manner::default() } }
}

pub(crate) fn racy_crm() -> Pair<Manner> {
    Pair { crm: Manner { racy: true, ..Manner::default() }, erp: Manner { whole_rows: true, ..Manner::default() } }
}

pub(crate) fn start(policy: Policy) -> (EntityMapping, World) {
    let mapping = mapping(policy);
    let world = World::agreed(&mapping, calm());
    (mapping, world)
}

pub(crate) fn audited(world: &World) {
    let mut wrong = auditor::at_rest(world);
    wrong.extend(auditor::no_loop(world));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

pub(crate) fn both(value: &str) -> (String, String) {
    (value.to_owned(), value.to_owned())
}

pub(crate) fn alone(side: Side) -> World {
    let mut world = World::linked(calm());
    world.systems[side.other()].record = None;
    world.systems[side.other()].row.clear();
    world.read_again(side);
    world
}

pub(crate) fn released() -> SideChange {
    SideChange {
        side: Side::Crm,
        record: String::new(),
        deleted: false,
        unlinked: false,
        joined: false,
        returned: false,
        foreign: false,
        fields: BTreeMap::new(),
        columns: BTreeMap::new(),
        references: BTreeMap::new(),
        may_create: true,
        snapshot: false,
        released: true,
        at: 0,
        actor: None,
        ours: false,
        write: None,
    }
}

/// Asks for something, as a person would; what is remembered of its subject comes along. The last answer.
pub(crate) fn ask(world: &mut World, mapping: &EntityMapping, demand: Demand, force: bool) -> DecisionResult {
    let id = format!("asked-{}", world.replies.len());
    let verdict = Verdict { force, ..Verdict::new(id, "Ana Lima", demand) };
    world.apply(mapping, &Event::Decided(verdict));
    world.replies.last().expect("an answer").0
}

/// To take back a write.
pub(crate) fn undo(world: &World, number: u64) -> Demand {
    let kept: Option<&Confirmed> = world.confirmed.iter().find(|confirmed| confirmed.command.number.0 == number);
    Demand::Undo { write: WriteNumber(number), kept: kept.cloned().map(Box::new) }
}

/// To open a conflict again.
pub(crate) fn reopen(world: &World, number: u64) -> Demand {
    let kept = world.conflicts.get(&number).filter(|record| record.settled.is_some()).cloned().map(Box::new);
    Demand::Reopen { conflict: ConflictNumber(number), kept }
}

/// To put back a value that lost.
pub(crate) fn restore(world: &World, number: u64, choice: reconcile::merge::Choice) -> Demand {
    let kept = world.conflicts.get(&number).filter(|record| record.settled.is_some()).cloned().map(Box::new);
    Demand::Restore { conflict: Some(ConflictNumber(number)), field: None, choice, kept }
}
