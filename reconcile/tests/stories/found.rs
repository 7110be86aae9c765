//! What the search found, as stories.

use reconcile::Value;
use reconcile::mapping::{Pair, Policy, Side};
use reconcile::merge::{Choice, DecisionResult};

use super::{ask, audited, both, calm, racy_crm, start, undo};
use crate::auditor;
use crate::reference;
use crate::world::{Manner, SECOND, World, mapping};

#[test]
fn a_decision_that_waits_for_another_one_is_carried_out_though_nothing_else_comes() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("one"))]);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    ask(&mut world, &mapping, demand, false);
    world.execute(Side::Crm, false);
    world.deliver(&mapping, Side::Crm);
    world.answer_of(&mapping, Side::Crm);
    // Its second write is on its way; to take that back has to wait.
    let demand = undo(&world, 2);
    assert_eq!(ask(&mut world, &mapping, demand, false), DecisionResult::Waiting);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Erp);
    assert!(world.state.queued.is_empty(), "{:?}", world.state.queued);
    world.settle(&mapping);
    assert!(auditor::at_rest(&world).is_empty(), "{:#?}", auditor::at_rest(&world));
}

#[test]
fn what_was_undone_does_not_come_back_because_a_record_was_read_early() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("wrong"))]);
    world.settle(&mapping);
    let demand = undo(&world, 0);
    ask(&mut world, &mapping, demand, false);
    world.execute(Side::Crm, false);
    world.deliver(&mapping, Side::Crm);
    world.answer_of(&mapping, Side::Crm);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    world.read_owed(Side::Erp);
    world.answer_of(&mapping, Side::Erp);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("name0"));
    assert_eq!(world.conflicts.len(), 1, "what the undo replaced, and nothing else: {:?}", world.conflicts);
}

#[test]
fn what_a_target_made_of_a_value_is_not_carried_back_because_a_record_was_read_early() {
    let mapping = mapping(Policy::LastWrite);
    let cut = Manner { racy: true, cut: Some(3), ..Manner::default() };
    let mut world = World::agreed(&mapping, Pair { crm: cut, ..calm() });
    world.edit(Side::Erp, &[("name", Value::text("older"))]);
    world.deliver(&mapping, Side::Erp);
    world.check(Side::Crm);
    world.tick(10 * SECOND);
    world.edit(Side::Crm, &[("name", Value::text("newer"))]);
    // Ours replaces the edit before anybody could know; the newer one wins.
    world.execute(Side::Crm, false);
    for _ in 0..2 {
        world.deliver(&mapping, Side::Crm);
    }
    world.check(Side::Crm);
    world.execute(Side::Crm, false);
    world.deliver(&mapping, Side::Crm);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    world.read_owed(Side::Erp);
    world.answer_of(&mapping, Side::Erp);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("new".to_owned(), "newer".to_owned()));
    assert!(reference::at_rest(&mapping, &world).is_empty(), "{:#?}", reference::at_rest(&mapping, &world));
}

#[test]
fn each_side_gets_its_own_back_when_a_person_keeps_both_after_our_write_had_replaced_one() {
    let mapping = mapping(Policy::Review);
    let mut world = World::agreed(&mapping, racy_crm());
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Erp);
    world.check(Side::Crm);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.execute(Side::Crm, false);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp"));
    world.decide(&mapping, Choice::Both);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("crm".to_owned(), "erp".to_owned()));
    audited(&world);
}
