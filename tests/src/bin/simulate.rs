//! `simulate`: whole clusters under virtual time, by seeds. See `tests/src/simulation/mod.rs`.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use tests::simulation::random::Random;
use tests::simulation::report::Report;
use tests::simulation::{Outcome, Plan, Planted, run_plan, shrink};

const USAGE: &str = "\
simulate --seed N [--trace]     one run; the same seed is the same run, shown by its hash
simulate --seeds A..B           runs A up to B, B not included
simulate --hours H [--fresh]    runs until H hours of clusters are simulated
  --fresh                       begin with a seed that was never tried; else with 1
  --plant NAME                  with a planted bug, which is to be found
  --json FILE                   the report, for programs too
  --no-shrink                   print a failing schedule as it is
Exit: 0 nothing found; 1 an invariant is broken, or too little happened; 2 wrong use.";

struct Options {
    seeds: Option<std::ops::Range<u64>>,
    hours: Option<f64>,
    fresh: bool,
    trace: bool,
    shrink: bool,
    planted: Option<Planted>,
    json: Option<String>,
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options {
        seeds: None,
        hours: None,
        fresh: false,
        trace: false,
        shrink: true,
        planted: None,
        json: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--seed" => {
                let seed: u64 = value()?.parse().context("--seed wants a number")?;
                options.seeds = Some(seed..seed + 1);
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").context("--seeds wants A..B")?;
                options.seeds = Some(from.parse()?..to.parse()?);
            }
            "--hours" => options.hours = Some(value()?.parse().context("--hours wants a number")?),
            "--fresh" => options.fresh = true,
            "--trace" => options.trace = true,
            "--no-shrink" => options.shrink = false,
            "--json" => options.json = Some(value()?),
            "--plant" => {
                let name = value()?;
                let names = Planted::ALL.map(Planted::name).join(", ");
                options.planted = Some(Planted::named(&name).with_context(|| format!("{name}? There are {names}"))?);
            }
            other => bail!("{other}?\n{USAGE}"),
        }
    }
    if options.seeds.is_none() && options.hours.is_none() {
        bail!("{USAGE}");
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<bool> {
    let first = match (&options.seeds, options.fresh) {
        (Some(seeds), _) => seeds.start,
        (None, true) => fresh(),
        (None, false) => 1,
    };
    let began = Instant::now();
    let mut report = Report::default();
    let mut good = true;
    for seed in first.. {
        let over = match (&options.seeds, options.hours) {
            (Some(seeds), _) => seed >= seeds.end,
            (None, hours) => hours.is_some_and(|hours| report.cluster_hours >= hours),
        };
        if over {
            break;
        }
        let started = processor_time();
        let outcome = run_plan(Plan::draw(seed), options.planted, options.trace);
        report.add(&outcome, processor_time().saturating_sub(started));
        if options.trace || options.seeds.as_ref().is_some_and(|seeds| seeds.end - seeds.start == 1) {
            println!("{}", outcome.trace.join("\n"));
            println!(
                "seed {seed}: {:.1} s of a cluster, {} events, hash {:016x}",
                outcome.simulated_ns as f64 / 1e9,
                outcome.events,
                outcome.hash
            );
        }
        if outcome.violation.is_some() {
            good = false;
            explain(options, &outcome);
        }
    }
    report.finish(began.elapsed());
    println!("{}", report.table());
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, text).with_context(|| format!("can't write {file}"))?;
    }
    if let Some(why) = report.too_few().filter(|_| options.planted.is_none()) {
        eprintln!("too little happened: {why}");
        good = false;
    }
    Ok(good)
}

/// A seed that nobody has tried, far from those of a worker beside this one.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Random::new(now.as_nanos() as u64, u64::from(std::process::id())).next() >> 1
}

/// The processor time of this thread: what others on the machine do does not count.
fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn explain(options: &Options, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    let seed = outcome.seed;
    println!(
        "seed {seed}: {} is broken at {} ms",
        violation.invariant,
        violation.at_ns / 1_000_000
    );
    println!("  {}", violation.text);
    let plant = options
        .planted
        .map_or(String::new(), |planted| format!(" --plant {}", planted.name()));
    println!("  again: target/release/simulate --seed {seed}{plant} --trace");
    let whole = Plan::draw(seed);
    let (plan, smallest) = if options.shrink {
        shrink::shrink(&whole, options.planted)
    } else {
        (whole.clone(), outcome.clone())
    };
    println!("  {} of {} faults are needed:", plan.faults.len(), whole.faults.len());
    for fault in &plan.faults {
        println!("    {fault}");
    }
    if let Some(violation) = &smallest.violation {
        println!("  then {}: {}", violation.invariant, violation.text);
    }
    let traced = run_plan(plan, options.planted, true);
    let last = traced.trace.len().saturating_sub(60);
    for line in traced.trace.iter().skip(last) {
        println!("    {line}");
    }
}
