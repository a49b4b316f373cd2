//! Every input that was once a finding, and some thousands of fresh ones, through every target of `fuzz`.

use tests::fuzz::run::{Length, run};
use tests::fuzz::targets;

/// Seconds in all: whole requests are slower than parsers.
const INPUTS: u64 = 3_000;
const REQUESTS: u64 = 800;
/// Fixed, so that a failure is the same failure tomorrow; `scripts/fuzz` takes others.
const SEED: u64 = 20_261_123;

#[test]
fn no_target_has_a_finding_and_none_refuses_or_accepts_everything() -> anyhow::Result<()> {
    all(|name| name != "api")
}

#[test]
fn nor_has_the_api() -> anyhow::Result<()> {
    all(|name| name == "api")
}

fn all(wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    for mut target in targets()?.into_iter().filter(|target| wanted(target.name())) {
        let inputs = if target.name() == "api" { REQUESTS } else { INPUTS };
        let tally = run(target.as_mut(), SEED, Length::Inputs(inputs))?;
        println!("{:<16} {tally}", target.name());
        anyhow::ensure!(
            tally.accepted * 200 > tally.inputs(),
            "{}: nearly all is refused: {tally}",
            target.name()
        );
        anyhow::ensure!(
            tally.refused * 200 > tally.inputs(),
            "{}: nearly all is accepted: {tally}",
            target.name()
        );
    }
    Ok(())
}
