//! Reviews open, say what they are about, and end when the question does.

use schemas::cdc::Op;
use schemas::message::{MatchState, Side};

use super::{account, creates, customer, links, open, reviews, sfid, twins};
use crate::harness::World;

#[tokio::test]
async fn records_that_a_key_cannot_tell_apart_are_asked_about_and_nothing_is_made_for_them() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    let open = open(&world).await;
    assert_eq!(open.len(), 3, "{open:?}");
    for review in &open {
        assert!(review.left < review.right && review.id == format!("{}~{}", review.left, review.right));
        assert_eq!(
            (review.kind.as_str(), review.reason.as_str()),
            ("customer", "they have the same tax id, which does not tell them apart")
        );
        assert!(review.reasons.iter().any(|reason| reason.label == "tax id" && reason.finding == "equal" && reason.left == "AT123"));
        assert!(
            review.left_fields.iter().any(|field| field.name == "name") && review.right_fields.iter().any(|field| field.name == "name")
        );
        assert_eq!(review.opened_at, world.now());
    }
    let titles: std::collections::BTreeSet<&str> =
        open.iter().flat_map(|review| [review.left_title.as_str(), review.right_title.as_str()]).collect();
    assert_eq!(titles, ["ACME", "Acme", "Acme branch"].into());
    let across = open.iter().find(|review| review.left_crm.is_some() || review.right_crm.is_some()).expect("with the account");
    assert!(across.left_erp.is_some() || across.right_erp.is_some());
    assert_eq!((creates(&world, Side::Crm).await.len(), creates(&world, Side::Erp).await.len()), (0, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_review_follows_its_records_and_ends_with_the_question() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    world.pass(60);
    world.change(Side::Erp, "public.customers", "8", Op::Update, &customer(8, "Acme north", "AT 123")).await;
    world.quiet().await;
    assert!(open(&world).await.iter().any(|review| review.left_title == "Acme north" || review.right_title == "Acme north"));
    // The branch gets a tax id of its own: it can be made in the CRM, and the other two are one beyond doubt.
    world.pass(60);
    world.change(Side::Erp, "public.customers", "8", Op::Update, &customer(8, "Acme north", "AT 999")).await;
    world.quiet().await;
    let branch = super::entity(&world, Side::Erp, "8").await;
    assert_eq!(creates(&world, Side::Crm).await, std::slice::from_ref(&branch), "{}", world.show().await);
    assert!(
        reviews(&world)
            .await
            .values()
            .filter(|review| review.left == branch || review.right == branch)
            .all(|review| review.state == MatchState::Withdrawn)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_twin_takes_its_reviews_with_it() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    world.pass(60);
    world.change(Side::Erp, "public.customers", "8", Op::Delete, &[]).await;
    world.quiet().await;
    let open = open(&world).await;
    assert_eq!(open.len(), 1, "{open:?}");
    let links = links(&world).await;
    assert!(!links.contains_key(&(Side::Erp, "8".to_owned())), "its link has ended");
    assert_eq!((creates(&world, Side::Crm).await.len(), creates(&world, Side::Erp).await.len()), (0, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_late_twin_of_a_linked_customer_is_asked_about_and_the_link_stays() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("ACME", "at123")).await;
    world.quiet().await;
    let entity = super::entity(&world, Side::Crm, &sfid(1)).await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 123")).await;
    world.quiet().await;
    assert_eq!(super::entity(&world, Side::Erp, "7").await, entity);
    world.change(Side::Erp, "public.customers", "8", Op::Create, &customer(8, "Acme", "AT 123")).await;
    world.quiet().await;
    assert_eq!(super::entity(&world, Side::Erp, "7").await, entity);
    let open = open(&world).await;
    assert_eq!(open.len(), 1);
    assert!(open[0].left == entity || open[0].right == entity);
    assert!(creates(&world, Side::Crm).await.is_empty());
    running.stop().await;
}
