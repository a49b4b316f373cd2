//! Breaks a cluster at random: see `scripts/long`.
//!
//! ```text
//! nemesis [--minutes N] [--seed N]
//! ```

use std::env;
use std::time::Duration;

use anyhow::{Context, bail};
use tests::nemesis;
use tests::wait::monotonic_ns;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let mut minutes = 30;
    let mut seed = monotonic_ns() / 1_000;
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--minutes" => minutes = value.parse()?,
            "--seed" => seed = value.parse()?,
            _ => bail!("unknown option {argument}"),
        }
    }
    nemesis::run(seed, Duration::from_secs(minutes * 60))
}
