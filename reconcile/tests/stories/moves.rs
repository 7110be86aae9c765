//! Records that change their entity, while writes are on their way to them.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, Pair, Policy, Side};
use reconcile::merge::{Answer, Event, SideChange, WriteKind, WriteNumber};

use super::{alone, released, start};
use crate::world::{SECOND, World, column, mapping};

/// A change of a record's name.
pub(super) fn name(world: &World, side: Side, record: &str, value: &str) -> SideChange {
    let value = Value::text(value);
    SideChange {
        side,
        record: record.to_owned(),
        released: false,
        fields: BTreeMap::from([("name".to_owned(), value.clone())]),
        columns: BTreeMap::from([(column(side, "name"), value)]),
        at: world.clock,
        ..released()
    }
}

fn leaves(side: Side, record: &str) -> Event {
    Event::Changed(SideChange { side, record: record.to_owned(), released: false, unlinked: true, ..released() })
}

fn joins(world: &World, side: Side, record: &str, value: &str) -> Event {
    Event::Changed(SideChange { joined: true, snapshot: true, ..name(world, side, record, value) })
}

pub(super) fn ours(change: SideChange, write: u64) -> Event {
    Event::Changed(SideChange { ours: true, write: Some(WriteNumber(write)), ..change })
}

fn on_record(world: &World, value: &str) -> bool {
    let value = Value::text(value);
    world.conflicts.values().any(|record| record.overtaken && [&record.values.crm.value, &record.values.erp.value].contains(&&value))
}

#[test]
fn an_edit_that_a_write_overtakes_is_kept_although_what_it_carried_has_left() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Erp);
    let write = world.systems.crm.commands.front().expect("sent").number.0;
    world.apply(&mapping, &leaves(Side::Erp, "erp-1"));
    world.tick(10 * SECOND);
    let two = name(&world, Side::Crm, "crm-1", "two");
    world.apply(&mapping, &Event::Changed(two));
    let one = name(&world, Side::Crm, "crm-1", "one");
    world.apply(&mapping, &ours(one, write));
    assert!(on_record(&world, "two"), "{:#?}", world.conflicts);
    assert!(
        world.state.fields["name"].agreed.is_none() || world.state.sides.erp.creating.is_some(),
        "nothing is agreed with one that left"
    );
}

#[test]
fn an_edit_that_a_write_for_another_entity_overtakes_is_kept() {
    for (alone_there, snapshot) in [(true, false), (true, true), (false, false)] {
        let mapping = mapping(Policy::LastWrite);
        let mut world = alone(Side::Crm);
        world.deliver(&mapping, Side::Crm);
        if !alone_there {
            let other = joins(&world, Side::Erp, "erp-9", "name0");
            world.apply(&mapping, &other);
        }
        world.tick(10 * SECOND);
        let two = name(&world, Side::Crm, "crm-1", "two");
        world.apply(&mapping, &Event::Changed(two));
        world.systems.erp.commands.clear();
        let theirs = SideChange { ours: true, foreign: true, snapshot, ..name(&world, Side::Crm, "crm-1", "theirs") };
        world.apply(&mapping, &Event::Changed(theirs));
        // With a record across, the edit is on its way there, and may be refused.
        assert!(on_record(&world, "two"), "{:#?}", world.conflicts);
    }
}

#[test]
fn an_edit_that_an_old_write_overtakes_is_kept_when_the_record_has_left_and_come_back() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Erp);
    let write = world.systems.crm.commands.front().expect("sent").number.0;
    world.apply(&mapping, &leaves(Side::Crm, "crm-1"));
    // What is settled when they meet is perhaps on its way once more.
    for may_create in [false, true] {
        let mut world = world.clone();
        let mut back = joins(&world, Side::Crm, "crm-1", "name0");
        if let Event::Changed(back) = &mut back {
            back.may_create = may_create;
        }
        world.apply(&mapping, &back);
        world.tick(10 * SECOND);
        let two = SideChange { may_create, ..name(&world, Side::Crm, "crm-1", "two") };
        world.apply(&mapping, &Event::Changed(two));
        let one = SideChange { may_create, ..name(&world, Side::Crm, "crm-1", "one") };
        world.apply(&mapping, &ours(one, write));
        assert!(on_record(&world, "two"), "{:#?}", world.conflicts);
    }
}

#[test]
fn a_record_that_joins_while_one_is_being_made_is_not_that_one() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    let create = world.systems.erp.commands.front().expect("sent").clone();
    assert_eq!(create.kind, WriteKind::Create);
    world.tick(10 * SECOND);
    let other = joins(&world, Side::Erp, "erp-9", "else");
    world.apply(&mapping, &other);
    let met = world.conflicts.values().find(|record| record.field == "name").expect("they meet for the first time");
    assert_eq!((&met.values.crm.value, &met.values.erp.value), (&Value::text("name0"), &Value::text("else")));
    world.apply(&mapping, &Event::Answered { write: create.number, answer: Answer::Applied, record: Some("erp-1".to_owned()) });
    assert_eq!(world.state.sides.erp.record.as_deref(), Some("erp-9"));
    assert_eq!(
        world.confirmed.iter().map(|confirmed| confirmed.record.as_str()).collect::<Vec<_>>(),
        ["erp-1"],
        "the audit names what was made"
    );
}

#[test]
fn a_record_that_an_earlier_create_made_is_not_taken_for_what_a_later_one_would_make() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    let first = world.systems.erp.commands.pop_front().expect("sent").number.0;
    let other = joins(&world, Side::Erp, "erp-9", "name0");
    world.apply(&mapping, &other);
    world.tick(10 * SECOND);
    let later = name(&world, Side::Crm, "crm-1", "later");
    world.apply(&mapping, &Event::Changed(later));
    world.systems.erp.commands.clear();
    world.apply(&mapping, &leaves(Side::Erp, "erp-9"));
    let second = world.systems.erp.commands.pop_front().expect("made again");
    assert_eq!((second.kind, second.values.get("name")), (WriteKind::Create, Some(&Value::text("later"))));
    let made = SideChange { at: world.clock - 10 * SECOND, ..name(&world, Side::Erp, "erp-1", "name0") };
    world.apply(&mapping, &ours(made, first));
    world.apply(&mapping, &Event::Answered { write: second.number, answer: Answer::Applied, record: Some("erp-1".to_owned()) });
    let follows = world.systems.erp.commands.pop_front().expect("it lacks the edit");
    assert_eq!((follows.kind, follows.values.get("name")), (WriteKind::Update, Some(&Value::text("later"))));
}

#[test]
fn a_record_that_was_made_is_audited_although_its_source_has_left() {
    for answered_first in [true, false] {
        let mapping = mapping(Policy::LastWrite);
        let mut world = alone(Side::Crm);
        world.deliver(&mapping, Side::Crm);
        let create = world.systems.erp.commands.front().expect("sent").number;
        let answer = Event::Answered { write: create, answer: Answer::Applied, record: Some("erp-1".to_owned()) };
        let leaves = leaves(Side::Crm, "crm-1");
        for event in if answered_first { [&answer, &leaves] } else { [&leaves, &answer] } {
            assert!(world.confirmed.is_empty());
            world.apply(&mapping, event);
        }
        assert_eq!(world.confirmed.iter().map(|confirmed| confirmed.record.as_str()).collect::<Vec<_>>(), ["erp-1"]);
    }
}

#[test]
fn a_record_that_joins_after_we_deleted_the_other_one_gets_it_again() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.apply(&mapping, &leaves(Side::Erp, "erp-1"));
    world.execute(Side::Crm, false);
    world.deliver(&mapping, Side::Crm);
    world.answer_of(&mapping, Side::Crm);
    assert!(world.systems.crm.record.is_none());
    let event = joins(&world, Side::Erp, "erp-2", "name0");
    world.apply(&mapping, &event);
    let made = world.systems.crm.commands.front().map(|command| command.kind);
    assert_eq!(made, Some(WriteKind::Create));
}

#[test]
fn a_record_that_takes_the_place_of_one_that_was_read_gone_is_taken_in_however_old_it_is() {
    let (mapping, mut world) = start(Policy::LastWrite);
    let other = joins(&world, Side::Crm, "crm-9", "old");
    world.tick(10 * SECOND);
    let gone = SideChange { deleted: true, snapshot: true, ..name(&world, Side::Crm, "crm-1", "") };
    for _ in 0..2 {
        world.apply(&mapping, &Event::Read(gone.clone()));
    }
    assert!(world.state.sides.crm.deleted);
    world.apply(&mapping, &other);
    let crm = &world.state.sides.crm;
    assert_eq!((crm.record.as_deref(), crm.deleted), (Some("crm-9"), false));
}
