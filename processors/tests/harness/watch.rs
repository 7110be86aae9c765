//! What the processors have written so far, and waiting for it.

use std::time::Duration;

use schemas::message::{EntityChange, Message, Side, Write};
use stream::{Log as _, Record, Start, TopicPartition};

use super::World;

impl World {
    /// What a look finds, soon. It looks again and again: the log and what the processors say of themselves have no one
    /// notification, and a look is cheap.
    ///
    /// # Panics
    /// When it is not there in half a minute.
    pub(crate) async fn found<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        for _ in 0..6_000 {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{what} never came: {}", self.show().await);
    }

    /// Waits until every processor has read everything and nothing more is written.
    pub(crate) async fn quiet(&self) {
        let mut before = None;
        let mut same = 0;
        for _ in 0..20_000 {
            let now = self.progress().await;
            same = if now.is_some() && now == before { same + 1 } else { 0 };
            if same > 5 {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        panic!("the processors never came to rest");
    }

    /// Ends of all topics but health, once every input is read; none before.
    async fn progress(&self) -> Option<Vec<(TopicPartition, u64)>> {
        let mut ends = Vec::new();
        for node in processors::topology(&self.mapping, &self.topics) {
            let committed = self.log.committed(node.name.as_str(), &node.inputs).await.ok()?;
            for topic in &node.inputs {
                for record in self.try_records(topic).await.ok()? {
                    if committed.get(&record.partition).copied().unwrap_or(0) <= record.offset {
                        return None;
                    }
                }
            }
            for topic in node.outputs.iter().chain([&node.changelog]) {
                ends.extend(self.log.ends(topic).await.ok()?);
            }
        }
        Some(ends)
    }

    /// Everything that processors wrote, for a person who reads a failed test.
    pub(crate) async fn show(&self) -> String {
        let mut out = String::new();
        for change in self.changes().await {
            out += &format!(
                "change {} {} {} {:?} {:?} refs {:?} may_create {}\n",
                change.side, change.object, change.record, change.op, change.fields, change.references, change.may_create
            );
        }
        for side in [Side::Crm, Side::Erp] {
            for write in self.writes(side).await {
                out += &format!(
                    "write {side} {} {:?} {:?} {:?} expecting {:?}\n",
                    write.object, write.op, write.record, write.values, write.expected
                );
            }
        }
        for conflict in self.messages::<schemas::message::Conflict>(&self.topics.conflicts()).await {
            out += &format!("{conflict:?}\n");
        }
        for node in processors::topology(&self.mapping, &self.topics) {
            for topic in node.dead_letters {
                for letter in self.messages::<schemas::message::DeadLetter>(&topic).await {
                    out += &format!("dead letter of {topic} by {}: {}\n", letter.component, letter.reason);
                }
            }
        }
        out
    }

    /// What a counter of the processors has come to.
    pub(crate) fn counted(&self, name: &str) -> u64 {
        let found = self.registry.gather().into_iter().find(|family| family.name() == name);
        found.map_or(0, |family| family.get_metric().iter().map(|metric| metric.get_counter().get_value() as u64).sum())
    }

    /// All records of a topic.
    pub(crate) async fn records(&self, topic: &str) -> Vec<Record> {
        self.try_records(topic).await.expect("records")
    }

    async fn try_records(&self, topic: &str) -> stream::Result<Vec<Record>> {
        let mut found = Vec::new();
        for (partition, end) in self.log.ends(topic).await? {
            let mut reader = self.log.reader(vec![(partition.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&partition).copied().unwrap_or(end) < end {
                found.extend(reader.poll(1000, Duration::from_millis(10)).await?);
            }
        }
        found.sort_by_key(|record| record.timestamp_ms);
        Ok(found)
    }

    /// All messages of a topic, oldest first.
    pub(crate) async fn messages<M: Message>(&self, topic: &str) -> Vec<M> {
        let mut found = Vec::new();
        for record in self.records(topic).await {
            found.extend(self.codec.message::<M>(&record).await.expect("a message"));
        }
        found
    }

    pub(crate) async fn writes(&self, side: Side) -> Vec<Write> {
        self.messages(&self.topics.writes(side)).await
    }

    pub(crate) async fn changes(&self) -> Vec<EntityChange> {
        self.messages(&self.topics.entity_changes()).await
    }
}
