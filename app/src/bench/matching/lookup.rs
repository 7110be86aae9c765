//! What one look-up costs: a new record against many customers, by the matcher's own comparison on its own store, with its
//! blocks and the records themselves on disk.
//!
//! The customers are made up, the same ones every time. Half of the look-ups are for customers that are there, written
//! differently; half are for others.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use processors::Config;
use processors::mapping_file;
use processors::matcher::LookUps;
use reconcile::mapping::Mapping;
use reconcile::matching::estimate::{Pool, estimate};
use reconcile::matching::{CompareField, Prepared, Thresholds, Weights};
use schemas::message::{Field, Side};

use super::super::Percentiles;
use super::customer::{COLUMNS, Customer, spoilt};
use super::usage::Usage;

/// Look-ups measured.
const LOOK_UPS: usize = 20_000;

/// Customers that the weights are estimated from.
const SAMPLE: usize = 20_000;

/// How the customers are compared; all columns have the same name on both sides.
const MAPPING: &str = r#"
version = 1
[entity.customer]
title = "name"
crm = { object = "Account", id_column = "Concord_Id__c", write_column = "Concord_Write__c" }
erp = { object = "public.customers", id_column = "concord_id" }
[entity.customer.field.name]
type = "text"
crm = "name"
erp = "name"
[entity.customer.match]
compare = [
  { name = "name", as = "organisation", crm = "name", erp = "name" },
  { name = "street", as = "street", crm = "street", erp = "street" },
  { name = "postcode", as = "postcode", crm = "postcode", erp = "postcode" },
  { name = "city", as = "locality", crm = "city", erp = "city" },
  { name = "phone", as = "phone", crm = "phone", erp = "phone" },
  { name = "e-mail", as = "email", crm = "email", erp = "email" },
  { name = "tax id", as = "tax_id", crm = "tax_id", erp = "tax_id" },
]
"#;

/// What look-ups cost.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LookUpReport {
    /// Customers that were there.
    pub customers: usize,
    /// Time of one: preparing, blocks, candidates, comparing, deciding, and the same from the match's end.
    pub times: Percentiles,
    /// Processor time of one, on average, in milliseconds. Unlike the others it is not longer on a busy machine.
    pub cpu_ms: f64,
    /// Reads from the store's files, on average.
    pub reads: f64,
    /// Bytes of them, on average.
    pub read_bytes: f64,
    /// Share of the customers written differently that were found first.
    pub found: f64,
    /// Share of them that matched without asking.
    pub matched: f64,
    /// Share of the others that matched somebody without asking.
    pub mistaken: f64,
    /// Share of the others that a person would be asked about.
    pub strangers_for_review: f64,
    /// Share of those written differently that a person would be asked about.
    pub found_for_review: f64,
    /// Putting all customers into their blocks.
    pub index: IndexReport,
}

/// What putting customers into their blocks costs.
#[derive(Debug, Clone, serde::Serialize)]
pub struct IndexReport {
    /// Seconds for all of them.
    pub seconds: f64,
    /// Customers a second.
    pub records_per_s: f64,
    /// Processor time of one, on average, in milliseconds; that of the store's own thread is in it.
    pub cpu_ms: f64,
    /// Bytes written to state and changelog for one, on average.
    pub written_bytes: f64,
    /// Memory at most, of the whole process.
    pub peak_rss_mb: f64,
}

pub(super) fn mapping() -> anyhow::Result<Mapping> {
    Ok(mapping_file::parse(MAPPING)?)
}

fn columns(customer: &Customer) -> Vec<Field> {
    COLUMNS.iter().zip(customer.texts()).map(|(name, text)| Field { name: (*name).to_owned(), value: schemas::Value::text(text) }).collect()
}

/// Measures look-ups among so many customers.
///
/// # Errors
/// When the disk does not take them.
pub fn look_up(customers: usize, say: &dyn Fn(String)) -> anyhow::Result<LookUpReport> {
    let mut mapping = mapping()?;
    let rules = mapping.entities.first_mut().and_then(|entity| entity.scored.as_mut()).context("no rules")?;
    let weighed = weigh(&rules.fields, customers);
    (rules.weights, rules.thresholds) = (weighed.0, weighed.1);

    let folder = tempfile::tempdir().context("making a folder for the index")?;
    let config = Config::default();
    let mut index = LookUps::open(folder.path(), &config, mapping)?;
    let erp = |at: usize| at.to_string();
    for at in 0..customers {
        index.put(Side::Erp, &erp(at), columns(&Customer::new(at)));
        if (at + 1) % config.batch_records == 0 || at + 1 == customers {
            index.commit()?;
        }
        progress(at, customers, "stored", say);
    }

    let (started, before) = (Instant::now(), Usage::now());
    let mut written = 0;
    for turn in 0..customers {
        // The matcher goes through them by entity, which is no order of theirs.
        index.list(Side::Erp, &erp(spread(turn, customers)))?;
        if (turn + 1) % config.batch_records == 0 || turn + 1 == customers {
            written += index.commit()?;
        }
        progress(turn, customers, "in the index", say);
    }
    let (seconds, used) = (started.elapsed().as_secs_f64(), Usage::now().since(&before));
    let each = |whole: f64| whole / customers.max(1) as f64;
    let index_report = IndexReport {
        seconds,
        records_per_s: customers as f64 / seconds.max(f64::EPSILON),
        cpu_ms: each(used.cpu_s * 1000.0),
        written_bytes: each(written as f64),
        peak_rss_mb: used.peak_rss_mb,
    };
    say(format!("{customers} customers in the index, {:.3} ms each", each(seconds * 1000.0)));

    let mut times: Vec<Duration> = Vec::with_capacity(LOOK_UPS);
    let (mut found, mut matched, mut asked_about) = (0_usize, 0_usize, 0_usize);
    let (mut mistaken, mut strangers) = (0_usize, 0_usize);
    let before = Usage::now();
    for turn in 0..LOOK_UPS {
        let known = turn % 2 == 0;
        let at = spread(turn, customers);
        let asked = columns(&if known { spoilt(&Customer::new(at), turn) } else { Customer::new(customers + turn) });
        let id = format!("001{turn:015}");
        let started = Instant::now();
        let record = index.look_up(Side::Crm, &id, &asked)?;
        times.push(started.elapsed());
        if known {
            let first = record.entities.first() == Some(&index.entity(Side::Erp, &erp(at)));
            found += usize::from(first);
            matched += usize::from(first && record.sure);
            asked_about += usize::from(!record.sure && !record.entities.is_empty());
        } else {
            mistaken += usize::from(record.sure);
            strangers += usize::from(!record.sure && !record.entities.is_empty());
        }
        progress(turn, LOOK_UPS, "looked up", say);
    }
    let used = Usage::now().since(&before);
    let half = LOOK_UPS as f64 / 2.0;
    say(format!("{:.2} % of the customers nobody has would be for review", strangers as f64 / half * 100.0));
    Ok(LookUpReport {
        customers,
        times: Percentiles::of(times),
        cpu_ms: used.cpu_s * 1000.0 / LOOK_UPS as f64,
        reads: used.reads as f64 / LOOK_UPS as f64,
        read_bytes: used.read_bytes as f64 / LOOK_UPS as f64,
        found: found as f64 / half,
        matched: matched as f64 / half,
        mistaken: mistaken as f64 / half,
        strangers_for_review: strangers as f64 / half,
        found_for_review: asked_about as f64 / half,
        index: index_report,
    })
}

/// Weights from a sample, without labels: some customers twice, the second time as another system would have them.
fn weigh(fields: &[CompareField], customers: usize) -> (Weights, Thresholds) {
    let sample = SAMPLE.min(customers);
    let records = (0..sample).map(Customer::new).chain((0..sample / 4).map(|at| spoilt(&Customer::new(at), at)));
    let pool = Pool { records: records.map(|customer| Prepared::from_texts(fields, customer.texts())).collect(), across: None };
    let estimate = estimate(fields, &pool, |_| {});
    let thresholds = estimate.weights.thresholds.among(sample, customers);
    (estimate.weights, thresholds)
}

/// Every number below `count` once, in no order.
fn spread(turn: usize, count: usize) -> usize {
    // A prime that divides no count of customers that anybody has.
    turn.wrapping_mul(982_451_653) % count.max(1)
}

fn progress(at: usize, of: usize, what: &str, say: &dyn Fn(String)) {
    if at > 0 && at.is_multiple_of((of / 10).max(1)) {
        say(format!("{at} of {of} {what}"));
    }
}
