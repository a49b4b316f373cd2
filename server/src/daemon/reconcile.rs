//! From what is desired and what runs to what is to be done with each instance. Pure; part of [`core`](super::core).
//!
//! Three rules hold wherever something starts or changes: the lease allows it now; the epoch was never used and is in the
//! record before anything is forked or told; and of one package at most one instance has processes.

use std::collections::BTreeMap;

use client::wire::daemon::DesiredInstance;

use super::core::{Daemon, Ending, Phase};
use super::event::DaemonAction;
use super::instance::{Instance, InstanceKey, ProbeState, Stage, cause_word};
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::{EndCause, Ended, Hello, News, Order, ProcessId, Spec};

/// A probe that has not even failed by its timeout and this much more is given up.
const PROBE_GRACE_MS: u64 = 500;

impl Daemon {
    /// Takes a newer desired set.
    pub(super) fn take_desired(&mut self, desired: Vec<DesiredInstance>, generation: u64) {
        let desired: BTreeMap<InstanceKey, DesiredInstance> = desired
            .into_iter()
            .map(|instance| (InstanceKey::of(&instance), instance))
            .collect();
        for (key, wanted) in &desired {
            match self.instances.get_mut(key) {
                Some(instance) => instance.desired = Some(wanted.clone()),
                // It was started once and is gone. The manager has not heard, or heard it before it asked.
                None if !self.record.is_fresh(&key.package, wanted.start)
                    && !self.reports.holds_end(&key.package, key.start) =>
                {
                    let detail = format!("epoch {} was used before and is never used again", wanted.epoch);
                    let gone = Instance::waiting(wanted.clone(), 0);
                    self.reports
                        .push(gone.observe_end(key, "ended", "requested", None, &detail));
                }
                None => {}
            }
        }
        self.desired = Some(desired);
        self.generation = generation;
    }

    /// Makes what runs equal to what is desired, as far as it may be done now.
    pub(super) fn reconcile(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if matches!(self.ending, Some(Ending::Leave { .. } | Ending::Done)) {
            return;
        }
        let Some(desired) = &self.desired else { return };
        let absent: Vec<InstanceKey> = self
            .instances
            .keys()
            .filter(|key| !desired.contains_key(*key))
            .cloned()
            .collect();
        let new: Vec<DesiredInstance> = desired
            .iter()
            .filter(|(key, wanted)| {
                // By the epoch of its first process: one that was started here and is gone is not started again for a later
                // change of its mode. Its end is reported under that first epoch, and would release what runs anew.
                !self.instances.contains_key(*key) && self.record.is_fresh(&key.package, wanted.start)
            })
            .map(|(_, wanted)| wanted.clone())
            .collect();
        for key in absent {
            self.stop(&key, actions);
        }
        for wanted in new {
            self.instances
                .insert(InstanceKey::of(&wanted), Instance::waiting(wanted, now_ns));
        }
        if self.lease.allows(now_ns) {
            let keys: Vec<InstanceKey> = self.instances.keys().cloned().collect();
            for key in keys {
                self.start_or_change(&key, now_ns, actions);
            }
        }
    }

    fn start_or_change(&mut self, key: &InstanceKey, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let Some(instance) = self.instances.get(key) else {
            return;
        };
        let Some(desired) = instance.desired.clone() else {
            return;
        };
        let newer = desired.epoch > instance.epoch;
        match &instance.stage {
            Stage::Waiting { until_ns } => {
                let occupied = self
                    .instances
                    .iter()
                    .any(|(other, instance)| other.package == key.package && other != key && instance.has_process());
                if now_ns >= *until_ns && !occupied {
                    self.start(key, desired, now_ns, actions);
                }
            }
            Stage::Running if newer => self.change(key, &desired, now_ns, actions),
            // Without a way to be told, there is nothing to wait for.
            Stage::Starting { launched: true, .. }
                if newer && !instance.connected && instance.command_for(&desired.mode).is_none() =>
            {
                self.change(key, &desired, now_ns, actions);
            }
            Stage::Adopting
            | Stage::Starting { .. }
            | Stage::Running
            | Stage::Changing { .. }
            | Stage::Restarting
            | Stage::Ending { .. } => {}
        }
    }

    /// Record, then spawn; "go" follows once the supervisor is recorded too.
    fn start(&mut self, key: &InstanceKey, desired: DesiredInstance, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        if !self.record.is_fresh(&key.package, desired.epoch) {
            let gone = instance.observe_end(key, "ended", "requested", None, "its epoch was used before");
            self.instances.remove(key);
            self.reports.push(gone);
            return;
        }
        self.record.mark(&key.package, desired.epoch);
        let until_ns = now_ns.saturating_add(ms(desired.start_timeout_ms));
        instance.stage = Stage::Starting {
            until_ns,
            launched: false,
        };
        instance.process = desired.epoch;
        instance.epoch = desired.epoch;
        instance.mode.clone_from(&desired.mode);
        instance.deadline = desired.deadline;
        instance.supervisor = None;
        instance.connected = false;
        instance.probe = ProbeState::default();
        let mut env = self.facts.environment.clone();
        env.extend(desired.run.env.clone());
        let spec = Spec {
            package: key.package.clone(),
            node: self.facts.name.clone(),
            start: key.start,
            epoch: desired.epoch,
            mode: desired.mode,
            output: desired.output,
            command: desired.run.command,
            env,
            directory: desired.run.directory,
            deadline_ns: desired.deadline.then(|| self.lease.deadline_ns()),
            soft_ns: desired.deadline.then(|| self.lease.soft_ns()),
            stop_timeout_ms: desired.stop_timeout_ms,
            cgroup: None,
        };
        actions.push(DaemonAction::Record);
        actions.push(DaemonAction::Spawn {
            key: key.clone(),
            spec: Box::new(spec),
        });
    }

    /// In the first way that the package has: its command, its control socket, else a start in the new mode.
    fn change(&mut self, key: &InstanceKey, desired: &DesiredInstance, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let renew = self.order_renew();
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        if !self.record.is_fresh(&key.package, desired.epoch) {
            return;
        }
        let command = instance.command_for(&desired.mode).cloned();
        if command.is_none() && !instance.connected {
            instance.stage = Stage::Restarting;
            actions.push(DaemonAction::Order {
                key: key.clone(),
                order: Order::Kill,
            });
            return;
        }
        self.record.mark(&key.package, desired.epoch);
        instance.epoch = desired.epoch;
        instance.mode.clone_from(&desired.mode);
        instance.deadline = desired.deadline;
        instance.stage = Stage::Changing {
            until_ns: now_ns.saturating_add(ms(desired.start_timeout_ms)),
        };
        actions.push(DaemonAction::Record);
        if desired.deadline {
            actions.push(DaemonAction::Order {
                key: key.clone(),
                order: renew,
            });
        }
        let order = Order::Mode {
            mode: desired.mode.clone(),
            output: desired.output.clone(),
            epoch: desired.epoch,
            command,
            timeout_ms: desired.start_timeout_ms,
        };
        actions.push(DaemonAction::Order {
            key: key.clone(),
            order,
        });
    }

    /// Stops what is not desired any more.
    fn stop(&mut self, key: &InstanceKey, actions: &mut Vec<DaemonAction>) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        let timeout_ms = instance
            .desired
            .as_ref()
            .map_or(10_000, |desired| desired.stop_timeout_ms);
        match instance.stage {
            Stage::Waiting { .. } => {
                let gone = instance.observe_end(key, "ended", "requested", None, "it was never started");
                self.instances.remove(key);
                self.reports.push(gone);
            }
            Stage::Starting { .. } | Stage::Running | Stage::Changing { .. } | Stage::Restarting => {
                instance.stage = Stage::Ending {
                    failure: None,
                    cause: "requested",
                };
                actions.push(DaemonAction::Order {
                    key: key.clone(),
                    order: Order::Stop { timeout_ms },
                });
            }
            // Decided once its supervisor has answered or is proven gone.
            Stage::Adopting | Stage::Ending { .. } => {}
        }
    }

    /// Stops everything, for a daemon that leaves.
    pub(super) fn stop_all(&mut self, actions: &mut Vec<DaemonAction>) {
        for key in self.instances.keys().cloned().collect::<Vec<_>>() {
            self.stop(&key, actions);
        }
    }

    pub(super) fn spawned(
        &mut self,
        key: &InstanceKey,
        supervisor: ProcessId,
        cgroup: Option<std::path::PathBuf>,
        actions: &mut Vec<DaemonAction>,
    ) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        instance.supervisor = Some(supervisor);
        instance.cgroup = cgroup;
        actions.push(DaemonAction::Record);
        actions.push(DaemonAction::Order {
            key: key.clone(),
            order: Order::Go,
        });
    }

    pub(super) fn spawn_failed(&mut self, key: &InstanceKey, error: &str) {
        self.finish(
            key,
            Ended {
                cause: EndCause::NotStarted,
                code: None,
                detail: error.to_owned(),
            },
            0,
        );
    }

    /// What a supervisor says; that of an earlier process under the same key counts for nothing.
    pub(super) fn hear(
        &mut self,
        key: &InstanceKey,
        process: u64,
        news: News,
        now_ns: u64,
        actions: &mut Vec<DaemonAction>,
    ) {
        let Some(instance) = self
            .instances
            .get_mut(key)
            .filter(|instance| instance.process == process)
        else {
            return;
        };
        match news {
            News::Hello(hello) => self.adopted(key, &hello, now_ns, actions),
            News::Started { .. } => {
                if let Stage::Starting { launched, .. } = &mut instance.stage {
                    *launched = true;
                    instance.probe.next_ns = now_ns.saturating_add(instance.probe_wait_ns(u64::MAX));
                    if instance.probe_definition().is_none() {
                        self.ready(key);
                    }
                }
            }
            News::NotStarted { .. } => {}
            News::Ready => self.ready(key),
            News::Connected(connected) => instance.connected = connected,
            News::Answered { epoch, error } => {
                if matches!(instance.stage, Stage::Changing { .. }) && instance.epoch == epoch {
                    match error {
                        None => {
                            instance.stage = Stage::Running;
                            let seen = instance.observe(key, "running");
                            self.reports.push(seen);
                        }
                        Some(error) => self.fail(key, "not_ready", &error, actions),
                    }
                }
            }
            News::Ran { id, error } => self.probed(key, id, error, now_ns, actions),
            News::Ended(ended) => self.finish(key, ended, now_ns),
        }
    }

    /// A supervisor of an earlier daemon has answered.
    fn adopted(&mut self, key: &InstanceKey, hello: &Hello, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        if instance.stage != Stage::Adopting {
            return;
        }
        instance.connected = hello.connected;
        if self.phase == Phase::Clearing {
            instance.stage = Stage::Ending {
                failure: None,
                cause: "lease_ended",
            };
            actions.push(DaemonAction::Order {
                key: key.clone(),
                order: Order::Kill,
            });
            return;
        }
        if hello.stopping {
            instance.stage = Stage::Ending {
                failure: None,
                cause: "requested",
            };
            return;
        }
        let patience_ns = now_ns.saturating_add(ms(60_000));
        instance.stage = if instance.epoch > hello.epoch {
            // It was told of a mode, or was about to be; its answer, or the lack of one, decides.
            Stage::Changing { until_ns: patience_ns }
        } else if hello.package_pid.is_some() {
            Stage::Running
        } else {
            Stage::Starting {
                until_ns: patience_ns,
                launched: false,
            }
        };
        if instance.stage == Stage::Running {
            let seen = instance.observe(key, "running");
            self.reports.push(seen);
        }
        if self.lease.deadline_ns() > 0 && instance.deadline {
            let order = self.order_renew();
            actions.push(DaemonAction::Order {
                key: key.clone(),
                order,
            });
        }
    }

    /// It works, in the mode that it was started in.
    fn ready(&mut self, key: &InstanceKey) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        if matches!(instance.stage, Stage::Starting { .. }) {
            instance.stage = Stage::Running;
            let seen = instance.observe(key, "running");
            self.reports.push(seen);
        }
    }

    /// It does not work: say so at once and kill it.
    fn fail(&mut self, key: &InstanceKey, cause: &'static str, detail: &str, actions: &mut Vec<DaemonAction>) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        let seen = instance.observe_end(key, "failing", cause, None, detail);
        let failure = Ended {
            cause: EndCause::Requested,
            code: None,
            detail: detail.to_owned(),
        };
        instance.stage = Stage::Ending {
            failure: Some(failure),
            cause,
        };
        self.reports.push(seen);
        actions.push(DaemonAction::Order {
            key: key.clone(),
            order: Order::Kill,
        });
    }

    /// Its supervisor was killed, and nothing else of it is left.
    pub(super) fn gone(&mut self, key: &InstanceKey, process: u64, now_ns: u64) {
        let Some(instance) = self.instances.get(key).filter(|instance| instance.process == process) else {
            return;
        };
        let late = instance.deadline && now_ns >= self.lease.deadline_ns();
        let ended = if late {
            Ended {
                cause: EndCause::LeaseEnded,
                code: None,
                detail: "the kernel killed it at the lease's end".to_owned(),
            }
        } else {
            Ended {
                cause: EndCause::Signalled,
                code: Some(9),
                detail: "its supervisor was killed".to_owned(),
            }
        };
        self.finish(key, ended, now_ns);
    }

    /// Nothing of it is left, which is proven.
    fn finish(&mut self, key: &InstanceKey, ended: Ended, now_ns: u64) {
        let Some(mut instance) = self.instances.remove(key) else {
            return;
        };
        if instance.stage == Stage::Restarting && instance.desired.is_some() {
            instance.stage = Stage::Waiting { until_ns: now_ns };
            instance.supervisor = None;
            self.instances.insert(key.clone(), instance);
            return;
        }
        let (cause, code, detail) = match &instance.stage {
            Stage::Ending {
                failure: Some(failure),
                cause,
            } => (*cause, None, failure.detail.clone()),
            Stage::Ending { failure: None, cause } => (*cause, None, ended.detail.clone()),
            Stage::Waiting { .. }
            | Stage::Adopting
            | Stage::Starting { .. }
            | Stage::Running
            | Stage::Changing { .. }
            | Stage::Restarting => (cause_word(ended.cause), ended.code, ended.detail.clone()),
        };
        if self.phase == Phase::Clearing {
            return;
        }
        if let Some(recorded) = instance.to_record(key) {
            self.ended.insert(key.clone(), recorded);
        }
        self.reports
            .push(instance.observe_end(key, "ended", cause, code, &detail));
    }

    /// Times of single instances: starts and changes that take too long, probes that are due.
    pub(super) fn mind_instances(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        for key in self.instances.keys().cloned().collect::<Vec<_>>() {
            let Some(instance) = self.instances.get(&key) else {
                continue;
            };
            match instance.stage {
                Stage::Starting { until_ns, .. } if now_ns >= until_ns => {
                    self.fail(&key, "not_ready", "it was not ready within its start_timeout", actions);
                }
                Stage::Changing { until_ns } if now_ns >= until_ns => {
                    self.fail(
                        &key,
                        "not_ready",
                        "it did not answer a change of mode within its start_timeout",
                        actions,
                    );
                }
                Stage::Running | Stage::Starting { launched: true, .. } => self.probe(&key, now_ns, actions),
                Stage::Waiting { .. }
                | Stage::Adopting
                | Stage::Starting { .. }
                | Stage::Changing { .. }
                | Stage::Restarting
                | Stage::Ending { .. } => {}
            }
        }
    }

    fn probe(&mut self, key: &InstanceKey, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let serial = self.serial + 1;
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        let Some(probe) = instance.probe_definition().cloned() else {
            return;
        };
        match instance.probe.asked {
            Some((serial, until_ns)) if now_ns >= until_ns => {
                return self.probed(key, serial, Some("no answer at all".to_owned()), now_ns, actions);
            }
            Some(_) => return,
            None if now_ns < instance.probe.next_ns => return,
            None => {}
        }
        let timeout_ms = probe.timeout.ms;
        instance.probe.asked = Some((
            serial,
            now_ns.saturating_add(ms(timeout_ms.saturating_add(PROBE_GRACE_MS))),
        ));
        instance.probe.rounds = instance.probe.rounds.saturating_add(1);
        self.serial = serial;
        actions.push(match &probe.exec {
            Some(command) => DaemonAction::Order {
                key: key.clone(),
                order: Order::Run {
                    id: serial,
                    command: command.clone(),
                    timeout_ms,
                },
            },
            None => DaemonAction::Probe {
                key: key.clone(),
                serial,
                probe,
            },
        });
    }

    /// A probe has its answer.
    pub(super) fn probed(
        &mut self,
        key: &InstanceKey,
        serial: u64,
        error: Option<String>,
        now_ns: u64,
        actions: &mut Vec<DaemonAction>,
    ) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        let Some(probe) = instance.probe_definition().cloned() else {
            return;
        };
        if instance.probe.asked.is_none_or(|(asked, _)| asked != serial) {
            return;
        }
        instance.probe.asked = None;
        instance.probe.next_ns = now_ns.saturating_add(instance.probe_wait_ns(probe.interval.ms));
        match (error, &instance.stage) {
            (None, Stage::Starting { .. }) => {
                instance.probe.failures = 0;
                instance.probe.next_ns = now_ns.saturating_add(ms(probe.interval.ms));
                self.ready(key);
            }
            (None, _) => instance.probe.failures = 0,
            (Some(error), Stage::Running) => {
                instance.probe.failures += 1;
                if instance.probe.failures >= probe.failures {
                    let detail = format!("its probe failed {} times in a row: {error}", instance.probe.failures);
                    self.fail(key, "probe_failed", &detail, actions);
                }
            }
            (Some(_), _) => {}
        }
    }
}
