//! Whole clusters by a seed: a fixed set, some fresh ones, the same again, and planted bugs, which must all be found.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tests::simulation::report::Report;
use tests::simulation::{Outcome, Plan, Planted, run, run_plan, shrink};

/// The seeds of every run.
const FIXED: std::ops::Range<u64> = 1..61;
/// How long seeds that nobody has tried are tried.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// Runs in which a planted bug must be found.
const PLANTED_RUNS_MAX: u64 = 1_000;

fn must_hold(outcome: &Outcome) {
    if let Some(violation) = &outcome.violation {
        let seed = outcome.seed;
        panic!(
            "seed {seed}: {} is broken: {}\nagain: target/release/simulate --seed {seed} --trace",
            violation.invariant, violation.text
        );
    }
}

#[test]
fn a_fixed_set_of_seeds_holds_and_tries_enough() {
    let mut report = Report::default();
    for seed in FIXED {
        let outcome = run(seed, None);
        must_hold(&outcome);
        report.add(&outcome, Duration::ZERO);
    }
    report.finish(Duration::ZERO);
    println!("{}", report.table());
    assert_eq!(report.too_few(), None);
    assert!(report.leader_changes > 100 && report.failovers > 100 && report.acknowledged > 1_000);
}

#[test]
fn fresh_seeds_hold() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let began = Instant::now();
    for seed in now.as_micros() as u64.. {
        if began.elapsed() > FRESH_FOR {
            break;
        }
        must_hold(&run(seed, None));
    }
}

#[test]
fn a_seed_is_one_story() {
    for seed in [3, 4, 5] {
        let first = run(seed, None);
        let again = run_plan(Plan::draw(seed), None, true);
        assert_eq!(first.hash, again.hash, "a trace may change nothing");
        assert_eq!(first, run(seed, None));
        assert_ne!(first.hash, run(seed + 100, None).hash);
    }
}

fn found(planted: Planted) -> (u64, Outcome) {
    let outcomes = (1..=PLANTED_RUNS_MAX).map(|seed| (seed, run(seed, Some(planted))));
    let mut broken = outcomes.filter(|(_, outcome)| outcome.violation.is_some());
    broken
        .next()
        .unwrap_or_else(|| panic!("{} was not found in {PLANTED_RUNS_MAX} runs", planted.name()))
}

#[test]
fn every_planted_bug_is_found() {
    for planted in Planted::ALL {
        let (seed, outcome) = found(planted);
        let violation = outcome.violation.unwrap();
        println!(
            "{:<26} seed {seed:>4}: {} {}",
            planted.name(),
            violation.invariant,
            violation.text
        );
    }
}

#[test]
fn a_failing_schedule_shrinks_and_still_fails() {
    let (seed, outcome) = found(Planted::WaitTooShort);
    let whole = Plan::draw(seed);
    let (smallest, again) = shrink::shrink(&whole, Some(Planted::WaitTooShort));
    let invariant = |outcome: &Outcome| outcome.violation.as_ref().map(|violation| violation.invariant);
    assert_eq!(invariant(&again), invariant(&outcome));
    assert!(
        smallest.faults.len() < whole.faults.len() / 2,
        "{} faults",
        smallest.faults.len()
    );
    assert_eq!(run_plan(smallest, Some(Planted::WaitTooShort), false), again);
}
