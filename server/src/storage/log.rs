//! The Raft log with its vote: the tail in memory, everything on disk through the one writer.
//!
//! Replication and apply read what was just appended, so the tail stays in memory and the database is read only by a
//! follower far behind and after a restart.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::backend::{Backend, Batch, Family};
use super::entry::{LogEntry, LogId, Vote};
use super::keys::{META_COMMITTED, META_PURGED, META_VOTE, log_index, log_key};
use super::writer::{Completion, Writer};

/// How much of the tail stays in memory: a second or two of the heaviest writing.
const TAIL_BYTES_MAX: usize = 64 << 20;

/// Called with the outcome once it is on disk.
pub type Done = Completion;

/// The log. Cheap to clone; all clones are one log.
#[derive(Clone)]
pub struct Log {
    backend: Arc<dyn Backend>,
    writer: Writer,
    shared: Arc<Mutex<Shared>>,
}

/// # Invariants
/// `tail` is without holes and ends at `last`; what is not in it is in the database; nothing at or before `purged` is read.
struct Shared {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    tail: VecDeque<LogEntry>,
    tail_bytes: usize,
    /// The next index that is not in the database yet: entries from here on must stay in the tail.
    unwritten_from: u64,
    /// How often the log was truncated: what was appended before that says nothing about the indexes after it.
    truncations: u64,
}

impl Log {
    /// Opens the log of a database.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn open(backend: Arc<dyn Backend>, writer: Writer) -> io::Result<Self> {
        let vote = backend
            .get(Family::Meta, META_VOTE)?
            .map(|v| Vote::decode(&v))
            .transpose()
            .map_err(damaged)?;
        let marker = |key| -> io::Result<Option<LogId>> {
            backend
                .get(Family::Meta, key)?
                .map(|v| LogId::decode(&v))
                .transpose()
                .map_err(damaged)
        };
        let committed = marker(META_COMMITTED)?;
        let purged = marker(META_PURGED)?;
        let mut last = None;
        backend.scan_back(Family::Log, &mut |key, value| {
            last = Some(log_index(key).and_then(|index| LogEntry::decode(index, &Bytes::copy_from_slice(value))));
            false
        })?;
        let last = last.transpose().map_err(damaged)?.map(|entry| entry.id);
        // A crash between the marker and the deletion leaves entries that no longer count.
        let last = last
            .filter(|last| purged.is_none_or(|purged| last.index > purged.index))
            .or(purged);
        let unwritten_from = next_index(last);
        let shared = Shared {
            vote,
            committed,
            purged,
            last,
            tail: VecDeque::new(),
            tail_bytes: 0,
            unwritten_from,
            truncations: 0,
        };
        let log = Self {
            backend,
            writer,
            shared: Arc::new(Mutex::new(shared)),
        };
        log.check_without_holes()?;
        Ok(log)
    }

    /// The vote, as it was last saved.
    #[must_use]
    pub fn vote(&self) -> Option<Vote> {
        self.lock().vote
    }

    /// The last entry that is known to be committed; may be older than the truth.
    #[must_use]
    pub fn committed(&self) -> Option<LogId> {
        self.lock().committed
    }

    /// The last purged entry.
    #[must_use]
    pub fn purged(&self) -> Option<LogId> {
        self.lock().purged
    }

    /// The last entry, or the last purged one where the log is empty.
    #[must_use]
    pub fn last(&self) -> Option<LogId> {
        self.lock().last
    }

    /// Saves the vote; `done` is called once it is on disk.
    pub fn save_vote(&self, vote: Vote, done: Done) {
        let mut shared = self.lock();
        shared.vote = Some(vote);
        let mut batch = Batch::default();
        batch.put(Family::Meta, META_VOTE, vote.encode().to_vec());
        self.writer.write_durably(batch, done);
    }

    /// Saves how far the log is committed: a hint for the next start, durable with the next append.
    pub fn save_committed(&self, committed: Option<LogId>) {
        let mut shared = self.lock();
        shared.committed = committed;
        if let Some(committed) = committed {
            let mut batch = Batch::default();
            batch.put(Family::Meta, META_COMMITTED, committed.encode().to_vec());
            self.writer.write_lazily(batch, None);
        }
    }

    /// Appends entries: readable when this returns, on disk when `done` is called.
    pub fn append(&self, entries: Vec<LogEntry>, done: Done) {
        let mut batch = Batch::default();
        // The lock is held across the queue so that the order of appends in memory is the order on disk.
        let mut shared = self.lock();
        for entry in entries {
            batch.put(Family::Log, &log_key(entry.id.index), entry.encode());
            shared.push(entry);
        }
        let written_to = next_index(shared.last);
        let truncations = shared.truncations;
        let later = Arc::clone(&self.shared);
        self.writer.write_durably(
            batch,
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    let mut shared = later.lock().unwrap_or_else(PoisonError::into_inner);
                    if shared.truncations == truncations {
                        shared.unwritten_from = shared.unwritten_from.max(written_to);
                    }
                    shared.trim_tail();
                }
                done(outcome);
            }),
        );
    }

    /// Drops all entries from `index` on: another leader's entries take their place.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn truncate_from(&self, index: u64) -> io::Result<()> {
        if index >= next_index(self.last()) {
            return Ok(());
        }
        let before = match index.checked_sub(1) {
            Some(before) if self.purged().is_none_or(|purged| before > purged.index) => self.id_at(before)?,
            _ => self.purged(),
        };
        let mut shared = self.lock();
        while shared.tail.back().is_some_and(|entry| entry.id.index >= index) {
            if let Some(entry) = shared.tail.pop_back() {
                shared.tail_bytes -= entry.size();
            }
        }
        shared.last = before;
        shared.unwritten_from = shared.unwritten_from.min(index);
        shared.truncations += 1;
        let mut batch = Batch::default();
        batch.delete_range(Family::Log, &log_key(index), &log_key(u64::MAX));
        self.writer.write_lazily(batch, None);
        Ok(())
    }

    /// Forgets all entries up to and including `upto`: they are in a snapshot. The marker is written before the
    /// deletion, and both after a sync of all that was written before, the journal's events of these entries included.
    pub fn purge(&self, upto: LogId) {
        let mut shared = self.lock();
        if shared.purged.is_some_and(|purged| purged.index >= upto.index) {
            return;
        }
        let from = next_index(shared.purged);
        shared.purged = Some(upto);
        while shared.tail.front().is_some_and(|entry| entry.id.index <= upto.index) {
            if let Some(entry) = shared.tail.pop_front() {
                shared.tail_bytes -= entry.size();
            }
        }
        if shared.last.is_none_or(|last| last.index <= upto.index) {
            shared.last = Some(upto);
            shared.unwritten_from = shared.unwritten_from.max(upto.index.saturating_add(1));
        }
        self.writer.write_durably(Batch::default(), Box::new(|_| {}));
        let mut batch = Batch::default();
        batch.put(Family::Meta, META_PURGED, upto.encode().to_vec());
        batch.delete_range(Family::Log, &log_key(from), &log_key(upto.index.saturating_add(1)));
        self.writer.write_lazily(batch, None);
    }

    /// The entries of a range that are there, in order.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn entries(&self, range: Range<u64>) -> io::Result<Vec<LogEntry>> {
        self.entries_limited(range, usize::MAX)
    }

    /// The entries of a range, but no more than `bytes_max` bytes of them (one at least).
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn entries_limited(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let (start, end, tail_start) = {
            let shared = self.lock();
            let start = range
                .start
                .max(shared.purged.map_or(0, |purged| purged.index.saturating_add(1)));
            let end = range.end.min(next_index(shared.last));
            let tail_start = shared.tail.front().map_or(end, |entry| entry.id.index);
            if start >= tail_start {
                shared.copy_tail(start..end, bytes_max, &mut bytes, &mut found);
                return Ok(found);
            }
            (start, end, tail_start)
        };
        if start >= end {
            return Ok(found);
        }
        let mut wrong = None;
        self.backend.scan(Family::Log, &log_key(start), &mut |key, value| {
            let entry = log_index(key).and_then(|index| LogEntry::decode(index, &Bytes::copy_from_slice(value)));
            match entry {
                Ok(entry) if entry.id.index < end.min(tail_start) && (bytes < bytes_max || found.is_empty()) => {
                    bytes += entry.size();
                    found.push(entry);
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    wrong = Some(error);
                    false
                }
            }
        })?;
        if let Some(error) = wrong {
            return Err(damaged(error));
        }
        if found
            .last()
            .is_none_or(|last| last.id.index.saturating_add(1) == tail_start)
        {
            self.lock()
                .copy_tail(tail_start..end, bytes_max, &mut bytes, &mut found);
        }
        Ok(found)
    }

    fn id_at(&self, index: u64) -> io::Result<Option<LogId>> {
        Ok(self
            .entries(index..index.saturating_add(1))?
            .first()
            .map(|entry| entry.id))
    }

    fn check_without_holes(&self) -> io::Result<()> {
        let shared = self.lock();
        let first = next_index(shared.purged);
        let Some(last) = shared.last else { return Ok(()) };
        if last.index < first {
            return Ok(());
        }
        drop(shared);
        let mut expected = first;
        let mut hole = None;
        self.backend
            .scan(Family::Log, &log_key(first), &mut |key, _| match log_index(key) {
                Ok(index) if index == expected => {
                    expected = expected.saturating_add(1);
                    true
                }
                _ => {
                    hole = Some(expected);
                    false
                }
            })?;
        match hole.or((expected <= last.index).then_some(expected)) {
            None => Ok(()),
            Some(index) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the log has a hole at {index} (it should reach from {first} to {}): a server whose log is damaged must \
                     not vote; remove this member, empty its data directory, and let it join anew",
                    last.index
                ),
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn push(&mut self, entry: LogEntry) {
        self.last = Some(entry.id);
        self.tail_bytes += entry.size();
        self.tail.push_back(entry);
    }

    fn trim_tail(&mut self) {
        while self.tail_bytes > TAIL_BYTES_MAX
            && self
                .tail
                .front()
                .is_some_and(|entry| entry.id.index < self.unwritten_from)
        {
            if let Some(entry) = self.tail.pop_front() {
                self.tail_bytes -= entry.size();
            }
        }
    }

    fn copy_tail(&self, range: Range<u64>, bytes_max: usize, bytes: &mut usize, into: &mut Vec<LogEntry>) {
        let Some(first) = self.tail.front().map(|entry| entry.id.index) else {
            return;
        };
        let skip = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        for entry in self.tail.iter().skip(skip) {
            if entry.id.index >= range.end || (*bytes >= bytes_max && !into.is_empty()) {
                break;
            }
            *bytes += entry.size();
            into.push(entry.clone());
        }
    }
}

fn next_index(last: Option<LogId>) -> u64 {
    last.map_or(0, |last| last.index.saturating_add(1))
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
