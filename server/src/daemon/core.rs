//! What the daemon decides, without any I/O: `step` takes what happened and returns what to do.
//!
//! The daemon chooses nothing about placement: it does what the desired set says, or refuses where lease, epoch or an
//! earlier process forbid it. What it does with each instance is in [`reconcile`](super::reconcile).

mod ending;
mod measuring;
mod reporting;
mod resetting;
mod session;
#[cfg(test)]
mod tests;
mod watching;

use std::collections::{BTreeMap, BTreeSet};

use client::wire::daemon::DesiredInstance;

use super::event::{DaemonAction, DaemonEvent};
use super::instance::{Instance, InstanceKey};
use super::lease::Lease;
use super::record::{Place, Record, RecordedInstance};
use super::report::Reports;
use super::servers::Servers;
pub use watching::Condition;

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
    /// How the processes of packages are held together here, in the words of the protocol; none: not known.
    pub containment: Option<String>,
    /// The lease that a planned restart asks for.
    pub restart_lease_ms: u64,
    /// What the node file wants to have looked at beside what packages need.
    pub monitor: BTreeSet<String>,
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
    /// When the first of them was sent.
    pub(super) asking_since_ns: Option<u64>,
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
    /// How long there was no answer when this node was told that it had been declared down.
    pub(super) cut_off_ms: Option<u64>,
    /// The node is to be reset: the lease ended under a package that demands it.
    pub(super) reset: Option<resetting::Due>,
    /// The deadline after which that was done last: once for each.
    pub(super) reset_after_ns: u64,
    pub(super) watching: watching::Watching,
    pub(super) measuring: measuring::Measuring,
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
            asking_since_ns: None,
            generation: 0,
            desired: None,
            instances: BTreeMap::new(),
            ended: BTreeMap::new(),
            reports: Reports::default(),
            report_generation: 0,
            report_ns: Some(now_ns),
            serial: 0,
            cut_off_ms: None,
            reset: None,
            reset_after_ns: 0,
            watching: watching::Watching::default(),
            measuring: measuring::Measuring::default(),
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
        daemon.begin_watching(&mut actions);
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
        if matches!(self.ending, Some(Ending::Leave { asked: true, .. })) {
            // The end of the session is on its way and may be taken at any later time: no later daemon continues it.
            record
                .ended
                .extend(record.session.take().map(|session| session.session));
        }
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
            .chain(self.next_reset_ns())
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
        // What was answered about an earlier session says nothing about this one.
        DaemonEvent::RenewFailed { session, .. }
        | DaemonEvent::Reported { session, .. }
        | DaemonEvent::ReportFailed { session, .. }
            if !daemon.has_session(session) => {}
        DaemonEvent::RenewFailed { code, .. } => daemon.renew_failed(&code, now_ns, &mut actions),
        DaemonEvent::Reported {
            sequence, generation, ..
        } => daemon.reported(sequence, generation, now_ns),
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
        DaemonEvent::Looked(found) => daemon.looked(found),
        DaemonEvent::Measured(load) => daemon.measured(load, now_ns),
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
        self.mind_reset(now_ns, actions);
        match self.phase {
            Phase::Clearing => self.clear(now_ns, actions),
            Phase::Registering { .. } => {}
            Phase::Serving => {
                self.reconcile(now_ns, actions);
                self.renew(now_ns, actions);
                self.tell_conditions();
                self.report(now_ns, actions);
            }
        }
        self.register(now_ns, actions);
        self.end(now_ns, actions);
    }

    pub(super) fn take_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
