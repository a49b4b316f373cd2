//! Faults as they are done to the simulated world, and undone.

use server::daemon::event::DaemonEvent;

use super::fault::{Fault, Kind, Target, Trigger};
use super::network::HOSTS_MAX;
use super::world::{Event, MS, World};

impl World {
    /// A fault's time has come.
    pub fn fault_begins(&mut self, number: usize) {
        let fault = self.plan.faults[number];
        match fault.trigger {
            Some(trigger) => self.triggers.push((trigger, number)),
            None => self.breaks(number, fault),
        }
    }

    fn fires(&mut self, trigger: Trigger, host: usize) {
        let Some(place) = self.triggers.iter().position(|(waits, _)| *waits == trigger) else {
            return;
        };
        let (_, number) = self.triggers.remove(place);
        let mut fault = self.plan.faults[number];
        // At such a moment it is the one that just acted, or whoever leads.
        if fault.target != Target::Leader {
            fault.target = Target::Host(host);
        }
        // Not within the very step that fires it.
        self.plan.faults[number].target = fault.target;
        self.plan.faults[number].trigger = None;
        let delay = self.random.below(MS);
        self.at(self.now + delay, Event::FaultBegins(number));
    }

    /// A daemon has just been given time.
    pub fn on_renewal_answered(&mut self, host: usize) {
        if !self.triggers.is_empty() {
            self.fires(Trigger::RenewalAnswered, host);
        }
    }

    /// A leader has just proposed lost sessions.
    pub fn on_lost_proposed(&mut self, server: usize) {
        self.fires(Trigger::LostProposed, server);
    }

    /// A daemon is about to make something active.
    pub fn on_promoted(&mut self, host: usize) {
        self.fires(Trigger::Promotes, host);
    }

    fn resolve(&mut self, target: Target) -> usize {
        match target {
            Target::Host(host) => host,
            Target::Leader => {
                let leader = self.servers.iter().position(super::server::Server::is_ready);
                leader.unwrap_or_else(|| self.random.index(self.servers.len()))
            }
            Target::Active => {
                let hosts: Vec<usize> = self.checks.actives().map(|(_, _, host, _)| host).collect();
                if hosts.is_empty() {
                    self.random.index(self.hosts.len())
                } else {
                    self.random.pick(&hosts)
                }
            }
        }
    }

    fn links(&self, kind: Kind, host: usize) -> Vec<(usize, usize)> {
        let count = self.hosts.len();
        let ends = count + self.clients.len();
        let mut links = Vec::new();
        for from in 0..ends {
            for to in (0..ends).filter(|to| *to != from) {
                let side = |mask: u64, which: usize| mask >> which & 1;
                let within = from < count && to < count;
                let cut = match kind {
                    Kind::Isolate => from == host || to == host,
                    Kind::Deaf => to == host,
                    Kind::Mute => from == host,
                    Kind::Halves(mask) => side(mask, from) != side(mask, to),
                    Kind::Bridge(mask) => within && from != host && to != host && side(mask, from) != side(mask, to),
                    Kind::Ring => within && (from + 1) % count != to && (to + 1) % count != from,
                    _ => false,
                };
                if cut {
                    links.push((from, to));
                }
            }
        }
        links
    }

    fn breaks(&mut self, number: usize, fault: Fault) {
        if self.healing {
            return;
        }
        let host = self.resolve(fault.target);
        let server = host % self.servers.len();
        self.count(fault.kind);
        self.note(|| format!("-- {:?} at n{host} for {} ms", fault.kind, fault.lasts_ns / MS));
        let mut undo = vec![host];
        match fault.kind {
            Kind::Loss(loss) => self.network.loss = loss,
            Kind::Twice(twice) => self.network.twice = twice,
            Kind::Slow(slow_ns) => {
                (self.network.slow_ns, self.network.slow) = (slow_ns, 300);
            }
            Kind::Isolate | Kind::Deaf | Kind::Mute | Kind::Halves(_) | Kind::Bridge(_) | Kind::Ring => {
                let links = self.links(fault.kind, host);
                for (from, to) in links {
                    self.network.cut(from, to, true);
                    undo.push(from * HOSTS_MAX + to);
                }
            }
            Kind::DaemonCut => self.network.cut_daemon(host, true),
            Kind::CrashServer => self.crash_with_luck(server),
            Kind::CrashHost => self.power_off(host),
            Kind::CrashDaemon => {
                self.end_daemon(host);
                self.restart_daemon_soon(host);
            }
            Kind::RestartDaemon | Kind::LeaveDaemon => {
                let event = if fault.kind == Kind::LeaveDaemon {
                    self.hosts[host].left = true;
                    DaemonEvent::Stop
                } else {
                    DaemonEvent::Restart
                };
                let (incarnation, _) = self.hosts[host].daemon_identity();
                self.daemon_hears(host, incarnation, event);
            }
            Kind::PauseServer => self.servers[server].paused += 1,
            Kind::PauseDaemon => self.hosts[host].daemon_paused += 1,
            Kind::PauseSupervisors => self.hosts[host].supervisors_paused += 1,
            Kind::PauseHost => {
                self.hosts[host].daemon_paused += 1;
                self.hosts[host].supervisors_paused += 1;
                if host < self.servers.len() {
                    self.servers[host].paused += 1;
                }
            }
            Kind::Rate(rate) => {
                let now = self.now;
                self.hosts[host].clock.set_rate(now, rate);
                self.replan(host);
            }
            Kind::WallJump => {}
            Kind::SlowDisk(slow_ns) => self.servers[server].slow_disk_ns = slow_ns,
            Kind::FailSync => self.servers[server].broken_disk = true,
            Kind::KillSupervisor => {
                let ids: Vec<u64> = self.hosts[host].supervisors.keys().copied().collect();
                if !ids.is_empty() {
                    let id = self.random.pick(&ids);
                    self.kill_supervisor(host, id);
                }
            }
            Kind::FullQueues => self.servers[server].full += 1,
            Kind::BrokenRecord => self.hosts[host].record_broken += 1,
            Kind::HandOver => {
                if let Some(leader) = self.servers.iter().position(super::server::Server::is_ready) {
                    let to = (leader + 1 + host) % self.servers.len();
                    self.servers[leader].raft.hand_over(to);
                    self.server_gets(leader, Event::ServerWakes(leader));
                }
            }
        }
        self.targets.insert(number, undo);
        self.at(self.now + fault.lasts_ns, Event::FaultEnds(number));
    }

    fn count(&mut self, kind: Kind) {
        *self.faults.entry(kind.name()).or_default() += 1;
    }

    fn crash_with_luck(&mut self, server: usize) {
        let kept = self.random.index(self.servers[server].disk.unsynced() + 1);
        self.crash_server(server, kept);
    }

    fn power_off(&mut self, host: usize) {
        if !self.hosts[host].up {
            return;
        }
        self.hosts[host].up = false;
        if host < self.servers.len() {
            self.crash_with_luck(host);
        }
        self.end_daemon(host);
        for id in self.hosts[host].supervisors.keys().copied().collect::<Vec<_>>() {
            self.becomes_inactive(host, id);
        }
        let its = &mut self.hosts[host];
        its.supervisors.clear();
        // The record was never synced: after a loss of power it is there, or not.
        if self.random.chance(500) {
            self.hosts[host].record = None;
        }
    }

    fn power_on(&mut self, host: usize) {
        if self.hosts[host].up {
            return;
        }
        let (now, shows) = (self.now, self.random.between(MS, 60_000 * MS));
        let rate = self.random.between(900_000, 1_100_000);
        let its = &mut self.hosts[host];
        its.up = true;
        its.boots += 1;
        its.clock = super::clock::Clock::new(now, shows, rate);
        if host < self.servers.len() {
            self.start_server(host);
        }
        let at = self.now + self.random.between(5 * MS, 500 * MS);
        self.at(at, Event::DaemonStarts(host));
    }

    /// A fault's time is over.
    pub fn fault_ends(&mut self, number: usize) {
        let Some(undo) = self.targets.remove(&number) else {
            return;
        };
        let host = undo.first().copied().unwrap_or(0);
        let server = host % self.servers.len();
        let kind = self.plan.faults[number].kind;
        self.note(|| format!("-- {kind:?} at n{host} is over"));
        match kind {
            Kind::Loss(_) => self.network.loss = 0,
            Kind::Twice(_) => self.network.twice = 0,
            Kind::Slow(_) => self.network.slow = 0,
            Kind::Isolate | Kind::Deaf | Kind::Mute | Kind::Halves(_) | Kind::Bridge(_) | Kind::Ring => {
                for link in undo.into_iter().skip(1) {
                    self.network.cut(link / HOSTS_MAX, link % HOSTS_MAX, false);
                }
            }
            Kind::DaemonCut => self.network.cut_daemon(host, false),
            Kind::CrashServer | Kind::FailSync => {
                self.servers[server].broken_disk = false;
                self.start_server(server);
            }
            Kind::CrashHost => self.power_on(host),
            Kind::CrashDaemon | Kind::RestartDaemon | Kind::LeaveDaemon => {
                self.hosts[host].left = false;
                self.start_daemon(host);
            }
            Kind::PauseServer => self.unpause_server(server),
            Kind::PauseDaemon => {
                self.hosts[host].daemon_paused -= 1;
                self.resume_daemon_if_free(host);
            }
            Kind::PauseSupervisors => {
                self.hosts[host].supervisors_paused -= 1;
                self.resume_supervisors_if_free(host);
            }
            Kind::PauseHost => {
                self.hosts[host].daemon_paused -= 1;
                self.hosts[host].supervisors_paused -= 1;
                // Who comes first after a common pause is chance.
                if self.random.chance(500) {
                    self.resume_daemon_if_free(host);
                    self.resume_supervisors_if_free(host);
                } else {
                    self.resume_supervisors_if_free(host);
                    self.resume_daemon_if_free(host);
                }
                if host < self.servers.len() {
                    self.unpause_server(host);
                }
            }
            Kind::SlowDisk(_) => self.servers[server].slow_disk_ns = 0,
            Kind::FullQueues => self.servers[server].full -= 1,
            Kind::BrokenRecord => self.hosts[host].record_broken -= 1,
            Kind::Rate(_) | Kind::WallJump | Kind::KillSupervisor | Kind::HandOver => {}
        }
    }

    fn unpause_server(&mut self, server: usize) {
        self.servers[server].paused -= 1;
        if self.servers[server].paused == 0 {
            self.resume_server(server);
        }
    }

    fn resume_daemon_if_free(&mut self, host: usize) {
        if self.hosts[host].daemon_paused == 0 {
            self.resume_daemon(host);
        }
    }

    fn resume_supervisors_if_free(&mut self, host: usize) {
        if self.hosts[host].supervisors_paused == 0 {
            self.resume_supervisors(host);
        }
    }

    /// All faults end, and what is down is started.
    pub fn faults_are_over(&mut self) {
        self.note(|| "-- all faults are over".to_owned());
        self.healing = true;
        self.triggers.clear();
        for number in self.targets.keys().copied().collect::<Vec<_>>() {
            self.fault_ends(number);
        }
        for host in 0..self.hosts.len() {
            self.power_on(host);
            self.start_daemon(host);
        }
        for server in 0..self.servers.len() {
            self.start_server(server);
        }
    }
}
