//! The mapping changes between events.

use reconcile::Value;
use reconcile::mapping::{Direction, Policy, Side};
use reconcile::merge::Choice;

use super::{audited, both, start};
use crate::world::{World, mapping};

fn in_review() -> (reconcile::mapping::EntityMapping, World) {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.state.conflicts.len(), 1);
    (mapping, world)
}

#[test]
fn a_review_stays_open_when_the_policy_changes() {
    let (_, mut world) = in_review();
    let mapping = mapping(Policy::Crm);
    world.edit(Side::Erp, &[("phone", Value::text("1"))]);
    world.settle(&mapping);
    assert_eq!(world.state.conflicts.len(), 1);
    assert_eq!(world.values("phone"), both("1"));
    world.decide(&mapping, Choice::Side(Side::Erp));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp"));
    audited(&world);
}

#[test]
fn a_field_that_disappears_while_it_is_held_settles_its_conflict() {
    let (mut mapping, mut world) = in_review();
    let name = mapping.fields.remove(0);
    mapping.title = "phone".to_owned();
    world.edit(Side::Erp, &[("phone", Value::text("1"))]);
    world.settle(&mapping);
    assert!(world.state.conflicts.is_empty() && !world.state.fields.contains_key("name"));
    assert!(world.conflicts[&0].reason.contains("no longer mapped"));
    // Mapped again, it is a first contact of what both sides hold by then.
    mapping.fields.insert(0, name);
    for side in Side::BOTH {
        world.read_again(side);
    }
    world.settle(&mapping);
    assert_eq!(world.state.conflicts.len(), 1);
}

#[test]
fn a_field_that_disappears_while_it_is_in_flight_leaves_nothing_open() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("one")), ("phone", Value::text("1"))]);
    world.deliver(&mapping, Side::Crm);
    mapping.fields.remove(0);
    mapping.title = "phone".to_owned();
    world.settle(&mapping);
    assert!(world.state.writes.is_empty(), "{:?}", world.state.writes);
    assert_eq!(world.values("phone"), both("1"));
    assert_eq!(world.confirmed.len(), 1);
}

#[test]
fn a_direction_that_turns_while_a_write_is_on_its_way_lets_it_end() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Crm);
    mapping.fields[0].direction = Direction::ToCrm;
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("one"));
    world.edit(Side::Crm, &[("name", Value::text("two"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("two".to_owned(), "one".to_owned()), "it no longer travels that way");
    world.edit(Side::Erp, &[("name", Value::text("three"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("three"));
    assert!(world.conflicts.values().any(|record| record.values.crm.value == Value::text("two")));
    audited(&world);
}

#[test]
fn a_decision_about_a_field_whose_direction_has_turned_is_carried_out_where_it_may() {
    let (mut mapping, mut world) = in_review();
    mapping.fields[0].direction = Direction::ToCrm;
    world.decide(&mapping, Choice::Side(Side::Crm));
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("crm".to_owned(), "erp".to_owned()));
    assert!(world.state.conflicts.is_empty());
    world.edit(Side::Erp, &[("name", Value::text("master"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("master"));
}
