//! A model of Raft, small enough to be read at once: elections with pre-vote, a log on disks, rounds of confirmation.
//!
//! It stands in for openraft where whole clusters are simulated quickly; openraft itself is simulated in
//! [`crate::consensus`]. Pure: it takes messages and the time, and leaves what is to be sent in `out`.

mod follower;
mod message;

use std::rc::Rc;

use super::disk::{Disk, Write};
use super::random::Random;
pub use message::{LogEntry, Payload, RaftMessage, SnapshotData};

/// Entries in one message.
const ENTRIES_MAX: usize = 64;

/// What a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows.
    Follower,
    /// Asks whether it would be elected.
    Asking,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// Timers, on the server's own boot clock.
#[derive(Clone, Copy, Debug)]
pub struct RaftTimers {
    /// Between two messages to a follower.
    pub heartbeat_ns: u64,
    /// The shortest wait before an election.
    pub election_min_ns: u64,
    /// The longest, and how long followers stay with a leader.
    pub election_max_ns: u64,
}

/// One server's part in the consensus.
pub struct Raft {
    me: usize,
    servers: usize,
    /// Timers in use.
    pub timers: RaftTimers,
    /// The newest term that it knows.
    pub term: u64,
    vote: Option<usize>,
    /// What it is.
    pub role: Role,
    /// Who leads, as far as it knows.
    pub leader: Option<usize>,
    /// Index and term of the entry before the first of `log`.
    pub base: (u64, u64),
    log: Vec<Rc<LogEntry>>,
    /// The newest snapshot.
    pub snapshot: Option<Rc<SnapshotData>>,
    /// The last entry that it knows to be committed.
    pub commit: u64,
    durable: u64,
    heard_ns: u64,
    election_ns: u64,
    beat_ns: u64,
    votes: u64,
    next: Vec<u64>,
    matched: Vec<u64>,
    acked: Vec<u64>,
    round: u64,
    forced: bool,
    /// Its first entry as leader.
    pub blank: u64,
    /// What is to be sent.
    pub out: Vec<(usize, RaftMessage)>,
    /// Acknowledge what is only written: planted.
    pub acks_unsynced: bool,
}

impl Raft {
    /// Starts from what a disk holds.
    #[must_use]
    pub fn start(me: usize, servers: usize, timers: RaftTimers, disk: &Disk, random: &mut Random, now_ns: u64) -> Self {
        let image = &disk.image;
        let mut raft = Self {
            me,
            servers,
            timers,
            term: image.term,
            vote: image.vote,
            role: Role::Follower,
            leader: None,
            base: image.base,
            log: image.log.clone(),
            snapshot: image.snapshot.clone(),
            commit: image.base.0,
            durable: image.last(),
            heard_ns: 0,
            election_ns: 0,
            beat_ns: 0,
            votes: 0,
            next: vec![0; servers],
            matched: vec![0; servers],
            acked: vec![0; servers],
            round: 0,
            forced: false,
            blank: 0,
            out: Vec::new(),
            acks_unsynced: false,
        };
        raft.wait_for_leader(random, now_ns, true);
        raft
    }

    fn wait_for_leader(&mut self, random: &mut Random, now_ns: u64, holds: bool) {
        let spread = random.between(self.timers.election_min_ns, self.timers.election_max_ns);
        self.election_ns = now_ns + spread + if holds { self.timers.election_max_ns } else { 0 };
    }

    /// The index of the last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.base.0 + self.log.len() as u64
    }

    /// The term of an entry, where it is here.
    #[must_use]
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        Some(self.entry(index)?.term)
    }

    /// An entry, where it is here.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&Rc<LogEntry>> {
        self.log.get(index.checked_sub(self.base.0 + 1)? as usize)
    }

    fn last_id(&self) -> (u64, u64) {
        (self.last(), self.term_at(self.last()).unwrap_or(0))
    }

    fn majority(&self, has: impl Fn(usize) -> bool) -> bool {
        (0..self.servers).filter(|server| has(*server)).count() * 2 > self.servers
    }

    /// When [`Raft::tick`] is due.
    #[must_use]
    pub fn due_ns(&self) -> u64 {
        if self.role == Role::Leader {
            self.beat_ns
        } else {
            self.election_ns
        }
    }

    /// A time has come.
    pub fn tick(&mut self, disk: &mut Disk, random: &mut Random, now_ns: u64) {
        if now_ns < self.due_ns() {
            return;
        }
        if self.role == Role::Leader {
            self.broadcast(now_ns);
        } else {
            self.ask(false, disk, random, now_ns);
        }
    }

    fn ask(&mut self, forced: bool, disk: &mut Disk, random: &mut Random, now_ns: u64) {
        self.leader = None;
        self.forced = forced;
        self.votes = 1 << self.me;
        self.wait_for_leader(random, now_ns, false);
        if forced || self.servers == 1 {
            return self.stand(disk);
        }
        self.role = Role::Asking;
        let (term, last) = (self.term + 1, self.last_id());
        self.tell_others(|| RaftMessage::Vote {
            term,
            last,
            pre: true,
            forced: false,
        });
    }

    fn stand(&mut self, disk: &mut Disk) {
        self.role = Role::Candidate;
        self.term += 1;
        self.vote = Some(self.me);
        self.votes = 0;
        self.leader = None;
        disk.write(Write::Vote {
            term: self.term,
            vote: self.vote,
        });
        // Nobody is asked, and its own vote does not count, before that is durable.
        let (term, last, forced) = (self.term, self.last_id(), self.forced);
        for to in (0..self.servers).filter(|to| *to != self.me) {
            let message = RaftMessage::Vote {
                term,
                last,
                pre: false,
                forced,
            };
            if let Some(message) = disk.after(to, message) {
                self.out.push((to, message));
            }
        }
    }

    fn tell_others(&mut self, message: impl Fn() -> RaftMessage) {
        for to in (0..self.servers).filter(|to| *to != self.me) {
            self.out.push((to, message()));
        }
    }

    /// A sync is done.
    pub fn synced(&mut self, durable: Option<u64>, vote: Option<(u64, Option<usize>)>, disk: &mut Disk, now_ns: u64) {
        if let Some(durable) = durable {
            self.durable = durable.min(self.last());
        }
        if self.role == Role::Candidate && vote == Some((self.term, Some(self.me))) {
            self.count_vote(self.me, disk, now_ns);
        }
        if self.role == Role::Leader {
            self.matched[self.me] = self.durable;
            self.advance();
        }
    }

    fn count_vote(&mut self, from: usize, disk: &mut Disk, now_ns: u64) {
        self.votes |= 1 << from;
        let votes = self.votes;
        if !self.majority(|server| votes & (1 << server) != 0) {
            return;
        }
        match self.role {
            Role::Asking => self.stand(disk),
            Role::Candidate => self.lead(disk, now_ns),
            Role::Follower | Role::Leader => {}
        }
    }

    fn lead(&mut self, disk: &mut Disk, now_ns: u64) {
        self.role = Role::Leader;
        self.leader = Some(self.me);
        self.next = vec![self.last() + 1; self.servers];
        self.matched = vec![0; self.servers];
        self.acked = vec![0; self.servers];
        self.blank = self.last() + 1;
        self.append(Payload::Blank, disk, now_ns);
    }

    /// Appends as leader; returns the index.
    pub fn append(&mut self, payload: Payload, disk: &mut Disk, now_ns: u64) -> u64 {
        let entry = Rc::new(LogEntry {
            term: self.term,
            payload,
        });
        disk.write(Write::Append {
            after: self.last(),
            entries: vec![Rc::clone(&entry)],
        });
        self.log.push(entry);
        if self.acks_unsynced {
            self.matched[self.me] = self.last();
        }
        self.broadcast(now_ns);
        self.last()
    }

    /// Begins a round of confirmation; returns its number.
    pub fn begin_round(&mut self, now_ns: u64) -> u64 {
        self.round += 1;
        self.acked[self.me] = self.round;
        self.broadcast(now_ns);
        self.round
    }

    /// Whether a majority has confirmed this round, or a later one.
    #[must_use]
    pub fn confirmed(&self, round: u64) -> bool {
        self.role == Role::Leader && self.majority(|server| self.acked[server] >= round)
    }

    fn broadcast(&mut self, now_ns: u64) {
        self.beat_ns = now_ns + self.timers.heartbeat_ns;
        let me = self.me;
        for to in (0..self.servers).filter(|to| *to != me) {
            self.send_to(to);
        }
    }

    fn send_to(&mut self, to: usize) {
        let previous = self.next[to] - 1;
        let (Some(term), true) = (self.term_at(previous), previous >= self.base.0) else {
            if let Some(data) = self.snapshot.clone() {
                self.next[to] = data.index + 1;
                let message = RaftMessage::Snapshot {
                    term: self.term,
                    data,
                    round: self.round,
                };
                self.out.push((to, message));
            }
            return;
        };
        let first = (previous - self.base.0) as usize;
        let entries: Vec<_> = self.log[first..].iter().take(ENTRIES_MAX).cloned().collect();
        self.next[to] = previous + 1 + entries.len() as u64;
        let message = RaftMessage::Append {
            term: self.term,
            previous: (previous, term),
            entries,
            commit: self.commit,
            round: self.round,
        };
        self.out.push((to, message));
    }

    /// What is on a majority of disks and of this term is committed, and all before it.
    fn advance(&mut self) {
        let mut sorted = self.matched.clone();
        sorted.sort_unstable();
        let agreed = sorted[(self.servers - 1) / 2];
        if agreed > self.commit && self.term_at(agreed) == Some(self.term) {
            self.commit = agreed;
        }
    }

    fn follow(&mut self, term: u64, leader: Option<usize>, disk: &mut Disk) {
        if term > self.term {
            self.term = term;
            self.vote = None;
            disk.write(Write::Vote { term, vote: None });
            self.role = Role::Follower;
            self.leader = None;
        }
        if leader.is_some() {
            self.role = Role::Follower;
            self.leader = leader;
        }
    }

    /// The leader asks another to take over.
    pub fn hand_over(&mut self, to: usize) {
        if self.role == Role::Leader && to != self.me {
            self.out.push((to, RaftMessage::TimeoutNow { term: self.term }));
        }
    }

    /// Drops what a snapshot of the applied state makes needless.
    pub fn compact(&mut self, data: Rc<SnapshotData>, disk: &mut Disk) {
        let keep = (data.index - self.base.0) as usize;
        self.log.drain(..keep);
        self.base = (data.index, data.term);
        self.snapshot = Some(Rc::clone(&data));
        disk.write(Write::Snapshot(data));
    }

    fn on_appended(&mut self, from: usize, matched: u64, hint: Option<u64>, round: u64) {
        self.acked[from] = self.acked[from].max(round);
        match hint {
            Some(hint) => {
                self.next[from] = (hint + 1).clamp(self.matched[from] + 1, self.last() + 1);
                self.send_to(from);
            }
            None => {
                self.matched[from] = self.matched[from].max(matched.min(self.last()));
                self.next[from] = self.next[from].max(self.matched[from] + 1);
                self.advance();
            }
        }
    }
}
