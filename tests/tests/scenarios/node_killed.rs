//! M7 and M9: a whole node dies with its supervisors and packages; its peer takes over, and nothing moves back.

use std::time::Duration;

use tests::cluster::Cluster;
use tests::wait::{holds_for, wait_for};

use super::PAIR;

/// M7: one package on two nodes. n1 fails, n2 becomes active; n1 returns, finds an active one, and stands by.
#[test]
fn m7_a_returned_copy_stands_by() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("m7", 3)?;
    cluster.apply(PAIR)?;
    lose_and_return(&mut cluster, "svc-1", "svc-2")?;
    cluster.heal()?;
    cluster.finish()
}

/// M9: A active on n1, B standby on n2. The same with two packages that were written one by one.
#[test]
fn m9_the_standby_is_promoted_without_a_start() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("m9", 3)?;
    cluster.apply(
        r#"
[[group]]
name = "orders"
kind = "duplex"
standbys = 1

[[package]]
name = "a"
group = "orders"
priority = 1
nodes = ["n1"]
run.command = [@WITNESS@, "--unit", "orders"]

[[package]]
name = "b"
group = "orders"
priority = 2
nodes = ["n2"]
run.command = [@WITNESS@, "--unit", "orders"]
"#,
    )?;
    cluster.wait_running("b", "standby")?;
    let before = cluster.package_process("b", "n2")?;
    lose_and_return(&mut cluster, "a", "b")?;
    let after = cluster.package_process("b", "n2")?;
    anyhow::ensure!(
        before.pid == after.pid,
        "the standby was told to take over: the process stays the same"
    );
    cluster.heal()?;
    cluster.finish()
}

fn lose_and_return(cluster: &mut Cluster, first: &str, second: &str) -> anyhow::Result<()> {
    let active = cluster.wait_running(first, "active")?;
    let standby = cluster.wait_running(second, "standby")?;
    anyhow::ensure!(
        (active.node.as_str(), standby.node.as_str()) == ("n1", "n2"),
        "{active:?} {standby:?}"
    );

    cluster.node("n1").kill()?;
    let promoted = cluster.wait_running(second, "active")?;
    anyhow::ensure!(
        promoted.node == "n2" && promoted.epoch > active.epoch,
        "{promoted:?} after {active:?}"
    );
    cluster.wait_event("n1 lost", |e| e.resource == "node:n1" && e.kind == "node-lost")?;

    cluster.node("n1").start()?;
    let returned = cluster.wait_running(first, "standby")?;
    anyhow::ensure!(returned.node == "n1", "{returned:?}");
    holds_for(Duration::from_secs(1), || {
        let still = cluster.running(second, "active")?;
        if still.epoch == promoted.epoch {
            Ok(())
        } else {
            Err(format!("{still:?} took back from {promoted:?}"))
        }
    })
    .map_err(anyhow::Error::msg)?;
    // The invariants are checked with every node back.
    cluster.wait_until_whole()?;
    wait_for("both members known everywhere", Duration::from_secs(5), || {
        cluster.running(first, "standby")
    })?;
    Ok(())
}
