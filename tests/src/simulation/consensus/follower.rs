//! What a server does with what others send it: votes, entries, snapshots.

use std::rc::Rc;

use super::super::disk::{Disk, Write};
use super::super::random::Random;
use super::{LogEntry, Raft, RaftMessage, Role, SnapshotData};

impl Raft {
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
                if self.hears_leader(from, term, disk, random, now_ns) {
                    self.on_append(from, previous, entries, commit, round, disk);
                }
            }
            RaftMessage::Snapshot { term, data, round } => {
                if self.hears_leader(from, term, disk, random, now_ns) {
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

    pub(super) fn on_vote(
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
    pub(super) fn reply(&mut self, to: usize, message: RaftMessage, disk: &mut Disk) {
        let message = if disk.vote_waits() {
            disk.after(to, message)
        } else {
            Some(message)
        };
        self.out.extend(message.map(|message| (to, message)));
    }

    pub(super) fn hears_leader(
        &mut self,
        from: usize,
        term: u64,
        disk: &mut Disk,
        random: &mut Random,
        now_ns: u64,
    ) -> bool {
        if term < self.term {
            // Confirms nothing: the rounds of an older term, or of an earlier process, are counted anew by the present one.
            let answer = RaftMessage::Appended {
                term: self.term,
                matched: 0,
                hint: None,
                round: 0,
            };
            self.reply(from, answer, disk);
            return false;
        }
        self.follow(term, Some(from), disk);
        self.heard_ns = now_ns;
        self.wait_for_leader(random, now_ns, true);
        true
    }

    pub(super) fn on_append(
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

    pub(super) fn on_snapshot(
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
}
