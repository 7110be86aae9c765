//! Writes are taken back.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, Pair, Policy, Side};
use reconcile::merge::{Choice, DecisionResult, Demand, WriteKind};

use super::{alone, ask, both, calm, restore, start, undo};
use crate::auditor;
use crate::world::{Manner, SECOND, World, mapping};

fn at_rest(world: &World) {
    let wrong = auditor::at_rest(world);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_edit_that_was_carried_across_is_taken_back_on_both_sides_and_kept() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("wrong")), ("phone", Value::text("1"))]);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand.clone(), false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!((world.values("name"), world.values("phone")), (both("name0"), both("phone0")));
    at_rest(&world);
    let kept = world.conflicts.values().find(|record| record.field == "name").expect("kept").clone();
    assert_eq!(kept.values.crm.value, Value::text("wrong"));
    assert!(kept.reason.contains("undone by Ana Lima"), "{}", kept.reason);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Unchanged);
    // To do it again is to restore.
    let demand = restore(&world, kept.number.0, Choice::Side(Side::Crm));
    ask(&mut world, &mapping, demand, false);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("wrong"));
    at_rest(&world);
}

#[test]
fn an_edit_since_is_not_written_over_unless_forced() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("one"))]);
    world.settle(&mapping);
    world.edit(Side::Erp, &[("name", Value::text("two"))]);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand.clone(), false), DecisionResult::Refused);
    assert!(world.replies.last().is_some_and(|(_, reason)| reason.contains("edited since")), "{:?}", world.replies);
    assert_eq!(ask(&mut world, &mapping, demand, true), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("name0"));
    at_rest(&world);
}

#[test]
fn writes_taken_back_all_at_once_newest_first_end_at_the_oldest_value() {
    for delivered in [true, false] {
        let (mapping, mut world) = start(Policy::LastWrite);
        for (number, side) in [Side::Crm, Side::Erp, Side::Crm].into_iter().enumerate() {
            world.edit(side, &[("name", Value::text(format!("v{number}")))]);
            world.tick(10 * SECOND);
            if number < 2 || delivered {
                world.settle(&mapping);
            }
        }
        world.deliver(&mapping, Side::Crm);
        assert_eq!(world.state.next_write, 3);
        let demands: Vec<Demand> = (0..3).rev().map(|number| undo(&world, number)).collect();
        for demand in demands {
            let answer = ask(&mut world, &mapping, demand, false);
            assert!(matches!(answer, DecisionResult::Accepted | DecisionResult::Waiting), "{:?}", world.replies);
        }
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("name0"), "{:?}", world.replies);
        assert_eq!(world.replies.iter().filter(|(result, _)| *result == DecisionResult::Accepted).count(), 3, "{:?}", world.replies);
        assert!(world.state.queued.is_empty());
        at_rest(&world);
    }
}

#[test]
fn a_write_that_was_never_carried_out_cannot_be_taken_back() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("far too long"))]);
    world.deliver(&mapping, Side::Crm);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Waiting);
    world.refuse(Side::Erp, "STRING_TOO_LONG");
    world.settle(&mapping);
    let (result, reason) = world.replies.last().expect("an answer").clone();
    assert_eq!(result, DecisionResult::Refused);
    assert!(reason.contains("not carried out"), "{reason}");
}

#[test]
fn what_the_target_had_altered_gets_its_own_value_back() {
    let mapping = mapping(Policy::LastWrite);
    let manners = Pair { crm: Manner { cut: Some(4), ..Manner::default() }, ..calm() };
    let mut world = World::agreed(&mapping, manners);
    world.edit(Side::Erp, &[("name", Value::text("Acme Limited"))]);
    world.settle(&mapping);
    world.edit(Side::Erp, &[("name", Value::text("Best Limited"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Best".to_owned(), "Best Limited".to_owned()));
    let last = world.confirmed.last().expect("written").command.number.0;
    let demand = undo(&world, last);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme".to_owned(), "Acme Limited".to_owned()));
    at_rest(&world);
}

#[test]
fn a_made_record_is_removed_and_made_again_only_when_asked_for() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert!(world.systems.erp.record.is_none() && world.systems.crm.record.is_some());
    world.edit(Side::Crm, &[("name", Value::text("edited"))]);
    world.settle(&mapping);
    assert_eq!(world.systems.erp.made, 1, "it is not made again by itself");
    assert_eq!(ask(&mut world, &mapping, Demand::Create { side: Side::Erp }, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!((world.systems.erp.made, world.values("name")), (2, both("edited")));
    at_rest(&world);
}

#[test]
fn a_made_record_that_was_edited_is_not_removed() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.settle(&mapping);
    world.edit(Side::Erp, &[("phone", Value::text("1"))]);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Refused);
    // An edit that is not known yet makes the removal fail, and the record stays.
    let mut world = alone(Side::Crm);
    world.settle(&mapping);
    world.edit(Side::Erp, &[("phone", Value::text("1"))]);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert!(world.systems.erp.record.is_some());
    assert!(world.conflicts.values().any(|record| record.reason.contains("could not be removed")));
    assert_eq!(world.values("phone"), both("1"));
    at_rest(&world);
    // And when it is deleted later, that is an ordinary deletion.
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert!(world.state.sides.erp.deleted && !world.state.sides.erp.followed);
}

#[test]
fn a_record_deleted_by_the_policy_is_made_again() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    let mut world = World::agreed(&mapping, calm());
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_none());
    let written = world.confirmed.last().expect("deleted").command.clone();
    assert_eq!(written.kind, WriteKind::Delete);
    let demand = undo(&world, written.number.0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_some() && world.systems.erp.record.is_none());
    assert_eq!(world.value(Side::Crm, "name"), Value::text("name0"));
    assert!(world.state.writes.is_empty());
    // What was made again and is gone again was not deleted by that write.
    world.delete(Side::Crm);
    world.settle(&mapping);
    let demand = undo(&world, written.number.0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Refused);
}

#[test]
fn an_archived_record_is_taken_out_of_the_archive() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete.crm = DeletePolicy::Archive;
    mapping.sides.crm.archive = BTreeMap::from([("active__c".to_owned(), Value::Bool(false))]);
    let mut world = World::linked(calm());
    world.systems.crm.row.insert("active__c".to_owned(), Value::Bool(true));
    for side in Side::BOTH {
        world.read_again(side);
    }
    world.settle(&mapping);
    world.delete(Side::Erp);
    world.settle(&mapping);
    let number = world.confirmed.last().expect("archived").command.number.0;
    let demand = undo(&world, number);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(true)));
    world.edit(Side::Crm, &[("phone", Value::text("1"))]);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(true)), "it stays out of it");
}

#[test]
fn a_field_in_review_is_not_touched() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("one"))]);
    world.settle(&mapping);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, true), DecisionResult::Refused);
    assert_eq!(world.values("name"), ("crm".to_owned(), "erp".to_owned()));
}
