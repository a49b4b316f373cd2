//! Breaking a cluster at random for a long time: faults as data, chosen by a seed, and every invariant after each heal.
//!
//! Where this machine has the means, each node has a network namespace and a disk of its own, and the shim for fsync and
//! the clock; where it has not, the nodes run on the loopback, and faults that need more are counted as skipped.

mod fault;
mod hand;
mod random;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use client::wire::status::Status;

pub use fault::{Fault, Outcome, choose};
pub use random::Random;
pub use report::Report;

use crate::cluster::{Cluster, Layout, acknowledged};
use crate::fault::skipped;
use crate::wait::pause;
use hand::Hand;

/// A pair that is told of changes of mode, a pair that is started anew, and a single package. Each can run anywhere, and
/// no fault of a test is to count as a fault of the package.
pub const FILE: &str = r#"
[[group]]
name = "told"
kind = "duplex"
standbys = 2
failovers = { attempts = 100, within = "1s" }

[[package]]
name = "told"
group = "told"
copies = 3
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@, "--unit", "told"]

[[group]]
name = "started"
kind = "duplex"
failovers = { attempts = 100, within = "1s" }

[[package]]
name = "started"
group = "started"
copies = 2
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@, "--unit", "started", "--way", "start"]

[[package]]
name = "single"
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@]
"#;

/// The same under a definition of this number: the first pair is told of a new one by its reload command, the second is
/// restarted under it, standby first. The single package needs a service of its node.
fn file(revision: u64) -> String {
    let told =
        format!("--unit\", \"told\"]\nrun.env = {{ REVISION = \"{revision}\" }}\nreload.command = [\"/bin/true\"]");
    let started = format!("--way\", \"start\"]\nrun.env = {{ REVISION = \"{revision}\" }}");
    FILE.replace("--unit\", \"told\"]", &told)
        .replace("--way\", \"start\"]", &started)
        .replace("name = \"single\"", "name = \"single\"\nneeds = [\"service:store\"]")
}

/// While this file is there the service is up on the node.
fn store(cluster: &Cluster, node: &str) -> PathBuf {
    cluster.directory().join(format!("store-on-{node}"))
}

/// Faults between two heals.
const FAULTS_A_ROUND: u32 = 4;
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const PACKAGES: [&str; 6] = ["told-1", "told-2", "told-3", "started-1", "started-2", "single"];
/// Room for the store over a long run: what the load writes is compacted.
const DISK_MEBIBYTES: u64 = 512;

/// Breaks a cluster until the time is over, and prints what was done and what came of it.
///
/// # Errors
/// The invariant that is broken, or that the cluster does not heal; the seed and the faults are printed as they are done.
pub fn run(seed: u64, span: Duration) -> anyhow::Result<()> {
    println!("seed {seed}, {} minutes", span.as_secs() / 60);
    let begin = Instant::now();
    let mut random = Random::new(seed);
    let mut cluster = start()?;
    cluster.apply(&file(0))?;
    cluster.subscribe()?;
    let first_term = cluster.get::<Status>("/v1/status")?.term;
    let (mut report, mut hand) = (Report::default(), Hand::default());
    let mut went: anyhow::Result<()> = Ok(());
    while begin.elapsed() < span && went.is_ok() {
        let round = report.rounds + 1;
        went = one_round(&mut cluster, &mut hand, &mut random, &mut report)
            .with_context(|| format!("seed {seed}, round {round}"));
        if let Err(error) = &went {
            report.violations.push(format!("{error:#}"));
        } else {
            report.rounds = round;
            println!(
                "round {round} healed after {} s; {} writes acknowledged so far",
                begin.elapsed().as_secs(),
                report.acknowledged
            );
        }
    }
    report.activations = crate::witness::intervals(&cluster.witnessed()?).len();
    if let Ok(events) = cluster.events() {
        report.takeovers = events.iter().filter(|e| e.kind == "node-lost").count();
    }
    if let Ok(status) = cluster.get::<Status>("/v1/status") {
        report.terms = status.term.saturating_sub(first_term);
    }
    println!("seed {seed}, {} s\n{report}", begin.elapsed().as_secs());
    went?;
    cluster.finish()
}

/// A cluster that can be broken in as many ways as this machine allows.
fn start() -> anyhow::Result<Cluster> {
    // Nodes are added one by one, because each looks at a service of its own.
    let layout = Layout { servers: 0, workers: 0 };
    if let Some(mut cluster) = Cluster::create_networked("nemesis", layout)? {
        add_nodes(&mut cluster)?;
        let ready = NODES.iter().try_for_each(|node| {
            cluster.add_disk(node, DISK_MEBIBYTES)?;
            cluster.add_shim(node)
        });
        match ready {
            Ok(()) => {
                cluster.start_all()?;
                return Ok(cluster);
            }
            Err(why) => {
                skipped("faults of networks, disks and clocks", &format!("{why:#}"));
                cluster.finish_without_cluster()?;
            }
        }
    }
    let mut cluster = Cluster::create("nemesis")?;
    add_nodes(&mut cluster)?;
    cluster.start_all()?;
    Ok(cluster)
}

fn add_nodes(cluster: &mut Cluster) -> anyhow::Result<()> {
    for (number, node) in (1..).zip(NODES) {
        let store = store(cluster, node);
        std::fs::write(&store, "")?;
        let service = format!(
            "[monitor.service.store]\nexec = [\"/usr/bin/test\", \"-e\", \"{}\"]\ninterval = \"200ms\"\nfailures = 1\n",
            store.display()
        );
        cluster.add_node(number, &service)?;
    }
    Ok(())
}

/// Some faults under load, a heal, every check.
fn one_round(cluster: &mut Cluster, hand: &mut Hand, random: &mut Random, report: &mut Report) -> anyhow::Result<()> {
    let load = cluster.load(random.one_of(&NODES))?;
    let mut broken: anyhow::Result<()> = Ok(());
    for _ in 0..FAULTS_A_ROUND {
        let fault = choose(random);
        let gap = Duration::from_millis(random.below(1_500));
        match hand.inflict(cluster, &fault) {
            Ok(outcome) => {
                println!("  {fault}: {outcome:?}");
                report.note(&fault, &outcome);
            }
            Err(error) => {
                broken = Err(error.context(format!("the harness failed at {fault}")));
                break;
            }
        }
        pause(gap, "faults may overlap or not");
    }
    let healed = hand.heal(cluster).context("the harness failed at the heal");
    let whole = cluster.wait_until_whole();
    let load = load.stop();
    broken?;
    healed?;
    whole?;
    cluster.heal()?;
    report.acknowledged += acknowledged(&load.writes);
    cluster.end_load(load)?;
    cluster.check_and_forget()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_definition_differs_and_all_are_the_same_packages() {
        let (first, second) = (file(1), file(2));
        assert_ne!(first, second);
        assert_eq!(first.matches("REVISION = \"1\"").count(), 2, "{first}");
        assert!(
            first.contains("reload.command") && first.contains("needs = [\"service:store\"]"),
            "{first}"
        );
        assert_eq!(first.matches("name = ").count(), FILE.matches("name = ").count());
    }
}
