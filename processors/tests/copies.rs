//! First copies come to an end whatever the log does at the ends of topics.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemas::Value;
use schemas::cdc::Op;
use schemas::message::{Side, WriteOp};
use schemas::topic::TopicConfig;
use stream::{Log, Member, MemberConfig, MemoryLog, NewRecord, Offsets, Producer, Reader, Start, TopicPartition};
use tokio::sync::Notify;

use crate::harness::{World, money, text};

/// A log whose answer about a group's offsets may lack partitions, as a broker's may while commits are on their way.
struct Forgetful {
    log: MemoryLog,
    forgets: AtomicBool,
    forgot: Notify,
}

#[async_trait::async_trait]
impl Log for Forgetful {
    async fn create_topics(&self, topics: &[TopicConfig]) -> stream::Result<()> {
        self.log.create_topics(topics).await
    }
    async fn topics(&self) -> stream::Result<Vec<String>> {
        self.log.topics().await
    }
    async fn partitions(&self, topic: &str) -> stream::Result<u32> {
        self.log.partitions(topic).await
    }
    async fn join(&self, config: MemberConfig) -> stream::Result<Box<dyn Member>> {
        self.log.join(config).await
    }
    async fn producer(&self, transactional_id: &str) -> stream::Result<Box<dyn Producer>> {
        self.log.producer(transactional_id).await
    }
    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> stream::Result<Box<dyn Reader>> {
        self.log.reader(partitions).await
    }
    async fn publish(&self, records: Vec<NewRecord>) -> stream::Result<()> {
        self.log.publish(records).await
    }
    async fn ends(&self, topic: &str) -> stream::Result<Offsets> {
        self.log.ends(topic).await
    }
    async fn committed(&self, group: &str, topics: &[String]) -> stream::Result<Offsets> {
        if self.forgets.load(Ordering::Relaxed) && group == "matcher" {
            self.forgot.notify_one();
            return Ok(Offsets::new());
        }
        self.log.committed(group, topics).await
    }
}

fn customer(id: i64, tax_id: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("id", Value::Int(id)),
        ("name", text("Acme")),
        ("credit_limit", money("10.00")),
        ("payment_terms", text("N30")),
        ("rating", Value::Int(2)),
        ("tax_id", text(tax_id)),
    ]
}

/// Waits for the creation in the CRM that says that both first copies count. Time passes between the looks, which nobody would
/// move otherwise: the matcher looks at the ends of topics once a second.
async fn created(world: &World, count: usize) {
    let looks = Cell::new(0);
    let made = async || {
        looks.set(looks.get() + 1);
        if looks.get() % 50 == 0 {
            world.pass(1);
        }
        (world.writes(Side::Crm).await.iter().filter(|write| write.op == WriteOp::Create).count() >= count).then_some(())
    };
    world.found("the creation", made).await;
}

#[tokio::test]
async fn a_copy_counts_even_when_it_was_not_told_how_far_its_rows_were_processed() {
    let world = World::new().await;
    let log = Arc::new(Forgetful { log: world.log.clone(), forgets: AtomicBool::new(false), forgot: Notify::new() });
    let running = world.start_on(log.clone());
    for id in 1..=4 {
        world.change(Side::Erp, "public.customers", &id.to_string(), Op::Read, &customer(id, &format!("AT {id}"))).await;
    }
    world.quiet().await;
    // The matcher gets its partitions anew; all rows are behind it, but the log does not say so.
    log.forgets.store(true, Ordering::Relaxed);
    world.log.faults().rebalance("matcher");
    tokio::time::timeout(Duration::from_secs(60), log.forgot.notified()).await.expect("it asks for its offsets");
    log.forgets.store(false, Ordering::Relaxed);
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    created(&world, 4).await;
    running.stop().await;
}

#[tokio::test]
async fn a_copy_counts_although_its_last_rows_were_deleted_and_compacted_away() {
    let world = World::new().await;
    let running = world.start();
    world.change(Side::Erp, "public.customers", "1", Op::Read, &customer(1, "AT 1")).await;
    world.quiet().await;
    running.stop().await;
    let partition = schemas::topic::partition(b"1", crate::harness::PARTITIONS);
    let topic = world.topics.cdc_erp("public.customers");
    // Keys of one partition that were made and removed while nobody looked.
    let keys: Vec<String> = (2..40)
        .map(|id: i64| id.to_string())
        .filter(|key| schemas::topic::partition(key.as_bytes(), crate::harness::PARTITIONS) == partition)
        .collect();
    let tombstones = keys.iter().map(|key| NewRecord::tombstone(topic.clone(), key.clone())).collect();
    world.log.publish(tombstones).await.expect("publishes");
    world.pass(2 * 86_400);
    world.log.compact();
    let running = world.start();
    world.checkpoint("crm", &["Account", "Contact"]).await;
    world.checkpoint("erp", &["public.customers", "public.contacts"]).await;
    created(&world, 1).await;
    running.stop().await;
}
