//! `concord simulate`: the whole pipeline in one process, on one thread, under faults drawn from a seed, with an auditor.
//!
//! ```text
//! people ─▶ CRM, ERP (models) ─▶ capture ─▶ matcher ─▶ reconciler ─▶ sinks ─▶ CRM, ERP      all on a log in memory
//!           scheduler: who goes on, what goes wrong, all from one seed           auditor: P1 to P4 at rest
//! ```
//!
//! Processors are the real ones, and so are the loops of the write sinks and what the Salesforce sink decides; they are
//! polled by hand, one call to the log or to a system at a time, so that a crash may come between any two. The systems and
//! their capture are models that keep the contracts of the real ones. One seed gives the same run: a digest over every
//! line of the trace and every byte written to the log proves it.
//!
//! Bugs of the crate `planted`, one at a time, show that the auditor can fail (`--planted`, `docs/proof.md`).
//!
//! It leaves out: the read model, aggregates, Kafka's own protocol.

mod actor;
mod auditor;
mod capture;
mod log;
mod mapping;
mod options;
mod proof;
mod run;
mod script;
mod shape;
mod show;
mod system;
mod systems;
mod target;
mod trace;
mod turn;
mod world;

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Context as _;
use planted::Bug;

pub use options::Options;
pub use proof::{Row, rows};
pub use run::{Outcome, Runner, Violation};
pub use systems::Counts;

/// Violations after which looking for more says nothing new.
const MOST_VIOLATIONS: usize = 5;
/// Seeds run before it is looked whether there were too many violations.
const LEG: u64 = 1000;

/// What came of a range of seeds.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Summary {
    /// The first of them.
    pub start: u64,
    /// Seeds run.
    pub seeds: u64,
    /// Events performed in all.
    pub events: u64,
    /// Faults that happened, by kind.
    pub faults: Counts,
    /// Seeds for which a promise did not hold.
    pub violations: Vec<u64>,
    /// Seeds run at a time.
    pub jobs: usize,
    /// Seeds run each second.
    pub seeds_per_s: f64,
}

/// Where the results go.
pub trait Output: Send + 'static {
    /// Whether programs read them.
    fn is_json(&self) -> bool;
    /// A line for people.
    fn line(&self, text: &str);
    /// An object for programs; nothing for people.
    fn object(&self, object: &serde_json::Value);
}

/// `concord simulate`. Fails the process when a promise does not hold.
///
/// # Errors
/// When the simulation itself fails.
pub async fn run(options: Options, output: impl Output) -> anyhow::Result<ExitCode> {
    tokio::task::spawn_blocking(move || on_this_thread(&options, &output)).await.context("simulating")?
}

/// The bug of a name, for the command line.
///
/// # Errors
/// When there is none, or this build has none.
pub fn bug_named(name: &str) -> Result<Bug, String> {
    let names = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    let bug = Bug::named(name).ok_or_else(|| format!("the bugs are {}", names()))?;
    if planted::AVAILABLE { Ok(bug) } else { Err("this build has no bugs to plant; build with --profile proof".to_owned()) }
}

fn on_this_thread(options: &Options, printer: &dyn Output) -> anyhow::Result<ExitCode> {
    let jobs = options.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get), NonZeroUsize::get);
    if let Some(document) = &options.planted {
        return proof::run(document, options.held, options.events, jobs, printer);
    }
    let runner = Runner::new(options.plant)?;
    if let Some(seed) = options.seed {
        return replay(&runner, seed, options, printer);
    }
    let start = if options.fresh { fresh() } else { options.start };
    let mut summary = Summary { start, jobs, ..Summary::default() };
    let began = Instant::now();
    let progress = progress(options.seeds, printer);
    let end = start.saturating_add(options.seeds);
    let mut from = start;
    while from < end && (options.keep_going || summary.violations.len() < MOST_VIOLATIONS) {
        let to = end.min(from.saturating_add(LEG));
        for outcome in leg(from..to, options.events, options.plant, jobs, &progress)? {
            summary.add(&outcome);
            if outcome.wrong.is_empty() || (!options.keep_going && summary.violations.len() > MOST_VIOLATIONS) {
                continue;
            }
            let seed = outcome.seed;
            if options.keep_going {
                progress.suspend(|| printer.line(&format!("seed {seed}: {}", outcome.wrong.join("; "))));
            } else {
                let violation = runner.shorten(seed, options.events)?;
                progress.suspend(|| show(&violation, options, printer));
            }
        }
        from = to;
    }
    progress.finish_and_clear();
    summary.seeds_per_s = (summary.seeds as f64 / began.elapsed().as_secs_f64().max(1e-6) * 10.0).round() / 10.0;
    if printer.is_json() {
        printer.object(&serde_json::to_value(&summary)?);
    } else {
        printer.line(&format!(
            "{} seeds from {start} at {}, {} events, {} violations, {} seeds/s with {jobs} at a time",
            summary.seeds,
            commit(),
            summary.events,
            summary.violations.len(),
            summary.seeds_per_s
        ));
        for (kind, count) in &summary.faults {
            printer.line(&format!("  {count:>9} {kind}"));
        }
    }
    Ok(if summary.violations.len() <= options.at_most { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a range of seeds, several at a time; what came of each, in order.
///
/// # Errors
/// When the simulation itself fails.
pub fn leg(
    seeds: std::ops::Range<u64>,
    events: usize,
    plant: Option<Bug>,
    jobs: usize,
    progress: &indicatif::ProgressBar,
) -> anyhow::Result<Vec<Outcome>> {
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        let runner = Runner::new(plant)?;
        let mut mine = Vec::new();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                break;
            }
            mine.push(runner.run(seed, events)?);
            progress.inc(1);
        }
        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(&mut mine);
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..jobs).map(|_| scope.spawn(work)).collect();
        let mut ended = vec![work()];
        ended.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
        ended.into_iter().collect::<anyhow::Result<()>>()
    })?;
    let mut outcomes = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.seed);
    Ok(outcomes)
}

/// A seed far from those that always run, the same for the same commit.
fn fresh() -> u64 {
    let digits: String = commit().chars().filter(char::is_ascii_hexdigit).take(8).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(1).max(1) * 1_000_000
}

impl Summary {
    /// Counts one seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events as u64;
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        if !outcome.wrong.is_empty() {
            self.violations.push(outcome.seed);
        }
    }
}

fn progress(steps: u64, printer: &dyn Output) -> indicatif::ProgressBar {
    if printer.is_json() || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{pos}/{len} {bar:40} {per_sec} {eta}")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
    indicatif::ProgressBar::new(steps).with_style(style)
}

/// One seed with everything that happens.
fn replay(runner: &Runner, seed: u64, options: &Options, printer: &dyn Output) -> anyhow::Result<ExitCode> {
    let (outcome, trace) = runner.replay(seed, options.events)?;
    for line in &trace {
        printer.line(line);
    }
    printer.line(&format!(
        "seed {seed}: {} events, digest {:016x}, {} faults",
        outcome.events,
        outcome.digest,
        outcome.faults.values().sum::<u64>()
    ));
    printer.object(&serde_json::json!({
        "seed": seed, "events": outcome.events, "digest": format!("{:016x}", outcome.digest), "faults": outcome.faults, "violations": outcome.wrong,
    }));
    if outcome.wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    show(&runner.shorten(seed, options.events)?, options, printer);
    Ok(ExitCode::FAILURE)
}

/// A violation, for a person who will look into it.
fn show(violation: &Violation, options: &Options, printer: &dyn Output) {
    let Violation { seed, wrong, setup, events: script, trace } = violation;
    printer.line(&format!("seed {seed} at {}: {}", commit(), wrong.join("; ")));
    let plant = options.plant.map(|bug| format!(" --plant {}", bug.name())).unwrap_or_default();
    printer.line(&format!("  replay with: concord simulate --seed {seed} --events {}{plant}", options.events));
    printer.line(&format!("  {setup}"));
    for event in script {
        printer.line(&format!("  {event}"));
    }
    printer.line("  what happens then:");
    for line in trace {
        printer.line(&format!("    {line}"));
    }
}

/// The commit that this was built from, or that stands here, or the version.
fn commit() -> String {
    if let Some(commit) = option_env!("CONCORD_COMMIT") {
        return commit.to_owned();
    }
    let asked = std::process::Command::new("git").args(["rev-parse", "--short=8", "HEAD"]).stderr(std::process::Stdio::null()).output();
    let found = asked.ok().filter(|output| output.status.success()).map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    found.unwrap_or_else(|| concat!("version ", env!("CARGO_PKG_VERSION")).to_owned())
}
