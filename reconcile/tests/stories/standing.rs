//! Records that we have deleted and that are found standing, while the deletion is never shown.

use std::collections::BTreeSet;

use reconcile::Value;
use reconcile::mapping::{DeletePolicy, EntityMapping, Pair, Policy, Side};
use reconcile::merge::{self, Event, WriteKind};

use super::returns::{crm_row, erp_row};
use super::{both, start};
use crate::world::{SECOND, World};

fn deleting(mapping: EntityMapping) -> EntityMapping {
    EntityMapping { delete: Pair { crm: DeletePolicy::Delete, erp: DeletePolicy::Delete }, ..mapping }
}

/// The CRM's record is gone, and the ERP's was deleted by us. Its stream has lost that, and that somebody restored the row.
fn lost() -> (EntityMapping, World) {
    let (mapping, mut world) = start(Policy::LastWrite);
    let mapping = deleting(mapping);
    world.delete(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    assert!(world.systems.erp.record.is_none());
    assert!(merge::unconfirmed(&world.state, i64::MAX).is_empty(), "a deletion is left to its stream");
    world.tick(10 * SECOND);
    world.undelete(Side::Erp, "erp-1", erp_row("name0"));
    world.systems.erp.stream.clear();
    (mapping, world)
}

/// The same, and the row is found.
fn found() -> (EntityMapping, World) {
    let (mapping, mut world) = lost();
    world.read_again(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    (mapping, world)
}

fn asked_about(world: &World) {
    assert_eq!(merge::unconfirmed(&world.state, i64::MAX), [(Side::Erp, "erp-1".to_owned())], "{:#?}", world.state);
    assert_eq!(BTreeSet::from_iter(merge::unshown(&world.state, Side::Erp, i64::MAX)), BTreeSet::from(["name", "phone"]));
}

fn read(world: &mut World, mapping: &EntityMapping) {
    world.read_owed(Side::Erp);
    world.answer_of(mapping, Side::Erp);
}

#[test]
fn a_record_that_is_found_although_we_deleted_it_is_asked_about_with_all_that_it_holds() {
    let (mapping, mut world) = found();
    asked_about(&world);
    world.tick(10 * SECOND);
    world.edit(Side::Erp, &[("name", Value::text("edited"))]);
    world.deliver(&mapping, Side::Erp);
    // By whom it stands is not known any better.
    asked_about(&world);
}

#[test]
fn a_record_that_is_found_before_we_have_deleted_it_goes_all_the_same() {
    let (mapping, mut world) = start(Policy::LastWrite);
    let mapping = deleting(mapping);
    world.delete(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.read_again(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    asked_about(&world);
    read(&mut world, &mapping);
    let waits: Vec<_> = Side::BOTH.iter().flat_map(|side| &world.systems[*side].commands).map(|command| command.kind).collect();
    assert_eq!(waits, [WriteKind::Delete], "{:#?}", world.state);
    world.settle(&mapping);
    assert!(Side::BOTH.iter().all(|side| world.systems[*side].record.is_none()));
    assert_eq!((world.systems.crm.made, world.conflicts.len()), (0, 0));
}

#[test]
fn what_was_read_before_our_delete_was_sent_does_not_bring_its_record_back() {
    let (mapping, mut world) = found();
    world.read_owed(Side::Erp);
    if let Some((_, Event::Read(early))) = world.systems.erp.answers.back_mut() {
        early.write = None;
    }
    world.answer_of(&mapping, Side::Erp);
    asked_about(&world);
    assert!(world.systems.crm.commands.is_empty(), "{:#?}", world.systems.crm.commands);
}

#[test]
fn a_record_that_stands_although_we_deleted_it_is_back_and_gets_its_counterpart_again() {
    let (mapping, mut world) = found();
    read(&mut world, &mapping);
    let made: Vec<_> = world.systems.crm.commands.iter().map(|command| (command.kind, command.values.get("name__c"))).collect();
    assert_eq!(made, [(WriteKind::Create, Some(&Value::text("name0")))], "{:#?}", world.state);
    world.settle(&mapping);
    assert_eq!((world.systems.crm.made, world.systems.erp.made), (1, 0));
    assert_eq!((world.values("name"), world.values("phone")), (both("name0"), both("phone0")));
    assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
}

#[test]
fn a_record_that_stands_although_we_deleted_it_meets_the_other_one_that_is_back_too() {
    let (mapping, mut world) = found();
    world.tick(10 * SECOND);
    world.undelete(Side::Crm, "crm-1", crm_row("edited"));
    world.deliver(&mapping, Side::Crm);
    assert!(Side::BOTH.iter().all(|side| world.systems[*side].commands.is_empty()), "it may be gone: {:#?}", world.systems);
    read(&mut world, &mapping);
    world.settle(&mapping);
    assert_eq!((world.systems.crm.made, world.systems.erp.made), (0, 0));
    assert_eq!(Side::BOTH.map(|side| world.state.sides[side].record.as_deref()), [Some("crm-1"), Some("erp-1")]);
    assert_eq!((world.values("name"), world.values("phone")), (both("edited"), both("phone0")));
    assert!(world.conflicts.is_empty(), "what the two had agreed on holds: {:#?}", world.conflicts);
}

#[test]
fn a_record_that_was_found_although_we_deleted_it_and_that_is_gone_after_all_was_deleted() {
    let (mapping, mut world) = found();
    // Somebody else does it, which is shown later.
    world.delete(Side::Erp);
    for _ in 0..2 {
        assert!(world.confirmed.is_empty(), "{:#?}", world.confirmed);
        read(&mut world, &mapping);
    }
    let audited: Vec<_> = world.confirmed.iter().map(|confirmed| (confirmed.command.kind, confirmed.record.as_str())).collect();
    assert_eq!(audited, [(WriteKind::Delete, "erp-1")]);
    assert!(world.state.sides.erp.deleted && world.state.sides.erp.deleting.is_none(), "{:#?}", world.state);
    world.settle(&mapping);
    assert!(Side::BOTH.iter().all(|side| world.systems[*side].record.is_none()));
    assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
}

#[test]
fn a_record_that_is_edited_although_we_deleted_it_is_asked_about_when_nothing_else_is_shown() {
    let (mapping, mut world) = lost();
    world.edit(Side::Erp, &[("name", Value::text("edited"))]);
    world.deliver(&mapping, Side::Erp);
    asked_about(&world);
    world.settle(&mapping);
    assert_eq!(world.values("name"), both("edited"));
}

#[test]
fn a_record_that_two_re_reads_found_gone_is_not_asked_about_any_more() {
    let (mapping, mut world) = found();
    world.delete(Side::Erp);
    world.systems.erp.stream.clear();
    for _ in 0..2 {
        read(&mut world, &mapping);
    }
    assert!(merge::unconfirmed(&world.state, i64::MAX).is_empty(), "{:#?}", world.state);
}

/// It is found before our delete; people bring it back, and perhaps the other one too, before the delete is shown.
fn read_ahead(other_is_back: bool) -> World {
    let (mapping, mut world) = start(Policy::LastWrite);
    let mapping = deleting(mapping);
    world.delete(Side::Crm);
    world.deliver(&mapping, Side::Crm);
    world.read_again(Side::Erp);
    world.deliver(&mapping, Side::Erp);
    world.execute(Side::Erp, false);
    world.answer_of(&mapping, Side::Erp);
    world.tick(10 * SECOND);
    if other_is_back {
        world.undelete(Side::Crm, "crm-1", crm_row("name0"));
        world.deliver(&mapping, Side::Crm);
    }
    world.undelete(Side::Erp, "erp-1", erp_row("name0"));
    read(&mut world, &mapping);
    // Now its stream shows that it went, and that it is back.
    for _ in 0..2 {
        world.deliver(&mapping, Side::Erp);
    }
    world.settle(&mapping);
    world
}

#[test]
fn our_delete_that_is_shown_after_its_record_was_found_back_is_not_followed() {
    for other_is_back in [true, false] {
        let world = read_ahead(other_is_back);
        assert_eq!(world.systems.crm.made, u32::from(!other_is_back));
        assert_eq!(world.values("name"), both("name0"));
        assert!(world.conflicts.is_empty(), "{:#?}", world.conflicts);
        assert_eq!(world.state.next_write, if other_is_back { 1 } else { 2 }, "nothing is deleted again");
    }
}
