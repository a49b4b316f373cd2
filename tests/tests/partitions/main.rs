//! Partitions and faults of real networks, disks and clocks, met by real processes. One scenario a file, named as in
//! `docs/TESTING.md`; several share a cluster where none leaves anything behind, and every one ends healed, with its
//! load compared and all invariants checked.
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

use tests::cluster::Layout;

use story::Story;

/// Three nodes with both roles: what happens to a leader.
#[test]
fn leaders() -> anyhow::Result<()> {
    let layout = Layout { servers: 3, workers: 0 };
    Story::tell(
        "leaders",
        layout,
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
    let layout = Layout { servers: 3, workers: 0 };
    Story::tell(
        "active-nodes",
        layout,
        &[
            ("D8", d08_leader_and_active_in_minority::run),
            ("D2", d02_active_node_killed::run),
            ("D3", d03_node_paused::run),
            ("D12", d12_request_lost::run),
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
