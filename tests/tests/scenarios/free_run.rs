//! M10: both run, the output of one is released. Each failure releases the other's, in the same process; nothing is
//! started for it, and who returns runs inhibited.

use std::time::Duration;

use client::wire::package::Instance;
use tests::cluster::{Cluster, FAILOVER_LIMIT, START_LIMIT};
use tests::wait::{holds_for, wait_for};
use tests::witness::Kind;

const DUAL: &str = r#"
[[group]]
name = "dual"
kind = "free-run"

[[package]]
name = "a"
group = "dual"
priority = 1
nodes = ["n1"]
run.command = [@WITNESS@, "--unit", "dual"]

[[package]]
name = "b"
group = "dual"
priority = 2
nodes = ["n2"]
run.command = [@WITNESS@, "--unit", "dual"]
"#;

/// A released on n1, B inhibited on n2; n1 fails: B released; n1 returns: A inhibited; n2 fails: A released.
#[test]
fn m10_the_other_output_is_released() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("m10", 3)?;
    cluster.apply(DUAL)?;
    let first = wait_output(&cluster, "a", "released")?;
    wait_output(&cluster, "b", "inhibited")?;
    let before = cluster.package_process("b", "n2")?;

    cluster.node("n1").kill()?;
    let second = wait_output(&cluster, "b", "released")?;
    anyhow::ensure!(second.epoch > first.epoch, "{second:?} after {first:?}");
    let after = cluster.package_process("b", "n2")?;
    anyhow::ensure!(before.pid == after.pid, "nothing is started for a release");
    cluster.wait_event("the release", |e| e.resource == "package:b" && e.kind == "released")?;

    cluster.node("n1").start()?;
    wait_output(&cluster, "a", "inhibited")?;
    holds_for(Duration::from_secs(1), || {
        let still = running(&cluster, "b", "released")?;
        if still.epoch == second.epoch {
            Ok(())
        } else {
            Err(format!("{still:?} took back from {second:?}"))
        }
    })
    .map_err(anyhow::Error::msg)?;
    cluster.wait_until_whole()?;

    cluster.node("n2").kill()?;
    let third = wait_output(&cluster, "a", "released")?;
    anyhow::ensure!(third.epoch > second.epoch, "{third:?} after {second:?}");
    cluster.node("n2").start()?;
    cluster.wait_until_whole()?;
    wait_output(&cluster, "b", "inhibited")?;

    // The programs were told: by their environment at the start, on the control socket for the release.
    let told = cluster.witnessed()?;
    let says = |package: &str, kind: Kind, epoch: u64| {
        told.iter()
            .any(|record| record.package == package && record.kind == kind && record.epoch == epoch)
    };
    for (package, epoch) in [("a", first.epoch), ("b", second.epoch), ("a", third.epoch)] {
        anyhow::ensure!(
            says(package, Kind::Active, epoch),
            "{package} was not released as {epoch}: {told:?}"
        );
    }
    let inhibited = |package: &str| told.iter().any(|r| r.package == package && r.kind == Kind::Inhibited);
    anyhow::ensure!(
        inhibited("a") && inhibited("b"),
        "both ran inhibited at a time: {told:?}"
    );
    cluster.finish()
}

fn running(cluster: &Cluster, package: &str, output: &str) -> Result<Instance, String> {
    let found = cluster.running(package, "active")?;
    if found.output == output {
        Ok(found)
    } else {
        Err(format!("{package}: {found:?}"))
    }
}

fn wait_output(cluster: &Cluster, package: &str, output: &str) -> anyhow::Result<Instance> {
    let what = format!("{package} with its output {output}");
    Ok(wait_for(&what, START_LIMIT.max(FAILOVER_LIMIT), || {
        running(cluster, package, output)
    })?)
}
