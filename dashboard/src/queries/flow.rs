//! Edits carried across, minute by minute, with their latency.

use serde::Serialize;
use sqlx::PgPool;

use super::{At, reading};
use crate::error::Result;

/// Minutes shown.
pub(crate) const MINUTES: usize = 60;

/// Upper bounds of the latency buckets in milliseconds; one more bucket holds what took longer.
const BOUNDS_MS: [u32; 18] = [5, 10, 20, 30, 50, 75, 100, 150, 200, 250, 350, 500, 750, 1000, 2000, 5000, 10_000, 60_000];

#[derive(sqlx::FromRow)]
struct Row {
    minute: At,
    side: String,
    confirmed: i64,
    rejected: i64,
    failed: i64,
    conflicts: i64,
    latency: Vec<i64>,
}

/// One minute in one direction.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Minute {
    pub(crate) at: At,
    pub(crate) confirmed: i64,
    pub(crate) rejected: i64,
    pub(crate) failed: i64,
    pub(crate) conflicts: i64,
}

/// One direction over the last hour, oldest minute first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Direction {
    /// Edits confirmed within the last minute, estimated from the running and the last full minute.
    pub(crate) per_minute: i64,
    /// From the commit of the edit to the commit that confirmed it; none while nothing was carried across.
    pub(crate) p50_ms: Option<u32>,
    pub(crate) p95_ms: Option<u32>,
    pub(crate) minutes: Vec<Minute>,
}

impl Direction {
    /// Edits carried across in the hour.
    pub(crate) fn confirmed(&self) -> i64 {
        self.minutes.iter().map(|minute| minute.confirmed).sum()
    }

    /// Conflicts found in the hour.
    pub(crate) fn conflicts(&self) -> i64 {
        self.minutes.iter().map(|minute| minute.conflicts).sum()
    }
}

/// Both directions, named by the side written to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Flow {
    pub(crate) to_crm: Direction,
    pub(crate) to_erp: Direction,
}

/// The last hour.
pub(crate) async fn last_hour(pool: &PgPool, now: At) -> Result<Flow> {
    let first = now.minute().plus_minutes(1 - MINUTES as i64);
    let rows: Vec<Row> = sqlx::query_as(
        "select minute, side, confirmed, rejected, failed, conflicts, latency from flow_minute where minute >= $1 and minute <= $2 order by minute",
    )
    .bind(first)
    .bind(now)
    .fetch_all(pool)
    .await
    .map_err(reading("flow"))?;
    Ok(Flow { to_crm: direction(&rows, "crm", first, now), to_erp: direction(&rows, "erp", first, now) })
}

fn direction(rows: &[Row], side: &str, first: At, now: At) -> Direction {
    let mut minutes: Vec<Minute> = (0..MINUTES as i64).map(|nth| Minute { at: first.plus_minutes(nth), ..Minute::default() }).collect();
    let mut buckets = vec![0i64; BOUNDS_MS.len() + 1];
    for row in rows.iter().filter(|row| row.side == side) {
        let nth = (row.minute.0 - first.0).div_euclid(60_000_000);
        if let Some(minute) = usize::try_from(nth).ok().and_then(|nth| minutes.get_mut(nth)) {
            *minute =
                Minute { at: minute.at, confirmed: row.confirmed, rejected: row.rejected, failed: row.failed, conflicts: row.conflicts };
        }
        for (sum, count) in buckets.iter_mut().zip(&row.latency) {
            *sum += count;
        }
    }
    let full = |back: usize| minutes.get(MINUTES - 1 - back).map_or(0, |minute| minute.confirmed);
    let gone = (now.0 - now.minute().0) as f64 / 60_000_000.0;
    let per_minute = full(0) + (full(1) as f64 * (1.0 - gone)).round() as i64;
    Direction { per_minute, p50_ms: quantile(&buckets, 0.50), p95_ms: quantile(&buckets, 0.95), minutes }
}

/// A quantile from bucket counts, linear within a bucket.
fn quantile(buckets: &[i64], share: f64) -> Option<u32> {
    let total: i64 = buckets.iter().sum();
    if total <= 0 {
        return None;
    }
    let wanted = share * total as f64;
    let mut below = 0i64;
    for (nth, count) in buckets.iter().enumerate() {
        if *count > 0 && (below + count) as f64 >= wanted {
            let low = if nth == 0 { 0 } else { BOUNDS_MS[(nth - 1).min(BOUNDS_MS.len() - 1)] };
            let Some(high) = BOUNDS_MS.get(nth) else { return Some(low) };
            let within = (wanted - below as f64) / *count as f64;
            return Some((f64::from(low) + f64::from(high - low) * within).round() as u32);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_buckets() {
        let mut buckets = vec![0; 19];
        assert_eq!(quantile(&buckets, 0.5), None);
        buckets[4] = 100; // 30 to 50 ms
        assert_eq!((quantile(&buckets, 0.5), quantile(&buckets, 0.95)), (Some(40), Some(49)));
        buckets[18] = 100; // more than a minute
        assert_eq!(quantile(&buckets, 0.95), Some(60_000));
    }
}
