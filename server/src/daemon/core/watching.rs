//! Links, disks and services of this node: which are looked at, how they are, and what the manager was told of them.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::daemon::ResourceObservation;

use super::{Daemon, Phase};
use crate::daemon::event::DaemonAction;

/// What is known of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it can be used.
    pub up: bool,
    /// What was found, for people.
    pub detail: String,
}

/// The resources that this daemon looks at.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Watching {
    /// What packages of the cluster need, as the servers said it last.
    needed: BTreeSet<String>,
    /// What was found last.
    seen: BTreeMap<String, Condition>,
    /// What the manager was told of in this session.
    told: BTreeMap<String, bool>,
}

impl Daemon {
    /// What the servers and the node file want to have looked at.
    fn watched(&self) -> BTreeSet<String> {
        self.watching.needed.union(&self.facts.monitor).cloned().collect()
    }

    /// Begins to look at what the node file names.
    pub(in crate::daemon) fn begin_watching(&self, actions: &mut Vec<DaemonAction>) {
        if !self.facts.monitor.is_empty() {
            actions.push(DaemonAction::Watch { names: self.watched() });
        }
    }

    /// Packages of the cluster need this now. What the manager forgot, because none needed it for a while, it is told again.
    pub(in crate::daemon) fn take_needed(&mut self, needed: Vec<String>, actions: &mut Vec<DaemonAction>) {
        let needed: BTreeSet<String> = needed.into_iter().collect();
        if needed == self.watching.needed {
            return;
        }
        self.watching.needed = needed;
        self.watching.told.clear();
        let names = self.watched();
        self.watching.seen.retain(|name, _| names.contains(name));
        actions.push(DaemonAction::Watch { names });
    }

    /// Somebody has looked.
    pub(in crate::daemon) fn looked(&mut self, found: BTreeMap<String, Condition>) {
        let names = self.watched();
        let found = found.into_iter().filter(|(name, _)| names.contains(name));
        self.watching.seen.extend(found);
    }

    /// A new session knows nothing of them.
    pub(in crate::daemon) fn forget_told(&mut self) {
        self.watching.told.clear();
        self.measuring.forget_told();
    }

    /// Puts what the manager does not know yet into the next report.
    pub(in crate::daemon) fn tell_conditions(&mut self) {
        // Before the first desired set of a session nobody has said what is needed in it.
        if self.phase != Phase::Serving || self.desired.is_none() {
            return;
        }
        let Self { watching, reports, .. } = self;
        for (name, condition) in &watching.seen {
            if watching.told.get(name) == Some(&condition.up) {
                continue;
            }
            watching.told.insert(name.clone(), condition.up);
            reports.push_resource(ResourceObservation {
                resource: name.clone(),
                up: condition.up,
                detail: condition.detail.clone(),
            });
        }
    }
}
