//! Records without a common key are compared.

use schemas::cdc::Op;
use schemas::message::{EntityLink, Side};

use super::{account, creates, customer, entity, links, open, sfid};
use crate::harness::{MAPPING, World};

/// The example's mapping, with names compared.
pub(super) fn mapping() -> String {
    let rules = "[entity.customer.match]\n\
        compare = [{ name = \"name\", as = \"organisation\", crm = \"Name\", erp = \"name\" }]\n\
        automatic = 9.0\nreview = 3.0\nlead = 2.0\n\n[entity.customer.field.name]";
    MAPPING.replace("[entity.customer.field.name]", rules)
}

async fn copied() -> (World, crate::harness::Running) {
    let world = World::with(&mapping()).await;
    let running = world.start();
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    (world, running)
}

#[tokio::test]
async fn a_clear_match_is_linked_without_asking_and_a_likely_one_is_asked_about() {
    let world = World::with(&mapping()).await;
    let running = world.start();
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer(7, "Brauerei Zwettl GmbH", "")).await;
    world.change(Side::Erp, "public.customers", "8", Op::Read, &customer(8, "Hofmeister Logistics Ltd", "")).await;
    world.change(Side::Erp, "public.customers", "9", Op::Read, &customer(9, "Quarzwerke", "")).await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Read, &account("BRAUEREI ZWETTL", "")).await;
    world.change(Side::Crm, "Account", &sfid(2), Op::Read, &account("Hofmeister Holding", "")).await;
    world.quiet().await;
    assert_eq!(links(&world).await.len(), 5);
    assert!(open(&world).await.is_empty(), "not before everything is read");
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(1)).await, entity(&world, Side::Erp, "7").await, "{:?}", open(&world).await);
    let all: Vec<EntityLink> = world.messages(&world.topics.entity_links()).await;
    assert!(all.iter().any(|link| link.linked && link.rule == "score"));
    let open = open(&world).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert!(open[0].score.is_some_and(|score| score >= 3000));
    assert!(open[0].reasons.iter().any(|reason| reason.label == "name" && reason.weight != 0), "{:?}", open[0].reasons);
    let nine = entity(&world, Side::Erp, "9").await;
    assert_eq!((creates(&world, Side::Crm).await, creates(&world, Side::Erp).await), (vec![nine], vec![]), "{}", world.show().await);
    running.stop().await;
}

#[tokio::test]
async fn a_new_record_is_compared_at_once_and_again_when_it_changes() {
    let (world, running) = copied().await;
    // Nothing may be made for the account yet, or it would have its counterpart already.
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("Brauerei Zwettl", "")).await;
    world.change(Side::Erp, "public.customers", "8", Op::Create, &customer(8, "Hofmeister Logistics", "")).await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Brauerei Zwettl GmbH", "")).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(1)).await, entity(&world, Side::Erp, "7").await);
    running.stop().await;
}

#[tokio::test]
async fn of_two_that_match_as_well_neither_is_linked_without_asking() {
    let world = World::with(&mapping()).await;
    let running = world.start();
    for (id, name) in [(7, "Brauerei Zwettl GmbH"), (8, "Brauerei Zwettl")] {
        world.change(Side::Erp, "public.customers", &id.to_string(), Op::Read, &customer(id, name, "")).await;
    }
    world.change(Side::Crm, "Account", &sfid(1), Op::Read, &account("BRAUEREI ZWETTL", "")).await;
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    assert_eq!(super::together(&world).await.len(), 3);
    assert_eq!(open(&world).await.len(), 2);
    assert!(creates(&world, Side::Crm).await.is_empty() && creates(&world, Side::Erp).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn who_has_found_its_match_is_not_asked_about_any_more() {
    let world = World::with(&mapping()).await;
    let running = world.start();
    for (id, name) in [(1, "Hofmeister Logistics"), (2, "Hofmeister Holding")] {
        world.change(Side::Erp, "public.customers", &id.to_string(), Op::Read, &customer(id, name, "")).await;
    }
    world.change(Side::Crm, "Account", &sfid(3), Op::Read, &account("Hofmeister Logistics", "")).await;
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(3)).await, entity(&world, Side::Erp, "1").await);
    assert_eq!(open(&world).await, []);
    assert_eq!(creates(&world, Side::Crm).await, [entity(&world, Side::Erp, "2").await]);
    running.stop().await;
}
