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

/// Levels of score that a search tries one by one before it looks at every room.
const LEVELS_MAX: u32 = 24;

/// What a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Whether anything may be placed there: up and not drained.
    pub(crate) open: bool,
    /// The free share of the scarcest dimension, 0 to [`SCORE_MAX`].
    pub(crate) score: u64,
    /// What is free in each dimension; the largest number where the node is not metered.
    pub(crate) free: [u64; DIMENSIONS_MAX],
}

impl Room {
    const CLOSED: Self = Self {
        open: false,
        score: 0,
        free: [0; DIMENSIONS_MAX],
    };

    pub(crate) fn of(node: &Node, dimensions: &Dimensions) -> Self {
        let capacity = dimensions.capacity(&node.capacity);
        let mut room = Self {
            open: node.takes_packages(),
            score: SCORE_MAX,
            free: [u64::MAX; DIMENSIONS_MAX],
        };
        for ((free, capacity), planned) in room.free.iter_mut().zip(capacity).zip(node.planned.0) {
            let Some(capacity) = capacity else { continue };
            *free = capacity.saturating_sub(planned);
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
        load.0
            .iter()
            .zip(self.free)
            .all(|(load, free)| *load == 0 || *load < free)
    }
}

/// Rooms of a page: what the first write after a clone copies.
const PAGE: usize = 64;

/// The rooms of all nodes, by [`NodeIx`].
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    /// One more than the score of each node, 0 where it is closed: a search scans these bytes.
    scores: Arc<Vec<u8>>,
    pages: Arc<Vec<Arc<Vec<Room>>>>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self {
            scores: Arc::new(Vec::new()),
            pages: Arc::new(Vec::new()),
        }
    }

    pub(crate) fn get(&self, node: NodeIx) -> Room {
        let at = place(node.0);
        let page = self.pages.get(at.div_euclid(PAGE));
        page.and_then(|page| page.get(at.rem_euclid(PAGE)))
            .copied()
            .unwrap_or(Room::CLOSED)
    }

    pub(crate) fn set(&mut self, node: NodeIx, room: Room) {
        let at = place(node.0);
        if at < self.scores.len() && self.get(node) == room {
            return;
        }
        while self.scores.len() <= at {
            self.grow();
        }
        if let Some(score) = Arc::make_mut(&mut self.scores).get_mut(at) {
            *score = room.byte();
        }
        let page = Arc::make_mut(&mut self.pages).get_mut(at.div_euclid(PAGE));
        if let Some(row) = page.and_then(|page| Arc::make_mut(page).get_mut(at.rem_euclid(PAGE))) {
            *row = room;
        }
    }

    /// The open node with the largest score that is allowed, the lowest number among equals.
    pub(crate) fn most_room(&self, mut allowed: impl FnMut(NodeIx, &Room) -> bool) -> Option<NodeIx> {
        let mut below = u8::MAX;
        for _ in 0..LEVELS_MAX {
            let level = self
                .scores
                .iter()
                .copied()
                .filter(|score| *score <= below)
                .max()
                .filter(|score| *score > 0)?;
            let found = self.of_level(level).find(|node| allowed(*node, &self.get(*node)));
            if found.is_some() {
                return found;
            }
            below = level.checked_sub(1)?;
        }
        self.scan(below, allowed)
    }

    fn of_level(&self, level: u8) -> impl Iterator<Item = NodeIx> {
        let nodes = (0u32..).map(NodeIx).zip(self.scores.iter());
        nodes.filter(move |(_, score)| **score == level).map(|(node, _)| node)
    }

    /// The same for all levels up to one, in one pass over every room.
    fn scan(&self, level: u8, mut allowed: impl FnMut(NodeIx, &Room) -> bool) -> Option<NodeIx> {
        let mut best: Option<(u8, NodeIx)> = None;
        for (node, score) in (0u32..).map(NodeIx).zip(self.scores.iter().copied()) {
            let better = score > 0 && score <= level && best.is_none_or(|(best, _)| score > best);
            if better && allowed(node, &self.get(node)) {
                best = Some((score, node));
            }
        }
        best.map(|(_, node)| node)
    }

    fn grow(&mut self) {
        Arc::make_mut(&mut self.scores).push(0);
        let pages = Arc::make_mut(&mut self.pages);
        match pages.last_mut() {
            Some(page) if page.len() < PAGE => Arc::make_mut(page).push(Room::CLOSED),
            Some(_) | None => pages.push(Arc::new(Vec::from([Room::CLOSED]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_scan_find_the_same_node() {
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
                },
            );
        }
        for most in 0..256u64 {
            for odd in [false, true] {
                let allowed = |node: NodeIx, room: &Room| room.open && room.score <= most && (node.0 % 2 == 1) == odd;
                assert_eq!(rooms.most_room(allowed), rooms.scan(u8::MAX, allowed));
            }
        }
        assert_eq!(rooms.most_room(|_, _| false), None);
    }
}
