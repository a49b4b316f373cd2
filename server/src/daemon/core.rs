//! What the daemon decides, without any I/O: `step` takes what happened and returns what to do.
//!
//! The daemon chooses nothing about placement: it does what the desired set says, or refuses where lease, epoch or an
//! earlier process forbid it. What it does with each instance is in [`reconcile`](super::reconcile).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use client::wire::daemon::{DesiredInstance, Extend, Leave, Register, Registered, Renew, Renewed, Report};

use super::event::{DaemonAction, DaemonEvent};
use super::instance::{Instance, InstanceKey, Stage};
use super::lease::Lease;
use super::record::{Place, Record, RecordedInstance, RecordedSession};
use super::report::Reports;
use super::servers::Servers;
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::Order;

/// Between two tries to register, where no server could be asked.
const REGISTER_RETRY_MS: u64 = 100;
/// Between two tries to register, where the cluster refused.
const REGISTER_REFUSED_MS: u64 = 500;
/// Between two tries to report.
const REPORT_RETRY_MS: u64 = 50;
/// How long a daemon that ends tries to tell the cluster so, once everything is stopped.
const FAREWELL_MS: u64 = 5_000;
/// The lease of a planned restart.
const RESTART_LEASE_MS: u64 = 20_000;
/// How long a planned restart tries to get it.
const RESTART_WAIT_MS: u64 = 3_000;
/// Until a server has said otherwise: `R` and `Q` of the default lease.
const RENEW_MS: u64 = 100;
const RETRY_MS: u64 = 25;

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The node's name.
    pub name: String,
    /// Digest of the machine's key and id.
    pub machine: String,
    /// What the node has.
    pub capacity: BTreeMap<String, u64>,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Where its API is.
    pub api: String,
    /// What packages find in their environment beside their own.
    pub environment: BTreeMap<String, String>,
    /// Random, new with each daemon process: nonces count up from it.
    pub seed: u64,
}

/// What the daemon is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The session is over: everything is being killed and proven gone.
    Clearing,
    /// Nothing runs; a new session is asked for.
    Registering {
        /// When the next try is due; none: one is under way.
        next_ns: Option<u64>,
    },
    /// In a session.
    Serving,
}

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// All packages are stopped first.
    Leave {
        /// Set once nothing runs: the cluster is told until then.
        until_ns: Option<u64>,
        /// The end of the session was asked for.
        asked: bool,
    },
    /// All packages run on.
    Restart {
        /// Given up then.
        until_ns: u64,
        /// When the longer lease was granted: a renewal sent after that brings it.
        extended_ns: Option<u64>,
    },
    /// There is nothing left to do.
    Done,
}

/// The daemon's whole state.
#[derive(Debug)]
pub struct Daemon {
    pub(super) facts: Facts,
    pub(super) record: Record,
    pub(super) phase: Phase,
    pub(super) ending: Option<Ending>,
    pub(super) lease: Lease,
    pub(super) servers: Servers,
    pub(super) renew_ms: u64,
    pub(super) retry_ms: u64,
    pub(super) next_renewal_ns: u64,
    pub(super) unanswered: u32,
    pub(super) generation: u64,
    pub(super) desired: Option<BTreeMap<InstanceKey, DesiredInstance>>,
    pub(super) instances: BTreeMap<InstanceKey, Instance>,
    /// Ended, and the manager has not confirmed that it knows: kept in the record until then.
    pub(super) ended: BTreeMap<InstanceKey, RecordedInstance>,
    pub(super) reports: Reports,
    /// The manager's generation after the last report: an older desired set does not know what was reported.
    pub(super) report_generation: u64,
    pub(super) report_ns: Option<u64>,
    pub(super) serial: u64,
}

impl Daemon {
    /// Begins: continues what an earlier daemon of this place recorded, or makes a clean start.
    ///
    /// Returns the daemon and what to do at once. A record of another boot of this machine names sessions that are over
    /// by that alone: their processes went with the kernel that ran them. One of another namespace on the same boot can't
    /// be looked into: where it names instances its session is not claimed to have ended.
    #[must_use]
    pub fn begin(
        facts: Facts,
        servers: Vec<String>,
        found: Option<Record>,
        here: Place,
        now_ns: u64,
    ) -> (Self, Vec<DaemonAction>) {
        let mut daemon = Self {
            facts,
            record: Record::new(here.clone()),
            phase: Phase::Registering { next_ns: Some(now_ns) },
            ending: None,
            lease: Lease::default(),
            servers: Servers::new(servers),
            renew_ms: RENEW_MS,
            retry_ms: RETRY_MS,
            next_renewal_ns: now_ns,
            unanswered: 0,
            generation: 0,
            desired: None,
            instances: BTreeMap::new(),
            ended: BTreeMap::new(),
            reports: Reports::default(),
            report_generation: 0,
            report_ns: Some(now_ns),
            serial: 0,
        };
        let mut actions = Vec::new();
        match found {
            Some(record) if record.place == here => daemon.resume(record, &mut actions),
            Some(record) => {
                let provable = record.place.boot != here.boot || record.instances.is_empty();
                daemon.record.ended = record.ended;
                if provable {
                    daemon
                        .record
                        .ended
                        .extend(record.session.map(|session| session.session));
                }
                actions.push(DaemonAction::Record);
            }
            None => actions.push(DaemonAction::Record),
        }
        daemon.settle(now_ns, &mut actions);
        (daemon, actions)
    }

    fn resume(&mut self, record: Record, actions: &mut Vec<DaemonAction>) {
        for recorded in &record.instances {
            let key = InstanceKey {
                package: recorded.package.clone(),
                start: recorded.start,
            };
            actions.push(DaemonAction::Adopt {
                key: key.clone(),
                process: recorded.process,
                supervisor: recorded.supervisor,
                cgroup: recorded.cgroup.clone(),
            });
            self.instances.insert(key, Instance::recorded(recorded));
        }
        match &record.session {
            Some(session) => {
                self.phase = Phase::Serving;
                self.reports = Reports::resume(session.reported);
            }
            None if !record.instances.is_empty() => self.phase = Phase::Clearing,
            None => {}
        }
        self.record = record;
    }

    /// The record as it must be on disk before the next action.
    #[must_use]
    pub fn record(&self) -> Record {
        let mut record = self.record.clone();
        record.instances = self
            .instances
            .iter()
            .filter_map(|(key, instance)| instance.to_record(key))
            .collect();
        record.instances.extend(self.ended.values().cloned());
        if let Some(session) = &mut record.session {
            session.reported = self.reports.last();
        }
        record
    }

    /// When `step` wants to be called at the latest.
    #[must_use]
    pub fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let phase = match self.phase {
            Phase::Clearing => None,
            Phase::Registering { next_ns } => next_ns,
            Phase::Serving => Some(self.next_renewal_ns),
        };
        let report = self
            .report_ns
            .filter(|_| self.phase == Phase::Serving && !self.reports.is_empty());
        let ending = match self.ending {
            Some(Ending::Leave { until_ns, .. }) => until_ns,
            Some(Ending::Restart { until_ns, .. }) => Some(until_ns),
            Some(Ending::Done) | None => None,
        };
        let instances = self.instances.values().filter_map(Instance::next_ns);
        // What was due has been done or waits for an event, like an answer to a renewal: its time must not keep us awake.
        phase
            .into_iter()
            .chain(report)
            .chain(ending)
            .chain(instances)
            .filter(|at| *at > now_ns)
            .min()
    }

    /// Where the long poll for a newer desired set is to be held: server, node, generation.
    #[must_use]
    pub fn watch(&self) -> Option<(String, u64, u64)> {
        let session = self.record.session.as_ref().filter(|_| self.phase == Phase::Serving)?;
        Some((self.servers.current().to_owned(), session.node, self.generation))
    }

    /// The instances that have processes, with the epoch that names their directory.
    pub fn processes(&self) -> impl Iterator<Item = (&InstanceKey, u64)> {
        self.instances
            .iter()
            .filter(|(_, instance)| instance.has_process())
            .map(|(key, instance)| (key, instance.process))
    }
}

/// What happened in, what to do out. Actions are to be performed in order; where one fails, nothing after it may be done.
pub fn step(daemon: &mut Daemon, now_ns: u64, event: DaemonEvent) -> Vec<DaemonAction> {
    let mut actions = Vec::new();
    match event {
        DaemonEvent::Tick => {}
        DaemonEvent::Registered(answer) => daemon.registered(*answer, now_ns, &mut actions),
        DaemonEvent::RegisterFailed { code, .. } => daemon.register_failed(&code, now_ns),
        DaemonEvent::Renewed { server, answer } => daemon.renewed(&server, *answer, now_ns, &mut actions),
        DaemonEvent::RenewFailed { code } => daemon.renew_failed(&code, now_ns, &mut actions),
        DaemonEvent::Reported { sequence, generation } => daemon.reported(sequence, generation, now_ns),
        DaemonEvent::ReportFailed { code, .. } => daemon.report_failed(&code, now_ns, &mut actions),
        DaemonEvent::Extended => {
            if let Some(Ending::Restart { extended_ns, .. }) = &mut daemon.ending {
                *extended_ns = Some(now_ns);
                daemon.next_renewal_ns = now_ns;
            }
        }
        DaemonEvent::ExtendFailed => daemon.servers.advance(),
        DaemonEvent::Left => {
            daemon.close_session(&mut actions);
        }
        DaemonEvent::Hint { generation } => {
            // Where a renewal is under way already its retries bring the set: a hint is no reason to ask more often, or
            // servers that answer hints and no renewals would be asked as fast as the network carries it.
            if generation > daemon.generation && daemon.unanswered == 0 {
                daemon.next_renewal_ns = now_ns;
            }
        }
        DaemonEvent::Spawned {
            key,
            supervisor,
            cgroup,
        } => daemon.spawned(&key, supervisor, cgroup, &mut actions),
        DaemonEvent::SpawnFailed { key, error } => daemon.spawn_failed(&key, &error),
        DaemonEvent::News { key, process, news } => daemon.hear(&key, process, news, now_ns, &mut actions),
        DaemonEvent::Gone { key, process } => daemon.gone(&key, process, now_ns),
        DaemonEvent::Probed { key, serial, error } => daemon.probed(&key, serial, error, now_ns, &mut actions),
        DaemonEvent::Stop => {
            daemon.ending = Some(Ending::Leave {
                until_ns: None,
                asked: false,
            })
        }
        DaemonEvent::Restart => daemon.begin_restart(now_ns, &mut actions),
    }
    daemon.settle(now_ns, &mut actions);
    actions
}

impl Daemon {
    /// Everything that is due now, whatever happened.
    fn settle(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        self.mind_instances(now_ns, actions);
        match self.phase {
            Phase::Clearing => self.clear(now_ns, actions),
            Phase::Registering { .. } => {}
            Phase::Serving => {
                self.reconcile(now_ns, actions);
                self.renew(now_ns, actions);
                self.report(now_ns, actions);
            }
        }
        self.register(now_ns, actions);
        self.end(now_ns, actions);
    }

    fn register(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let Phase::Registering { next_ns: Some(next_ns) } = self.phase else {
            return;
        };
        if now_ns < next_ns || self.ending.is_some() {
            return;
        }
        self.phase = Phase::Registering { next_ns: None };
        let nonce = match &self.record.registering {
            Some(nonce) => nonce.clone(),
            None => {
                // Recorded before it is sent: sent again by a later daemon it registers once.
                let serial = self.take_serial();
                let nonce = format!("{:016x}-{serial}", self.facts.seed);
                self.record.registering = Some(nonce.clone());
                actions.push(DaemonAction::Record);
                nonce
            }
        };
        let request = Register {
            name: self.facts.name.clone(),
            machine: self.facts.machine.clone(),
            boot: self.record.place.boot.clone(),
            nonce,
            ended: self.record.ended.clone(),
            capacity: self.facts.capacity.clone(),
            labels: self.facts.labels.clone(),
            api: self.facts.api.clone(),
        };
        actions.push(DaemonAction::Register {
            server: self.servers.current().to_owned(),
            request: Box::new(request),
        });
    }

    fn registered(&mut self, answer: Registered, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if !matches!(self.phase, Phase::Registering { .. }) {
            return;
        }
        let Registered {
            cluster_id,
            node,
            session,
            servers,
        } = answer;
        self.record.session = Some(RecordedSession {
            cluster_id,
            node,
            session,
            reported: 0,
        });
        self.record.registering = None;
        self.record.ended.clear();
        self.servers.learn(&servers);
        self.lease = Lease::default();
        self.generation = 0;
        self.report_generation = 0;
        self.desired = None;
        self.reports = Reports::default();
        self.report_ns = Some(now_ns);
        self.next_renewal_ns = now_ns;
        self.unanswered = 0;
        self.phase = Phase::Serving;
        actions.push(DaemonAction::Record);
    }

    fn register_failed(&mut self, code: &str, now_ns: u64) {
        self.servers.advance();
        let refused = !matches!(
            code,
            "unreachable" | "not_ready" | "no_quorum" | "outcome_unknown" | "no_cluster" | "overloaded"
        );
        let wait = if refused {
            REGISTER_REFUSED_MS
        } else {
            REGISTER_RETRY_MS
        };
        self.phase = Phase::Registering {
            next_ns: Some(now_ns.saturating_add(ms(wait))),
        };
    }

    fn renew(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if now_ns < self.next_renewal_ns {
            return;
        }
        let nonce = self.facts.seed.wrapping_add(self.take_serial());
        if self.unanswered > 0 {
            self.servers.advance();
        }
        let Some(session) = &self.record.session else { return };
        let request = Renew {
            cluster_id: session.cluster_id.clone(),
            node: session.node,
            session: session.session,
            nonce,
            generation: self.generation,
        };
        self.lease.sent(nonce, now_ns);
        // Each try without an answer doubles the wait for the next, up to the usual interval: servers that are merely
        // slow must not get more to do.
        let wait = (self.retry_ms << self.unanswered.min(8)).min(self.renew_ms);
        self.unanswered += 1;
        self.next_renewal_ns = now_ns.saturating_add(ms(wait));
        actions.push(DaemonAction::Renew {
            server: self.servers.current().to_owned(),
            request,
        });
    }

    fn renewed(&mut self, server: &str, answer: Renewed, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let Renewed {
            nonce,
            lease_ms,
            soft_ms,
            renew_ms,
            retry_ms,
            generation,
            desired,
            servers,
        } = answer;
        if self.phase != Phase::Serving {
            return;
        }
        let Some(sent_ns) = self.lease.answered(nonce, lease_ms, soft_ms) else {
            return;
        };
        self.servers.learn(&servers);
        self.servers.prefer(server);
        self.renew_ms = renew_ms.max(1);
        self.retry_ms = retry_ms.max(1);
        self.unanswered = 0;
        self.next_renewal_ns = sent_ns.saturating_add(ms(self.renew_ms)).max(now_ns);
        self.arm(actions);
        // A set from before the last report does not know what was reported, and a later one will come.
        let known = generation >= self.report_generation;
        match desired {
            Some(desired) if known && generation > self.generation => self.take_desired(desired, generation),
            _ => {}
        }
        if let Some(Ending::Restart {
            extended_ns: Some(extended_ns),
            ..
        }) = self.ending
            && sent_ns >= extended_ns
        {
            self.ending = Some(Ending::Done);
            actions.push(DaemonAction::Exit);
        }
    }

    /// Tells every supervisor of the present deadline.
    fn arm(&self, actions: &mut Vec<DaemonAction>) {
        for (key, instance) in &self.instances {
            if instance.has_process() && instance.deadline && instance.stage != Stage::Adopting {
                actions.push(DaemonAction::Order {
                    key: key.clone(),
                    order: self.order_renew(),
                });
            }
        }
    }

    pub(super) fn order_renew(&self) -> Order {
        Order::Renew {
            deadline_ns: self.lease.deadline_ns(),
            soft_ns: self.lease.soft_ns(),
        }
    }

    fn renew_failed(&mut self, code: &str, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if code == "session_ended" {
            self.end_session(actions);
        } else if self.unanswered > 0 {
            self.next_renewal_ns = self.next_renewal_ns.min(now_ns.saturating_add(ms(self.retry_ms)));
        }
    }

    /// The session is over: everything is killed, proven gone, and a new one named after it.
    fn end_session(&mut self, actions: &mut Vec<DaemonAction>) {
        if self.phase != Phase::Serving {
            return;
        }
        self.phase = Phase::Clearing;
        self.desired = None;
        self.reports = Reports::default();
        self.ended.clear();
        self.instances.retain(|_, instance| instance.has_process());
        for (key, instance) in &mut self.instances {
            if instance.stage != Stage::Adopting {
                instance.stage = Stage::Ending {
                    failure: None,
                    cause: "lease_ended",
                };
                actions.push(DaemonAction::Order {
                    key: key.clone(),
                    order: Order::Kill,
                });
            }
        }
    }

    fn clear(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if !self.instances.is_empty() {
            return;
        }
        self.record
            .ended
            .extend(self.record.session.take().map(|session| session.session));
        self.reports = Reports::default();
        self.ended.clear();
        self.phase = Phase::Registering { next_ns: Some(now_ns) };
        actions.push(DaemonAction::Record);
    }

    fn report(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if self.report_ns.is_none_or(|due| now_ns < due) {
            return;
        }
        let Some(session) = &self.record.session else { return };
        let (node, session) = (session.node, session.session);
        let before = self.reports.last();
        let Some(report) = self.reports.next_report() else {
            return;
        };
        let request = Report {
            node,
            session,
            sequence: report.sequence,
            observations: report.observations.clone(),
        };
        self.report_ns = None;
        if request.sequence != before {
            // The number is recorded before it is sent, so that no later daemon uses it for something else.
            actions.push(DaemonAction::Record);
        }
        actions.push(DaemonAction::Report {
            server: self.servers.current().to_owned(),
            request,
        });
    }

    fn reported(&mut self, sequence: u64, generation: u64, now_ns: u64) {
        for seen in self.reports.answered(sequence) {
            if seen.state == "ended" {
                self.ended.remove(&InstanceKey {
                    package: seen.package,
                    start: seen.start,
                });
            }
        }
        self.report_ns = Some(now_ns);
        self.report_generation = self.report_generation.max(generation);
        if generation > self.generation {
            self.next_renewal_ns = now_ns;
        }
    }

    fn report_failed(&mut self, code: &str, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        match code {
            // A gap can't be mended inside the session: what the manager misses is told by starting anew.
            "session_ended" | "report_gap" => self.end_session(actions),
            _ => {
                self.servers.advance();
                self.report_ns = Some(now_ns.saturating_add(ms(REPORT_RETRY_MS)));
            }
        }
    }

    fn begin_restart(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        self.ending = Some(Ending::Restart {
            until_ns: now_ns.saturating_add(ms(RESTART_WAIT_MS)),
            extended_ns: None,
        });
        match (&self.record.session, self.phase) {
            (Some(session), Phase::Serving) => {
                let request = Extend {
                    node: session.node,
                    session: session.session,
                    lease_ms: RESTART_LEASE_MS,
                };
                actions.push(DaemonAction::Extend {
                    server: self.servers.current().to_owned(),
                    request,
                });
            }
            _ => {
                self.ending = Some(Ending::Done);
                actions.push(DaemonAction::Exit);
            }
        }
    }

    fn end(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        match self.ending {
            Some(Ending::Restart { until_ns, .. }) if now_ns >= until_ns => {
                // The packages have until their present deadline; the parent starts the next daemon at once.
                self.ending = Some(Ending::Done);
                actions.push(DaemonAction::Exit);
            }
            Some(Ending::Leave { until_ns, asked }) => self.leave(until_ns, asked, now_ns, actions),
            Some(Ending::Restart { .. } | Ending::Done) | None => {}
        }
    }

    fn leave(&mut self, until_ns: Option<u64>, asked: bool, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        self.stop_all(actions);
        if !self.instances.is_empty() {
            return;
        }
        let until = until_ns.unwrap_or_else(|| now_ns.saturating_add(ms(FAREWELL_MS)));
        let session = self.record.session.as_ref().filter(|_| self.phase == Phase::Serving);
        let Some(session) = session.filter(|_| now_ns < until) else {
            return self.close_session(actions);
        };
        let ask = !asked && self.reports.is_empty();
        if ask {
            let request = Leave {
                node: session.node,
                session: session.session,
            };
            actions.push(DaemonAction::Leave {
                server: self.servers.current().to_owned(),
                request,
            });
        }
        self.ending = Some(Ending::Leave {
            until_ns: Some(until),
            asked: asked || ask,
        });
    }

    /// Nothing runs any more, which is proven: the next registration may name this session, whether it was left or not.
    fn close_session(&mut self, actions: &mut Vec<DaemonAction>) {
        self.record
            .ended
            .extend(self.record.session.take().map(|session| session.session));
        self.ended.clear();
        self.ending = Some(Ending::Done);
        actions.extend([DaemonAction::Record, DaemonAction::Exit]);
    }

    pub(super) fn take_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
