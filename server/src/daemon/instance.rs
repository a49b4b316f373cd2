//! One instance as the daemon sees it. Pure data; [`core`](super::core) moves it.

use client::wire::daemon::{DesiredInstance, InstanceObservation};
use client::wire::definition::ProbeDefinition;

use super::record::RecordedInstance;
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::{EndCause, Ended, ProcessId, Words};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A starting package is probed at first after this, then less and less often up to its interval: ready is to be seen
/// at once.
const FIRST_PROBE_MS: u64 = 20;
/// Bytes of a detail for people that the servers take.
const DETAIL_BYTES_MAX: usize = 500;

/// Package and start epoch: the instance's identity on this node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    /// Which package.
    pub package: String,
    /// The epoch of its first process.
    pub start: u64,
}

impl InstanceKey {
    /// Of a desired instance.
    #[must_use]
    pub fn of(desired: &DesiredInstance) -> Self {
        Self {
            package: desired.package.clone(),
            start: desired.start,
        }
    }
}

/// What an instance is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of it runs. It starts then, if the lease allows it and no other instance of the package is left.
    Waiting {
        /// On CLOCK_BOOTTIME.
        until_ns: u64,
    },
    /// An earlier daemon started it; its supervisor has not said yet what it is at.
    Adopting,
    /// Recorded and spawned, not ready yet.
    Starting {
        /// Not ready by then is a failure.
        until_ns: u64,
        /// The program was executed.
        launched: bool,
    },
    /// Ready in its mode.
    Running,
    /// Told of another mode, recorded before.
    Changing {
        /// No answer by then is a failure.
        until_ns: u64,
    },
    /// Being killed to come again at once in another mode: it has no way to be told.
    Restarting,
    /// Being ended.
    Ending {
        /// Why; none: because the desired set does not hold it.
        failure: Option<Ended>,
        /// Cause of the failure in the words of the protocol.
        cause: &'static str,
    },
}

/// The state of an instance's probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeState {
    /// When it is asked next.
    pub next_ns: u64,
    /// The question under way, and when it is given up.
    pub asked: Option<(u64, u64)>,
    /// Failures in a row.
    pub failures: u32,
    /// Questions since the start.
    pub rounds: u32,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// As the manager wants it now; none: it does not, or has not said yet.
    pub desired: Option<DesiredInstance>,
    /// What it is at.
    pub stage: Stage,
    /// The epoch under which its process was started; 0: none was.
    pub process: u64,
    /// The epoch that it was told last.
    pub epoch: u64,
    /// The mode of that epoch.
    pub mode: String,
    /// Under the lease's deadline.
    pub deadline: bool,
    /// Its node is reset once it was stopped because the lease ended.
    pub reset: bool,
    /// An earlier daemon started it, and the desired set has not said yet how long it may take and how it is probed.
    pub adopted: bool,
    /// Its supervisor, once known.
    pub supervisor: Option<ProcessId>,
    /// Its control group.
    pub cgroup: Option<PathBuf>,
    /// It is connected to its control socket.
    pub connected: bool,
    /// The shares that it was told last on its present connection; none: nothing yet.
    pub shares_told: Option<BTreeMap<String, u64>>,
    /// Its probe.
    pub probe: ProbeState,
    /// What it says of itself.
    pub said: Said,
    /// The last reload that was ordered.
    pub reload: Option<Reload>,
}

/// A reload that a supervisor was ordered to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Of which change the package is told.
    pub revision: u64,
    /// No answer by then is a failure; none: it has ended, and that was told.
    pub until_ns: Option<u64>,
}

/// What a package says of itself, on its way to the manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What it said last.
    pub now: Words,
    /// What the manager was told last.
    pub told: Words,
    /// When the manager may be told again: each report is an entry of the log, so a package that says much is told of
    /// now and then.
    pub due_ns: u64,
}

impl Instance {
    /// Of the desired set, not started.
    #[must_use]
    pub fn waiting(desired: DesiredInstance, now_ns: u64) -> Self {
        Self {
            stage: Stage::Waiting {
                until_ns: now_ns.saturating_add(ms(desired.delay_ms)),
            },
            process: 0,
            epoch: desired.epoch,
            mode: desired.mode.clone(),
            deadline: desired.deadline,
            reset: desired.reset,
            adopted: false,
            desired: Some(desired),
            supervisor: None,
            cgroup: None,
            connected: false,
            shares_told: None,
            probe: ProbeState::default(),
            said: Said::default(),
            reload: None,
        }
    }

    /// Of an earlier daemon's record.
    #[must_use]
    pub fn recorded(recorded: &RecordedInstance) -> Self {
        Self {
            desired: None,
            stage: Stage::Adopting,
            process: recorded.process,
            epoch: recorded.epoch,
            mode: recorded.mode.clone(),
            deadline: recorded.deadline,
            reset: recorded.reset,
            adopted: true,
            supervisor: recorded.supervisor,
            cgroup: recorded.cgroup.clone(),
            connected: false,
            shares_told: None,
            probe: ProbeState::default(),
            said: Said::default(),
            reload: None,
        }
    }

    /// For the record; none where nothing was ever forked for it.
    #[must_use]
    pub fn to_record(&self, key: &InstanceKey) -> Option<RecordedInstance> {
        (self.process > 0).then(|| RecordedInstance {
            package: key.package.clone(),
            start: key.start,
            process: self.process,
            epoch: self.epoch,
            mode: self.mode.clone(),
            deadline: self.deadline,
            reset: self.reset,
            supervisor: self.supervisor,
            cgroup: self.cgroup.clone(),
        })
    }

    /// Processes of it may exist.
    #[must_use]
    pub const fn has_process(&self) -> bool {
        match self.stage {
            Stage::Waiting { .. } => false,
            Stage::Adopting
            | Stage::Starting { .. }
            | Stage::Running
            | Stage::Changing { .. }
            | Stage::Restarting
            | Stage::Ending { .. } => true,
        }
    }

    /// Whether it is in maintenance: what is seen of it is no reason to end it.
    #[must_use]
    pub fn is_maintained(&self) -> bool {
        self.desired.as_ref().is_some_and(|desired| desired.maintained)
    }

    /// Its probe, where it has one.
    #[must_use]
    pub fn probe_definition(&self) -> Option<&ProbeDefinition> {
        self.desired.as_ref()?.probe.as_ref()
    }

    /// The command that tells it of a mode.
    #[must_use]
    pub fn command_for(&self, mode: &str) -> Option<&Vec<String>> {
        let desired = self.desired.as_ref()?;
        match mode {
            "active" => desired.promote.as_ref(),
            "standby" => desired.demote.as_ref(),
            _ => None,
        }
    }

    /// How long until the next probe.
    #[must_use]
    pub fn probe_wait_ns(&self, interval_ms: u64) -> u64 {
        match self.stage {
            Stage::Starting { .. } => ms((FIRST_PROBE_MS << self.probe.rounds.min(10)).min(interval_ms)),
            _ => ms(interval_ms),
        }
    }

    /// The time at which something is due for it.
    #[must_use]
    pub fn next_ns(&self) -> Option<u64> {
        let own = match self.stage {
            Stage::Waiting { until_ns } => Some(until_ns),
            Stage::Starting { until_ns, .. } | Stage::Changing { until_ns } => {
                (!self.is_maintained()).then_some(until_ns)
            }
            Stage::Adopting | Stage::Running | Stage::Restarting | Stage::Ending { .. } => None,
        };
        let probed = matches!(self.stage, Stage::Running | Stage::Starting { launched: true, .. })
            && self.probe_definition().is_some();
        let probe = probed.then(|| self.probe.asked.map_or(self.probe.next_ns, |(_, until)| until));
        let said = (self.said.now != self.said.told).then_some(self.said.due_ns);
        let reload = self.reload.and_then(|reload| reload.until_ns);
        own.into_iter().chain(probe).chain(said).chain(reload).min()
    }

    /// What the manager is told of it.
    #[must_use]
    pub fn observe(&self, key: &InstanceKey, state: &str) -> InstanceObservation {
        InstanceObservation {
            package: key.package.clone(),
            start: key.start,
            epoch: self.epoch,
            state: state.to_owned(),
            mode: (state == "running").then(|| self.mode.clone()),
            cause: None,
            code: None,
            detail: String::new(),
        }
    }

    /// The same with a cause.
    #[must_use]
    pub fn observe_end(
        &self,
        key: &InstanceKey,
        state: &str,
        cause: &str,
        code: Option<i32>,
        detail: &str,
    ) -> InstanceObservation {
        InstanceObservation {
            cause: Some(cause.to_owned()),
            code,
            detail: cut(detail).to_owned(),
            ..self.observe(key, state)
        }
    }
}

/// At most as many bytes as the servers take, whole characters.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The protocol's word for how an instance ended.
#[must_use]
pub const fn cause_word(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Requested => "requested",
        EndCause::Exited => "exited",
        EndCause::Signalled => "signalled",
        EndCause::NotStarted => "not_started",
        EndCause::LeaseEnded => "lease_ended",
    }
}
