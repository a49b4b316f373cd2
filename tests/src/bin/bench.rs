//! Measures paceline on this machine: see `scripts/bench`.
//!
//! ```text
//! bench failover [--runs N] [--lease 1s]
//! bench plan [--big] [--alone]
//! bench writes [--rounds N] [--seconds N] [--clients N,…] [--leader] [--alone]
//! bench switchover [--runs N] [--lease 1s]
//! bench saturation [--seconds N] [--clients N] [--hogs N] [--lease 1s]
//! bench events [--events N] [--runs N]
//! bench watch [--seconds N]
//! ```

use std::env;
use std::time::Duration;

use anyhow::{Context, bail};
use tests::bench::plan::{self, PlanOptions};
use tests::bench::saturation::{self, SaturationOptions};
use tests::bench::writes::WriteOptions;
use tests::bench::{events, failover, switchover, watch, writes};

/// How long, and with how many clients, load alone must cause no failover.
const SATURATION: Duration = Duration::from_secs(600);
const SATURATION_CLIENTS: usize = 256;
/// Events over which questions are to be quick.
const EVENTS: u64 = 10_000_000;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let what = arguments
        .next()
        .context("usage: bench failover|switchover|plan|writes|saturation|events|watch …")?;
    let mut runs = 20;
    let mut seconds = None;
    let mut big = false;
    let mut journal = EVENTS;
    let (mut hogs, mut lease) = (None, "1s".to_owned());
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
            "--events" => journal = value()?.parse()?,
            "--runs" => runs = value()?.parse()?,
            "--rounds" => options.rounds = value()?.parse()?,
            "--seconds" => seconds = Some(Duration::from_secs(value()?.parse()?)),
            "--hogs" => hogs = Some(value()?.parse()?),
            "--lease" => lease = value()?,
            "--clients" => options.clients = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--leader" => options.leader_only = true,
            "--big" => big = true,
            "--alone" => options.alone = true,
            _ => bail!("unknown option {argument}"),
        }
    }
    options.measure = seconds.unwrap_or(options.measure);
    match what.as_str() {
        "failover" => failover::run(runs, &lease),
        "switchover" => switchover::run(runs, &lease),
        "plan" => plan::run(PlanOptions {
            big,
            alone: options.alone,
        }),
        "writes" => writes::run(&options),
        "saturation" => saturation::run(&SaturationOptions {
            measure: seconds.unwrap_or(SATURATION),
            clients: options.clients.first().copied().unwrap_or(SATURATION_CLIENTS),
            hogs,
            lease,
        }),
        "events" => events::run(journal, runs),
        "watch" => watch::run(options.measure),
        _ => bail!("unknown bench {what}: expected failover, switchover, plan, writes, saturation, events or watch"),
    }
}
