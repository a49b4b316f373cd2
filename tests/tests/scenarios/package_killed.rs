//! M7 and M9: the package alone dies. Nobody waits for a lease: the standby is told at once.

use std::time::Duration;

use tests::cluster::Cluster;
use tests::wait::{monotonic_ns, wait_for};
use tests::witness::intervals;

use super::PAIR;

/// On a machine that builds and tests at the same time; `scripts/bench failover` measures the median.
const TAKEOVER_LIMIT: Duration = Duration::from_millis(900);

/// Killed on n1, active on n2 well within one lease, standby again on n1.
#[test]
fn the_standby_takes_over_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::start("package-killed", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;

    let killed_ns = monotonic_ns();
    cluster.package_process("svc-1", &active.node)?.kill();
    let next = wait_for("another active instance", Duration::from_secs(10), || {
        let now = intervals(&cluster.witnessed().map_err(|e| e.to_string())?);
        now.into_iter()
            .find(|i| i.epoch > active.epoch)
            .ok_or_else(|| "none yet".to_owned())
    })?;
    let gap = Duration::from_nanos(next.from_ns.saturating_sub(killed_ns));
    anyhow::ensure!(
        next.package == "svc-2" && gap < TAKEOVER_LIMIT,
        "{next:?} after {gap:?}"
    );

    let returned = cluster.wait_running("svc-1", "standby")?;
    anyhow::ensure!(returned.node == active.node, "{returned:?}");
    cluster.wait_event("svc-1 failed", |e| {
        e.resource == "package:svc-1" && e.severity != "info"
    })?;
    cluster.finish()
}

/// Without a standby it is restarted in place, under a new epoch.
#[test]
fn a_single_package_is_restarted_in_place() -> anyhow::Result<()> {
    let cluster = Cluster::start("single-killed", 3)?;
    cluster.apply("[[package]]\nname = \"one\"\nnodes = [\"n2\", \"n3\"]\nrun.command = [@WITNESS@]\n")?;
    let first = cluster.wait_running("one", "active")?;
    cluster.package_process("one", &first.node)?.kill();
    let second = wait_for("a new start", Duration::from_secs(10), || {
        cluster.running("one", "active").and_then(|i| {
            if i.epoch > first.epoch {
                Ok(i)
            } else {
                Err(format!("{i:?}"))
            }
        })
    })?;
    anyhow::ensure!(second.node == first.node, "{second:?} after {first:?}");
    cluster.finish()
}
