//! A handful of seeds of the simulation with the real openraft, and the faults built in on purpose that it must find.
//! `docs/SAFETY.md` says how to run many.

use std::process::{Command, Output};

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulate_raft"))
        .args(arguments)
        .output()
        .expect("simulate_raft can't be started")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// All that a run says but how long it took.
fn told(output: &Output) -> String {
    let said = text(output);
    said.split(' ')
        .filter(|word| !word.starts_with("wall="))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in ["3", "8"] {
        let first = simulate(&["--seed", seed, "--seconds", "8"]);
        let second = simulate(&["--seed", seed, "--seconds", "8"]);
        assert!(told(&first).contains("trace="), "{}", text(&first));
        assert_eq!(told(&first), told(&second));
    }
}

#[test]
fn a_set_of_seeds_keeps_every_invariant_and_heals() {
    let output = simulate(&["--seeds", "1..13", "--seconds", "12"]);
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    let count = |name: &str| {
        let line = said
            .lines()
            .find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
        line.and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0)
    };
    // A run with too little in it proves nothing.
    for (name, least) in [
        ("leaders", 24.0),
        ("acknowledged", 3000.0),
        ("reads", 1000.0),
        ("renewals", 2000.0),
        ("snapshots_sent", 1.0),
        ("crash_of_the_leader", 3.0),
    ] {
        assert!(
            count(name) >= least,
            "{name}: {} in all, expected {least} at least\n{said}",
            count(name)
        );
    }
}

#[test]
fn a_disk_that_says_durable_too_early_is_found() {
    finds("callback-before-durable", &["I12: log entry"]);
}

#[test]
fn a_read_without_a_quorum_round_is_found() {
    finds("read-without-round", &["I9: a read sees"]);
}

#[test]
fn a_renewal_without_a_quorum_round_is_found() {
    finds("renewal-without-round", &["I5: session", "rule 5: session"]);
}

#[test]
fn a_false_quorum_is_found() {
    finds("false-quorum", &["I9", "I10", "I11", "I12"]);
}

/// A planted fault is found within a few seeds, for its own reason.
fn finds(plant: &str, reasons: &[&str]) {
    let mut said = String::new();
    for seed in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let output = simulate(&["--seed", seed, "--seconds", "20", "--plant", plant]);
        let found = text(&output);
        if !output.status.success() && reasons.iter().any(|reason| found.contains(reason)) {
            return;
        }
        said.push_str(&found);
    }
    panic!("{plant} was not found within eight seeds:\n{said}");
}
