//! What the simulated kernels and disks show to the invariants.

use std::rc::Rc;

use super::check::Claim;
use super::consensus::LogEntry;
use super::server::Server;
use super::world::World;

impl World {
    /// The first server to know a commit gives it to the reference; I12: it is on a majority of disks.
    pub fn commit_reference(&mut self, server: usize, index: u64, entry: &Rc<LogEntry>) {
        if !self.checks.commits_entry(server, index, entry) {
            return;
        }
        let on_disk = |server: &Server| {
            let image = &server.disk.image;
            index <= image.base.0 || image.term_at(index) == Some(entry.term)
        };
        let count = self.servers.iter().filter(|server| on_disk(server)).count();
        if count * 2 <= self.servers.len() {
            let text = format!(
                "entry {index} is committed and on {count} disks of {}",
                self.servers.len()
            );
            self.checks.broken("I12", text);
        }
    }

    /// What the reference has given up must be gone; what began a session must be alone.
    pub(super) fn check_released(&mut self) {
        if self.checks.released.is_empty() && self.checks.registered.is_empty() {
            return;
        }
        for (package, start, node) in std::mem::take(&mut self.checks.released) {
            let Some(host) = self.hosts.iter().find(|host| host.name == node) else {
                continue;
            };
            let alive = host
                .supervisors
                .values()
                .find(|supervisor| supervisor.go && supervisor.key.package == package && supervisor.key.start == start);
            if let Some(alive) = alive {
                let text = format!(
                    "{package} as {start} on {node} was given up while its processes live (session {})",
                    alive.session
                );
                self.checks.broken("I20", text);
            }
        }
        for (node, session) in std::mem::take(&mut self.checks.registered) {
            let Some(host) = self.hosts.iter().find(|host| host.name == node) else {
                continue;
            };
            let old = host
                .supervisors
                .values()
                .find(|supervisor| supervisor.go && supervisor.session < session);
            if let Some(old) = old {
                let text = format!(
                    "session {session} of {node} began while {} of session {} lives",
                    old.key.package, old.session
                );
                self.checks.broken("I6", text);
            }
        }
    }

    /// An instance counts as active from now on: before anything is told to it.
    pub fn becomes_active(&mut self, host: usize, id: u64, epoch: u64) {
        let its = &self.hosts[host];
        let Some(supervisor) = its.supervisors.get(&id) else {
            return;
        };
        let package = supervisor.key.package.clone();
        let marks = its
            .record
            .as_ref()
            .and_then(|record| record.marks.get(&package))
            .copied();
        let claim = Claim {
            host,
            supervisor: id,
            epoch,
            session: supervisor.session,
            armed: supervisor.armed_ns > 0,
            recorded: marks.is_some_and(|mark| mark >= epoch),
            package,
        };
        self.note(|| format!("n{host}: {} is active as {epoch}", claim.package));
        self.checks.becomes_active(claim);
        self.on_promoted(host);
    }

    /// Nothing of an instance is left.
    pub fn becomes_inactive(&mut self, host: usize, id: u64) {
        if let Some(supervisor) = self.hosts[host].supervisors.get(&id) {
            let (package, process) = (supervisor.key.package.clone(), supervisor.process);
            self.note(|| format!("n{host}: nothing is left of {package} started as {process}"));
        }
        self.checks.becomes_inactive(id);
    }

    /// A package's program is about to be executed.
    pub fn starts(&mut self, host: usize, id: u64) {
        if let Some(supervisor) = self.hosts[host].supervisors.get(&id) {
            self.checks.starts(host, &supervisor.key.package, supervisor.session);
        }
    }
}
