//! One server process: the model of Raft, the real state machine, the real lease table, and between them what
//! `server/src/api/daemon.rs`, `lease.rs` and `raft/` do with sockets and tasks.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use client::wire::daemon as wire;
use server::api::protocol;
use server::lease::{Decision, LeaseTable, Moment, RenewError, Round};
use server::raft::{Answer, BootTime, ClusterClock, Fact};
use statemachine::State;
use statemachine::command::Command;
use statemachine::id::{NodeId, SessionId, Term};
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;

use super::check::apply_entry;
use super::consensus::{LogEntry, Payload, Raft, RaftMessage, Role, SnapshotData};
use super::disk::Disk;
use super::message::{Body, Envelope, Origin, ReplyTo, Request, Response};
use super::planted::Planted;
use super::world::{Event, MS, World};

/// How long a round of confirmation may take; see `server/src/raft/read.rs`.
const ROUND_WAIT_NS: u64 = 1_000 * MS;
/// A snapshot follows after so many entries.
const SNAPSHOT_AFTER: u64 = 48;
/// Questions that wait for the log: beyond that they are refused, as the product refuses at its own bound.
const WAITING_MAX: usize = 512;

/// A renewal that waits for its round.
#[derive(Debug)]
pub struct Renewal {
    request: wire::Renew,
    reply: ReplyTo,
}

struct RoundUnderWay {
    round: Round,
    number: u64,
    term: u64,
    read: u64,
    until_ns: u64,
}

/// What a proposal's answer becomes on the way back to a daemon.
enum Shape {
    Registered,
    Reported(NodeId),
    Plain,
}

struct Waiting {
    reply: ReplyTo,
    shape: Shape,
}

/// One server process and its disk.
pub struct Server {
    /// The process runs.
    pub up: bool,
    /// Counted up with each process.
    pub incarnation: u64,
    /// Why it stopped by itself.
    pub failed: Option<&'static str>,
    /// So many faults pause it.
    pub paused: u16,
    /// A sync takes so much longer.
    pub slow_disk_ns: u64,
    /// The next sync fails.
    pub broken_disk: bool,
    /// It refuses what is asked, for its queues are full.
    pub full: u16,
    /// Its disk.
    pub disk: Disk,
    /// Its part in the consensus.
    pub raft: Raft,
    /// What it has applied.
    pub state: State,
    /// The last log entry that it has applied.
    pub applied: u64,
    leases: LeaseTable<Renewal>,
    round: Option<RoundUnderWay>,
    clock: ClusterClock,
    led: Option<(u64, BootTime)>,
    ready: bool,
    waiting: BTreeMap<u64, (u64, Vec<Option<Waiting>>)>,
    relayed: BTreeMap<u64, Waiting>,
    tick_after_ns: u64,
    sweep_ns: u64,
    wake_ns: u64,
    answered: BTreeMap<u64, u64>,
    lost: Option<Command>,
    /// What came while it was paused.
    inbox: Vec<Event>,
}

impl Server {
    /// A process that has just been started on this disk.
    #[must_use]
    pub fn start(incarnation: u64, disk: Disk, raft: Raft) -> Self {
        let snapshot = disk.image.snapshot.as_ref();
        let state = snapshot.map_or_else(State::new, |data| data.state.clone());
        Self {
            up: true,
            incarnation,
            failed: None,
            paused: 0,
            slow_disk_ns: 0,
            broken_disk: false,
            full: 0,
            applied: snapshot.map_or(0, |data| data.index),
            disk,
            raft,
            state,
            leases: LeaseTable::new(),
            round: None,
            clock: ClusterClock::default(),
            led: None,
            ready: false,
            waiting: BTreeMap::new(),
            relayed: BTreeMap::new(),
            tick_after_ns: 0,
            sweep_ns: 0,
            wake_ns: u64::MAX,
            answered: BTreeMap::new(),
            lost: None,
            inbox: Vec::new(),
        }
    }

    /// Whether it leads and has applied all that older terms left over.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.up && self.ready
    }

    /// The times in the newest answers, for how often to sweep.
    fn quiet_since(&self) -> Option<u64> {
        self.answered.values().min().copied()
    }
}

impl World {
    fn boot_ns(&self, server: usize) -> u64 {
        self.hosts[server].clock.local(self.now)
    }

    /// Something for a server process: kept while that is paused.
    pub fn server_gets(&mut self, server: usize, event: Event) {
        if !self.servers[server].up {
            return;
        }
        if self.servers[server].paused > 0 {
            self.servers[server].inbox.push(event);
            return;
        }
        self.server_does(server, event);
        self.settle_server(server);
    }

    fn server_does(&mut self, server: usize, event: Event) {
        let now_ns = self.boot_ns(server);
        match event {
            Event::Arrives(envelope) => self.server_receives(server, *envelope),
            Event::Synced(_, incarnation) => {
                if self.servers[server].incarnation == incarnation {
                    self.synced(server);
                }
            }
            Event::ServerWakes(..) => {
                let it = &mut self.servers[server];
                it.raft.tick(&mut it.disk, &mut self.random, now_ns);
                self.sweep(server);
                self.tick(server);
            }
            _ => {}
        }
    }

    /// It runs again.
    pub fn resume_server(&mut self, server: usize) {
        let events = std::mem::take(&mut self.servers[server].inbox);
        for event in events {
            self.server_gets(server, event);
        }
        self.server_gets(server, Event::ServerWakes(server));
    }

    fn server_receives(&mut self, server: usize, envelope: Envelope) {
        let now_ns = self.boot_ns(server);
        match envelope.body {
            Body::Raft(message) => {
                let it = &mut self.servers[server];
                let installed = it
                    .raft
                    .receive(envelope.from, message, &mut it.disk, &mut self.random, now_ns);
                if let Some(data) = installed {
                    it.state = self.checks.through_snapshot(&data.state);
                    it.applied = data.index;
                    it.waiting.clear();
                    self.checks.installed(server, &data);
                }
            }
            Body::Request(reply, request) => self.asked(server, reply, request),
            Body::Response(reply, response) => self.relayed_answer(server, reply.call, response),
            Body::Hint { .. } => {}
        }
    }

    fn synced(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let it = &mut self.servers[server];
        if it.broken_disk {
            // A failed sync is never tried again: the process says why and ends.
            it.broken_disk = false;
            it.failed = Some("a sync failed");
            return self.crash_server(server, 0);
        }
        let synced = it.disk.done();
        it.raft.synced(synced.durable, synced.vote, &mut it.disk, now_ns);
        it.raft.out.extend(synced.send);
    }

    fn respond(&mut self, server: usize, reply: ReplyTo, response: Response) {
        let to = match reply.origin {
            Origin::Daemon { host, .. } => host,
            Origin::Client { client } => self.client_host(client),
            Origin::Server { server, .. } => server,
        };
        self.send(Envelope {
            from: server,
            to,
            for_server: matches!(reply.origin, Origin::Server { .. }),
            body: Body::Response(reply, response),
        });
    }

    fn refuse(&mut self, server: usize, reply: ReplyTo, code: &str) {
        self.respond(server, reply, Response::Failed(code.to_owned()));
    }

    fn asked(&mut self, server: usize, reply: ReplyTo, request: Request) {
        let it = &self.servers[server];
        if it.full > 0 || it.waiting.len() > WAITING_MAX {
            return self.refuse(server, reply, "overloaded");
        }
        let plain = |command| Proposal { request: None, command };
        match request {
            Request::Renew(renew) => self.asked_for_time(server, reply, renew),
            Request::Propose(proposal) => self.propose(server, reply, *proposal, Shape::Plain),
            Request::Register(request) => match protocol::register(*request) {
                Ok(command) => self.propose(server, reply, plain(command), Shape::Registered),
                Err(_) => self.refuse(server, reply, "malformed"),
            },
            Request::Report(report) => {
                let node = NodeId(report.node);
                match protocol::report(report) {
                    Ok(command) => self.propose(server, reply, plain(command), Shape::Reported(node)),
                    Err(_) => self.refuse(server, reply, "malformed"),
                }
            }
            Request::Extend(extend) => {
                let command = protocol::extend(&extend);
                self.propose(server, reply, plain(command), Shape::Reported(NodeId(extend.node)));
            }
            Request::Leave(leave) => {
                let command = protocol::leave(&leave);
                self.propose(server, reply, plain(command), Shape::Reported(NodeId(leave.node)));
            }
        }
    }

    fn asked_for_time(&mut self, server: usize, reply: ReplyTo, request: wire::Renew) {
        let it = &mut self.servers[server];
        let Some(cluster) = it.state.cluster() else {
            return self.refuse(server, reply, "no_quorum");
        };
        if *cluster.id != *request.cluster_id {
            return self.refuse(server, reply, "cluster_conflict");
        }
        if it.raft.role == Role::Leader {
            let (node, session) = (NodeId(request.node), SessionId(request.session));
            it.leases.on_arrival(node, session, Renewal { request, reply });
            return;
        }
        let leader = it.raft.leader.filter(|leader| *leader != server);
        match (leader, reply.origin) {
            // Passed on singly, once.
            (Some(leader), Origin::Daemon { .. }) => {
                let passed = Request::Renew(request);
                self.relay(server, leader, reply, Shape::Plain, passed);
            }
            _ => self.refuse(server, reply, "no_quorum"),
        }
    }

    fn relay(&mut self, server: usize, to: usize, reply: ReplyTo, shape: Shape, request: Request) {
        self.next_id += 1;
        let call = self.next_id;
        let it = &mut self.servers[server];
        while it.relayed.len() > WAITING_MAX {
            it.relayed.pop_first();
        }
        it.relayed.insert(call, Waiting { reply, shape });
        let origin = Origin::Server {
            server,
            incarnation: it.incarnation,
        };
        self.send(Envelope {
            from: server,
            to,
            for_server: true,
            body: Body::Request(ReplyTo { origin, call }, request),
        });
    }

    fn relayed_answer(&mut self, server: usize, call: u64, response: Response) {
        let Some(Waiting { reply, shape }) = self.servers[server].relayed.remove(&call) else {
            return;
        };
        let response = match response {
            Response::Answered(answer) => self.shaped(server, &shape, *answer),
            other => other,
        };
        self.respond(server, reply, response);
    }

    fn propose(&mut self, server: usize, reply: ReplyTo, proposal: Proposal, shape: Shape) {
        let it = &mut self.servers[server];
        if it.ready {
            let index = self.append(server, vec![proposal]);
            let it = &mut self.servers[server];
            it.waiting
                .insert(index, (it.raft.term, vec![Some(Waiting { reply, shape })]));
            return;
        }
        let forwarded = matches!(reply.origin, Origin::Server { .. });
        match it.raft.leader.filter(|leader| *leader != server && !forwarded) {
            Some(leader) => self.relay(server, leader, reply, shape, Request::Propose(Box::new(proposal))),
            None => self.refuse(server, reply, "no_quorum"),
        }
    }

    fn append(&mut self, server: usize, mut proposals: Vec<Proposal>) -> u64 {
        let now_ns = self.boot_ns(server);
        let wall_ms = self.wall_ms(server);
        let any_term = self.plants(Planted::LostInAnyTerm);
        let it = &mut self.servers[server];
        for proposal in &mut proposals {
            if let (Command::NodeLost { term, .. }, true) = (&mut proposal.command, any_term) {
                *term = Term(it.raft.term);
            }
        }
        let term = Term(it.raft.term);
        let at = it.clock.now(term, boot(now_ns)).unwrap_or(it.state.at());
        let payload = Payload::Batch { at, wall_ms, proposals };
        it.raft.append(payload, &mut it.disk, now_ns)
    }

    /// In the words that whoever asked understands.
    fn shaped(&self, server: usize, shape: &Shape, answer: Answer) -> Response {
        let state = &self.servers[server].state;
        match (shape, &answer.result) {
            (Shape::Plain, _) => Response::Answered(Box::new(answer)),
            (_, Err(refusal)) => Response::Failed(refusal.code.clone()),
            (Shape::Registered, Ok(Fact::Registered { node, session })) => {
                let cluster_id = state.cluster().map(|cluster| cluster.id.to_string());
                Response::Registered(Box::new(wire::Registered {
                    cluster_id: cluster_id.unwrap_or_default(),
                    node: node.0,
                    session: session.0,
                    servers: protocol::servers(state),
                }))
            }
            (Shape::Registered, Ok(_)) => Response::Failed("internal".to_owned()),
            (Shape::Reported(node), Ok(_)) => Response::Reported(wire::Reported {
                index: answer.index.0,
                generation: protocol::generation(state, *node).0,
            }),
        }
    }

    /// After anything: apply, answer, follow leadership, begin rounds, send, sync, and plan the next waking.
    fn settle_server(&mut self, server: usize) {
        if !self.servers[server].up {
            return;
        }
        self.apply_committed(server);
        self.follow_leadership(server);
        self.rounds(server);
        let it = &mut self.servers[server];
        let out = std::mem::take(&mut it.raft.out);
        let term = it.raft.term;
        if it.disk.begin() {
            let incarnation = it.incarnation;
            let delay = self.random.between(MS / 10, 2 * MS) + self.random.below(it.slow_disk_ns + 1);
            self.at(self.now + delay, Event::Synced(server, incarnation));
        }
        for (to, message) in out {
            if let RaftMessage::TimeoutNow { .. } = message {
                self.note(|| format!("s{server} hands over to s{to} in term {term}"));
            }
            self.send(Envelope {
                from: server,
                to,
                for_server: true,
                body: Body::Raft(message),
            });
        }
        self.plan_server(server);
    }

    fn apply_committed(&mut self, server: usize) {
        let mut applied_some = false;
        loop {
            let it = &self.servers[server];
            let index = it.applied + 1;
            if index > it.raft.commit {
                break;
            }
            let Some(entry) = it.raft.entry(index).map(Rc::clone) else {
                break;
            };
            self.commit_reference(server, index, &entry);
            self.apply_one(server, index, &entry);
            applied_some = true;
        }
        if applied_some {
            self.hints_of(server);
            self.snapshot_maybe(server);
        }
    }

    fn apply_one(&mut self, server: usize, index: u64, entry: &Rc<LogEntry>) {
        let keys_ignored = self.plants(Planted::KeysIgnored);
        let it = &mut self.servers[server];
        let applied = apply_entry(&mut it.state, entry, keys_ignored);
        it.applied = index;
        let digest = statemachine::digest(&it.state);
        self.checks.applied(server, index, digest);
        let it = &mut self.servers[server];
        let Some((term, waiting)) = it.waiting.remove(&index) else {
            return;
        };
        let lost = term != entry.term;
        for (place, waits) in waiting.into_iter().enumerate() {
            let Some(Waiting { reply, shape }) = waits else {
                continue;
            };
            let response = match applied.get(place) {
                Some(applied) if !lost => self.shaped(server, &shape, Answer::of(applied)),
                _ => Response::Failed("outcome_unknown".to_owned()),
            };
            self.respond(server, reply, response);
        }
    }

    fn snapshot_maybe(&mut self, server: usize) {
        let it = &mut self.servers[server];
        if it.applied < it.raft.base.0 + SNAPSHOT_AFTER {
            return;
        }
        let Some(term) = it.raft.term_at(it.applied) else {
            return;
        };
        let data = SnapshotData {
            index: it.applied,
            term,
            state: it.state.clone(),
        };
        it.raft.compact(Rc::new(data), &mut it.disk);
    }

    fn follow_leadership(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let no_wait = self.plants(Planted::NewLeaderDoesNotWait);
        let it = &mut self.servers[server];
        let term = it.raft.term;
        let leads = it.raft.role == Role::Leader;
        if leads && it.led.is_none_or(|(led, _)| led != term) {
            let mut since = boot(now_ns);
            it.led = Some((term, since));
            if no_wait {
                since = BootTime(since.0.saturating_sub(Duration::from_secs(3600)));
            }
            it.ready = false;
            it.answered.clear();
            it.leases.lead(Term(term), since);
            it.sweep_ns = now_ns;
            self.checks.leads(server, term);
            self.leader_changes += 1;
            self.note(|| format!("s{server} leads in term {term}"));
        }
        let it = &mut self.servers[server];
        if leads && !it.ready && it.applied >= it.raft.blank {
            it.ready = true;
            if let Some((_, since)) = it.led {
                it.clock.take_over(Term(term), it.state.at(), since);
            }
        }
        if !leads && it.led.is_some() {
            it.led = None;
            it.ready = false;
            it.round = None;
            let renewals = it.leases.resign();
            let waiting = std::mem::take(&mut it.waiting);
            for renewal in renewals {
                self.refuse(server, renewal.reply, "no_quorum");
            }
            for waits in waiting.into_values().flat_map(|(_, waiting)| waiting).flatten() {
                self.refuse(server, waits.reply, "outcome_unknown");
            }
        }
        self.forward_lost(server);
    }

    /// Planted: what a deposed leader thought lost goes to its successor.
    fn forward_lost(&mut self, server: usize) {
        let planted = self.plants(Planted::LostInAnyTerm);
        let it = &mut self.servers[server];
        if !planted || it.raft.role != Role::Follower {
            return;
        }
        let Some(leader) = it.raft.leader.filter(|leader| *leader != server) else {
            return;
        };
        if let Some(command) = it.lost.take() {
            let origin = Origin::Server {
                server,
                incarnation: it.incarnation,
            };
            let proposal = Proposal { request: None, command };
            let body = Body::Request(ReplyTo { origin, call: 0 }, Request::Propose(Box::new(proposal)));
            self.send(Envelope {
                from: server,
                to: leader,
                for_server: true,
                body,
            });
        }
    }

    fn rounds(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let unconfirmed = self.plants(Planted::NoQuorumRound);
        let it = &mut self.servers[server];
        if let Some(way) = &it.round {
            let good = way.term == it.raft.term && it.applied >= way.read && it.applied >= it.raft.blank;
            if good && (unconfirmed || it.raft.confirmed(way.number)) {
                let round = way.round;
                it.round = None;
                self.grant(server, round);
            } else if now_ns >= way.until_ns || way.term != it.raft.term || it.raft.role != Role::Leader {
                let round = way.round;
                it.round = None;
                let decisions = it.leases.on_round_failed(round);
                self.decide(server, decisions);
            }
        }
        let it = &mut self.servers[server];
        if it.round.is_none()
            && it.raft.role == Role::Leader
            && let Some(round) = it.leases.begin_round()
        {
            let number = it.raft.begin_round(now_ns);
            it.round = Some(RoundUnderWay {
                round,
                number,
                term: it.raft.term,
                read: it.raft.commit.max(it.raft.blank),
                until_ns: now_ns + ROUND_WAIT_NS,
            });
        }
    }

    fn grant(&mut self, server: usize, round: Round) {
        let now_ns = self.boot_ns(server);
        let it = &mut self.servers[server];
        let term = Term(it.raft.term);
        let moment = Moment {
            boot: boot(now_ns),
            at: it.clock.now(term, boot(now_ns)).unwrap_or(Timestamp(u64::MAX)),
            state: &it.state,
        };
        let decisions = it.leases.on_round_confirmed(round, term, moment);
        self.decide(server, decisions);
    }

    fn decide(&mut self, server: usize, decisions: Vec<Decision<Renewal>>) {
        let now_ns = self.boot_ns(server);
        for Decision { renewal, grant } in decisions {
            let Renewal { request, reply } = renewal;
            let response = match grant {
                Ok(grant) => {
                    let it = &mut self.servers[server];
                    it.answered.insert(request.session, now_ns);
                    match protocol::renewed(&it.state, &request, grant) {
                        Some(answer) => Response::Renewed(Box::new(answer)),
                        None => Response::Failed("session_ended".to_owned()),
                    }
                }
                Err(RenewError::SessionEnded) => Response::Failed("session_ended".to_owned()),
                Err(_) => Response::Failed("no_quorum".to_owned()),
            };
            self.respond(server, reply, response);
        }
    }

    fn sweep(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let early_ns = if self.plants(Planted::WaitTooShort) {
            self.timers.wait_ms.saturating_sub(self.timers.lease_ms) * MS
        } else {
            0
        };
        let lease_ns = self.timers.lease_ms * MS;
        let it = &mut self.servers[server];
        if !it.ready || now_ns < it.sweep_ns {
            return;
        }
        let lost = it.leases.sweep(boot(now_ns + early_ns), &it.state);
        // Looked at often only when something may be due: a sweep more would find nothing.
        let present: Vec<u64> = it.state.nodes().filter_map(|node| Some(node.session()?.0)).collect();
        it.answered.retain(|session, _| present.contains(session));
        let all_known = present.iter().all(|session| it.answered.contains_key(session));
        let quiet = all_known && it.quiet_since().is_none_or(|since| now_ns < since + lease_ns * 3 / 4);
        let pause = if quiet { (lease_ns / 4).min(200 * MS) } else { 10 * MS };
        it.sweep_ns = now_ns + pause;
        if lost.is_empty() {
            return;
        }
        let command = Command::NodeLost {
            sessions: lost.clone(),
            term: Term(it.raft.term),
        };
        it.lost = Some(command.clone());
        self.note(|| format!("s{server} proposes lost {lost:?}"));
        self.append(server, vec![Proposal { request: None, command }]);
        self.on_lost_proposed(server);
    }

    fn tick(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let it = &mut self.servers[server];
        let due = it.ready.then(|| it.state.next_deadline()).flatten();
        let at = it.clock.now(Term(it.raft.term), boot(now_ns));
        if let (Some(due), Some(at)) = (due, at)
            && due <= at
            && now_ns >= it.tick_after_ns
        {
            it.tick_after_ns = now_ns + 50 * MS;
            let command = Command::Tick;
            self.append(server, vec![Proposal { request: None, command }]);
        }
    }

    fn plan_server(&mut self, server: usize) {
        let now_ns = self.boot_ns(server);
        let it = &mut self.servers[server];
        let mut next = it.raft.due_ns();
        if it.ready {
            next = next.min(it.sweep_ns);
            let at = it.clock.now(Term(it.raft.term), boot(now_ns));
            if let (Some(due), Some(at)) = (it.state.next_deadline(), at) {
                next = next.min(
                    (now_ns + due.since(at).0 * MS)
                        .max(it.tick_after_ns)
                        .max(now_ns + 2 * MS),
                );
            }
        }
        if let Some(way) = &it.round {
            next = next.min(way.until_ns);
        }
        let at = self.hosts[server].clock.when(next).max(self.now + 1);
        let it = &mut self.servers[server];
        if at < it.wake_ns || it.wake_ns <= self.now {
            it.wake_ns = at;
            self.at(at, Event::ServerWakes(server));
        }
    }
}

fn boot(ns: u64) -> BootTime {
    BootTime(Duration::from_nanos(ns))
}
