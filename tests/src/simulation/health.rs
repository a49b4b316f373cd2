//! After the faults: everything runs again, and then nothing happens any more (I15).

use statemachine::package::Phase;

use super::client::{PACKAGES, UNITS};
use super::consensus::Role;
use super::world::{Event, MS, World};

/// What the health check is at.
#[derive(Debug, Default)]
pub struct Health {
    /// When the faults were over.
    pub since_ns: Option<u64>,
    /// When all was well, and what ran then.
    pub well: Option<Well>,
    mended: bool,
    confirmed_ns: u64,
    applied: u64,
}

/// A cluster that is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Well {
    /// Since when.
    pub since_ns: u64,
    leader_changes: u64,
    actives: Vec<(String, usize, u64)>,
}

impl World {
    /// Looks whether all is well, again and again until it was for a while.
    pub fn health_looks(&mut self) {
        let since = match self.health.since_ns {
            Some(since) => since,
            None => {
                self.health.since_ns = Some(self.now);
                self.faults_are_over();
                self.now
            }
        };
        // Not before all that clients asked for is done: a wish of theirs may not come after the operator's.
        let idle = self.clients.iter().all(super::client::Client::is_idle);
        if !self.health.mended && idle && self.now > since {
            self.health.mended = true;
            self.operator_mends();
        }
        if self.now > self.health.confirmed_ns + 10 * self.lease_ns {
            self.health.confirmed_ns = self.now;
            self.operator_confirms();
        }
        let wait_ns = self.timers.wait_ms * MS;
        match (self.problem(), self.health.well.clone()) {
            (None, None) => {
                self.health.well = Some(Well {
                    since_ns: self.now,
                    leader_changes: self.leader_changes,
                    actives: self.running(),
                })
            }
            (None, Some(well)) => {
                if well.leader_changes != self.leader_changes || well.actives != self.running() {
                    let text = format!(
                        "all was well since {} and changed: leaders {} to {}, {:?} to {:?}",
                        well.since_ns,
                        well.leader_changes,
                        self.leader_changes,
                        well.actives,
                        self.running()
                    );
                    return self.checks.broken("I15", text);
                }
                if self.now > well.since_ns + 3 * wait_ns {
                    self.over = true;
                    return;
                }
            }
            (Some(problem), Some(_)) => {
                return self.checks.broken("I15", format!("all was well, and now {problem}"));
            }
            (Some(problem), None) => {
                // E and W of the longest lease that may be out, back-offs, time-outs of what hangs, and the operator.
                let limit = since + 30 * self.lease_ns + 150_000 * MS;
                if self.now > limit {
                    return self
                        .checks
                        .broken("I15", format!("not well long after the faults: {problem}"));
                }
            }
        }
        self.health.applied = self.checks.commits();
        self.at(self.now + self.lease_ns / 3, Event::HealthLooks);
    }

    fn running(&self) -> Vec<(String, usize, u64)> {
        let actives = self.checks.actives();
        actives
            .map(|(_, package, host, epoch)| (package.to_owned(), host, epoch))
            .collect()
    }

    fn problem(&self) -> Option<String> {
        if !self.health.mended || !self.clients.iter().all(super::client::Client::is_idle) {
            return Some("clients still wait for answers".to_owned());
        }
        let leader = self.servers.iter().position(super::server::Server::is_ready);
        let Some(leader) = leader else {
            return Some("nobody leads".to_owned());
        };
        let term = self.servers[leader].raft.term;
        for (number, server) in self.servers.iter().enumerate() {
            let follows = server.up && server.raft.term == term && server.raft.leader == Some(leader);
            if !follows || (number != leader && server.raft.role != Role::Follower) {
                return Some(format!("s{number} does not follow s{leader}"));
            }
            // What the leader had applied at the look before: a tick may be on its way.
            if server.applied < self.health.applied {
                return Some(format!("s{number} is behind"));
            }
        }
        let state = &self.servers[leader].state;
        if let Some(node) = state.nodes().find(|node| !node.is_up()) {
            return Some(format!("node {} is not up", node.name));
        }
        for node in state.nodes() {
            // A machine that was booted anew is up in the log until the lease of its former boot is over.
            let mut hosts = self.hosts.iter();
            let host = hosts.find(|host| host.name == node.name.as_str());
            let present = node.session().map(|session| session.0);
            if host.map(|host| host.daemon_identity().1) != present {
                return Some(format!(
                    "the daemon of {} has another session than {present:?}",
                    node.name
                ));
            }
        }
        if state.nodes().count() != self.hosts.len() {
            return Some("not all nodes have registered".to_owned());
        }
        if state.packages().count() != PACKAGES.len() {
            return Some("not all packages are defined".to_owned());
        }
        for package in state.packages() {
            let runs = package.instance.as_ref().map(|instance| instance.phase.clone());
            if runs != Some(Phase::Running) {
                let why = state.why_idle(package).map(|reason| reason.to_string());
                let node = package
                    .instance
                    .as_ref()
                    .and_then(|instance| state.node_at(instance.node));
                let node = node.map(|node| node.name.as_str().to_owned());
                let host = self.hosts.iter().find(|host| Some(&host.name) == node.as_ref());
                let processes: Vec<_> = host.iter().flat_map(|host| host.supervisors.values()).collect();
                let name = package.name();
                let process = processes.iter().find(|process| process.key.package == name.as_str());
                return Some(format!("{name} is {runs:?} on {node:?} ({why:?}); {process:?}"));
            }
        }
        let mut units: Vec<&str> = self.checks.actives().map(|(unit, ..)| unit).collect();
        units.sort_unstable();
        units.dedup();
        (units.len() != UNITS).then(|| format!("only {units:?} are active"))
    }
}
