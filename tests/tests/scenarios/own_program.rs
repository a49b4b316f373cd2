//! What a new user does: a cluster file and a program of one's own, on three `paceline serve` nodes, by command line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tests::cluster::{Cluster, START_LIMIT};
use tests::command_line::paceline;
use tests::wait::wait_for;

/// A shell script that knows nothing of paceline but its environment and its promote command.
const PROGRAM: &str =
    "#!/bin/sh\necho \"start $PACELINE_MODE $PACELINE_NODE $PACELINE_EPOCH\" >> \"$1\"\nwhile :; do sleep 1; done\n";
const PROMOTE: &str = "#!/bin/sh\necho \"promote $PACELINE_MODE $PACELINE_NODE $PACELINE_EPOCH\" >> \"$1\"\n";

/// plan, apply, status, packages, explain, events, kill a node, and the program was told.
#[test]
fn from_plan_to_failover() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("own-program", 3)?;
    let directory = cluster.directory().to_owned();
    let told = directory.join("told");
    for (name, text) in [("orders", PROGRAM), ("orders-promote", PROMOTE)] {
        let path = directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    let file = directory.join("cluster.toml");
    let at = directory.display();
    fs::write(
        &file,
        format!(
            r#"
[cluster]
name = "shop"
lease = "1s"

[[group]]
name = "orders"
kind = "duplex"
standbys = 1

[[package]]
name = "orders"
group = "orders"
copies = 2
nodes = ["n2", "n3"]
run.command = ["{at}/orders", "{at}/told"]
promote.command = ["{at}/orders-promote", "{at}/told"]
"#
        ),
    )?;
    let file = file.to_string_lossy().into_owned();

    let plan = paceline(&cluster, &["plan", &file])?;
    anyhow::ensure!(
        plan.code == 0 && plan.out.contains("orders-1") && plan.out.contains("n2"),
        "{plan:?}"
    );
    let apply = paceline(&cluster, &["apply", &file, "--yes"])?;
    anyhow::ensure!(apply.code == 0, "{apply:?}");
    cluster.wait_running("orders-1", "active")?;
    cluster.wait_running("orders-2", "standby")?;
    for arguments in [
        vec!["status"],
        vec!["packages"],
        vec!["nodes"],
        vec!["explain", "orders-1"],
        vec!["events"],
    ] {
        let printed = paceline(&cluster, &arguments)?;
        anyhow::ensure!(
            printed.code == 0 && !printed.out.is_empty(),
            "{arguments:?}: {printed:?}"
        );
    }
    let json = paceline(&cluster, &["packages", "-o", "json"])?;
    serde_json::from_str::<client::wire::package::Packages>(&json.out)?;

    cluster.node("n2").kill()?;
    let active = cluster.wait_running("orders-2", "active")?;
    let text = wait_for("the promotion in the program's file", START_LIMIT, || {
        let text = fs::read_to_string(&told).unwrap_or_default();
        let line = format!("promote active n3 {}", active.epoch);
        if text.contains(&line) { Ok(text) } else { Err(text) }
    })?;
    anyhow::ensure!(
        text.contains("start active n2") && text.contains("start standby n3"),
        "{text}"
    );
    anyhow::ensure!(
        !text.contains("start active n3"),
        "n3's copy was promoted, not started anew: {text}"
    );

    cluster.node("n2").start()?;
    cluster.wait_until_whole()?;
    wait_for("the returned copy", Duration::from_secs(20), || {
        cluster.running("orders-1", "standby")
    })?;
    cluster.finish()
}
