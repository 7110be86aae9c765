//! A re-read finds a write done before its stream shows it: what the stream shows until then is older, however it looks.

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Policy, Side};

use super::returns::erp_row;
use super::{audited, both, racy_crm, start};
use crate::world::{SECOND, World, mapping};

/// A side answers that the write is done, and its record is read.
fn found_done(world: &mut World, mapping: &EntityMapping, side: Side) {
    world.execute(side, false);
    world.answer_of(mapping, side);
    read(world, mapping, side);
    assert!(world.state.fields["name"].in_flight.is_none(), "{:#?}", world.state);
}

fn read(world: &mut World, mapping: &EntityMapping, side: Side) {
    world.read_owed(side);
    world.answer_of(mapping, side);
}

fn nothing_travels_back(world: &World, to: Side) {
    let commands = &world.systems[to].commands;
    assert!(commands.is_empty(), "{commands:#?}");
}

/// `one` goes from the ERP to the CRM, and replaces these edits that are made there while it is on its way. A re-read finds it
/// done, and the first edit is shown, which is alike: it looks as if the stream had caught up.
fn put_in_before(edits: &[Value]) -> (EntityMapping, World) {
    let mapping = mapping(Policy::Erp);
    let mut world = World::agreed(&mapping, racy_crm());
    world.edit(Side::Erp, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Erp);
    world.check(Side::Crm);
    for value in edits {
        world.edit(Side::Crm, &[("name", value.clone())]);
    }
    found_done(&mut world, &mapping, Side::Crm);
    world.deliver(&mapping, Side::Crm);
    for _ in 0..2 {
        read(&mut world, &mapping, Side::Crm);
    }
    (mapping, world)
}

#[test]
fn an_edit_from_before_a_write_is_not_carried_though_re_reads_found_what_the_stream_had_shown() {
    let (mapping, mut world) = put_in_before(&[Value::text("one"), Value::Null]);
    world.deliver(&mapping, Side::Crm);
    nothing_travels_back(&world, Side::Erp);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("one"));
    assert!(world.conflicts.values().all(|record| record.overtaken && record.values.crm.value.is_null()), "{:#?}", world.conflicts);
    audited(&world);
}

#[test]
fn an_edit_after_a_write_that_is_never_shown_is_carried_though_re_reads_found_what_the_stream_had_shown() {
    let (mapping, mut world) = put_in_before(&[Value::text("one")]);
    world.systems.crm.stream.clear();
    // Nothing more is asked by itself.
    world.settle(&mapping);
    world.tick(10 * SECOND);
    world.edit(Side::Crm, &[("name", Value::text("two"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("two"));
    audited(&world);
}

#[test]
fn what_comes_back_with_its_row_is_older_than_a_write_that_was_found_done_and_is_shown_after_it() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Crm);
    world.delete(Side::Erp);
    world.undelete(Side::Erp, "erp-1", erp_row("name0"));
    found_done(&mut world, &mapping, Side::Erp);
    for _ in 0..2 {
        world.deliver(&mapping, Side::Erp);
        nothing_travels_back(&world, Side::Crm);
    }
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("one"));
    assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
    audited(&world);
}

/// `one` goes to a side, where a re-read finds it done, and the next one finds what stood there before, put back by a person.
fn put_back_after(side: Side) -> (EntityMapping, World) {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(side.other(), &[("name", Value::text("one"))]);
    world.deliver(&mapping, side.other());
    found_done(&mut world, &mapping, side);
    world.tick(10 * SECOND);
    world.edit(side, &[("name", Value::text("name0"))]);
    read(&mut world, &mapping, side);
    nothing_travels_back(&world, side.other());
    (mapping, world)
}

/// What went to each side, in all.
fn went(world: &World, side: Side) -> Vec<&Value> {
    world.past.carried.iter().filter(|(to, field, ..)| *to == side && field == "name").map(|(_, _, value, _)| value).collect()
}

#[test]
fn what_a_re_read_finds_put_back_is_carried_once_when_its_stream_shows_it() {
    for side in Side::BOTH {
        let (mapping, mut world) = put_back_after(side);
        world.deliver(&mapping, side);
        nothing_travels_back(&world, side.other());
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("name0"));
        let (there, back) = (went(&world, side), went(&world, side.other()));
        assert_eq!((there, back), (vec![&Value::text("one")], vec![&Value::text("name0")]), "{side:?}");
        assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
        audited(&world);
    }
}

#[test]
fn what_two_re_reads_find_put_back_is_carried_although_no_stream_shows_it() {
    for side in Side::BOTH {
        let (mapping, mut world) = put_back_after(side);
        world.systems[side].stream.clear();
        read(&mut world, &mapping, side);
        assert_eq!(world.systems[side.other()].commands.len(), 1, "{side:?}: {:#?}", world.state);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("name0"));
        assert_eq!(went(&world, side), [&Value::text("one")], "{side:?}");
        assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
        audited(&world);
    }
}
