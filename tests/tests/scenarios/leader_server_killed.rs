//! The leader's server process alone dies: there is a new leader, and no package notices.

use std::time::Duration;

use client::wire::status::Status;
use tests::cluster::{Cluster, START_LIMIT};
use tests::invariants::check_all;
use tests::oracle::Clients;
use tests::wait::{holds_for, wait_for};

use super::PAIR;

/// Three times in a row, so that the lead goes round.
#[test]
fn no_package_stops() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("leader-server", 3)?;
    cluster.apply(PAIR)?;
    cluster.wait_running("svc-1", "active")?;
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
    let servers: Vec<_> = cluster.nodes().iter().map(tests::node::Node::api).collect();
    let clients = Clients::start(8, &servers, &["n1", "n2", "n3"], 1);
    for _ in 0..3 {
        let status: Status = cluster.get("/v1/status")?;
        let leader = status.leader.clone().unwrap_or_default();
        let servers = cluster.node(&leader).processes_of("serve-server");
        anyhow::ensure!(servers.len() == 1, "{leader} has {} server processes", servers.len());
        servers[0].kill();
        wait_for("a new term", START_LIMIT, || {
            let now: Status = cluster.get("/v1/status").map_err(|e| format!("{e:#}"))?;
            if now.term > status.term && now.leader.is_some() {
                Ok(())
            } else {
                Err(format!("{:?}", now.leader))
            }
        })?;
        holds_for(Duration::from_millis(1500), || {
            if pids(&cluster) == before {
                Ok(())
            } else {
                Err(format!("{:?} became {:?}", before, pids(&cluster)))
            }
        })
        .map_err(anyhow::Error::msg)?;
        cluster.wait_until_whole()?;
    }
    let history = clients.stop();
    let lost = cluster.events()?.into_iter().find(|e| e.kind == "node-lost");
    anyhow::ensure!(lost.is_none(), "a node was called lost: {lost:?}");
    cluster.heal()?;
    let mut evidence = cluster.evidence()?;
    evidence.histories.push(history);
    check_all(&evidence).demand(&["I4", "I9", "I10", "I11", "I12", "I13", "I20", "I21", "I22"])?;
    cluster.finish_on(&evidence)
}
