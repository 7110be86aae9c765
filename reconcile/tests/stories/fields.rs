//! Edits of fields: one side, both sides, altered, overtaken, rejected, one way.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{Direction, Drift, Pair, Policy, Side};
use reconcile::merge::{Answer, Event, WriteNumber};

use super::{audited, both, calm, racy_crm, start};
use crate::world::{Manner, SECOND, World, mapping};

#[test]
fn an_edit_on_one_side_reaches_the_other_with_one_write() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("Acme")), ("phone", Value::text("1"))]);
    world.settle(&mapping);
    assert_eq!((world.values("name"), world.values("phone")), (both("Acme"), both("1")));
    let confirmed = &world.confirmed;
    assert_eq!(confirmed.len(), 1, "two fields of one edit are one write");
    assert_eq!(confirmed[0].command.reason, "edited in the ERP by erp user");
    let before_after = (Value::text("name0"), Value::text("Acme"));
    assert_eq!(confirmed[0].columns.get("name__c"), Some(&before_after));
    audited(&world);
}

#[test]
fn the_newer_of_two_edits_wins_and_the_older_is_kept() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("old"))]);
    world.tick(10 * SECOND);
    world.edit(Side::Crm, &[("name", Value::text("new"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("new"));
    let record = world.conflicts.values().next().expect("a conflict");
    let settled = record.settled.as_ref().expect("settled");
    assert_eq!((settled.winner, settled.tie), (Some(Side::Crm), false));
    assert_eq!(record.values.erp.value, Value::text("old"));
    assert_eq!(record.values.erp.actor.as_deref(), Some("erp user"));
    assert_eq!(record.base, Pair { crm: Value::text("name0"), erp: Value::text("name0") });
    audited(&world);
}

#[test]
fn edits_within_the_skew_are_a_tie_that_the_configured_side_wins() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.tick(SECOND);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp"));
    let settled = world.conflicts[&0].settled.clone().expect("settled");
    assert!(settled.tie);
    audited(&world);
}

#[test]
fn a_side_that_wins_by_policy_wins_against_newer_edits() {
    for (policy, winner) in [(Policy::Crm, "crm"), (Policy::Erp, "erp")] {
        let (mapping, mut world) = start(policy);
        world.edit(Side::Crm, &[("name", Value::text("crm"))]);
        world.edit(Side::Erp, &[("name", Value::text("erp"))]);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both(winner));
        audited(&world);
    }
}

#[test]
fn the_same_value_on_both_sides_is_no_conflict_and_no_write() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("same"))]);
    world.edit(Side::Erp, &[("name", Value::text("same"))]);
    world.deliver(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert!(world.conflicts.is_empty());
    audited(&world);
}

#[test]
fn a_value_that_the_target_trims_is_altered_and_not_carried_back() {
    let mapping = mapping(Policy::LastWrite);
    let manners = Pair { crm: Manner { cut: Some(4), ..Manner::default() }, ..calm() };
    let mut world = World::agreed(&mapping, manners);
    world.edit(Side::Erp, &[("name", Value::text("Acme Limited"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme".to_owned(), "Acme Limited".to_owned()));
    assert!(world.confirmed[0].altered);
    audited(&world);
    // Trimmed to what was there before: the target shows nothing, and a read confirms it.
    world.edit(Side::Erp, &[("name", Value::text("Acme GmbH"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme".to_owned(), "Acme GmbH".to_owned()));
    audited(&world);
}

#[test]
fn a_trigger_that_changes_another_field_in_our_transaction_is_a_real_change() {
    let mapping = mapping(Policy::LastWrite);
    let trigger = Some(("name".to_owned(), "phone".to_owned()));
    let manners = Pair { erp: Manner { trigger, whole_rows: true, ..Manner::default() }, ..calm() };
    let mut world = World::agreed(&mapping, manners);
    world.edit(Side::Crm, &[("name", Value::text("Acme"))]);
    world.settle(&mapping);
    assert_eq!(world.values("phone"), both("(Acme)"));
    audited(&world);
}

#[test]
fn a_rejected_precondition_becomes_an_ordinary_conflict() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.deliver(&mapping, Side::Crm);
    world.tick(5 * SECOND);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp"));
    assert_eq!(world.conflicts[&0].values.crm.value, Value::text("crm"));
    audited(&world);
}

#[test]
fn a_rejection_waits_for_the_stream_to_show_whose_edit_it_was() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.deliver(&mapping, Side::Crm);
    let actual = BTreeMap::from([("name".to_owned(), Value::text("erp"))]);
    let event = Event::Answered { write: WriteNumber(0), answer: Answer::Rejected(Some(actual)), record: None };
    world.tick(5 * SECOND);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    assert_eq!(world.apply(&mapping, &event), []);
    world.deliver(&mapping, Side::Erp);
    assert_eq!(world.state.conflicts.len(), 1);
    let erp = &world.conflicts[&0].values.erp;
    assert_eq!((&erp.value, erp.actor.as_deref(), erp.at), (&Value::text("erp"), Some("erp user"), world.clock));
}

#[test]
fn an_edit_that_our_write_overtook_is_a_conflict_and_the_newer_one_is_restored() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = World::agreed(&mapping, racy_crm());
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Erp);
    world.check(Side::Crm);
    world.tick(10 * SECOND);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.settle(&mapping);
    assert!(world.conflicts[&0].overtaken);
    assert_eq!(world.values("name"), both("crm"));
    audited(&world);
}

#[test]
fn an_older_edit_that_our_write_overtook_stays_overtaken_on_record() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.tie = Side::Erp;
    let mut world = World::agreed(&mapping, racy_crm());
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Erp);
    world.check(Side::Crm);
    world.tick(SECOND);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.settle(&mapping);
    let record = &world.conflicts[&0];
    assert!(record.overtaken && record.settled.as_ref().is_some_and(|settled| settled.tie));
    assert_eq!(record.values.crm.value, Value::text("crm"));
    assert_eq!(world.values("name"), both("erp"));
    audited(&world);
}

#[test]
fn a_lost_answer_is_made_up_for_by_the_stream() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.deliver(&mapping, Side::Crm);
    world.execute(Side::Erp, true);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("crm"));
    assert_eq!(world.confirmed.len(), 1);
    audited(&world);
}

#[test]
fn a_second_try_that_is_refused_does_not_unmake_the_first() {
    let mapping = mapping(Policy::LastWrite);
    let manners = Pair { crm: Manner { cut: Some(4), ..Manner::default() }, ..calm() };
    let mut world = World::agreed(&mapping, manners);
    world.edit(Side::Erp, &[("name", Value::text("Acme Limited"))]);
    world.deliver(&mapping, Side::Erp);
    // The first try's answer is lost; the second finds the value that the target made of ours.
    world.execute(Side::Crm, true);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme".to_owned(), "Acme Limited".to_owned()));
    assert_eq!(world.confirmed.len(), 1);
    assert!(world.conflicts.is_empty(), "{:?}", world.conflicts);
    audited(&world);
}

#[test]
fn a_source_that_edits_again_while_its_write_is_on_its_way_causes_exactly_one_more() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("one"))]);
    world.deliver(&mapping, Side::Crm);
    for value in ["two", "three"] {
        world.edit(Side::Crm, &[("name", Value::text(value))]);
        world.deliver(&mapping, Side::Crm);
    }
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("three"));
    assert_eq!(world.confirmed.len(), 2);
    audited(&world);
}

#[test]
fn a_refused_write_is_not_tried_again_until_the_field_changes() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("far too long"))]);
    world.deliver(&mapping, Side::Crm);
    world.refuse(Side::Erp, "STRING_TOO_LONG");
    world.settle(&mapping);
    world.edit(Side::Crm, &[("phone", Value::text("1"))]);
    world.settle(&mapping);
    let failed = world.state.fields["name"].failed.clone().expect("failed");
    assert_eq!((failed.target, failed.reason.as_str()), (Side::Erp, "STRING_TOO_LONG"));
    assert_eq!(world.values("name").1, "name0");
    assert_eq!(world.values("phone"), both("1"));
    world.edit(Side::Crm, &[("name", Value::text("short"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("short"));
    audited(&world);
}

#[test]
fn a_cleared_field_is_cleared_across_and_an_absent_one_is_left_alone() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::Null)]);
    world.settle(&mapping);
    assert_eq!(world.value(Side::Erp, "name"), Value::Null);
    assert_eq!(world.values("phone"), both("phone0"));
    audited(&world);
}

#[test]
fn a_one_way_field_keeps_reports_or_reasserts_what_drifted() {
    for drift in [Drift::Keep, Drift::Report, Drift::Reassert] {
        let mut mapping = mapping(Policy::LastWrite);
        mapping.fields[0].direction = Direction::ToCrm;
        mapping.fields[0].drift = drift;
        let mut world = World::agreed(&mapping, calm());
        world.edit(Side::Crm, &[("name", Value::text("drifted"))]);
        world.settle(&mapping);
        let expected = match drift {
            Drift::Keep => ("drifted", 0),
            Drift::Report => ("drifted", 1),
            Drift::Reassert => ("name0", 1),
        };
        assert_eq!((world.values("name").0.as_str(), world.conflicts.len()), expected, "{drift:?}");
        assert_eq!(world.values("name").1, "name0");
        world.edit(Side::Erp, &[("name", Value::text("master"))]);
        world.settle(&mapping);
        assert_eq!(world.values("name"), both("master"), "{drift:?}");
        assert_eq!(world.conflicts.len(), 1, "{drift:?}: the drifted value is on record once");
        audited(&world);
    }
}
