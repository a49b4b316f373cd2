//! The lease is changed on a running cluster: Raft's own timers follow, server by server, and no package stops.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::cluster::{Cluster, FAILOVER_LIMIT, START_LIMIT};
use tests::wait::{monotonic_ns, wait_for};
use tests::witness::intervals;

use super::PAIR;

/// A shorter lease: every server starts again once, the lead is handed over, the active instance stays what it was; then a
/// dead node is replaced sooner than the old lease would have allowed.
#[test]
fn raft_follows_a_shorter_lease() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("lease-changed", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    let servers = |cluster: &Cluster| -> BTreeSet<i32> {
        let nodes = cluster.nodes().iter();
        nodes
            .flat_map(|node| node.processes_of("serve-server"))
            .map(|process| process.pid)
            .collect()
    };
    let before = servers(&cluster);
    anyhow::ensure!(before.len() == 3, "{before:?}");
    cluster.apply(&PAIR.replace("name = \"story\"", "name = \"story\"\nlease = \"500ms\""))?;
    wait_for("three other server processes", START_LIMIT, || {
        let now = servers(&cluster);
        if now.len() == 3 && now.is_disjoint(&before) {
            Ok(())
        } else {
            Err(format!("{before:?} became {now:?}"))
        }
    })?;
    cluster.wait_until_whole()?;
    let still = cluster.running("svc-1", "active").map_err(anyhow::Error::msg)?;
    anyhow::ensure!(still.epoch == active.epoch, "{active:?} became {still:?}");
    let stopped = cluster.events()?.into_iter().find(|event| event.kind == "node-lost");
    anyhow::ensure!(stopped.is_none(), "{stopped:?}");

    // W of 500 ms is 710 ms; of 1 s it would be 1350 ms, before anything else is done.
    let killed_ns = monotonic_ns();
    cluster.node(&active.node).kill()?;
    let next = wait_for("the standby to take over", FAILOVER_LIMIT, || {
        intervals(&cluster.witnessed().map_err(|error| format!("{error:#}"))?)
            .into_iter()
            .find(|interval| interval.epoch > active.epoch)
            .ok_or_else(|| "nobody yet".to_owned())
    })?;
    let took = Duration::from_nanos(next.from_ns.saturating_sub(killed_ns));
    anyhow::ensure!(took > Duration::from_millis(400), "too soon: {took:?}");
    cluster.node(&active.node).start()?;
    cluster.wait_until_whole()?;
    cluster.finish()
}
