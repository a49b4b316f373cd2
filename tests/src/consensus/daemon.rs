//! Daemons, as the leader's side of leases sees them: each registers a session and renews it, by a clock of its own.
//!
//! What a daemon does with its packages is simulated elsewhere; here it matters only until when its session may be
//! active, because nobody may declare the session lost before that and `K` have passed (I5).

use std::collections::BTreeMap;
use std::time::Duration;

use server::lease::{RenewError, RenewalGrant};
use server::raft::Fact;
use statemachine::command::{Capacity, Command, RegisterNode};
use statemachine::id::{NodeId, NodeName, SessionId};
use statemachine::log::v1::Proposal;
use statemachine::time::Millis;

use super::host::{HostClock, Moment};
use super::server::{Ask, Told, address};
use super::simulation::{Asker, Event, Simulation};

/// A registration that is not answered is sent again after this.
const REGISTER_AGAIN: Duration = Duration::from_millis(400);
/// Renewals that are remembered as not answered yet.
const RENEWALS_MAX: usize = 64;

/// A daemon.
#[derive(Clone, Debug)]
pub struct Daemon {
    number: usize,
    clock: HostClock,
    step: u64,
    session: Option<Session>,
    /// Its earlier session, of which nothing lives any more.
    ended: Option<SessionId>,
    /// Registrations so far.
    registrations: u64,
    registering: Vec<u64>,
    /// It does nothing until then.
    pub stands_still_until: Moment,
    server: usize,
}

#[derive(Clone, Debug)]
struct Session {
    node: NodeId,
    id: SessionId,
    /// Renewals that are under way, and when each was sent.
    sent: BTreeMap<u64, Moment>,
    /// When the last answered one was sent.
    answered: Moment,
    /// Until when it may be active.
    deadline: Moment,
    grant: RenewalGrant,
}

impl Daemon {
    /// A daemon that has just started.
    #[must_use]
    pub fn new(number: usize, rate: u64) -> Self {
        let mut clock = HostClock::new(100 + number);
        clock.set_rate(0, rate);
        Self {
            number,
            clock,
            step: 0,
            session: None,
            ended: None,
            registrations: 0,
            registering: Vec::new(),
            stands_still_until: 0,
            server: 0,
        }
    }

    /// Whether it has a session that may be active.
    #[must_use]
    pub fn is_covered(&self, now: Moment) -> bool {
        self.session.as_ref().is_some_and(|session| session.deadline > now)
    }

    /// Its node and session.
    #[must_use]
    pub fn session(&self) -> Option<(NodeId, SessionId)> {
        self.session.as_ref().map(|session| (session.node, session.id))
    }

    fn registration(&self) -> Option<Proposal> {
        let name = NodeName::new(&format!("d{}", self.number + 1)).ok()?;
        let number = self.registrations;
        Some(Proposal {
            request: None,
            command: Command::RegisterNode(RegisterNode {
                name,
                machine: format!("machine-{}", self.number),
                // One boot for the whole run: it is the daemon that begins anew, and not its machine.
                boot: format!("boot-{}", self.number),
                nonce: format!("nonce-{}-{number}", self.number),
                ended: self.ended.into_iter().collect(),
                capacity: Capacity::default(),
                labels: BTreeMap::new(),
                api: format!("d{}:api", self.number + 1),
                containment: None,
                cut_off: None,
            }),
        })
    }
}

impl Simulation {
    /// The next step of a daemon, after so much time by its own clock.
    fn plan_daemon(&mut self, number: usize, after: Duration) {
        let daemon = &mut self.daemons[number];
        daemon.step += 1;
        let step = daemon.step;
        let at = daemon.clock.after(self.now, after);
        self.plan(Duration::from_nanos(at - self.now), Event::Daemon(number, step));
    }

    /// A daemon's next step: it registers, renews, or finds that its lease has ended.
    pub(super) fn daemon_step(&mut self, number: usize, step: u64) {
        let now = self.now;
        let server = self.some_server();
        let daemon = &mut self.daemons[number];
        if daemon.step != step {
            return;
        }
        if daemon.stands_still_until > now {
            let rest = Duration::from_nanos(daemon.stands_still_until - now);
            self.plan(rest, Event::Daemon(number, step));
            return;
        }
        if self.servers[daemon.server].removed || self.random.chance(1000) {
            daemon.server = server;
        }
        let Some(session) = &mut daemon.session else {
            self.register(number, server);
            return;
        };
        // A session that was never answered has no lease that could have ended: a daemon asks on until it is told more.
        if session.deadline != 0 && session.deadline < now && self.random.chance(3000) {
            // Its packages are gone. It begins anew, and says so.
            daemon.ended = Some(session.id);
            daemon.session = None;
            daemon.registrations += 1;
            daemon.registering.clear();
            self.plan_daemon(number, Duration::from_millis(server::timers::KILL_MS));
            return;
        }
        let unanswered = session.sent.keys().next_back().is_some();
        if unanswered {
            daemon.server = server;
        }
        let pause = Duration::from_millis(if unanswered {
            session.grant.retry.0
        } else {
            session.grant.renew.0
        });
        let (node, id, target) = (session.node, session.id, daemon.server);
        let question = self.ask(Asker::Daemon(number), target, Ask::Renew(node, id));
        if let Some(session) = &mut self.daemons[number].session {
            session.sent.insert(question, now);
            while session.sent.len() > RENEWALS_MAX {
                session.sent.pop_first();
            }
        }
        self.plan_daemon(number, pause);
    }

    fn register(&mut self, number: usize, server: usize) {
        if let Some(proposal) = self.daemons[number].registration() {
            let question = self.ask(Asker::Daemon(number), server, Ask::Propose(Box::new(proposal)));
            self.daemons[number].registering.push(question);
        }
        self.plan_daemon(number, REGISTER_AGAIN);
    }

    /// A daemon has an answer.
    pub(super) fn daemon_told(&mut self, number: usize, question: u64, told: Told) {
        if self.daemons[number].stands_still_until > self.now {
            return;
        }
        match told {
            Told::Proposed(Ok(answer)) => {
                if let Err(text) = self.reference.compare_answer(None, &answer) {
                    self.violated(&text);
                }
                let daemon = &mut self.daemons[number];
                if daemon.session.is_none()
                    && daemon.registering.contains(&question)
                    && let Ok(Fact::Registered { node, session }) = answer.result
                {
                    let grant = first_grant(self.settings.lease);
                    daemon.session = Some(Session {
                        node,
                        id: session,
                        sent: BTreeMap::new(),
                        answered: 0,
                        deadline: 0,
                        grant,
                    });
                    self.note("registered", number, session.0, &[]);
                    self.plan_daemon(number, Duration::from_millis(1));
                }
            }
            Told::Renewed(Ok(grant)) => self.renewed(number, question, grant),
            Told::Renewed(Err(RenewError::NotLeader { leader: Some(leader) })) => {
                // As a follower passes a renewal on: it counts from when the daemon sent it.
                let known = self.servers.iter().position(|server| address(&server.name) == leader);
                let session = self.daemons[number].session.as_ref();
                let sent = session.and_then(|session| Some((session.node, session.id, *session.sent.get(&question)?)));
                if let (Some(server), Some((node, id, sent))) = (known, sent) {
                    let question = self.ask(Asker::Daemon(number), server, Ask::Renew(node, id));
                    let daemon = &mut self.daemons[number];
                    daemon.server = server;
                    if let Some(session) = &mut daemon.session {
                        session.sent.insert(question, sent);
                    }
                }
            }
            Told::Renewed(Err(RenewError::SessionEnded)) => {
                let daemon = &mut self.daemons[number];
                if daemon
                    .session
                    .as_ref()
                    .is_some_and(|session| session.sent.contains_key(&question))
                {
                    daemon.ended = daemon.session.take().map(|session| session.id);
                    daemon.registrations += 1;
                    daemon.registering.clear();
                    self.plan_daemon(number, Duration::from_millis(server::timers::KILL_MS));
                }
            }
            Told::Proposed(Err(_)) | Told::Renewed(Err(_)) | Told::Read(_) | Told::Changed(_) | Told::NotRunning => {}
        }
    }

    fn renewed(&mut self, number: usize, question: u64, grant: RenewalGrant) {
        let daemon = &mut self.daemons[number];
        let Some(session) = &mut daemon.session else { return };
        let Some(sent) = session.sent.remove(&question) else {
            return;
        };
        // Rule 1: the lease counts from just before the renewal was sent, by the daemon's own clock.
        let deadline = daemon.clock.after(sent, Duration::from_millis(grant.lease.0));
        session.grant = grant;
        if sent > session.answered {
            session.answered = sent;
            session.sent.retain(|_, other| *other > sent);
        }
        // What was left of the lease when its extension came.
        let left = (session.deadline != 0).then(|| session.deadline.saturating_sub(self.now));
        session.deadline = session.deadline.max(deadline);
        if let Some(left) = left {
            let soft = session.grant.soft.0 * 1_000_000;
            self.report.count_lease(left, soft);
        }
        let id = session.id;
        self.note("renewed", number, id.0, &[]);
        self.granted(id, sent, deadline);
    }
}

/// What a daemon goes by until its first answer.
fn first_grant(lease: Millis) -> RenewalGrant {
    let timers = server::timers::Timers::of(lease);
    RenewalGrant {
        lease,
        soft: Millis(timers.soft_ms),
        renew: Millis(timers.renew_ms),
        retry: Millis(timers.retry_ms),
    }
}
