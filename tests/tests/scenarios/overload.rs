//! M15: a node whose measured load reaches its capacity sheds what is least important and not busy; a node's failure has
//! the important packages take the room of others.

use std::fs;
use std::path::PathBuf;

use client::wire::node::Node;
use tests::cluster::{Cluster, START_LIMIT};
use tests::wait::wait_for;

const PACKAGES: [(&str, u32, u32, [&str; 3]); 6] = [
    ("A", 1, 40, ["n1", "n2", "n3"]),
    ("B", 2, 40, ["n2", "n3", "n1"]),
    ("C", 3, 40, ["n3", "n1", "n2"]),
    ("D", 4, 20, ["n1", "n2", "n3"]),
    ("E", 5, 20, ["n2", "n3", "n1"]),
    ("F", 6, 20, ["n3", "n1", "n2"]),
];

fn definitions() -> String {
    let definition = |(name, priority, load, nodes): (&str, u32, u32, [&str; 3])| {
        format!(
            "[[package]]\nname = \"{name}\"\npriority = {priority}\nload = {{ cpu = {load} }}\nnodes = {nodes:?}\n\
             run.command = [@WITNESS@]\n"
        )
    };
    PACKAGES.map(definition).concat()
}

fn wait_on(cluster: &Cluster, package: &str, node: &str) -> anyhow::Result<()> {
    let there = wait_for(&format!("{package} on {node}"), START_LIMIT, || {
        let now = cluster.running(package, "active")?;
        if now.node == node {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    });
    Ok(there?)
}

/// The patent's data, both scenarios, with a program that says what each node measures.
#[test]
fn m15_an_overloaded_node_sheds_and_a_failed_one_displaces() -> anyhow::Result<()> {
    let mut cluster = Cluster::create("overload")?;
    let file = |cluster: &Cluster, node: &str| -> PathBuf { cluster.directory().join(format!("load-{node}")) };
    for number in 1..=3 {
        let name = format!("n{number}");
        fs::write(file(&cluster, &name), "{\"cpu\": 60}")?;
        let path = file(&cluster, &name).display().to_string();
        let extra = format!(
            "monitor.load = {{ exec = [\"/bin/cat\", \"{path}\"], interval = \"50ms\" }}\n[capacity]\ncpu = 100\n"
        );
        cluster.add_node(number, &extra)?;
    }
    cluster.start_all()?;
    cluster.apply(&definitions())?;
    for (package, _, _, nodes) in PACKAGES {
        wait_on(&cluster, package, nodes[0])?;
    }

    // Scenario 1: n1 reports 100 %: D stops there and starts on n2.
    fs::write(file(&cluster, "n1"), "{\"cpu\": 100}")?;
    wait_on(&cluster, "D", "n2")?;
    let node: Node = cluster.get("/v1/nodes/n1")?;
    anyhow::ensure!(node.overload, "{node:?}");
    let story: client::wire::package::Explanation = cluster.get("/v1/packages/D/explain")?;
    anyhow::ensure!(story.because.iter().any(|it| it.contains("overloaded")), "{story:?}");
    wait_on(&cluster, "A", "n1")?;

    // It is relieved only once it is below `resume`, and D stays where it is.
    fs::write(file(&cluster, "n1"), "{\"cpu\": 80}")?;
    cluster.wait_event("the relief", |e| e.kind == "node-relieved")?;
    wait_on(&cluster, "D", "n2")?;

    // Scenario 2 begins with D on n1.
    cluster.change("POST", "/v1/packages/D/move", "{\"to\": \"n1\"}")?;
    wait_on(&cluster, "D", "n1")?;
    cluster.node("n1").kill()?;
    wait_on(&cluster, "A", "n3")?;
    wait_on(&cluster, "D", "n2")?;
    let stopped = cluster.package("F")?;
    anyhow::ensure!(
        stopped.state == "waiting" && stopped.instances.is_empty(),
        "F has no place below 100: {stopped:?}"
    );
    for (package, node) in [("B", "n2"), ("C", "n3"), ("E", "n2")] {
        wait_on(&cluster, package, node)?;
    }
    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    wait_on(&cluster, "F", "n1")?;
    cluster.finish()
}
