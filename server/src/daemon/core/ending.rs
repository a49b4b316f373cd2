//! How the daemon ends: in order, with everything stopped; or for a restart, with everything running on.

use client::wire::daemon::{Extend, Leave};

use super::{Daemon, Ending, Phase};
use crate::daemon::event::DaemonAction;
use crate::supervisor::clock::ms;

/// How long a daemon that ends tries to tell the cluster so, once everything is stopped.
const FAREWELL_MS: u64 = 5_000;
/// How long a planned restart tries to get it.
const RESTART_WAIT_MS: u64 = 3_000;

impl Daemon {
    pub(in crate::daemon) fn begin_restart(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        self.ending = Some(Ending::Restart {
            until_ns: now_ns.saturating_add(ms(RESTART_WAIT_MS)),
            extended_ns: None,
        });
        match (&self.record.session, self.phase) {
            (Some(session), Phase::Serving) => {
                let request = Extend {
                    node: session.node,
                    session: session.session,
                    lease_ms: self.facts.restart_lease_ms,
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

    pub(in crate::daemon) fn end(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
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

    pub(in crate::daemon) fn leave(
        &mut self,
        until_ns: Option<u64>,
        asked: bool,
        now_ns: u64,
        actions: &mut Vec<DaemonAction>,
    ) {
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
            actions.push(DaemonAction::Record);
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
    pub(in crate::daemon) fn close_session(&mut self, actions: &mut Vec<DaemonAction>) {
        self.record
            .ended
            .extend(self.record.session.take().map(|session| session.session));
        self.ended.clear();
        self.ending = Some(Ending::Done);
        actions.extend([DaemonAction::Record, DaemonAction::Exit]);
    }
}
