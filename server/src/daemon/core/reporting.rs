//! What was seen, on its way to the manager.

use client::wire::daemon::Report;

use super::Daemon;
use crate::daemon::event::DaemonAction;
use crate::daemon::instance::InstanceKey;
use crate::supervisor::clock::ms;

/// Between two tries to report.
const REPORT_RETRY_MS: u64 = 50;

impl Daemon {
    pub(in crate::daemon) fn report(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if self.report_ns.is_none_or(|due| now_ns < due) {
            return;
        }
        let Some(session) = &self.record.session else { return };
        let (node, session) = (session.node, session.session);
        let before = self.reports.last();
        let Some(report) = self.reports.next_report() else {
            return;
        };
        let request = Report {
            node,
            session,
            sequence: report.sequence,
            observations: report.observations.clone(),
            said: report.said.clone(),
            reloads: report.reloads.clone(),
            resources: report.resources.clone(),
            load: report.load.clone(),
        };
        self.report_ns = None;
        if request.sequence != before {
            // The number is recorded before it is sent, so that no later daemon uses it for something else.
            actions.push(DaemonAction::Record);
        }
        actions.push(DaemonAction::Report {
            server: self.servers.current().to_owned(),
            request,
        });
    }

    pub(in crate::daemon) fn reported(&mut self, sequence: u64, generation: u64, now_ns: u64) {
        for seen in self.reports.answered(sequence) {
            if seen.state == "ended" {
                self.ended.remove(&InstanceKey {
                    package: seen.package,
                    start: seen.start,
                });
            }
        }
        self.report_ns = Some(now_ns);
        self.report_generation = self.report_generation.max(generation);
        if generation > self.generation {
            self.next_renewal_ns = now_ns;
        }
    }

    pub(in crate::daemon) fn report_failed(&mut self, code: &str, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        match code {
            "session_ended" => self.declared_down(now_ns, actions),
            // A gap can't be mended inside the session: what the manager misses is told by starting anew.
            "report_gap" => self.end_session(actions),
            _ => {
                self.servers.advance();
                self.report_ns = Some(now_ns.saturating_add(ms(REPORT_RETRY_MS)));
            }
        }
    }
}
