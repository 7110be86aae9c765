//! Records that people bring back while something else goes on.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, Direction, EntityMapping, Pair, Policy, Side};

use super::{alone, audited, both, calm, start};
use crate::world::{Manner, SECOND, World, mapping};

pub(super) fn crm_row(name: &str) -> BTreeMap<String, Value> {
    BTreeMap::from([("name__c".to_owned(), Value::text(name)), ("phone__c".to_owned(), Value::text("phone0"))])
}

pub(super) fn erp_row(name: &str) -> BTreeMap<String, Value> {
    BTreeMap::from([("name".to_owned(), Value::text(name)), ("phone".to_owned(), Value::text("phone0"))])
}

fn stand(world: &World) -> bool {
    Side::BOTH.iter().all(|side| world.systems[*side].record.is_some())
}

#[test]
fn an_edit_that_outlived_the_other_record_goes_there_when_that_one_is_back() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("lost"))]);
    world.edit(Side::Erp, &[("name", Value::text("stands"))]);
    world.delete(Side::Crm);
    world.deliver(&mapping, Side::Erp);
    world.settle(&mapping);
    world.undelete(Side::Crm, "crm-1", crm_row("lost"));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("stands"));
    assert!(world.conflicts.values().any(|record| record.values.crm.value == Value::text("lost")));
}

#[test]
fn what_we_deleted_and_a_person_brings_back_gets_its_counterpart_again() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    world.delete(Side::Erp);
    world.settle(&mapping);
    assert!(world.systems.crm.record.is_none());
    world.undelete(Side::Crm, "crm-1", crm_row("name0"));
    world.settle(&mapping);
    assert!(stand(&world));
    assert_eq!(world.values("name"), both("name0"));
}

#[test]
fn a_record_that_comes_back_while_we_delete_the_other_gets_that_one_again() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.undelete(Side::Erp, "erp-1", erp_row("name0"));
    world.deliver(&mapping, Side::Erp);
    world.settle(&mapping);
    assert!(stand(&world));
    assert_eq!(world.values("name"), both("name0"));
}

#[test]
fn a_record_that_was_gone_when_it_was_to_be_archived_is_archived_when_it_is_back() {
    let (mut mapping, mut world) = start(Policy::LastWrite);
    mapping.delete.crm = DeletePolicy::Archive;
    mapping.sides.crm.archive = BTreeMap::from([("active__c".to_owned(), Value::Bool(false))]);
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.delete(Side::Crm);
    world.execute(Side::Crm, false);
    world.undelete(Side::Crm, "crm-1", crm_row("name0"));
    world.deliver(&mapping, Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.systems.crm.row.get("active__c"), Some(&Value::Bool(false)));
}

#[test]
fn a_write_that_finds_its_record_back_is_ours_and_not_an_edit() {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Erp, &[("name", Value::text("Acme"))]);
    world.deliver(&mapping, Side::Erp);
    world.delete(Side::Crm);
    world.undelete(Side::Crm, "crm-1", crm_row("name0"));
    world.deliver(&mapping, Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("Acme"));
    assert!(world.conflicts.values().all(|record| record.field != "name"), "{:?}", world.conflicts);
    audited(&world);
}

/// The CRM cuts every text after six characters.
fn cutting() -> Pair<Manner> {
    let mut manners = calm();
    manners.crm.cut = Some(6);
    manners
}

fn no_conflict_of_name(world: &World) {
    assert!(world.conflicts.values().all(|record| record.field != "name"), "{:?}", world.conflicts);
}

#[test]
fn what_our_write_left_in_a_record_that_is_found_back_is_no_edit() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = World::agreed(&mapping, cutting());
    world.edit(Side::Erp, &[("name", Value::text("Acme Works"))]);
    world.deliver(&mapping, Side::Erp);
    world.delete(Side::Crm);
    world.undelete(Side::Crm, "crm-1", crm_row("name0"));
    world.execute(Side::Crm, false);
    // Of the return and of the write nothing but the row that was found afterwards.
    world.systems.crm.stream.truncate(1);
    world.read_again(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme W".to_owned(), "Acme Works".to_owned()));
    no_conflict_of_name(&world);
}

#[test]
fn what_our_write_left_in_a_row_that_went_before_it_was_shown_is_no_edit_when_the_row_is_back() {
    let mapping = mapping(Policy::LastWrite);
    let mut world =
        World::agreed(&mapping, Pair { crm: Manner::default(), erp: Manner { whole_rows: true, cut: Some(6), ..Manner::default() } });
    world.edit(Side::Crm, &[("name", Value::text("Acme Works"))]);
    world.deliver(&mapping, Side::Crm);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    // Of the row nothing is shown but its end, and a return that names no write.
    world.systems.erp.stream.clear();
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.tick(10 * SECOND);
    world.undelete(Side::Erp, "erp-1", erp_row("Acme W"));
    if let Some(back) = world.systems.erp.stream.back_mut() {
        back.write = None;
    }
    world.deliver(&mapping, Side::Erp);
    assert!(Side::BOTH.iter().all(|side| world.systems[*side].commands.is_empty()), "{:#?}", world.systems);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme Works".to_owned(), "Acme W".to_owned()));
    no_conflict_of_name(&world);
}

#[test]
fn a_record_that_we_made_and_that_was_gone_before_anybody_saw_it_is_ours_when_it_is_back() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Erp);
    world.systems.crm.manner.cut = Some(6);
    world.systems.erp.row.insert("name".to_owned(), Value::text("Acme Works"));
    world.systems.erp.stream.clear();
    world.read_again(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.execute(Side::Crm, false);
    world.answer_of(&mapping, Side::Crm);
    let (record, row) = (world.systems.crm.record.clone().expect("made"), world.systems.crm.row.clone());
    world.delete(Side::Crm);
    for _ in 0..2 {
        world.read_owed(Side::Crm);
        world.answer_of(&mapping, Side::Crm);
    }
    world.tick(10 * SECOND);
    world.undelete(Side::Crm, &record, row);
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme W".to_owned(), "Acme Works".to_owned()));
    no_conflict_of_name(&world);
}

#[test]
fn a_master_that_comes_back_has_its_value_put_over_what_was_edited_meanwhile() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.fields[0].direction = Direction::ToCrm;
    let mut world = World::agreed(&mapping, calm());
    world.edit(Side::Erp, &[("name", Value::text("master"))]);
    world.deliver(&mapping, Side::Erp);
    world.edit(Side::Crm, &[("name", Value::text("drifted"))]);
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.settle(&mapping);
    assert_eq!(world.value(Side::Crm, "name"), Value::text("drifted"));
    world.undelete(Side::Erp, "erp-1", erp_row("master"));
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("master"));
    assert!(world.conflicts.values().any(|record| record.values.crm.value == Value::text("drifted")));
}

/// A write of `Acme` to the ERP is on its way when its record goes and comes back, which the core knows.
fn passed() -> (EntityMapping, World) {
    let (mapping, mut world) = start(Policy::LastWrite);
    world.edit(Side::Crm, &[("name", Value::text("Acme"))]);
    world.deliver(&mapping, Side::Crm);
    world.delete(Side::Erp);
    world.undelete(Side::Erp, "erp-1", erp_row("name0"));
    (mapping, world)
}

#[test]
fn putting_back_what_a_write_had_replaced_is_an_edit_though_the_next_write_expects_just_that() {
    let (mapping, mut world) = passed();
    world.deliver(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.execute(Side::Erp, false);
    world.tick(10 * SECOND);
    world.edit(Side::Erp, &[("name", Value::text("name0"))]);
    world.execute(Side::Erp, false);
    world.settle(&mapping);
    let kept = |record: &reconcile::merge::ConflictRecord| record.field == "name" && record.values.erp.value == Value::text("name0");
    assert!(world.conflicts.values().any(kept), "{:?}", world.conflicts);
}

#[test]
fn a_write_that_was_thought_lost_with_its_record_is_no_edit_against_the_next() {
    let (mapping, mut world) = passed();
    world.tick(10 * SECOND);
    world.edit(Side::Crm, &[("name", Value::text("Acme Works"))]);
    world.deliver(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Crm);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("Acme Works"));
    no_conflict_of_name(&world);
}

#[test]
fn two_records_that_were_both_gone_go_on_from_what_they_had_agreed_on() {
    let mut mapping = mapping(Policy::LastWrite);
    mapping.delete = Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete };
    let mut world = World::agreed(&mapping, cutting());
    world.edit(Side::Erp, &[("name", Value::text("Acme Works"))]);
    world.settle(&mapping);
    world.delete(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.execute(Side::Crm, false);
    world.undelete(Side::Erp, "erp-1", erp_row("Acme Works Ltd"));
    // Ours of long ago stands in the CRM's record, which a person brings back later than the ERP's.
    world.deliver(&mapping, Side::Erp);
    world.deliver(&mapping, Side::Crm);
    world.tick(10 * SECOND);
    world.undelete(Side::Crm, "crm-1", crm_row("Acme W"));
    if let Some(back) = world.systems.crm.stream.back_mut() {
        back.write = Some(reconcile::merge::WriteNumber(0));
    }
    world.settle(&mapping);
    assert_eq!(world.values("name"), ("Acme W".to_owned(), "Acme Works Ltd".to_owned()));
    no_conflict_of_name(&world);
}

#[test]
fn a_record_that_we_made_and_of_which_only_the_return_is_shown_was_edited_by_somebody_else() {
    let mapping = mapping(Policy::LastWrite);
    let mut world = alone(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.execute(Side::Crm, false);
    world.answer_of(&mapping, Side::Crm);
    world.edit(Side::Crm, &[("name", Value::text("edited"))]);
    let (record, row) = (world.systems.crm.record.clone().expect("made"), world.systems.crm.row.clone());
    world.delete(Side::Crm);
    world.systems.crm.stream.clear();
    world.undelete(Side::Crm, &record, row);
    if let Some(back) = world.systems.crm.stream.back_mut() {
        (back.returned, back.write) = (true, Some(reconcile::merge::WriteNumber(0)));
    }
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("edited"));
}
