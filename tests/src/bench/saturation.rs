//! `scripts/bench saturation`: does load alone cause failovers? Other processes take every core, many clients write, and
//! nothing is broken: each change of leader, each lost node and each takeover was needless.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use client::wire::event::Event;
use client::wire::status::Status;
use serde_json::json;

use super::load::{self, Load};
use super::report::{machine, print_table, save};
use super::writes::paceline_request;
use crate::cluster::{Cluster, START_LIMIT};
use crate::wait::wait_for;
use crate::witness::intervals;

/// Two groups with a standby each: both kinds of instance must live through it.
const FILE: &str = r#"
[cluster]
name = "saturation"
lease = "@LEASE@"

[[group]]
name = "a"
kind = "duplex"
standbys = 2

[[package]]
name = "a"
group = "a"
copies = 3
run.command = [@WITNESS@, "--unit", "a"]

[[group]]
name = "b"
kind = "duplex"
standbys = 1

[[package]]
name = "b"
group = "b"
copies = 2
run.command = [@WITNESS@, "--unit", "b"]
"#;
/// Kinds of events that say that something was taken for dead, or stopped.
const NEEDLESS: [&str; 5] = [
    "node-lost",
    "promoted",
    "package-failed",
    "lease-ended",
    "session-ended",
];

/// How much of it.
#[derive(Clone, Debug)]
pub struct SaturationOptions {
    /// How long.
    pub measure: Duration,
    /// Clients that write.
    pub clients: usize,
    /// Processes that do nothing but use a core each; one for each core where none is given.
    pub hogs: Option<usize>,
    /// The cluster's lease.
    pub lease: String,
}

/// Processes that were started here and are ended with it.
struct Hogs(Vec<Child>);

impl Hogs {
    fn start(count: usize) -> anyhow::Result<Self> {
        let mut hogs = Self(Vec::new());
        for _ in 0..count {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            hogs.0.push(command.spawn()?);
        }
        Ok(hogs)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            let _ = hog.kill();
            let _ = hog.wait();
        }
    }
}

/// Runs it and prints the table.
///
/// # Errors
/// Where anything was needlessly taken over, or a cluster does not come up.
pub fn run(options: &SaturationOptions) -> anyhow::Result<()> {
    let before = machine();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hogs = options.hogs.unwrap_or(cores);
    let cluster = Cluster::start("bench-saturation", 3)?;
    cluster.apply(&FILE.replace("@LEASE@", &options.lease))?;
    wait_for("all instances", START_LIMIT, || {
        for package in ["a-1", "a-2", "a-3", "b-1", "b-2"] {
            let found = cluster.package(package).map_err(|error| format!("{error:#}"))?;
            if !found.instances.iter().any(|instance| instance.state == "running") {
                return Err(format!("{package} does not run yet"));
            }
        }
        Ok(())
    })?;
    let begun: Status = cluster.get("/v1/status")?;
    let known = cluster.events()?.last().map_or(0, |event| event.index);
    let epochs = || -> anyhow::Result<usize> { Ok(intervals(&cluster.witnessed()?).len()) };
    let intervals_before = epochs()?;

    let servers: Vec<SocketAddr> = cluster.nodes().iter().map(crate::node::Node::api).collect();
    let load = Load {
        clients: options.clients,
        servers,
        warm_up: Duration::from_secs(1),
        measure: options.measure,
        request: Arc::clone(&paceline_request()),
    };
    eprintln!(
        "{} s with {} clients and {hogs} busy processes on {cores} cores …",
        options.measure.as_secs(),
        options.clients
    );
    let busy = Hogs::start(hogs)?;
    let outcome = load::run(&load, || {}, || {})?;
    let during = machine();
    drop(busy);

    let ended: Status = cluster.get("/v1/status")?;
    let needless: Vec<Event> = cluster
        .events()?
        .into_iter()
        .filter(|event| event.index > known && NEEDLESS.contains(&event.kind.as_str()))
        .collect();
    let leader_changes = ended.term - begun.term;
    let takeovers = epochs()? - intervals_before;
    let ms = |us: u64| format!("{:.1}", us as f64 / 1000.0);
    print_table(
        &format!("load alone, lease {}", options.lease),
        &[
            "seconds",
            "clients",
            "busy processes",
            "writes/s",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "failed",
            "leader changes",
            "needless events",
            "takeovers",
        ],
        &[vec![
            options.measure.as_secs().to_string(),
            options.clients.to_string(),
            hogs.to_string(),
            format!("{:.0}", outcome.per_second()),
            ms(outcome.latency_us.per_mille(500)),
            ms(outcome.latency_us.per_mille(990)),
            ms(outcome.latency_us.per_mille(999)),
            outcome.failed.to_string(),
            leader_changes.to_string(),
            needless.len().to_string(),
            takeovers.to_string(),
        ]],
    );
    println!(
        "machine load before {}, at the end {}",
        before["load_average"], during["load_average"]
    );
    let texts: Vec<&str> = needless.iter().map(|event| event.text.as_str()).collect();
    save(
        "saturation",
        &json!({
            "bench": "saturation", "machine_before": before, "machine_during": during, "seconds": options.measure.as_secs(),
            "clients": options.clients, "busy_processes": hogs, "lease": options.lease, "writes_per_second": outcome.per_second(),
            "p99_us": outcome.latency_us.per_mille(990), "failed": outcome.failed, "leader_changes": leader_changes,
            "takeovers": takeovers, "needless": texts,
        }),
    )?;
    if let Some(failure) = &outcome.first_failure {
        eprintln!("first failed write: {failure}");
    }
    if leader_changes > 0 || takeovers > 0 || !needless.is_empty() {
        bail!("{leader_changes} needless leader changes, {takeovers} needless takeovers: {texts:#?}");
    }
    cluster.finish()
}
