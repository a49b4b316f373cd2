//! A test of the tests: on disks that say "synced" and lie, a power cut of all nodes loses what was acknowledged, and the
//! check of I10 must find that. If it did not, D17 would prove nothing.

use std::time::Duration;

use anyhow::ensure;
use tests::cluster::acknowledged;
use tests::fault::Sync;
use tests::wait::pause;

const NODES: [&str; 3] = ["n1", "n2", "n3"];

pub fn run() -> anyhow::Result<()> {
    let Some(mut cluster) = super::on_disks("lying-disk", super::THREE)? else {
        return Ok(());
    };
    let node = "n1";
    for name in NODES {
        cluster.shim(name)?.sync(Sync::Lies, "/server/db/")?;
    }
    let load = cluster.load(node)?;
    pause(Duration::from_millis(1_500), "the load runs");
    cluster.cut_power(&NODES)?;
    let told = load.stop();
    ensure!(acknowledged(&told.writes) > 20, "no load, no proof");
    for name in NODES {
        cluster.shim(name)?.sync(Sync::Honest, "")?;
    }
    cluster.restore_power(&NODES)?;
    // A store that lost its end may be refused altogether: that is no silent loss either.
    if cluster.wait_until_whole().is_ok() {
        let compared = cluster.compare(node, &told.writes);
        ensure!(
            compared.is_err(),
            "disks lied about every sync, and the check of I10 has not found it"
        );
        println!(
            "found, as it has to be: {:#}",
            compared.err().map_or_else(String::new, |e| format!("{e:#}"))
        );
    } else {
        println!("the servers refused what the disks had kept");
    }
    cluster.finish_without_cluster()
}
