//! Control by hand: maintenance, the whole cluster stopped and started, demote and rebalance.

use std::time::Duration;

use anyhow::Context;
use client::wire::node::Node;
use client::wire::plan::Plan;
use client::wire::status::Status;
use tests::cluster::{Cluster, START_LIMIT};
use tests::command_line::{Printed, paceline};
use tests::wait::{pause, wait_for};

/// Has the command line do something, and gives what it printed.
fn ok(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<String> {
    let Printed { code, out, err } = paceline(cluster, arguments)?;
    anyhow::ensure!(code == 0, "{arguments:?} ended in {code}: {out}{err}");
    Ok(out)
}

/// Has the command line be refused, and gives what it said.
fn refused(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<String> {
    let Printed { code, out, err } = paceline(cluster, arguments)?;
    anyhow::ensure!(code == 1, "{arguments:?} ended in {code}: {out}{err}");
    Ok(err)
}

fn planned(cluster: &Cluster, change: &str) -> anyhow::Result<Plan> {
    let node = cluster.nodes().first().context("a cluster has a node")?;
    cluster.send(node, "POST", "/v1/plan", change)?.json()
}

const PAIR: &str = r#"
[[group]]
name = "pair"
kind = "duplex"

[[package]]
name = "a"
group = "pair"
nodes = ["n1", "n2"]
run.command = [@WITNESS@, "--unit", "pair"]

[[package]]
name = "b"
group = "pair"
nodes = ["n2", "n1"]
run.command = [@WITNESS@, "--unit", "pair"]

[[package]]
name = "probed"
nodes = ["n3", "n1"]
run.command = [@WITNESS@]
probe = { exec = ["/usr/bin/test", "-e", "@MARK@"], interval = "50ms", timeout = "1s", failures = 1 }
"#;

/// What the manager holds back is what a program does by itself: the death of the active one while it is in maintenance
/// is seen and waits; the standby takes over when that ends. A probe that fails meanwhile ends nothing.
#[test]
fn nothing_is_touched_in_maintenance() -> anyhow::Result<()> {
    let cluster = Cluster::start("maintenance", 3)?;
    let mark = cluster.directory().join("mark");
    std::fs::write(&mark, "")?;
    cluster.apply(&PAIR.replace("@MARK@", &mark.display().to_string()))?;
    cluster.wait_running("a", "active")?;
    let standby = cluster.wait_running("b", "standby")?;
    let probed = cluster.wait_running("probed", "active")?;

    ok(&cluster, &["maintenance", "on", "--for", "1h"])?;
    cluster
        .package_processes("a")
        .iter()
        .for_each(tests::processes::Process::kill);
    cluster.wait_event("the death", |e| e.kind == "package-ended" && e.resource == "package:a")?;
    std::fs::remove_file(&mark)?;
    pause(Duration::from_secs(1), "nobody acts on what happened");
    anyhow::ensure!(
        cluster.wait_running("b", "standby")?.epoch == standby.epoch,
        "b was touched"
    );
    anyhow::ensure!(
        cluster.wait_running("probed", "active")?.epoch == probed.epoch,
        "probed was touched"
    );
    let status: Status = cluster.get("/v1/status")?;
    anyhow::ensure!(
        status.maintenance.is_some_and(|it| it.until.is_some()),
        "status says so"
    );
    anyhow::ensure!(
        status.warnings.iter().any(|warning| warning.contains("maintenance")),
        "{:?}",
        status.warnings
    );
    let text = refused(&cluster, &["start", "a", "--yes"])?;
    anyhow::ensure!(text.contains("maintenance off"), "{text}");

    // What waited is shown before it happens.
    let shown = ok(&cluster, &["maintenance", "off", "--dry-run"])?;
    anyhow::ensure!(shown.contains("promote") && shown.contains("start"), "{shown}");
    ok(&cluster, &["maintenance", "off", "--yes"])?;
    cluster.wait_running("b", "active")?;
    cluster.wait_running("a", "standby")?;
    // The probe fails still, and counts again.
    cluster.wait_event("the failure", |e| {
        e.kind == "package-failed" && e.resource == "package:probed"
    })?;
    std::fs::write(&mark, "")?;
    cluster.wait_running("probed", "active")?;

    // A node in maintenance gets nothing; its time passes by itself.
    ok(&cluster, &["maintenance", "on", "--node", "n3", "--for", "2s"])?;
    let node: Node = cluster.get("/v1/nodes/n3")?;
    anyhow::ensure!(node.maintenance.is_some(), "{node:?}");
    let text = refused(&cluster, &["move", "a", "--to", "n3", "--yes"])?;
    anyhow::ensure!(text.contains("n3"), "{text}");
    cluster.wait_event("its end", |e| e.kind == "maintenance-ended" && e.resource == "node:n3")?;
    cluster.finish()
}

const STORIES: &str = r#"
[cluster]
shares = "half"

[[group]]
name = "pair"
kind = "duplex"

[[package]]
name = "a"
group = "pair"
run.command = [@WITNESS@, "--unit", "pair"]

[[package]]
name = "b"
group = "pair"
run.command = [@WITNESS@, "--unit", "pair"]

[[group]]
name = "stack"
kind = "together"

[[package]]
name = "base"
group = "stack"
run.command = [@WITNESS@]

[[package]]
name = "top"
group = "stack"
after = ["base"]
run.command = [@WITNESS@]

[[package]]
name = "home"
nodes = ["n1", "n2"]
run.command = [@WITNESS@]

[[package]]
name = "off"
enabled = false
run.command = [@WITNESS@]
"#;

/// Everything stops, in the order of `after`, and stays stopped over a restart of a node; what was to run runs again.
/// Then nothing moves back by itself, `rebalance` does it, and `demote` hands over.
#[test]
fn the_whole_cluster_stops_and_starts() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("cluster-stop", 3)?;
    cluster.apply(STORIES)?;
    for (package, mode) in [("a", "active"), ("b", "standby"), ("top", "active"), ("home", "active")] {
        cluster.wait_running(package, mode)?;
    }
    let node: Node = cluster.get("/v1/nodes/n1")?;
    let share = node.shares.get("home").and_then(|share| share.get("cpu")).copied();
    anyhow::ensure!(share.is_some_and(|share| share > 0), "{:?}", node.shares);

    let plan: Plan = planned(&cluster, r#"{"change": "stop_cluster"}"#)?;
    anyhow::ensure!(
        plan.steps.len() == 5 && plan.steps.iter().all(|it| it.action == "stop"),
        "{plan:?}"
    );
    let said = ok(&cluster, &["cluster", "stop", "--yes"])?;
    anyhow::ensure!(said.contains("nothing runs"), "{said}");
    for package in ["a", "b", "base", "top", "home"] {
        let left = cluster.package_processes(package);
        anyhow::ensure!(left.is_empty(), "{package} left {left:?}");
    }
    cluster.node("n1").kill()?;
    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    let status: Status = cluster.get("/v1/status")?;
    anyhow::ensure!(
        status.stopped && status.packages.iter().all(|it| it.instances.is_empty()),
        "{status:?}"
    );
    ok(&cluster, &["cluster", "start", "--yes"])?;
    for (package, mode) in [("base", "active"), ("top", "active"), ("home", "active")] {
        cluster.wait_running(package, mode)?;
    }
    let off: client::wire::package::Package = cluster.get("/v1/packages/off")?;
    anyhow::ensure!(off.wish == "stop" && off.instances.is_empty(), "{off:?}");

    // Its node fails and returns: it comes back when somebody asks for that.
    cluster.node("n1").kill()?;
    wait_for("home on n2", START_LIMIT, || {
        let now = cluster.running("home", "active")?;
        if now.node == "n2" {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })?;
    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    anyhow::ensure!(
        cluster.wait_running("home", "active")?.node == "n2",
        "it moved back by itself"
    );
    let shown = ok(&cluster, &["rebalance", "--dry-run"])?;
    anyhow::ensure!(shown.contains("home"), "{shown}");
    ok(&cluster, &["rebalance", "--yes"])?;
    anyhow::ensure!(
        cluster.wait_running("home", "active")?.node == "n1",
        "it is where it would rather be"
    );

    let (active, standby) = wait_for("one of the pair active, the other standby", START_LIMIT, || {
        let is = |active: &'static str, standby: &'static str| {
            cluster.running(active, "active")?;
            cluster.running(standby, "standby").map(|_| (active, standby))
        };
        is("a", "b").or_else(|_: String| is("b", "a"))
    })?;
    ok(&cluster, &["demote", active, "--yes"])?;
    cluster.wait_running(standby, "active")?;
    cluster.wait_running(active, "standby")?;

    // Several changes at once: both nodes of home's list are gone.
    let both: Plan = planned(
        &cluster,
        r#"{"change": "several", "changes": [{"change": "drain", "node": "n2"}, {"change": "fail", "node": "n1"}]}"#,
    )?;
    anyhow::ensure!(both.unplaced.iter().any(|it| it.package == "home"), "{both:?}");
    cluster.finish()
}
