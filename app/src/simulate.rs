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
//! It leaves out: references between entities, the read model, Kafka's own protocol.

mod actor;
mod auditor;
mod capture;
mod log;
mod mapping;
mod plant;
mod run;
mod script;
mod show;
mod system;
mod systems;
mod target;
mod trace;
mod turn;
mod world;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;

pub use plant::Plant;
pub use run::{Outcome, Runner, Violation};
pub use systems::Counts;

use crate::cli;
use crate::print::Printer;

/// Violations after which looking for more says nothing new.
const MOST_VIOLATIONS: usize = 5;

/// What came of a range of seeds.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Events performed in all.
    pub events: u64,
    /// Faults that happened, by kind.
    pub faults: Counts,
    /// Seeds that needed a sweep until both sides agreed.
    pub swept: u64,
    /// Seeds for which a promise did not hold.
    pub violations: Vec<u64>,
    /// Seeds run each second.
    pub seeds_per_s: f64,
}

/// `concord simulate`. Fails the process when a promise does not hold.
///
/// # Errors
/// When the simulation itself fails.
pub async fn run(options: cli::Simulate, printer: &Printer) -> anyhow::Result<ExitCode> {
    let printer = *printer;
    tokio::task::spawn_blocking(move || on_this_thread(&options, &printer)).await.context("simulating")?
}

fn on_this_thread(options: &cli::Simulate, printer: &Printer) -> anyhow::Result<ExitCode> {
    let runner = Runner::new(options.plant)?;
    if let Some(seed) = options.seed {
        return replay(&runner, seed, options, printer);
    }
    let mut summary = Summary::default();
    let began = Instant::now();
    let progress = progress(options.seeds, printer);
    for seed in options.start..options.start.saturating_add(options.seeds) {
        let outcome = runner.run(seed, options.events)?;
        summary.add(&outcome);
        progress.inc(1);
        if !outcome.wrong.is_empty() && options.keep_going {
            progress.suspend(|| printer.line(&format!("seed {seed}: {}", outcome.wrong.join("; "))));
        } else if !outcome.wrong.is_empty() {
            let violation = runner.shorten(seed, options.events)?;
            progress.suspend(|| show(&violation, options.events, printer));
            if summary.violations.len() >= MOST_VIOLATIONS {
                break;
            }
        }
    }
    progress.finish_and_clear();
    summary.seeds_per_s = (summary.seeds as f64 / began.elapsed().as_secs_f64().max(1e-6) * 10.0).round() / 10.0;
    if printer.is_json() {
        printer.object(&serde_json::to_value(&summary)?);
    } else {
        printer.line(&format!(
            "{} seeds, {} events, {} violations, {} seeds/s, {} needed a sweep",
            summary.seeds,
            summary.events,
            summary.violations.len(),
            summary.seeds_per_s,
            summary.swept
        ));
        for (kind, count) in &summary.faults {
            printer.line(&format!("  {count:>9} {kind}"));
        }
    }
    Ok(if summary.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Summary {
    /// Counts one seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events as u64;
        self.swept += u64::from(outcome.swept);
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        if !outcome.wrong.is_empty() {
            self.violations.push(outcome.seed);
        }
    }
}

fn progress(seeds: u64, printer: &Printer) -> indicatif::ProgressBar {
    if printer.is_json() || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{pos}/{len} seeds {bar:40} {per_sec} {eta}")
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
    indicatif::ProgressBar::new(seeds).with_style(style)
}

/// One seed with everything that happens.
fn replay(runner: &Runner, seed: u64, options: &cli::Simulate, printer: &Printer) -> anyhow::Result<ExitCode> {
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
    show(&runner.shorten(seed, options.events)?, options.events, printer);
    Ok(ExitCode::FAILURE)
}

/// A violation, for a person who will look into it.
fn show(violation: &Violation, events: usize, printer: &Printer) {
    let Violation { seed, wrong, setup, events: script, trace } = violation;
    printer.line(&format!("seed {seed} at {}: {}", commit(), wrong.join("; ")));
    printer.line(&format!("  replay with: concord simulate --seed {seed} --events {events}"));
    printer.line(&format!("  {setup}"));
    for event in script {
        printer.line(&format!("  {event}"));
    }
    printer.line("  what happens then:");
    for line in trace {
        printer.line(&format!("    {line}"));
    }
}

/// The commit that this was built from, or that stands here.
fn commit() -> String {
    if let Some(commit) = option_env!("CONCORD_COMMIT") {
        return commit.to_owned();
    }
    let asked = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).stderr(std::process::Stdio::null()).output();
    let found = asked.ok().filter(|output| output.status.success()).map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    found.unwrap_or_else(|| "an unknown commit".to_owned())
}
