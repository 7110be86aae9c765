//! What cannot be worked on is set aside, and who runs says so.

use schemas::cdc::Op;
use schemas::message::{DeadLetter, Health, HealthState, Side};

use super::customer_row;
use crate::harness::{World, text};

#[tokio::test]
async fn a_bad_record_is_set_aside_with_its_bytes_and_the_rest_goes_on() {
    let (world, running) = World::copied().await;
    let topic = world.topics.cdc_erp("public.customers");
    let rubbish = stream::NewRecord::new(topic.clone(), "8", b"\0\0\0\0\x01rubbish".to_vec());
    stream::Log::publish(&world.log, vec![rubbish]).await.expect("publishes");
    let mut odd = customer_row("Odd", "1.00");
    odd[3].1 = text("N99");
    world.change(Side::Erp, "public.customers", "9", Op::Create, &odd).await;
    world.change(Side::Erp, "public.customers", "7", Op::Create, &customer_row("Acme", "1000.00")).await;
    world.quiet().await;
    let letters: Vec<DeadLetter> = world.messages(&world.topics.dead_letters(&topic)).await;
    assert_eq!(letters.len(), 2);
    let bytes = letters.iter().find(|letter| letter.key.as_deref() == Some(b"8")).expect("the rubbish");
    assert_eq!((bytes.value.as_deref(), bytes.component.as_str()), (Some(b"\0\0\0\0\x01rubbish".as_slice()), "matcher"));
    let unmapped = letters.iter().find(|letter| letter.key.as_deref() == Some(b"9")).expect("the odd row");
    assert!(unmapped.reason.contains("payment_terms") && unmapped.reason.contains("N99"), "{}", unmapped.reason);
    assert_eq!(world.writes(Side::Crm).await.len(), 1, "the good one went on");
    running.stop().await;
}

#[tokio::test]
async fn a_record_whose_outputs_are_too_large_is_set_aside_and_the_rest_goes_on() {
    let (world, running) = World::copied().await;
    running.stop().await;
    world.change(Side::Erp, "public.customers", "1", Op::Create, &customer_row("First", "1.00")).await;
    // It fits, but its entity change, which holds the name twice, does not.
    world.change(Side::Erp, "public.customers", "2", Op::Create, &customer_row(&"x".repeat(40 << 10), "1.00")).await;
    let mut third = customer_row("Third", "1.00");
    third[5].1 = text("AT 3");
    world.change(Side::Erp, "public.customers", "3", Op::Create, &third).await;
    let running = world.start();
    world.quiet().await;
    let letters: Vec<DeadLetter> = world.messages(&world.topics.dead_letters(&world.topics.cdc_erp("public.customers"))).await;
    assert_eq!(letters.iter().map(|letter| letter.key.clone()).collect::<Vec<_>>(), [Some(b"2".to_vec())]);
    assert!(letters[0].reason.contains("more than the log takes"), "{}", letters[0].reason);
    assert_eq!(world.changes().await.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn health_says_who_runs_and_who_has_stopped() {
    let (world, running) = World::copied().await;
    running.stop().await;
    let health: Vec<Health> = world.messages(&world.topics.health()).await;
    for component in ["matcher", "reconciler", "aggregates"] {
        let states: Vec<HealthState> = health.iter().filter(|health| health.component == component).map(|health| health.state).collect();
        assert!(states.contains(&HealthState::Running), "{component}: {states:?}");
        assert_eq!(states.last(), Some(&HealthState::Stopped), "{component}");
    }
    assert!(health.iter().any(|health| health.facts.contains_key("lag")));
}
