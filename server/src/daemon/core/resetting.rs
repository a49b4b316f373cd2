//! `on_quorum_loss = "reset"`: the lease ended under such a package, it is stopped, and then its node is reset.
//!
//! What a reset ends beside the processes: writes on their way to a disk, mounts, addresses, whatever outlives a process.
//! It happens only where the deadline has passed unheard. A soft stop whose node is heard again before that is no cause,
//! nor is a node that an operator shuts down.

use super::{Daemon, Ending};
use crate::daemon::event::DaemonAction;
use crate::supervisor::clock::ms;

/// So long after the deadline it is reset even if something is still there: what can't be killed is what a reset is for.
const GRACE_MS: u64 = 1_000;
/// A daemon that was started after the lease ended hears a quorum within this, or there is none.
const UNHEARD_MS: u64 = 1_000;

/// A reset that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Due {
    /// The package that demands it.
    package: String,
    /// Not before this.
    at_ns: u64,
}

impl Daemon {
    /// A package that demands a reset has ended because the lease did, or was about to.
    pub(in crate::daemon) fn lease_ended_for(&mut self, package: &str, now_ns: u64) {
        if self.reset.is_some() || matches!(self.ending, Some(Ending::Leave { .. })) {
            return;
        }
        let at_ns = match self.lease.deadline_ns() {
            0 => now_ns.saturating_add(ms(UNHEARD_MS)),
            deadline_ns => deadline_ns,
        };
        self.reset = Some(Due {
            package: package.to_owned(),
            at_ns,
        });
    }

    /// A renewal was answered: there is a quorum, and nothing is reset.
    pub(in crate::daemon) fn heard_in_time(&mut self, now_ns: u64) {
        if now_ns < self.lease.deadline_ns() {
            self.reset = None;
        }
    }

    /// Resets the node where that is due: once everything under the deadline is gone, or a while after it.
    pub(in crate::daemon) fn mind_reset(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let deadline_ns = self.lease.deadline_ns();
        if deadline_ns > 0 && now_ns >= deadline_ns && deadline_ns != self.reset_after_ns {
            let running = self
                .instances
                .iter()
                .find(|(_, instance)| instance.reset && instance.deadline && instance.has_process())
                .map(|(key, _)| key.package.clone());
            if let Some(package) = running {
                self.lease_ended_for(&package, now_ns);
            }
        }
        let Some(due) = self.reset.as_ref().filter(|due| now_ns >= due.at_ns) else {
            return;
        };
        let left: Vec<String> = self
            .instances
            .iter()
            .filter(|(_, instance)| instance.deadline && instance.has_process())
            .map(|(key, _)| key.package.clone())
            .collect();
        if !left.is_empty() && now_ns < due.at_ns.saturating_add(ms(GRACE_MS)) {
            return;
        }
        let package = due.package.clone();
        self.reset = None;
        self.reset_after_ns = deadline_ns;
        actions.push(DaemonAction::Reset { package, left });
    }

    /// When that has to be looked at.
    pub(in crate::daemon) fn next_reset_ns(&self) -> impl Iterator<Item = u64> {
        let due = self
            .reset
            .iter()
            .flat_map(|due| [due.at_ns, due.at_ns.saturating_add(ms(GRACE_MS))]);
        let demanded = self
            .instances
            .values()
            .any(|instance| instance.reset && instance.has_process());
        due.chain(demanded.then(|| self.lease.deadline_ns()))
    }
}
