//! What stands where in the journal: a summary of each thousand events, so that a question reads only those thousands in
//! which an answer can be, and retention knows ages and sizes without reading anything.
//!
//! An index of every event by every field would cost four more writes an event and as many deletions. Summaries cost a
//! thousandth of that, and some hundred bytes of memory a thousand events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::filter::{glob_matches, rank, resource_kind};
use super::{EventFilter, EventRecord};

/// Events of a block, more only to keep those of one index together.
const BLOCK_EVENTS: u32 = 1024;

/// How much of the journal is kept. What is beyond either bound goes, the oldest first, a block at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events are kept for so long, counted back from the newest.
    pub age: Duration,
    /// Bytes of events, before they are compressed.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(365 * 24 * 3600),
            // Some millions of events. What is known of them is read at every start, which must not take long.
            bytes: 512 << 20,
        }
    }
}

/// A block as it is stored. Frozen like events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredBlock {
    first: u64,
    last: u64,
    events: u32,
    bytes: u64,
    oldest_ms: u64,
    newest_ms: u64,
    gravest: u8,
    resources: Vec<String>,
    kinds: Vec<String>,
    nodes: Vec<String>,
}

impl StoredBlock {
    /// Its first index: its key.
    pub(super) fn first(&self) -> u64 {
        self.first
    }
}

#[derive(Clone, Debug, Default)]
struct Block {
    first: u64,
    last: u64,
    events: u32,
    bytes: u64,
    oldest_ms: u64,
    newest_ms: u64,
    gravest: u8,
    /// Numbers of names, sorted.
    resources: Vec<u32>,
    kinds: Vec<u32>,
    nodes: Vec<u32>,
}

/// Names and their numbers.
#[derive(Debug, Default)]
struct Names {
    numbers: BTreeMap<Arc<str>, u32>,
    list: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.list.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    fn all(&self, wanted: impl Fn(&str) -> bool) -> Vec<u32> {
        let found = self.numbers.iter().filter(|(name, _)| wanted(name));
        found.map(|(_, number)| *number).collect()
    }

    fn words(&self, numbers: &[u32]) -> Vec<String> {
        let word = |number: &u32| self.list.get(usize::try_from(*number).ok()?).map(ToString::to_string);
        numbers.iter().filter_map(word).collect()
    }
}

/// All blocks of a journal.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Disjoint, in order.
    sealed: VecDeque<Block>,
    open: Block,
    resources: Names,
    kinds: Names,
    nodes: Names,
    bytes: u64,
}

/// A filter in the numbers of these blocks.
struct Wanted<'a> {
    filter: &'a EventFilter,
    resources: Option<Vec<u32>>,
    /// Of kinds, and of resources of that kind.
    kind: Option<(Vec<u32>, Vec<u32>)>,
    /// Of events.
    kinds: Option<Vec<u32>>,
    nodes: Option<Vec<u32>>,
    gravest: u8,
}

impl Blocks {
    /// Takes in what was stored, in order.
    pub(super) fn load(&mut self, stored: StoredBlock) {
        let block = Block {
            first: stored.first,
            last: stored.last,
            events: stored.events,
            bytes: stored.bytes,
            oldest_ms: stored.oldest_ms,
            newest_ms: stored.newest_ms,
            gravest: stored.gravest,
            resources: numbers(&mut self.resources, &stored.resources),
            kinds: numbers(&mut self.kinds, &stored.kinds),
            nodes: numbers(&mut self.nodes, &stored.nodes),
        };
        self.keep(block);
    }

    /// The last index that is known here.
    pub(super) fn last(&self) -> u64 {
        self.open.last.max(self.sealed.back().map_or(0, |block| block.last))
    }

    /// How many events there are, and their bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let events = self
            .sealed
            .iter()
            .chain([&self.open])
            .map(|block| u64::from(block.events));
        (events.sum(), self.bytes + self.open.bytes)
    }

    /// Takes in a new event, and answers the block that is full by it. What a replay writes again is known.
    pub(super) fn add(&mut self, record: &EventRecord, bytes: usize, replayed_to: u64) -> Option<StoredBlock> {
        if record.index <= replayed_to {
            return None;
        }
        let full = self.open.events >= BLOCK_EVENTS && record.index != self.open.last;
        let sealed = if full { self.seal() } else { None };
        let mut open = std::mem::take(&mut self.open);
        self.note(&mut open, record, bytes);
        self.open = open;
        sealed
    }

    /// Ends the open block: what comes next does not follow on it.
    pub(super) fn seal(&mut self) -> Option<StoredBlock> {
        let block = std::mem::take(&mut self.open);
        self.close(block)
    }

    /// Takes in the events of another server, all of which lie between blocks.
    pub(super) fn fill(&mut self, records: &[(EventRecord, usize)]) -> Option<StoredBlock> {
        let mut block = Block::default();
        for (record, bytes) in records {
            self.note(&mut block, record, *bytes);
        }
        self.close(block)
    }

    /// Keeps a block, and answers how it is stored; none where it is empty.
    fn close(&mut self, block: Block) -> Option<StoredBlock> {
        if block.events == 0 {
            return None;
        }
        let stored = self.stored(&block);
        self.keep(block);
        Some(stored)
    }

    fn keep(&mut self, block: Block) {
        self.bytes += block.bytes;
        let place = self.sealed.partition_point(|other| other.first < block.first);
        self.sealed.insert(place, block);
    }

    fn note(&mut self, block: &mut Block, record: &EventRecord, bytes: usize) {
        if block.events == 0 {
            block.first = record.index;
            block.oldest_ms = record.wall_ms;
        }
        block.last = record.index;
        block.events += 1;
        block.bytes += bytes as u64;
        // Two leaders' clocks may differ.
        block.oldest_ms = block.oldest_ms.min(record.wall_ms);
        block.newest_ms = block.newest_ms.max(record.wall_ms);
        block.gravest = block.gravest.max(rank(&record.severity));
        put(&mut block.resources, self.resources.number(&record.resource));
        put(&mut block.kinds, self.kinds.number(&record.kind));
        if let Some(node) = &record.node {
            put(&mut block.nodes, self.nodes.number(node));
        }
    }

    fn stored(&self, block: &Block) -> StoredBlock {
        StoredBlock {
            first: block.first,
            last: block.last,
            events: block.events,
            bytes: block.bytes,
            oldest_ms: block.oldest_ms,
            newest_ms: block.newest_ms,
            gravest: block.gravest,
            resources: self.resources.words(&block.resources),
            kinds: self.kinds.words(&block.kinds),
            nodes: self.nodes.words(&block.nodes),
        }
    }

    /// Where events that pass can be, in order: first and last index of each stretch.
    pub(super) fn candidates(&self, filter: &EventFilter) -> Vec<(u64, u64)> {
        let wanted = Wanted {
            filter,
            resources: (!filter.resources.is_empty()).then(|| {
                self.resources
                    .all(|name| filter.resources.iter().any(|glob| glob_matches(glob, name)))
            }),
            kind: filter.kind.as_ref().map(|kind| {
                let of_kind = self.resources.all(|name| resource_kind(name) == kind);
                (self.kinds.all(|name| name == kind), of_kind)
            }),
            kinds: (!filter.kinds.is_empty()).then(|| self.kinds.all(|name| filter.kinds.contains(&name))),
            nodes: filter.node.as_ref().map(|node| self.nodes.all(|name| name == node)),
            gravest: filter.severity.as_deref().map_or(0, rank),
        };
        let open = (self.open.events > 0).then_some(&self.open);
        let holding = self.sealed.iter().chain(open).filter(|block| wanted.may_be_in(block));
        holding.map(|block| (block.first, block.last)).collect()
    }

    /// Forgets what is not kept any more; answers the first indexes of the blocks that go, and the first index that stays.
    pub(super) fn trim(&mut self, retention: Retention) -> Option<(Vec<u64>, u64)> {
        let newest_ms = self.sealed.iter().map(|block| block.newest_ms).max().unwrap_or(0);
        let age_ms = u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX);
        let (mut gone, mut last) = (Vec::new(), 0);
        while let Some(block) = self.sealed.front()
            && (self.bytes > retention.bytes || block.newest_ms.saturating_add(age_ms) < newest_ms)
        {
            self.bytes -= block.bytes;
            gone.push(block.first);
            last = block.last;
            self.sealed.pop_front();
        }
        let open = (self.open.events > 0).then_some(&self.open);
        let next = self.sealed.front().or(open).map_or(last + 1, |block| block.first);
        (!gone.is_empty()).then_some((gone, next))
    }
}

impl Wanted<'_> {
    fn may_be_in(&self, block: &Block) -> bool {
        let filter = self.filter;
        filter.before.is_none_or(|before| block.first < before.0)
            && filter.after.is_none_or(|after| block.last > after.0)
            && filter.since_wall_ms.is_none_or(|since| block.newest_ms >= since)
            && filter.until_wall_ms.is_none_or(|until| block.oldest_ms <= until)
            && block.gravest >= self.gravest
            && self.resources.as_ref().is_none_or(|it| meet(it, &block.resources))
            && self.kinds.as_ref().is_none_or(|it| meet(it, &block.kinds))
            && self.nodes.as_ref().is_none_or(|it| meet(it, &block.nodes))
            && self
                .kind
                .as_ref()
                .is_none_or(|(kinds, resources)| meet(kinds, &block.kinds) || meet(resources, &block.resources))
    }
}

/// Whether any of these is in a sorted list.
fn meet(some: &[u32], sorted: &[u32]) -> bool {
    some.iter().any(|number| sorted.binary_search(number).is_ok())
}

fn put(sorted: &mut Vec<u32>, number: u32) {
    if let Err(place) = sorted.binary_search(&number) {
        sorted.insert(place, number);
    }
}

fn numbers(names: &mut Names, words: &[String]) -> Vec<u32> {
    let mut numbers: Vec<u32> = words.iter().map(|word| names.number(word)).collect();
    numbers.sort_unstable();
    numbers
}
