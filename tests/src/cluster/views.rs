//! What a cluster says of itself, and what is really there.

use std::path::PathBuf;
use std::time::Duration;

use server::daemon::recording::Line;

use super::*;
use crate::invariants::evidence::read_recordings;

impl Cluster {
    // ---- what the cluster says ----

    /// The leader's node name, as the first node that answers says.
    ///
    /// # Errors
    /// Where none is known.
    pub fn leader(&self) -> anyhow::Result<String> {
        self.get::<Status>("/v1/status")?.leader.context("no leader is known")
    }

    /// One package.
    ///
    /// # Errors
    /// Where no node answers or none of this name is there.
    pub fn package(&self, name: &str) -> anyhow::Result<Package> {
        let packages: Packages = self.get("/v1/packages")?;
        packages
            .packages
            .into_iter()
            .find(|p| p.name == name)
            .with_context(|| format!("no package {name}"))
    }

    /// Where a package runs in a mode and has said so.
    ///
    /// # Errors
    /// In words, what is there instead.
    pub fn running(&self, package: &str, mode: &str) -> Result<Instance, String> {
        let package = self.package(package).map_err(|e| format!("{e:#}"))?;
        package
            .instances
            .iter()
            .find(|i| i.mode == mode && i.state == "running")
            .cloned()
            .ok_or_else(|| format!("{}: {} ({:?})", package.name, package.reason, package.instances))
    }

    /// Waits until a package runs in a mode, and answers where.
    ///
    /// # Errors
    /// Where it does not come in time.
    pub fn wait_running(&self, package: &str, mode: &str) -> anyhow::Result<Instance> {
        let what = format!("{package} running as {mode}");
        Ok(wait_for(&what, START_LIMIT.max(FAILOVER_LIMIT), || {
            self.running(package, mode)
        })?)
    }

    /// Waits until the same servers have been running, and the same one has led, for `quiet`.
    ///
    /// # Errors
    /// Where that does not come in time.
    pub fn wait_settled(&self, quiet: Duration) -> anyhow::Result<()> {
        let now = || -> anyhow::Result<(Vec<Option<i32>>, u64)> {
            let servers = self
                .nodes
                .iter()
                .map(|node| node.processes_of("serve-server").first().map(|it| it.pid));
            Ok((servers.collect(), self.get::<Status>("/v1/status")?.term))
        };
        let mut last = (now()?, std::time::Instant::now());
        Ok(wait_for("servers that run on", START_LIMIT, || {
            let found = now().map_err(|error| format!("{error:#}"))?;
            if found != last.0 {
                last = (found, std::time::Instant::now());
            }
            if last.1.elapsed() >= quiet {
                Ok(())
            } else {
                Err(format!("servers and term {:?}", last.0))
            }
        })?)
    }

    /// Every event so far.
    ///
    /// # Errors
    /// Where no node answers, or one lacks events for long.
    pub fn events(&self) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("/v1/events?after={after}&limit={EVENTS_PAGE}");
            // A server that was caught up by a snapshot gets the events of that stretch from the others.
            let page: Events = wait_for("a whole page of events", FAILOVER_LIMIT, || {
                let page: Events = self.get(&path).map_err(|error| format!("{error:#}"))?;
                if page.missing.is_empty() {
                    Ok(page)
                } else {
                    Err(format!("missing {:?}", page.missing))
                }
            })?;
            events.extend(page.events);
            match page.next_after {
                Some(next) if next > after => after = next,
                _ => return Ok(events),
            }
        }
    }

    /// Waits for an event that satisfies a condition.
    ///
    /// # Errors
    /// Where it does not come in time; the last events are in the text.
    pub fn wait_event(&self, what: &str, matches: impl Fn(&Event) -> bool) -> anyhow::Result<Event> {
        Ok(wait_for(&format!("the event {what}"), START_LIMIT, || {
            let events = self.events().map_err(|e| format!("{e:#}"))?;
            let tail = || {
                events
                    .iter()
                    .rev()
                    .take(6)
                    .map(|e| format!("{} {}", e.kind, e.text))
                    .collect::<Vec<_>>()
            };
            events
                .iter()
                .find(|e| matches(e))
                .cloned()
                .ok_or_else(|| format!("{:?}", tail()))
        })?)
    }

    // ---- what is really there ----

    /// Where the test programs write.
    #[must_use]
    pub fn witness_directory(&self) -> PathBuf {
        self.directory.join("witness")
    }

    /// What the test programs wrote.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn witnessed(&self) -> anyhow::Result<Vec<Record>> {
        witness::read(&self.witness_directory())
    }

    /// What the daemons recorded so far.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn recordings(&self) -> anyhow::Result<Vec<Line>> {
        read_recordings(&self.directory.join("recordings"))
    }

    /// The living processes of a package on all nodes, found by their program, oldest id first.
    #[must_use]
    pub fn package_processes(&self, package: &str) -> Vec<Process> {
        let mut found: Vec<Process> = processes::under(&self.directory)
            .into_iter()
            .filter(|p| p.variable("PACELINE_PACKAGE") == Some(package) && !p.is_command("paceline", "supervise"))
            .collect();
        found.sort_by_key(|p| p.pid);
        found
    }

    /// The living processes of every instance that the cluster calls running.
    ///
    /// # Errors
    /// Those that have none, or that no node answers.
    pub fn said_is_there(&self) -> Result<BTreeSet<i32>, String> {
        let packages: Packages = self.get("/v1/packages").map_err(|error| format!("{error:#}"))?;
        let (mut there, mut gone) = (BTreeSet::new(), Vec::new());
        for package in &packages.packages {
            let living = self.package_processes(&package.name);
            there.extend(living.iter().map(|process| process.pid));
            let nodes = package
                .instances
                .iter()
                .filter(|i| i.state == "running")
                .map(|i| &i.node);
            gone.extend(
                nodes
                    .filter(|node| !living.iter().any(|p| p.variable("PACELINE_NODE") == Some(node)))
                    .map(|node| format!("{} on {node}", package.name)),
            );
        }
        if gone.is_empty() {
            Ok(there)
        } else {
            Err(format!("without a process: {gone:?}"))
        }
    }

    /// The living process of a package on a node.
    ///
    /// # Errors
    /// Where there is none.
    pub fn package_process(&self, package: &str, node: &str) -> anyhow::Result<Process> {
        self.package_processes(package)
            .into_iter()
            .find(|p| p.variable("PACELINE_NODE") == Some(node))
            .with_context(|| format!("no process of {package} on {node}"))
    }
}
