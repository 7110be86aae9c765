//! Removes what is older than it is kept, a little at a time, one table after another.

use sqlx::postgres::PgPool;

use super::Config;
use super::store::at;
use crate::clock::micros;
use crate::error::chain;
use crate::metrics::Metrics;

const EVERY_MICROS: i64 = 10_000_000;

const STATEMENTS: [&str; 5] = [
    concat!(
        "delete from write where ctid = any(array(select ctid from write where caused_at < ",
        at!("$1"),
        " and state in ('confirmed', 'rejected') order by caused_at limit 1000))"
    ),
    concat!("delete from audit where ctid = any(array(select ctid from audit where at < ", at!("$1"), " order by at limit 1000))"),
    concat!("delete from decision where ctid = any(array(select ctid from decision where at < ", at!("$1"), " order by at limit 1000))"),
    concat!("delete from flow_minute where minute < ", at!("$1")),
    concat!(
        "delete from dead_letter where ctid = any(array(select ctid from dead_letter where at < ",
        at!("$1"),
        " order by at limit 1000))"
    ),
];

#[derive(Default)]
pub(crate) struct Prune {
    next: usize,
    done_at: i64,
}

impl Prune {
    /// Does the next small step when it is time.
    pub(crate) async fn step(&mut self, pool: &PgPool, config: &Config, now: i64, metrics: &Metrics) {
        if now - self.done_at < EVERY_MICROS {
            return;
        }
        self.done_at = now;
        let keep = [config.keep_writes, config.keep_audit, config.keep_audit, config.keep_flow, config.keep_dead_letters][self.next];
        match sqlx::query(STATEMENTS[self.next]).bind(now - micros(keep)).execute(pool).await {
            Ok(done) => metrics.pruned(done.rows_affected()),
            Err(error) => tracing::warn!(error = chain(&error), "old rows not removed"),
        }
        self.next = (self.next + 1) % STATEMENTS.len();
    }
}
