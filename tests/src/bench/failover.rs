//! `scripts/bench failover`: how long nobody is active, by the test program's own timestamps.

use std::collections::BTreeSet;
use std::time::Duration;

use client::wire::node::Nodes;
use serde_json::{Value, json};

use super::report::{Sample, machine, milliseconds as ms, print_load, print_table, repeat, save};
use crate::cluster::{Cluster, FAILOVER_LIMIT, START_LIMIT};
use crate::wait::{monotonic_ns, wait_for};
use crate::witness::{Interval, intervals};

/// One member on each node, so that whichever node dies another one stands by.
const FILE: &str = r#"
[cluster]
name = "bench"
lease = "@LEASE@"

[[group]]
name = "svc"
kind = "duplex"
standbys = 2
failovers = { attempts = 100, within = "1s" }

[[package]]
name = "svc"
group = "svc"
copies = 3
restart = { attempts = 100, within = "1s" }
run.command = [@WITNESS@, "--unit", "svc"]
"#;

/// No server has started again for so long: all have the timers of the lease.
const SETTLED: Duration = Duration::from_secs(5);

/// A way to lose the active instance, and the median that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Package,
    Node,
    LeaderNode,
}

const STORIES: [(Story, &str, u64); 3] = [
    (Story::Package, "package killed -> standby active", 50),
    (Story::Node, "node killed -> standby active", 1500),
    (Story::LeaderNode, "leader's node killed -> standby active", 2000),
];

/// Runs every story so many times and prints the table.
///
/// # Errors
/// Where a takeover does not come, or an invariant is broken.
pub fn run(runs: usize, lease: &str) -> anyhow::Result<()> {
    let before = machine();
    let mut cluster = Cluster::start("bench-failover", 3)?;
    cluster.apply(&FILE.replace("@LEASE@", lease))?;
    // Where it is not the default, the servers start again one by one with other timers.
    if lease != "1s" {
        cluster.wait_settled(SETTLED)?;
    }
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    for (story, name, must_ms) in STORIES {
        let gaps = repeat(name, runs, || take_over(&mut cluster, story))?;
        let sample = Sample::new(gaps.clone());
        rows.push(row(name, must_ms, &sample));
        cells.push(describe(name, must_ms, &sample, &gaps));
    }
    print_table(
        &format!("time without an active instance, lease {lease}, {runs} runs each"),
        &[
            "story",
            "min ms",
            "median ms",
            "p99 ms",
            "max ms",
            "median must be under",
            "",
        ],
        &rows,
    );
    print_load(&before);
    save(
        "failover",
        &json!({ "bench": "failover", "machine_before": before, "machine_after": machine(), "stories": cells }),
    )?;
    cluster.finish()
}

/// From just before the kill to the `active` record of another instance, in microseconds.
fn take_over(cluster: &mut Cluster, story: Story) -> anyhow::Result<u64> {
    let active = settle(cluster, story)?;
    let killed_ns = monotonic_ns();
    if story == Story::Package {
        cluster.package_process(&active.package, &active.node)?.kill();
    } else {
        let node = active.node.clone();
        cluster.node(&node).kill()?;
    }
    let next = wait_for("another active instance", FAILOVER_LIMIT, || {
        let now = intervals(&cluster.witnessed().map_err(|e| format!("{e:#}"))?);
        now.into_iter()
            .find(|i| i.epoch > active.epoch)
            .ok_or_else(|| format!("still {active:?}"))
    })?;
    if story != Story::Package {
        cluster.node(&active.node).start()?;
    }
    Ok(next.from_ns.saturating_sub(killed_ns) / 1000)
}

/// Waits until everything is whole again and the active instance is where the story needs it.
fn settle(cluster: &Cluster, story: Story) -> anyhow::Result<Interval> {
    cluster.wait_until_whole()?;
    let leader = wait_for("one active and two standbys", START_LIMIT, || whole(cluster))?;
    let wanted_at_leader = match story {
        Story::Package => None,
        Story::Node => Some(false),
        Story::LeaderNode => Some(true),
    };
    let (active, standbys) = members(cluster)?;
    if let Some(at_leader) = wanted_at_leader
        && (active.1 == leader) != at_leader
    {
        let Some((package, _)) = standbys.into_iter().find(|(_, node)| (*node == leader) == at_leader) else {
            anyhow::bail!("no standby is where the story needs it");
        };
        cluster.change("POST", &format!("/v1/packages/{package}/promote"), "{}")?;
        return settle(cluster, story);
    }
    let now = intervals(&cluster.witnessed()?);
    now.into_iter()
        .next_back()
        .ok_or_else(|| anyhow::anyhow!("nobody was ever active"))
}

type Place = (String, String);

/// The active (package, node) and those of the standbys.
fn members(cluster: &Cluster) -> anyhow::Result<(Place, Vec<Place>)> {
    let mut standbys = Vec::new();
    let mut active = None;
    for name in ["svc-1", "svc-2", "svc-3"] {
        for instance in cluster.package(name)?.instances {
            let place = (name.to_owned(), instance.node);
            match (instance.state.as_str(), instance.mode.as_str()) {
                ("running", "active") => active = Some(place),
                ("running", "standby") => standbys.push(place),
                _ => {}
            }
        }
    }
    let active = active.ok_or_else(|| anyhow::anyhow!("nobody is active; standbys: {standbys:?}"))?;
    Ok((active, standbys))
}

/// The leader's node, once there is one active, two standbys on other nodes, and the programs saw the same.
fn whole(cluster: &Cluster) -> Result<String, String> {
    let words = |e: anyhow::Error| format!("{e:#}");
    let (active, standbys) = members(cluster).map_err(words)?;
    let nodes: BTreeSet<&String> = standbys.iter().map(|(_, node)| node).chain([&active.1]).collect();
    if nodes.len() != 3 {
        return Err(format!("active {active:?}, standbys {standbys:?}"));
    }
    let up = cluster
        .get::<Nodes>("/v1/nodes")
        .map_err(words)?
        .nodes
        .iter()
        .filter(|n| n.state == "up")
        .count();
    if up != 3 {
        return Err(format!("{up} nodes are up"));
    }
    let seen = intervals(&cluster.witnessed().map_err(words)?);
    let last = seen.last().ok_or("nobody was ever active")?;
    if (&last.package, &last.node) != (&active.0, &active.1) {
        return Err(format!("the programs saw {last:?} last"));
    }
    cluster.leader().map_err(words)
}

fn row(name: &str, must_ms: u64, sample: &Sample) -> Vec<String> {
    let median = sample.per_mille(500);
    vec![
        name.to_owned(),
        ms(sample.min()),
        ms(median),
        ms(sample.per_mille(990)),
        ms(sample.max()),
        format!("{must_ms} ms"),
        if Duration::from_micros(median) < Duration::from_millis(must_ms) {
            "ok"
        } else {
            "above"
        }
        .to_owned(),
    ]
}

fn describe(name: &str, must_ms: u64, sample: &Sample, gaps: &[u64]) -> Value {
    json!({
        "story": name, "runs": sample.count(), "must_median_ms": must_ms, "min_us": sample.min(),
        "median_us": sample.per_mille(500), "p99_us": sample.per_mille(990), "max_us": sample.max(), "all_us": gaps,
    })
}
