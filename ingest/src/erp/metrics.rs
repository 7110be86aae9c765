//! What can be counted about ERP capture.

use std::sync::LazyLock;

use prometheus::{Gauge, IntCounter, IntCounterVec, Opts};
use stream::Class;

static CHANGES: LazyLock<Option<IntCounter>> =
    LazyLock::new(|| counter("ingest_erp_changes_total", "Changes committed to the log, first copies included."));
static TRANSACTIONS: LazyLock<Option<IntCounter>> =
    LazyLock::new(|| counter("ingest_erp_log_transactions_total", "Log transactions that carried changes."));
static RECEIVED: LazyLock<Option<IntCounter>> =
    LazyLock::new(|| counter("ingest_erp_received_bytes_total", "Bytes of the replication stream received."));
static DEAD_LETTERS: LazyLock<Option<IntCounter>> =
    LazyLock::new(|| counter("ingest_erp_dead_letters_total", "Rows set aside because a value cannot be carried."));
static GAPS: LazyLock<Option<IntCounter>> =
    LazyLock::new(|| counter("ingest_erp_gaps_total", "Gaps in the stream found at a start and healed by reading the tables again."));
static UNSTAMPED: LazyLock<Option<IntCounter>> = LazyLock::new(|| {
    counter("ingest_erp_unstamped_transactions_total", "Transactions of our own that were too large to tell which write made which change.")
});
static PAUSES: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    registered(
        IntCounterVec::new(
            Opts::new("ingest_erp_pauses_total", "Times reading had to stop and try again, by class of the error."),
            &["class"],
        )
        .ok()?,
    )
});
static LAG: LazyLock<Option<Gauge>> = LazyLock::new(|| {
    registered(Gauge::new("ingest_erp_lag_seconds", "Age of the newest change when its batch was committed to the log.").ok()?)
});

/// A batch is on the log.
pub(crate) fn written(changes: usize, age_micros: i64) {
    count(&CHANGES, changes);
    if changes > 0 {
        count(&TRANSACTIONS, 1);
        if let Some(lag) = LAG.as_ref() {
            lag.set(age_micros as f64 / 1e6);
        }
    }
}

/// Rows of a first copy are on the log.
pub(crate) fn copied(rows: usize) {
    count(&CHANGES, rows);
}

/// Bytes have come.
pub(crate) fn received(bytes: usize) {
    count(&RECEIVED, bytes);
}

/// A row was set aside.
pub(crate) fn dead_letter() {
    count(&DEAD_LETTERS, 1);
}

/// A gap was found.
pub(crate) fn gap() {
    count(&GAPS, 1);
}

/// A transaction of ours goes on without saying which write made which change.
pub(crate) fn unstamped() {
    count(&UNSTAMPED, 1);
}

/// Reading pauses.
pub(crate) fn paused(class: Class) {
    let label = match class {
        Class::Transient => "transient",
        Class::Record => "record",
        Class::Fatal => "fatal",
    };
    if let Some(pauses) = PAUSES.as_ref() {
        pauses.with_label_values(&[label]).inc();
    }
}

fn count(counter: &LazyLock<Option<IntCounter>>, more: usize) {
    if let Some(counter) = counter.as_ref() {
        counter.inc_by(more as u64);
    }
}

fn counter(name: &str, help: &str) -> Option<IntCounter> {
    registered(IntCounter::new(name, help).ok()?)
}

/// A collector that another copy of this code has registered already counts nothing; that is better than ending.
fn registered<C: prometheus::core::Collector + Clone + 'static>(collector: C) -> Option<C> {
    prometheus::default_registry().register(Box::new(collector.clone())).ok().map(|()| collector)
}
