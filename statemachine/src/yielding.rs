//! Who on each node would give way first, as flat lists: what a search for room scans (M14).
//!
//! A newcomer makes those give way that are less important than it, the least important first. So a node has steps: what
//! it has left once its least important one is gone, once the two least important ones are, and so on. The last one that
//! has to go is the most important of them, and the search wants the node where that one is least important of all. The
//! steps know loads alone. What else stands in the way (conditions, together groups, maintenance) can only make a node
//! dearer, so that a step is a bound, and whoever takes a node looks at it exactly.
//!
//! Derived from the rows of nodes and packages, so it is no part of a snapshot. Whatever changes a node's room marks it, and so
//! does what changes how a package stands.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::NodeIx;
use crate::load::{DIMENSIONS_MAX, Loads};
use crate::node::Node;
use crate::package::Importance;
use crate::room::{is_below, small, small_load};
use crate::state::State;
use crate::store::table::place;

/// Steps of a node. Where more have to go, the node is looked at exactly.
const STEPS: usize = 4;

/// Nodes of a page: what the first write after a clone copies.
const PAGE: usize = 64;

/// An importance as one number, the larger the less important; 0 stands for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Weight(u128);

impl Weight {
    pub(crate) const NOBODY: Self = Self(0);
    /// Less important than anybody.
    pub(crate) const MOST: Self = Self(u128::MAX);

    pub(crate) fn of(importance: Importance) -> Self {
        let Importance { spare, rank } = importance;
        let number = (u128::from(spare) << 96) | (u128::from(rank.priority) << 64) | u128::from(rank.order);
        Self(number.saturating_add(1))
    }
}

/// What a node has left once so many have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Step {
    /// The last one that has to go.
    last: Weight,
    room: [u64; DIMENSIONS_MAX],
}

/// The steps of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Row {
    steps: [Step; STEPS],
    /// The one that would have to go after those of the steps.
    further: Weight,
}

/// The steps of all nodes, by [`NodeIx`].
#[derive(Clone, Debug)]
pub(crate) struct Yielding {
    pages: Arc<Vec<Arc<Page>>>,
    /// Nodes whose steps may be others by now; none between entries.
    stale: Vec<NodeIx>,
}

#[derive(Clone, Debug)]
struct Page {
    /// The least important one at each step, and beyond the last step.
    tops: [Weight; STEPS],
    further: Weight,
    /// What each node has left at each step in each dimension, as [`small`] numbers; nothing where it has no such step.
    rooms: [[[i32; PAGE]; DIMENSIONS_MAX]; STEPS],
    rows: Vec<Row>,
}

impl Page {
    const EMPTY: Self = Self {
        tops: [Weight::NOBODY; STEPS],
        further: Weight::NOBODY,
        rooms: [[[0; PAGE]; DIMENSIONS_MAX]; STEPS],
        rows: Vec::new(),
    };

    /// Whether a load could fit at a step on each node, as far as small numbers tell; none where it fits on none.
    fn could_fit(&self, level: usize, load: Loads) -> Option<[bool; PAGE]> {
        let mut could = [true; PAGE];
        let rooms = self.rooms.get(level)?;
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
}

impl Yielding {
    pub(crate) fn new() -> Self {
        Self {
            pages: Arc::new(Vec::new()),
            stale: Vec::new(),
        }
    }

    /// Has a node looked at again before the next search.
    pub(crate) fn mark(&mut self, node: NodeIx) {
        if self.stale.last() != Some(&node) {
            self.stale.push(node);
        }
    }

    fn get(&self, node: NodeIx) -> Row {
        let at = place(node.0);
        let page = self.pages.get(at.div_euclid(PAGE));
        let row = page.and_then(|page| page.rows.get(at.rem_euclid(PAGE)));
        row.copied().unwrap_or_default()
    }

    fn set(&mut self, node: NodeIx, row: Row) {
        if self.get(node) == row {
            return;
        }
        let (page, at) = (place(node.0).div_euclid(PAGE), place(node.0).rem_euclid(PAGE));
        let pages = Arc::make_mut(&mut self.pages);
        while pages.len() <= page {
            pages.push(Arc::new(Page::EMPTY));
        }
        let Some(page) = pages.get_mut(page).map(Arc::make_mut) else {
            return;
        };
        if page.rows.len() <= at {
            page.rows.resize(at.saturating_add(1), Row::default());
        }
        if let Some(known) = page.rows.get_mut(at) {
            *known = row;
        }
        for (rooms, step) in page.rooms.iter_mut().zip(row.steps) {
            for (rooms, amount) in rooms.iter_mut().zip(step.room) {
                if let Some(known) = rooms.get_mut(at) {
                    *known = small(amount);
                }
            }
        }
        page.further = page.rows.iter().map(|row| row.further).max().unwrap_or_default();
        for (level, top) in page.tops.iter_mut().enumerate() {
            let steps = page.rows.iter().filter_map(|row| row.steps.get(level));
            *top = steps.map(|step| step.last).max().unwrap_or_default();
        }
    }

    /// The node where the most important one that has to go for a load is the least important of all, as far as loads
    /// tell, and less important than `above`.
    pub(crate) fn cheapest(
        &self,
        load: Loads,
        above: Weight,
        mut allowed: impl FnMut(NodeIx) -> bool,
    ) -> Option<NodeIx> {
        let mut best = (above, None);
        for level in 0..STEPS {
            for (first, page) in self.pages() {
                if page.tops.get(level).is_none_or(|top| *top <= best.0) {
                    continue;
                }
                let Some(could) = page.could_fit(level, load) else {
                    continue;
                };
                let rows = page.rows(first).zip(could).filter(|(_, could)| *could);
                for ((node, row), _) in rows {
                    let Some(step) = row.steps.get(level) else { continue };
                    if step.last > best.0 && is_below(load, step.room) && allowed(node) {
                        best = (step.last, Some(node));
                    }
                }
            }
        }
        for (first, page) in self.pages() {
            if page.further <= best.0 {
                continue;
            }
            for (node, row) in page.rows(first) {
                let last = row.steps.last();
                if row.further > best.0 && last.is_some_and(|step| !is_below(load, step.room)) && allowed(node) {
                    best = (row.further, Some(node));
                }
            }
        }
        best.1
    }

    /// Every node where one less important than `above` would be the most important one to go, as far as loads tell; the
    /// most promising first.
    pub(crate) fn by_expense(&self, load: Loads, above: Weight) -> Vec<(Weight, NodeIx)> {
        let rows = self.pages().flat_map(|(first, page)| page.rows(first));
        let mut found: Vec<(Weight, NodeIx)> = rows
            .map(|(node, row)| (row.bound(load), node))
            .filter(|(bound, _)| *bound > above)
            .collect();
        found.sort_by_key(|(bound, node)| (core::cmp::Reverse(*bound), *node));
        found
    }

    /// How unimportant the most important one can at most be that has to go for a load on a node.
    pub(crate) fn bound(&self, node: NodeIx, load: Loads) -> Weight {
        self.get(node).bound(load)
    }

    /// Every page with the number of its first node.
    fn pages(&self) -> impl Iterator<Item = (u32, &Page)> {
        (0u32..).step_by(PAGE).zip(self.pages.iter().map(|page| &**page))
    }
}

impl Page {
    fn rows(&self, first: u32) -> impl Iterator<Item = (NodeIx, &Row)> {
        (first..).map(NodeIx).zip(&self.rows)
    }
}

impl Row {
    /// The steps of a node as it is now; none where nothing may be placed.
    fn of(state: &State, number: NodeIx) -> Self {
        if !state.node_at(number).is_some_and(Node::takes_packages) {
            return Self::default();
        }
        let occupants = state.occupants.on(number).iter().rev();
        let mut yielding = occupants.filter(|occupant| occupant.yields);
        let mut row = Self::default();
        let mut room = state.rooms.get(number).later;
        for (step, occupant) in row.steps.iter_mut().zip(yielding.by_ref()) {
            for (room, load) in room.iter_mut().zip(occupant.load.0) {
                // A node that is not metered in a dimension stays without limit there.
                *room = room.saturating_add(load);
            }
            *step = Step {
                last: Weight::of(occupant.importance),
                room,
            };
        }
        let further = yielding.next().map(|occupant| Weight::of(occupant.importance));
        row.further = further.unwrap_or_default();
        row
    }

    fn bound(&self, load: Loads) -> Weight {
        let step = self
            .steps
            .iter()
            .find(|step| step.last > Weight::NOBODY && is_below(load, step.room));
        step.map_or(self.further, |step| step.last)
    }
}

impl State {
    /// Brings the steps of all marked nodes up to date.
    pub(crate) fn refresh_yielding(&mut self) {
        let mut nodes = core::mem::take(&mut self.yielding.stale);
        nodes.sort();
        nodes.dedup();
        for node in nodes {
            let row = Row::of(self, node);
            self.yielding.set(node, row);
        }
    }

    /// The first node whose steps are not what its row and its packages' say.
    pub(crate) fn stale_yielding(&self) -> Option<NodeIx> {
        self.nodes
            .iter()
            .map(|(number, _)| NodeIx(number))
            .find(|node| self.yielding.get(*node) != Row::of(self, *node))
    }
}
