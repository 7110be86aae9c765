//! Sample companies for the demo, the benchmarks and the end-to-end tests: the same for the same seed.
//!
//! Of every ten companies eight are known to both systems, one only to the ERP and one only to Salesforce. Of those
//! in both, half carry the ERP's number in Salesforce and half are found by their tax id; some differ in a phone
//! number or a street, as records do that people have kept twice.

mod company;
mod load;

pub use company::{Company, Person, companies};
pub use load::{load_crm, load_erp};

/// The demo's ERP schema.
pub const ERP_SCHEMA: &str = include_str!("../demo/erp.sql");

/// The demo's mapping.
pub const MAPPING: &str = include_str!("../demo/mapping.toml");

/// Numbers that follow from a seed (SplitMix64); good enough for sample data, and always the same.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n.max(1) as u64) as usize
    }

    /// One of some things.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
