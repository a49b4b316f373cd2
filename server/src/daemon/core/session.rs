//! A session's life as the daemon sees it: asked for, renewed, and over.

use client::wire::daemon::{Register, Registered, Renew, Renewed};

use super::{Daemon, Ending, Phase};
use crate::daemon::event::DaemonAction;
use crate::daemon::instance::Stage;
use crate::daemon::lease::Lease;
use crate::daemon::record::RecordedSession;
use crate::daemon::report::Reports;
use crate::supervisor::clock::ms;
use crate::supervisor::protocol::Order;

/// Between two tries to register, where no server could be asked.
const REGISTER_RETRY_MS: u64 = 100;
/// Between two tries to register, where the cluster refused.
const REGISTER_REFUSED_MS: u64 = 500;

impl Daemon {
    pub(in crate::daemon) fn register(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        let Phase::Registering { next_ns: Some(next_ns) } = self.phase else {
            return;
        };
        if now_ns < next_ns || self.ending.is_some() {
            return;
        }
        self.phase = Phase::Registering { next_ns: None };
        let nonce = match &self.record.registering {
            Some(nonce) => nonce.clone(),
            None => {
                // Recorded before it is sent: sent again by a later daemon it registers once.
                let serial = self.take_serial();
                let nonce = format!("{:016x}-{serial}", self.facts.seed);
                self.record.registering = Some(nonce.clone());
                actions.push(DaemonAction::Record);
                nonce
            }
        };
        let request = Register {
            name: self.facts.name.clone(),
            machine: self.facts.machine.clone(),
            boot: self.record.place.boot.clone(),
            nonce,
            ended: self.record.ended.clone(),
            capacity: self.facts.capacity.clone(),
            labels: self.facts.labels.clone(),
            api: self.facts.api.clone(),
            containment: self.facts.containment.clone(),
            cut_off_ms: self.cut_off_ms,
        };
        actions.push(DaemonAction::Register {
            server: self.servers.current().to_owned(),
            request: Box::new(request),
        });
    }

    pub(in crate::daemon) fn registered(&mut self, answer: Registered, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if !matches!(self.phase, Phase::Registering { .. }) {
            return;
        }
        let Registered {
            cluster_id,
            node,
            session,
            servers,
        } = answer;
        self.record.session = Some(RecordedSession {
            cluster_id,
            node,
            session,
            reported: 0,
        });
        self.record.registering = None;
        self.cut_off_ms = None;
        self.record.ended.clear();
        self.servers.learn(&servers);
        self.lease = Lease::default();
        self.generation = 0;
        self.report_generation = 0;
        self.desired = None;
        self.reports = Reports::default();
        self.forget_told();
        self.report_ns = Some(now_ns);
        self.next_renewal_ns = now_ns;
        self.unanswered = 0;
        self.asking_since_ns = None;
        self.phase = Phase::Serving;
        actions.push(DaemonAction::Record);
    }

    pub(in crate::daemon) fn register_failed(&mut self, code: &str, now_ns: u64) {
        self.servers.advance();
        let refused = !matches!(
            code,
            "unreachable" | "not_ready" | "no_quorum" | "outcome_unknown" | "no_cluster" | "overloaded"
        );
        let wait = if refused {
            REGISTER_REFUSED_MS
        } else {
            REGISTER_RETRY_MS
        };
        self.phase = Phase::Registering {
            next_ns: Some(now_ns.saturating_add(ms(wait))),
        };
    }

    pub(in crate::daemon) fn renew(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if now_ns < self.next_renewal_ns {
            return;
        }
        let nonce = self.facts.seed.wrapping_add(self.take_serial());
        if self.unanswered > 0 {
            self.servers.advance();
        }
        let Some(session) = &self.record.session else { return };
        let asking_since_ns = *self.asking_since_ns.get_or_insert(now_ns);
        let request = Renew {
            cluster_id: session.cluster_id.clone(),
            node: session.node,
            session: session.session,
            nonce,
            generation: self.generation,
            unanswered_ms: now_ns.saturating_sub(asking_since_ns).div_euclid(1_000_000),
        };
        self.lease.sent(nonce, now_ns);
        // Each try without an answer doubles the wait for the next, up to the usual interval: servers that are merely
        // slow must not get more to do.
        let wait = (self.retry_ms << self.unanswered.min(8)).min(self.renew_ms);
        self.unanswered += 1;
        self.next_renewal_ns = now_ns.saturating_add(ms(wait));
        actions.push(DaemonAction::Renew {
            server: self.servers.current().to_owned(),
            request,
        });
    }

    pub(in crate::daemon) fn renewed(
        &mut self,
        server: &str,
        answer: Renewed,
        now_ns: u64,
        actions: &mut Vec<DaemonAction>,
    ) {
        let Renewed {
            nonce,
            lease_ms,
            soft_ms,
            renew_ms,
            retry_ms,
            generation,
            desired,
            stopping,
            servers,
            watch,
            thresholds,
        } = answer;
        if self.phase != Phase::Serving {
            return;
        }
        let Some(sent_ns) = self.lease.answered(nonce, lease_ms, soft_ms) else {
            return;
        };
        self.servers.learn(&servers);
        self.heard_in_time(now_ns);
        self.servers.prefer(server);
        self.renew_ms = renew_ms.max(1);
        self.retry_ms = retry_ms.max(1);
        self.unanswered = 0;
        self.asking_since_ns = None;
        self.next_renewal_ns = sent_ns.saturating_add(ms(self.renew_ms)).max(now_ns);
        self.arm(actions);
        // A set from before the last report does not know what was reported, and a later one will come.
        let known = generation >= self.report_generation;
        match desired {
            Some(desired) if known && generation > self.generation => {
                self.take_desired(desired, generation, now_ns);
                self.answer_for(stopping);
                self.take_needed(watch, actions);
                self.take_thresholds(thresholds);
            }
            _ => {}
        }
        if let Some(Ending::Restart {
            extended_ns: Some(extended_ns),
            ..
        }) = self.ending
            && sent_ns >= extended_ns
            && lease_ms >= self.facts.restart_lease_ms
        {
            self.ending = Some(Ending::Done);
            actions.push(DaemonAction::Exit);
        }
    }

    /// Tells every supervisor of the present deadline.
    pub(in crate::daemon) fn arm(&self, actions: &mut Vec<DaemonAction>) {
        for (key, instance) in &self.instances {
            if instance.has_process() && instance.deadline && instance.stage != Stage::Adopting {
                actions.push(DaemonAction::Order {
                    key: key.clone(),
                    order: self.order_renew(),
                });
            }
        }
    }

    pub(in crate::daemon) fn order_renew(&self) -> Order {
        Order::Renew {
            deadline_ns: self.lease.deadline_ns(),
            soft_ns: self.lease.soft_ns(),
        }
    }

    /// Whether this is the daemon's present session.
    pub(in crate::daemon) fn has_session(&self, session: u64) -> bool {
        self.record
            .session
            .as_ref()
            .is_some_and(|present| present.session == session)
    }

    pub(in crate::daemon) fn renew_failed(&mut self, code: &str, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if code == "session_ended" {
            self.declared_down(now_ns, actions);
        } else if self.unanswered > 0 {
            self.next_renewal_ns = self.next_renewal_ns.min(now_ns.saturating_add(ms(self.retry_ms)));
        }
    }

    /// The manager says that the session is over: for it this node is down, and its packages may run elsewhere by now.
    pub(in crate::daemon) fn declared_down(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        self.cut_off_ms = self
            .lease
            .heard_ns()
            .map(|heard_ns| now_ns.saturating_sub(heard_ns).div_euclid(1_000_000));
        self.end_session(actions);
    }

    /// The session is over: everything is killed, proven gone, and a new one named after it.
    pub(in crate::daemon) fn end_session(&mut self, actions: &mut Vec<DaemonAction>) {
        if self.phase != Phase::Serving {
            return;
        }
        self.phase = Phase::Clearing;
        self.desired = None;
        self.reports = Reports::default();
        self.ended.clear();
        self.instances.retain(|_, instance| instance.has_process());
        for (key, instance) in &mut self.instances {
            if instance.stage != Stage::Adopting {
                instance.stage = Stage::Ending {
                    failure: None,
                    cause: "lease_ended",
                };
                actions.push(DaemonAction::Order {
                    key: key.clone(),
                    order: Order::Kill,
                });
            }
        }
    }

    pub(in crate::daemon) fn clear(&mut self, now_ns: u64, actions: &mut Vec<DaemonAction>) {
        if !self.instances.is_empty() {
            return;
        }
        self.record
            .ended
            .extend(self.record.session.take().map(|session| session.session));
        self.reports = Reports::default();
        self.ended.clear();
        self.phase = Phase::Registering { next_ns: Some(now_ns) };
        actions.push(DaemonAction::Record);
    }
}
