//! One run: a script performed, brought to rest and audited; and the shortest script that still goes wrong.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use planted::Bug;
use stream::Codec;

use super::auditor::audit;
use super::capture::row_schemas;
use super::log::Schemas;
use super::mapping;
use super::script::{Setup, Timed, draw};
use super::systems::Counts;
use super::trace::Trace;
use super::world::{Common, World};

/// Runs after which a script is taken to be as short as it gets.
const TRIES: usize = 3000;

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Events performed.
    pub events: usize,
    /// Equal for equal runs, whatever happened in them.
    pub digest: u64,
    /// Faults that happened, by kind.
    pub faults: Counts,
    /// What does not hold; empty when all is well.
    pub wrong: Vec<String>,
}

/// A violation, and how to come to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// What does not hold, after the shortest script.
    pub wrong: Vec<String>,
    /// What stands at first.
    pub setup: String,
    /// The shortest list of events that was found.
    pub events: Vec<String>,
    /// Everything that happens then.
    pub trace: Vec<String>,
}

/// What all runs on one thread share. It has a runtime of its own.
pub struct Runner {
    runtime: tokio::runtime::Runtime,
    common: Common,
    plant: Option<Bug>,
}

impl Runner {
    /// A runner on this thread, with a bug planted in what it runs.
    ///
    /// # Errors
    /// When the thread cannot have a runtime.
    pub fn new(plant: Option<Bug>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().context("starting a runtime")?;
        let common = Common {
            known: mapping::known()?,
            codec: Codec::new(Arc::new(Schemas::default())),
            schemas: Arc::new(row_schemas()),
            reread_after_ms: processors::Config::default().reread_after_ms,
            processors: processors::metrics::Metrics::unregistered()?,
            sinks: sinks::Metrics::new(&prometheus::Registry::new())?,
        };
        Ok(Self { runtime, common, plant })
    }

    /// Runs a seed.
    ///
    /// # Errors
    /// When the simulation itself fails.
    pub fn run(&self, seed: u64, events: usize) -> anyhow::Result<Outcome> {
        let (setup, script) = draw(seed, events);
        self.perform(seed, setup, &script, false).map(|(outcome, _)| outcome)
    }

    /// Runs a seed and says everything that happens.
    ///
    /// # Errors
    /// When the simulation itself fails.
    pub fn replay(&self, seed: u64, events: usize) -> anyhow::Result<(Outcome, Vec<String>)> {
        let (setup, script) = draw(seed, events);
        self.perform(seed, setup, &script, true)
    }

    /// Leaves out of a seed's script whatever is not needed for it to go wrong.
    ///
    /// # Errors
    /// When the simulation itself fails.
    pub fn shorten(&self, seed: u64, events: usize) -> anyhow::Result<Violation> {
        let (setup, mut script) = draw(seed, events);
        let kinds =
            |outcome: &Outcome| outcome.wrong.iter().filter_map(|text| text.get(..2).map(str::to_owned)).collect::<BTreeSet<String>>();
        let sought = kinds(&self.perform(seed, setup, &script, false)?.0);
        let mut tries = 0;
        let mut size = script.len().div_ceil(2).max(1);
        loop {
            let mut from = 0;
            let mut shorter = false;
            while from < script.len() && tries < TRIES {
                tries += 1;
                let to = (from + size).min(script.len());
                // The time that passes stays.
                let dropped: i64 = script[from..to].iter().map(|timed| timed.after).sum();
                let mut candidate = script.clone();
                candidate.drain(from..to);
                if let Some(next) = candidate.get_mut(from) {
                    next.after += dropped;
                }
                if kinds(&self.perform(seed, setup, &candidate, false)?.0).is_disjoint(&sought) {
                    from = to;
                } else {
                    script = candidate;
                    shorter = true;
                }
            }
            if tries >= TRIES || (size == 1 && !shorter) {
                break;
            }
            size = (size / 2).max(1);
        }
        let (outcome, trace) = self.perform(seed, setup, &script, true)?;
        let events = script.iter().map(|timed| format!("+{} ms {:?}", timed.after / 1000, timed.event)).collect();
        Ok(Violation { seed, wrong: outcome.wrong, setup: format!("{setup:?}"), events, trace })
    }

    fn perform(&self, seed: u64, setup: Setup, script: &[Timed], keep: bool) -> anyhow::Result<(Outcome, Vec<String>)> {
        // Nothing in here waits for time; cooperation would only make polls return early.
        planted::plant(self.plant);
        let performed = self.runtime.block_on(tokio::task::unconstrained(self.perform_on_runtime(seed, setup, script, keep)));
        planted::plant(None);
        performed
    }

    async fn perform_on_runtime(&self, seed: u64, setup: Setup, script: &[Timed], keep: bool) -> anyhow::Result<(Outcome, Vec<String>)> {
        let trace = Trace::new(keep);
        let mut world = World::new(&self.common, setup, trace.clone()).await?;
        for (index, timed) in script.iter().enumerate() {
            world.perform(timed).await?;
            if index % 32 == 0 && world.runs_away().await? {
                break;
            }
        }
        trace.note(format_args!("everything goes on without faults"));
        let mut wrong = Vec::new();
        if world.settle().await? {
            wrong = audit(&mut world).await?;
        } else {
            wrong.push("P4: it does not come to rest".to_owned());
        }
        for text in &wrong {
            trace.note(format_args!("{text}"));
        }
        let faults = std::mem::take(&mut world.systems.lock().faults);
        world.close().await;
        Ok((Outcome { seed, events: script.len(), digest: trace.digest(), faults, wrong }, trace.lines()))
    }
}
