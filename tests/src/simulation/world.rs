//! The whole cluster and its one queue of events, in true time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use server::daemon::event::DaemonEvent;
use server::timers::Timers;
use statemachine::id::NodeName;
use statemachine::time::Millis;

use super::check::Checks;
use super::client::Client;
use super::clock::Clock;
use super::consensus::{Raft, RaftTimers};
use super::disk::Disk;
use super::fault::{Plan, Trigger};
use super::host::Host;
use super::message::{Body, Envelope, Origin};
use super::network::Network;
use super::planted::Planted;
use super::program::ProgramEvent;
use super::random::Random;
use super::server::Server;
use super::supervisor::Input;

/// Nanoseconds.
pub const MS: u64 = 1_000_000;
/// Between two answers to one long poll; see `server/src/daemon/link.rs`.
const HINT_PAUSE_NS: u64 = 100 * MS;
/// Lines of a trace that are kept.
const TRACE_MAX: usize = 50_000;

/// Everything that can happen.
pub enum Event {
    /// A message arrives.
    Arrives(Box<Envelope>),
    /// A server's sync is done.
    Synced(usize, u64),
    /// A server asked to be woken.
    ServerWakes(usize),
    /// A daemon process is started by its parent.
    DaemonStarts(usize),
    /// A daemon asked to be woken.
    DaemonWakes(usize, u64),
    /// A daemon hears something from its own host.
    DaemonHears(usize, u64, Box<DaemonEvent>),
    /// A daemon's question has had no answer.
    CallEnds(usize, u64, u64),
    /// A program or its namespace does something.
    Program(usize, u64, ProgramEvent),
    /// A supervisor or its kernel looks at the time.
    SupervisorLooks(usize, u64),
    /// The kernel has killed a supervisor and all below it.
    DeadmanDone(usize, u64),
    /// A client does its next thing.
    ClientActs(usize, u64),
    /// A fault begins.
    FaultBegins(usize),
    /// It ends.
    FaultEnds(usize),
    /// An operator looks at lost nodes.
    OperatorLooks,
    /// The next look at whether all is well.
    HealthLooks,
}

/// The cluster.
pub struct World {
    /// True time.
    pub now: u64,
    /// `T` at the start.
    pub lease_ns: u64,
    /// The timers of the cluster.
    pub timers: Timers,
    /// Draws for everything but the network, clients and faults.
    pub random: Random,
    /// All computers of the cluster; the first ones have servers.
    pub hosts: Vec<Host>,
    /// All servers.
    pub servers: Vec<Server>,
    /// All clients.
    pub clients: Vec<Client>,
    /// Draws for clients.
    pub client_random: Random,
    /// The network.
    pub network: Network,
    /// The invariants.
    pub checks: Checks,
    /// What is broken when.
    pub plan: Plan,
    /// Armed triggers: which fault waits for what.
    pub triggers: Vec<(Trigger, usize)>,
    /// Targets of faults that have begun.
    pub targets: BTreeMap<usize, Vec<usize>>,
    /// Faults are over.
    pub healing: bool,
    /// Faults that were done, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Elections that were won.
    pub leader_changes: u64,
    /// For ids of any kind.
    pub next_id: u64,
    /// Set once the run is over.
    pub over: bool,
    /// What the health check has seen.
    pub health: super::health::Health,
    /// Commands that clients know the outcome of.
    pub acknowledged: u64,
    /// Keep lines of what happens.
    pub tracing: bool,
    /// The last lines.
    pub trace: VecDeque<String>,
    /// A hash of all that happened.
    pub hash: u64,
    /// Events so far.
    pub events: u64,
    planted: Option<Planted>,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    slots: Vec<Option<Event>>,
    free: Vec<usize>,
    sequence: u64,
    raft_timers: RaftTimers,
}

impl World {
    /// A cluster that is about to be started for the first time.
    #[must_use]
    pub fn new(seed: u64, plan: Plan, planted: Option<Planted>, tracing: bool) -> Self {
        let mut random = Random::new(seed, 1);
        let timers = Timers::of(Millis(plan.lease_ms));
        // Longer leases than the default keep the proportions of the default: the model has no cap on heartbeats, so that
        // an hour of a long lease costs less.
        let beat_ns = (plan.lease_ms * 3 / 100).max(timers.heartbeat_ms) * MS;
        let raft_timers = RaftTimers {
            heartbeat_ns: beat_ns,
            election_min_ns: beat_ns * 3,
            election_max_ns: beat_ns * 5,
        };
        let hosts: Vec<Host> = (0..plan.hosts)
            .map(|host| {
                let rate = random.between(900_000, 1_100_000);
                Host::new(
                    format!("n{host}"),
                    Clock::new(0, random.between(MS, 1_000_000 * MS), rate),
                )
            })
            .collect();
        let servers = (0..plan.servers)
            .map(|server| {
                let disk = Disk::default();
                let now_ns = hosts[server].clock.local(0);
                let mut raft = Raft::start(server, plan.servers, raft_timers, &disk, &mut random, now_ns);
                raft.acks_unsynced = planted == Some(Planted::AckBeforeDurable);
                Server::start(1, disk, raft)
            })
            .collect();
        let mut world = Self {
            now: 0,
            lease_ns: plan.lease_ms * MS,
            timers,
            random,
            hosts,
            servers,
            clients: Vec::new(),
            client_random: Random::new(seed, 2),
            network: Network::new(Random::new(seed, 3)),
            checks: Checks::new(plan.servers, planted == Some(Planted::KeysIgnored)),
            triggers: Vec::new(),
            targets: BTreeMap::new(),
            healing: false,
            faults: BTreeMap::new(),
            leader_changes: 0,
            next_id: 0,
            over: false,
            health: super::health::Health::default(),
            acknowledged: 0,
            tracing,
            trace: VecDeque::new(),
            hash: seed,
            events: 0,
            planted,
            queue: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            raft_timers,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for server in 0..self.servers.len() {
            self.at(MS, Event::ServerWakes(server));
        }
        for host in 0..self.hosts.len() {
            let at = self.random.between(MS, 500 * MS);
            self.at(at, Event::DaemonStarts(host));
        }
        self.begin_clients();
        for fault in 0..self.plan.faults.len() {
            let at = self.plan.faults[fault].at_ns;
            self.at(at, Event::FaultBegins(fault));
        }
        let look = self.lease_ns * 5;
        self.at(look, Event::OperatorLooks);
        self.at(self.plan.end_ns, Event::HealthLooks);
    }

    /// Whether this bug is planted.
    #[must_use]
    pub fn plants(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// Plans an event.
    pub fn at(&mut self, at: u64, event: Event) {
        if at == u64::MAX {
            return;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                self.slots.len() - 1
            }
        };
        self.sequence += 1;
        self.queue.push(Reverse((at.max(self.now), self.sequence, slot)));
    }

    /// Keeps a line of the trace.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            if self.trace.len() >= TRACE_MAX {
                self.trace.pop_front();
            }
            self.trace
                .push_back(format!("{:>10.3} ms  {}", self.now as f64 / MS as f64, line()));
        }
    }

    /// A line about what a daemon hears, where it is worth one.
    pub fn note_daemon(&mut self, host: usize, event: &DaemonEvent) {
        if !matches!(event, DaemonEvent::Tick | DaemonEvent::Renewed { .. }) {
            self.note(|| {
                let mut text = format!("n{host} hears {event:?}");
                text.truncate(300);
                text
            });
        }
    }

    /// Runs until the end of the plan and the health check after it, or until something is broken.
    pub fn run(&mut self) {
        while !self.over && self.checks.violation.is_none() {
            let Some(Reverse((at, _, slot))) = self.queue.pop() else {
                break;
            };
            let Some(event) = self.slots[slot].take() else { continue };
            self.free.push(slot);
            self.now = at;
            self.checks.now = at;
            self.events += 1;
            self.dispatch(event);
            self.check_released();
        }
    }

    fn mix(&mut self, tag: u64, which: usize) {
        let word = self.now ^ (tag << 56) ^ ((which as u64) << 48);
        self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Arrives(envelope) => {
                self.mix(1, envelope.to);
                self.arrives(envelope);
            }
            Event::Synced(server, incarnation) => {
                self.mix(2, server);
                self.server_gets(server, Event::Synced(server, incarnation));
            }
            Event::ServerWakes(server) => {
                self.mix(3, server);
                if self.servers[server].paused == 0 {
                    self.server_gets(server, Event::ServerWakes(server));
                }
            }
            Event::DaemonStarts(host) => self.start_daemon(host),
            Event::DaemonWakes(host, incarnation) => {
                self.mix(4, host);
                self.daemon_wakes(host, incarnation);
            }
            Event::DaemonHears(host, incarnation, event) => {
                self.mix(5, host);
                self.daemon_hears(host, incarnation, *event);
            }
            Event::CallEnds(host, incarnation, id) => self.call_ends(host, incarnation, id),
            Event::Program(host, id, event) => {
                self.mix(6, host);
                self.input(host, id, Input::Program(event));
            }
            Event::SupervisorLooks(host, id) => self.mind_supervisor(host, id),
            Event::DeadmanDone(host, id) => self.deadman_done(host, id),
            Event::ClientActs(client, attempt) => self.client_acts(client, attempt),
            Event::FaultBegins(fault) => self.fault_begins(fault),
            Event::FaultEnds(fault) => self.fault_ends(fault),
            Event::OperatorLooks => self.operator_looks(),
            Event::HealthLooks => self.health_looks(),
        }
    }

    fn daemon_of(envelope: &Envelope) -> Option<usize> {
        match &envelope.body {
            Body::Request(reply, _) | Body::Response(reply, _) => match reply.origin {
                Origin::Daemon { host, .. } => Some(host),
                Origin::Client { .. } | Origin::Server { .. } => None,
            },
            Body::Hint { .. } => Some(envelope.to),
            Body::Raft(_) => None,
        }
    }

    /// Sends a message: it arrives, later, twice, or never.
    pub fn send(&mut self, envelope: Envelope) {
        let daemon = Self::daemon_of(&envelope);
        let [first, second] = self.network.send(envelope.from, envelope.to, daemon);
        if let Some(delay) = second {
            self.at(self.now + delay, Event::Arrives(Box::new(envelope.clone())));
        }
        if let Some(delay) = first {
            self.at(self.now + delay, Event::Arrives(Box::new(envelope)));
        }
    }

    fn arrives(&mut self, envelope: Box<Envelope>) {
        if !self
            .network
            .passes(envelope.from, envelope.to, Self::daemon_of(&envelope))
        {
            return;
        }
        if envelope.for_server {
            let to = envelope.to;
            if let Body::Response(reply, _) = &envelope.body
                && let Origin::Server { incarnation, .. } = reply.origin
                && self.servers[to].incarnation != incarnation
            {
                return;
            }
            return self.server_gets(to, Event::Arrives(envelope));
        }
        let Envelope { to, body, .. } = *envelope;
        match body {
            Body::Response(reply, response) => match reply.origin {
                Origin::Daemon { host, incarnation } => self.answer_daemon(host, incarnation, reply.call, response),
                Origin::Client { client } => self.client_hears(client, reply.call, response),
                Origin::Server { .. } => {}
            },
            Body::Hint {
                incarnation,
                generation,
            } => self.daemon_hears(to, incarnation, DaemonEvent::Hint { generation }),
            Body::Raft(_) | Body::Request(..) => {}
        }
    }

    /// The servers that a host's daemon is configured with: its own first.
    #[must_use]
    pub fn server_addresses(&self, host: usize) -> Vec<String> {
        let count = self.servers.len();
        (0..count)
            .map(|offset| format!("s{}:7400", (host + offset) % count))
            .collect()
    }

    /// A server's wall clock, for people only.
    #[must_use]
    pub fn wall_ms(&self, server: usize) -> u64 {
        let jump = (self.hash >> 40) * u64::from(self.plan.wall_jumps);
        1_800_000_000_000 + self.now / MS + server as u64 + jump
    }

    /// A long poll is answered where there is something newer.
    pub fn hint(&mut self, host: usize) {
        let Some((server, node, generation)) = self.hosts[host].watched else {
            return;
        };
        let Some(it) = self.servers.get(server).filter(|it| it.up && it.paused == 0) else {
            return;
        };
        let newer = server::api::protocol::generation(&it.state, statemachine::id::NodeId(node));
        if newer.0 <= generation {
            return;
        }
        if self.now < self.hosts[host].hinted_ns {
            return;
        }
        self.hosts[host].hinted_ns = self.now + HINT_PAUSE_NS;
        let (incarnation, _) = self.hosts[host].daemon_identity();
        self.send(Envelope {
            from: server,
            to: host,
            for_server: false,
            body: Body::Hint {
                incarnation,
                generation: newer.0,
            },
        });
    }

    /// All long polls at a server are answered that may be.
    pub fn hints_of(&mut self, server: usize) {
        for host in 0..self.hosts.len() {
            if self.hosts[host]
                .watched
                .is_some_and(|(watched, _, _)| watched == server)
            {
                self.hint(host);
            }
        }
    }

    /// Starts a server process from its disk.
    pub fn start_server(&mut self, server: usize) {
        if self.servers[server].up || !self.hosts[server].up {
            return;
        }
        let now_ns = self.hosts[server].clock.local(self.now);
        let old = &mut self.servers[server];
        let disk = std::mem::take(&mut old.disk);
        let count = self.hosts.len().min(self.plan.servers);
        let mut raft = Raft::start(server, count, self.raft_timers, &disk, &mut self.random, now_ns);
        raft.acks_unsynced = self.planted == Some(Planted::AckBeforeDurable);
        let mut new = Server::start(old.incarnation + 1, disk, raft);
        (new.paused, new.slow_disk_ns, new.full) = (old.paused, old.slow_disk_ns, old.full);
        self.checks.restarted(server, new.applied);
        self.servers[server] = new;
        self.note(|| format!("s{server} starts"));
        self.at(self.now + 1, Event::ServerWakes(server));
    }

    /// Ends a server process; of what its disk has not synced, the first `kept` writes stay.
    pub fn crash_server(&mut self, server: usize, kept: usize) {
        let it = &mut self.servers[server];
        if it.up {
            it.up = false;
            it.disk.crash(kept);
            self.note(|| format!("s{server} ends"));
        }
    }

    /// The node's name of a host.
    #[must_use]
    pub fn node_name(&self, host: usize) -> NodeName {
        match NodeName::new(&self.hosts[host].name) {
            Ok(name) => name,
            Err(error) => panic!("{error}"),
        }
    }
}
