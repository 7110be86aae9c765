//! Values that lost come back, and settled conflicts open again.

use reconcile::Value;
use reconcile::mapping::{EntityMapping, Policy, Side};
use reconcile::merge::{Choice, DecisionResult, Demand, Event, Verdict};

use super::{ask, audited, both, reopen, restore, start};
use crate::auditor;
use crate::world::{SECOND, World};

/// `old` in the ERP has lost against `new` in the CRM.
pub(super) fn lost() -> (EntityMapping, World) {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("old"))]);
    world.tick(10 * SECOND);
    world.edit(Side::Crm, &[("name", Value::text("new"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("new"));
    (mapping, world)
}

fn at_rest(world: &World) {
    let wrong = auditor::at_rest(world);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_value_that_lost_comes_back_on_both_sides_and_what_it_replaces_is_kept() {
    let (mapping, mut world) = lost();
    let demand = restore(&world, 0, Choice::Side(Side::Erp));
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("old"));
    let record = &world.conflicts[&1];
    assert_eq!((&record.values.crm.value, &record.values.erp.value), (&Value::text("new"), &Value::text("new")));
    assert_eq!(record.settled.as_ref().and_then(|settled| settled.by.as_deref()), Some("Ana Lima"));
    at_rest(&world);
    // Restoring what that replaced is the way back.
    let demand = restore(&world, 1, Choice::Side(Side::Crm));
    ask(&mut world, &mapping, demand, false);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("new"));
    at_rest(&world);
    // And once more changes nothing.
    let demand = restore(&world, 1, Choice::Side(Side::Crm));
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Unchanged);
}

#[test]
fn a_value_older_than_what_is_remembered_comes_along_with_the_decision() {
    let (mapping, mut world) = lost();
    let gone =
        Demand::Restore { conflict: Some(reconcile::merge::ConflictNumber(0)), field: None, choice: Choice::Side(Side::Erp), kept: None };
    assert_eq!(ask(&mut world, &mapping, gone, false), DecisionResult::Refused);
    assert!(world.replies.last().is_some_and(|(_, reason)| reason.contains("name the field and the value")), "{:?}", world.replies);
    let given = Demand::Restore {
        conflict: Some(reconcile::merge::ConflictNumber(0)),
        field: Some("name".to_owned()),
        choice: Choice::Value(Value::text("old")),
        kept: None,
    };
    assert_eq!(ask(&mut world, &mapping, given, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("old"));
    at_rest(&world);
}

#[test]
fn an_edit_during_a_restore_wins_and_the_restored_value_is_on_record() {
    let (mapping, mut world) = lost();
    let demand = restore(&world, 0, Choice::Side(Side::Erp));
    ask(&mut world, &mapping, demand, false);
    world.tick(SECOND);
    world.edit(Side::Crm, &[("name", Value::text("newest"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("newest"));
    at_rest(&world);
}

#[test]
fn a_restore_waits_for_a_write_on_its_way() {
    let (mapping, mut world) = lost();
    world.edit(Side::Crm, &[("name", Value::text("newest"))]);
    world.deliver(&mapping, Side::Crm);
    let demand = restore(&world, 0, Choice::Side(Side::Erp));
    let verdict = Verdict::new("d1", "Bo", demand);
    for _ in 0..2 {
        world.apply(&mapping, &Event::Decided(verdict.clone()));
        assert_eq!(world.replies.last().expect("an answer").0, DecisionResult::Waiting);
        assert_eq!(world.state.queued.len(), 1, "the same decision again waits once");
    }
    world.settle(&mapping);
    assert_eq!(world.replies.last().expect("an answer").0, DecisionResult::Accepted);
    world.apply(&mapping, &Event::Decided(verdict));
    assert_eq!(world.replies.last().expect("an answer").0, DecisionResult::Unchanged);
    assert_eq!(world.values("name"), both("old"));
    assert!(world.state.queued.is_empty());
    at_rest(&world);
}

#[test]
fn a_settled_conflict_opens_again_with_both_sides_holding_what_they_held() {
    let (mapping, mut world) = lost();
    let demand = reopen(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("new".to_owned(), "old".to_owned()));
    assert_eq!(world.state.conflicts.len(), 1);
    assert_eq!(world.state.fields["name"].held_by, Some(reconcile::merge::ConflictNumber(0)));
    at_rest(&world);
    let demand = reopen(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Unchanged);
    world.decide(&mapping, Choice::Side(Side::Erp));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("old"));
    at_rest(&world);
}

#[test]
fn a_decision_for_another_value_and_one_for_both_open_again_too() {
    for choice in [Choice::Value(Value::text("neither")), Choice::Both] {
        let (mapping, mut world) = start(Policy::Review);
        world.edit(Side::Erp, &[("name", Value::text("erp"))]);
        world.edit(Side::Crm, &[("name", Value::text("crm"))]);
        world.deliver(&mapping, Side::Crm);
        world.settle(&mapping);
        world.decide(&mapping, choice);
        world.settle(&mapping);
        let demand = reopen(&world, 0);
        assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Accepted);
        world.settle(&mapping);
        assert_eq!(world.values("name"), ("crm".to_owned(), "erp".to_owned()));
        assert_eq!(world.state.conflicts.len(), 1);
        at_rest(&world);
    }
}

#[test]
fn a_conflict_whose_field_was_edited_since_opens_again_only_by_force() {
    let (mapping, mut world) = lost();
    world.edit(Side::Erp, &[("name", Value::text("later"))]);
    world.settle(&mapping);
    let demand = reopen(&world, 0);
    assert_eq!(ask(&mut world, &mapping, demand.clone(), false), DecisionResult::Refused);
    let reason = world.replies.last().expect("an answer").1.clone();
    assert!(reason.contains("edited since") && reason.contains("erp user"), "{reason}");
    assert_eq!(ask(&mut world, &mapping, demand, true), DecisionResult::Accepted);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("new".to_owned(), "old".to_owned()));
    assert!(world.conflicts.values().any(|record| record.values.erp.value == Value::text("later")), "the edit is on record");
    at_rest(&world);
}

#[test]
fn an_edit_while_a_conflict_opens_again_is_in_it() {
    let (mapping, mut world) = lost();
    let demand = reopen(&world, 0);
    ask(&mut world, &mapping, demand, false);
    world.edit(Side::Erp, &[("name", Value::text("meanwhile"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("new".to_owned(), "meanwhile".to_owned()));
    assert_eq!(world.state.conflicts.values().next().map(|record| record.values.erp.value.clone()), Some(Value::text("meanwhile")));
    assert!(world.conflicts.values().any(|record| record.settled.is_some() && record.values.erp.value == Value::text("old")));
    at_rest(&world);
}

#[test]
fn what_was_restored_is_an_ordinary_value_afterwards() {
    let (mapping, mut world) = lost();
    let demand = restore(&world, 0, Choice::Side(Side::Erp));
    ask(&mut world, &mapping, demand, false);
    world.settle(&mapping);
    world.edit(Side::Crm, &[("name", Value::text("next"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("next"));
    audited(&world);
}
