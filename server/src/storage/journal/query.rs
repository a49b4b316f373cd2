//! Questions to the journal: pages forward from a place, and the newest ones backward.

use std::io;

use statemachine::id::Index;

use super::page::PageBuilder;
use super::{EventFilter, EventPage, EventRecord, Journal, SCAN_RECORDS_MAX};

impl Journal {
    /// A page of the events that pass the filter, oldest first, at most `limit` (more only to keep one index together):
    /// from `after` or `since_wall_ms` on, and the newest ones where neither is given.
    ///
    /// # Errors
    /// Where what is stored can't be read.
    pub fn read(&self, filter: &EventFilter, limit: usize) -> io::Result<EventPage> {
        if filter.after.is_none() && filter.since_wall_ms.is_none() {
            return self.newest(filter, limit.max(1));
        }
        let after = filter.after.map_or(0, |after| after.0);
        let mut page = PageBuilder::new(limit.max(1), filter);
        let recent = self.recent();
        let stored_to = recent.first().map_or(u64::MAX, |record| record.index);
        for (first, last) in self.candidates(filter, stored_to) {
            let from = first.max(after.saturating_add(1));
            if !page.full && from <= last {
                self.scan(from, last, &mut |record| page.take(&record))?;
            }
        }
        for record in recent.iter().filter(|record| record.index > after) {
            if page.full || !page.take(record) {
                break;
            }
        }
        Ok(page.finish(after, &self.gaps()))
    }

    /// The newest events that pass, oldest first.
    fn newest(&self, filter: &EventFilter, limit: usize) -> io::Result<EventPage> {
        // Newest first.
        let mut found: Vec<EventRecord> = Vec::new();
        // An index is never parted: whoever asks for those before it would miss the rest of it.
        let wants = |found: &Vec<EventRecord>, index: u64| {
            found.len() < limit || found.last().is_some_and(|last| last.index == index)
        };
        let recent = self.recent();
        let mut next_before = None;
        for record in recent.iter().rev().filter(|record| filter.matches(record)) {
            if !wants(&found, record.index) {
                next_before = found.last().map(|last| last.index);
                break;
            }
            found.push(EventRecord::clone(record));
        }
        let stored_to = recent.first().map_or(u64::MAX, |record| record.index);
        let mut looked = 0;
        for (first, last) in self.candidates(filter, stored_to).into_iter().rev() {
            if next_before.is_some() {
                break;
            }
            if found.len() >= limit || looked >= SCAN_RECORDS_MAX {
                next_before = Some(last.saturating_add(1));
                break;
            }
            let mut block = Vec::new();
            self.scan(first, last, &mut |record| {
                looked += 1;
                if filter.matches(&record) {
                    block.push(record);
                }
                true
            })?;
            for record in block.into_iter().rev() {
                if !wants(&found, record.index) {
                    next_before = found.last().map(|last| last.index);
                    break;
                }
                found.push(record);
            }
        }
        found.reverse();
        let first = next_before.or(found.first().map(|event| event.index)).unwrap_or(0);
        let gaps = self.gaps().into_iter().filter(|gap| gap.last >= first).collect();
        Ok(EventPage {
            events: found,
            more: false,
            next_after: None,
            next_before: next_before.map(Index),
            gaps,
        })
    }

    /// The stretches of the database in which events that pass can be, in order, up to where memory begins.
    fn candidates(&self, filter: &EventFilter, stored_to: u64) -> Vec<(u64, u64)> {
        let all = self.lock().blocks.candidates(filter);
        let stored = all.into_iter().filter(|(first, _)| *first < stored_to);
        stored
            .map(|(first, last)| (first, last.min(stored_to.saturating_sub(1))))
            .collect()
    }
}
