//! References: what they mean on each side, and what becomes of that when records change their entity.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{EntityMapping, FieldType, Pair, Policy, Side};
use reconcile::merge::{
    Answer, Choice, ConflictRecord, DecisionResult, Demand, Effect, EntityState, Event, Parent, SideChange, Verdict, WriteCommand,
    WriteNumber, apply,
};

use super::released;
use crate::world::{SECOND, column, field, mapping};

/// A mapping whose second field refers to a customer.
fn referring() -> EntityMapping {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.fields[1] = field("company", Policy::LastWrite);
    mapping.fields[1].kind = FieldType::Reference { kind: "customer".to_owned() };
    mapping
}

/// A contact on both sides that refers to one customer.
fn agreeing(mapping: &EntityMapping, company: Option<(&str, Option<&str>, Option<&str>)>) -> EntityState {
    let mut state = EntityState::default();
    let erp = SideChange { snapshot: true, write: Some(WriteNumber(0)), ..contact_change(Side::Erp, "9", company) };
    for change in [contact_change(Side::Crm, "003", company), erp] {
        apply(mapping, &mut state, &Event::Changed(change), 0);
    }
    state
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
    let mapping = referring();
    let mut state = EntityState::default();
    let mut apply = |event: SideChange| apply(&mapping, &mut state, &Event::Changed(event), 0);
    let effects = apply(contact_change(Side::Crm, "003", Some(("c1", Some("001"), None))));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Write(_))), "{effects:?}");
    let mut linked = released();
    let records = Pair { crm: Some("001".to_owned()), erp: Some("77".to_owned()) };
    linked.references.insert("company".to_owned(), Parent { entity: "c1".to_owned(), records });
    let effects = apply(linked);
    let Some(Effect::Write(command)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(command.values.get("company"), Some(&Value::text("77")));
}

#[test]
fn a_reference_to_what_is_not_known_is_not_put_back() {
    let mapping = referring();
    let one = Some(("c1", Some("001"), Some("71")));
    let mut state = agreeing(&mapping, one);
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    for (value, result) in [("c2", DecisionResult::Refused), ("c1", DecisionResult::Unchanged)] {
        let choice = Choice::Value(Value::text(value));
        let demand = Demand::Restore { conflict: None, field: Some("company".to_owned()), choice, kept: None };
        let effects = apply(Event::Decided(Verdict::new(value.to_owned(), "Ana Lima", demand)));
        let answers: Vec<DecisionResult> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Decided(reply) => Some(reply.result),
                _ => None,
            })
            .collect();
        assert_eq!(answers, [result], "{value}: {effects:?}");
    }
}

#[test]
fn a_reference_that_nothing_means_any_more_can_be_put_back() {
    let mapping = referring();
    let mut state = EntityState::default();
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    let parent = |number: u64| (format!("c{number}"), format!("00{number}"), format!("7{number}"));
    let mut seen = |number: u64| {
        let (entity, crm, erp) = parent(number);
        let of = Some((entity.as_str(), Some(crm.as_str()), Some(erp.as_str())));
        let at = i64::try_from(number).expect("small") * SECOND;
        apply(Event::Changed(SideChange { at, ..contact_change(Side::Crm, "003", of) }));
        apply(Event::Changed(SideChange { at, snapshot: true, write: Some(WriteNumber(number)), ..contact_change(Side::Erp, "9", of) }));
    };
    (0..20).for_each(&mut seen);
    let restore = |number: u64| {
        let choice = Choice::Value(Value::text(parent(number).0));
        Demand::Restore { conflict: None, field: Some("company".to_owned()), choice, kept: None }
    };
    // All but the last few are forgotten.
    let effects = apply(Event::Decided(Verdict::new("first".to_owned(), "Ana Lima", restore(0))));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Write(_))), "{effects:?}");
    let effects = apply(Event::Decided(Verdict::new("last".to_owned(), "Ana Lima", restore(18))));
    let sent = effects.iter().find_map(|effect| match effect {
        Effect::Write(command) => command.values.get("company__c").cloned(),
        _ => None,
    });
    assert_eq!(sent, Some(Value::text("0018")), "{effects:?}");
}

#[test]
fn references_to_two_entities_differ_though_one_record_stood_for_both() {
    let mapping = referring();
    let (none, one, two) = (Some(("c0", Some("000"), Some("70"))), Some(("c1", Some("001"), Some("71"))), Some(("c2", None, Some("71"))));
    let mut state = agreeing(&mapping, none);
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    let effects = apply(Event::Changed(SideChange { at: 2 * SECOND, ..contact_change(Side::Crm, "003", one) }));
    let Some(Effect::Write(command)) = effects.first() else { panic!("{effects:?}") };
    // Meanwhile the ERP's record of one has gone to two, and a person refers to it.
    let mut edited = SideChange { at: SECOND, ..contact_change(Side::Erp, "9", two) };
    edited.columns.insert("company".to_owned(), Value::text("71"));
    apply(Event::Changed(edited));
    let actual = BTreeMap::from([("company".to_owned(), Value::text("71"))]);
    let effects = apply(Event::Answered { write: command.number, answer: Answer::Rejected(Some(actual)), record: None });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Conflict(_))), "{effects:?}");
}

#[test]
fn a_reference_that_a_trigger_clears_is_no_version_of_the_one_written() {
    let mapping = referring();
    let (one, two) = (Some(("c1", Some("001"), Some("71"))), Some(("c2", Some("002"), Some("72"))));
    let mut state = agreeing(&mapping, one);
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    let effects = apply(Event::Changed(SideChange { at: 2 * SECOND, ..contact_change(Side::Crm, "003", two) }));
    let Some(Effect::Write(command)) = effects.first() else { panic!("{effects:?}") };
    // A delete of ours cleared it at the target meanwhile.
    let actual = BTreeMap::from([("company".to_owned(), Value::Null)]);
    apply(Event::Answered { write: command.number, answer: Answer::Rejected(Some(actual)), record: None });
    let mut cleared = SideChange { ours: true, at: SECOND, ..contact_change(Side::Erp, "9", None) };
    cleared.fields.insert("company".to_owned(), Value::Null);
    let effects = apply(Event::Changed(cleared));
    let said = effects.iter().any(|effect| matches!(effect, Effect::Conflict(_) | Effect::Write(_)));
    assert!(said, "{effects:?}");
}

#[test]
fn a_reference_whose_parent_has_gone_to_another_entity_with_its_record_is_the_targets_own() {
    let mapping = referring();
    let (one, two) = (Some(("c1", Some("001"), Some("71"))), Some(("c2", Some("002"), Some("72"))));
    let mut state = agreeing(&mapping, one);
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    let effects = apply(Event::Changed(SideChange { at: 2 * SECOND, ..contact_change(Side::Crm, "003", two) }));
    let Some(Effect::Write(command)) = effects.first() else { panic!("{effects:?}") };
    // What was written arrives; a person has split record 72 off meanwhile.
    let shown = contact_change(Side::Erp, "9", Some(("c3", Some("004"), Some("72"))));
    let effects = apply(Event::Changed(SideChange { ours: true, write: Some(command.number), ..shown }));
    let back = effects.iter().find_map(|effect| match effect {
        Effect::Write(command) => Some(command),
        _ => None,
    });
    let back = back.unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!((back.side, back.values.get("company__c")), (Side::Crm, Some(&Value::text("004"))));
}

fn sent(effects: &[Effect]) -> Option<&WriteCommand> {
    effects.iter().find_map(|effect| match effect {
        Effect::Write(command) => Some(command),
        _ => None,
    })
}

fn kept(effects: &[Effect]) -> Option<&ConflictRecord> {
    effects.iter().find_map(|effect| match effect {
        Effect::Conflict(record) => Some(record),
        _ => None,
    })
}

fn learnt(entity: &str, crm: Option<&str>, erp: Option<&str>) -> Event {
    let mut change = released();
    let records = Pair { crm: crm.map(ToOwned::to_owned), erp: erp.map(ToOwned::to_owned) };
    change.references.insert("company".to_owned(), Parent { entity: entity.to_owned(), records });
    Event::Changed(change)
}

#[test]
fn a_record_stands_for_one_entity_so_that_two_sides_do_not_send_it_to_and_fro() {
    let mapping = referring();
    let mut state = agreeing(&mapping, None);
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    // Both records were one's, were made two's, and one has got its account back.
    apply(learnt("c1", Some("001"), Some("71")));
    for (side, record) in [(Side::Crm, "003"), (Side::Erp, "9")] {
        apply(Event::Changed(contact_change(side, record, Some(("c2", Some("001"), Some("71"))))));
    }
    let effects = apply(Event::Changed(contact_change(Side::Crm, "003", Some(("c1", Some("001"), None)))));
    assert_eq!(sent(&effects), None, "record 71 is the other entity's");
    let effects = apply(learnt("c1", Some("001"), Some("79")));
    let command = sent(&effects).unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!((command.side, command.values.get("company")), (Side::Erp, Some(&Value::text("79"))));
}

/// The CRM's edit to `c2` has been written over an edit in the ERP of so many seconds later or earlier.
fn replaced(mapping: &EntityMapping, state: &mut EntityState, edit: SideChange, seconds: i64) -> ConflictRecord {
    let at = 100 * SECOND;
    let two = Some(("c2", Some("002"), Some("72")));
    let change = SideChange { at, ..contact_change(Side::Crm, "003", two) };
    let effects = apply(mapping, state, &Event::Changed(change), 0);
    let write = Some(sent(&effects).unwrap_or_else(|| panic!("{effects:?}")).number);
    apply(mapping, state, &Event::Changed(SideChange { at: at + seconds * SECOND, ..edit }), 0);
    let mut ours = SideChange { at: at + 60 * SECOND, ours: true, write, ..contact_change(Side::Erp, "9", two) };
    ours.columns.insert("company".to_owned(), Value::text("72"));
    let effects = apply(mapping, state, &Event::Changed(ours), 0);
    kept(&effects).unwrap_or_else(|| panic!("{effects:?}")).clone()
}

#[test]
fn an_edit_to_a_record_that_nobody_has_heard_of_is_kept_when_our_write_replaces_it() {
    let mapping = referring();
    for (seconds, settled) in [(-10, true), (10, false)] {
        let mut state = agreeing(&mapping, Some(("c1", Some("001"), Some("71"))));
        let mut edit = contact_change(Side::Erp, "9", None);
        edit.columns.insert("company".to_owned(), Value::text("99"));
        let record = replaced(&mapping, &mut state, edit, seconds);
        assert_eq!((&record.values.erp.value, record.overtaken), (&Value::text("99"), true));
        // The older edit gives way; what the newer one means on the other side is a person's to say.
        assert_eq!(record.settled.is_some(), settled, "{record:?}");
    }
}

#[test]
fn a_replaced_edit_wins_only_when_what_it_refers_to_is_known_on_the_other_side() {
    let mapping = referring();
    let mut state = agreeing(&mapping, Some(("c1", Some("001"), Some("71"))));
    let edit = contact_change(Side::Erp, "9", Some(("c3", None, Some("73"))));
    let record = replaced(&mapping, &mut state, edit, 10);
    assert!(record.settled.is_none() && record.reason.contains("is not known in Salesforce"), "{record:?}");
    let decide = |state: &mut EntityState, id: &str, choice: Choice| {
        let effects = apply(&mapping, state, &Event::Decided(Verdict::settle(id, record.number, choice, "Ana Lima")), 0);
        let reply = effects.iter().find_map(|effect| match effect {
            Effect::Decided(reply) => Some((reply.result, reply.reason.clone())),
            _ => None,
        });
        (reply.expect("an answer"), sent(&effects).cloned())
    };
    for (id, choice) in [("d1", Choice::Side(Side::Erp)), ("d2", Choice::Value(Value::text("c3")))] {
        let ((result, reason), _) = decide(&mut state, id, choice);
        assert_eq!(result, DecisionResult::Refused);
        assert!(reason.contains("is not known in Salesforce"), "{reason}");
    }
    apply(&mapping, &mut state, &learnt("c3", Some("005"), Some("73")), 0);
    let ((result, _), sent) = decide(&mut state, "d3", Choice::Side(Side::Erp));
    let sent = sent.expect("it goes to both sides");
    assert_eq!((result, sent.side, sent.values.get("company__c")), (DecisionResult::Accepted, Side::Crm, Some(&Value::text("005"))));
}

#[test]
fn an_edit_to_a_record_that_nobody_has_heard_of_and_that_was_put_back_is_not_kept() {
    let mapping = referring();
    let one = Some(("c1", Some("001"), Some("71")));
    let two = Some(("c2", Some("002"), Some("72")));
    let mut state = agreeing(&mapping, one);
    let mut apply = |change: SideChange| apply(&mapping, &mut state, &Event::Changed(change), 0);
    let effects = apply(SideChange { at: 10 * SECOND, ..contact_change(Side::Crm, "003", two) });
    let write = Some(sent(&effects).unwrap_or_else(|| panic!("{effects:?}")).number);
    let column = |value: &str| BTreeMap::from([("company".to_owned(), Value::text(value))]);
    apply(SideChange { at: 20 * SECOND, columns: column("99"), ..contact_change(Side::Erp, "9", None) });
    apply(SideChange { at: 30 * SECOND, columns: column("71"), ..contact_change(Side::Erp, "9", one) });
    let effects = apply(SideChange { at: 40 * SECOND, ours: true, write, columns: column("72"), ..contact_change(Side::Erp, "9", two) });
    assert_eq!(kept(&effects), None, "nothing was replaced but what was expected");
}

#[test]
fn a_row_that_holds_what_nobody_has_heard_of_says_nothing_of_our_write_until_that_is_known() {
    let mapping = referring();
    let mut state = EntityState::default();
    let empty = |side, record| {
        let mut change = contact_change(side, record, None);
        change.fields.insert("company".to_owned(), Value::Null);
        change.columns.insert(column(side, "company"), Value::Null);
        SideChange { snapshot: side == Side::Erp, ..change }
    };
    let mut apply = |change: SideChange| apply(&mapping, &mut state, &Event::Changed(change), 0);
    apply(empty(Side::Crm, "003"));
    apply(empty(Side::Erp, "9"));
    let two = Some(("c2", Some("002"), Some("72")));
    let effects = apply(SideChange { at: 10 * SECOND, ..contact_change(Side::Crm, "003", two) });
    let write = Some(sent(&effects).unwrap_or_else(|| panic!("{effects:?}")).number);
    // Ours was done, and somebody has put in another one since.
    let found = |company| {
        let columns = BTreeMap::from([("company".to_owned(), Value::text("99"))]);
        SideChange { at: 30 * SECOND, snapshot: true, write, columns, ..contact_change(Side::Erp, "9", company) }
    };
    let effects = apply(found(None));
    assert_eq!((sent(&effects), kept(&effects)), (None, None));
    let effects = apply(found(Some(("c9", Some("009"), Some("99")))));
    let command = sent(&effects).unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!((command.side, command.values.get("company__c")), (Side::Crm, Some(&Value::text("009"))));
    assert_eq!(kept(&effects), None);
}

#[test]
fn a_write_from_before_a_record_came_back_is_what_was_decided_though_what_it_refers_to_is_another_entitys_by_then() {
    let mapping = referring();
    let (one, two, four) =
        (Some(("c1", Some("001"), Some("71"))), Some(("c2", Some("002"), Some("72"))), Some(("c4", Some("005"), Some("74"))));
    let mut state = agreeing(&mapping, one);
    let mut apply = |event: Event| apply(&mapping, &mut state, &event, 0);
    let effects = apply(Event::Changed(SideChange { at: 10 * SECOND, ..contact_change(Side::Erp, "9", two) }));
    let first = sent(&effects).unwrap_or_else(|| panic!("{effects:?}")).number;
    apply(Event::Changed(SideChange { unlinked: true, may_create: false, ..contact_change(Side::Erp, "9", None) }));
    // An edit that the write replaces; the record comes back, and what it refers to wins.
    let edited = SideChange { at: 5 * SECOND, may_create: false, ..contact_change(Side::Crm, "003", four) };
    apply(Event::Changed(edited));
    let back = SideChange { at: 10 * SECOND, joined: true, snapshot: true, ..contact_change(Side::Erp, "9", two) };
    let effects = apply(Event::Changed(back));
    let second = sent(&effects).unwrap_or_else(|| panic!("{effects:?}"));
    assert_eq!((second.values.get("company__c"), kept(&effects).is_some()), (Some(&Value::text("002")), true));
    let second = second.number;
    // Record 002 has gone to another entity.
    let columns = BTreeMap::from([("company__c".to_owned(), Value::text("002"))]);
    let shown = contact_change(Side::Crm, "003", Some(("c3", Some("002"), Some("73"))));
    apply(Event::Changed(SideChange { at: 20 * SECOND, ours: true, write: Some(first), columns: columns.clone(), ..shown }));
    let effects = apply(Event::Answered { write: second, answer: Answer::Rejected(Some(columns)), record: None });
    let third = sent(&effects).unwrap_or_else(|| panic!("the sides differ: {effects:?}"));
    assert_eq!((third.side, third.values.get("company")), (Side::Erp, Some(&Value::text("73"))));
}

#[test]
fn a_replaced_reference_that_has_come_across_gives_way_to_what_our_write_means_by_now() {
    let mapping = referring();
    let mut state = agreeing(&mapping, Some(("c1", Some("001"), Some("71"))));
    let mut apply = |change: SideChange| apply(&mapping, &mut state, &Event::Changed(change), 0);
    let (two, three, five) =
        (Some(("c2", Some("002"), Some("72"))), Some(("c3", Some("003"), Some("73"))), Some(("c5", Some("005"), Some("72"))));
    let effects = apply(SideChange { at: 100 * SECOND, ..contact_change(Side::Crm, "003", two) });
    let first = sent(&effects).unwrap_or_else(|| panic!("{effects:?}")).number;
    // Two people meant the same, and ours replaces the one of them.
    apply(SideChange { at: 90 * SECOND, ..contact_change(Side::Erp, "9", three) });
    apply(SideChange { at: 110 * SECOND, ..contact_change(Side::Crm, "003", three) });
    // Record 72 has gone to another entity.
    let mut shown = contact_change(Side::Erp, "9", five);
    shown.columns.insert("company".to_owned(), Value::text("72"));
    let effects = apply(SideChange { at: 120 * SECOND, ours: true, write: Some(first), ..shown });
    let second = sent(&effects).unwrap_or_else(|| panic!("{effects:?}")).clone();
    assert_eq!((second.side, second.values.get("company__c")), (Side::Crm, Some(&Value::text("005"))), "{effects:?}");
    let records: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Conflict(_))).collect();
    let [Effect::Conflict(record)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((&record.values.crm.value, &record.values.erp.value), (&Value::text("c2"), &Value::text("c3")));
    let mut shown = contact_change(Side::Crm, "003", five);
    shown.columns.insert("company__c".to_owned(), Value::text("005"));
    let effects = apply(SideChange { at: 130 * SECOND, ours: true, write: Some(second.number), ..shown });
    assert_eq!(sent(&effects), None, "{effects:?}");
    let both = state.fields["company"].seen.crm.as_ref().zip(state.fields["company"].seen.erp.as_ref());
    assert!(both.is_some_and(|(crm, erp)| crm.value == Value::text("c5") && erp.value == Value::text("c5")), "{state:#?}");
}
