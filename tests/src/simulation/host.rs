//! One computer and its daemon process: the loop around `server::daemon::core`, as `server/src/daemon/mod.rs` and
//! `link.rs` have it, with simulated sockets.

use std::collections::{BTreeMap, VecDeque};

use server::daemon::core::{Daemon, Facts, step};
use server::daemon::event::{DaemonAction, DaemonEvent};
use server::daemon::instance::InstanceKey;
use server::daemon::record::{Place, Record};
use server::supervisor::protocol::Order;

use super::clock::Clock;
use super::message::{Body, Envelope, Origin, ReplyTo, Request, Response};
use super::planted::Planted;
use super::supervisor::Supervisor;
use super::world::{Event, MS, World};

/// A renewal that took longer is of no use any more; see `server/src/daemon/link.rs`.
const RENEW_WAIT_NS: u64 = 1_000 * MS;
/// The same for all else.
const CHANGE_WAIT_NS: u64 = 2_000 * MS;
/// Events that wait for a paused daemon: beyond that the senders wait.
const INBOX_MAX: usize = 4_096;

/// A question that waits for its answer.
#[derive(Clone, Debug)]
struct Call {
    kind: CallKind,
    until_ns: u64,
    sent_ns: u64,
    server: usize,
}

#[derive(Clone, Debug)]
enum CallKind {
    Register,
    Renew { session: u64 },
    Report { session: u64, sequence: u64 },
    Extend,
    Leave,
}

/// A daemon process.
pub struct DaemonProcess {
    core: Daemon,
    incarnation: u64,
    wake_ns: u64,
    calls: BTreeMap<u64, Call>,
    inbox: VecDeque<DaemonEvent>,
    /// Planted: how much later than allowed it takes its lease to end.
    receipt_ns: u64,
}

/// One computer.
pub struct Host {
    /// Its node's name.
    pub name: String,
    /// It has power.
    pub up: bool,
    /// CLOCK_BOOTTIME.
    pub clock: Clock,
    /// Counted up at each boot.
    pub boots: u64,
    /// The run directory's record.
    pub record: Option<Record>,
    /// The daemon, while it runs.
    pub daemon: Option<DaemonProcess>,
    /// Counted up with each daemon process.
    pub incarnation: u64,
    /// The supervisors.
    pub supervisors: BTreeMap<u64, Supervisor>,
    /// So many faults pause the daemon.
    pub daemon_paused: u16,
    /// So many faults pause supervisors and programs.
    pub supervisors_paused: u16,
    /// The record can't be written.
    pub record_broken: u16,
    /// The daemon is not to be started again by itself.
    pub left: bool,
    /// What its long poll waits for: server, node, generation.
    pub watched: Option<(usize, u64, u64)>,
    /// Its long poll was answered, and is asked again after this.
    pub hinted_ns: u64,
}

impl Host {
    /// A computer that has just got power.
    #[must_use]
    pub fn new(name: String, clock: Clock) -> Self {
        Self {
            name,
            up: true,
            clock,
            boots: 1,
            record: None,
            daemon: None,
            incarnation: 0,
            supervisors: BTreeMap::new(),
            daemon_paused: 0,
            supervisors_paused: 0,
            record_broken: 0,
            left: false,
            watched: None,
            hinted_ns: 0,
        }
    }

    /// The daemon process and its session.
    #[must_use]
    pub fn daemon_identity(&self) -> (u64, u64) {
        let session = self.record.as_ref().and_then(|record| record.session.as_ref());
        (self.incarnation, session.map_or(0, |session| session.session))
    }

    /// The supervisor that this daemon would send an order to.
    #[must_use]
    pub fn supervisor_of(&self, key: &InstanceKey) -> Option<u64> {
        let mut all = self.supervisors.iter();
        all.find(|(_, supervisor)| supervisor.key == *key && supervisor.daemon == Some(self.incarnation))
            .map(|(id, _)| *id)
    }

    fn place(&self) -> Place {
        Place {
            boot: format!("{}-boot-{}", self.name, self.boots),
            pid_namespace: 1,
            cgroup_namespace: 1,
        }
    }
}

impl World {
    /// Starts the daemon of a host, as its parent does.
    pub fn start_daemon(&mut self, host: usize) {
        if !self.hosts[host].up || self.hosts[host].daemon.is_some() {
            return;
        }
        let now = self.now;
        let seed = self.random.next();
        let servers = self.server_addresses(host);
        let forgets = self.plants(Planted::EpochReused);
        let unproven = self.plants(Planted::CleanStartUnproven);
        let its = &mut self.hosts[host];
        its.incarnation += 1;
        its.left = false;
        let facts = Facts {
            name: its.name.clone(),
            machine: format!("machine-{}", its.name),
            capacity: BTreeMap::from([("slots".to_owned(), 100)]),
            labels: BTreeMap::new(),
            api: format!("{}:7400", its.name),
            environment: BTreeMap::new(),
            containment: None,
            restart_lease_ms: 20_000,
            monitor: Default::default(),
            seed,
        };
        let mut found = its.record.clone();
        if let Some(record) = &mut found {
            if forgets {
                record.marks.clear();
                record.floor = 0;
                let alive = its
                    .supervisors
                    .values()
                    .map(|supervisor| supervisor.pid)
                    .collect::<Vec<_>>();
                record
                    .instances
                    .retain(|one| one.supervisor.is_some_and(|pid| alive.contains(&pid)));
            }
            if unproven && !record.instances.is_empty() {
                record.instances.clear();
                record
                    .ended
                    .extend(record.session.take().map(|session| session.session));
            }
        }
        let now_ns = its.clock.local(now);
        let (core, actions) = Daemon::begin(facts, servers, found, its.place(), now_ns);
        its.daemon = Some(DaemonProcess {
            core,
            incarnation: its.incarnation,
            wake_ns: u64::MAX,
            calls: BTreeMap::new(),
            inbox: VecDeque::new(),
            receipt_ns: 0,
        });
        self.note(|| format!("h{host}: the daemon starts"));
        self.perform(host, actions);
    }

    /// The daemon process is gone.
    pub fn end_daemon(&mut self, host: usize) {
        if let Some(daemon) = self.hosts[host].daemon.take() {
            self.hosts[host].watched = None;
            self.daemon_closed_sockets(host, daemon.incarnation);
        }
    }

    /// The parent starts it again after a moment.
    pub fn restart_daemon_soon(&mut self, host: usize) {
        let at = self.now + self.random.between(5 * MS, 300 * MS);
        self.at(at, Event::DaemonStarts(host));
    }

    /// An event for a daemon process: queued while that is paused.
    pub fn daemon_hears(&mut self, host: usize, incarnation: u64, event: DaemonEvent) {
        let its = &mut self.hosts[host];
        let paused = its.daemon_paused > 0;
        let Some(daemon) = its.daemon.as_mut().filter(|daemon| daemon.incarnation == incarnation) else {
            return;
        };
        if paused {
            if daemon.inbox.len() < INBOX_MAX {
                daemon.inbox.push_back(event);
            }
            return;
        }
        let now_ns = its.clock.local(self.now);
        if self.tracing {
            self.note_daemon(host, &event);
        }
        let Some(daemon) = self.hosts[host].daemon.as_mut() else {
            return;
        };
        let actions = step(&mut daemon.core, now_ns, event);
        self.perform(host, actions);
    }

    /// The daemon runs again.
    pub fn resume_daemon(&mut self, host: usize) {
        loop {
            let Some(daemon) = self.hosts[host].daemon.as_mut() else {
                return;
            };
            let incarnation = daemon.incarnation;
            let Some(event) = daemon.inbox.pop_front() else {
                return self.daemon_hears(host, incarnation, DaemonEvent::Tick);
            };
            self.daemon_hears(host, incarnation, event);
        }
    }

    /// The time that a daemon asked for.
    pub fn daemon_wakes(&mut self, host: usize, incarnation: u64) {
        let now = self.now;
        let Some(daemon) = self.hosts[host].daemon.as_mut() else {
            return;
        };
        if daemon.incarnation != incarnation || daemon.wake_ns != now {
            return;
        }
        daemon.wake_ns = u64::MAX;
        if self.hosts[host].daemon_paused == 0 {
            self.daemon_hears(host, incarnation, DaemonEvent::Tick);
        }
    }

    fn perform(&mut self, host: usize, actions: Vec<DaemonAction>) {
        let mut found = VecDeque::new();
        let mut next = Some(actions);
        while let Some(actions) = next.take() {
            for action in actions {
                if !self.perform_one(host, action, &mut found) {
                    return;
                }
            }
            if let Some(event) = found.pop_front() {
                let now_ns = self.hosts[host].clock.local(self.now);
                let Some(daemon) = self.hosts[host].daemon.as_mut() else {
                    return;
                };
                next = Some(step(&mut daemon.core, now_ns, event));
            }
        }
        self.plan_daemon(host);
    }

    /// False: the process has ended.
    fn perform_one(&mut self, host: usize, action: DaemonAction, found: &mut VecDeque<DaemonEvent>) -> bool {
        let receipt_ns = self.hosts[host].daemon.as_ref().map_or(0, |daemon| daemon.receipt_ns);
        match action {
            DaemonAction::Record => {
                if self.hosts[host].record_broken > 0 {
                    self.end_daemon(host);
                    self.restart_daemon_soon(host);
                    return false;
                }
                let its = &mut self.hosts[host];
                its.record = its.daemon.as_ref().map(|daemon| daemon.core.record());
            }
            DaemonAction::Spawn { key, mut spec } => {
                spec.deadline_ns = spec.deadline_ns.map(|deadline| deadline + receipt_ns);
                found.push_back(self.spawn(host, key, *spec));
            }
            DaemonAction::Order { key, mut order } => {
                if let Order::Renew { deadline_ns, soft_ns } = &mut order {
                    *deadline_ns += receipt_ns;
                    *soft_ns += receipt_ns;
                }
                self.order(host, &key, order);
            }
            DaemonAction::Adopt {
                key,
                process,
                supervisor,
                ..
            } => self.adopt(host, key, process, supervisor),
            // Programs here are asked by a command inside their namespace only.
            DaemonAction::Probe { .. } => {}
            DaemonAction::Register { server, request } => {
                self.call(host, &server, CallKind::Register, Request::Register(request));
            }
            DaemonAction::Renew { server, request } => {
                let kind = CallKind::Renew {
                    session: request.session,
                };
                self.call(host, &server, kind, Request::Renew(request));
            }
            DaemonAction::Report { server, request } => {
                let kind = CallKind::Report {
                    session: request.session,
                    sequence: request.sequence,
                };
                self.call(host, &server, kind, Request::Report(request));
            }
            DaemonAction::Extend { server, request } => {
                self.call(host, &server, CallKind::Extend, Request::Extend(request));
            }
            DaemonAction::Leave { server, request } => {
                self.call(host, &server, CallKind::Leave, Request::Leave(request));
            }
            // No package here needs anything of its node.
            DaemonAction::Watch { .. } => {}
            // No package here asks for it.
            DaemonAction::Reset { .. } => {}
            DaemonAction::Exit => {
                self.end_daemon(host);
                if !self.hosts[host].left {
                    self.restart_daemon_soon(host);
                }
                return false;
            }
        }
        true
    }

    /// When it wants to be woken, and what its long poll waits for.
    fn plan_daemon(&mut self, host: usize) {
        let now = self.now;
        let its = &mut self.hosts[host];
        let now_ns = its.clock.local(now);
        let Some(daemon) = its.daemon.as_mut() else { return };
        if let Some(next) = daemon.core.next_ns(now_ns) {
            let at = its.clock.when(next).max(now + 1);
            if daemon.wake_ns != at {
                daemon.wake_ns = at;
                let incarnation = daemon.incarnation;
                self.at(at, Event::DaemonWakes(host, incarnation));
            }
        }
        let its = &mut self.hosts[host];
        let Some(daemon) = its.daemon.as_ref() else { return };
        let watched = daemon
            .core
            .watch()
            .map(|(server, node, generation)| (server_number(&server), node, generation));
        if watched != its.watched {
            its.watched = watched;
            its.hinted_ns = 0;
            self.hint(host);
        }
    }

    /// Clock rates have changed: what was planned by the old rate is planned anew.
    pub fn replan(&mut self, host: usize) {
        if self.hosts[host].daemon.is_some() {
            self.plan_daemon(host);
        }
        for id in self.hosts[host].supervisors.keys().copied().collect::<Vec<_>>() {
            if let Some(supervisor) = self.hosts[host].supervisors.get_mut(&id) {
                supervisor.forget_timer();
            }
            self.mind_supervisor(host, id);
        }
    }

    fn call(&mut self, host: usize, server: &str, kind: CallKind, request: Request) {
        let now = self.now;
        let server = server_number(server);
        self.next_id += 1;
        let id = self.next_id;
        let renews = matches!(kind, CallKind::Renew { .. });
        let until_ns = now + if renews { RENEW_WAIT_NS } else { CHANGE_WAIT_NS };
        let Some(daemon) = self.hosts[host].daemon.as_mut() else {
            return;
        };
        let incarnation = daemon.incarnation;
        // What nobody waits for any more goes with the next question; a renewal without an answer says nothing.
        daemon.calls.retain(|_, call| call.until_ns > now);
        daemon.calls.insert(
            id,
            Call {
                kind,
                until_ns,
                sent_ns: now,
                server,
            },
        );
        if !renews {
            self.at(until_ns, Event::CallEnds(host, incarnation, id));
        }
        let origin = Origin::Daemon { host, incarnation };
        self.send(Envelope {
            from: host,
            to: server,
            for_server: true,
            body: Body::Request(ReplyTo { origin, call: id }, request),
        });
    }

    /// No answer has come in time.
    pub fn call_ends(&mut self, host: usize, incarnation: u64, id: u64) {
        let Some(daemon) = self.hosts[host]
            .daemon
            .as_mut()
            .filter(|daemon| daemon.incarnation == incarnation)
        else {
            return;
        };
        if let Some(call) = daemon.calls.remove(&id) {
            let event = failed(&call.kind, "unreachable");
            self.daemon_hears(host, incarnation, event);
        }
    }

    /// An answer for a daemon.
    pub fn answer_daemon(&mut self, host: usize, incarnation: u64, id: u64, response: Response) {
        let now = self.now;
        let Some(daemon) = self.hosts[host]
            .daemon
            .as_mut()
            .filter(|daemon| daemon.incarnation == incarnation)
        else {
            return;
        };
        let Some(call) = daemon.calls.remove(&id).filter(|call| call.until_ns > now) else {
            return;
        };
        let event = match (call.kind, response) {
            (CallKind::Register, Response::Registered(answer)) => DaemonEvent::Registered(answer),
            (CallKind::Renew { session }, Response::Renewed(answer)) => {
                let lease_ns = answer.lease_ms * MS;
                self.checks.renewed(session, call.sent_ns, lease_ns);
                if self.plants(Planted::LeaseFromReceipt)
                    && let Some(daemon) = self.hosts[host].daemon.as_mut()
                {
                    daemon.receipt_ns = now - call.sent_ns;
                }
                self.on_renewal_answered(host);
                DaemonEvent::Renewed {
                    server: format!("s{}:7400", call.server),
                    answer,
                }
            }
            (CallKind::Report { session, sequence }, Response::Reported(answer)) => DaemonEvent::Reported {
                session,
                sequence,
                generation: answer.generation,
            },
            (CallKind::Extend, Response::Reported(_)) => DaemonEvent::Extended,
            (CallKind::Leave, _) => DaemonEvent::Left,
            (kind, Response::Failed(code)) => failed(&kind, &code),
            (kind, _) => failed(&kind, "unreachable"),
        };
        self.daemon_hears(host, incarnation, event);
    }
}

fn failed(kind: &CallKind, code: &str) -> DaemonEvent {
    let (code, detail) = (code.to_owned(), String::new());
    match *kind {
        CallKind::Register => DaemonEvent::RegisterFailed { code, detail },
        CallKind::Renew { session } => DaemonEvent::RenewFailed { session, code },
        CallKind::Report { session, .. } => DaemonEvent::ReportFailed { session, code, detail },
        CallKind::Extend => DaemonEvent::ExtendFailed,
        CallKind::Leave => DaemonEvent::Left,
    }
}

/// The number of a server by its address.
#[must_use]
pub fn server_number(address: &str) -> usize {
    let digit = address.as_bytes().get(1).copied().unwrap_or(b'0');
    usize::from(digit.saturating_sub(b'0'))
}
