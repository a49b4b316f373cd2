//! Pages of takeovers, as they are asked for.

use std::io;

use statemachine::id::Index;

use super::fold::{ANCHORS, Fold, RELEVANT};
use super::{EventPlace, Failover};
use crate::storage::journal::{EventFilter, EventPage};
use crate::storage::{EventRecord, Gap, Journal};

/// Events with which a takeover may begin that are read at once.
const ANCHORS_PAGE: usize = 256;
/// Such readings for one page of takeovers: a filter that matches nothing can't hold a thread.
const READINGS_MAX: usize = 16;
/// Events that are read at once to see how takeovers went on.
const EVENTS_PAGE: usize = 4096;
/// Such readings: one that has not ended after so many events is told as it was then.
const FOLLOWED_MAX: usize = 16;

/// Which takeovers are wanted; an empty filter wants the newest. Index and time are those of the event with which a
/// takeover begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailoverFilter {
    /// Only those after this index.
    pub after: Option<Index>,
    /// Only those before this index.
    pub before: Option<Index>,
    /// Only those from this wall time on, in milliseconds since 1970.
    pub since_wall_ms: Option<u64>,
    /// Only those up to this wall time.
    pub until_wall_ms: Option<u64>,
    /// Only from or to this package.
    pub package: Option<String>,
    /// Only of this group.
    pub group: Option<String>,
    /// Only from or to this node.
    pub node: Option<String>,
}

impl FailoverFilter {
    fn passes(&self, failover: &Failover) -> bool {
        let places = || std::iter::once(&failover.from).chain(&failover.to);
        let package = |name: &String| places().any(|place| place.package == *name);
        let node = |name: &String| places().any(|place| place.node == *name);
        self.package.as_ref().is_none_or(package)
            && self.node.as_ref().is_none_or(node)
            && self
                .group
                .as_ref()
                .is_none_or(|group| failover.group.as_ref() == Some(group))
    }
}

/// A page of takeovers, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailoverPage {
    /// They; those of one index stand together.
    pub failovers: Vec<Failover>,
    /// Ask for those after this index for the next page; also where a page is empty.
    pub next_after: Option<Index>,
    /// Of the newest ones: ask for those before this index for older ones.
    pub next_before: Option<Index>,
    /// Stretches of the journal within the page that only other servers have.
    pub gaps: Vec<Gap>,
}

/// A page, at most `limit` (more only to keep one index together): from `after` or `since_wall_ms` on, and the newest ones
/// where neither is given.
///
/// # Errors
/// Where the journal can't be read.
pub fn read(journal: &Journal, filter: &FailoverFilter, limit: usize) -> io::Result<FailoverPage> {
    if filter.after.is_none() && filter.since_wall_ms.is_none() {
        newest(journal, filter, limit.max(1))
    } else {
        forward(journal, filter, limit.max(1))
    }
}

/// The takeover that begins with this event.
///
/// # Errors
/// Where the journal can't be read.
pub fn one(journal: &Journal, id: EventPlace) -> io::Result<Option<Failover>> {
    let Some(anchor) = journal.event(id.0, id.1)?.filter(is_anchor) else {
        return Ok(None);
    };
    let told = follow(journal, &[anchor])?;
    Ok(told.into_iter().find(|failover| failover.id == id))
}

fn forward(journal: &Journal, filter: &FailoverFilter, limit: usize) -> io::Result<FailoverPage> {
    let mut page = FailoverPage::default();
    let mut after = filter.after;
    for _ in 0..READINGS_MAX {
        let anchors = anchors(journal, filter, after, filter.before)?;
        page.failovers.extend(passing(journal, filter, &anchors.events)?);
        page.gaps.extend(anchors.gaps);
        after = anchors.next_after;
        page.next_after = after.filter(|_| anchors.more);
        if page.failovers.len() >= limit || page.next_after.is_none() {
            break;
        }
    }
    if let Some(last) = page.failovers.get(limit.saturating_sub(1)).map(|it| it.id.0) {
        let kept = page.failovers.partition_point(|it| it.id.0 <= last);
        if kept < page.failovers.len() {
            page.failovers.truncate(kept);
            page.next_after = Some(Index(last));
        }
    }
    Ok(page)
}

fn newest(journal: &Journal, filter: &FailoverFilter, limit: usize) -> io::Result<FailoverPage> {
    let mut page = FailoverPage::default();
    let mut before = filter.before;
    for _ in 0..READINGS_MAX {
        let anchors = anchors(journal, filter, None, before)?;
        let older = passing(journal, filter, &anchors.events)?;
        page.failovers.splice(0..0, older);
        page.gaps.splice(0..0, anchors.gaps);
        before = anchors.next_before;
        page.next_before = before;
        if page.failovers.len() >= limit || before.is_none() {
            break;
        }
    }
    if let Some(cut) = page.failovers.len().checked_sub(limit)
        && let Some(first) = page.failovers.get(cut).map(|it| it.id.0)
    {
        let dropped = page.failovers.partition_point(|it| it.id.0 < first);
        if dropped > 0 {
            page.failovers.drain(..dropped);
            page.next_before = Some(Index(first));
        }
    }
    // What is asked about again and again, as the gaps of all older events are.
    page.gaps.sort_by_key(|gap| gap.first);
    page.gaps.dedup();
    Ok(page)
}

fn anchors(
    journal: &Journal,
    filter: &FailoverFilter,
    after: Option<Index>,
    before: Option<Index>,
) -> io::Result<EventPage> {
    let events = EventFilter {
        after,
        before,
        since_wall_ms: filter.since_wall_ms,
        until_wall_ms: filter.until_wall_ms,
        kinds: ANCHORS.to_vec(),
        ..EventFilter::default()
    };
    let mut page = journal.read(&events, ANCHORS_PAGE)?;
    page.events.retain(is_anchor);
    Ok(page)
}

fn is_anchor(record: &EventRecord) -> bool {
    ANCHORS.contains(&record.kind.as_str()) && record.facts.as_ref().is_some_and(|facts| facts.holds)
}

fn passing(journal: &Journal, filter: &FailoverFilter, anchors: &[EventRecord]) -> io::Result<Vec<Failover>> {
    let mut told = follow(journal, anchors)?;
    told.retain(|failover| filter.passes(failover));
    Ok(told)
}

/// The takeovers that begin with these events, as far as they have gone.
fn follow(journal: &Journal, anchors: &[EventRecord]) -> io::Result<Vec<Failover>> {
    let (Some(first), Some(last)) = (anchors.first(), anchors.last()) else {
        return Ok(Vec::new());
    };
    let wanted: Vec<EventPlace> = anchors.iter().map(|anchor| (anchor.index, anchor.sequence)).collect();
    let lookup = |(index, sequence): EventPlace| journal.event(index, sequence);
    let (mut fold, mut told) = (Fold::default(), Vec::new());
    let mut events = EventFilter {
        after: Some(Index(first.index.saturating_sub(1))),
        kinds: RELEVANT.to_vec(),
        ..EventFilter::default()
    };
    for _ in 0..FOLLOWED_MAX {
        let page = journal.read(&events, EVENTS_PAGE)?;
        for record in &page.events {
            told.extend(fold.take(record, &lookup)?);
            if record.index > last.index && !fold.waits(last.index) {
                break;
            }
        }
        let read_to = page.next_after.filter(|_| page.more);
        let over = read_to.is_none_or(|read_to| read_to.0 > last.index && !fold.waits(last.index));
        if over {
            break;
        }
        events.after = read_to;
    }
    told.extend(fold.under_way());
    told.retain(|failover| wanted.binary_search(&failover.id).is_ok());
    told.sort_by_key(|failover| failover.id);
    Ok(told)
}
