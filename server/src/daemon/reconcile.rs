//! From what is desired and what runs to what is to be done with each instance. Pure; part of [`core`](super::core).
//!
//! Three rules hold wherever something starts or changes: the lease allows it now; the epoch was never used and is in the
//! record before anything is forked or told; and of one package at most one instance has processes.

use std::collections::BTreeMap;

use client::wire::daemon::{DesiredInstance, InstanceObservation, StoppingInstance};

use super::core::{Daemon, Ending};
use super::event::DaemonAction;
use super::instance::{Instance, InstanceKey, ProbeState, Stage};
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::{Order, Spec, Words};

impl Daemon {
    /// Takes a newer desired set.
    pub(super) fn take_desired(&mut self, desired: Vec<DesiredInstance>, generation: u64, now_ns: u64) {
        let desired: BTreeMap<InstanceKey, DesiredInstance> = desired
            .into_iter()
            .map(|instance| (InstanceKey::of(&instance), instance))
            .collect();
        for (key, wanted) in &desired {
            match self.instances.get_mut(key) {
                Some(instance) => instance.desired = Some(wanted.clone()),
                // It was started once and is gone. The manager has not heard, or heard it before it asked.
                None if !self.record.is_fresh(&key.package, key.start)
                    && !self.reports.holds_end(&key.package, key.start) =>
                {
                    let detail = format!(
                        "what was started under epoch {} has ended and never starts again",
                        key.start
                    );
                    let gone = Instance::waiting(wanted.clone(), 0);
                    self.reports
                        .push(gone.observe_end(key, "ended", "requested", None, &detail));
                }
                None => {}
            }
        }
        self.desired = Some(desired);
        self.generation = generation;
        for key in self.instances.keys().cloned().collect::<Vec<_>>() {
            self.settle_adopted(&key, now_ns);
        }
    }

    /// The manager waits for the end of these. Of what is not here nothing runs: the set that held it never came, or an
    /// earlier daemon had it and forked nothing for it. It is marked, so that it never starts, and said.
    pub(super) fn answer_for(&mut self, stopping: Vec<StoppingInstance>) {
        for StoppingInstance { package, start } in stopping {
            let key = InstanceKey { package, start };
            if self.instances.contains_key(&key) || self.reports.holds_end(&key.package, start) {
                continue;
            }
            self.record.mark(&key.package, start);
            self.reports.push(InstanceObservation {
                package: key.package,
                start,
                epoch: start,
                state: "ended".to_owned(),
                mode: None,
                cause: Some("requested".to_owned()),
                code: None,
                detail: "nothing of it is here".to_owned(),
            });
        }
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
            // By the epoch of its first process, not by that of its present mode: what has ended was reported under the
            // first, and the manager grants the unit elsewhere once it hears of that, whatever it asked for in between.
            .filter(|(key, _)| {
                !self.instances.contains_key(*key)
                    && self.record.is_fresh(&key.package, key.start)
                    && !self.reports.holds_end(&key.package, key.start)
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
        self.tell_shares(actions);
        if self.lease.allows(now_ns) {
            let keys: Vec<InstanceKey> = self.instances.keys().cloned().collect();
            for key in keys {
                self.start_or_change(&key, now_ns, actions);
            }
            self.order_reloads(now_ns, actions);
        }
    }

    /// Tells packages that have a control socket what share of the node is theirs, where that has changed.
    fn tell_shares(&mut self, actions: &mut Vec<DaemonAction>) {
        for (key, instance) in &mut self.instances {
            let Some(desired) = &instance.desired else { continue };
            let told = instance.shares_told.as_ref();
            let known = told.map_or(desired.shares.is_empty(), |told| *told == desired.shares);
            let listens = instance.connected && matches!(instance.stage, Stage::Starting { .. } | Stage::Running);
            if known || !listens {
                continue;
            }
            let shares = desired.shares.clone();
            instance.shares_told = Some(shares.clone());
            actions.push(DaemonAction::Order {
                key: key.clone(),
                order: Order::Shares { shares },
            });
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
        instance.reset = desired.reset;
        instance.adopted = false;
        instance.supervisor = None;
        instance.connected = false;
        instance.shares_told = None;
        instance.probe = ProbeState::default();
        instance.said.now = Words::default();
        instance.reload = None;
        // What it is to be told of next it may as well find at once.
        let own = desired.reload.as_ref().map_or(&desired.run.env, |reload| &reload.env);
        let mut env = self.facts.environment.clone();
        env.extend(own.clone());
        let spec = Spec {
            package: key.package.clone(),
            node: self.facts.name.clone(),
            start: key.start,
            epoch: desired.epoch,
            mode: desired.mode,
            own_mode: desired.own_mode,
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
        instance.reset = desired.reset;
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
                // Its end is told, so a later daemon must not start it: the report may be taken after that.
                self.record.mark(&key.package, key.start.max(instance.epoch));
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
}
