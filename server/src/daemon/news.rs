//! What supervisors say, and what follows from it for the instance and for the manager. Pure; part of [`core`](super::core).

use super::core::{Daemon, Phase};
use super::event::DaemonAction;
use super::instance::{InstanceKey, Stage, cause_word};
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::{EndCause, Ended, Hello, News, Order, ProcessId};

impl Daemon {
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
            News::Connected(connected) => {
                instance.connected = connected;
                instance.shares_told = None;
            }
            News::Said(words) => instance.said.now = words,
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
            News::Reloaded { revision, error } => self.reload_ended(key, revision, error),
            News::Ran { id, error } => self.probed(key, id, error, now_ns, actions),
            News::Ended(ended) => {
                if ended.cause == EndCause::LeaseEnded && instance.reset {
                    self.lease_ended_for(&key.package, now_ns);
                }
                self.finish(key, ended, now_ns);
            }
        }
    }

    /// A supervisor of an earlier daemon has answered.
    pub(super) fn adopted(&mut self, key: &InstanceKey, hello: &Hello, now_ns: u64, actions: &mut Vec<DaemonAction>) {
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
        // How long it may take, and what its probe says, only the desired set tells: see `settle_adopted`.
        let until_ns = u64::MAX;
        instance.stage = if instance.epoch > hello.epoch {
            // It was told of a mode, or was about to be; its answer, or the lack of one, decides.
            Stage::Changing { until_ns }
        } else if hello.ready {
            Stage::Running
        } else {
            // That it was executed does not say that it works, nor that the daemon before had found so.
            Stage::Starting {
                until_ns,
                launched: hello.package_pid.is_some(),
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
        self.settle_adopted(key, now_ns);
    }

    /// An adopted instance is in the desired set, and its supervisor has answered: from now on it has the times that its
    /// definition gives it. What has a probe is running once that passes.
    pub(super) fn settle_adopted(&mut self, key: &InstanceKey, now_ns: u64) {
        let Some(instance) = self.instances.get_mut(key).filter(|instance| instance.adopted) else {
            return;
        };
        let Some(timeout_ms) = instance.desired.as_ref().map(|desired| desired.start_timeout_ms) else {
            return;
        };
        let mut ready = false;
        let probed = instance.probe_definition().is_some();
        match &mut instance.stage {
            Stage::Starting { until_ns, launched } => {
                *until_ns = now_ns.saturating_add(ms(timeout_ms));
                ready = *launched && !probed;
            }
            Stage::Changing { until_ns } => *until_ns = now_ns.saturating_add(ms(timeout_ms)),
            Stage::Running => {}
            Stage::Waiting { .. } | Stage::Adopting | Stage::Restarting | Stage::Ending { .. } => return,
        }
        instance.adopted = false;
        instance.probe.next_ns = now_ns;
        if ready {
            self.ready(key);
        }
    }

    /// It works, in the mode that it was started in.
    pub(super) fn ready(&mut self, key: &InstanceKey) {
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
    pub(super) fn fail(
        &mut self,
        key: &InstanceKey,
        cause: &'static str,
        detail: &str,
        actions: &mut Vec<DaemonAction>,
    ) {
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
        if late && instance.reset && self.lease.deadline_ns() > 0 {
            self.lease_ended_for(&key.package, now_ns);
        }
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
    pub(super) fn finish(&mut self, key: &InstanceKey, ended: Ended, now_ns: u64) {
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
}
