//! Records that we make, and others that come to stand in their place before anybody has seen them.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Policy, Side};
use reconcile::merge::{Answer, Event, SideChange, WriteKind, WriteNumber};

use super::alone;
use super::moves::{name, ours};
use crate::world::{SECOND, World, mapping};

/// `erp-1` is being made from the CRM's record, which is called `name0`.
fn making() -> (EntityMapping, World, WriteNumber) {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    let create = world.systems.erp.commands.pop_front().expect("sent");
    assert_eq!(create.kind, WriteKind::Create);
    world.tick(10 * SECOND);
    (mapping, world, create.number)
}

/// Somebody has restored a row that was deleted long ago, and it is found by what it has in common with the CRM's record.
fn restored(world: &World, value: &str) -> Event {
    let mut row = name(world, Side::Erp, "erp-9", value);
    for values in [&mut row.fields, &mut row.columns] {
        values.insert("phone".to_owned(), Value::text("phone0"));
    }
    Event::Changed(SideChange { snapshot: true, ..row })
}

/// What was made, and what it held right after.
fn made(write: WriteNumber) -> Event {
    let told = BTreeMap::from([("name".to_owned(), Value::text("name0")), ("phone".to_owned(), Value::text("phone0"))]);
    Event::Answered { write, answer: Answer::AppliedAs(told), record: Some("erp-1".to_owned()) }
}

/// The two that stand now were never alike: one wins, by name, and the other one's value is on record.
fn met_for_the_first_time(world: &mut World) {
    assert_eq!(world.state.sides.erp.record.as_deref(), Some("erp-9"));
    let met = world.conflicts.values().find(|record| record.field == "name").unwrap_or_else(|| panic!("{:#?}", world.state));
    assert!(met.reason.starts_with("first contact"), "{}", met.reason);
    assert_eq!((&met.values.crm.value, &met.values.erp.value), (&Value::text("name0"), &Value::text("else")));
    let settles = world.systems.crm.commands.pop_front().expect("the newer value wins");
    assert_eq!((settles.values.get("name__c"), settles.conflict), (Some(&Value::text("else")), Some(met.number)));
}

#[test]
fn a_row_that_is_found_where_another_one_was_made_was_never_agreed_on() {
    let (mapping, mut world, create) = making();
    world.apply(&mapping, &made(create));
    let row = restored(&world, "else");
    world.apply(&mapping, &row);
    met_for_the_first_time(&mut world);
}

#[test]
fn a_row_that_is_found_before_the_answer_names_another_one_was_never_agreed_on() {
    let (mapping, mut world, create) = making();
    let row = restored(&world, "else");
    world.apply(&mapping, &row);
    world.apply(&mapping, &made(create));
    met_for_the_first_time(&mut world);
    let audited: Vec<&str> = world.confirmed.iter().map(|confirmed| confirmed.record.as_str()).collect();
    assert_eq!(audited, ["erp-1"], "the audit names what was made");
}

#[test]
fn a_record_that_we_made_is_ours_when_the_one_that_was_found_in_its_place_is_gone() {
    for answered_first in [true, false] {
        let (mapping, mut world, create) = making();
        let (row, made) = (restored(&world, "name0"), made(create));
        for event in if answered_first { [&made, &row] } else { [&row, &made] } {
            world.apply(&mapping, event);
        }
        let gone = name(&world, Side::Erp, "erp-9", "");
        world.apply(&mapping, &Event::Changed(SideChange { deleted: true, fields: BTreeMap::new(), columns: BTreeMap::new(), ..gone }));
        // The ERP has cut it.
        let shown = name(&world, Side::Erp, "erp-1", "name");
        world.apply(&mapping, &ours(shown, create.0));
        assert!(world.systems.crm.commands.is_empty(), "{answered_first}: {:#?}", world.systems.crm.commands);
        assert!(world.conflicts.is_empty(), "{answered_first}: {:#?}", world.conflicts);
    }
}

#[test]
fn the_audit_of_a_create_names_the_record_that_was_made_although_another_one_stands_there_by_then() {
    for live in [true, false] {
        let (mapping, mut world, create) = making();
        world.apply(&mapping, &made(create));
        assert!(world.confirmed.is_empty(), "{:#?}", world.confirmed);
        let mut row = restored(&world, "else");
        if let Event::Changed(row) = &mut row {
            (row.snapshot, row.joined) = (!live, live);
        }
        world.apply(&mapping, &row);
        assert_eq!(world.state.sides.erp.record.as_deref(), Some("erp-9"));
        let audited: Vec<_> = world.confirmed.iter().map(|done| (done.command.number, done.record.as_str())).collect();
        assert_eq!(audited, [(create, "erp-1")], "live: {live}");
    }
}
