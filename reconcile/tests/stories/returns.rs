//! Records that people bring back while something else goes on.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, Pair, Policy, Side};

use super::{audited, both, start};
use crate::world::World;

fn crm_row(name: &str) -> BTreeMap<String, Value> {
    BTreeMap::from([("name__c".to_owned(), Value::text(name)), ("phone__c".to_owned(), Value::text("phone0"))])
}

fn erp_row(name: &str) -> BTreeMap<String, Value> {
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
