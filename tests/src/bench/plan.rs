//! What planning costs: entries straight into the state machine, on one thread, beside Pacemaker's own scheduler on equal
//! clusters.
//!
//! Times are processor time of this thread, so that what else the machine does is in them only as lost caches. An entry is
//! applied as in the server: to a state of which a reader holds a clone.

mod pacemaker;
mod site;

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use statemachine::command::Command;
use statemachine::id::Term;

use super::report::{Sample, machine, print_table, save};
use site::{Site, SiteOptions};

/// Loads together, in per cent of all capacity: with room, and with none.
const FILLS: [u64; 2] = [70, 103];
/// Node failures of a size: fewer where each makes a long tail of others give way.
const FAILURES: u64 = 100;
const FAILURES_FULL: u64 = 20;
/// The most packages with no room at all that are planned without being asked for.
const FULL_MAX: u64 = 100_000;
/// Sizes, as packages and nodes.
const SIZES: [(u64, u64); 4] = [(1_000, 32), (10_000, 1_000), (100_000, 10_000), (1_000_000, 10_000)];
/// Pacemaker's own sizes.
const BESIDE: [(u64, u64); 3] = [(100, 16), (1_000, 32), (2_000, 32)];

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// A million packages too: takes some minutes and gigabytes.
    pub big: bool,
    /// Without Pacemaker.
    pub alone: bool,
}

/// Measures and prints.
///
/// # Errors
/// Where an entry is refused, or Pacemaker's scheduler is not there or fails.
pub fn run(options: PlanOptions) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for (packages, nodes) in SIZES
        .into_iter()
        .filter(|(packages, _)| options.big || *packages < 1_000_000)
    {
        for fill in FILLS {
            if fill > 100 && packages > FULL_MAX && !options.big {
                eprintln!("{packages} packages on {nodes} nodes, {fill} % full: takes very long, so only with --big");
                continue;
            }
            eprintln!("{packages} packages on {nodes} nodes, {fill} % full …");
            let figures = measure(SiteOptions { packages, nodes, fill })?;
            rows.push(figures.row());
            results.push(figures.json());
        }
    }
    print_table(
        "planning, processor time of one thread; each node failure is one entry, then the daemons' reports until all rests",
        &[
            "packages",
            "nodes",
            "full",
            "placing, each",
            "node down p50",
            "p99",
            "max",
            "actions",
            "until rest p50",
            "node back p50",
            "p99",
        ],
        &rows,
    );
    let mut beside = Vec::new();
    if !options.alone {
        let mut rows = Vec::new();
        for (packages, nodes) in BESIDE {
            eprintln!("{packages} packages on {nodes} nodes, beside Pacemaker …");
            let ours = measure(SiteOptions {
                packages,
                nodes,
                fill: 70,
            })?
            .down
            .per_mille(500);
            let theirs = pacemaker::node_down(packages, nodes).context("Pacemaker's scheduler")?;
            let ratio = theirs.cpu.as_nanos() / u128::from(ours.max(1));
            rows.push(vec![
                packages.to_string(),
                nodes.to_string(),
                micros(ours),
                format!("{} ms", theirs.cpu.as_millis()),
                theirs.actions.to_string(),
                format!("{ratio} times"),
            ]);
            beside.push(json!({
                "packages": packages, "nodes": nodes, "paceline_ns": ours,
                "pacemaker_ns": u64::try_from(theirs.cpu.as_nanos()).unwrap_or(u64::MAX), "ratio": ratio.to_string(),
            }));
        }
        print_table(
            "one node down, 70 % full: paceline's entry, and crm_simulate (reading the file too), median of 3",
            &["packages", "nodes", "paceline", "Pacemaker", "its actions", "ratio"],
            &rows,
        );
    }
    save(
        "plan",
        &json!({ "machine": machine(), "sites": results, "pacemaker": beside }),
    )
}

/// What one size came to; times in nanoseconds.
struct Figures {
    options: SiteOptions,
    placing_each: u64,
    down: Sample,
    rest: Sample,
    back: Sample,
    actions: Sample,
}

impl Figures {
    fn row(&self) -> Vec<String> {
        vec![
            self.options.packages.to_string(),
            self.options.nodes.to_string(),
            format!("{} %", self.options.fill),
            format!("{} ns", self.placing_each),
            micros(self.down.per_mille(500)),
            micros(self.down.per_mille(990)),
            micros(self.down.max()),
            self.actions.per_mille(500).to_string(),
            micros(self.rest.per_mille(500)),
            micros(self.back.per_mille(500)),
            micros(self.back.per_mille(990)),
        ]
    }

    fn json(&self) -> Value {
        let quantiles = |sample: &Sample| json!({ "p50": sample.per_mille(500), "p99": sample.per_mille(990), "max": sample.max() });
        json!({
            "packages": self.options.packages, "nodes": self.options.nodes, "fill_percent": self.options.fill,
            "placing_each_ns": self.placing_each, "node_down_ns": quantiles(&self.down),
            "until_rest_ns": quantiles(&self.rest), "node_back_ns": quantiles(&self.back),
            "actions": quantiles(&self.actions),
        })
    }
}

fn measure(options: SiteOptions) -> anyhow::Result<Figures> {
    let mut site = Site::new(options)?;
    let placing = site.define()?;
    site.rest()?;
    let (mut down, mut rest, mut back, mut actions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let failures = if options.fill > 100 { FAILURES_FULL } else { FAILURES };
    for round in 0..failures {
        let number = round * 7 % options.nodes;
        let session = site.session(number).context("a node that was registered")?;
        let before = site.actions;
        let entry = site.apply(Command::NodeLost {
            sessions: vec![session],
            term: Term(1),
        })?;
        down.push(nanos(entry));
        rest.push(nanos(entry + site.rest()?));
        actions.push(site.actions - before);
        back.push(nanos(site.register(number, round + 1)?));
        site.rest()?;
    }
    Ok(Figures {
        options,
        placing_each: nanos(placing) / options.packages,
        down: Sample::new(down),
        rest: Sample::new(rest),
        back: Sample::new(back),
        actions: Sample::new(actions),
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(nanos: u64) -> String {
    format!("{}.{} us", nanos / 1_000, nanos % 1_000 / 100)
}
