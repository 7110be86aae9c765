//! Records that leave their entity and come back, and others that come in their place: what two records had agreed on holds
//! when they meet again.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Pair, Policy, Side};
use reconcile::merge::{Answer, DecisionResult, Event, SideChange, WriteCommand, WriteNumber};

use super::moves::{name, ours};
use super::restores::lost;
use super::{alone, ask, released, reopen, start};
use crate::world::{SECOND, World, column};

/// A record leaves, and nobody knows yet what is to be made in its place.
fn away(side: Side, record: &str) -> Event {
    let record = record.to_owned();
    Event::Changed(SideChange { side, record, released: false, unlinked: true, may_create: false, ..released() })
}

/// What a record's name is changed to, or that it is emptied, while nothing is to be made.
fn holds(world: &World, side: Side, record: &str, value: Option<&str>) -> SideChange {
    let value = value.map_or(Value::Null, Value::text);
    SideChange {
        may_create: false,
        fields: BTreeMap::from([("name".to_owned(), value.clone())]),
        columns: BTreeMap::from([(column(side, "name"), value)]),
        ..name(world, side, record, "")
    }
}

/// A record comes, or comes back.
fn comes(world: &World, side: Side, record: &str, value: &str) -> SideChange {
    SideChange { joined: true, snapshot: true, may_create: true, ..holds(world, side, record, Some(value)) }
}

/// The next write to a side, which is on its way from here on.
fn taken(world: &mut World, side: Side) -> WriteCommand {
    world.systems[side].commands.pop_front().unwrap_or_else(|| panic!("nothing was sent: {:#?}", world.state))
}

fn next_name(world: &mut World, side: Side) -> Option<Value> {
    taken(world, side).values.remove(&column(side, "name"))
}

fn nothing_follows(world: &World) {
    assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
    assert!(Side::BOTH.iter().all(|side| world.systems[*side].commands.is_empty()), "{:#?}", world.systems);
}

/// A write of `value` to the other side is on its way when the ERP's record leaves.
fn left_behind(from: Side, value: &str) -> (EntityMapping, World, WriteNumber) {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(from, &[("name", Value::text(value))]);
    world.deliver(&mapping, from);
    let write = taken(&mut world, from.other()).number;
    world.apply(&mapping, &away(Side::Erp, "erp-1"));
    world.tick(10 * SECOND);
    (mapping, world, write)
}

#[test]
fn what_was_emptied_while_the_other_record_was_away_is_emptied_there_and_filled_from_any_other() {
    let stays = ("crm-1", "erp-1", Side::Erp, Value::Null);
    let filled = Value::text("name0");
    // A record that nothing was agreed on with: another one here, another one there.
    for (crm, erp, target, value) in [stays, ("crm-1", "erp-9", Side::Crm, filled.clone()), ("crm-2", "erp-1", Side::Crm, filled)] {
        let (mapping, mut world) = start(Policy::LastWrite);
        world.apply(&mapping, &away(Side::Erp, "erp-1"));
        if crm != "crm-1" {
            world.apply(&mapping, &away(Side::Crm, "crm-1"));
        }
        let emptied = SideChange { joined: crm != "crm-1", ..holds(&world, Side::Crm, crm, None) };
        world.apply(&mapping, &Event::Changed(emptied));
        let back = comes(&world, Side::Erp, erp, "name0");
        world.apply(&mapping, &Event::Changed(back));
        assert_eq!(next_name(&mut world, target), Some(value), "{crm} and {erp}");
        nothing_follows(&world);
    }
}

#[test]
fn a_write_that_was_carried_out_while_its_record_was_away_counts_when_that_is_back() {
    let (mapping, mut world, _) = left_behind(Side::Crm, "Acme Works");
    // The ERP has cut it.
    let back = comes(&world, Side::Erp, "erp-1", "Acme W");
    world.apply(&mapping, &Event::Changed(back));
    nothing_follows(&world);
    let emptied = holds(&world, Side::Crm, "crm-1", None);
    world.apply(&mapping, &Event::Changed(emptied));
    assert_eq!(next_name(&mut world, Side::Erp), Some(Value::Null));
}

#[test]
fn a_write_that_is_shown_after_its_record_was_away_and_came_back_is_no_edit() {
    let (mapping, mut world, first) = left_behind(Side::Crm, "one");
    let emptied = holds(&world, Side::Crm, "crm-1", None);
    world.apply(&mapping, &Event::Changed(emptied));
    let back = comes(&world, Side::Erp, "erp-1", "name0");
    world.apply(&mapping, &Event::Changed(back));
    let second = taken(&mut world, Side::Erp).number;
    let shown = holds(&world, Side::Erp, "erp-1", Some("one"));
    world.apply(&mapping, &ours(shown, first.0));
    let actual = BTreeMap::from([("name".to_owned(), Value::text("one"))]);
    world.apply(&mapping, &Event::Answered { write: second, answer: Answer::Rejected(Some(actual)), record: None });
    assert_eq!(next_name(&mut world, Side::Erp), Some(Value::Null), "what the CRM was emptied to goes there once more");
    nothing_follows(&world);
}

#[test]
fn what_a_write_leaves_while_the_record_that_it_came_from_is_away_is_agreed_on_when_that_is_back() {
    let (mapping, mut world, write) = left_behind(Side::Erp, "one");
    let shown = holds(&world, Side::Crm, "crm-1", Some("one"));
    world.apply(&mapping, &ours(shown, write.0));
    world.tick(10 * SECOND);
    // Somebody has edited it elsewhere.
    let back = comes(&world, Side::Erp, "erp-1", "two");
    world.apply(&mapping, &Event::Changed(back));
    assert_eq!(next_name(&mut world, Side::Crm), Some(Value::text("two")));
    nothing_follows(&world);
}

#[test]
fn what_each_side_was_to_have_of_its_own_is_not_agreed_on_when_a_record_is_back() {
    for loser in Side::BOTH {
        let (mapping, mut world) = start(Policy::LastWrite);
        world.edit(loser, &[("name", Value::text("old"))]);
        world.tick(10 * SECOND);
        world.edit(loser.other(), &[("name", Value::text("new"))]);
        world.settle(&mapping);
        let demand = reopen(&world, 0);
        ask(&mut world, &mapping, demand, false);
        let write = taken(&mut world, loser).number;
        world.apply(&mapping, &away(Side::Erp, "erp-1"));
        if loser == Side::Crm {
            let shown = holds(&world, Side::Crm, "crm-1", Some("old"));
            world.apply(&mapping, &ours(shown, write.0));
        }
        let back = comes(&world, Side::Erp, "erp-1", if loser == Side::Crm { "new" } else { "old" });
        world.apply(&mapping, &Event::Changed(back));
        // Its conflict is not open any more, so they are kept alike.
        let sent = Side::BOTH.into_iter().find_map(|side| world.systems[side].commands.front());
        assert!(sent.is_some(), "{loser:?}: {:#?}", world.state);
    }
}

/// What had lost in the CRM is on its way there, as its conflict is opened again, when the ERP's record leaves.
fn opening() -> (EntityMapping, World, WriteNumber) {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("old"))]);
    world.tick(10 * SECOND);
    world.edit(Side::Erp, &[("name", Value::text("new"))]);
    world.settle(&mapping);
    let demand = reopen(&world, 0);
    ask(&mut world, &mapping, demand, false);
    let write = taken(&mut world, Side::Crm).number;
    world.apply(&mapping, &away(Side::Erp, "erp-1"));
    world.tick(10 * SECOND);
    (mapping, world, write)
}

#[test]
fn a_record_that_we_make_is_ours_though_a_strangers_stood_in_its_place() {
    let (mapping, _) = start(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.systems.erp.manner.cut = Some(6);
    world.systems.crm.row.insert("name__c".to_owned(), Value::text("Acme Works"));
    world.systems.crm.stream.clear();
    world.read_again(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    let stranger = holds(&world, Side::Erp, "erp-9", Some("Acme Works"));
    world.apply(&mapping, &Event::Changed(stranger));
    world.apply(&mapping, &away(Side::Erp, "erp-9"));
    world.execute(Side::Erp, false);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme Works".to_owned(), "Acme W".to_owned()));
    nothing_follows(&world);
}

#[test]
fn a_conflict_that_is_open_again_shows_what_a_late_write_of_ours_replaces() {
    let (mapping, mut world) = lost();
    world.edit(Side::Erp, &[("name", Value::text("third"))]);
    world.deliver(&mapping, Side::Erp);
    // The record goes elsewhere, where that is put right, and comes back.
    world.apply(&mapping, &away(Side::Erp, "erp-1"));
    world.edit(Side::Erp, &[("name", Value::text("new"))]);
    world.systems.erp.stream.clear();
    let back = comes(&world, Side::Erp, "erp-1", "new");
    world.apply(&mapping, &Event::Changed(back));
    let demand = reopen(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.execute(Side::Erp, false);
    world.deliver(&mapping, Side::Erp);
    world.answer_of(&mapping, Side::Erp);
    assert!(world.state.fields["name"].held_by.is_some(), "{:#?}", world.state);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("third".to_owned(), "old".to_owned()));
    let open = world.state.conflicts.values().next().expect("it is open");
    assert_eq!((&open.values.crm.value, &open.values.erp.value), (&Value::text("new"), &Value::text("old")));
}

#[test]
fn what_a_record_held_that_is_deleted_by_a_write_from_before_it_came_is_on_record() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.apply(&mapping, &away(Side::Erp, "erp-1"));
    let other = SideChange { may_create: false, ..comes(&world, Side::Erp, "erp-9", "else") };
    world.apply(&mapping, &Event::Changed(other));
    nothing_follows(&world);
    let record = "erp-9".to_owned();
    let deleted = SideChange { side: Side::Erp, record, deleted: true, released: false, ours: true, foreign: true, ..released() };
    world.apply(&mapping, &Event::Changed(deleted));
    assert!(world.conflicts.values().any(|record| record.values.erp.value == Value::text("else")), "{:#?}", world.conflicts);
}

#[test]
fn an_edit_before_the_settlement_of_a_first_meeting_arrives_is_a_conflict_of_its_own() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.apply(&mapping, &away(Side::Erp, "erp-1"));
    world.tick(10 * SECOND);
    let other = comes(&world, Side::Erp, "erp-9", "else");
    world.apply(&mapping, &Event::Changed(other));
    let settles = taken(&mut world, Side::Crm);
    world.tick(10 * SECOND);
    let emptied = holds(&world, Side::Crm, "crm-1", None);
    world.apply(&mapping, &Event::Changed(emptied));
    let actual = BTreeMap::from([("name__c".to_owned(), Value::Null)]);
    world.apply(&mapping, &Event::Answered { write: settles.number, answer: Answer::Rejected(Some(actual)), record: None });
    assert_eq!(next_name(&mut world, Side::Erp), Some(Value::Null), "the newer edit wins");
    let values = |number: u64| Pair { crm: &world.conflicts[&number].values.crm.value, erp: &world.conflicts[&number].values.erp.value };
    assert_eq!(values(0), Pair { crm: &Value::text("name0"), erp: &Value::text("else") });
    assert_eq!(values(1), Pair { crm: &Value::Null, erp: &Value::text("else") });
}

#[test]
fn a_deletion_that_is_shown_after_a_later_write_was_found_done_does_not_make_what_came_back_with_the_record_an_edit() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Erp);
    let first = taken(&mut world, Side::Crm).number.0;
    let shown = holds(&world, Side::Crm, "crm-1", Some("one"));
    world.apply(&mapping, &ours(shown, first));
    world.edit(Side::Erp, &[("name", Value::text("two"))]);
    world.deliver(&mapping, Side::Erp);
    let second = taken(&mut world, Side::Crm).number.0;
    // Between the two it was deleted and brought back, of which nothing is known yet.
    let (gone, back) = (world.clock, holds(&world, Side::Crm, "crm-1", Some("one")));
    world.tick(10 * SECOND);
    world.apply(&mapping, &Event::Answered { write: WriteNumber(second), answer: Answer::Applied, record: None });
    let found =
        SideChange { snapshot: true, ours: true, write: Some(WriteNumber(second)), ..holds(&world, Side::Crm, "crm-1", Some("two")) };
    world.apply(&mapping, &Event::Read(found));
    let deleted = SideChange { deleted: true, at: gone, ..name(&world, Side::Crm, "crm-1", "") };
    let deleted = SideChange { fields: BTreeMap::new(), columns: BTreeMap::new(), may_create: false, ..deleted };
    world.apply(&mapping, &Event::Changed(deleted));
    world.apply(&mapping, &Event::Changed(SideChange { returned: true, write: Some(WriteNumber(first)), ..back }));
    let shown = holds(&world, Side::Crm, "crm-1", Some("two"));
    world.apply(&mapping, &ours(shown, second));
    assert!(world.systems.erp.commands.is_empty(), "{:#?}", world.systems.erp.commands);
    assert_eq!(world.state.fields["name"].seen.crm.as_ref().map(|seen| seen.value.clone()), Some(Value::text("two")));
}

#[test]
fn a_write_that_is_shown_when_the_record_that_it_came_from_is_back_is_agreed_on() {
    // What was edited meanwhile is newer than what the write had carried, and the target may have cut that.
    for (written, left, held) in [("one", "one", "two"), ("Acme Works", "Acme W", "Acme Works")] {
        let (mapping, mut world, first) = left_behind(Side::Erp, written);
        let back = comes(&world, Side::Erp, "erp-1", held);
        world.apply(&mapping, &Event::Changed(back));
        let second = taken(&mut world, Side::Crm);
        assert_eq!(second.values.get("name__c"), Some(&Value::text(held)));
        let shown = holds(&world, Side::Crm, "crm-1", Some(left));
        world.apply(&mapping, &ours(shown, first.0));
        let actual = BTreeMap::from([("name__c".to_owned(), Value::text(left))]);
        world.apply(&mapping, &Event::Answered { write: second.number, answer: Answer::Rejected(Some(actual)), record: None });
        if written != held {
            assert_eq!(next_name(&mut world, Side::Crm), Some(Value::text(held)), "it goes there once more");
        }
        nothing_follows(&world);
    }
}

#[test]
fn a_write_that_gave_each_side_its_own_is_not_agreed_on_although_it_is_shown_when_the_other_record_is_back() {
    let (mapping, mut world, write) = opening();
    let back = comes(&world, Side::Erp, "erp-1", "new");
    world.apply(&mapping, &Event::Changed(back));
    assert!(Side::BOTH.iter().all(|side| world.systems[*side].commands.is_empty()), "{:#?}", world.systems);
    let shown = holds(&world, Side::Crm, "crm-1", Some("old"));
    world.apply(&mapping, &ours(shown, write.0));
    // Its conflict is not open any more, so they are kept alike.
    assert_eq!(next_name(&mut world, Side::Erp), Some(Value::text("old")), "{:#?}", world.state);
}
