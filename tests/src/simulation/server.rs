//! One server process: the model of Raft, the real state machine, the real lease table, and between them what
//! `server/src/api/daemon.rs`, `lease.rs` and `raft/` do with sockets and tasks.

mod asked;
mod leading;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use client::wire::daemon as wire;
use server::lease::{LeaseTable, Round};
use server::raft::{Answer, BootTime, ClusterClock};
use statemachine::State;
use statemachine::command::Command;
use statemachine::id::{NodeId, Term};

use super::check::apply_entry;
use super::consensus::{LogEntry, Raft, RaftMessage, SnapshotData};
use super::disk::Disk;
use super::message::{Body, Envelope, ReplyTo, Response};
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

    #[allow(
        clippy::collapsible_match,
        reason = "the arm takes the event, whatever its incarnation"
    )]
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
