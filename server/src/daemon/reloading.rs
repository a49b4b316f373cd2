//! Packages whose definition has changed are told by their reload command. Pure; part of [`core`](super::core).

use client::wire::daemon::InstanceReload;

use super::core::Daemon;
use super::event::DaemonAction;
use super::instance::{InstanceKey, Reload, Stage, cut};
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::Order;

/// A supervisor that has not even said that the command was killed by its timeout and this much more is not waited for.
const RELOAD_GRACE_MS: u64 = 500;

impl Daemon {
    /// Orders every reload that is wanted and was not ordered yet, one of an instance at a time. What changes its mode just
    /// now comes first into the new one.
    pub(super) fn order_reloads(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let environment = &self.facts.environment;
        for (key, instance) in &mut self.instances {
            let Some(desired) = &instance.desired else { continue };
            let ended = instance.reload.is_none_or(|reload| reload.until_ns.is_none());
            let Some(wanted) = desired.reload.as_ref().filter(|_| ended) else {
                continue;
            };
            let told = instance.reload.is_some_and(|reload| reload.revision == wanted.revision);
            if told || instance.stage != Stage::Running {
                continue;
            }
            instance.reload = Some(Reload {
                revision: wanted.revision,
                until_ns: Some(now_ns.saturating_add(ms(wanted.timeout_ms.saturating_add(RELOAD_GRACE_MS)))),
            });
            let mut env = environment.clone();
            env.extend(wanted.env.clone());
            actions.push(DaemonAction::Order {
                key: key.clone(),
                order: Order::Reload {
                    revision: wanted.revision,
                    command: wanted.command.clone(),
                    env,
                    timeout_ms: wanted.timeout_ms,
                    stop_timeout_ms: wanted.stop_timeout_ms,
                },
            });
        }
    }

    /// A reload command has ended: the manager decides what follows.
    pub(super) fn reload_ended(&mut self, key: &InstanceKey, revision: u64, error: Option<String>) {
        let under_way = |reload: &&mut Reload| reload.revision == revision && reload.until_ns.is_some();
        let Some(reload) = self
            .instances
            .get_mut(key)
            .and_then(|instance| instance.reload.as_mut())
            .filter(under_way)
        else {
            return;
        };
        reload.until_ns = None;
        self.reports.push_reload(InstanceReload {
            package: key.package.clone(),
            start: key.start,
            revision,
            error: error.map(|error| cut(&error).to_owned()),
        });
    }

    /// A supervisor that says nothing of a reload.
    pub(super) fn mind_reload(&mut self, key: &InstanceKey, now_ns: u64) {
        let reload = self.instances.get(key).and_then(|instance| instance.reload);
        if let Some(Reload {
            revision,
            until_ns: Some(until_ns),
        }) = reload
            && now_ns >= until_ns
        {
            let error = "its supervisor did not say how the reload command ended";
            self.reload_ended(key, revision, Some(error.to_owned()));
        }
    }
}
