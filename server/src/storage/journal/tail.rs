//! Following the journal: what came after a place, up to what is applied, for readers that go at their own pace.
//!
//! Nothing is kept for a reader but its place, so one that is slow costs no more than one that is quick, and is waited for
//! by nobody. Those that are near the end read what is in memory; the others read the database.

use std::io;
use std::sync::Arc;

use super::{EventFilter, EventRecord, Gap, Journal, SCAN_RECORDS_MAX};

/// What comes after a reader's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// These events pass, and the reader's place is now `upto`: the events of an index are never parted.
    Events {
        /// In order.
        events: Vec<Arc<EventRecord>>,
        /// Everything up to this index has been looked at.
        upto: u64,
    },
    /// The very next ones are not here yet: this server was caught up by a snapshot and asks the others for them.
    Missing(Gap),
    /// The next ones are no longer kept.
    Forgotten {
        /// The first index whose events still are.
        oldest: u64,
    },
}

impl Journal {
    /// What comes after `after` and is not past `applied`, some `limit` events at most. The caller has seen that `applied`
    /// is applied, and so its events are here.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn follow(&self, after: u64, applied: u64, filter: &EventFilter, limit: usize) -> io::Result<Tail> {
        let mut end = applied;
        let stored_to = {
            let shared = self.lock();
            if after.saturating_add(1) < shared.oldest {
                return Ok(Tail::Forgotten { oldest: shared.oldest });
            }
            let next_gap = shared.gaps.iter().find(|gap| gap.last > after && gap.first <= end);
            if let Some(gap) = next_gap {
                if gap.first <= after.saturating_add(1) {
                    return Ok(Tail::Missing(*gap));
                }
                end = gap.first - 1;
            }
            let stored_to = shared.recent.front().map_or(u64::MAX, |record| record.index);
            if after.saturating_add(1) >= stored_to {
                let from = shared.recent.partition_point(|record| record.index <= after);
                let mut taking = Taking::new(filter, limit, after, end);
                for record in shared.recent.range(from..) {
                    if !taking.take(record.index, || Arc::clone(record)) {
                        break;
                    }
                }
                return Ok(taking.finish());
            }
            stored_to
        };
        let mut taking = Taking::new(filter, limit, after, end.min(stored_to.saturating_sub(1)));
        self.scan(
            after.saturating_add(1),
            end.min(stored_to.saturating_sub(1)),
            &mut |record| taking.take(record.index, || Arc::new(record)),
        )?;
        Ok(taking.finish())
    }

    /// Whether what comes after this is in memory, so that reading it does not wait for the disk.
    #[must_use]
    pub fn in_memory(&self, after: u64) -> bool {
        let shared = self.lock();
        let first = shared.recent.front().map_or(u64::MAX, |record| record.index);
        after.saturating_add(1) >= first
    }

    /// How many events are kept, and their size in bytes before compression.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.lock().blocks.size()
    }

    /// The first index whose events are kept.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.lock().oldest
    }
}

/// Takes whole indexes until there are enough.
struct Taking<'a> {
    filter: &'a EventFilter,
    limit: usize,
    end: u64,
    events: Vec<Arc<EventRecord>>,
    looked: usize,
    last: u64,
    full: bool,
}

impl<'a> Taking<'a> {
    fn new(filter: &'a EventFilter, limit: usize, after: u64, end: u64) -> Self {
        Self {
            filter,
            limit,
            end,
            events: Vec::new(),
            looked: 0,
            last: after,
            full: false,
        }
    }

    fn take(&mut self, index: u64, record: impl FnOnce() -> Arc<EventRecord>) -> bool {
        if index > self.end {
            return false;
        }
        let next = index != self.last;
        if next && (self.events.len() >= self.limit || self.looked >= SCAN_RECORDS_MAX) {
            self.full = true;
            return false;
        }
        self.last = index;
        self.looked += 1;
        let record = record();
        if self.filter.matches(&record) {
            self.events.push(record);
        }
        true
    }

    fn finish(self) -> Tail {
        Tail::Events {
            events: self.events,
            // Whole indexes were taken, so all of the last one was looked at.
            upto: if self.full { self.last } else { self.end },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{journal, record};
    use super::*;

    fn places(tail: Tail) -> (Vec<(u64, u32)>, u64) {
        match tail {
            Tail::Events { events, upto } => (events.iter().map(|it| (it.index, it.sequence)).collect(), upto),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_index_is_taken_whole_and_nothing_past_what_is_applied() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _, writer) = journal(folder.path());
        journal.append(vec![
            record(1, 0, "a"),
            record(2, 0, "b"),
            record(2, 1, "c"),
            record(4, 0, "d"),
        ]);
        let all = EventFilter::default();
        let first = journal.follow(0, 3, &all, 2).unwrap();
        assert_eq!(places(first), (vec![(1, 0), (2, 0), (2, 1)], 3));
        let one = journal.follow(0, 4, &all, 1).unwrap();
        assert_eq!(places(one), (vec![(1, 0)], 1));
        assert_eq!(places(journal.follow(3, 9, &all, 5).unwrap()), (vec![(4, 0)], 9));
        writer.stop();
    }

    #[test]
    fn what_memory_no_longer_has_is_read_from_the_database_up_to_where_memory_begins() {
        let folder = tempfile::tempdir().unwrap();
        let (first, database, writer) = journal(folder.path());
        first.append((1..=6).map(|index| record(index, 0, "old")).collect());
        writer.stop();
        drop((first, database));
        let (journal, _, writer) = journal(folder.path());
        journal.append(vec![record(7, 0, "new")]);
        let all = EventFilter::default();
        assert_eq!(
            places(journal.follow(4, 7, &all, 9).unwrap()),
            (vec![(5, 0), (6, 0)], 6)
        );
        assert_eq!(places(journal.follow(6, 7, &all, 9).unwrap()), (vec![(7, 0)], 7));
        writer.stop();
    }

    #[tokio::test]
    async fn a_gap_is_never_stepped_over() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _, writer) = journal(folder.path());
        journal.append(vec![record(1, 0, "a"), record(9, 0, "z")]);
        let gap = Gap { first: 3, last: 8 };
        journal.add_gap(gap).await.unwrap();
        let all = EventFilter::default();
        assert_eq!(places(journal.follow(0, 9, &all, 9).unwrap()), (vec![(1, 0)], 2));
        assert_eq!(journal.follow(2, 9, &all, 9).unwrap(), Tail::Missing(gap));
        journal.fill(gap, vec![record(5, 0, "m")]).await.unwrap();
        assert_eq!(
            places(journal.follow(2, 9, &all, 9).unwrap()),
            (vec![(5, 0), (9, 0)], 9)
        );
        writer.stop();
    }
}
