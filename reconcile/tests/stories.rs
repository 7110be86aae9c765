//! Each kind of conflict and trouble, by name.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, Direction, Drift, EntityMapping, Expression, FieldType, Pair, Policy, Side};
use reconcile::merge::{Answer, Choice, EntityState, Event, Parent, SideChange, Verdict, WriteKind, WriteNumber};

use crate::auditor;
use crate::world::{Manner, SECOND, World, mapping};

fn calm() -> Pair<Manner> {
    Pair { crm: Manner::default(), erp: Manner { whole_rows: true, ..Manner::default() } }
}

fn racy_crm() -> Pair<Manner> {
    Pair { crm: Manner { racy: true, ..Manner::default() }, erp: Manner { whole_rows: true, ..Manner::default() } }
}

fn start(policy: Policy) -> (EntityMapping, World) {
    let mapping = mapping(policy);
    let world = World::agreed(&mapping, calm());
    (mapping, world)
}

fn audited(world: &World) {
    let mut wrong = auditor::at_rest(world);
    wrong.extend(auditor::no_loop(world));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn both(value: &str) -> (String, String) {
    (value.to_owned(), value.to_owned())
}

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
    let again = Verdict { conflict, choice: Choice::Side(Side::Crm), actor: "Bo".to_owned() };
    assert!(world.apply(&mapping, &Event::Decided(again)).is_empty());
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
fn a_rejection_is_acted_on_before_the_stream_shows_why() {
    let (mapping, mut world) = start(Policy::Review);
    world.edit(Side::Crm, &[("name", Value::text("crm"))]);
    world.deliver(&mapping, Side::Crm);
    let actual = BTreeMap::from([("name".to_owned(), Value::text("erp"))]);
    let event = Event::Answered { write: WriteNumber(0), answer: Answer::Rejected(Some(actual)), record: None };
    world.apply(&mapping, &event);
    assert_eq!(world.state.conflicts.len(), 1);
    assert_eq!(world.conflicts[&0].values.erp.value, Value::text("erp"));
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

fn alone(side: Side) -> World {
    let mut world = World::linked(calm());
    world.systems[side.other()].record = None;
    world.systems[side.other()].row.clear();
    world.read_again(side);
    world
}

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

pub(crate) fn released() -> SideChange {
    SideChange {
        side: Side::Crm,
        record: String::new(),
        deleted: false,
        fields: BTreeMap::new(),
        columns: BTreeMap::new(),
        references: BTreeMap::new(),
        may_create: true,
        snapshot: false,
        released: true,
        at: 0,
        actor: None,
        ours: false,
    }
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

fn contact_change(side: Side, record: &str, company: Option<(&str, Option<&str>, Option<&str>)>) -> SideChange {
    let mut change = released();
    change.released = false;
    change.side = side;
    change.record = record.to_owned();
    change.fields.insert("name".to_owned(), Value::text("Dana"));
    if let Some((entity, crm, erp)) = company {
        change.fields.insert("company".to_owned(), Value::text(entity));
        let records = Pair { crm: crm.map(ToOwned::to_owned), erp: erp.map(ToOwned::to_owned) };
        change.references.insert("company".to_owned(), Parent { entity: entity.to_owned(), records });
    }
    change
}

#[test]
fn a_write_that_needs_an_unlinked_parent_waits_for_it() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.fields[1] = crate::world::field("company", Policy::LastWrite);
    mapping.fields[1].kind = FieldType::Reference { kind: "customer".to_owned() };
    let mut state = EntityState::default();
    let mut apply = |event: SideChange| reconcile::merge::apply(&mapping, &mut state, &Event::Changed(event), 0);
    let effects = apply(contact_change(Side::Crm, "003", Some(("c1", Some("001"), None))));
    assert!(!effects.iter().any(|effect| matches!(effect, reconcile::merge::Effect::Write(_))), "{effects:?}");
    let mut linked = released();
    let records = Pair { crm: Some("001".to_owned()), erp: Some("77".to_owned()) };
    linked.references.insert("company".to_owned(), Parent { entity: "c1".to_owned(), records });
    let effects = apply(linked);
    let Some(reconcile::merge::Effect::Write(command)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(command.values.get("company"), Some(&Value::text("77")));
}
