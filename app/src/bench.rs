//! `concord bench`: how fast, measured on a private stack that leaves nothing behind. One JSON object with stable keys
//! per measurement, so that runs can be compared.

mod latency;
pub mod matching;
mod throughput;

pub use latency::{LatencyReport, latency};
pub use throughput::{ThroughputReport, throughput};

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::agreement::{Agreement, compare};
use crate::cli;
use crate::print::Printer;
use crate::stack::{LogChoice, Stack, StackOptions};

/// `concord bench`.
///
/// # Errors
/// When the stack does not work.
pub async fn run(options: cli::Bench, printer: &Printer) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let say = |text: String| printer.line(&format!("bench: {text}"));
    let stack = |choice: &cli::StackChoice, companies: usize, with_money| {
        let companies = choice.companies.unwrap_or(companies);
        say(format!("a private stack with {companies} companies"));
        Stack::start(StackOptions { companies, with_money, log: LogChoice::parse(&choice.kafka), ..StackOptions::default() })
    };
    let report = match options.what {
        cli::What::Latency { rate, seconds, stack: choice } => {
            serde_json::to_value(latency(&stack(&choice, 2_000, true).await?, &program, rate, seconds, &say).await?)?
        }
        cli::What::Matching { customers } => serde_json::to_value(tokio::task::block_in_place(|| matching::matching(customers, &say))?)?,
        cli::What::Throughput { changes, stack: choice } => {
            serde_json::to_value(throughput(&stack(&choice, 5_000, false).await?, &program, changes, &say).await?)?
        }
    };
    if printer.is_json() {
        printer.object(&report);
    } else {
        printer.line(&serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

/// Waits until both systems agree, asking them directly.
///
/// # Errors
/// When they do not within the time given; the text lists what differs.
pub async fn settle(stack: &Stack, within: Duration) -> anyhow::Result<Agreement> {
    let erp = stack.erp().await?;
    let started = Instant::now();
    loop {
        let agreement = compare(&erp, &stack.org()).await?;
        if agreement.holds() {
            return Ok(agreement);
        }
        if started.elapsed() > within {
            bail!("both sides did not agree within {within:?}: {agreement}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Percentiles of some latencies, in milliseconds.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Percentiles {
    /// Half are below.
    pub p50_ms: f64,
    /// 95 of 100 are below.
    pub p95_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |share: f64| {
            let index = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
            times.get(index).map_or(0.0, |time| (time.as_secs_f64() * 100_000.0).round() / 100.0)
        };
        Self { p50_ms: at(0.50), p95_ms: at(0.95), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}
