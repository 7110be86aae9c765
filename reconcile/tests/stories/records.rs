//! Records that are made, deleted, brought back, merged, met for the first time.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{CreatePolicy, DeletePolicy, Pair, Policy, Side};
use reconcile::merge::{Choice, Creation, DecisionResult, Demand, Event, WriteKind};

use super::{alone, ask, audited, both, calm, released, start};
use crate::world::{SECOND, World, mapping};

#[test]
fn a_record_is_made_on_the_other_side_once() {
    for side in Side::BOTH {
        let mapping = mapping(Policy::LastWrite);
        let mut world = alone(side);
        world.deliver(&mapping, side);
        world.repeat(&mapping, side);
        world.execute(side.other(), true);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("name0"));
        assert_eq!(world.systems[side.other()].made, 1);
        assert_eq!(world.confirmed[0].command.kind, WriteKind::Create);
        assert!(world.confirmed[0].command.reason.starts_with("created in"));
        audited(&world);
    }
}

#[test]
fn an_edit_while_the_record_is_being_made_follows_after_it() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.edit(Side::Crm, &[("name", Value::text("later"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("later"));
    assert_eq!(world.systems.erp.made, 1);
    audited(&world);
}

#[test]
fn a_value_cleared_in_a_record_before_its_stream_shows_how_it_was_made_is_cleared_across() {
    let mapping = mapping(Policy::LastWrite);
    for answered in [false, true] {
        let mut world = alone(Side::Erp);
        world.deliver(&mapping, Side::Erp);
        world.execute(Side::Crm, false);
        if answered {
            world.answer(&mapping);
        }
        world.edit(Side::Crm, &[("name", Value::Null)]);
        // What the stream had to tell has expired: the record is read as a whole.
        world.systems.crm.stream.clear();
        world.read_again(Side::Crm);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("-"));
        assert_eq!(world.confirmed.len(), 2);
        audited(&world);
    }
}

#[test]
fn a_write_on_its_way_ends_with_its_record_however_that_became_known() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("Acme"))]);
    world.deliver(&mapping, Side::Erp);
    world.execute(Side::Crm, false);
    world.answer(&mapping);
    world.edit(Side::Erp, &[("phone", Value::text("2"))]);
    world.deliver(&mapping, Side::Erp);
    world.systems.crm.stream.clear();
    world.delete(Side::Crm);
    // The second write finds no record; only then its stream says so.
    world.execute(Side::Crm, false);
    world.answer(&mapping);
    world.settle(&mapping);
    assert!(world.state.fields.values().all(|field| field.in_flight.is_none()), "{:?}", world.state.fields);
    assert!(world.state.writes.is_empty(), "{:?}", world.state.writes);
    assert_eq!(world.confirmed.len(), 1);
}

#[test]
fn nothing_is_made_while_first_copies_run_and_a_release_makes_it() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    if let Some(change) = world.systems.crm.stream.back_mut() {
        change.may_create = false;
    }
    world.settle(&mapping);
    assert!(world.systems.erp.record.is_none());
    world.apply(&mapping, &Event::Changed(released()));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("name0"));
    audited(&world);
}

#[test]
fn what_a_person_wants_made_waits_for_the_first_copies() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    if let Some(change) = world.systems.crm.stream.back_mut() {
        change.may_create = false;
    }
    world.settle(&mapping);
    assert_eq!(ask(&mut world, &mapping, Demand::Create { side: Side::Erp }, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert!(world.systems.erp.record.is_none(), "it may still turn up");
    world.apply(&mapping, &Event::Changed(released()));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("name0"));
}

#[test]
fn two_existing_records_agree_where_equal_and_follow_the_initial_policy_elsewhere() {
    let mut mapping = mapping(Policy::Review);
    mapping.first_contact = Policy::Erp;
    let mut world = World::linked(calm());
    world.systems.erp.row.insert("name".to_owned(), Value::text("erp name"));
    world.systems.crm.row.insert("phone__c".to_owned(), Value::Null);
    for side in Side::BOTH {
        world.read_again(side);
        if let Some(change) = world.systems[side].stream.back_mut() {
            change.may_create = false;
        }
    }
    world.settle(&mapping);
    assert!(world.confirmed.is_empty(), "first copies are still running");
    world.apply(&mapping, &Event::Changed(released()));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp name"));
    assert_eq!(world.values("phone"), both("phone0"), "an empty field is filled");
    assert_eq!(world.conflicts.len(), 1);
    assert!(world.conflicts[&0].reason.starts_with("first contact"));
    assert!(world.confirmed.iter().all(|confirmed| confirmed.command.backfill));
    audited(&world);
}

#[test]
fn a_delete_is_ignored_by_default_and_an_edit_on_the_other_side_is_on_record() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_some() && world.conflicts.is_empty());
    world.edit(Side::Crm, &[("name", Value::text("edited"))]);
    world.settle(&mapping);
    assert_eq!(world.conflicts.len(), 1);
    assert_eq!(world.conflicts[&0].field, reconcile::merge::RECORD);
    assert!(world.conflicts[&0].reason.contains("deleted in the ERP by erp user"), "{}", world.conflicts[&0].reason);
    // It comes back, with what it held: the edit goes across.
    let row = BTreeMap::from([("name".to_owned(), Value::text("name0")), ("phone".to_owned(), Value::text("phone0"))]);
    world.undelete(Side::Erp, "erp-1", row);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("edited"));
    audited(&world);
}

#[test]
fn a_delete_follows_by_policy_unless_the_other_side_was_edited() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    let mut world = World::agreed(&mapping, calm());
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_none());
    assert_eq!(world.confirmed[0].command.kind, WriteKind::Delete);

    let mut world = World::agreed(&mapping, calm());
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.edit(Side::Crm, &[("name", Value::text("edited"))]);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_some());
    assert_eq!(world.conflicts.len(), 1);
    assert_eq!(world.value(Side::Crm, "name"), Value::text("edited"));
}

#[test]
fn a_record_that_never_agreed_is_not_deleted_with_its_counterpart() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    let mut world = World::linked(calm());
    world.systems.crm.row.insert("name__c".to_owned(), Value::text("only here"));
    for side in Side::BOTH {
        world.read_again(side);
    }
    world.tick(10 * SECOND);
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_some());
    assert!(world.conflicts.values().any(|record| record.field == reconcile::merge::RECORD));
}

#[test]
fn a_person_is_asked_about_a_delete_and_decides() {
    for (choice, kept) in [(Side::Erp, false), (Side::Crm, true)] {
        let mut mapping = mapping(Policy::LastWrite);
        mapping.delete.crm = DeletePolicy::Ask;
        let mut world = World::agreed(&mapping, calm());
        world.delete(Side::Erp);
        world.settle(&mapping);
        assert_eq!(world.state.conflicts.len(), 1);
        world.decide(&mapping, Choice::Side(choice));
        world.settle(&mapping);
        assert_eq!(world.systems.crm.record.is_some(), kept);
    }
}

#[test]
fn a_deleted_record_is_archived_across_once() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete.crm = DeletePolicy::Archive;
    mapping.sides.crm.archive = BTreeMap::from([("active__c".to_owned(), Value::Bool(false))]);
    let mut world = World::agreed(&mapping, calm());
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(false)));
    world.edit(Side::Crm, &[("phone", Value::text("1"))]);
    world.settle(&mapping);
    assert_eq!(world.confirmed.len(), 1);
}

#[test]
fn the_loser_of_a_merge_relinks_and_never_deletes_the_winners_row() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    let mut world = World::agreed(&mapping, calm());
    let mut gone = released();
    (gone.released, gone.deleted, gone.record) = (false, true, "crm-loser".to_owned());
    assert!(world.apply(&mapping, &Event::Changed(gone)).is_empty());
    world.settle(&mapping);
    assert!(world.systems.erp.record.is_some());
}

fn asking() -> reconcile::mapping::EntityMapping {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.create = Pair { crm: CreatePolicy::Ask, erp: CreatePolicy::Ask };
    mapping
}

#[test]
fn a_person_is_asked_whether_a_record_is_made() {
    let mapping = asking();
    for (demand, made) in [(Demand::Create { side: Side::Erp }, 1), (Demand::Refuse { side: Side::Erp }, 0)] {
        let mut world = alone(Side::Crm);
        world.settle(&mapping);
        assert_eq!(world.state.conflicts.len(), 1);
        assert!(world.conflicts[&0].reason.starts_with("created in Salesforce"), "{}", world.conflicts[&0].reason);
        // An edit does not ask again.
        world.edit(Side::Crm, &[("name", Value::text("edited"))]);
        world.settle(&mapping);
        assert_eq!(world.conflicts.len(), 1);
        assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
        world.settle(&mapping);
        assert_eq!((world.systems.erp.made, world.state.conflicts.len()), (made, 0));
        if made == 1 {
            assert_eq!(world.values("name"), both("edited"));
            assert!(world.confirmed[0].command.decided);
            audited(&world);
        } else {
            // Until somebody wants it after all.
            assert_eq!(ask(&mut world, &mapping, Demand::Create { side: Side::Erp }, false), DecisionResult::Accepted);
            world.settle(&mapping);
            assert_eq!(world.systems.erp.made, 1);
        }
    }
}

#[test]
fn the_question_whether_a_record_is_made_is_answered_by_choosing_a_side() {
    let mapping = asking();
    for (side, made) in [(Side::Crm, 1), (Side::Erp, 0)] {
        let mut world = alone(Side::Crm);
        world.settle(&mapping);
        world.decide(&mapping, Choice::Side(side));
        world.settle(&mapping);
        assert_eq!(world.systems.erp.made, made);
        assert!(world.state.conflicts.is_empty());
    }
}

#[test]
fn the_question_is_withdrawn_when_the_record_arrives_or_its_source_goes() {
    let mapping = asking();
    let mut world = alone(Side::Crm);
    world.settle(&mapping);
    let row = BTreeMap::from([("name".to_owned(), Value::text("name0")), ("phone".to_owned(), Value::text("phone0"))]);
    world.undelete(Side::Erp, "erp-9", row);
    world.settle(&mapping);
    assert!(world.state.conflicts.is_empty() && world.conflicts[&0].reason.contains("by now"));
    audited(&world);
    let mut world = alone(Side::Crm);
    world.settle(&mapping);
    world.delete(Side::Crm);
    world.settle(&mapping);
    assert!(world.state.conflicts.is_empty() && world.state.sides.erp.creation == Creation::Unasked);
}

#[test]
fn a_question_stays_open_when_the_policy_changes() {
    let mut world = alone(Side::Crm);
    world.settle(&asking());
    let mapping = mapping(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("edited"))]);
    world.settle(&mapping);
    assert_eq!((world.systems.erp.made, world.state.conflicts.len()), (0, 1));
}

#[test]
fn archive_without_columns_asks_a_person() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::default(), erp: DeletePolicy::default() };
    let mut world = World::agreed(&mapping, calm());
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_some());
    assert_eq!(world.state.conflicts.len(), 1);
    // It comes back before anybody has decided.
    let row = BTreeMap::from([("name".to_owned(), Value::text("name0")), ("phone".to_owned(), Value::text("phone0"))]);
    world.undelete(Side::Erp, "erp-1", row);
    world.settle(&mapping);
    assert!(world.state.conflicts.is_empty());
    audited(&world);
}

fn archiving() -> reconcile::mapping::EntityMapping {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete.crm = DeletePolicy::Archive;
    mapping.sides.crm.archive = BTreeMap::from([("active__c".to_owned(), Value::Bool(false))]);
    mapping
}

fn archived(mapping: &reconcile::mapping::EntityMapping) -> World {
    let mut world = World::linked(calm());
    world.systems.crm.row.insert("active__c".to_owned(), Value::Bool(true));
    for side in Side::BOTH {
        world.read_again(side);
    }
    world.settle(mapping);
    world.delete(Side::Erp);
    world.settle(mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(false)));
    world
}

fn back(world: &mut World) {
    let row = BTreeMap::from([("name".to_owned(), Value::text("name0")), ("phone".to_owned(), Value::text("phone0"))]);
    world.undelete(Side::Erp, "erp-1", row);
}

#[test]
fn a_record_that_comes_back_takes_its_counterpart_out_of_the_archive() {
    let mapping = archiving();
    let mut world = archived(&mapping);
    back(&mut world);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(true)));
    audited(&world);
    // And may go again.
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(false)));
}

#[test]
fn what_somebody_made_of_the_archive_columns_stands() {
    let mapping = archiving();
    let mut world = archived(&mapping);
    world.systems.crm.row.insert("active__c".to_owned(), Value::text("blocked"));
    back(&mut world);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::text("blocked")));
    assert!(world.conflicts.values().any(|record| record.reason.contains("out of the archive")));
    audited(&world);
}

#[test]
fn a_record_that_leaves_takes_nothing_along_and_another_may_come() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = World::agreed(&mapping, calm());
    let mut left = released();
    (left.released, left.unlinked, left.side, left.record) = (false, true, Side::Erp, "erp-1".to_owned());
    world.systems.erp.record = None;
    world.systems.erp.row.clear();
    world.apply(&mapping, &Event::Changed(left));
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_some());
    assert_eq!(world.systems.erp.made, 1, "the policy makes what the side lacks now");
    assert_eq!(world.values("name"), both("name0"));
    audited(&world);
}

#[test]
fn a_write_is_audited_when_its_record_leaves_before_it_is_shown() {
    let (mapping, mut world) = start(Policy::LastWrite);
    for (field, value) in [("name", "one"), ("phone", "1")] {
        world.edit(Side::Crm, &[(field, Value::text(value))]);
        world.deliver(&mapping, Side::Crm);
        world.tick(SECOND);
    }
    let audited = |world: &World| world.confirmed.iter().map(|confirmed| confirmed.command.number.0).collect::<Vec<_>>();
    world.execute(Side::Erp, false);
    world.answer(&mapping);
    assert!(audited(&world).is_empty());
    let mut left = released();
    (left.released, left.unlinked, left.side, left.record) = (false, true, Side::Erp, "erp-1".to_owned());
    world.apply(&mapping, &Event::Changed(left));
    assert_eq!(audited(&world), [0]);
    // The other one is on its way: its answer tells.
    world.execute(Side::Erp, false);
    world.answer(&mapping);
    assert_eq!(audited(&world), [0, 1]);
}

#[test]
fn a_deleted_record_that_is_found_to_be_back_although_its_stream_lost_both_is_kept_alike_again() {
    for answered in [true, false] {
        let mut mapping = mapping(Policy::LastWrite);
        mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
        let mut world = World::agreed(&mapping, calm());
        let row = world.systems.crm.row.clone();
        let id = world.systems.crm.record.clone().expect("a record");
        world.delete(Side::Erp);
        world.deliver(&mapping, Side::Erp);
        let number = world.systems.crm.commands.front().expect("a delete").number.0;
        world.execute(Side::Crm, false);
        if answered {
            world.answer(&mapping);
        }
        // Its stream loses the delete and the return.
        world.systems.crm.stream.clear();
        world.systems.crm.record = Some(id);
        world.systems.crm.row = row;
        world.systems.crm.bears = Some(number);
        world.systems.crm.by_us = false;
        world.tick(10 * SECOND);
        world.read_again(Side::Crm);
        world.settle(&mapping);
        world.edit(Side::Crm, &[("name", Value::text("edited"))]);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("edited"));
        audited(&world);
    }
}
