//! Measures paceline on this machine: see `scripts/bench`.
//!
//! ```text
//! bench failover [--runs N]
//! bench writes [--rounds N] [--seconds N] [--clients N,…] [--leader] [--alone]
//! ```

use std::env;
use std::time::Duration;

use anyhow::{Context, bail};
use tests::bench::writes::WriteOptions;
use tests::bench::{failover, writes};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let what = arguments.next().context("usage: bench failover|writes …")?;
    let mut runs = 20;
    let mut options = WriteOptions {
        rounds: 3,
        measure: Duration::from_secs(3),
        warm_up: Duration::from_millis(700),
        leader_only: false,
        alone: false,
        clients: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--runs" => runs = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--seconds" => options.measure = Duration::from_secs(value()?.parse()?),
            "--clients" => options.clients = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--leader" => options.leader_only = true,
            "--alone" => options.alone = true,
            _ => bail!("unknown option {argument}"),
        }
    }
    match what.as_str() {
        "failover" => failover::run(runs),
        "writes" => writes::run(&options),
        _ => bail!("unknown bench {what}: expected failover or writes"),
    }
}
