//! `safety = "fenced" | "token"`: what is taken over when a node is lost, what waits for whose word, and who says so.

use std::time::Duration;

use client::wire::package::{Explanation, Instance, Package};
use tests::cluster::{Cluster, FAILOVER_LIMIT};
use tests::command_line::paceline;
use tests::wait::{holds_for, wait_for};

/// n1 dies. `tok` moves at once with a larger token; `fen` and `cold` wait, say why and for what; an operator's word that
/// is not meant is refused; one that is releases them, and stays in the journal with the operator's name.
#[test]
fn it_waits_for_an_operators_word() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("fenced", 3)?;
    cluster.apply(
        r#"
[[package]]
name = "fen"
nodes = ["n1", "n2"]
safety = "fenced"
run.command = [@WITNESS@, "--unit", "fen"]

[[package]]
name = "cold"
nodes = ["n1", "n2"]
on_quorum_loss = "freeze"
run.command = [@WITNESS@, "--unit", "cold"]

[[package]]
name = "tok"
nodes = ["n1", "n2"]
safety = "token"
run.command = [@WITNESS@, "--unit", "tok"]
"#,
    )?;
    let before = cluster.wait_running("fen", "active")?;
    let token = cluster.wait_running("tok", "active")?;
    cluster.wait_running("cold", "active")?;
    anyhow::ensure!(before.node == "n1" && token.node == "n1", "{before:?} {token:?}");

    let living = paceline(&cluster, &["confirm-down", "n1", "--confirm", "n1", "--by", "ada"])?;
    anyhow::ensure!(living.code == 1 && living.err.contains("n1 is up"), "{living:?}");

    cluster.node("n1").kill()?;
    let moved = wait_for("tok on n2", FAILOVER_LIMIT, || on_n2(&cluster, "tok"))?;
    anyhow::ensure!(moved.epoch > token.epoch, "{moved:?} after {token:?}");
    holds_for(Duration::from_secs(2), || {
        for name in ["fen", "cold"] {
            if let Some(process) = cluster.package_processes(name).first() {
                return Err(format!("{name} was taken over unproven: {process:?}"));
            }
        }
        Ok(())
    })
    .map_err(anyhow::Error::msg)?;

    let package: Package = cluster.package("fen")?;
    anyhow::ensure!(
        package.reason.contains("paceline confirm-down n1"),
        "status says what to do: {}",
        package.reason
    );
    let explanation: Explanation = cluster.get("/v1/packages/fen/explain")?;
    let text = format!("{explanation:?}");
    anyhow::ensure!(
        text.contains("may still run there") && text.contains("confirm-down n1"),
        "explain says why and what next: {text}"
    );

    for (arguments, words) in [
        (vec!["confirm-down", "n1"], "nobody is here to confirm it"),
        (vec!["confirm-down", "n1", "--confirm", "n2"], "nothing was done"),
        (vec!["confirm-down", "n2", "--confirm", "n2"], "n2 is up"),
    ] {
        let refused = paceline(&cluster, &arguments)?;
        anyhow::ensure!(
            refused.code == 1 && refused.err.contains(words),
            "{arguments:?}: {refused:?}"
        );
    }
    let typed = cluster.send(
        &cluster.nodes()[1],
        "POST",
        "/v1/nodes/n1/confirm-down",
        "{\"confirm\":\"n2\",\"by\":\"ada\"}",
    )?;
    anyhow::ensure!(typed.status == 422, "{} {}", typed.status, typed.text());

    let done = paceline(&cluster, &["confirm-down", "n1", "--confirm", "n1", "--by", "ada"])?;
    anyhow::ensure!(done.code == 0, "{done:?}");
    for name in ["fen", "cold"] {
        let after = wait_for(name, FAILOVER_LIMIT, || on_n2(&cluster, name))?;
        anyhow::ensure!(after.epoch > before.epoch, "{after:?}");
    }
    let said = cluster.wait_event("the confirmation", |e| e.kind == "node-confirmed-down")?;
    anyhow::ensure!(said.text.contains("ada"), "{said:?}");

    cluster.node("n1").start()?;
    cluster.wait_until_whole()?;
    let back = cluster.wait_event("the return", |e| {
        e.kind == "node-registered" && e.text.contains("back after it was declared down")
    })?;
    anyhow::ensure!(back.resource == "node:n1", "{back:?}");
    cluster.finish()
}

/// The package's active instance, once it is on n2: right after a death the last report of n1 still stands.
fn on_n2(cluster: &Cluster, package: &str) -> Result<Instance, String> {
    let active = cluster.running(package, "active")?;
    if active.node == "n2" {
        Ok(active)
    } else {
        Err(format!("{active:?}"))
    }
}
