//! What people decide is carried out once, holds for good and can be taken back.

use std::collections::BTreeMap;

use schemas::cdc::Op;
use schemas::message::{DecisionResult, EntityLink, EntityOp, MatchState, Side, WriteOp};

use super::{
    accepted, account, creates, customer, decide, distinct, entity, links, open, reviews, same, sfid, split, together, twins, unmatch,
};
use crate::harness::{World, text};

#[tokio::test]
async fn the_same_makes_one_entity_whose_records_meet_for_the_first_time() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    let (left, right) = (entity(&world, Side::Crm, &sfid(1)).await, entity(&world, Side::Erp, "7").await);
    world.pass(60);
    let before = world.changes().await.len();
    accepted(&decide(&world, same(&world, "d1", &left, &right)).await);
    let links = links(&world).await;
    assert_eq!(links[&(Side::Crm, sfid(1))], links[&(Side::Erp, "7".to_owned())]);
    let stays = links[&(Side::Erp, "7".to_owned())].clone();
    let ended = if stays == left { &right } else { &left };
    let all: Vec<EntityLink> = world.messages(&world.topics.entity_links()).await;
    assert!(all.iter().any(|link| !link.linked && link.entity == *ended && link.rule == "decision"));
    assert!(all.iter().any(|link| link.linked && link.entity == stays && link.rule == "decision"));
    let told = &world.changes().await[before..];
    assert!(told.iter().any(|change| change.op == EntityOp::Unlinked && change.entity == *ended));
    let moved = told.iter().find(|change| change.op == EntityOp::Joined).expect("said again");
    assert_eq!((moved.entity.as_str(), moved.snapshot), (stays.as_str(), true));
    assert!(
        moved.fields.iter().any(|field| field.name == "name")
            && moved.columns.iter().any(|field| field.name == "Name" || field.name == "name")
    );
    let reviews = reviews(&world).await;
    let answered = reviews.values().find(|review| review.state == MatchState::Same).expect("kept");
    assert_eq!((answered.decision.as_deref(), answered.decided_by.as_deref()), (Some("d1"), Some("ana")));
    // The branch is still asked about, now against the one entity.
    let open = open(&world).await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert!(open[0].left == stays || open[0].right == stays);
    // Deciding again with the same id is deciding once; with another it changes nothing.
    world.publish(&world.topics.decisions(), &left, &same(&world, "d1", &left, &right)).await;
    assert_eq!(decide(&world, same(&world, "d2", &left, &right)).await.result, DecisionResult::Unchanged);
    // What differs is settled as at first contact.
    let writes = world.writes(Side::Crm).await;
    let settled =
        writes.iter().find(|write| write.entity == stays && write.record == Some(sfid(1))).unwrap_or_else(|| panic!("{writes:?}"));
    assert!(settled.values.iter().any(|field| field.name == "Name" && field.value == text("Acme")));
    assert!(creates(&world, Side::Erp).await.is_empty() && creates(&world, Side::Crm).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn two_records_of_one_system_are_never_one_entity() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    let (left, right) = (entity(&world, Side::Erp, "7").await, entity(&world, Side::Erp, "8").await);
    let answer = decide(&world, same(&world, "d1", &left, &right)).await;
    assert_eq!(answer.result, DecisionResult::Refused);
    assert_eq!(answer.reason, "both have a record in the ERP, 7 and 8: merge them there, or split one off first");
    assert_eq!(open(&world).await.len(), 3, "it is still asked");
    running.stop().await;
}

#[tokio::test]
async fn a_decision_that_makes_no_sense_is_answered_in_words() {
    let (world, running) = World::copied().await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 1")).await;
    world.quiet().await;
    let there = entity(&world, Side::Erp, "7").await;
    for (number, decision) in [
        same(&world, "", "nobody", &there),
        same(&world, "", &there, "nobody"),
        distinct(&world, "", &there, &there),
        split(&world, "", &there, Side::Crm, "001"),
        unmatch(&world, "", &there, "never"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = decide(&world, schemas::message::Decision { id: format!("d{number}"), ..decision }).await;
        assert_eq!(answer.result, DecisionResult::Refused, "{answer:?}");
        assert!(!answer.reason.is_empty());
    }
    running.stop().await;
}

#[tokio::test]
async fn not_the_same_lets_both_be_made_and_is_never_asked_again() {
    let (world, running) = World::copied().await;
    // The account came while an ERP customer had its tax id twice.
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 123")).await;
    world.change(Side::Erp, "public.customers", "8", Op::Create, &customer(8, "Acme branch", "AT 123")).await;
    world.quiet().await;
    let before = creates(&world, Side::Crm).await;
    let (left, right) = (entity(&world, Side::Erp, "7").await, entity(&world, Side::Erp, "8").await);
    assert_eq!(before, std::slice::from_ref(&left), "the first was made before the second was known");
    accepted(&decide(&world, distinct(&world, "d1", &left, &right)).await);
    assert_eq!(creates(&world, Side::Crm).await, [left.clone(), right.clone()]);
    assert!(open(&world).await.is_empty());
    assert_eq!(decide(&world, distinct(&world, "d2", &left, &right)).await.result, DecisionResult::Unchanged);
    // Rebuilt from the changelog, and both tables copied again.
    running.stop().await;
    world.stores.lose("matcher", 0);
    world.log.compact();
    let running = world.start();
    world.pass(60);
    world.change(Side::Erp, "public.customers", "8", Op::Read, &customer(8, "Acme branch", "AT 123")).await;
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer(7, "Acme", "AT 123")).await;
    world.quiet().await;
    assert!(open(&world).await.is_empty(), "{}", world.show().await);
    assert_eq!(creates(&world, Side::Crm).await.len(), 2);
    // Taken back, it is asked again.
    accepted(&decide(&world, unmatch(&world, "d3", &left, "d1")).await);
    assert_eq!(open(&world).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_merge_taken_back_is_as_if_it_had_never_been_and_holds_until_then() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    let before = links(&world).await;
    let asked: std::collections::BTreeSet<String> = open(&world).await.into_iter().map(|review| review.id).collect();
    let (left, right) = (before[&(Side::Crm, sfid(1))].clone(), before[&(Side::Erp, "7".to_owned())].clone());
    accepted(&decide(&world, same(&world, "d1", &left, &right)).await);
    let merged = links(&world).await;
    running.stop().await;
    world.stores.lose("matcher", 0);
    let running = world.start();
    world.pass(60);
    world.change(Side::Crm, "Account", &sfid(1), Op::Read, &account("ACME", "at123")).await;
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer(7, "Acme", "AT 123")).await;
    world.quiet().await;
    assert_eq!(links(&world).await, merged, "a copy guesses nothing");
    accepted(&decide(&world, unmatch(&world, "d2", &left, "d1")).await);
    assert_eq!(links(&world).await, before);
    assert_eq!(open(&world).await.into_iter().map(|review| review.id).collect::<std::collections::BTreeSet<_>>(), asked);
    assert_eq!((creates(&world, Side::Crm).await.len(), creates(&world, Side::Erp).await.len()), (0, 0), "{}", world.show().await);
    assert_eq!(decide(&world, unmatch(&world, "d3", &left, "d1")).await.result, DecisionResult::Unchanged);
    running.stop().await;
}

#[tokio::test]
async fn a_record_that_is_split_off_stays_off_and_comes_back_when_that_is_taken_back() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("ACME", "at123")).await;
    world.quiet().await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 123")).await;
    world.quiet().await;
    let before = links(&world).await;
    let one = before[&(Side::Erp, "7".to_owned())].clone();
    accepted(&decide(&world, split(&world, "d1", &one, Side::Erp, "7")).await);
    let apart = links(&world).await;
    assert_eq!(apart[&(Side::Crm, sfid(1))], one, "the entity keeps its id");
    assert_ne!(apart[&(Side::Erp, "7".to_owned())], one);
    assert!(open(&world).await.is_empty());
    // Another copy, and a store that was lost: still apart.
    running.stop().await;
    world.stores.lose("matcher", 0);
    let running = world.start();
    world.pass(60);
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer(7, "Acme", "AT 123")).await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Update, &account("ACME 2", "at123")).await;
    world.quiet().await;
    assert_eq!(links(&world).await, apart);
    assert!(open(&world).await.is_empty());
    accepted(&decide(&world, unmatch(&world, "d2", &one, "d1")).await);
    assert_eq!(links(&world).await, before);
    assert_eq!(together(&world).await.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn children_follow_the_parent_that_was_merged() {
    let world = World::new().await;
    let running = world.start();
    twins(&world).await;
    let contact = "003000000000001AAA";
    world
        .change(
            Side::Crm,
            "Contact",
            contact,
            Op::Create,
            &[("LastName", text("Novak")), ("Email", text("n@x.example")), ("AccountId", text(&sfid(1)))],
        )
        .await;
    world.quiet().await;
    let (left, right) = (entity(&world, Side::Crm, &sfid(1)).await, entity(&world, Side::Erp, "7").await);
    assert!(world.writes(Side::Erp).await.is_empty(), "its customer is in doubt");
    accepted(&decide(&world, same(&world, "d1", &left, &right)).await);
    let stays = entity(&world, Side::Crm, &sfid(1)).await;
    let last = world.changes().await.into_iter().rfind(|change| change.record == contact).expect("said");
    let parent = last.references.iter().find(|reference| reference.field == "customer").expect("its customer");
    assert_eq!((parent.entity.as_str(), parent.erp.as_deref()), (stays.as_str(), Some("7")));
    let writes = world.writes(Side::Erp).await;
    let made =
        writes.iter().find(|write| write.object == "public.contacts").unwrap_or_else(|| panic!("the contact can be made: {writes:?}"));
    assert!(
        made.values.iter().any(|field| field.name == "customer_id" && (field.value == text("7") || field.value == schemas::Value::Int(7)))
    );
    running.stop().await;
}

#[tokio::test]
async fn what_bears_an_entitys_id_stays_in_it_when_the_two_are_split() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("ACME", "at123")).await;
    world.quiet().await;
    let one = entity(&world, Side::Crm, &sfid(1)).await;
    let mut made = customer(7, "Acme", "AT 123");
    made.push(("concord_id", text(&one)));
    world.change(Side::Erp, "public.customers", "7", Op::Create, &made).await;
    world.quiet().await;
    assert_eq!(entity(&world, Side::Erp, "7").await, one);
    accepted(&decide(&world, split(&world, "d1", &one, Side::Erp, "7")).await);
    assert_eq!(entity(&world, Side::Erp, "7").await, one, "what is made for the entity is found by its id");
    assert_ne!(entity(&world, Side::Crm, &sfid(1)).await, one);
    running.stop().await;
}

#[tokio::test]
async fn what_was_made_for_an_entity_and_found_its_place_taken_is_asked_about() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("ACME", "at123")).await;
    world.quiet().await;
    let one = entity(&world, Side::Crm, &sfid(1)).await;
    assert_eq!(creates(&world, Side::Erp).await, std::slice::from_ref(&one));
    // A customer that a key links comes before the one that was made.
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 123")).await;
    let mut made = customer(8, "ACME", "");
    made.push(("concord_id", text(&one)));
    world.change(Side::Erp, "public.customers", "8", Op::Create, &made).await;
    world.quiet().await;
    let double = entity(&world, Side::Erp, "8").await;
    assert_eq!((entity(&world, Side::Erp, "7").await == one, double == one), (true, false));
    let asked = open(&world).await;
    assert_eq!(asked.len(), 1, "{}", world.show().await);
    assert!([&asked[0].left, &asked[0].right].contains(&&double) && [&asked[0].left, &asked[0].right].contains(&&one));
    assert!(creates(&world, Side::Crm).await.is_empty(), "no second account is made of the double");
    // Another try to make what the account lacks would find the double.
    accepted(&decide(&world, split(&world, "d1", &one, Side::Erp, "7")).await);
    assert_eq!(creates(&world, Side::Erp).await.len(), 1, "{}", world.show().await);
    // It is another one, says a person: so the account has to have another id.
    accepted(&decide(&world, distinct(&world, "d2", &one, &double)).await);
    let own = entity(&world, Side::Crm, &sfid(1)).await;
    assert_ne!(own, one);
    assert!(creates(&world, Side::Erp).await.contains(&own) && creates(&world, Side::Crm).await.contains(&double));
    running.stop().await;
}

#[tokio::test]
async fn what_is_said_of_two_records_while_they_are_copied_holds_when_all_are() {
    let world = World::new().await;
    let running = world.start();
    world.change(Side::Erp, "public.customers", "7", Op::Read, &customer(7, "Acme", "AT 123")).await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Read, &account("ACME", "at123")).await;
    world.quiet().await;
    let one = entity(&world, Side::Erp, "7").await;
    assert_eq!(entity(&world, Side::Crm, &sfid(1)).await, one, "a key links them");
    accepted(&decide(&world, split(&world, "d1", &one, Side::Crm, &sfid(1))).await);
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    // Each is told that all are known, and gets a record of its own across.
    let other = entity(&world, Side::Crm, &sfid(1)).await;
    assert_ne!(other, one);
    assert_eq!((creates(&world, Side::Crm).await, creates(&world, Side::Erp).await), (vec![one], vec![other]), "{}", world.show().await);
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_record_that_comes_back_to_its_entity_leaves_the_place_to_another_deleted_one() {
    let (world, running) = World::copied().await;
    world.change(Side::Crm, "Account", &sfid(1), Op::Create, &account("Acme", "at123")).await;
    world.quiet().await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer(7, "Acme", "AT 123")).await;
    world.quiet().await;
    let one = entity(&world, Side::Erp, "7").await;
    accepted(&decide(&world, split(&world, "d1", &one, Side::Crm, &sfid(1))).await);
    // The customer gets an account of its own, of which an edit is on its way when both accounts are deleted.
    let made = world.writes(Side::Crm).await.into_iter().rfind(|write| write.op == WriteOp::Create).expect("an account is made");
    assert_eq!(made.entity, one);
    world.carry_out(&made, &BTreeMap::new(), &sfid(2)).await;
    world.quiet().await;
    world.pass(60);
    world.change(Side::Crm, "Account", &sfid(2), Op::Update, &[("Name", text("Acme Wien"))]).await;
    world.quiet().await;
    let edit = world.writes(Side::Erp).await.into_iter().rfind(|write| write.op == WriteOp::Update).expect("it goes across");
    for number in [2, 1] {
        world.change(Side::Crm, "Account", &sfid(number), Op::Delete, &[]).await;
    }
    world.quiet().await;
    accepted(&decide(&world, unmatch(&world, "d2", &one, "d1")).await);
    let row = customer(7, "Acme", "AT 123").into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    world.carry_out(&edit, &row, "").await;
    world.quiet().await;
    let last = world.writes(Side::Erp).await.into_iter().rfind(|write| write.entity == one).expect("writes");
    let archived = last.values.iter().any(|field| field.name == "status" && field.value == text("closed"));
    assert!(archived, "the account of its own is gone: {}", world.show().await);
    running.stop().await;
}
