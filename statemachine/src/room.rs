//! What each node has left, as one flat list: what a search for a node scans.
//!
//! Derived from the nodes alone, so it is no part of a snapshot. Whatever changes a node's capacity, plan or status
//! writes its row again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::NodeIx;
use crate::load::{DIMENSIONS_MAX, Dimensions, Loads};
use crate::node::Node;
use crate::store::table::place;

/// The score of an empty node: with 0 for a closed one it fills a byte.
pub(crate) const SCORE_MAX: u64 = 254;

/// What a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Whether anything may be placed there: up and not drained.
    pub(crate) open: bool,
    /// The free share of the scarcest dimension, 0 to [`SCORE_MAX`].
    pub(crate) score: u64,
    /// What is free in each dimension; the largest number where the node is not metered.
    pub(crate) free: [u64; DIMENSIONS_MAX],
    /// What will be free once everything that is being stopped has ended.
    pub(crate) later: [u64; DIMENSIONS_MAX],
    /// Nothing is there, not even a claim.
    pub(crate) empty: bool,
    /// Something is there that needs the node for itself.
    pub(crate) alone: bool,
}

impl Room {
    const CLOSED: Self = Self {
        open: false,
        score: 0,
        free: [0; DIMENSIONS_MAX],
        later: [0; DIMENSIONS_MAX],
        empty: true,
        alone: false,
    };

    pub(crate) fn of(node: &Node, dimensions: &Dimensions) -> Self {
        let empty = node.instances.is_empty() && node.claims.is_empty();
        let held = node.planned.plus(node.claimed);
        Self::holding(node, dimensions, held, empty, node.alone > 0)
    }

    /// As if room were kept for nobody.
    pub(crate) fn without_claims(node: &Node, dimensions: &Dimensions, alone: bool) -> Self {
        Self::holding(node, dimensions, node.planned, node.instances.is_empty(), alone)
    }

    fn holding(node: &Node, dimensions: &Dimensions, held: Loads, empty: bool, alone: bool) -> Self {
        let capacity = dimensions.capacity(&node.capacity);
        let mut room = Self {
            open: node.takes_packages(),
            score: SCORE_MAX,
            free: [u64::MAX; DIMENSIONS_MAX],
            later: [u64::MAX; DIMENSIONS_MAX],
            empty,
            alone,
        };
        let staying = held.minus(node.leaving);
        for ((later, capacity), staying) in room.later.iter_mut().zip(capacity).zip(staying.0) {
            *later = capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(staying));
        }
        for ((free, capacity), held) in room.free.iter_mut().zip(capacity).zip(held.0) {
            let Some(capacity) = capacity else { continue };
            *free = capacity.saturating_sub(held);
            let share = free.saturating_mul(SCORE_MAX).checked_div(capacity);
            // A dimension of which the node has nothing says nothing about how full it is.
            room.score = room.score.min(share.unwrap_or(SCORE_MAX));
        }
        room
    }

    /// One more than the score, 0 where nothing may be placed.
    fn byte(&self) -> u8 {
        if self.open {
            u8::try_from(self.score.saturating_add(1)).unwrap_or(u8::MAX)
        } else {
            0
        }
    }

    /// Whether a load stays strictly below the capacity in each dimension that it loads.
    pub(crate) fn fits(&self, load: Loads) -> bool {
        is_below(load, self.free)
    }

    /// Whether it will once everything that is being stopped has ended.
    pub(crate) fn fits_later(&self, load: Loads) -> bool {
        is_below(load, self.later)
    }

    fn takes(&self, load: Loads, when: When) -> bool {
        match when {
            When::Now => self.fits(load),
            When::Later => self.fits_later(load),
        }
    }
}

/// Whether a load is strictly less than what is free in each dimension that it loads.
pub(crate) fn is_below(load: Loads, free: [u64; DIMENSIONS_MAX]) -> bool {
    load.0.iter().zip(free).all(|(load, free)| *load == 0 || *load < free)
}

/// Rooms of a page: what the first write after a clone copies.
const PAGE: usize = 64;

/// The rooms of all nodes, by [`NodeIx`].
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    /// The best score byte of each page: what a search looks at first.
    tops: Arc<Vec<u8>>,
    pages: Arc<Vec<Arc<Page>>>,
    now: Full,
    later: Full,
}

/// Loads that are known to fit on no open node, so that the next search for as much or more need not look.
#[derive(Clone, Debug, Default)]
struct Full {
    /// None of them is as large in every dimension as another.
    loads: Vec<Loads>,
    /// Nodes that have had more room since.
    grown: Vec<NodeIx>,
}

/// Loads that are remembered at most.
const FULL_MAX: usize = 64;

/// Nodes that are looked at again at most before all is forgotten.
const GROWN_MAX: usize = 256;

impl Full {
    /// Whether a load is at least as large as one that is known to fit nowhere.
    fn covers(&self, load: Loads) -> bool {
        self.loads.iter().any(|known| is_within(*known, load))
    }

    fn grow(&mut self, node: NodeIx) {
        if self.loads.is_empty() || self.grown.last() == Some(&node) {
            return;
        }
        self.grown.push(node);
        if self.grown.len() > GROWN_MAX {
            *self = Self::default();
        }
    }
}

/// Whether a load is at most another one in each dimension.
fn is_within(load: Loads, other: Loads) -> bool {
    load.0.iter().zip(other.0).all(|(load, other)| *load <= other)
}

#[derive(Clone, Debug)]
struct Page {
    /// [`Room::byte`] of each room; 0 beyond the last one.
    scores: [u8; PAGE],
    /// What is free in each dimension, as far as a small number tells: see [`small`].
    free: Small,
    /// What will be free.
    later: Small,
    /// Every room is open and without anything that needs its node for itself, and there is one for every node.
    ordinary: bool,
    rooms: Vec<Room>,
}

/// Amounts of a page by dimension, in a form that many are compared in at a time.
type Small = [[i32; PAGE]; DIMENSIONS_MAX];

/// An amount as a small number: exact up to the largest one, which stands for all above.
pub(crate) fn small(amount: u64) -> i32 {
    i32::try_from(amount).unwrap_or(i32::MAX)
}

/// A load as a small number. The largest one stands for rooms above all loads, so that every load is below it.
pub(crate) fn small_load(amount: u64) -> i32 {
    small(amount).min(SMALL_LOAD_MAX)
}

/// Loads from here on are all the same as small numbers.
const SMALL_LOAD_MAX: i32 = i32::MAX.saturating_sub(1);

/// Which room is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// What is free now.
    Now,
    /// What will be free once everything that is being stopped has ended.
    Later,
}

impl Page {
    const EMPTY: Self = Self {
        scores: [0; PAGE],
        free: [[0; PAGE]; DIMENSIONS_MAX],
        later: [[0; PAGE]; DIMENSIONS_MAX],
        ordinary: false,
        rooms: Vec::new(),
    };

    /// Whether a load could fit on each node, as far as small numbers tell; false for all where it fits on none.
    fn could_fit(&self, load: Loads, when: When) -> Option<[bool; PAGE]> {
        let rooms = match when {
            When::Now => &self.free,
            When::Later => &self.later,
        };
        let mut could = [true; PAGE];
        for (load, rooms) in load.0.iter().zip(rooms).filter(|(load, _)| **load > 0) {
            let load = small_load(*load);
            for (could, room) in could.iter_mut().zip(rooms) {
                *could &= load < *room;
            }
        }
        // Not `any`: a sum over all is done many at a time.
        let found = could.iter().fold(false, |found, could| found | *could);
        found.then_some(could)
    }

    fn nodes(&self, first: u32) -> impl Iterator<Item = (NodeIx, u8, &Room)> {
        let rows = self.scores.iter().zip(&self.rooms);
        (first..)
            .map(NodeIx)
            .zip(rows)
            .map(|(node, (score, room))| (node, *score, room))
    }
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self {
            tops: Arc::new(Vec::new()),
            pages: Arc::new(Vec::new()),
            now: Full::default(),
            later: Full::default(),
        }
    }

    pub(crate) fn get(&self, node: NodeIx) -> Room {
        let at = place(node.0);
        let page = self.pages.get(at.div_euclid(PAGE));
        page.and_then(|page| page.rooms.get(at.rem_euclid(PAGE)))
            .copied()
            .unwrap_or(Room::CLOSED)
    }

    pub(crate) fn set(&mut self, node: NodeIx, room: Room) {
        let (page, row) = (place(node.0).div_euclid(PAGE), place(node.0).rem_euclid(PAGE));
        let known = self.pages.get(page).and_then(|page| page.rooms.get(row));
        if known == Some(&room) {
            return;
        }
        let known = known.copied().unwrap_or(Room::CLOSED);
        let has_more = |before: [u64; DIMENSIONS_MAX], after: [u64; DIMENSIONS_MAX]| {
            room.open && (!known.open || before.iter().zip(after).any(|(before, after)| *before < after))
        };
        if has_more(known.free, room.free) {
            self.now.grow(node);
        }
        if has_more(known.later, room.later) {
            self.later.grow(node);
        }
        let pages = Arc::make_mut(&mut self.pages);
        while pages.len() <= page {
            pages.push(Arc::new(Page::EMPTY));
        }
        let tops = Arc::make_mut(&mut self.tops);
        tops.resize(pages.len().max(tops.len()), 0);
        let (Some(page), Some(top)) = (pages.get_mut(page).map(Arc::make_mut), tops.get_mut(page)) else {
            return;
        };
        // Every room before the last one is there, so that a room's place is its node's.
        if page.rooms.len() <= row {
            page.rooms.resize(row.saturating_add(1), Room::CLOSED);
        }
        if let (Some(known), Some(score)) = (page.rooms.get_mut(row), page.scores.get_mut(row)) {
            *known = room;
            *score = room.byte();
        }
        let amounts = [(&mut page.free, room.free), (&mut page.later, room.later)];
        for (rows, amounts) in amounts {
            for (rows, amount) in rows.iter_mut().zip(amounts) {
                if let Some(known) = rows.get_mut(row) {
                    *known = small(amount);
                }
            }
        }
        let ordinary = |room: &Room| room.open && !room.alone;
        page.ordinary = page.rooms.len() == PAGE && page.rooms.iter().all(ordinary);
        *top = page.scores.iter().copied().max().unwrap_or(0);
    }

    /// The largest score of an open node.
    pub(crate) fn best_score(&self) -> u64 {
        let top = self.tops.iter().copied().max().unwrap_or(0);
        u64::from(top).saturating_sub(1)
    }

    /// Remembers it where a load fits on no open node.
    pub(crate) fn learn(&mut self, load: Loads, when: When) {
        let known = match when {
            When::Now => &self.now,
            When::Later => &self.later,
        };
        let grown = known.grown.iter().map(|node| self.get(*node));
        let grown: Vec<Room> = grown.filter(|room| room.open).collect();
        let stays = |load: &Loads| !grown.iter().any(|room| room.takes(*load, when));
        let mut loads: Vec<Loads> = known.loads.iter().copied().filter(stays).collect();
        if !loads.iter().any(|known| is_within(*known, load)) && !self.takes(load, when) {
            loads.retain(|known| !is_within(load, *known));
            loads.push(load);
            if loads.len() > FULL_MAX {
                loads.remove(0);
            }
        }
        let full = Full {
            loads,
            grown: Vec::new(),
        };
        match when {
            When::Now => self.now = full,
            When::Later => self.later = full,
        }
    }

    /// Whether a load is known to fit on no open node.
    fn is_full(&self, load: Loads, when: When) -> bool {
        let full = match when {
            When::Now => &self.now,
            When::Later => &self.later,
        };
        let takes = |node: &NodeIx| {
            let room = self.get(*node);
            room.open && room.takes(load, when)
        };
        full.covers(load) && !full.grown.iter().any(takes)
    }

    /// Whether a load fits on any open node.
    fn takes(&self, load: Loads, when: When) -> bool {
        self.pages().filter(|(_, top, _)| *top > 0).any(|(_, _, page)| {
            page.could_fit(load, when).is_some_and(|could| {
                let rooms = page.rooms.iter().zip(could).filter(|(room, could)| *could && room.open);
                rooms.into_iter().any(|(room, _)| room.takes(load, when))
            })
        })
    }

    /// The open node with the largest score where a load fits and that is allowed, the lowest number among equals.
    pub(crate) fn most_room(
        &self,
        load: Loads,
        when: When,
        mut allowed: impl FnMut(NodeIx, &Room) -> bool,
    ) -> Option<NodeIx> {
        if self.is_full(load, when) {
            return None;
        }
        let mut allowed = |node: NodeIx, room: &Room| room.takes(load, when) && allowed(node, room);
        let top = self.tops.iter().copied().max().filter(|top| *top > 0)?;
        let level = self
            .pages()
            .filter(|(_, best, _)| *best == top)
            .flat_map(|(first, _, page)| page.nodes(first));
        let found = level
            .filter(|(_, score, _)| *score == top)
            .find(|(node, _, room)| allowed(*node, room));
        match found {
            Some((node, _, _)) => Some(node),
            None => self.scan(load, when, allowed),
        }
    }

    /// The same in one pass over every room.
    fn scan(&self, load: Loads, when: When, mut allowed: impl FnMut(NodeIx, &Room) -> bool) -> Option<NodeIx> {
        let mut best: Option<(u8, NodeIx)> = None;
        for (first, top, page) in self.pages() {
            if top == 0 || best.is_some_and(|(best, _)| best >= top) {
                continue;
            }
            let Some(could) = page.could_fit(load, when) else {
                continue;
            };
            for ((node, score, room), could) in page.nodes(first).zip(could) {
                let better = could && score > 0 && best.is_none_or(|(best, _)| score > best);
                if better && allowed(node, room) {
                    best = Some((score, node));
                }
            }
        }
        best.map(|(_, node)| node)
    }

    /// How many nodes lack room for a load where nothing else is in the way: they are open, nothing there is alone, and they
    /// are not among the special ones, which are in order. All others that may be in the way are handed out.
    pub(crate) fn count_full(&self, load: Loads, special: &[NodeIx], mut other: impl FnMut(NodeIx)) -> u32 {
        let mut full: u32 = 0;
        let exact = load.0.iter().all(|load| small_load(*load) < SMALL_LOAD_MAX);
        for (first, _, page) in self.pages() {
            let after = special.partition_point(|node| node.0 < first);
            let is_special = special
                .get(after)
                .is_some_and(|node| place(node.0.saturating_sub(first)) < PAGE);
            if exact && page.ordinary && !is_special {
                let rooms = u32::try_from(page.rooms.len()).unwrap_or(0);
                let could = page.could_fit(load, When::Now);
                let fitting = could.map_or(0, |could| could.iter().map(|could| u8::from(*could)).sum());
                full = full.saturating_add(rooms.saturating_sub(u32::from(fitting)));
                continue;
            }
            for (node, _, room) in page.nodes(first) {
                if !room.open || room.alone || special.binary_search(&node).is_ok() {
                    other(node);
                } else if !room.fits(load) {
                    full = full.saturating_add(1);
                }
            }
        }
        full
    }

    /// Every page with the number of its first node and its best score byte.
    fn pages(&self) -> impl Iterator<Item = (u32, u8, &Page)> {
        let firsts = (0u32..).step_by(PAGE);
        firsts
            .zip(self.tops.iter())
            .zip(&*self.pages)
            .map(|((first, top), page)| (first, *top, &**page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is meant by most room.
    fn slow(rooms: &Rooms, allowed: impl Fn(NodeIx, &Room) -> bool) -> Option<NodeIx> {
        let nodes = (0..500)
            .map(NodeIx)
            .filter(|node| rooms.get(*node).open && allowed(*node, &rooms.get(*node)));
        nodes.max_by_key(|node| (rooms.get(*node).score, core::cmp::Reverse(*node)))
    }

    #[test]
    fn search_and_scan_find_the_same_node() {
        let mut rooms = Rooms::new();
        for number in 0..500u32 {
            let score = u64::from(number.wrapping_mul(2_654_435_761) >> 8) % (SCORE_MAX + 1);
            let open = number % 7 != 0;
            rooms.set(
                NodeIx(number),
                Room {
                    open,
                    score,
                    free: [score; DIMENSIONS_MAX],
                    later: [if number % 5 == 0 {
                        u64::MAX
                    } else {
                        score.saturating_add(9)
                    }; DIMENSIONS_MAX],
                    ..Room::CLOSED
                },
            );
        }
        for most in 0..256u64 {
            for odd in [false, true] {
                let allowed = |node: NodeIx, room: &Room| room.open && room.score <= most && (node.0 % 2 == 1) == odd;
                for load in [0, 100, 250, 1 << 40] {
                    let load = Loads([load; DIMENSIONS_MAX]);
                    let fits = |node: NodeIx, room: &Room| room.fits(load) && allowed(node, room);
                    assert_eq!(rooms.most_room(load, When::Now, allowed), slow(&rooms, fits));
                    let fits = |node: NodeIx, room: &Room| room.fits_later(load) && allowed(node, room);
                    assert_eq!(rooms.most_room(load, When::Later, allowed), slow(&rooms, fits));
                }
            }
        }
        assert_eq!(rooms.most_room(Loads::default(), When::Now, |_, _| false), None);
    }

    /// What is known to fit nowhere is forgotten where a node gains room for it, and only there.
    #[test]
    fn what_fits_nowhere_is_known_until_a_room_grows() {
        let mut rooms = Rooms::new();
        let with = |free: u64| Room {
            open: true,
            score: 1,
            free: [free; DIMENSIONS_MAX],
            later: [free; DIMENSIONS_MAX],
            ..Room::CLOSED
        };
        let load = |load: u64| Loads([load; DIMENSIONS_MAX]);
        let mut seed = 1u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut known = 0;
        for _ in 0..3_000 {
            let number = NodeIx(u32::try_from(next(100)).unwrap_or(0));
            let room = if next(5) == 0 { Room::CLOSED } else { with(next(50)) };
            rooms.set(number, room);
            rooms.learn(load(next(60)), When::Now);
            for asked in [load(next(60)), Loads([next(60), 0, next(60), 0])] {
                let fits = (0..100).any(|node| {
                    let room = rooms.get(NodeIx(node));
                    room.open && room.fits(asked)
                });
                if rooms.is_full(asked, When::Now) {
                    known += 1;
                    assert!(!fits, "{asked:?} fits");
                }
                assert_eq!(rooms.most_room(asked, When::Now, |_, _| true).is_some(), fits);
            }
        }
        assert!(known > 100, "{known}");
    }
}
