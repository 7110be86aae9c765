//! Records to learn from, and which of their pairs share blocks.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::matching::block::{BlockKey, Blocks, candidates, joins};
use crate::matching::prepare::Prepared;
use crate::matching::score::Scorer;

/// Records to learn from: one file against itself, or the records from `across` on against those before.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// All records.
    pub records: Vec<Prepared>,
    /// Position of the first record of the second file, if there are two.
    pub across: Option<usize>,
}

/// Two records, by position; the first is the earlier.
pub type PairOf = (usize, usize);

impl Pool {
    /// Whether two records may be of one entity at all.
    pub fn comparable(&self, one: usize, other: usize) -> bool {
        one != other && self.across.is_none_or(|across| (one < across) != (other < across))
    }

    /// How many pairs could be compared.
    pub fn pairs(&self) -> f64 {
        let count = self.records.len() as f64;
        match self.across {
            None => count * (count - 1.0) / 2.0,
            Some(across) => across as f64 * (count - across as f64),
        }
    }

    /// The pairs that share blocks, as a stream of new records would meet them.
    pub fn blocked(&self, scorer: &Scorer, mut progress: impl FnMut(usize)) -> Blocked {
        // Of two files each has its own blocks, as each side has while running.
        let mut indices = [Index::default(), Index::default()];
        let mut found = Blocked::default();
        for (at, record) in self.records.iter().enumerate() {
            progress(at);
            let keys = scorer.block_keys(record);
            let second = self.across.is_some_and(|across| at >= across);
            let [first, other] = &mut indices;
            let (own, theirs) = match (self.across, second) {
                (None, _) => (first, None),
                (Some(_), false) => (first, Some(other)),
                (Some(_), true) => (other, Some(first)),
            };
            let Ok(near) = candidates(&keys, theirs.unwrap_or(&mut *own));
            found.full += near.full;
            found.dropped += near.dropped;
            found.pairs.extend(near.members.into_iter().map(|other| (other, at)));
            own.add(&keys, at);
        }
        found
    }
}

/// What blocking left to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocked {
    /// Pairs to compare.
    pub pairs: Vec<PairOf>,
    /// Times a block was full.
    pub full: usize,
    /// Candidates left out because there were too many.
    pub dropped: usize,
}

/// Blocks in memory.
#[derive(Debug, Default)]
pub struct Index {
    blocks: BTreeMap<String, Vec<usize>>,
}

impl Index {
    /// Puts a record into its blocks.
    pub fn add(&mut self, keys: &[BlockKey], record: usize) {
        let Ok(joined) = joins(keys, self);
        for block in joined {
            self.blocks.entry(block).or_default().push(record);
        }
    }
}

impl Blocks for Index {
    type Member = usize;
    type Error = Infallible;

    fn members(&mut self, block: &str) -> Result<Vec<usize>, Self::Error> {
        Ok(self.blocks.get(block).cloned().unwrap_or_default())
    }
}
