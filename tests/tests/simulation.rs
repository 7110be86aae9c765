//! The whole pipeline in one process, under faults drawn from seeds. Many more seeds, and every planted bug, are run by
//! `make proof`, which is compiled to be quick.

use std::fmt::Write as _;
use std::path::Path;

use planted::Bug;
use simulation::{Outcome, Runner, Summary, Violation, rows};

/// Events in each run.
const EVENTS: usize = 300;
/// Seeds that always run.
const SEEDS: std::ops::Range<u64> = 0..100;
/// Seeds within which the planted bug is caught.
const SOON: u64 = 20;

fn runner(plant: Option<Bug>) -> Runner {
    Runner::new(plant).expect("a runner")
}

fn run(runner: &Runner, seed: u64) -> Outcome {
    runner.run(seed, EVENTS).expect("the simulation itself works")
}

fn told(violation: &Violation) -> String {
    let mut text = format!("seed {}: {}\n{}\n", violation.seed, violation.wrong.join("; "), violation.setup);
    for line in violation.events.iter().chain(&violation.trace) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

#[test]
fn no_promise_is_broken_whatever_goes_wrong() {
    let runner = runner(None);
    let mut summary = Summary::default();
    for seed in SEEDS {
        let outcome = run(&runner, seed);
        summary.add(&outcome);
        assert!(outcome.wrong.is_empty(), "{}", told(&runner.shorten(seed, EVENTS).expect("shortens")));
    }
    for kind in [
        "crash_ingest",
        "crash_matcher",
        "crash_reconciler",
        "crash_sink",
        "source_repeat",
        "reorder",
        "delay",
        "log_answer_lost",
        "target_answer_lost",
        "partial_batch",
        "precondition_failed",
        "target_altered",
        "trigger_fired",
        "clock_jump",
        "gap",
        "expired_position",
        "rebalance",
        "zombie",
        "configuration_change",
        "disk_full",
        "slow",
    ] {
        assert!(summary.faults.get(kind).is_some_and(|count| *count > 0), "{kind} never happened: {:?}", summary.faults);
    }
}

#[test]
fn the_same_seed_gives_the_same_run_byte_for_byte() {
    let (first, second) = (runner(None), runner(None));
    for seed in 1000..1010 {
        let (one, other) = (run(&first, seed), run(&second, seed));
        assert_eq!((one.digest, &one.faults), (other.digest, &other.faults), "seed {seed}");
    }
    assert_ne!(run(&first, 1000).digest, run(&first, 1001).digest);
}

#[test]
fn the_table_of_planted_bugs_lists_each_of_them() {
    let document = Path::new("../docs/proof.md");
    let rows = rows(&std::fs::read_to_string(document).expect("docs/proof.md")).expect("its table");
    assert!(rows.len() >= 50, "only {} planted bugs", rows.len());
    assert!(rows.iter().all(|row| row.first < row.within), "{rows:?}");
}

#[test]
fn a_violation_is_told_with_the_shortest_way_to_it() {
    let runner = runner(Some(Bug::SkipAfterCrash));
    let seed = (0..SOON).find(|seed| !run(&runner, *seed).wrong.is_empty()).expect("a violation");
    let violation = runner.shorten(seed, EVENTS).expect("shortens");
    assert!(!violation.wrong.is_empty());
    assert!(violation.events.len() < 30, "{}", told(&violation));
    assert!(
        violation.events.iter().any(|event| event.contains("Crash")
            || event.contains("Lose")
            || event.contains("Zombie")
            || event.contains("Refuse")
            || event.contains("DiskFull")),
        "{}",
        told(&violation)
    );
}
