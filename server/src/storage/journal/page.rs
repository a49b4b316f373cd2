//! One page of events, being put together.

use statemachine::id::Index;

use super::{EventFilter, EventPage, EventRecord, Gap, SCAN_RECORDS_MAX};

/// Takes records until the page is full.
pub(super) struct PageBuilder<'a> {
    filter: &'a EventFilter,
    limit: usize,
    events: Vec<EventRecord>,
    looked: usize,
    last_index: u64,
    /// No more records are wanted.
    pub(super) full: bool,
}

impl<'a> PageBuilder<'a> {
    pub(super) fn new(limit: usize, filter: &'a EventFilter) -> Self {
        Self {
            filter,
            limit,
            events: Vec::new(),
            looked: 0,
            last_index: 0,
            full: false,
        }
    }

    /// Takes a record if it passes; answers whether the page wants more.
    pub(super) fn take(&mut self, record: &EventRecord) -> bool {
        let next = record.index != self.last_index;
        if next && (self.events.len() >= self.limit || self.looked >= SCAN_RECORDS_MAX) {
            self.full = true;
            return false;
        }
        if self.filter.before.is_some_and(|before| record.index >= before.0) {
            return false;
        }
        self.looked += 1;
        self.last_index = record.index;
        if self.filter.matches(record) {
            self.events.push(record.clone());
        }
        true
    }

    /// The page, with the gaps in its range.
    pub(super) fn finish(self, after: u64, gaps: &[Gap]) -> EventPage {
        let end = if self.full { self.last_index } else { u64::MAX };
        let gaps = gaps
            .iter()
            .filter(|gap| gap.last > after && gap.first <= end)
            .copied()
            .collect();
        let next_after = self.full.then_some(Index(self.last_index));
        EventPage {
            events: self.events,
            more: self.full,
            next_after,
            next_before: None,
            gaps,
        }
    }
}
