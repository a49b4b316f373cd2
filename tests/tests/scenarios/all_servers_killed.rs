//! I10 and I11: every server is killed at once under write load; what was acknowledged is there, the same everywhere.

use std::net::SocketAddr;
use std::time::Duration;

use tests::cluster::Cluster;
use tests::invariants::{check_all, replicas_agree};
use tests::oracle::{Clients, Outcome, Write, Writers};

/// Writers at a time: enough for batches of several proposals.
const WRITERS: usize = 8;
/// Acknowledged writes before each kill.
const LOAD_SPAN: Duration = Duration::from_millis(1500);

/// Only the server processes: their parents start them again.
#[test]
fn server_processes() -> anyhow::Result<()> {
    let cluster = Cluster::start("servers-killed", 3)?;
    for node in ["n1", "n2", "n3"] {
        let writers = load(&cluster, node);
        let servers: Vec<_> = cluster
            .nodes()
            .iter()
            .flat_map(|n| n.processes_of("serve-server"))
            .collect();
        anyhow::ensure!(servers.len() == 3, "{} server processes", servers.len());
        servers.iter().for_each(tests::processes::Process::kill);
        cluster.wait_until_whole()?;
        compare(&cluster, node, &writers.stop())?;
    }
    cluster.heal()?;
    cluster.finish()
}

/// Whole nodes, as if the power had gone, but for what the kernel still held.
#[test]
fn whole_nodes() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("nodes-killed", 3)?;
    let writers = load(&cluster, "n1");
    for process in tests::processes::under(cluster.directory()) {
        process.kill();
    }
    for name in ["n1", "n2", "n3"] {
        cluster.node(name).kill()?;
    }
    let writes = writers.stop();
    for name in ["n3", "n1", "n2"] {
        cluster.node(name).start()?;
    }
    cluster.wait_until_whole()?;
    compare(&cluster, "n1", &writes)?;
    cluster.heal()?;
    cluster.finish()
}

/// Clients that share keys, read, and compare and swap: what they were told has one order, across the loss of all servers.
#[test]
fn under_clients_that_share_keys() -> anyhow::Result<()> {
    let cluster = Cluster::start("servers-killed-cas", 3)?;
    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(tests::node::Node::api).collect();
    let clients = Clients::start(10, &servers, &["n1", "n2", "n3"], 3);
    for _ in 0..3 {
        tests::wait::pause(LOAD_SPAN, "the load runs");
        let servers = cluster.nodes().iter().flat_map(|n| n.processes_of("serve-server"));
        servers.for_each(|process| process.kill());
        cluster.wait_until_whole()?;
    }
    let history = clients.stop();
    cluster.heal()?;
    let mut evidence = cluster.evidence()?;
    evidence.histories.push(history);
    let verdict = check_all(&evidence);
    verdict.demand(&["I9", "I10", "I11", "I12"])?;
    anyhow::ensure!(verdict.count("I9") > 500, "no load, no proof: {verdict}");
    cluster.finish_on(&evidence)
}

/// Writes attributes of one node: each round has a node of its own, since its values begin at 1 again.
fn load(cluster: &Cluster, node: &str) -> Writers {
    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(tests::node::Node::api).collect();
    let writers = Writers::start(WRITERS, &servers, node);
    tests::wait::pause(LOAD_SPAN, "the load runs");
    writers
}

fn compare(cluster: &Cluster, of: &str, writes: &[Write]) -> anyhow::Result<()> {
    let done = writes
        .iter()
        .filter(|w| matches!(w.outcome, Outcome::Done { .. }))
        .count();
    anyhow::ensure!(
        done > 100,
        "only {done} of {} writes were acknowledged: no load, no proof",
        writes.len()
    );
    cluster.compare(of, writes)?;
    replicas_agree::check_cluster(cluster)
}
