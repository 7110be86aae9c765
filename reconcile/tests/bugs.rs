//! Which planted bugs of the core the search catches, in worlds small enough to be searched for each of them. The table in
//! `docs/proof.md` says so in its last column, and is held to it here.

use std::io::Write as _;
use std::panic::catch_unwind;

use planted::Bug;
use reconcile::Value;
use reconcile::mapping::{DeletePolicy, Direction, Drift, EntityMapping, Expression, Pair, Policy, Side};
use reconcile::merge::Event;

use crate::search::{Budget, Order, Search, manners};
use crate::stories;
use crate::world::{Manner, World, mapping};

/// States of a world that has no end.
const MOST: usize = 20_000;

const EDITS: Budget = Budget { edits: 2, repeats: 0, timeouts: 0, lost_answers: 0, deletes: 0, kills: 0, takebacks: 0 };

/// Each with what may happen, and whether nothing may be written twice.
const WORLDS: &[(&str, Budget, bool)] = &[
    ("edits", Budget { edits: 3, ..EDITS }, true),
    ("review", Budget { repeats: 1, ..EDITS }, false),
    ("rule", EDITS, false),
    ("one way", EDITS, false),
    ("cut", EDITS, true),
    ("cut, racy", EDITS, false),
    ("racy", Budget { lost_answers: 1, ..EDITS }, false),
    ("delete, racy", Budget { deletes: 1, ..EDITS }, false),
    ("create", Budget { edits: 1, ..EDITS }, true),
    ("meet", Budget { edits: 0, ..EDITS }, false),
];

/// The mapping of a world, and where it begins.
fn beginning(name: &str) -> (EntityMapping, World) {
    let mut mapping = mapping(if name == "review" { Policy::Review } else { Policy::LastWrite });
    let field = &mut mapping.fields[0];
    match name {
        "rule" => field.review_when = Some(Expression::compile("true").expect("a rule")),
        "one way" => (field.direction, field.drift) = (Direction::ToCrm, Drift::Reassert),
        "delete, racy" => mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete },
        _ => {}
    }
    let crm = Manner { racy: name.ends_with("racy"), cut: name.starts_with("cut").then_some(3), ..Manner::default() };
    let world = match name {
        "create" => lacking(),
        "meet" => meeting(&mapping),
        _ => World::agreed(&mapping, Pair { crm, ..manners() }),
    };
    (mapping, world)
}

/// One side lacks the record.
fn lacking() -> World {
    let mut world = stories::alone(Side::Crm);
    world.systems.erp.stream.clear();
    world
}

/// Two records that differ have just been found to be one.
fn meeting(mapping: &EntityMapping) -> World {
    let mut world = World::linked(manners());
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    for side in Side::BOTH {
        world.systems[side].stream.clear();
        world.read_again(side);
        if let Some(change) = world.systems[side].stream.back_mut() {
            change.may_create = false;
        }
        world.deliver(mapping, side);
    }
    world.apply(mapping, &Event::Changed(stories::released()));
    world
}

/// The first world that breaks, and in how many steps.
fn caught(bug: Option<Bug>) -> Option<(&'static str, usize)> {
    WORLDS.iter().find_map(|&(name, budget, loops)| {
        planted::plant(bug);
        // A bug may give a world without end; that is no catch.
        let found = catch_unwind(|| {
            let (mapping, world) = beginning(name);
            let search = Search { name, mapping: &mapping, budget, fields: &["name"], loops, order: Order::Breadth, most: MOST };
            search.run(world)
        });
        planted::plant(None);
        match found {
            Ok(Err(broken)) => Some((name, broken.steps.len())),
            Ok(Ok(_)) | Err(_) => None,
        }
    })
}

#[test]
fn the_table_says_which_planted_bugs_the_search_catches() {
    let path = "../docs/proof.md";
    let table = std::fs::read_to_string(path).expect("the document");
    assert_eq!(caught(None), None, "nothing is found where nothing is planted");
    let mut wrong = Vec::new();
    for bug in Bug::ALL.iter().filter(|bug| bug.place() == "reconcile") {
        let found = caught(Some(*bug));
        if let Some((world, steps)) = found {
            let _ = writeln!(std::io::stdout(), "{}: {world}, {steps} steps", bug.name());
        }
        let says = if found.is_some() { "search" } else { "" };
        let row = table.lines().find(|line| line.starts_with(&format!("| `{}` |", bug.name())));
        let cell = row.and_then(|row| row.split('|').rev().nth(1)).map(str::trim);
        if cell != Some(says) {
            wrong.push(format!("{}: the table says {cell:?}, and should say {says:?}", bug.name()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
