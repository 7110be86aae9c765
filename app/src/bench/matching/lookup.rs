//! What one look-up costs: a new record against many customers, on the store the matcher uses, with its blocks and the
//! records themselves on disk.
//!
//! The customers are made up, the same ones every time. Half of the look-ups are for customers that are there, written
//! differently; half are for others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use reconcile::matching::estimate::{Pool, estimate};
use reconcile::matching::{Blocks, CompareField, Kind, Prepared, Scored, ScoredPlacement, Scorer, candidates, decide_scored, joins};

use super::super::Percentiles;
use super::customer::{Customer, spoilt};

/// Look-ups measured.
const LOOK_UPS: usize = 20_000;

/// Customers that the weights are estimated from.
const SAMPLE: usize = 20_000;

/// Blocks or customers that are written together.
const BATCH: usize = 50_000;

/// The store's cache, as the matcher has it unless configured otherwise.
const CACHE_BYTES: u64 = 8 << 20;

/// What look-ups cost.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LookUpReport {
    /// Customers that were there.
    pub customers: usize,
    /// Time of one: preparing, blocks, candidates, comparing, deciding.
    pub times: Percentiles,
    /// Records compared, on average.
    pub candidates: f64,
    /// Share of the customers written differently that were found as the best.
    pub found: f64,
    /// Share of them that matched without asking.
    pub matched: f64,
    /// Share of the others that matched somebody without asking.
    pub mistaken: f64,
    /// Seconds to put all customers into the index.
    pub index_s: f64,
}

pub(super) fn fields() -> Vec<CompareField> {
    let field = |name: &str, kind| CompareField { name: name.to_owned(), kind, columns: Default::default(), swaps_with: None };
    vec![
        field("name", Kind::Organisation),
        field("street", Kind::Street),
        field("postcode", Kind::Postcode),
        field("city", Kind::Locality),
        field("phone", Kind::Phone),
        field("e-mail", Kind::Email),
        field("tax id", Kind::TaxId),
    ]
}

/// Measures look-ups among so many customers.
///
/// # Errors
/// When the disk does not take them.
pub fn look_up(customers: usize, say: &dyn Fn(String)) -> anyhow::Result<LookUpReport> {
    let fields = fields();
    let prepare = |customer: &Customer| Prepared::from_texts(&fields, customer.texts());
    let sample = SAMPLE.min(customers);
    // Each customer of the sample twice, the second time as another system would have it.
    let pool = Pool {
        records: (0..sample)
            .map(Customer::new)
            .chain((0..sample / 4).map(|at| spoilt(&Customer::new(at), at)))
            .map(|customer| prepare(&customer))
            .collect(),
        across: None,
    };
    let estimate = estimate(&fields, &pool, |_| {});
    let scorer = Scorer::of(&fields, &estimate.weights);
    let thresholds = estimate.weights.thresholds.among(sample, customers);
    drop(pool);

    let folder = tempfile::tempdir().context("making a folder for the index")?;
    let mut index = Index::open(folder.path())?;
    let started = Instant::now();
    for at in 0..customers {
        let customer = Customer::new(at);
        let joined = joins(&scorer.block_keys(&prepare(&customer)), &mut index)?;
        index.add(at, joined, &customer)?;
        if at > 0 && at % (customers / 10).max(1) == 0 {
            say(format!("{at} of {customers} customers in the index"));
        }
    }
    index.flush()?;
    let index_s = started.elapsed().as_secs_f64();

    let mut times: Vec<Duration> = Vec::with_capacity(LOOK_UPS);
    let (mut compared, mut found, mut matched, mut mistaken) = (0_usize, 0_usize, 0_usize, 0_usize);
    for turn in 0..LOOK_UPS {
        let known = turn % 2 == 0;
        // Spread over all customers.
        let at = turn.wrapping_mul(7_919) % customers.max(1);
        let asked = if known { spoilt(&Customer::new(at), turn) } else { Customer::new(customers + turn) };
        let started = Instant::now();
        let own = prepare(&asked);
        let near = candidates(&scorer.block_keys(&own), &mut index)?;
        let mut scored = Vec::with_capacity(near.members.len());
        for member in near.members {
            let Some(customer) = index.customer(member)? else { continue };
            scored.push(Scored { entity: member.to_string(), taken: false, comparison: scorer.compare(&own, &prepare(&customer)) });
        }
        compared += scored.len();
        let best =
            scored.iter().max_by(|one, other| one.comparison.score.total_cmp(&other.comparison.score)).map(|best| best.entity.clone());
        let placement = decide_scored(&thresholds, scored);
        times.push(started.elapsed());
        let itself = at.to_string();
        let sure = match placement {
            ScoredPlacement::Match { best } => Some(best.entity),
            ScoredPlacement::Review { .. } | ScoredPlacement::New => None,
        };
        if known {
            found += usize::from(best.as_ref() == Some(&itself));
            matched += usize::from(sure.as_ref() == Some(&itself));
        } else {
            mistaken += usize::from(sure.is_some());
        }
    }
    let half = LOOK_UPS as f64 / 2.0;
    Ok(LookUpReport {
        customers,
        times: Percentiles::of(times),
        candidates: compared as f64 / LOOK_UPS as f64,
        found: found as f64 / half,
        matched: matched as f64 / half,
        mistaken: mistaken as f64 / half,
        index_s,
    })
}

/// Blocks and customers on disk; what is not written yet in memory.
struct Index {
    blocks: Keyspace,
    customers: Keyspace,
    database: Database,
    /// Blocks not written yet.
    fresh: BTreeMap<String, Vec<u8>>,
    waiting: Vec<(usize, Customer)>,
}

impl Index {
    fn open(folder: &std::path::Path) -> anyhow::Result<Self> {
        let database = Database::builder(folder).cache_size(CACHE_BYTES).worker_threads(1).open().context("opening the index")?;
        let options = KeyspaceCreateOptions::default;
        let (blocks, customers) = (database.keyspace("blocks", options)?, database.keyspace("customers", options)?);
        Ok(Self { blocks, customers, database, fresh: BTreeMap::new(), waiting: Vec::new() })
    }

    fn bytes(&self, block: &str) -> anyhow::Result<Vec<u8>> {
        match self.fresh.get(block) {
            Some(bytes) => Ok(bytes.clone()),
            None => Ok(self.blocks.get(block)?.map(|bytes| bytes.to_vec()).unwrap_or_default()),
        }
    }

    fn add(&mut self, at: usize, blocks: Vec<String>, customer: &Customer) -> anyhow::Result<()> {
        for block in blocks {
            let mut bytes = self.bytes(&block)?;
            bytes.extend_from_slice(&u32::try_from(at)?.to_be_bytes());
            self.fresh.insert(block, bytes);
        }
        self.waiting.push((at, customer.clone()));
        if self.waiting.len() >= BATCH { self.write_customers() } else { Ok(()) }
    }

    fn write_customers(&mut self) -> anyhow::Result<()> {
        let mut batch = self.database.batch();
        for (at, customer) in std::mem::take(&mut self.waiting) {
            batch.insert(&self.customers, u32::try_from(at)?.to_be_bytes(), customer.joined());
        }
        batch.commit().context("writing the customers")
    }

    /// Writes all that is in memory. Blocks come last, each once: writing them is not what is measured.
    fn flush(&mut self) -> anyhow::Result<()> {
        self.write_customers()?;
        let mut fresh = std::mem::take(&mut self.fresh).into_iter().peekable();
        while fresh.peek().is_some() {
            let mut batch = self.database.batch();
            for (block, bytes) in fresh.by_ref().take(BATCH) {
                batch.insert(&self.blocks, block, bytes);
            }
            batch.commit().context("writing the blocks")?;
        }
        Ok(())
    }

    fn customer(&self, at: u32) -> anyhow::Result<Option<Customer>> {
        let bytes = self.customers.get(at.to_be_bytes())?;
        Ok(bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok().map(Customer::split)))
    }
}

impl Blocks for Index {
    type Member = u32;
    type Error = anyhow::Error;

    fn members(&mut self, block: &str) -> anyhow::Result<Vec<u32>> {
        let bytes = self.bytes(block)?;
        Ok(bytes.chunks_exact(4).filter_map(|four| four.first_chunk::<4>()).map(|four| u32::from_be_bytes(*four)).collect())
    }
}
