//! A full disk: the node steps back and says so; no acknowledged write is lost, and it comes back once there is room.

use std::net::SocketAddr;
use std::time::Duration;

use client::wire::status::Status;
use tests::cluster::{Cluster, START_LIMIT};
use tests::fault::SmallDisk;
use tests::oracle::{Outcome, Writers};
use tests::wait::{pause, wait_for};

/// Room for the store's first files and a little of the load.
const DISK_MEBIBYTES: u32 = 64;

/// The leader's disk is full under load: another node leads, and the load goes on.
#[test]
fn of_the_leader() -> anyhow::Result<()> {
    let mut cluster = Cluster::create("full-disk")?;
    for n in 1..=3 {
        cluster.add_node(n, "")?;
    }
    let Some(disk) = SmallDisk::mount(cluster.node("n1").data_dir(), DISK_MEBIBYTES)? else {
        return cluster.finish_without_cluster();
    };
    for name in ["n1", "n2", "n3"] {
        cluster.node(name).start()?;
    }
    cluster.wait_until_whole()?;
    let leader = cluster.leader()?;
    anyhow::ensure!(
        leader == "n1",
        "the node that bootstrapped leads at first, not {leader}"
    );

    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(tests::node::Node::api).collect();
    let writers = Writers::start(6, &servers, "n2");
    pause(Duration::from_millis(500), "the load runs");
    disk.fill()?;
    let others = |cluster: &Cluster| -> Result<String, String> {
        let status: Status = cluster
            .ask(&cluster.nodes()[1], "/v1/status")
            .map_err(|e| format!("{e:#}"))?;
        status
            .leader
            .filter(|l| l != "n1" && status.quorate)
            .ok_or_else(|| "no other leader".to_owned())
    };
    let took_over = wait_for("another leader", START_LIMIT, || others(&cluster));
    pause(Duration::from_millis(500), "the load goes on without n1");
    let writes = writers.stop();
    took_over?;
    wait_for("the reason in n1's log", START_LIMIT, || {
        let text = cluster.node("n1").log_text().map_err(|e| e.to_string())?;
        if text.to_lowercase().contains("no space left") {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })?;

    disk.free()?;
    cluster.wait_until_whole()?;
    let done = writes
        .iter()
        .filter(|w| matches!(w.outcome, Outcome::Done { .. }))
        .count();
    anyhow::ensure!(done > 50, "only {done} of {} writes were acknowledged", writes.len());
    cluster.compare("n2", &writes)?;
    cluster.heal()?;
    let result = cluster.finish();
    drop(disk);
    result
}
