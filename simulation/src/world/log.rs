//! What stands on the log: whether it is read, and the messages of a topic.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use processors::ProcessorName;
use schemas::message::{Conflict, Message, Side};
use stream::{Log as _, Start};

use super::World;

/// Writes after which a run is taken never to come to rest.
const MOST_WRITES: u64 = 2500;

impl World {
    /// More has been written than any run has reason to.
    pub(in super::super) async fn runs_away(&self) -> anyhow::Result<bool> {
        let mut writes = 0;
        for side in [Side::Crm, Side::Erp] {
            writes += self.log.ends(&self.topics.writes(side)).await?.values().sum::<u64>();
        }
        Ok(writes > MOST_WRITES)
    }

    /// Whether these readers have read everything.
    pub(super) async fn is_read(&self, which: impl Fn(&str) -> bool) -> anyhow::Result<bool> {
        let mut groups: Vec<(String, Vec<String>)> = processors::topology(&self.mappings[0], &self.topics)
            .into_iter()
            .filter(|node| node.name != ProcessorName::Aggregates)
            .map(|node| (node.name.as_str().to_owned(), node.inputs))
            .collect();
        groups.extend([Side::Crm, Side::Erp].map(|side| (format!("sink.{side}"), vec![self.topics.writes(side)])));
        for (group, topics) in groups.into_iter().filter(|(group, _)| which(group)) {
            let committed = self.log.committed(&group, &topics).await?;
            for topic in &topics {
                // What is behind the last record may be a transaction's marker.
                let slack = u64::from(self.setup.markers);
                for (at, end) in self.log.ends(topic).await? {
                    if end > 0 && committed.get(&at).copied().unwrap_or(0) + slack < end {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// All messages of a topic, in order within each partition.
    pub(in super::super) async fn messages<M: Message>(&self, topic: &str) -> anyhow::Result<Vec<M>> {
        let mut found = Vec::new();
        for (at, end) in self.log.ends(topic).await? {
            let mut reader = self.log.reader(vec![(at.clone(), Start::Earliest)]).await?;
            while reader.position().await?.get(&at).copied().unwrap_or(0) < end {
                let Some(records) = reader.poll(1000, Duration::ZERO).now_or_never() else { break };
                for record in records? {
                    found.extend(self.common.codec.message::<M>(&record).await?);
                }
            }
        }
        Ok(found)
    }

    /// Every conflict as it was last recorded.
    pub(in super::super) async fn latest_conflicts(&self) -> anyhow::Result<BTreeMap<String, Conflict>> {
        let conflicts: Vec<Conflict> = self.messages(&self.topics.conflicts()).await?;
        Ok(conflicts.into_iter().map(|conflict| (conflict.id.clone(), conflict)).collect())
    }
}
