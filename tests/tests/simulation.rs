//! The whole pipeline in one process, under faults drawn from seeds.

use std::fmt::Write as _;

use app::simulate::{Outcome, Plant, Runner, Summary, Violation};

/// Events in each run.
const EVENTS: usize = 300;
/// Seeds that always run.
const SEEDS: std::ops::Range<u64> = 0..150;
/// Seeds within which a planted bug must be caught.
const SOON: u64 = 50;

fn runner(plant: Option<Plant>) -> Runner {
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
    assert!(summary.faults.len() >= 15, "only these faults happened: {:?}", summary.faults);
    assert!(summary.faults.values().all(|count| *count > 0));
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
fn a_planted_bug_is_caught() {
    for plant in Plant::ALL {
        let runner = runner(Some(plant));
        let caught = (0..SOON).find(|seed| !run(&runner, *seed).wrong.is_empty());
        assert!(caught.is_some(), "{plant:?} is not caught within {SOON} seeds");
    }
}

#[test]
fn a_violation_is_told_with_the_shortest_way_to_it() {
    let runner = runner(Some(Plant::SkipAfterCrash));
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
