//! A stop is proven: nothing of a package's process tree is left, however it tries to escape.

use std::time::Duration;

use tests::cluster::{Cluster, FAILOVER_LIMIT};
use tests::processes;
use tests::wait::wait_for;

/// The package forks twice, into a session of its own, ignores signals, and waits for ever.
const ESCAPING: &str = r#"
[[package]]
name = "escaping"
stop_timeout = "300ms"
run.command = ["/bin/sh", "-c", "trap '' TERM HUP INT; (trap '' TERM HUP; setsid /bin/sh -c 'trap \"\" TERM HUP; while :; do sleep 1000; done' &) ; while :; do sleep 1000; done"]
"#;

/// Stopped by a request: gone, children included, soon after the stop's time-out.
#[test]
fn after_a_stop() -> anyhow::Result<()> {
    let cluster = Cluster::start("nothing-left", 3)?;
    cluster.apply(ESCAPING)?;
    cluster.wait_running("escaping", "active")?;
    let tree = wait_for("the whole tree", FAILOVER_LIMIT, || {
        let tree = cluster.package_processes("escaping");
        if tree.len() >= 4 {
            Ok(tree)
        } else {
            Err(format!("{tree:?}"))
        }
    })?;
    cluster.change("POST", "/v1/packages/escaping/stop", "{}")?;
    let left: Vec<i32> = tree
        .iter()
        .map(|p| p.pid)
        .filter(|pid| processes::lives(*pid))
        .collect();
    anyhow::ensure!(left.is_empty(), "the answer said stopped, but {left:?} live");
    anyhow::ensure!(
        cluster.package_processes("escaping").is_empty(),
        "something was born meanwhile"
    );
    cluster.finish()
}

/// The node ends in order: SIGTERM to the parent leaves no process, and the cluster knows at once.
#[test]
fn after_an_orderly_end() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("orderly-end", 3)?;
    cluster.apply(ESCAPING)?;
    let active = cluster.wait_running("escaping", "active")?;
    cluster.node(&active.node).terminate(Duration::from_secs(20))?;
    let moved = wait_for("a start elsewhere", FAILOVER_LIMIT, || {
        cluster.running("escaping", "active").and_then(|i| {
            if i.node == active.node {
                Err(format!("{i:?}"))
            } else {
                Ok(i)
            }
        })
    })?;
    anyhow::ensure!(moved.epoch > active.epoch, "{moved:?} after {active:?}");
    cluster.node(&active.node).start()?;
    cluster.wait_until_whole()?;
    cluster.finish()
}
