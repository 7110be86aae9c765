//! What was refused for good and is tried again because a person says that the cause is gone.

use reconcile::Value;
use reconcile::mapping::{Expression, Policy, Side};
use reconcile::merge::{Choice, DecisionResult, Demand, Event, Verdict, WriteKind};

use super::{alone, ask, audited, both, restore, start};
use crate::world::{World, mapping};

const AGAIN: Demand = Demand::Retry { side: None };

fn said(world: &World) -> &str {
    world.replies.last().map(|(_, reason)| reason.as_str()).expect("an answer")
}

/// Both fields were edited in the CRM, and the ERP refused that.
fn refused() -> (reconcile::mapping::EntityMapping, World) {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("far too long")), ("phone", Value::text("1"))]);
    world.deliver(&mapping, Side::Crm);
    world.refuse(Side::Erp, "STRING_TOO_LONG");
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("far too long".to_owned(), "name0".to_owned()));
    (mapping, world)
}

#[test]
fn what_was_refused_is_carried_across_when_it_is_tried_again_after_the_cause_is_gone() {
    let (mapping, mut world) = refused();
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Accepted);
    assert_eq!(said(&world), "2 fields are tried again");
    world.settle(&mapping);
    assert_eq!((world.values("name"), world.values("phone")), (both("far too long"), both("1")));
    assert!(world.state.fields.values().all(|field| field.failed.is_none()));
    assert_eq!(world.confirmed.len(), 1, "one command, as at first");
    audited(&world);
}

#[test]
fn what_is_refused_again_is_told_again() {
    let (mapping, mut world) = refused();
    ask(&mut world, &mapping, AGAIN, false);
    world.tick(7);
    world.refuse(Side::Erp, "READ_ONLY");
    world.settle(&mapping);
    let failed = world.state.fields["name"].failed.clone().expect("failed again");
    assert_eq!((failed.target, failed.reason.as_str()), (Side::Erp, "READ_ONLY"));
    // And once more, until it is taken.
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("far too long"));
    audited(&world);
}

#[test]
fn nothing_is_tried_again_where_nothing_was_refused_or_the_other_side_refused_it() {
    let (mapping, mut world) = start(Policy::LastWrite);
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Unchanged);
    assert_eq!(said(&world), "nothing was refused");
    let (mapping, mut world) = refused();
    assert_eq!(ask(&mut world, &mapping, Demand::Retry { side: Some(Side::Crm) }, false), DecisionResult::Unchanged);
    world.settle(&mapping);
    assert_eq!(world.values("phone").1, "phone0");
    assert_eq!(ask(&mut world, &mapping, Demand::Retry { side: Some(Side::Erp) }, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("phone"), both("1"));
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Unchanged, "it has ended");
    audited(&world);
}

#[test]
fn the_same_decision_again_tries_nothing_again() {
    let (mapping, mut world) = refused();
    let again = Event::Decided(Verdict::new("again", "Ana Lima", AGAIN));
    world.apply(&mapping, &again);
    world.refuse(Side::Erp, "READ_ONLY");
    world.settle(&mapping);
    world.apply(&mapping, &again);
    assert_eq!((world.replies.last().expect("an answer").0, world.systems.erp.commands.len()), (DecisionResult::Unchanged, 0));
    assert_eq!(said(&world), "this decision was taken before");
}

#[test]
fn an_edit_that_the_target_did_not_tell_of_yet_is_not_written_over_by_trying_again() {
    let (mapping, mut world) = refused();
    world.tick(crate::world::SECOND * 60);
    world.edit(Side::Erp, &[("name", Value::text("newer"))]);
    ask(&mut world, &mapping, AGAIN, false);
    world.settle(&mapping);
    assert_eq!((world.values("name"), world.values("phone")), (both("newer"), both("1")));
    assert!(world.conflicts.values().any(|conflict| conflict.values.crm.value == Value::text("far too long")), "it is on record");
    audited(&world);
}

#[test]
fn a_record_that_could_not_be_made_is_made_when_that_is_tried_again() {
    let mapping = mapping(Policy::LastWrite);
    for side in Side::BOTH {
        let mut world = alone(side);
        world.deliver(&mapping, side);
        world.refuse(side.other(), "INSUFFICIENT_ACCESS");
        world.settle(&mapping);
        assert!(world.systems[side.other()].record.is_none());
        assert_eq!(ask(&mut world, &mapping, Demand::Retry { side: Some(side) }, false), DecisionResult::Unchanged);
        assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Accepted);
        assert_eq!(said(&world), "the record that was refused is tried again");
        world.refuse(side.other(), "INSUFFICIENT_ACCESS");
        world.settle(&mapping);
        assert!(world.state.sides[side.other()].create_failed.is_some(), "refused again");
        ask(&mut world, &mapping, AGAIN, false);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("name0"));
        assert_eq!((world.systems[side.other()].made, world.confirmed[0].command.kind), (1, WriteKind::Create));
        assert!(world.state.sides[side.other()].create_failed.is_none());
        audited(&world);
    }
}

#[test]
fn a_record_that_a_person_did_not_want_after_it_was_refused_is_not_made() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.refuse(Side::Erp, "INSUFFICIENT_ACCESS");
    world.settle(&mapping);
    assert_eq!(ask(&mut world, &mapping, Demand::Refuse { side: Side::Erp }, false), DecisionResult::Accepted);
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Unchanged);
    world.settle(&mapping);
    assert!(world.systems.erp.record.is_none());
}

#[test]
fn what_the_mapping_cannot_write_is_said_again_until_it_can() {
    let mut strict = mapping(Policy::LastWrite);
    strict.fields[0].required = true;
    let mut world = World::agreed(&strict, super::calm());
    world.edit(Side::Crm, &[("name", Value::Null)]);
    world.settle(&strict);
    assert!(world.state.fields["name"].failed.is_some());
    assert_eq!(ask(&mut world, &strict, AGAIN, false), DecisionResult::Refused);
    assert!(said(&world).contains("cannot write") && said(&world).contains("correct the value or the mapping"), "{}", said(&world));
    world.settle(&strict);
    assert!(world.state.fields["name"].failed.is_some());
    // Another mapping, under which nothing reads otherwise, lets it through.
    let lax = mapping(Policy::LastWrite);
    assert_eq!(ask(&mut world, &lax, AGAIN, false), DecisionResult::Accepted);
    world.settle(&lax);
    assert_eq!(world.value(Side::Erp, "name"), Value::Null);
    assert!(world.state.fields["name"].failed.is_none());
}

#[test]
fn a_record_that_the_mapping_cannot_make_is_made_when_it_can() {
    let mut strict = mapping(Policy::LastWrite);
    strict.fields[0].required = true;
    let mut world = alone(Side::Crm);
    world.systems.crm.row.insert("name__c".to_owned(), Value::Null);
    world.systems.crm.stream.clear();
    world.read_again(Side::Crm);
    world.settle(&strict);
    assert!(world.state.sides.erp.create_failed.is_some());
    assert_eq!(ask(&mut world, &strict, AGAIN, false), DecisionResult::Refused);
    let lax = mapping(Policy::LastWrite);
    assert_eq!(ask(&mut world, &lax, AGAIN, false), DecisionResult::Accepted);
    world.settle(&lax);
    assert_eq!((world.systems.erp.made, world.values("phone")), (1, both("phone0")));
}

#[test]
fn a_restored_value_that_was_refused_arrives_when_it_is_tried_again() {
    let (mapping, mut world) = start(Policy::Crm);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("crm"));
    let demand = restore(&world, 0, Choice::Side(Side::Erp));
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.refuse(Side::Crm, "READ_ONLY");
    world.settle(&mapping);
    assert!(world.state.fields["name"].failed.is_some(), "{:?}", world.state.fields["name"]);
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp"));
    audited(&world);
}

#[test]
fn a_field_that_waits_for_a_person_stays_so() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("crm")), ("phone", Value::text("1"))]);
    world.deliver(&mapping, Side::Crm);
    world.refuse(Side::Erp, "STRING_TOO_LONG");
    world.settle(&mapping);
    mapping.fields[0].review_when = Some(Expression::compile("true").expect("compiles"));
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.settle(&mapping);
    assert_eq!(world.state.conflicts.len(), 1);
    assert_eq!(ask(&mut world, &mapping, AGAIN, false), DecisionResult::Accepted);
    assert_eq!(said(&world), "1 field is tried again");
    world.settle(&mapping);
    assert_eq!((world.values("name"), world.values("phone")), (("crm".to_owned(), "erp".to_owned()), both("1")));
    assert_eq!(world.state.conflicts.len(), 1);
    audited(&world);
}
