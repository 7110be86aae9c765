//! What `concord simulate` is told.

use std::num::NonZeroUsize;
use std::path::PathBuf;

/// `concord simulate`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    pub seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    pub start: u64,
    /// Events in each run.
    #[arg(long, default_value_t = 300)]
    pub events: usize,
    /// Begin at a seed made of the commit that stands here, so that each commit is tried with seeds of its own.
    #[arg(long, conflicts_with_all = ["start", "seed"])]
    pub fresh: bool,
    /// Seeds run at a time; as many as there are cores unless said. What comes of them does not depend on it.
    #[arg(long)]
    pub jobs: Option<NonZeroUsize>,
    /// Run this one seed and print everything that happens.
    #[arg(long, conflicts_with_all = ["seeds", "start"])]
    pub seed: Option<u64>,
    /// Go on after violations, and do not look for the shortest way to each.
    #[arg(long)]
    pub keep_going: bool,
    /// Fail only when more seeds than these break a promise. It is for bugs that are known and not mended yet: `docs/proof.md` lists them.
    #[arg(long, default_value_t = 0, value_name = "SEEDS", requires = "keep_going")]
    pub at_most: usize,
    /// Plant a bug, to see it caught; only in a build with debug assertions.
    #[arg(long, value_parser = crate::bug_named)]
    pub plant: Option<planted::Bug>,
    /// Plant every bug in turn and write into this document which check catches it and how soon.
    #[arg(long, value_name = "docs/proof.md", conflicts_with_all = ["seed", "plant", "fresh"])]
    pub planted: Option<PathBuf>,
    /// With `--planted`: leave the document as it is, and fail when a bug is not caught as soon as it says.
    #[arg(long, requires = "planted")]
    pub held: bool,
}
