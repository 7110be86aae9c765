//! Names of this crate's metrics. They stand in the default registry, which `/metrics` shows.

use std::sync::LazyLock;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts};

/// This crate's metrics.
pub(crate) struct Metrics {
    pub(crate) request_seconds: Histogram,
    pub(crate) responses: IntCounterVec,
    pub(crate) sign_in_failures: IntCounter,
    pub(crate) live_streams: IntGauge,
    pub(crate) decisions: IntCounterVec,
}

const BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let registry = prometheus::default_registry();
    let keep = |collector: Box<dyn prometheus::core::Collector>| {
        if let Err(error) = registry.register(collector) {
            tracing::warn!(%error, "a metric is not shown");
        }
    };
    let built = (|| -> prometheus::Result<Metrics> {
        Ok(Metrics {
            request_seconds: Histogram::with_opts(
                HistogramOpts::new("dashboard_request_seconds", "Time to answer a request, streams aside").buckets(BOUNDS.to_vec()),
            )?,
            responses: IntCounterVec::new(Opts::new("dashboard_responses_total", "Answers by status class"), &["class"])?,
            sign_in_failures: IntCounter::new("dashboard_sign_in_failures_total", "Wrong passwords")?,
            live_streams: IntGauge::new("dashboard_live_streams", "Pages that are being kept live")?,
            decisions: IntCounterVec::new(
                Opts::new("dashboard_decisions_total", "Decisions put on the log, by what is wanted"),
                &["action"],
            )?,
        })
    })();
    // The names and labels above are constants that a test has seen accepted.
    let metrics = match built {
        Ok(metrics) => metrics,
        Err(error) => unreachable!("a metric's constant name is refused: {error}"),
    };
    keep(Box::new(metrics.request_seconds.clone()));
    keep(Box::new(metrics.responses.clone()));
    keep(Box::new(metrics.sign_in_failures.clone()));
    keep(Box::new(metrics.live_streams.clone()));
    keep(Box::new(metrics.decisions.clone()));
    metrics
});

/// The one set.
pub(crate) fn metrics() -> &'static Metrics {
    &METRICS
}
