//! Which check catches which planted bug, and how soon: measured, written into `docs/proof.md`, and held.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use planted::Bug;

use super::{Outcome, Output, Runner, leg, progress};

/// Seeds in which a bug must be caught by the simulation to be promised at all.
const MOST: u64 = 400;
/// Catches from which it is concluded how soon to expect one.
const CATCHES: usize = 6;
/// Seeds run between two looks.
const LEG: u64 = 20;
/// What may be promised.
const PROMISES: [u64; 8] = [10, 20, 50, 100, 200, 400, 800, 1600];

const BEGIN: &str = "<!-- planted: made by `make planted` -->";
const END: &str = "<!-- planted ends -->";

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The bug.
    pub bug: Bug,
    /// What it breaks, as the auditor says it: `P1`, `P2`, …
    pub breaks: String,
    /// The first seed that catches it.
    pub first: u64,
    /// Seeds from 0 within which it must be caught.
    pub within: u64,
    /// The other proofs that catch it: `search` is the exhaustive search, whose own test measures and holds this.
    pub also: String,
}

/// Measures every bug, or holds the document to its promises.
pub(super) fn run(document: &Path, held: bool, events: usize, jobs: usize, printer: &dyn Output) -> anyhow::Result<ExitCode> {
    if !planted::AVAILABLE {
        bail!("this build has no bugs to plant; build with --profile proof");
    }
    let text = std::fs::read_to_string(document).with_context(|| format!("reading {}", document.display()))?;
    let bar = progress(Bug::ALL.len() as u64, printer);
    if held {
        let rows = rows(&text)?;
        let mut late = Vec::new();
        for row in &rows {
            let caught = first(row.bug, row.within, events, jobs)?;
            bar.inc(1);
            match caught {
                Some(seed) => printer.object(&serde_json::json!({"bug": row.bug.name(), "seed": seed})),
                None => late.push(format!("{} is not caught within {} seeds", row.bug.name(), row.within)),
            }
        }
        bar.finish_and_clear();
        late.iter().for_each(|line| printer.line(line));
        printer.line(&format!("{} of {} planted bugs are caught as soon as promised", rows.len() - late.len(), rows.len()));
        return Ok(if late.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut found = Vec::new();
    for bug in Bug::ALL {
        match measure(*bug, events, jobs)? {
            Some(mut row) => {
                row.also = also(&text, *bug);
                found.push(row);
            }
            None => bar.suspend(|| printer.line(&format!("{} is not caught within {MOST} seeds", bug.name()))),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    std::fs::write(document, with_table(&text, &found)?).with_context(|| format!("writing {}", document.display()))?;
    printer.line(&format!("{} of {} planted bugs are caught", found.len(), Bug::ALL.len()));
    Ok(if found.len() == Bug::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first seed that catches a bug.
fn first(bug: Bug, most: u64, events: usize, jobs: usize) -> anyhow::Result<Option<u64>> {
    let quiet = indicatif::ProgressBar::hidden();
    let mut from = 0;
    while from < most {
        let to = most.min(from + LEG);
        if let Some(outcome) = caught(from..to, bug, events, jobs, &quiet)?.first() {
            return Ok(Some(outcome.seed));
        }
        from = to;
    }
    Ok(None)
}

/// What breaks with the bug and holds without it.
fn caught(seeds: Range<u64>, bug: Bug, events: usize, jobs: usize, quiet: &indicatif::ProgressBar) -> anyhow::Result<Vec<Outcome>> {
    let mut found = leg(seeds, events, Some(bug), jobs, quiet)?;
    found.retain(|outcome| !outcome.wrong.is_empty());
    let sound = Runner::new(None)?;
    let mut kept = Vec::new();
    for outcome in found {
        if sound.run(outcome.seed, events)?.wrong.is_empty() {
            kept.push(outcome);
        }
    }
    Ok(kept)
}

fn measure(bug: Bug, events: usize, jobs: usize) -> anyhow::Result<Option<Row>> {
    let quiet = indicatif::ProgressBar::hidden();
    let mut found: Vec<Outcome> = Vec::new();
    let mut run = 0;
    while run < MOST && found.len() < CATCHES {
        found.extend(caught(run..run + LEG, bug, events, jobs, &quiet)?);
        run += LEG;
    }
    let Some(first) = found.first() else { return Ok(None) };
    let breaks: BTreeSet<&str> = found.iter().flat_map(|outcome| outcome.wrong.iter().filter_map(|text| text.get(..2))).collect();
    // With so many catches in so many seeds, none in ten times as many each is less likely than one in ten thousand.
    let needed = (run * 10 / found.len() as u64).max(first.seed + 1);
    let within = PROMISES.into_iter().find(|within| *within >= needed).unwrap_or(needed);
    Ok(Some(Row { bug, breaks: breaks.into_iter().collect::<Vec<_>>().join(", "), first: first.seed, within, also: String::new() }))
}

fn with_table(document: &str, rows: &[Row]) -> anyhow::Result<String> {
    let (before, rest) = document.split_once(BEGIN).with_context(|| format!("the document has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("the document has no line {END}"))?;
    let mut table = format!(
        "{before}{BEGIN}\n\n| Bug | In | What it does | Breaks | First seed | Seeds promised | Also caught by |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for row in rows {
        let Row { bug, breaks, first, within, also } = row;
        table.push_str(&format!(
            "| `{}` | {} | {} | {breaks} | {first} | {within} | {also} |\n",
            bug.name(),
            bug.place(),
            bug.what().trim()
        ));
    }
    Ok(format!("{table}\n{END}{after}"))
}

/// What else catches a bug, as the table says; that is for the other proofs to say. Nothing for a new bug.
fn also(document: &str, bug: Bug) -> String {
    let row = document.lines().find(|line| line.starts_with(&format!("| `{}` |", bug.name())));
    row.and_then(|row| row.split('|').nth(7)).unwrap_or_default().trim().to_owned()
}

/// The rows of the document's table.
///
/// # Errors
/// When a row cannot be read, a bug has no row, or a row no bug.
pub fn rows(document: &str) -> anyhow::Result<Vec<Row>> {
    let table = document.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    let mut rows = Vec::new();
    for line in table.context("the document has no table of planted bugs")?.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, _, what, breaks, first, within, also, _] = cells.as_slice() else { bail!("{line} has not seven cells") };
        let bug = Bug::named(name.trim_matches('`')).with_context(|| format!("{name} is no planted bug"))?;
        if *what != bug.what().trim() {
            bail!("what {name} does is described otherwise in the code: make planted");
        }
        let number = |text: &str| text.parse::<u64>().with_context(|| format!("{line}: {text} is no number"));
        rows.push(Row { bug, breaks: (*breaks).to_owned(), first: number(first)?, within: number(within)?, also: (*also).to_owned() });
    }
    let listed: BTreeSet<Bug> = rows.iter().map(|row| row.bug).collect();
    if let Some(missing) = Bug::ALL.iter().find(|bug| !listed.contains(bug)) {
        bail!("{} is not in the table of planted bugs", missing.name());
    }
    Ok(rows)
}
