//! Black start: all nodes are powered on together. Nothing is placed before `min_nodes` are there or `start_wait` is over,
//! and then the most important package first.

use std::collections::BTreeSet;
use std::time::Duration;

use client::wire::event::Event;
use tests::cluster::Cluster;
use tests::node::Node;
use tests::processes;
use tests::wait::holds_for;

/// Defined in another order than that of their importance, and every node has room for one of them only.
fn file(start_wait: &str) -> String {
    let package = |name: &str, priority: u32| {
        format!(
            r#"
[[package]]
name = "{name}"
priority = {priority}
exclusive = true
run.command = [@WITNESS@, "--unit", "{name}"]
"#
        )
    };
    let head = format!("[cluster]\nname = \"story\"\nmin_nodes = 3\nstart_wait = \"{start_wait}\"\n");
    head + &package("last", 4) + &package("third", 3) + &package("first", 1) + &package("second", 2)
}

/// More than `W`: every node of before is known to be lost.
const OUTAGE: Duration = Duration::from_millis(2_500);
const WATCHED: Duration = Duration::from_secs(3);

#[test]
fn it_waits_for_the_nodes_and_starts_by_priority() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("black-start", 3)?;
    cluster.apply(&file("10m"))?;
    for package in ["first", "second", "third"] {
        cluster.wait_running(package, "active")?;
    }
    let before = power_off(&mut cluster)?;
    for name in ["n2", "n3"] {
        cluster.node(name).start()?;
    }
    // Two servers are a quorum: it leads, it knows that all were lost, and places nothing.
    wait_for_nodes(&cluster, before, &["n2", "n3"])?;
    holds_for(WATCHED, || nothing_runs(&cluster)).map_err(anyhow::Error::msg)?;
    cluster.node("n1").start()?;
    let began = cluster.wait_event("placing", |e| e.kind == "placing-began" && e.index > before)?;
    anyhow::ensure!(began.text.contains("with 3 nodes up"), "{began:?}");
    for package in ["first", "second", "third"] {
        cluster.wait_running(package, "active")?;
    }
    let order = placed(&cluster, before)?;
    anyhow::ensure!(order == ["first", "second", "third"], "placed: {order:?}");
    let left = cluster.package("last")?;
    anyhow::ensure!(left.state == "waiting", "{left:?}");
    cluster.finish()
}

#[test]
fn it_waits_no_longer_than_it_was_told() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("black-start-late", 3)?;
    cluster.apply(&file("8s"))?;
    for package in ["first", "second", "third"] {
        cluster.wait_running(package, "active")?;
    }
    let before = power_off(&mut cluster)?;
    for name in ["n1", "n2"] {
        cluster.node(name).start()?;
    }
    let up = wait_for_nodes(&cluster, before, &["n1", "n2"])?;
    holds_for(WATCHED, || nothing_runs(&cluster)).map_err(anyhow::Error::msg)?;
    let began = cluster.wait_event("placing", |e| e.kind == "placing-began" && e.index > before)?;
    anyhow::ensure!(
        began.text.contains("with 2 nodes up, 3 wanted") && began.index > up,
        "{began:?}"
    );
    // Two nodes have room for the two most important ones.
    cluster.wait_running("first", "active")?;
    cluster.wait_running("second", "active")?;
    let order = placed(&cluster, before)?;
    anyhow::ensure!(order == ["first", "second"], "placed: {order:?}");
    cluster.node("n3").start()?;
    cluster.wait_running("third", "active")?;
    cluster.finish()
}

/// Every process of every node ends at once. Gives the index of the last event before.
fn power_off(cluster: &mut Cluster) -> anyhow::Result<u64> {
    let before = cluster.events()?.iter().map(|e| e.index).max().unwrap_or(0);
    for process in processes::under(cluster.directory()) {
        process.kill();
    }
    for name in ["n1", "n2", "n3"] {
        cluster.node(name).kill()?;
        another_boot(cluster.node(name))?;
    }
    tests::wait::pause(OUTAGE, "the power is off");
    Ok(before)
}

/// Only the kernel does not boot anew: the daemon's record is made to be of an earlier boot.
fn another_boot(node: &Node) -> anyhow::Result<()> {
    let path = node.data_dir().join("run/session.json");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let record = std::fs::read_to_string(&path)?;
    anyhow::ensure!(record.contains(boot.trim()), "no boot in {record}");
    std::fs::write(&path, record.replace(boot.trim(), "another-boot"))?;
    Ok(())
}

/// Waits until these nodes have registered anew; gives the index of the last of them.
fn wait_for_nodes(cluster: &Cluster, before: u64, names: &[&str]) -> anyhow::Result<u64> {
    let mut last = 0;
    for name in names {
        let registered = |e: &Event| e.kind == "node-registered" && e.index > before && e.node.as_deref() == Some(name);
        last = last.max(cluster.wait_event(&format!("{name} is back"), registered)?.index);
    }
    Ok(last)
}

fn nothing_runs(cluster: &Cluster) -> Result<(), String> {
    let living: BTreeSet<i32> = ["first", "second", "third", "last"]
        .iter()
        .flat_map(|package| cluster.package_processes(package))
        .map(|process| process.pid)
        .collect();
    if living.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "{living:?} run, with {} nodes",
            cluster
                .nodes()
                .iter()
                .filter(|node| !node.processes().is_empty())
                .count()
        ))
    }
}

/// The packages in the order in which they were placed after an index.
fn placed(cluster: &Cluster, after: u64) -> anyhow::Result<Vec<String>> {
    let events = cluster.events()?;
    let placements = events
        .iter()
        .filter(|e| e.index > after && matches!(e.kind.as_str(), "placed" | "restarted" | "moved"));
    let name = |e: &Event| e.resource.trim_start_matches("package:").to_owned();
    Ok(placements.map(name).collect())
}
