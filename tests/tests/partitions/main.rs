//! Partitions and faults of real networks, disks and clocks, met by real processes. One scenario a file;
//! several share a cluster where none leaves anything behind, and every one ends healed, with its load compared and all
//! invariants checked.
//!
//! Each test needs root, network namespaces and nftables, and says loudly that it was skipped where they are missing.
//! `PACELINE_LONG=1` gives the scenarios their full length (`scripts/long`).

mod story;

mod d01_daemon_killed;
mod d02_active_node_killed;
mod d03_node_paused;
mod d04_daemon_paused;
mod d05_package_paused;
mod d06_leader_killed;
mod d07_leader_isolated;
mod d08_leader_and_active_in_minority;
mod d09_leader_paused;
mod d10_two_leader_changes;
mod d11_reply_lost;
mod d12_request_lost;
mod d13_ring;
mod d14_bridge;
mod d15_loss;
mod d16_all_servers_killed;
mod d17_power_cut_of_all;
mod d18_power_cuts_in_turn;
mod d19_disk_full;
mod d20_sync_fails;
mod d21_slow_disk;
mod d22_damage;
mod d23_wall_clock;
mod d24_moves_under_loss;
mod d25_deaf_package;
mod d26_start_fails;
mod d27_server_replaced;
mod d28_follower_away;
mod lying_disk;

use tests::cluster::{Cluster, Layout};
use tests::fault::skipped;

use story::{Story, Turn};

/// Three nodes with both roles: what happens to a leader.
#[test]
fn leaders() -> anyhow::Result<()> {
    Story::tell(
        "leaders",
        THREE,
        &[
            ("D6", d06_leader_killed::run),
            ("D7", d07_leader_isolated::run),
            ("D9", d09_leader_paused::run),
        ],
    )
}

/// Three nodes with both roles: what happens to a node that runs the active instance.
#[test]
fn active_nodes() -> anyhow::Result<()> {
    Story::tell(
        "active-nodes",
        THREE,
        &[
            ("D8", d08_leader_and_active_in_minority::run),
            ("D2", d02_active_node_killed::run),
            ("D3", d03_node_paused::run),
            ("D12", d12_request_lost::run),
            ("D15", d15_loss::run),
            ("D24", d24_moves_under_loss::run),
        ],
    )
}

/// Servers and workers apart: what happens to the processes of a worker.
#[test]
fn workers() -> anyhow::Result<()> {
    let layout = Layout { servers: 3, workers: 2 };
    Story::tell(
        "workers",
        layout,
        &[
            ("D25", d25_deaf_package::run),
            ("D26", d26_start_fails::run),
            ("D10", d10_two_leader_changes::run),
            ("D11", d11_reply_lost::run),
            ("D1", d01_daemon_killed::run),
            ("D4", d04_daemon_paused::run),
            ("D5", d05_package_paused::run),
        ],
    )
}

/// Five servers, of which no two see the same.
#[test]
fn five_servers() -> anyhow::Result<()> {
    let layout = Layout { servers: 5, workers: 0 };
    Story::tell(
        "five-servers",
        layout,
        &[("D13", d13_ring::run), ("D14", d14_bridge::run)],
    )
}

/// Three nodes on disks of their own: what must survive a loss of power.
#[test]
fn power() -> anyhow::Result<()> {
    let _turn = Turn::take();
    let Some(cluster) = on_disks("power", THREE)? else {
        return Ok(());
    };
    Story::tell_to(
        cluster,
        &[
            ("D16", d16_all_servers_killed::run),
            ("D17", d17_power_cut_of_all::run),
            ("D18", d18_power_cuts_in_turn::run),
        ],
    )
}

/// Disks that are full, that fail, that are slow, that change what they keep, and clocks that step.
#[test]
fn disks() -> anyhow::Result<()> {
    let _turn = Turn::take();
    let Some(cluster) = on_disks("disks", THREE)? else {
        return Ok(());
    };
    Story::tell_to(
        cluster,
        &[
            ("D23", d23_wall_clock::run),
            ("D21", d21_slow_disk::run),
            ("D20", d20_sync_fails::run),
            ("D19", d19_disk_full::run),
            // The last: damage that met nothing that was read yet may stop that server later.
            ("D22", d22_damage::run),
        ],
    )
}

/// The power cut must be able to find something.
#[test]
fn a_lying_disk_is_found_out() -> anyhow::Result<()> {
    let _turn = Turn::take();
    lying_disk::run()
}

/// Three nodes, of which one dies for good and another comes.
#[test]
fn members() -> anyhow::Result<()> {
    Story::tell("members", THREE, &[("D27", d27_server_replaced::run)])
}

/// A follower is away for longer than the log is kept.
#[test]
fn away() -> anyhow::Result<()> {
    let _turn = Turn::take();
    let lines = format!("snapshot_entries = {SNAPSHOT_ENTRIES}\n");
    let Some(mut cluster) = Cluster::create_networked_with("away", THREE, &lines)? else {
        return Ok(());
    };
    cluster.start_all()?;
    Story::tell_to(cluster, &[("D28", d28_follower_away::run)])
}

/// Between two snapshots: few, so that the log is soon cut.
const SNAPSHOT_ENTRIES: u64 = 500;
/// Both roles on three nodes.
const THREE: Layout = Layout { servers: 3, workers: 0 };
/// Room for the store's first files and the load of a few scenarios.
const DISK_MEBIBYTES: u64 = 96;

/// Starts a cluster whose nodes have disks of their own and the shim. None where this machine has no means for it.
fn on_disks(story: &str, layout: Layout) -> anyhow::Result<Option<Cluster>> {
    let Some(mut cluster) = Cluster::create_networked(story, layout)? else {
        return Ok(None);
    };
    let names: Vec<String> = cluster.nodes().iter().map(|n| n.name().to_owned()).collect();
    for name in names {
        if let Err(why) = cluster
            .add_disk(&name, DISK_MEBIBYTES)
            .and_then(|()| cluster.add_shim(&name))
        {
            skipped(story, &format!("{why:#}"));
            cluster.finish_without_cluster()?;
            return Ok(None);
        }
    }
    cluster.start_all()?;
    Ok(Some(cluster))
}
