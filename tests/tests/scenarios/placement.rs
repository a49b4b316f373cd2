//! Where packages run, and who gives way: load share (M13), priority degrade (M14), conditions (M6), nodes for one alone.

use client::wire::package::Explanation;
use tests::cluster::{Cluster, START_LIMIT};
use tests::wait::wait_for;

/// Each node has room for one of these packages.
const NARROW: &str = "[capacity]\ncpu = 100\nmemory = 1000\n";

const DEGRADE: &str = r#"
[[package]]
name = "A"
priority = 1
load = { cpu = 60 }
nodes = ["n1", "n3", "n2"]
run.command = [@WITNESS@]

[[package]]
name = "B"
priority = 2
load = { cpu = 60 }
nodes = ["n2", "n1", "n3"]
run.command = [@WITNESS@]

[[package]]
name = "N"
priority = 3
load = { cpu = 60 }
nodes = ["n3", "n1", "n2"]
run.command = [@WITNESS@]
"#;

const SHARE: &str = r#"
[[group]]
name = "group1"
kind = "load-share"

[[group]]
name = "group2"
kind = "load-share"

[[package]]
name = "A"
group = "group1"
load = { cpu = 20 }
nodes = ["n1", "n2", "n3"]
run.command = [@WITNESS@]

[[package]]
name = "B"
group = "group1"
load = { cpu = 20 }
nodes = ["n2", "n1", "n3"]
run.command = [@WITNESS@]

[[package]]
name = "C"
group = "group2"
load = { cpu = 20 }
nodes = ["n1", "n2", "n3"]
run.command = [@WITNESS@]
"#;

const CONDITIONS: &str = r#"
[[package]]
name = "pkg1"
condition = "!pkg2"
nodes = ["n1", "n2"]
run.command = [@WITNESS@]

[[package]]
name = "pkg2"
condition = "!pkg1"
nodes = ["n1", "n2"]
run.command = [@WITNESS@]

[[package]]
name = "pkg3"
condition = "pkg1 | pkg2"
run.command = [@WITNESS@]

[[package]]
name = "alone"
exclusive = true
preemptible = false
run.command = [@WITNESS@]
"#;

/// M14 with the mission's letters as far as three servers go, with two of them up: N gives way to A, has a place again once
/// n1 is back, and gives way to B.
#[test]
fn m14_the_least_important_gives_way() -> anyhow::Result<()> {
    let mut cluster = Cluster::start_with("m14", 3, NARROW)?;
    cluster.apply(DEGRADE)?;
    on(&cluster, &[("A", "n1"), ("B", "n2"), ("N", "n3")])?;

    cluster.node("n1").kill()?;
    on(&cluster, &[("A", "n3"), ("B", "n2")])?;
    let gone = cluster.wait_event("who N gave way to", |e| {
        e.resource == "package:N" && e.kind == "stopping" && e.text.contains("makes room for A")
    })?;
    anyhow::ensure!(gone.cause.is_some(), "{gone:?}");
    let told: Explanation = cluster.get("/v1/packages/N/explain")?;
    anyhow::ensure!(told.summary.contains("waiting"), "{told:?}");
    anyhow::ensure!(
        told.nodes.iter().any(|node| node.reason.contains("cpu")),
        "the numbers of the node that is full: {told:?}"
    );

    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    on(&cluster, &[("A", "n3"), ("B", "n2"), ("N", "n1")])?;
    cluster.node("n2").kill()?;
    on(&cluster, &[("A", "n3"), ("B", "n1")])?;
    cluster.node("n2").start()?;
    cluster.wait_until_whole()?;
    on(&cluster, &[("A", "n3"), ("B", "n1"), ("N", "n2")])?;
    cluster.finish()
}

/// M13: the lost member goes where no other member of its group is; with no such node it waits.
#[test]
fn m13_members_stay_apart() -> anyhow::Result<()> {
    let mut cluster = Cluster::start_with("m13", 3, NARROW)?;
    cluster.apply(SHARE)?;
    on(&cluster, &[("A", "n1"), ("B", "n2"), ("C", "n1")])?;
    cluster.node("n1").kill()?;
    on(&cluster, &[("A", "n3"), ("B", "n2")])?;
    cluster.wait_running("C", "active")?;
    cluster.change("POST", "/v1/nodes/n3/drain", "")?;
    let told = wait_for("why A waits", START_LIMIT, || {
        let told: Explanation = cluster
            .get("/v1/packages/A/explain")
            .map_err(|error| format!("{error:#}"))?;
        if told.summary.contains("waiting") {
            Ok(told)
        } else {
            Err(told.summary)
        }
    })?;
    anyhow::ensure!(
        told.nodes
            .iter()
            .any(|node| node.reason.contains("B of the same group is there")),
        "{told:?}"
    );
    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    on(&cluster, &[("A", "n1"), ("B", "n2")])?;
    cluster.finish()
}

/// M6: the patent's three conditions. What pkg3 rests on leaves, so it leaves too and follows the other one; and a package
/// that needs a node for itself has it.
#[test]
fn m6_conditions_hold_all_the_time() -> anyhow::Result<()> {
    let cluster = Cluster::start("m6", 3)?;
    cluster.apply(CONDITIONS)?;
    on(&cluster, &[("pkg1", "n1"), ("pkg2", "n2"), ("alone", "n3")])?;
    let beside = cluster.wait_running("pkg3", "active")?.node;
    let (rest, other) = if beside == "n1" { ("pkg1", "n2") } else { ("pkg2", "n1") };
    cluster.change("POST", &format!("/v1/packages/{rest}/stop"), "")?;
    on(&cluster, &[("pkg3", other), ("alone", "n3")])?;
    cluster.wait_event("why pkg3 left", |e| {
        e.resource == "package:pkg3" && e.kind == "stopping" && e.text.contains("its condition does not hold any more")
    })?;
    // Started again it goes to its own node: the other one is still excluded, and whoever follows stays where it is.
    cluster.change("POST", &format!("/v1/packages/{rest}/start"), "")?;
    on(&cluster, &[(rest, &beside), ("pkg3", other), ("alone", "n3")])?;

    // What the file says comes back from `export` as it was written.
    let config: client::wire::definition::Config = cluster.get("/v1/config")?;
    let of = |name: &str| config.packages.iter().find(|package| package.name == name);
    anyhow::ensure!(of("pkg3").and_then(|p| p.condition.as_deref()) == Some("pkg1 | pkg2"));
    anyhow::ensure!(of("alone").is_some_and(|p| p.exclusive && !p.preemptible));
    cluster.finish()
}

/// Waits until each package runs on its node as active.
fn on(cluster: &Cluster, places: &[(&str, &str)]) -> anyhow::Result<()> {
    for (package, node) in places {
        wait_for(&format!("{package} on {node}"), START_LIMIT, || {
            let now = cluster.running(package, "active")?;
            if now.node == *node {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })?;
    }
    Ok(())
}
