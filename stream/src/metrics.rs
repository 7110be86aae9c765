//! Names of this crate's metrics, and a log that counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};
use schemas::topic::TopicConfig;

use crate::error::Error;
use crate::in_process::weight;
use crate::log::{
    Log, Member, MemberConfig, Membership, NewRecord, Offsets, Polled, Producer, Reader, Record, Result, Start, TopicPartition,
};

/// This crate's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    records_in: IntCounter,
    bytes_in: IntCounter,
    records_out: IntCounter,
    bytes_out: IntCounter,
    commits: IntCounter,
    aborts: IntCounter,
    commit_seconds: Histogram,
    fenced: IntCounter,
    unavailable: IntCounter,
    assigned: IntCounter,
    revoked: IntCounter,
}

const BOUNDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

static DEFAULT: LazyLock<Metrics> = LazyLock::new(|| {
    let metrics = Metrics::new(prometheus::default_registry()).or_else(|error| {
        tracing::warn!(%error, "the metrics of the log are not shown");
        Metrics::new(&Registry::new())
    });
    match metrics {
        Ok(metrics) => metrics,
        // Names are constants, which a test has seen accepted.
        Err(error) => unreachable!("a constant name is refused: {error}"),
    }
});

impl Metrics {
    /// Registers all.
    ///
    /// # Errors
    /// When a name is registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let commit_seconds =
            Histogram::with_opts(HistogramOpts::new("stream_commit_seconds", "Time to commit a transaction").buckets(BOUNDS.to_vec()))?;
        registry.register(Box::new(commit_seconds.clone()))?;
        Ok(Self {
            records_in: counter("stream_records_in_total", "Records read from the log")?,
            bytes_in: counter("stream_bytes_in_total", "Bytes of keys and values read from the log")?,
            records_out: counter("stream_records_out_total", "Records handed to the log, also in transactions that were aborted")?,
            bytes_out: counter("stream_bytes_out_total", "Bytes of keys and values handed to the log")?,
            commits: counter("stream_commits_total", "Transactions committed")?,
            aborts: counter("stream_aborts_total", "Transactions aborted")?,
            commit_seconds,
            fenced: counter("stream_fenced_total", "Calls refused because another process took over")?,
            unavailable: counter("stream_unavailable_total", "Calls that did not reach the log")?,
            assigned: counter("stream_partitions_assigned_total", "Partitions that members were given")?,
            revoked: counter("stream_partitions_revoked_total", "Partitions that members lost")?,
        })
    }

    /// Those in the default registry, which `/metrics` shows.
    pub fn default_registry() -> Self {
        DEFAULT.clone()
    }

    fn seen<T>(&self, result: Result<T>) -> Result<T> {
        match &result {
            Err(Error::Fenced(_)) => self.fenced.inc(),
            Err(Error::Unavailable { .. }) => self.unavailable.inc(),
            _ => {}
        }
        result
    }

    fn read(&self, records: &[Record]) {
        self.records_in.inc_by(records.len() as u64);
        self.bytes_in.inc_by(records.iter().map(weight).sum::<usize>() as u64);
    }

    fn written(&self, records: &[NewRecord]) {
        let size =
            |record: &NewRecord| record.key.as_ref().map_or(0, bytes::Bytes::len) + record.value.as_ref().map_or(0, bytes::Bytes::len);
        self.records_out.inc_by(records.len() as u64);
        self.bytes_out.inc_by(records.iter().map(size).sum::<usize>() as u64);
    }
}

/// A log that counts what goes through it.
pub struct MeteredLog {
    log: Arc<dyn Log>,
    metrics: Metrics,
}

impl MeteredLog {
    /// Counts what goes through `log`.
    pub fn new(log: Arc<dyn Log>, metrics: Metrics) -> Self {
        Self { log, metrics }
    }
}

struct Metered<T: ?Sized> {
    metrics: Metrics,
    inner: Box<T>,
}

#[async_trait]
impl Log for MeteredLog {
    async fn create_topics(&self, topics: &[TopicConfig]) -> Result<()> {
        self.metrics.seen(self.log.create_topics(topics).await)
    }

    async fn topics(&self) -> Result<Vec<String>> {
        self.metrics.seen(self.log.topics().await)
    }

    async fn partitions(&self, topic: &str) -> Result<u32> {
        self.metrics.seen(self.log.partitions(topic).await)
    }

    async fn join(&self, config: MemberConfig) -> Result<Box<dyn Member>> {
        let inner = self.metrics.seen(self.log.join(config).await)?;
        Ok(Box::new(Metered { metrics: self.metrics.clone(), inner }))
    }

    async fn producer(&self, transactional_id: &str) -> Result<Box<dyn Producer>> {
        let inner = self.metrics.seen(self.log.producer(transactional_id).await)?;
        Ok(Box::new(Metered { metrics: self.metrics.clone(), inner }))
    }

    async fn reader(&self, partitions: Vec<(TopicPartition, Start)>) -> Result<Box<dyn Reader>> {
        let inner = self.metrics.seen(self.log.reader(partitions).await)?;
        Ok(Box::new(Metered { metrics: self.metrics.clone(), inner }))
    }

    async fn publish(&self, records: Vec<NewRecord>) -> Result<()> {
        self.metrics.written(&records);
        self.metrics.seen(self.log.publish(records).await)
    }

    async fn ends(&self, topic: &str) -> Result<BTreeMap<TopicPartition, u64>> {
        self.metrics.seen(self.log.ends(topic).await)
    }

    async fn committed(&self, group: &str, topics: &[String]) -> Result<Offsets> {
        self.metrics.seen(self.log.committed(group, topics).await)
    }
}

#[async_trait]
impl Member for Metered<dyn Member> {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Polled> {
        let polled = self.metrics.seen(self.inner.poll(max, wait).await)?;
        match &polled {
            Polled::Records(records) => self.metrics.read(records),
            Polled::Assigned(partitions) => self.metrics.assigned.inc_by(partitions.len() as u64),
            Polled::Revoked(partitions) => self.metrics.revoked.inc_by(partitions.len() as u64),
        }
        Ok(polled)
    }

    async fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<()> {
        self.metrics.seen(self.inner.seek(partition, start).await)
    }

    fn membership(&self) -> Result<Membership> {
        self.inner.membership()
    }

    async fn commit(&mut self, offsets: &Offsets) -> Result<()> {
        self.metrics.seen(self.inner.commit(offsets).await)
    }
}

#[async_trait]
impl Producer for Metered<dyn Producer> {
    async fn begin(&mut self) -> Result<()> {
        self.metrics.seen(self.inner.begin().await)
    }

    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        self.metrics.written(&records);
        self.metrics.seen(self.inner.send(records).await)
    }

    async fn commit(&mut self, consumed: Option<(Membership, Offsets)>) -> Result<Offsets> {
        let begun = Instant::now();
        let committed = self.metrics.seen(self.inner.commit(consumed).await)?;
        self.metrics.commits.inc();
        self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(committed)
    }

    async fn abort(&mut self) -> Result<()> {
        self.metrics.aborts.inc();
        self.metrics.seen(self.inner.abort().await)
    }
}

#[async_trait]
impl Reader for Metered<dyn Reader> {
    async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>> {
        let records = self.metrics.seen(self.inner.poll(max, wait).await)?;
        self.metrics.read(&records);
        Ok(records)
    }

    async fn position(&mut self) -> Result<Offsets> {
        self.metrics.seen(self.inner.position().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_accepted_once() {
        let registry = Registry::new();
        Metrics::new(&registry).expect("names are good");
        assert!(registry.gather().iter().all(|family| family.name().starts_with("stream_")));
        assert!(Metrics::new(&registry).is_err());
    }
}
