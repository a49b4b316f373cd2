//! Rules 8 and 12: a daemon that dies is started again, continues its session, and no package stops.

use std::time::Duration;

use tests::cluster::{Cluster, START_LIMIT};
use tests::wait::{holds_for, wait_for};

use super::PAIR;

/// Both daemons with packages are killed in turn; process ids stay; what a new daemon adopted it still watches.
#[test]
fn packages_keep_their_process_ids() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("daemon-restart", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    let pids = |cluster: &Cluster| {
        ["svc-1", "svc-2"].map(|p| {
            cluster
                .package_processes(p)
                .iter()
                .map(|process| process.pid)
                .collect::<Vec<_>>()
        })
    };
    let before = pids(&cluster);
    anyhow::ensure!(
        before.iter().all(|of_one| !of_one.is_empty()),
        "no process is seen: {before:?}"
    );
    for name in ["n1", "n2"] {
        let daemon = cluster.node(name).processes_of("serve-daemon");
        anyhow::ensure!(daemon.len() == 1, "{name} has {} daemons", daemon.len());
        daemon[0].kill();
        let old = daemon[0].pid;
        wait_for("a new daemon", START_LIMIT, || {
            let now = cluster.node(name).processes_of("serve-daemon");
            if now.iter().any(|p| p.pid != old) {
                Ok(())
            } else {
                Err(format!("{} daemons", now.len()))
            }
        })?;
        holds_for(Duration::from_secs(3), || {
            if pids(&cluster) == before {
                Ok(())
            } else {
                Err(format!("{before:?} became {:?}", pids(&cluster)))
            }
        })
        .map_err(anyhow::Error::msg)?;
    }
    let lost = cluster.events()?.into_iter().find(|e| e.kind == "node-lost");
    anyhow::ensure!(lost.is_none(), "a node was called lost: {lost:?}");

    cluster.package_process("svc-1", &active.node)?.kill();
    let promoted = cluster.wait_running("svc-2", "active")?;
    anyhow::ensure!(promoted.epoch > active.epoch, "{promoted:?} after {active:?}");
    cluster.wait_running("svc-1", "standby")?;
    cluster.heal()?;
    cluster.finish()
}
