//! The log for openraft: [`storage::Log`](crate::storage::Log) with its types converted.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::type_config::alias::EntryOf;
use tokio::sync::oneshot;

use super::codec;
use super::type_config::{LogId, TypeConfig, Vote, log_id, stored_log_id, stored_vote, vote};
use crate::storage::Log;

/// One message to a follower carries about this much: it must arrive within its time-out on a slow network.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// The adapter. All clones are one log.
#[derive(Clone)]
pub struct LogStore {
    log: Log,
}

impl LogStore {
    /// Adapts a log.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { log }
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<EntryOf<TypeConfig>>> {
        let stored = self.log.entries_limited(range, bytes_max)?;
        stored
            .into_iter()
            .map(|entry| codec::entry(entry).map_err(invalid))
            .collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<TypeConfig>>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start..end, usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.vote().map(vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryOf<TypeConfig>>, io::Error> {
        self.read(start..end, PAYLOAD_BYTES_MAX)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        Ok(LogState {
            last_purged_log_id: self.log.purged().map(log_id),
            last_log_id: self.log.last().map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (tell, hear) = oneshot::channel();
        self.log
            .save_vote(stored_vote(vote), Box::new(move |outcome| drop(tell.send(outcome))));
        hear.await.map_err(io::Error::other)?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.log.save_committed(committed.as_ref().map(stored_log_id));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        // The hint may be ahead of the log where the last appends were lost with it; it is worth no more than the log.
        let last = self.log.last();
        Ok(self
            .log
            .committed()
            .filter(|committed| last.is_some_and(|last| *committed <= last))
            .map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<TypeConfig>> + Send,
        I::IntoIter: Send,
    {
        let entries: Result<Vec<_>, _> = entries.into_iter().map(codec::stored_entry).collect();
        self.log.append(
            entries.map_err(invalid)?,
            Box::new(move |outcome| callback.io_completed(outcome)),
        );
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.log
            .truncate_from(last_log_id.map_or(0, |last| last.index().saturating_add(1)))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.log.purge(stored_log_id(&log_id));
        Ok(())
    }
}

fn invalid(error: codec::CodecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
