//! Rule 12: a planned restart stops no package, because it first gets a longer lease; one that fails is waited out.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tests::cluster::{Cluster, START_LIMIT};
use tests::node::{Node, program};
use tests::oracle::{Outcome, Writers};
use tests::wait::{monotonic_ns, pause, wait_for};
use tests::witness::intervals;

use super::PAIR;

/// The extended lease of the second story, `W` of it, and how late the kernel and the program may be.
const EXTENDED: Duration = Duration::from_millis(3_000);
const WAIT_OF_EXTENDED: Duration = Duration::from_millis(3_780);
const LATE: Duration = Duration::from_millis(200);

/// Every node is told to restart, one after the other, while clients write: server and daemon are new processes, the
/// packages are the same ones, and nobody took over.
#[test]
fn every_node_in_turn_under_load() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("planned-restart", 3)?;
    cluster.apply(PAIR)?;
    cluster.wait_running("svc-1", "active")?;
    cluster.wait_running("svc-2", "standby")?;
    let packages = |cluster: &Cluster| {
        ["svc-1", "svc-2"].map(|p| {
            cluster
                .package_process(p, if p == "svc-1" { "n1" } else { "n2" })
                .map(|p| p.pid)
                .ok()
        })
    };
    let before = packages(&cluster);
    anyhow::ensure!(before.iter().all(Option::is_some), "{before:?}");

    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(Node::api).collect();
    let writers = Writers::start(8, &servers, "n3");
    for name in ["n1", "n2", "n3"] {
        let old = parts(cluster.node(name));
        anyhow::ensure!(old.len() == 2, "{name} has parts {old:?}");
        for parent in cluster.node(name).processes_of("serve") {
            parent.signal(Signal::SIGHUP);
        }
        wait_for(&format!("new parts of {name}"), START_LIMIT, || {
            let now = parts(cluster.node(name));
            if now.len() == 2 && now.iter().all(|pid| !old.contains(pid)) {
                Ok(())
            } else {
                Err(format!("{old:?} became {now:?}"))
            }
        })?;
        cluster.wait_until_whole()?;
        anyhow::ensure!(
            packages(&cluster) == before,
            "{before:?} became {:?}",
            packages(&cluster)
        );
    }
    pause(Duration::from_millis(1_500), "more than W of the usual lease");
    let writes = writers.stop();
    anyhow::ensure!(
        packages(&cluster) == before,
        "{before:?} became {:?}",
        packages(&cluster)
    );
    let done = writes
        .iter()
        .filter(|w| matches!(w.outcome, Outcome::Done { .. }))
        .count();
    anyhow::ensure!(done > 50, "only {done} of {} writes were acknowledged", writes.len());
    let events = cluster.events()?;
    for node in ["n1", "n2", "n3"] {
        let extended = events
            .iter()
            .any(|e| e.kind == "lease-extended" && e.node.as_deref() == Some(node));
        anyhow::ensure!(extended, "the longer lease of {node} is a recorded fact");
    }
    let wrong = events
        .iter()
        .find(|e| e.kind == "node-lost" || e.kind == "package-ended");
    anyhow::ensure!(wrong.is_none(), "{wrong:?}");
    cluster.finish()
}

/// The daemon does not come back: its packages die at the extended deadline, and the standby takes over only after the `W`
/// of that lease.
#[test]
fn one_that_does_not_come_back() -> anyhow::Result<()> {
    let mut cluster = Cluster::start("planned-restart-fails", 3)?;
    cluster.apply(PAIR)?;
    let active = cluster.wait_running("svc-1", "active")?;
    anyhow::ensure!(active.node == "n1", "{active:?}");
    cluster.wait_running("svc-2", "standby")?;

    // A daemon whose longer lease is short enough for a test, with nobody who would start another one.
    for parent in cluster.node("n1").processes_of("serve") {
        parent.signal(Signal::SIGSTOP);
    }
    for daemon in cluster.node("n1").processes_of("serve-daemon") {
        daemon.kill();
    }
    let node = &cluster.nodes()[0];
    let log = OpenOptions::new()
        .append(true)
        .open(node.data_dir().with_extension("log"))?;
    let mut daemon = Command::new(program("paceline")?)
        .args(["serve-daemon", "--config"])
        .arg(node.config())
        .env("PACELINE_RESTART_LEASE_MS", EXTENDED.as_millis().to_string())
        .env("PACELINE_NODE_ROOT", node.data_dir())
        .env("PACELINE_RECORDING", node.data_dir().with_file_name("recordings"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    pause(Duration::from_millis(1_200), "it has adopted what runs, and renews");
    let asked_ns = monotonic_ns();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(daemon.id())?), Signal::SIGHUP)?;
    anyhow::ensure!(daemon.wait()?.success(), "it ends in order, with the longer lease");
    let ended_ns = monotonic_ns();

    let promoted = cluster.wait_running("svc-2", "active")?;
    anyhow::ensure!(promoted.epoch > active.epoch, "{promoted:?}");
    let seen = intervals(&cluster.witnessed()?);
    let last = seen
        .iter()
        .filter(|i| i.node == "n1")
        .map(|i| i.until_ns)
        .max()
        .unwrap_or(0);
    let first = seen
        .iter()
        .filter(|i| i.node == "n2")
        .map(|i| i.from_ns)
        .min()
        .unwrap_or(0);
    let after = |at_ns: u64, from_ns: u64| Duration::from_nanos(at_ns.saturating_sub(from_ns));
    anyhow::ensure!(
        after(last, asked_ns) > EXTENDED - LATE - Duration::from_millis(200),
        "it ran on for {:?} only",
        after(last, asked_ns)
    );
    anyhow::ensure!(
        after(last, ended_ns) < EXTENDED + LATE,
        "a beat came {:?} after the daemon ended",
        after(last, ended_ns)
    );
    anyhow::ensure!(
        after(first, asked_ns) > WAIT_OF_EXTENDED,
        "taken over after {:?}, the wait is {WAIT_OF_EXTENDED:?}",
        after(first, asked_ns)
    );
    for parent in cluster.node("n1").processes_of("serve") {
        parent.signal(Signal::SIGCONT);
    }
    cluster.wait_until_whole()?;
    cluster.wait_running("svc-1", "standby")?;
    cluster.finish()
}

/// The process ids of a node's server and daemon.
fn parts(node: &Node) -> Vec<i32> {
    ["serve-server", "serve-daemon"]
        .iter()
        .flat_map(|part| node.processes_of(part))
        .map(|process| process.pid)
        .collect()
}
