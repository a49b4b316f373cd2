//! What does the faults to the cluster, and undoes them.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::fault::{Fault, Outcome};
use super::{NODES, file, store};
use crate::cluster::{Cluster, START_LIMIT};
use crate::fault::Sync;
use crate::network::{Lost, Rule, rules};
use crate::processes::Process;
use crate::wait::{pause, wait_for};

/// Of the server's store: what a daemon syncs is another matter, and its own failure is found by D20 there.
const STORE: &str = "/server/db/";

/// What is broken now.
#[derive(Debug, Default)]
pub(super) struct Hand {
    powerless: BTreeSet<&'static str>,
    full: BTreeSet<&'static str>,
    rules: Vec<Rule>,
    revision: u64,
}

impl Hand {
    /// Does a fault.
    ///
    /// # Errors
    /// Where the harness itself failed: that is no outcome of a fault.
    pub(super) fn inflict(&mut self, cluster: &mut Cluster, fault: &Fault) -> anyhow::Result<Outcome> {
        match fault {
            Fault::KillPackage(name) => Ok(kill(cluster.package_processes(name).into_iter().take(1).collect())),
            Fault::PausePackage(name, ms) => Ok(paused(
                &cluster.package_processes(name).into_iter().take(1).collect::<Vec<_>>(),
                *ms,
            )),
            Fault::KillNode(node) => {
                let outcome = found(&cluster.node(node).processes());
                cluster.node(node).kill()?;
                Ok(outcome)
            }
            Fault::KillServer(node) => Ok(kill(cluster.node(node).processes_of("serve-server"))),
            Fault::KillDaemon(node) => Ok(kill(cluster.node(node).processes_of("serve-daemon"))),
            Fault::KillSupervisors(node) => Ok(kill(cluster.node(node).processes_of("supervise"))),
            Fault::KillAllServers => {
                let nodes = cluster.nodes().iter();
                Ok(kill(nodes.flat_map(|node| node.processes_of("serve-server")).collect()))
            }
            Fault::PauseNode(node, ms) => Ok(paused(&cluster.node(node).processes(), *ms)),
            Fault::PauseDaemon(node, ms) => Ok(paused(&cluster.node(node).processes_of("serve-daemon"), *ms)),
            Fault::PauseServer(node, ms) => Ok(paused(&cluster.node(node).processes_of("serve-server"), *ms)),
            Fault::PauseSupervisors(node, ms) => Ok(paused(&cluster.node(node).processes_of("supervise"), *ms)),
            Fault::StartNode(node) => self.start(cluster, node),
            Fault::Promote(package) => Ok(ask(cluster, &format!("packages/{package}/promote"), "{}")),
            Fault::Demote(package) => Ok(ask(cluster, &format!("packages/{package}/demote"), "{}")),
            Fault::Maintain(node, ms) => {
                let body = format!("{{\"on\": true, \"for\": \"{ms}ms\"}}");
                Ok(ask(cluster, &format!("nodes/{node}/maintenance"), &body))
            }
            Fault::StopCluster => {
                let stopped = ask(cluster, "cluster/stop", "{}");
                pause(Duration::from_millis(500), "the cluster is stopped");
                ask(cluster, "cluster/start", "{}");
                Ok(stopped)
            }
            Fault::Rebalance => Ok(ask(cluster, "cluster/rebalance", "{}")),
            Fault::Redefine => {
                self.revision += 1;
                let file = cluster.fill_in(&file(self.revision))?;
                Ok(send(cluster, "PUT", "config", &file))
            }
            Fault::LoseNeed(node, ms) => {
                let store = store(cluster, node);
                std::fs::remove_file(&store)?;
                pause(Duration::from_millis(*ms), "the service that a package needs is down");
                std::fs::write(&store, "")?;
                Ok(Outcome::Installed)
            }
            Fault::Wait(ms) => {
                pause(Duration::from_millis(*ms), "a fault may have time to show");
                Ok(Outcome::Installed)
            }
            fault if !cluster.is_networked() => Ok(Outcome::Skipped(format!("{fault} needs network namespaces"))),
            Fault::PowerCut(_) | Fault::PowerCutAll | Fault::FillDisk(_) => self.of_disk(cluster, fault),
            Fault::SlowSync(..) | Fault::FailSync(_) | Fault::StepClock(..) => of_shim(cluster, fault),
            fault => self.of_network(cluster, fault),
        }
    }

    /// Undoes everything.
    ///
    /// # Errors
    /// Where the harness itself failed.
    pub(super) fn heal(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        if cluster.is_networked() {
            self.rules.clear();
            cluster.mend_network()?;
            for node in NODES {
                cluster.shim(node)?.sync(Sync::Honest, "")?;
                cluster.shim(node)?.clock(0)?;
            }
            let powerless = std::mem::take(&mut self.powerless);
            for node in &powerless {
                cluster.restore_power(&[node])?;
            }
            for node in std::mem::take(&mut self.full) {
                let freed = cluster.disk(node)?.free();
                // What filled the disk may be among what the power cut took.
                if !powerless.contains(&node) {
                    freed?;
                }
            }
        }
        cluster.start_missing()?;
        // A stopped cluster has to be told; a maintenance ends by itself.
        let limit = wait_for("the cluster is told to start", START_LIMIT, || {
            match ask(cluster, "cluster/start", "{}") {
                Outcome::Installed => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        limit.map_err(Into::into)
    }

    fn start(&mut self, cluster: &mut Cluster, node: &'static str) -> anyhow::Result<Outcome> {
        if self.powerless.remove(node) {
            cluster.restore_power(&[node])?;
        } else if cluster.node(node).processes_of("serve").is_empty() {
            cluster.node(node).kill()?;
            cluster.node(node).start()?;
        } else {
            return Ok(Outcome::Skipped("it runs".to_owned()));
        }
        Ok(Outcome::Installed)
    }

    fn of_disk(&mut self, cluster: &mut Cluster, fault: &Fault) -> anyhow::Result<Outcome> {
        match fault {
            Fault::PowerCut(node) => {
                if !self.powerless.insert(*node) {
                    return Ok(Outcome::Skipped("it has no power".to_owned()));
                }
                cluster.cut_power(&[*node])?;
            }
            Fault::FillDisk(node) => {
                if self.powerless.contains(node) || !self.full.insert(*node) {
                    return Ok(Outcome::Skipped("it has no power, or is full".to_owned()));
                }
                cluster.disk(node)?.fill()?;
            }
            _ => {
                let standing: Vec<&str> = NODES.into_iter().filter(|n| !self.powerless.contains(n)).collect();
                cluster.cut_power(&standing)?;
                cluster.restore_power(&standing)?;
            }
        }
        Ok(Outcome::Installed)
    }

    fn of_network(&mut self, cluster: &mut Cluster, fault: &Fault) -> anyhow::Result<Outcome> {
        let more = match fault {
            Fault::Isolate(node) => rules::alone(node, &NODES),
            Fault::IsolateLeader => match cluster.leader() {
                Ok(leader) => rules::alone(&leader, &NODES),
                Err(error) => return Ok(Outcome::Skipped(format!("{error:#}"))),
            },
            Fault::CutPair(a, b) => rules::cut(&[*a], &[*b]),
            Fault::LoseRequests(a, b) => vec![Rule::new(a, b, Lost::Requests)],
            Fault::LoseReplies(a, b) => vec![Rule::new(a, b, Lost::Replies)],
            Fault::LoseFrames(percent) => rules::lossy(&NODES, *percent),
            Fault::LinkDown(node, ms) => {
                cluster.network()?.link(node, false)?;
                pause(Duration::from_millis(*ms), "the cable is out");
                cluster.network()?.link(node, true)?;
                return Ok(Outcome::Installed);
            }
            Fault::SlowLink(node, kbit) => {
                return Ok(match cluster.network()?.slow(node, *kbit) {
                    Ok(()) => Outcome::Installed,
                    Err(error) => Outcome::Skipped(format!("{error:#}")),
                });
            }
            _ => {
                self.rules.clear();
                cluster.mend_network()?;
                return Ok(Outcome::Installed);
            }
        };
        self.rules.extend(more);
        cluster.break_network(self.rules.clone(), &[])?;
        Ok(Outcome::Installed)
    }
}

fn of_shim(cluster: &Cluster, fault: &Fault) -> anyhow::Result<Outcome> {
    match fault {
        Fault::SlowSync(node, ms) => cluster.shim(node)?.sync(Sync::Slow(*ms), "")?,
        Fault::FailSync(node) => cluster.shim(node)?.sync(Sync::Fails, STORE)?,
        Fault::StepClock(node, seconds) => cluster.shim(node)?.clock(*seconds)?,
        _ => return Ok(Outcome::Skipped("not for the shim".to_owned())),
    }
    Ok(Outcome::Installed)
}

fn found(processes: &[Process]) -> Outcome {
    if processes.is_empty() {
        Outcome::Skipped("nothing of it runs".to_owned())
    } else {
        Outcome::Installed
    }
}

fn kill(processes: Vec<Process>) -> Outcome {
    processes.iter().for_each(Process::kill);
    found(&processes)
}

/// Stops processes and lets them go on later: they find out that time has passed without them.
fn paused(processes: &[Process], ms: u64) -> Outcome {
    processes.iter().for_each(|p| p.signal(Signal::SIGSTOP));
    pause(Duration::from_millis(ms), "nothing of these runs");
    processes.iter().for_each(|p| p.signal(Signal::SIGCONT));
    found(processes)
}

/// It may be refused, or cut off by a fault: an operator's request among faults has no promised outcome.
fn ask(cluster: &Cluster, what: &str, body: &str) -> Outcome {
    send(cluster, "POST", what, body)
}

fn send(cluster: &Cluster, method: &str, what: &str, body: &str) -> Outcome {
    let path = format!("/v1/{what}?wait=0");
    let mut last = "no node".to_owned();
    for node in cluster.nodes() {
        match cluster.send(node, method, &path, body) {
            Ok(answer) if answer.status < 500 => return Outcome::Installed,
            Ok(answer) => last = answer.text(),
            Err(error) => last = format!("{error:#}"),
        }
    }
    Outcome::Indeterminate(last)
}
