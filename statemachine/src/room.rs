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

/// The score of an empty node.
const SCORE_MAX: u64 = 255;

/// What a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Whether anything may be placed there: up and not drained.
    pub(crate) open: bool,
    /// The free share of the scarcest dimension, 0 to 255.
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

    /// Whether a load stays strictly below the capacity in each dimension that it loads.
    pub(crate) fn fits(&self, load: Loads) -> bool {
        load.0
            .iter()
            .zip(self.free)
            .all(|(load, free)| *load == 0 || *load < free)
    }
}

/// The rooms of all nodes, by [`NodeIx`].
#[derive(Clone, Debug)]
pub(crate) struct Rooms(Arc<Vec<Room>>);

impl Rooms {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Vec::new()))
    }

    pub(crate) fn get(&self, node: NodeIx) -> Room {
        self.0.get(place(node.0)).copied().unwrap_or(Room::CLOSED)
    }

    pub(crate) fn set(&mut self, node: NodeIx, room: Room) {
        let at = place(node.0);
        if self.0.get(at) == Some(&room) {
            return;
        }
        let rooms = Arc::make_mut(&mut self.0);
        if rooms.len() <= at {
            rooms.resize(at.saturating_add(1), Room::CLOSED);
        }
        if let Some(row) = rooms.get_mut(at) {
            *row = room;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeIx, &Room)> {
        (0u32..).map(NodeIx).zip(self.0.iter())
    }
}
