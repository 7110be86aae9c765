//! Laws: whatever breaks, and whenever, the outputs are those of a run in which nothing broke.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::Side;
use stream::memory::Call;

use crate::harness::{Running, World, money, text};

type Outputs = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>>;

/// Everything that processors wrote but changelogs: key, value and edit id, whatever the order between keys.
async fn outputs(world: &World) -> Outputs {
    let mut all = Outputs::new();
    for node in processors::topology(&world.mapping, &world.topics) {
        for topic in node.outputs.into_iter().chain(node.dead_letters) {
            let mut records: Vec<_> = world
                .records(&topic)
                .await
                .into_iter()
                .map(|record| {
                    let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
                    // Schema ids depend on who registers first.
                    let value = bytes(record.value.as_deref().and_then(|value| value.get(5..)));
                    (bytes(record.key.as_deref()), value, bytes(record.header("sync-id")))
                })
                .collect();
            records.sort();
            all.insert(topic, records);
        }
    }
    all
}

/// Steps of a small history, each small enough that only one order of events is possible.
const STEPS: usize = 9;

async fn step(world: &World, number: usize) {
    world.pass(30);
    let account = "001000000000001AAA";
    let row = |name: &str, limit: &str| {
        vec![
            ("id", Value::Int(7)),
            ("name", text(name)),
            ("credit_limit", money(limit)),
            ("payment_terms", text("N30")),
            ("rating", Value::Int(2)),
            ("tax_id", text("AT 1")),
        ]
    };
    match number {
        0 => {
            world.checkpoint("crm", &["Account", "Contact"]).await;
            world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
        }
        1 => world.change(Side::Erp, "public.customers", "7", Op::Create, &row("Acme", "10.00")).await,
        2 => {
            let create = world.writes(Side::Crm).await.remove(0);
            world.carry_out(&create, &BTreeMap::new(), account).await;
        }
        3 => {
            world
                .change(
                    Side::Crm,
                    "Contact",
                    "003000000000001AAA",
                    Op::Create,
                    &[("LastName", text("Novak")), ("AccountId", text(account))],
                )
                .await
        }
        4 => {
            world
                .change(
                    Side::Erp,
                    "public.invoices",
                    "1",
                    Op::Create,
                    &[("number", text("R1")), ("amount", money("5.00")), ("status", text("open")), ("customer_id", Value::Int(7))],
                )
                .await
        }
        5 => world.change(Side::Erp, "public.payments", "1", Op::Create, &[("invoice_id", Value::Int(1)), ("amount", money("2.00"))]).await,
        6 => {
            let mut odd = row("Acme", "10.00");
            odd[3].1 = text("N99");
            world.change(Side::Erp, "public.customers", "8", Op::Create, &odd).await;
        }
        7 => world.change(Side::Crm, "Account", account, Op::Update, &[("Name", text("Acme Ltd"))]).await,
        _ => {
            let write =
                world.writes(Side::Erp).await.into_iter().find(|write| write.object == "public.customers").expect("the name goes across");
            let before: BTreeMap<String, Value> = row("Acme", "10.00").into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            world.carry_out(&write, &before, "").await;
        }
    }
}

async fn undisturbed() -> Outputs {
    let world = World::new().await;
    let running = world.start();
    for number in 0..STEPS {
        step(&world, number).await;
        world.quiet().await;
    }
    running.stop().await;
    outputs(&world).await
}

fn compare(found: &Outputs, expected: &Outputs, what: &str) {
    for (topic, records) in expected {
        assert_eq!(found[topic].len(), records.len(), "{what}: records of {topic}");
        assert_eq!(&found[topic], records, "{what}: {topic}");
    }
}

#[tokio::test]
async fn a_fault_in_any_step_of_the_task_changes_nothing() {
    let expected = undisturbed().await;
    assert!(expected.values().map(Vec::len).sum::<usize>() > 15, "the history says something");
    for call in [Call::Poll, Call::Begin, Call::Send, Call::Commit, Call::Describe, Call::Join, Call::OpenProducer, Call::OpenReader] {
        let world = World::new().await;
        let running = world.start();
        let faults = world.log.faults().clone();
        for number in 0..STEPS {
            step(&world, number).await;
            if matches!(call, Call::Describe | Call::Join | Call::OpenProducer | Call::OpenReader) {
                // These are made only when a session begins.
                world.log.faults().fence("matcher-0");
                world.stores.lose("matcher", 0);
            }
            let before = faults.injected();
            faults.refuse_next(call, 2);
            world.found(&format!("a refused {call:?} at step {number}"), async || (faults.injected() > before).then_some(())).await;
            faults.refuse_next(call, 0);
            world.quiet().await;
        }
        running.stop().await;
        compare(&outputs(&world).await, &expected, &format!("{call:?} refused"));
    }
}

#[tokio::test]
async fn a_commit_that_took_effect_but_seemed_to_fail_is_not_repeated() {
    let expected = undisturbed().await;
    let world = World::new().await;
    let running = world.start();
    for number in 0..STEPS {
        step(&world, number).await;
        world.log.faults().lose_next_answer(Call::Commit, 2);
        world.quiet().await;
        world.log.faults().lose_next_answer(Call::Commit, 0);
    }
    running.stop().await;
    compare(&outputs(&world).await, &expected, "lost answers");
}

#[tokio::test]
async fn losing_the_group_at_any_time_changes_nothing() {
    let expected = undisturbed().await;
    let world = World::new().await;
    let running = world.start();
    for number in 0..STEPS {
        for name in ["matcher", "reconciler", "aggregates"] {
            match number % 3 {
                0 => world.log.faults().evict(name),
                1 => world.log.faults().rebalance(name),
                _ => world.log.faults().fence(&format!("{name}-0")),
            }
        }
        step(&world, number).await;
        world.quiet().await;
    }
    running.stop().await;
    compare(&outputs(&world).await, &expected, "lost membership");
}

#[tokio::test]
async fn killed_at_any_moment_and_started_again_the_outputs_are_the_same() {
    let expected = undisturbed().await;
    for seed in 1u64..=8 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut draw = |most: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % most
        };
        let world = World::new().await;
        let mut running: Running = world.start();
        for number in 0..STEPS {
            step(&world, number).await;
            for _ in 0..draw(3) {
                // Somewhere between two of its steps.
                for _ in 0..draw(60) {
                    tokio::task::yield_now().await;
                }
                running.kill().await;
                if draw(4) == 0 {
                    world.stores.lose("reconciler", 0);
                    world.stores.lose("matcher", 0);
                }
                running = world.start();
            }
            world.quiet().await;
        }
        running.stop().await;
        compare(&outputs(&world).await, &expected, &format!("seed {seed}"));
    }
}

#[tokio::test]
async fn a_store_rebuilt_from_its_changelog_equals_the_store() {
    let world = World::new().await;
    let running = world.start();
    for number in 0..STEPS {
        step(&world, number).await;
        world.quiet().await;
    }
    running.stop().await;
    let all = || {
        [("matcher", 0), ("reconciler", 0), ("reconciler", 1), ("aggregates", 0)]
            .map(|(name, partition)| world.stores.entries(name, partition))
    };
    let before = all();
    assert!(before[0].len() > 10 && before[1].len() + before[2].len() >= 2);
    for (name, partition) in [("matcher", 0), ("reconciler", 0), ("reconciler", 1), ("aggregates", 0)] {
        world.stores.lose(name, partition);
    }
    world.log.compact();
    let running = world.start();
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    world.quiet().await;
    running.stop().await;
    assert_eq!(before, all());
}

#[tokio::test]
async fn a_store_that_was_idle_for_long_goes_on_where_it_was() {
    let world = World::new().await;
    let running = world.start();
    for number in 0..3 {
        step(&world, number).await;
        world.quiet().await;
    }
    running.stop().await;
    let before = world.stores.entries("matcher", 0);
    world.pass(13 * 3600);
    let running = world.start();
    step(&world, 3).await;
    world.quiet().await;
    running.stop().await;
    let after = world.stores.entries("matcher", 0);
    assert!(before.keys().all(|key| after.contains_key(key)) && after.len() > before.len());
}
