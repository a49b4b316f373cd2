//! A model of Raft, small enough to be read at once: elections with pre-vote, a log on disks, rounds of confirmation.
//!
//! It stands in for openraft where whole clusters are simulated quickly; openraft itself is simulated in
//! [`crate::consensus`]. Pure: it takes messages and the time, and leaves what is to be sent in `out`.

use std::rc::Rc;

use statemachine::State;
use statemachine::log::v1::Proposal;
use statemachine::time::Timestamp;

use super::disk::{Disk, Write};
use super::random::Random;

/// Entries in one message.
const ENTRIES_MAX: usize = 64;

/// What stands in a log entry.
#[derive(Debug)]
pub enum Payload {
    /// A leader's first entry.
    Blank,
    /// Proposals, stamped by the leader.
    Batch {
        /// Cluster time.
        at: Timestamp,
        /// The leader's wall clock.
        wall_ms: u64,
        /// Applied in order.
        proposals: Vec<Proposal>,
    },
}

/// One entry of the log.
#[derive(Debug)]
pub struct LogEntry {
    /// The term in which it was written.
    pub term: u64,
    /// What it holds.
    pub payload: Payload,
}

/// The state at an entry.
pub struct SnapshotData {
    /// The last entry in it.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The state after it.
    pub state: State,
}

/// What servers say to each other.
#[derive(Clone)]
pub enum RaftMessage {
    /// Asks for a vote, or whether one would be given.
    Vote {
        /// Of the candidate.
        term: u64,
        /// Its last entry: index and term.
        last: (u64, u64),
        /// Only a question.
        pre: bool,
        /// The former leader asked for it: nobody holds to that one.
        forced: bool,
    },
    /// Answers it.
    Voted {
        /// Of whoever answers, or the term that was asked about.
        term: u64,
        /// Whether.
        granted: bool,
        /// As in the question.
        pre: bool,
    },
    /// Entries, or none: then a heartbeat.
    Append {
        /// Of the leader.
        term: u64,
        /// The entry before the first: index and term.
        previous: (u64, u64),
        /// They.
        entries: Vec<Rc<LogEntry>>,
        /// What the leader knows to be committed.
        commit: u64,
        /// The newest round of confirmation.
        round: u64,
    },
    /// Answers it.
    Appended {
        /// Of whoever answers.
        term: u64,
        /// The log is that of the leader and durable up to here.
        matched: u64,
        /// The log does not go on where the leader thought: it may from here.
        hint: Option<u64>,
        /// That of the question.
        round: u64,
    },
    /// A state instead of entries.
    Snapshot {
        /// Of the leader.
        term: u64,
        /// It.
        data: Rc<SnapshotData>,
        /// The newest round of confirmation.
        round: u64,
    },
    /// The leader hands over: begin an election now.
    TimeoutNow {
        /// Of the leader.
        term: u64,
    },
}

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
        self.to_others(|| RaftMessage::Vote {
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

    fn to_others(&mut self, message: impl Fn() -> RaftMessage) {
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

    /// A message has come. Returns a state that replaces the present one.
    pub fn receive(
        &mut self,
        from: usize,
        message: RaftMessage,
        disk: &mut Disk,
        random: &mut Random,
        now_ns: u64,
    ) -> Option<Rc<SnapshotData>> {
        match message {
            RaftMessage::Vote {
                term,
                last,
                pre,
                forced,
            } => self.on_vote(from, term, last, pre, forced, disk, random, now_ns),
            RaftMessage::Voted { term, granted, pre } => {
                if term > self.term && !(pre && granted) {
                    self.follow(term, None, disk);
                    return None;
                }
                let asked = if pre { Role::Asking } else { Role::Candidate };
                let of = if pre { self.term + 1 } else { self.term };
                if granted && self.role == asked && term == of {
                    self.count_vote(from, disk, now_ns);
                }
            }
            RaftMessage::Append {
                term,
                previous,
                entries,
                commit,
                round,
            } => {
                if self.hears_leader(from, term, round, disk, random, now_ns) {
                    self.on_append(from, previous, entries, commit, round, disk);
                }
            }
            RaftMessage::Snapshot { term, data, round } => {
                if self.hears_leader(from, term, round, disk, random, now_ns) {
                    return self.on_snapshot(from, data, round, disk);
                }
            }
            RaftMessage::Appended {
                term,
                matched,
                hint,
                round,
            } => {
                if term > self.term {
                    self.follow(term, None, disk);
                    self.wait_for_leader(random, now_ns, false);
                } else if term == self.term && self.role == Role::Leader {
                    self.on_appended(from, matched, hint, round);
                }
            }
            RaftMessage::TimeoutNow { term } => {
                if term == self.term && self.role == Role::Follower {
                    self.ask(true, disk, random, now_ns);
                }
            }
        }
        None
    }

    fn on_vote(
        &mut self,
        from: usize,
        term: u64,
        last: (u64, u64),
        pre: bool,
        forced: bool,
        disk: &mut Disk,
        random: &mut Random,
        now_ns: u64,
    ) {
        let holds = self.role == Role::Leader
            || (self.leader.is_some() && now_ns < self.heard_ns + self.timers.election_max_ns);
        let good = (last.1, last.0) >= (self.last_id().1, self.last_id().0);
        if pre {
            let granted = term > self.term && good && !holds;
            let term = if granted { term } else { self.term };
            self.reply(from, RaftMessage::Voted { term, granted, pre }, disk);
            return;
        }
        if holds && !forced && term > self.term {
            let term = self.term;
            self.reply(
                from,
                RaftMessage::Voted {
                    term,
                    granted: false,
                    pre,
                },
                disk,
            );
            return;
        }
        if term > self.term {
            self.follow(term, None, disk);
            self.wait_for_leader(random, now_ns, false);
        }
        let free = self.vote.is_none_or(|vote| vote == from);
        let granted = term == self.term && self.role == Role::Follower && free && good;
        if granted && self.vote.is_none() {
            self.vote = Some(from);
            disk.write(Write::Vote { term, vote: self.vote });
            self.wait_for_leader(random, now_ns, false);
        }
        let term = self.term;
        self.reply(from, RaftMessage::Voted { term, granted, pre }, disk);
    }

    /// Nothing is said of a term before that term is on the disk.
    fn reply(&mut self, to: usize, message: RaftMessage, disk: &mut Disk) {
        let message = if disk.vote_waits() {
            disk.after(to, message)
        } else {
            Some(message)
        };
        self.out.extend(message.map(|message| (to, message)));
    }

    fn hears_leader(
        &mut self,
        from: usize,
        term: u64,
        round: u64,
        disk: &mut Disk,
        random: &mut Random,
        now_ns: u64,
    ) -> bool {
        if term < self.term {
            let answer = RaftMessage::Appended {
                term: self.term,
                matched: 0,
                hint: None,
                round,
            };
            self.reply(from, answer, disk);
            return false;
        }
        self.follow(term, Some(from), disk);
        self.heard_ns = now_ns;
        self.wait_for_leader(random, now_ns, true);
        true
    }

    fn on_append(
        &mut self,
        from: usize,
        previous: (u64, u64),
        entries: Vec<Rc<LogEntry>>,
        commit: u64,
        round: u64,
        disk: &mut Disk,
    ) {
        let answer = |term, matched, hint| RaftMessage::Appended {
            term,
            matched,
            hint,
            round,
        };
        // What a snapshot holds is committed, so it is the leader's too.
        let covered = self.base.0.saturating_sub(previous.0) as usize;
        if covered == 0 && self.term_at(previous.0) != Some(previous.1) {
            let hint = self
                .last()
                .min(previous.0.saturating_sub(1))
                .max(self.commit.min(previous.0));
            let message = answer(self.term, 0, Some(hint));
            self.reply(from, message, disk);
            return;
        }
        let end = (previous.0 + entries.len() as u64).max(self.base.0);
        let mut index = previous.0.max(self.base.0);
        let mut new = entries.into_iter().skip(covered).peekable();
        while let Some(entry) = new.peek() {
            if self.term_at(index + 1) != Some(entry.term) {
                break;
            }
            index += 1;
            new.next();
        }
        let new: Vec<_> = new.collect();
        let appends = !new.is_empty();
        if appends {
            if index < self.last() {
                disk.cut();
                self.log.truncate((index - self.base.0) as usize);
                self.durable = self.durable.min(index);
            }
            disk.write(Write::Append {
                after: index,
                entries: new.clone(),
            });
            self.log.extend(new);
        }
        self.commit = self.commit.max(commit.min(end));
        let durable = if self.acks_unsynced { end } else { self.durable };
        let message = answer(self.term, durable.min(end), None);
        self.reply(from, message, disk);
        if appends || durable < end {
            let message = answer(self.term, end, None);
            if let Some(message) = disk.after(from, message) {
                self.out.push((from, message));
            }
        }
    }

    fn on_snapshot(
        &mut self,
        from: usize,
        data: Rc<SnapshotData>,
        round: u64,
        disk: &mut Disk,
    ) -> Option<Rc<SnapshotData>> {
        let index = data.index;
        let newer = index > self.commit;
        if newer {
            if self.term_at(index) == Some(data.term) {
                self.log.drain(..(index - self.base.0) as usize);
            } else {
                disk.cut();
                self.log.clear();
                self.durable = index;
            }
            self.base = (index, data.term);
            self.commit = index;
            self.snapshot = Some(Rc::clone(&data));
            disk.write(Write::Snapshot(Rc::clone(&data)));
        }
        let message = RaftMessage::Appended {
            term: self.term,
            matched: index,
            hint: None,
            round,
        };
        if let Some(message) = disk.after(from, message) {
            self.out.push((from, message));
        }
        newer.then_some(data)
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
