//! Figures per minute and direction. Latency is counted in buckets, so that minutes can be added up. It is that of live
//! edits and decisions: what a first copy or a sweep carries across was edited long before, and would say nothing but that.

use std::collections::BTreeMap;

use schemas::message::{Conflict, Side};

/// Upper bounds of the latency buckets in milliseconds; one more holds what took longer. The migration names them too.
pub(crate) const BOUNDS_MS: [i64; 18] = [5, 10, 20, 30, 50, 75, 100, 150, 200, 250, 350, 500, 750, 1000, 2000, 5000, 10_000, 60_000];
pub(crate) const BUCKETS: usize = BOUNDS_MS.len() + 1;

const MINUTE: i64 = 60_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Minute {
    pub(crate) confirmed: i64,
    pub(crate) rejected: i64,
    pub(crate) failed: i64,
    pub(crate) conflicts: i64,
    pub(crate) latency: [i64; BUCKETS],
}

/// What a batch adds, by start of the minute and side written to.
#[derive(Debug, Default)]
pub(crate) struct Flow(BTreeMap<(i64, Side), Minute>);

impl Flow {
    fn at(&mut self, at: i64, side: Side) -> &mut Minute {
        self.0.entry((at.div_euclid(MINUTE) * MINUTE, side)).or_default()
    }

    /// A confirmed write; `caused_at` is none for backfill, which counts but has no latency.
    pub(crate) fn confirmed(&mut self, side: Side, caused_at: Option<i64>, at: i64) {
        let minute = self.at(at, side);
        minute.confirmed += 1;
        if let Some(caused_at) = caused_at {
            minute.latency[bucket(at - caused_at)] += 1;
        }
    }

    /// A write counted as live turns out to be backfill.
    pub(crate) fn was_backfill(&mut self, side: Side, caused_at: i64, at: i64) {
        self.at(at, side).latency[bucket(at - caused_at)] -= 1;
    }

    pub(crate) fn rejected(&mut self, side: Side, at: i64) {
        self.at(at, side).rejected += 1;
    }

    pub(crate) fn failed(&mut self, side: Side, at: i64) {
        self.at(at, side).failed += 1;
    }

    pub(crate) fn conflict(&mut self, conflict: &Conflict) {
        self.at(conflict.opened_at, direction(conflict)).conflicts += 1;
    }

    pub(crate) fn minutes(&self) -> impl Iterator<Item = (i64, Side, &Minute)> {
        self.0.iter().map(|((start, side), minute)| (*start, *side, minute))
    }
}

fn bucket(latency_micros: i64) -> usize {
    BOUNDS_MS.iter().position(|bound| latency_micros <= bound * 1000).unwrap_or(BUCKETS - 1)
}

/// The side that the newer of the two edits was on its way to: a conflict counts in that direction.
fn direction(conflict: &Conflict) -> Side {
    if conflict.crm_at >= conflict.erp_at { Side::Erp } else { Side::Crm }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_falls_into_the_first_bucket_that_holds_it() {
        assert_eq!((bucket(-1), bucket(5000), bucket(5001), bucket(60_000_000), bucket(60_000_001)), (0, 0, 1, 17, 18));
    }

    #[test]
    fn edits_of_a_minute_add_up() {
        let mut flow = Flow::default();
        flow.confirmed(Side::Erp, Some(0), 61_000_000);
        flow.confirmed(Side::Erp, Some(60_000_000), 119_000_000);
        flow.rejected(Side::Erp, 120_000_000);
        let found: Vec<_> = flow.minutes().map(|(start, side, minute)| (start, side, minute.confirmed, minute.rejected)).collect();
        assert_eq!(found, [(60_000_000, Side::Erp, 2, 0), (120_000_000, Side::Erp, 0, 1)]);
    }

    #[test]
    fn backfill_counts_and_has_no_latency_whenever_it_is_known() {
        let mut flow = Flow::default();
        flow.confirmed(Side::Crm, None, 61_000_000);
        flow.confirmed(Side::Crm, Some(0), 61_000_000);
        flow.was_backfill(Side::Crm, 0, 61_000_000);
        let found: Vec<_> = flow.minutes().map(|(_, _, minute)| (minute.confirmed, minute.latency.iter().sum::<i64>())).collect();
        assert_eq!(found, [(2, 0)]);
    }
}
