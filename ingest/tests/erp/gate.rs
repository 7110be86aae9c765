//! A log whose commits a test holds up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::topic::TopicConfig;
use stream::{Log, Member, MemberConfig, Membership, NewRecord, Offsets, Producer, Reader, Start, TopicPartition};
use tokio::sync::watch;

use super::harness::World;

/// A log whose commits wait for a gate.
pub(crate) struct Gated {
    log: Arc<dyn Log>,
    open: watch::Receiver<bool>,
    delay: Duration,
}

impl Gated {
    /// Commits to the world's log wait while the gate is shut, and take so long when it is open.
    pub(crate) fn new(world: &World, open: watch::Receiver<bool>, delay: Duration) -> Self {
        Self { log: Arc::new(world.memory.clone()), open, delay }
    }
}

struct GatedProducer {
    producer: Box<dyn Producer>,
    open: watch::Receiver<bool>,
    delay: Duration,
}

#[async_trait]
impl Log for Gated {
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
        Ok(Box::new(GatedProducer { producer: self.log.producer(transactional_id).await?, open: self.open.clone(), delay: self.delay }))
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
        self.log.committed(group, topics).await
    }
}

#[async_trait]
impl Producer for GatedProducer {
    async fn begin(&mut self) -> stream::Result<()> {
        self.producer.begin().await
    }
    async fn send(&mut self, records: Vec<NewRecord>) -> stream::Result<()> {
        self.producer.send(records).await
    }
    async fn commit(&mut self, consumed: Option<(Membership, Offsets)>) -> stream::Result<Offsets> {
        // The gate's end is the test's end.
        let _ = self.open.wait_for(|open| *open).await;
        // So long does a commit take on this log; nobody waits for anything.
        tokio::time::sleep(self.delay).await;
        self.producer.commit(consumed).await
    }
    async fn abort(&mut self) -> stream::Result<()> {
        self.producer.abort().await
    }
}
