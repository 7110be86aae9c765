//! The contract on local disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::topic::TopicConfig;
use stream::{
    EmbeddedLog, EmbeddedOptions, Fsync, Log, Member, MemberConfig, NewRecord, Offsets, Producer, Reader, Result, Start, TopicPartition,
};

use crate::support::Fixture;

/// Small files and busy keepers, so that a short test sees what a long day sees.
pub(crate) fn small(fsync: Fsync) -> EmbeddedOptions {
    EmbeddedOptions {
        fsync,
        segment_bytes: 256 << 10,
        journal_bytes: 256 << 10,
        compact_bytes: 256 << 10,
        keep_every: Duration::from_millis(10),
        ..EmbeddedOptions::default()
    }
}

/// A log whose folder goes with it.
struct Temporary {
    log: EmbeddedLog,
    _dir: tempfile::TempDir,
}

fn log(options: EmbeddedOptions) -> Fixture {
    let dir = tempfile::tempdir().expect("makes a folder");
    let log = EmbeddedLog::open(dir.path(), options).expect("opens");
    Fixture::new(Arc::new(Temporary { log, _dir: dir }), 4 << 20)
}

mod small_files {
    crate::contract!(async { super::log(super::small(stream::Fsync::Never)) });
}

mod every_commit {
    crate::contract!(async { super::log(super::small(stream::Fsync::EveryCommit)) });
}

mod interval {
    crate::contract!(async { super::log(super::small(stream::Fsync::Interval(std::time::Duration::from_millis(5)))) });
}

#[async_trait]
impl Log for Temporary {
    async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()> {
        self.log.create_topics(topics).await
    }
    async fn topics(&self) -> Result<Vec<String>> {
        self.log.topics().await
    }
    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.log.partitions(topic).await
    }
    async fn join(&self, config: MemberConfig) -> Result<Box<dyn Member>> {
        self.log.join(config).await
    }
    async fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        self.log.producer(transactional_id).await
    }
    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> Result<Box<dyn Reader>> {
        self.log.reader(partitions).await
    }
    async fn publish(&self, records: Vec<NewRecord>) -> Result<()> {
        self.log.publish(records).await
    }
    async fn ends(&self, topic: &str) -> Result<Offsets> {
        self.log.ends(topic).await
    }
    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        self.log.committed(group, topics).await
    }
}
