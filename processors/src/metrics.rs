//! What processors count. Names stand here only; `docs/metrics.md` says what bad looks like.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Counters and timers of all processors of one process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) records: IntCounterVec,
    pub(crate) outputs: IntCounterVec,
    pub(crate) dead_letters: IntCounterVec,
    pub(crate) retries: IntCounterVec,
    pub(crate) restored: IntCounterVec,
    pub(crate) batch_seconds: HistogramVec,
    pub(crate) commit_seconds: HistogramVec,
    pub(crate) lag: IntGaugeVec,
    pub(crate) oversized: IntCounterVec,
    pub(crate) misfits: IntCounterVec,
    pub(crate) ambiguous: IntCounterVec,
    pub(crate) rereads: IntCounterVec,
    pub(crate) waiting: IntGaugeVec,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When one is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help), &["processor"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let timer = |name: &str, help: &str| -> Result<HistogramVec, prometheus::Error> {
            let buckets = vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
            let timer = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["processor"])?;
            registry.register(Box::new(timer.clone()))?;
            Ok(timer)
        };
        let lag = IntGaugeVec::new(Opts::new("processors_lag_records", "committed records not yet processed"), &["processor"])?;
        registry.register(Box::new(lag.clone()))?;
        let waiting =
            IntGaugeVec::new(Opts::new("processors_waiting_records", "records whose parent nobody has seen yet"), &["processor"])?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            records: counter("processors_records_total", "records processed")?,
            outputs: counter("processors_outputs_total", "records written, changelog aside")?,
            dead_letters: counter("processors_dead_letters_total", "records set aside")?,
            retries: counter("processors_retries_total", "batches given up and tried again")?,
            restored: counter("processors_store_restored_records_total", "changelog records replayed into a store")?,
            batch_seconds: timer("processors_batch_seconds", "time to decide and commit one batch")?,
            commit_seconds: timer("processors_commit_seconds", "time to commit one batch")?,
            lag,
            waiting,
            oversized: counter("processors_oversized_records_total", "records whose outputs were larger than the log takes")?,
            misfits: counter("processors_golden_misfit_fields_total", "golden fields left empty because the value was of another type")?,
            ambiguous: counter(
                "processors_ambiguous_records_total",
                "records that may be another entity's; a person is asked, and nothing is made for them on the other side",
            )?,
            rereads: counter(
                "processors_reread_records_total",
                "records asked for again because their stream did not show what it owes: an answered write, the edit for which one was \
                 refused, or what became of the record",
            )?,
        })
    }

    /// Metrics that nobody collects.
    ///
    /// # Errors
    /// Never in practice; as [`Self::new`].
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        Self::new(&Registry::new())
    }
}
