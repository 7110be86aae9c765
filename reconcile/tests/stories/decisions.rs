//! What people decide about open conflicts.

use reconcile::Value;
use reconcile::mapping::{Expression, Policy, Side};
use reconcile::merge::{Choice, DecisionResult, Effect, Event, Verdict};

use super::{audited, both, calm, start};
use crate::world::{SECOND, World, mapping};

#[test]
fn review_holds_the_field_and_only_the_field() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp")), ("phone", Value::text("1"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("crm".to_owned(), "erp".to_owned()));
    assert_eq!(world.values("phone"), both("1"));
    // A newer edit updates the open conflict.
    world.tick(SECOND);
    world.edit(Side::Crm, &[("name", Value::text("crm2"))]);
    world.settle(&mapping);
    assert_eq!(world.conflicts[&0].values.crm.value, Value::text("crm2"));
    world.decide(&mapping, Choice::Side(Side::Crm));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("crm2"));
    let last = world.confirmed.last().expect("confirmed");
    assert!(last.command.decided);
    assert_eq!(last.command.reason, "decided by Ana Lima");
    audited(&world);
}

#[test]
fn a_decision_for_another_value_is_written_to_both_sides() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    world.decide(&mapping, Choice::Value(Value::text("neither")));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("neither"));
    audited(&world);
}

#[test]
fn a_decision_that_is_late_or_repeated_changes_nothing() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    let conflict = world.conflicts[&0].number;
    world.decide(&mapping, Choice::Side(Side::Erp));
    let late = Verdict::settle("late", conflict, Choice::Side(Side::Crm), "Bo");
    let effects = world.apply(&mapping, &Event::Decided(late));
    assert!(matches!(effects.as_slice(), [Effect::Decided(reply)] if reply.result == DecisionResult::Unchanged), "{effects:?}");
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("erp"));
    audited(&world);
}

#[test]
fn equal_values_settle_an_open_conflict() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    world.edit(Side::Erp, &[("name", Value::text("crm"))]);
    world.settle(&mapping);
    assert!(world.state.conflicts.is_empty());
    assert_eq!(world.confirmed.len(), 0);
    audited(&world);
}

#[test]
fn a_rule_over_the_record_sends_costly_conflicts_to_a_person() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.fields[0].review_when = Some(Expression::compile("record.phone == 'vip' && crm != base").expect("compiles"));
    let mut world = World::agreed(&mapping, calm());
    world.edit(Side::Erp, &[("phone", Value::text("vip"))]);
    world.settle(&mapping);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.state.conflicts.len(), 1);
    audited(&world);
}

#[test]
fn a_decision_that_comes_again_is_decided_once() {
    let (mapping, mut world) = start(Policy::Review);
    let mut results = Vec::new();
    for (round, choice) in [Side::Erp, Side::Crm].into_iter().enumerate() {
        world.edit(Side::Crm, &[("name", Value::text(format!("crm{round}")))]);
        world.edit(Side::Erp, &[("name", Value::text(format!("erp{round}")))]);
        world.deliver(&mapping, Side::Crm);
        world.settle(&mapping);
        let number = world.state.conflicts.values().next().expect("open").number;
        // The same id, for the first time about the first conflict.
        world.apply(&mapping, &Event::Decided(Verdict::settle("d1", number, Choice::Side(choice), "Bo")));
        world.settle(&mapping);
        results.push(world.replies.last().expect("an answer").0);
    }
    assert_eq!(results, [DecisionResult::Accepted, DecisionResult::Unchanged]);
    assert_eq!(world.state.conflicts.len(), 1, "the second conflict is not decided by a repetition");
    for number in 0..200 {
        world.apply(
            &mapping,
            &Event::Decided(Verdict::settle(format!("more-{number}"), reconcile::merge::ConflictNumber(0), Choice::Both, "Bo")),
        );
    }
    assert!(world.state.decided.len() <= 64, "ids are remembered within a bound");
}

#[test]
fn each_side_keeps_its_own_until_either_changes() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    world.decide(&mapping, Choice::Both);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("crm".to_owned(), "erp".to_owned()));
    let settled = world.conflicts[&0].settled.clone().expect("settled");
    assert!(settled.both && settled.winner.is_none() && world.state.conflicts.is_empty());
    // What was read again changes nothing, an edit does.
    world.read_again(Side::Crm);
    world.read_again(Side::Erp);
    world.settle(&mapping);
    assert!(world.confirmed.is_empty());
    world.edit(Side::Erp, &[("name", Value::text("new"))]);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("new"));
    audited(&world);
}

#[test]
fn a_value_that_the_field_cannot_hold_is_refused_in_words_and_the_conflict_stays_open() {
    let (mut mapping, _) = start(Policy::Review);
    mapping.fields[0].kind = reconcile::mapping::FieldType::Enum(vec!["erp".to_owned(), "crm".to_owned(), "name0".to_owned()]);
    let mut world = World::agreed(&mapping, calm());
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.edit(Side::Erp, &[("name", Value::text("erp"))]);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    world.decide(&mapping, Choice::Value(Value::text("neither")));
    let (result, reason) = world.replies.last().expect("an answer").clone();
    assert_eq!(result, DecisionResult::Refused);
    assert!(reason.contains("neither") && reason.contains("name"), "{reason}");
    assert_eq!(world.state.conflicts.len(), 1);
}

#[test]
fn when_both_sides_are_edited_before_a_settled_value_is_carried_both_edits_count() {
    let (mapping, mut world) = start(Policy::Crm);
    let edit = |world: &mut World, side, text: &str| {
        world.tick(10 * SECOND);
        world.edit(side, &[("name", Value::text(text))]);
    };
    edit(&mut world, Side::Crm, "one");
    edit(&mut world, Side::Erp, "two");
    world.deliver(&mapping, Side::Crm);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Erp);
    assert_eq!((world.conflicts.len(), world.systems.erp.commands.len()), (1, 1), "the settled value is on its way");
    edit(&mut world, Side::Erp, "three");
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    // To what both had agreed on before.
    edit(&mut world, Side::Crm, "name0");
    for side in Side::BOTH {
        world.deliver(&mapping, side);
    }
    let last = world.conflicts.values().next_back().expect("a conflict");
    assert_eq!((&last.values.crm.value, &last.values.erp.value), (&Value::text("name0"), &Value::text("three")));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("name0"));
}
