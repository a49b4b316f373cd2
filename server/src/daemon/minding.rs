//! Times of single instances: starts and changes that take too long, and probes. Pure; part of [`core`](super::core).

use client::wire::daemon::InstanceSaid;

use super::core::Daemon;
use super::event::DaemonAction;
use super::instance::{InstanceKey, Said, Stage};
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::Order;

/// A probe that has not even failed by its timeout and this much more is given up.
const PROBE_GRACE_MS: u64 = 500;
/// What a package says of itself reaches the manager at once, and then not again before this has passed.
const SAID_PAUSE_MS: u64 = 1_000;

impl Daemon {
    /// Times of single instances: starts and changes that take too long, probes that are due.
    pub(super) fn mind_instances(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        for key in self.instances.keys().cloned().collect::<Vec<_>>() {
            self.tell_words(&key, now_ns);
            self.mind_reload(&key, now_ns);
            let Some(instance) = self.instances.get(&key) else {
                continue;
            };
            let maintained = instance.is_maintained();
            match instance.stage {
                Stage::Starting { until_ns, .. } if now_ns >= until_ns && !maintained => {
                    self.fail(&key, "not_ready", "it was not ready within its start_timeout", actions);
                }
                Stage::Changing { until_ns } if now_ns >= until_ns && !maintained => {
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

    /// What a package says of itself, where the manager does not know it yet.
    fn tell_words(&mut self, key: &InstanceKey, now_ns: u64) {
        let Some(instance) = self.instances.get_mut(key) else {
            return;
        };
        let Said { now, told, due_ns } = instance.said;
        if now == told || now_ns < due_ns {
            return;
        }
        instance.said = Said {
            now,
            told: now,
            due_ns: now_ns.saturating_add(ms(SAID_PAUSE_MS)),
        };
        self.reports.push_said(InstanceSaid {
            package: key.package.clone(),
            start: key.start,
            score: now.score,
            busy: now.busy,
        });
    }

    pub(super) fn probe(&mut self, key: &InstanceKey, now_ns: u64, actions: &mut Vec<DaemonAction>) {
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
            // People work on it: a failure counts once they have ended that.
            (Some(_), Stage::Running) if instance.is_maintained() => instance.probe.failures = 0,
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
