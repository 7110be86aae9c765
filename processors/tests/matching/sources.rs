//! What systems do to records: merges at the source, deletions, parents that come late or never.

use schemas::cdc::Op;
use schemas::message::{DeadLetter, EntityOp, Health, Side, WriteOp};

use super::{account, creates, customer, entity, links, open, sfid};
use crate::harness::{World, text};

/// Links an account with a customer by tax id.
async fn pair(world: &World, number: u32, customer_id: i64, tax_id: &str) -> String {
    world.change(Side::Crm, "Account", &sfid(number), Op::Create, &account("Acme", tax_id)).await;
    world.quiet().await;
    world.change(Side::Erp, "public.customers", &customer_id.to_string(), Op::Create, &customer(customer_id, "Acme", tax_id)).await;
    world.quiet().await;
    entity(world, Side::Erp, &customer_id.to_string()).await
}

/// Salesforce merges an account into another.
async fn merge(world: &World, loser: u32, winner: u32) {
    world.pass(60);
    let deleted = world.cdc(Side::Crm, "Account", &sfid(loser), Op::Delete, &[], None).await;
    stream::Log::publish(&world.log, vec![deleted.header("merged-into", sfid(winner))]).await.expect("publishes");
    world.quiet().await;
}

async fn erp_is_untouched(world: &World) {
    let writes = world.writes(Side::Erp).await;
    assert!(
        writes.iter().all(|write| write.op == WriteOp::Create || !write.values.iter().any(|field| field.name == "status")),
        "{writes:?}"
    );
    assert!(writes.iter().all(|write| write.op != WriteOp::Delete));
}

#[tokio::test]
async fn the_customer_of_a_merged_account_goes_to_the_winner() {
    let world = World::new().await;
    let running = world.start();
    // The winner has nothing in the ERP yet.
    world.change(Side::Crm, "Account", &sfid(2), Op::Read, &account("Acme Wien", "")).await;
    pair(&world, 1, 7, "AT 101").await;
    merge(&world, 1, 2).await;
    let links = links(&world).await;
    assert_eq!(links[&(Side::Crm, sfid(2))], links[&(Side::Erp, "7".to_owned())]);
    assert!(!links.contains_key(&(Side::Crm, sfid(1))));
    assert!(world.changes().await.iter().all(|change| change.op != EntityOp::Deleted));
    erp_is_untouched(&world).await;
    running.stop().await;
}

#[tokio::test]
async fn two_customers_of_merged_accounts_are_asked_about_and_both_stay() {
    let (world, running) = World::copied().await;
    let loser = pair(&world, 1, 7, "AT 101").await;
    let winner = pair(&world, 2, 8, "AT 102").await;
    let made = creates(&world, Side::Crm).await.len();
    merge(&world, 1, 2).await;
    let open = open(&world).await;
    assert_eq!(open.len(), 1, "{}", world.show().await);
    assert!([&open[0].left, &open[0].right].contains(&&loser) && [&open[0].left, &open[0].right].contains(&&winner));
    assert_eq!(entity(&world, Side::Erp, "7").await, loser);
    assert_eq!(creates(&world, Side::Crm).await.len(), made, "no account is made for the loser: {}", world.show().await);
    erp_is_untouched(&world).await;
    // An unrelated edit does not end the question; merging them in the ERP does.
    world.change(Side::Erp, "public.customers", "7", Op::Update, &customer(7, "Acme old", "AT 101")).await;
    world.quiet().await;
    assert_eq!(super::open(&world).await.len(), 1);
    world.change(Side::Erp, "public.customers", "7", Op::Delete, &[]).await;
    world.quiet().await;
    assert!(super::open(&world).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_winner_that_nobody_has_seen_is_waited_for() {
    let (world, running) = World::copied().await;
    let loser = pair(&world, 1, 7, "AT 101").await;
    let made = creates(&world, Side::Crm).await.len();
    merge(&world, 1, 2).await;
    assert_eq!(creates(&world, Side::Crm).await.len(), made, "{}", world.show().await);
    world.change(Side::Crm, "Account", &sfid(2), Op::Create, &account("Acme Wien", "")).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(2)).await, loser);
    assert_eq!(entity(&world, Side::Erp, "7").await, loser);
    erp_is_untouched(&world).await;
    running.stop().await;
}

#[tokio::test]
async fn the_last_record_takes_the_links_with_it_and_brings_them_back() {
    let (world, running) = World::copied().await;
    let there = pair(&world, 1, 7, "AT 101").await;
    world.change(Side::Erp, "public.customers", "7", Op::Delete, &[]).await;
    world.quiet().await;
    assert_eq!(links(&world).await.len(), 2, "the account still stands for it");
    world.change(Side::Crm, "Account", &sfid(1), Op::Delete, &[]).await;
    world.quiet().await;
    assert!(links(&world).await.is_empty());
    world.pass(60);
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("Acme", "AT 101")).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(1)).await, there);
    running.stop().await;
}

#[tokio::test]
async fn a_record_that_comes_back_to_a_taken_place_is_asked_about() {
    let (world, running) = World::copied().await;
    let there = pair(&world, 1, 7, "AT 101").await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Delete, &[]).await;
    world.quiet().await;
    // The account was entered anew, and then the old one was taken out of the bin.
    world.change(Side::Crm, "Account", &sfid(2), Op::Create, &account("Acme", "AT 101")).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(2)).await, there);
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("Acme", "AT 101")).await;
    world.quiet().await;
    let back = entity(&world, Side::Crm, &sfid(1)).await;
    assert_ne!(back, there);
    assert_eq!(open(&world).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_record_whose_parent_never_comes_is_named_and_still_finds_its_place_when_it_does() {
    let (world, running) = World::copied().await;
    let contact = [("LastName", text("Novak")), ("Email", text("n@x.example")), ("AccountId", text(&sfid(1)))];
    world.change(Side::Crm, "Contact", "003000000000001AAA", Op::Create, &contact).await;
    world.quiet().await;
    let topic = world.topics.dead_letters(&world.topics.cdc_crm("Contact"));
    assert!(world.messages::<DeadLetter>(&topic).await.is_empty());
    world.pass(2 * 3600);
    let letter = world.found("the dead letter", async || world.messages::<DeadLetter>(&topic).await.into_iter().next()).await;
    assert_eq!(letter.reason, format!("Contact 003000000000001AAA waits for Account {}, which nobody has seen", sfid(1)));
    // It is on the dashboard too.
    let waiting = async || {
        let health: Vec<Health> = world.messages(&world.topics.health()).await;
        health.iter().rev().find(|health| health.component == "matcher")?.facts.get("waiting").filter(|count| *count == "1").cloned()
    };
    world.found("the one that waits", waiting).await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("Acme", "")).await;
    world.quiet().await;
    assert!(links(&world).await.contains_key(&(Side::Crm, "003000000000001AAA".to_owned())));
    world.pass(2 * 3600);
    world.quiet().await;
    assert_eq!(world.messages::<DeadLetter>(&topic).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn accounts_that_point_at_one_another_in_a_circle_find_their_places() {
    let parent =
        "[entity.customer.field.parent]\ntype = \"reference(customer)\"\ncrm = \"ParentId\"\nerp = \"parent_id\"\n\n[entity.contact]";
    let world = World::with(&crate::harness::MAPPING.replacen("[entity.contact]", parent, 1)).await;
    let running = world.start();
    for (number, points_at) in [(1, 2), (2, 3), (3, 1), (4, 4)] {
        let values = [("Name", text(&format!("Acme {number}"))), ("ParentId", text(&sfid(points_at)))];
        world.change(Side::Crm, "Account", &sfid(number), Op::Read, &values).await;
    }
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    let links = links(&world).await;
    assert_eq!(links.len(), 4);
    for (number, points_at) in [(1, 2), (2, 3), (3, 1), (4, 4)] {
        let last =
            world.changes().await.into_iter().rfind(|change| change.record == sfid(number) && !change.references.is_empty()).expect("said");
        let parent = last.references.iter().find(|reference| reference.field == "parent").expect("its parent");
        assert_eq!(parent.entity, links[&(Side::Crm, sfid(points_at))], "of {number}: {}", world.show().await);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_key_that_is_added_while_running_finds_records_that_came_before() {
    let key = "    { name = \"tax id\", crm = \"Tax_Id__c\", erp = \"tax_id\", normal = \"tax_id\" },";
    let without: String = crate::harness::MAPPING.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
    assert_ne!(without, crate::harness::MAPPING);
    // The columns are read under either mapping.
    let column = "[entity.customer.field.tax_id]\ntype = \"text\"\ncrm = \"Tax_Id__c\"\nerp = \"tax_id\"\n\n[entity.contact]";
    let (before, after) =
        (without.replacen("[entity.contact]", column, 1), crate::harness::MAPPING.replacen("[entity.contact]", column, 1));
    let world = World::with(&before).await;
    let running = world.start();
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 123")).await;
    world.quiet().await;
    let setting = processors::in_force::setting(&after, 4, "ida", world.now());
    world.publish(&world.topics.control(), processors::in_force::SETTING, &setting).await;
    world.quiet().await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("ACME", "at123")).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Crm, &sfid(1)).await, entity(&world, Side::Erp, "7").await, "{}", world.show().await);
    running.stop().await;
}
