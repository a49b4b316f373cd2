//! A server's disk: what was written, and what of it is on the platter.
//!
//! Writes wait in order; one sync at a time carries all that waited when it began. What a message promises is sent only
//! after the sync that it depends on. A crash keeps the durable image and any number of the first waiting writes.

use std::collections::VecDeque;
use std::rc::Rc;

use super::consensus::{LogEntry, RaftMessage, SnapshotData};

/// What is read back at a start.
#[derive(Clone, Default)]
pub struct Image {
    /// The newest term.
    pub term: u64,
    /// Whom it voted for in it.
    pub vote: Option<usize>,
    /// The newest snapshot.
    pub snapshot: Option<Rc<SnapshotData>>,
    /// Index and term of the entry before the first of `log`.
    pub base: (u64, u64),
    /// The entries after it.
    pub log: Vec<Rc<LogEntry>>,
}

impl Image {
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
        let place = index.checked_sub(self.base.0 + 1)?;
        self.log.get(place as usize).map(|entry| entry.term)
    }

    fn write(&mut self, op: Write) {
        match op {
            Write::Vote { term, vote } => (self.term, self.vote) = (term, vote),
            Write::Append { after, entries } => {
                self.log.truncate(after.saturating_sub(self.base.0) as usize);
                self.log.extend(entries);
            }
            Write::Snapshot(data) => {
                self.compact(data.index, data.term);
                self.snapshot = Some(data);
            }
        }
    }

    fn compact(&mut self, index: u64, term: u64) {
        if self.term_at(index) == Some(term) {
            self.log.drain(..(index - self.base.0) as usize);
        } else {
            self.log.clear();
        }
        self.base = (index, term);
    }
}

/// One write.
pub enum Write {
    /// Term and vote.
    Vote {
        /// The term.
        term: u64,
        /// The vote.
        vote: Option<usize>,
    },
    /// Entries after an index; what stood there before goes.
    Append {
        /// The index before the first.
        after: u64,
        /// They.
        entries: Vec<Rc<LogEntry>>,
    },
    /// A snapshot; the log before it goes.
    Snapshot(Rc<SnapshotData>),
}

struct Waiting {
    write: Write,
    version: u64,
    then: Vec<(usize, RaftMessage)>,
}

/// What a finished sync made true.
#[derive(Default)]
pub struct Synced {
    /// Messages that waited for it.
    pub send: Vec<(usize, RaftMessage)>,
    /// The log of the present version is durable up to here.
    pub durable: Option<u64>,
    /// Term and vote as they are now on the disk.
    pub vote: Option<(u64, Option<usize>)>,
}

/// The disk.
#[derive(Default)]
pub struct Disk {
    /// What a restart finds.
    pub image: Image,
    waiting: VecDeque<Waiting>,
    /// How many of the waiting are in the sync under way.
    syncing: usize,
    /// Grows with each truncation: what an older version wrote says nothing about the present log.
    version: u64,
}

impl Disk {
    /// Adds a write.
    pub fn write(&mut self, write: Write) {
        self.waiting.push_back(Waiting {
            write,
            version: self.version,
            then: Vec::new(),
        });
    }

    /// The log is about to be cut: earlier appends count for nothing from now on.
    pub fn cut(&mut self) {
        self.version += 1;
    }

    /// Sends once all that waits now is durable; gives it back where nothing waits.
    #[must_use]
    pub fn after(&mut self, to: usize, message: RaftMessage) -> Option<RaftMessage> {
        match self.waiting.back_mut() {
            Some(last) => {
                last.then.push((to, message));
                None
            }
            None => Some(message),
        }
    }

    /// Whether a term or a vote is not durable yet.
    #[must_use]
    pub fn vote_waits(&self) -> bool {
        self.waiting
            .iter()
            .any(|waiting| matches!(waiting.write, Write::Vote { .. }))
    }

    /// Begins a sync where one is needed and none is under way.
    pub fn begin(&mut self) -> bool {
        let begins = self.syncing == 0 && !self.waiting.is_empty();
        if begins {
            self.syncing = self.waiting.len();
        }
        begins
    }

    /// The sync under way is done.
    pub fn done(&mut self) -> Synced {
        let mut synced = Synced::default();
        for Waiting { write, version, then } in self.waiting.drain(..self.syncing) {
            match &write {
                Write::Append { after, entries } if version == self.version => {
                    synced.durable = Some(after + entries.len() as u64);
                }
                Write::Snapshot(data) => synced.durable = synced.durable.max(Some(data.index)),
                Write::Vote { term, vote } => synced.vote = Some((*term, *vote)),
                Write::Append { .. } => {}
            }
            self.image.write(write);
            synced.send.extend(then);
        }
        self.syncing = 0;
        synced
    }

    /// Power is lost: the first `kept` of the waiting writes have reached the platter all the same.
    pub fn crash(&mut self, kept: usize) {
        let kept = kept.min(self.waiting.len());
        for waiting in self.waiting.drain(..).take(kept) {
            self.image.write(waiting.write);
        }
        self.syncing = 0;
        self.version += 1;
    }

    /// Writes that a crash may lose.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.waiting.len()
    }
}
