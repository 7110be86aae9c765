//! kill -9 at random points under load: nothing lost, nothing twice, no loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::sample::Dice;
use serde_json::json;
use simulator::Actor;
use tests::{Log, World};

const KILLS: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_again_and_again_on_the_embedded_log_nothing_is_lost_or_doubled() {
    killed_again_and_again(Log::Embedded, 0x5eed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_again_and_again_on_kafka_nothing_is_lost_or_doubled() {
    killed_again_and_again(Log::Kafka, 0x5eed2).await;
}

#[expect(clippy::disallowed_macros, reason = "it says how far it has come, and what agreed in the end")]
async fn killed_again_and_again(log: Log, seed: u64) {
    let world = Arc::new(World::start(log, 40).await);
    let mut dice = Dice::new(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(load(world.clone(), stop.clone(), seed));
    for kill in 0..KILLS {
        // Chance decides where in its work the process dies; the seed is in the name of the test's source.
        tokio::time::sleep(Duration::from_millis(200 + dice.below(1_800) as u64)).await;
        world.kill().await;
        world.run().await;
        eprintln!("kill {} of {KILLS}", kill + 1);
    }
    stop.store(true, Ordering::Relaxed);
    let edits = load.await.expect("the load");
    let agreement = world.agree(&format!("{KILLS} kills under {edits} edits")).await;
    eprintln!("{agreement}");
    // No loop: one more edit is one more write. What the read model has still to read of the time before does not count.
    let begun: std::time::SystemTime = world.erp.query_one("select clock_timestamp()", &[]).await.expect("a clock").get(0);
    world.sql("update customers set city = 'Quiet' where id = 1").await;
    world.agree("one more edit").await;
    assert_eq!(writes_since(&world, begun).await, 1, "writes that one edit caused");
    world.stop().await;
}

/// Confirmed writes (rows of the audit) that follow from a change at this time or later, once there is one and every write
/// has ended.
async fn writes_since(world: &World, begun: std::time::SystemTime) -> i64 {
    let read_model = world.stack.read_model().await.expect("the read model");
    let look = || async {
        let unfinished = "select id || ' ' || side || ' ' || op || ' ' || state || ' ' || reason from write where state in ('sent', 'applied', 'deferred') order by 1";
        let unfinished: Vec<String> = read_model.query(unfinished, &[]).await.expect("writes").iter().map(|row| row.get(0)).collect();
        let count = "select count(*) from audit where caused_at >= $1";
        (read_model.query_one(count, &[&begun]).await.expect("audit").get::<_, i64>(0), unfinished)
    };
    let last = std::cell::Cell::new(0);
    let at_rest = |(count, unfinished): &(i64, Vec<String>)| last.replace(*count) == *count && *count > 0 && unfinished.is_empty();
    tests::eventually("every write to end", look, at_rest).await.0
}

/// Edits and creates on both sides until told to stop; returns how many.
async fn load(world: Arc<World>, stop: Arc<AtomicBool>, seed: u64) -> usize {
    let mut dice = Dice::new(seed ^ 0xf00d);
    let person = Actor::lightning(world.org().admin_user());
    let mut edits = 0;
    while !stop.load(Ordering::Relaxed) {
        let n = edits;
        match dice.below(20) {
            0 => world.sql(&format!("insert into customers (name, tax_id) values ('Made here {n}', 'XE{n:09}')")).await,
            1 => {
                world
                    .org()
                    .create(&person, "Account", &json!({"Name": format!("Made there {n}"), "Tax_Id__c": format!("XC{n:09}")}))
                    .expect("made");
            }
            2..=10 => world.sql(&format!("update customers set phone = 'erp {n}' where id = {}", 1 + dice.below(40))).await,
            11 => world.sql(&format!("update customers set website = 'https://w{n}.example' where id <= 20")).await,
            _ => {
                let mut accounts = Vec::new();
                world.org().scan("Account", |record| accounts.push(record.id()));
                let account = *dice.pick(&accounts);
                world.org().update(&person, account, &json!({"BillingStreet": format!("crm {n}")})).expect("edited");
            }
        }
        edits += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    edits
}
