//! Fuzzes everything that parses bytes from outside, by seed.
//!
//! `fuzz [--target NAME] [--seconds N] [--seed S]`: all targets one after another, each for so many seconds. Prints a line
//! a target; the first finding ends the run with its input.

use std::process::ExitCode;
use std::time::Duration;

use tests::fuzz::run::{Length, run};
use tests::fuzz::targets;

fn main() -> anyhow::Result<ExitCode> {
    let (mut wanted, mut seconds, mut seed) = (None, 10_u64, 1_u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| anyhow::anyhow!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--target" => wanted = Some(value()?),
            "--seconds" => seconds = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            other => anyhow::bail!("{other:?}: expected --target NAME, --seconds N or --seed S"),
        }
    }
    let mut targets = targets()?;
    if let Some(wanted) = &wanted {
        let known: Vec<&str> = targets.iter().map(|target| target.name()).collect();
        anyhow::ensure!(
            known.contains(&wanted.as_str()),
            "{wanted:?}: expected one of {}",
            known.join(", ")
        );
        targets.retain(|target| target.name() == wanted);
    }
    let mut found = false;
    for target in &mut targets {
        match run(target.as_mut(), seed, Length::Time(Duration::from_secs(seconds))) {
            Ok(tally) => println!("{:<16} seed {seed:<6} {tally}", target.name()),
            Err(finding) => {
                println!("{:<16} seed {seed:<6} FOUND\n{finding}", target.name());
                found = true;
            }
        }
    }
    Ok(if found { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
