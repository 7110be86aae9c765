//! What can be counted about Salesforce capture.

use std::sync::LazyLock;

use prometheus::{Gauge, IntCounter, IntCounterVec, Opts};

static EVENTS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    counters(
        "ingest_crm_events_total",
        "Change events received, by what became of them: applied, reread, covered, repeated, ignored, dead.",
        "result",
    )
});
static CHANGES: LazyLock<Option<IntCounterVec>> =
    LazyLock::new(|| counters("ingest_crm_changes_total", "Changes committed to the log, by operation.", "op"));
static GAPS: LazyLock<Option<IntCounterVec>> =
    LazyLock::new(|| counters("ingest_crm_gaps_total", "Gaps found and healed by reading again: gap, overflow, position.", "kind"));
static RECONNECTS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    counters("ingest_crm_reconnects_total", "Times the event stream had to be opened again, by class of the error.", "class")
});
static CALLS: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    let counter = IntCounter::new("ingest_crm_rest_calls_total", "REST calls made.").ok()?;
    registered(counter)
});
static LAG: LazyLock<Option<Gauge>> = LazyLock::new(|| {
    let gauge = Gauge::new("ingest_crm_lag_seconds", "Age of the newest event when its batch was committed to the log.").ok()?;
    registered(gauge)
});

fn counters(name: &str, help: &str, label: &str) -> Option<IntCounterVec> {
    registered(IntCounterVec::new(Opts::new(name, help), &[label]).ok()?)
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(collector: C) -> Option<C> {
    prometheus::default_registry().register(Box::new(collector.clone())).ok().map(|()| collector)
}

fn add(counters: &LazyLock<Option<IntCounterVec>>, label: &str, count: usize) {
    if let Some(counters) = counters.as_ref().filter(|_| count > 0) {
        counters.with_label_values(&[label]).inc_by(count as u64);
    }
}

pub(crate) fn events(result: &str, count: usize) {
    add(&EVENTS, result, count);
}

pub(crate) fn changes(op: schemas::cdc::Op, count: usize) {
    add(&CHANGES, op.as_str(), count);
}

pub(crate) fn gap(kind: &str) {
    add(&GAPS, kind, 1);
}

pub(crate) fn reconnect(class: &str) {
    add(&RECONNECTS, class, 1);
}

pub(crate) fn rest_call() {
    if let Some(calls) = CALLS.as_ref() {
        calls.inc();
    }
}

pub(crate) fn lag(ms: i64) {
    if let Some(lag) = LAG.as_ref() {
        #[expect(clippy::cast_precision_loss, reason = "an age is far below 2^52 ms")]
        lag.set(ms as f64 / 1e3);
    }
}
