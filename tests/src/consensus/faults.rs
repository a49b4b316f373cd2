//! Faults: what is broken, when, and for how long.

use std::collections::BTreeSet;
use std::time::Duration;

use statemachine::command::{ClusterSpec, Command, ConfigChange, Shares};
use statemachine::log::v1::Proposal;
use statemachine::time::Millis;

use super::host::Moment;
use super::plan::Scope;
use super::random::Random;
use super::server::{Ask, Told};
use super::simulation::{Asker, Event, Pause, Simulation};

/// A server that is off is switched on again after this.
const OFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(3000));
/// What is broken otherwise is mended after this.
const BROKEN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(3000));
/// A paused server goes on after this.
const PAUSED: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(2500));
/// A daemon that stands still goes on after this.
const STILL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(5000));
/// A slow disk takes so long for a sync.
const SLOW_DISK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(400));
/// A disk that hangs takes so long.
const HANGING_DISK: (Duration, Duration) = (Duration::from_millis(800), Duration::from_millis(2500));
/// A slow network.
const SLOW_NETWORK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(90));
/// Servers in all, those that have left too.
const SERVERS_MAX: usize = 9;
/// A member is removed only from so many.
const SERVERS_TO_REMOVE_FROM: usize = 4;
/// An operator repeats a change that was not confirmed after this.
const REPEAT: Duration = Duration::from_millis(250);

/// What is broken.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    next: u64,
    /// The last fault of the network: its end mends the whole network.
    network: u64,
    /// Servers whose next sync fails.
    disk_errors: BTreeSet<usize>,
    /// Servers that may stop themselves because their disk has failed.
    disk_failed: BTreeSet<usize>,
    /// Servers that are being removed.
    removing: BTreeSet<usize>,
    /// Who led last.
    leader: Option<usize>,
    /// There was one.
    begun: bool,
    /// No more faults come.
    pub over: bool,
}

impl Faults {
    /// Whether a server's sync fails now.
    pub fn takes_disk_error(&mut self, server: usize) -> bool {
        let fails = self.disk_errors.remove(&server);
        if fails {
            self.disk_failed.insert(server);
        }
        fails
    }

    /// Whether a fault was injected that explains why a server stops itself.
    pub fn explains_failure(&mut self, server: usize) -> bool {
        self.disk_failed.remove(&server)
    }

    /// A server has begun to lead.
    pub fn leader_changed(&mut self, server: usize) {
        self.leader = Some(server);
    }

    /// Whether there was a fault.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether a member is being removed.
    #[must_use]
    pub fn membership_changes(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Whether a server is being removed or was.
    #[must_use]
    pub fn was_asked_to_remove(&self, server: usize) -> bool {
        self.removing.contains(&server)
    }

    /// The servers that are being removed.
    #[must_use]
    pub fn removing(&self) -> Vec<usize> {
        self.removing.iter().copied().collect()
    }
}

/// What is broken next, how often compared with the others.
const KINDS: [(&str, u64); 21] = [
    ("crash", 10),
    ("crash of the leader", 10),
    ("crash of several", 4),
    ("crash of all", 2),
    ("leader cut off", 8),
    ("split", 8),
    ("one-way cut", 8),
    ("leader not heard", 5),
    ("leader hears nobody", 5),
    ("bridge", 4),
    ("messages lost", 4),
    ("slow network", 4),
    ("pause", 8),
    ("pause of the leader", 8),
    ("suspend", 4),
    ("slow disk", 5),
    ("hanging disk", 5),
    ("disk error", 2),
    ("hand-over", 6),
    ("member added", 2),
    ("member removed", 2),
];

/// The same for what concerns clocks and daemons.
const OTHER_KINDS: [(&str, u64); 5] = [
    ("daemon stands still", 6),
    ("wall clock set", 2),
    ("clock rate changed", 3),
    ("lease extended", 4),
    ("lease changed", 3),
];

/// What hits a server that does not lead.
const MINORITY_KINDS: [&str; 8] = [
    "crash",
    "pause",
    "suspend",
    "slow disk",
    "hanging disk",
    "follower cut off",
    "follower not heard",
    "follower hears nobody",
];

/// What hits the leader alone.
const LEADER_KINDS: [&str; 3] = ["crash of the leader", "leader cut off", "pause of the leader"];

fn choose(random: &mut Random) -> &'static str {
    let all = || KINDS.iter().chain(&OTHER_KINDS);
    let total: u64 = all().map(|(_, weight)| weight).sum();
    let mut drawn = random.between(0, total - 1);
    for (kind, weight) in all() {
        if drawn < *weight {
            return kind;
        }
        drawn -= weight;
    }
    "crash"
}

impl Simulation {
    /// The next fault, and when the one after it comes.
    pub(super) fn next_fault(&mut self) {
        if self.faults.over {
            return;
        }
        let scope = self.settings.scope;
        let pause = match scope {
            Scope::All => self.random.time(Duration::from_millis(20), self.settings.fault_pause),
            Scope::Minority | Scope::Leader => self.random.time(BROKEN.1, BROKEN.1 * 2),
        };
        self.plan(pause, Event::Fault);
        let kind = match scope {
            Scope::All => choose(&mut self.random),
            Scope::Minority => MINORITY_KINDS[self.random.index(MINORITY_KINDS.len())],
            Scope::Leader => LEADER_KINDS[self.random.index(LEADER_KINDS.len())],
        };
        if self.inject(kind) {
            self.report.count(kind);
            self.faults.begun = true;
            self.note(kind, 0, 0, &[]);
        }
    }

    /// Breaks something; answers whether there was something to break.
    fn inject(&mut self, kind: &str) -> bool {
        let Some(mut victim) = self.some_running() else {
            return false;
        };
        let leader = self
            .faults
            .leader
            .filter(|at| self.servers[*at].power.is_some())
            .unwrap_or(victim);
        if self.settings.scope == Scope::Minority {
            if !self.all_joined() || !self.is_led() {
                return false;
            }
            while victim == leader {
                victim = self.random.index(self.servers.len());
            }
        }
        match kind {
            "crash" => self.crash_for_a_while(victim),
            "crash of the leader" => self.crash_for_a_while(leader),
            "crash of several" => {
                for _ in 0..self.random.between(2, 3) {
                    if let Some(victim) = self.some_running() {
                        self.crash_for_a_while(victim);
                    }
                }
            }
            "crash of all" => {
                for at in self.running() {
                    self.crash_for_a_while(at);
                }
            }
            "pause" | "pause of the leader" | "suspend" => {
                let (at, pause) = match kind {
                    "pause" => (victim, Pause::Stopped),
                    "suspend" => (victim, Pause::Suspended),
                    _ => (leader, Pause::Stopped),
                };
                return self.pause(at, pause);
            }
            "slow disk" | "hanging disk" => {
                let leads = self.settings.scope == Scope::All && self.random.chance(5000);
                let at = if leads { leader } else { victim };
                self.servers[at].sync = if kind == "slow disk" { SLOW_DISK } else { HANGING_DISK };
                self.mend_later();
            }
            "disk error" => {
                self.faults.disk_errors.insert(victim);
            }
            "hand-over" => {
                let asked = self.some_server();
                let to = self.some_server();
                let to = self.member_of(to).filter(|_| self.random.chance(5000));
                self.ask(Asker::Operator, asked, Ask::HandOver(to));
            }
            "member added" | "member removed" => return self.change_membership(kind == "member added", victim),
            "daemon stands still" => {
                if self.daemons.is_empty() {
                    return false;
                }
                let daemon = self.random.index(self.daemons.len());
                let length = self.random.time(STILL.0, STILL.1);
                self.daemons[daemon].stands_still_until = self.now + nanos(length);
            }
            "wall clock set" => {
                let seconds = i64::try_from(self.random.between(0, 200_000)).unwrap_or(0) - 100_000;
                let now = self.now;
                self.servers[victim].clock.set_wall(now, seconds);
            }
            "clock rate changed" => {
                let error = self.settings.clock_error;
                let rate = self.random.between(1_000_000 - error, 1_000_000 + error);
                let now = self.now;
                self.servers[victim].clock.set_rate(now, rate);
            }
            "lease changed" => self.change_the_lease(victim),
            "lease extended" => return self.extend_a_lease(victim),
            "follower cut off" => {
                let all = self.servers.len();
                self.network.separate(&[victim].into(), all);
                self.network_broken();
            }
            "follower not heard" | "follower hears nobody" => {
                for other in (0..self.servers.len()).filter(|other| *other != victim) {
                    let heard = kind == "follower hears nobody";
                    let (from, to) = if heard { (other, victim) } else { (victim, other) };
                    self.network.cut(from, to);
                }
                self.network_broken();
            }
            _ => self.break_network(kind, leader),
        }
        true
    }

    fn break_network(&mut self, kind: &str, leader: usize) {
        let all = self.servers.len();
        let some = self.random.index(all);
        let other = (some + 1 + self.random.index(all - 1)) % all;
        match kind {
            "leader cut off" => self.network.separate(&[leader].into(), all),
            "split" => {
                let group = (0..all).filter(|_| self.random.chance(5000)).collect();
                self.network.separate(&group, all);
            }
            "one-way cut" => self.network.cut(some, other),
            "leader not heard" => (0..all)
                .filter(|to| *to != leader)
                .for_each(|to| self.network.cut(leader, to)),
            "leader hears nobody" => (0..all)
                .filter(|at| *at != leader)
                .for_each(|at| self.network.cut(at, leader)),
            "bridge" => {
                self.network.cut(some, other);
                self.network.cut(other, some);
            }
            "messages lost" => {
                let loss = self.random.between(100, 3000);
                self.network.disturb(self.settings.delay, loss);
            }
            _ => self.network.disturb(SLOW_NETWORK, self.settings.loss),
        }
        self.network_broken();
    }

    fn network_broken(&mut self) {
        self.faults.network = self.faults.next + 1;
        self.mend_later();
    }

    /// An operator sets another lease for the whole cluster.
    fn change_the_lease(&mut self, server: usize) {
        let lease = Millis([1000, 1500, 2000, 3000][self.random.index(4)]);
        let spec = ClusterSpec {
            name: "changed".to_owned(),
            lease,
            min_nodes: 1,
            start_wait: Millis(1000),
            shares: Shares::None,
            overload: 100,
            resume: 85,
            modes: Vec::new(),
        };
        let proposal = Proposal {
            request: None,
            command: Command::Configure {
                expect: None,
                changes: vec![ConfigChange::PutCluster(spec)],
            },
        };
        self.settings.lease = lease;
        self.ask(Asker::Operator, server, Ask::Propose(Box::new(proposal)));
    }

    /// A daemon asks for a longer lease,as before a planned restart.
    fn extend_a_lease(&mut self, server: usize) -> bool {
        let daemon = self.random.index(self.daemons.len().max(1));
        let session = self.daemons.get(daemon).and_then(super::daemon::Daemon::session);
        let Some((node, session)) = session else { return false };
        let lease = Millis(self.random.between(1500, 8000));
        let proposal = Proposal {
            request: None,
            command: Command::ExtendLease { node, session, lease },
        };
        self.ask(Asker::Operator, server, Ask::Propose(Box::new(proposal)));
        true
    }

    fn mend_later(&mut self) {
        self.faults.next += 1;
        let fault = self.faults.next;
        let length = self.random.time(BROKEN.0, BROKEN.1);
        self.plan(length, Event::Mend(fault));
    }

    /// A fault has its end.
    pub(super) fn mend_fault(&mut self, fault: u64) {
        if fault == self.faults.network {
            self.network.mend();
        }
        for server in &mut self.servers {
            server.sync = self.settings.sync;
        }
        self.note("mend", 0, fault, &[]);
    }

    fn crash_for_a_while(&mut self, server: usize) {
        self.crash(server);
        self.plan_restart(server);
    }

    /// Switches a server on again after a while.
    pub(super) fn plan_restart(&mut self, server: usize) {
        let length = self.random.time(OFF.0, OFF.1);
        self.plan(length, Event::Start(server));
    }

    fn pause(&mut self, server: usize, pause: Pause) -> bool {
        let now = self.now;
        let length = self.random.time(PAUSED.0, PAUSED.1);
        let run = self.servers[server].runs;
        let Some(power) = self.servers[server]
            .power
            .as_mut()
            .filter(|power| power.paused.is_none())
        else {
            return false;
        };
        power.paused = Some((now, pause));
        self.plan(length, Event::Resume(server, run));
        true
    }

    fn change_membership(&mut self, adds: bool, victim: usize) -> bool {
        if adds {
            if self.servers.len() >= SERVERS_MAX || self.reference.state().cluster().is_none() {
                return false;
            }
            let server = self.add_server();
            self.plan(Duration::from_millis(1), Event::Start(server));
            return true;
        }
        let present = self.servers.iter().filter(|server| !server.removed).count();
        if present < SERVERS_TO_REMOVE_FROM || self.faults.membership_changes() || self.member_of(victim).is_none() {
            return false;
        }
        self.faults.removing.insert(victim);
        self.remove(victim);
        true
    }

    /// An operator asks for a member's removal, and repeats it until it is confirmed.
    pub(super) fn remove(&mut self, server: usize) {
        let Some(member) = self.member_of(server) else {
            self.removed(server);
            return;
        };
        let asked = self.some_server();
        self.ask(Asker::Remover(server), asked, Ask::Remove(member));
        self.plan(REPEAT, Event::Remove(server));
    }

    /// The operator has an answer.
    pub(super) fn remover_told(&mut self, server: usize, told: &Told) {
        if matches!(told, Told::Changed(Ok(()))) {
            self.removed(server);
        }
    }

    /// A server has left for good.
    pub(super) fn removed(&mut self, server: usize) {
        if self.faults.removing.remove(&server) {
            self.crash(server);
            self.servers[server].removed = true;
            self.note("removed", server, 0, &[]);
        }
    }

    /// Whether a server is being removed.
    pub(super) fn repeat_removal(&mut self, server: usize) {
        if self.faults.removing.contains(&server) {
            self.remove(server);
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.servers.len())
            .filter(|at| self.servers[*at].power.is_some())
            .collect()
    }

    fn some_running(&mut self) -> Option<usize> {
        let running = self.running();
        (!running.is_empty()).then(|| running[self.random.index(running.len())])
    }

    /// Mends everything: what follows must heal by itself (I15).
    pub fn mend_all(&mut self) {
        self.faults.over = true;
        self.faults.disk_errors.clear();
        self.network.calm();
        let now = self.now;
        for at in 0..self.servers.len() {
            self.servers[at].sync = self.settings.sync;
            let run = self.servers[at].runs;
            if self.servers[at]
                .power
                .as_ref()
                .is_some_and(|power| power.paused.is_some())
            {
                self.plan(Duration::from_nanos(1), Event::Resume(at, run));
            }
            if self.servers[at].power.is_none() {
                self.plan(Duration::from_millis(1), Event::Start(at));
            }
        }
        for daemon in &mut self.daemons {
            daemon.stands_still_until = daemon.stands_still_until.min(now);
        }
    }
}

fn nanos(length: Duration) -> Moment {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}
