//! The event journal: what happened, for people, kept on every server.
//!
//! Events are written without a sync of their own: after a crash, replaying the log makes the same events again, and
//! a snapshot, which replay begins from, is made only after `Journal::sync`. The newest stay in memory, so that whoever
//! waited for an index finds its events. A server that gets a snapshot in place of the log lacks the events of that
//! stretch: it records the [`Gap`] and gets them from the other servers.

mod blocks;
mod facts;
mod filter;
mod page;
mod query;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use statemachine::id::Index;
use tokio::sync::watch;

use super::backend::{Backend, Batch, Family};
use super::keys::{META_GAPS, META_OLDEST, block_first, block_key, journal_id, journal_key};
use super::writer::{Durability, Writer};
pub use blocks::Retention;
use blocks::{Blocks, StoredBlock};
pub use facts::Facts;
pub use filter::EventFilter;
pub use tail::Tail;

/// The format of journal values.
const FORMAT: u8 = 1;
/// Newest events that stay in memory at least until they can be read from the database.
const RECENT_EVENTS_MAX: usize = 4096;
/// How many records one page looks at, so that a filter that matches nothing can't hold a thread.
const SCAN_RECORDS_MAX: usize = 16_384;
/// What an event takes beside its text, roughly.
const RECORD_BYTES: usize = 120;
/// Gaps that are remembered apart; beyond it the oldest are merged.
const GAPS_MAX: usize = 64;

/// One event, as it is stored. Frozen like the log: a new shape gets a new format byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRecord {
    /// Index of the command that made it happen.
    pub index: u64,
    /// Its place among those of the index.
    pub sequence: u32,
    /// Cluster time.
    pub at_ms: u64,
    /// The leader's wall clock, milliseconds since 1970.
    pub wall_ms: u64,
    /// What it concerns.
    pub resource: String,
    /// What happened.
    pub kind: String,
    /// Where.
    pub node: Option<String>,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The earlier event that caused it.
    pub cause: Option<(u64, u32)>,
    /// For people.
    pub text: String,
    /// For programs; absent where there is nothing to say, and in events of versions that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// Commands whose events this server never saw, because it got a snapshot in place of the log. Other servers have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first index without events.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

impl Gap {
    /// What is left of it once `filled` is there.
    fn without(self, filled: Self) -> impl Iterator<Item = Self> {
        let before = Self {
            first: self.first,
            last: self.last.min(filled.first.saturating_sub(1)),
        };
        let after = Self {
            first: self.first.max(filled.last.saturating_add(1)),
            last: self.last,
        };
        let apart = filled.last < self.first || filled.first > self.last;
        let pieces = if apart {
            [Some(self), None]
        } else {
            [Some(before), Some(after)]
        };
        pieces.into_iter().flatten().filter(|gap| gap.first <= gap.last)
    }
}

/// A page of events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events; those of one index stand together.
    pub events: Vec<EventRecord>,
    /// Whether there may be more after it.
    pub more: bool,
    /// Ask for those after this index for the next page; also where a page is empty because nothing in it passed.
    pub next_after: Option<Index>,
    /// Of the newest ones: ask for those before this index for older ones; none where there are no older ones that pass.
    pub next_before: Option<Index>,
    /// Indexes within the page's range whose events only other servers have.
    pub gaps: Vec<Gap>,
}

/// The journal. Cheap to clone; all clones are one journal.
#[derive(Clone)]
pub struct Journal {
    backend: Arc<dyn Backend>,
    writer: Writer,
    shared: Arc<Mutex<Shared>>,
    /// How many gaps there are: wakes whoever fills them.
    gap_count: watch::Sender<usize>,
    retention: Retention,
}

#[derive(Default)]
struct Shared {
    recent: VecDeque<Arc<EventRecord>>,
    /// All records up to this index can be read from the database.
    written: u64,
    gaps: Vec<Gap>,
    /// All events from this index on are kept, but for the gaps.
    oldest: u64,
    /// What stands where in the database.
    blocks: Blocks,
    /// A replay of the log writes events up to this index again.
    replayed_to: u64,
}

impl Journal {
    /// Opens the journal of a database, which keeps as much as it usually does.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn open(backend: Arc<dyn Backend>, writer: Writer) -> io::Result<Self> {
        Self::open_keeping(backend, writer, Retention::default())
    }

    /// Opens the journal of a database.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn open_keeping(backend: Arc<dyn Backend>, writer: Writer, retention: Retention) -> io::Result<Self> {
        let gaps = match backend.get(Family::Meta, META_GAPS)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
            None => Vec::new(),
        };
        let oldest = match backend.get(Family::Meta, META_OLDEST)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
            None => 0,
        };
        let gap_count = watch::Sender::new(gaps.len());
        let shared = Shared {
            gaps,
            oldest,
            ..Shared::default()
        };
        let journal = Self {
            backend,
            writer,
            shared: Arc::new(Mutex::new(shared)),
            gap_count,
            retention,
        };
        journal.load_blocks()?;
        Ok(journal)
    }

    /// Takes in what is known of the stored events, and looks at those that came after it.
    fn load_blocks(&self) -> io::Result<()> {
        let mut blocks = Blocks::default();
        let mut wrong = None;
        self.backend.scan(Family::Meta, &block_key(0), &mut |key, value| {
            if block_first(key).is_none() {
                return false;
            }
            match rmp_serde::from_slice::<StoredBlock>(value) {
                Ok(block) => blocks.load(block),
                Err(error) => wrong = Some(io::Error::other(error)),
            }
            wrong.is_none()
        })?;
        wrong.map_or(Ok(()), Err)?;
        let mut sealed = Vec::new();
        let first = blocks.last().saturating_add(1);
        self.scan(first, u64::MAX, &mut |record| {
            let bytes = record.text.len() + RECORD_BYTES;
            sealed.extend(blocks.add(&record, bytes, 0));
            true
        })?;
        if !sealed.is_empty() {
            let mut batch = Batch::default();
            for block in sealed {
                put_block(&mut batch, &block)?;
            }
            self.writer.write_lazily(batch, None);
        }
        let mut shared = self.lock();
        shared.replayed_to = blocks.last();
        shared.blocks = blocks;
        Ok(())
    }

    /// Adds the events of one or more commands, in order. They can be read when this returns.
    pub fn append(&self, records: Vec<EventRecord>) {
        let Some(last) = records.last().map(|record| record.index) else {
            return;
        };
        let mut batch = Batch::default();
        let mut shared = self.lock();
        for record in records {
            match encode(&record) {
                Ok(value) => {
                    let (bytes, replayed_to) = (value.len(), shared.replayed_to);
                    batch.put(Family::Journal, &journal_key(record.index, record.sequence), value);
                    if let Some(block) = shared.blocks.add(&record, bytes, replayed_to)
                        && let Err(error) = put_block(&mut batch, &block)
                    {
                        tracing::error!(%error, "a summary of events could not be encoded");
                    }
                }
                Err(error) => tracing::error!(%error, index = record.index, "an event could not be encoded"),
            }
            shared.recent.push_back(Arc::new(record));
        }
        // The writer's thread may wait for this lock, and its queue may be full.
        drop(shared);
        let later = Arc::clone(&self.shared);
        let done = move |outcome: io::Result<()>| {
            if outcome.is_ok() {
                let mut shared = later.lock().unwrap_or_else(PoisonError::into_inner);
                shared.written = shared.written.max(last);
                shared.trim();
            }
        };
        self.writer.write_lazily(batch, Some(Box::new(done)));
    }

    /// Resolves once everything appended so far is on disk.
    ///
    /// # Errors
    /// Where it could not be written.
    pub async fn sync(&self) -> io::Result<()> {
        self.writer.written(Batch::default(), Durability::Now).await
    }

    /// Records durably that the events of these commands are not here.
    ///
    /// # Errors
    /// Where it could not be written.
    pub(crate) async fn add_gap(&self, gap: Gap) -> io::Result<()> {
        if gap.first > gap.last {
            return Ok(());
        }
        let mut batch = Batch::default();
        // No block reaches over a gap: what fills it lies between two.
        if let Some(block) = self.lock().blocks.seal() {
            put_block(&mut batch, &block)?;
        }
        batch.append(self.change_gaps(|gaps| {
            gaps.push(gap);
            gaps.sort_by_key(|gap| (gap.first, gap.last));
            while gaps.len() > GAPS_MAX {
                let merged = Gap {
                    first: gaps[0].first,
                    last: gaps[1].last.max(gaps[0].last),
                };
                gaps.splice(..2, [merged]);
            }
        })?);
        self.writer.written(batch, Durability::Now).await
    }

    /// The stretches whose events are not here, oldest first.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.lock().gaps.clone()
    }

    /// How many gaps there are.
    pub fn gap_count(&self) -> watch::Receiver<usize> {
        self.gap_count.subscribe()
    }

    /// Adds events of another server: all that there are of the commands `range`. They can be read, and the gap is closed
    /// there, when this returns.
    ///
    /// # Errors
    /// Where they could not be written; the gap stays then.
    pub(crate) async fn fill(&self, range: Gap, records: Vec<EventRecord>) -> io::Result<()> {
        let mut batch = Batch::default();
        let mut sized = Vec::with_capacity(records.len());
        for record in records {
            let value = encode(&record)?;
            sized.push((record, value.len()));
            let (record, _) = &sized[sized.len() - 1];
            batch.put(Family::Journal, &journal_key(record.index, record.sequence), value);
        }
        if let Some(block) = self.lock().blocks.fill(&sized) {
            put_block(&mut batch, &block)?;
        }
        // The events first: a crash between the two only asks for them again.
        self.writer.written(batch, Durability::Later).await?;
        self.lock()
            .insert(sized.into_iter().map(|(record, _)| record).collect());
        let batch = self.change_gaps(|gaps| {
            *gaps = gaps.iter().flat_map(|gap| gap.without(range)).collect();
        })?;
        self.writer.written(batch, Durability::Later).await
    }

    fn change_gaps(&self, change: impl FnOnce(&mut Vec<Gap>)) -> io::Result<Batch> {
        let mut shared = self.lock();
        change(&mut shared.gaps);
        self.gap_count.send_replace(shared.gaps.len());
        let mut batch = Batch::default();
        let bytes = serde_json::to_vec(&shared.gaps).map_err(io::Error::other)?;
        batch.put(Family::Meta, META_GAPS, bytes);
        Ok(batch)
    }

    /// The last index that has an event here; 0 for none.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        if let Some(record) = self.lock().recent.back() {
            return record.index;
        }
        let mut last = 0;
        let found = self.backend.scan_back(Family::Journal, &mut |key, _| {
            last = journal_id(key).map_or(0, |(index, _)| index);
            false
        });
        if let Err(error) = found {
            tracing::warn!(%error, "the journal could not be read");
        }
        last
    }

    /// One event.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn event(&self, index: u64, sequence: u32) -> io::Result<Option<EventRecord>> {
        let recent = {
            let shared = self.lock();
            let at = shared
                .recent
                .partition_point(|record| (record.index, record.sequence) < (index, sequence));
            shared
                .recent
                .get(at)
                .filter(|record| (record.index, record.sequence) == (index, sequence))
                .cloned()
        };
        match recent {
            Some(record) => Ok(Some(EventRecord::clone(&record))),
            None => self
                .backend
                .get(Family::Journal, &journal_key(index, sequence))?
                .map(|value| decode(&value))
                .transpose(),
        }
    }

    /// Visits the stored events from one index to another, both included, until `visit` has enough.
    fn scan(&self, first: u64, last: u64, visit: &mut dyn FnMut(EventRecord) -> bool) -> io::Result<()> {
        let mut wrong = None;
        let mut each = |key: &[u8], value: &[u8]| {
            if journal_id(key).is_ok_and(|(index, _)| index > last) {
                return false;
            }
            match decode(value) {
                Ok(record) => visit(record),
                Err(error) => {
                    wrong = Some(error);
                    false
                }
            }
        };
        self.backend.scan(Family::Journal, &journal_key(first, 0), &mut each)?;
        wrong.map_or(Ok(()), Err)
    }

    /// Drops the oldest events beyond what is to be kept.
    ///
    /// # Errors
    /// Where the note of it can't be made.
    pub(crate) fn trim(&self) -> io::Result<()> {
        let mut shared = self.lock();
        let Some((blocks, oldest)) = shared.blocks.trim(self.retention) else {
            return Ok(());
        };
        // Told before it is so: no reader may believe that it has read what is being deleted.
        shared.oldest = shared.oldest.max(oldest);
        drop(shared);
        let mut batch = Batch::default();
        batch.put(
            Family::Meta,
            META_OLDEST,
            serde_json::to_vec(&oldest).map_err(io::Error::other)?,
        );
        for first in blocks {
            let key = block_key(first);
            batch.delete_range(Family::Meta, &key, &block_key(first + 1));
        }
        batch.delete_range(Family::Journal, &journal_key(0, 0), &journal_key(oldest, 0));
        self.writer.write_lazily(batch, None);
        // What nobody keeps need not be asked for.
        let gaps = self.change_gaps(|gaps| gaps.retain(|gap| gap.last >= oldest))?;
        self.writer.write_lazily(gaps, None);
        Ok(())
    }

    fn recent(&self) -> Vec<Arc<EventRecord>> {
        self.lock().recent.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Puts events of another server among the recent ones, where these reach back so far: readers take all that is newer
    /// than the oldest recent one from memory.
    fn insert(&mut self, records: Vec<EventRecord>) {
        let Some(oldest) = self.recent.front().map(|record| record.index) else {
            return;
        };
        let newer = records.into_iter().filter(|record| record.index > oldest).map(Arc::new);
        let mut all: Vec<Arc<EventRecord>> = self.recent.drain(..).chain(newer).collect();
        all.sort_by_key(|record| (record.index, record.sequence));
        all.dedup_by_key(|record| (record.index, record.sequence));
        self.recent = all.into();
        self.trim();
    }

    /// Whole indexes only: a page never begins within one.
    fn trim(&mut self) {
        while self.recent.len() > RECENT_EVENTS_MAX
            && let Some(index) = self.recent.front().map(|record| record.index)
            && index <= self.written
        {
            while self.recent.front().is_some_and(|record| record.index == index) {
                self.recent.pop_front();
            }
        }
    }
}

fn put_block(batch: &mut Batch, block: &StoredBlock) -> io::Result<()> {
    let value = rmp_serde::to_vec_named(block).map_err(io::Error::other)?;
    batch.put(Family::Meta, &block_key(block.first()), value);
    Ok(())
}

fn encode(record: &EventRecord) -> io::Result<Bytes> {
    let mut value = vec![FORMAT];
    rmp_serde::encode::write_named(&mut value, record).map_err(io::Error::other)?;
    Ok(Bytes::from(value))
}

fn decode(value: &[u8]) -> io::Result<EventRecord> {
    match value.split_first() {
        Some((&FORMAT, body)) => rmp_serde::from_slice(body).map_err(io::Error::other),
        Some((format, _)) => Err(io::Error::other(format!(
            "an event has format {format}, known is format {FORMAT}"
        ))),
        None => Err(io::Error::other("an event has no bytes")),
    }
}
