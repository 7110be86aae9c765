//! Everything the sinks count. `sink` is `erp`, `crm` or `readmodel`.

use std::sync::Arc;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The sinks' metrics; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    writes: IntCounterVec,
    retries: IntCounterVec,
    dead_letters: IntCounterVec,
    batches: HistogramVec,
    batch_seconds: HistogramVec,
    in_hand: IntGaugeVec,
    paused: IntGaugeVec,
    crm_calls: IntCounterVec,
    crm_call_seconds: Histogram,
    crm_api_used: IntGauge,
    crm_api_limit: IntGauge,
    readmodel_records: IntCounterVec,
    readmodel_pruned: IntCounter,
}

impl Metrics {
    /// Registers the sinks' metrics.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauges = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let made = IntGaugeVec::new(Opts::new(name, help), &["sink"])?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let histograms = |name: &str, help: &str, buckets: &[f64]| -> Result<HistogramVec, prometheus::Error> {
            let made = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &["sink"])?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let sizes = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];
        let seconds = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let crm_call_seconds = Histogram::with_opts(
            HistogramOpts::new("sinks_crm_call_seconds", "Time of a REST call to Salesforce").buckets(seconds.to_vec()),
        )?;
        let crm_api_used = IntGauge::new("sinks_crm_api_used_calls", "API calls of the org in the last 24 hours, as Salesforce last said")?;
        let crm_api_limit = IntGauge::new("sinks_crm_api_limit_calls", "API calls the org may make in 24 hours")?;
        let readmodel_pruned = IntCounter::new("sinks_readmodel_pruned_rows_total", "Old rows removed from the read model")?;
        registry.register(Box::new(crm_call_seconds.clone()))?;
        registry.register(Box::new(crm_api_used.clone()))?;
        registry.register(Box::new(crm_api_limit.clone()))?;
        registry.register(Box::new(readmodel_pruned.clone()))?;
        Ok(Self(Arc::new(Families {
            writes: counters("sinks_writes_total", "Writes answered, by result", &["sink", "result"])?,
            retries: counters("sinks_retries_total", "Tries of writes that must be tried again", &["sink"])?,
            dead_letters: counters("sinks_dead_letters_total", "Records set aside", &["sink"])?,
            batches: histograms("sinks_batch_writes", "Writes or records in a batch", &sizes)?,
            batch_seconds: histograms("sinks_batch_seconds", "Time from taking a batch to its answers", &seconds)?,
            in_hand: gauges("sinks_in_hand_writes", "Writes read from the log and not yet answered")?,
            paused: gauges("sinks_paused", "1 while the sink is held back")?,
            crm_calls: counters("sinks_crm_calls_total", "REST calls to Salesforce, by how they ended", &["end"])?,
            crm_call_seconds,
            crm_api_used,
            crm_api_limit,
            readmodel_records: counters("sinks_readmodel_records_total", "Records brought into the read model, by message", &["message"])?,
            readmodel_pruned,
        })))
    }

    pub(crate) fn written(&self, sink: &str, result: &str, count: u64) {
        self.0.writes.with_label_values(&[sink, result]).inc_by(count);
    }

    pub(crate) fn retried(&self, sink: &str, count: u64) {
        self.0.retries.with_label_values(&[sink]).inc_by(count);
    }

    pub(crate) fn set_aside(&self, sink: &str, count: u64) {
        self.0.dead_letters.with_label_values(&[sink]).inc_by(count);
    }

    #[expect(clippy::cast_precision_loss, reason = "batches are far smaller than 2^52")]
    pub(crate) fn batch(&self, sink: &str, size: usize, seconds: f64) {
        self.0.batches.with_label_values(&[sink]).observe(size as f64);
        self.0.batch_seconds.with_label_values(&[sink]).observe(seconds);
    }

    pub(crate) fn in_hand(&self, sink: &str, count: usize) {
        self.0.in_hand.with_label_values(&[sink]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn paused(&self, sink: &str, paused: bool) {
        self.0.paused.with_label_values(&[sink]).set(i64::from(paused));
    }

    pub(crate) fn crm_call(&self, end: &str, seconds: f64) {
        self.0.crm_calls.with_label_values(&[end]).inc();
        self.0.crm_call_seconds.observe(seconds);
    }

    pub(crate) fn crm_usage(&self, used: i64, limit: i64) {
        self.0.crm_api_used.set(used);
        self.0.crm_api_limit.set(limit);
    }

    pub(crate) fn read_model(&self, message: &str, count: u64) {
        self.0.readmodel_records.with_label_values(&[message]).inc_by(count);
    }

    pub(crate) fn pruned(&self, rows: u64) {
        self.0.readmodel_pruned.inc_by(rows);
    }
}
