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
use crate::package::Importance;
use crate::plan::evict::occupants;
use crate::room::is_below;
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
    rows: Vec<Row>,
}

impl Page {
    const EMPTY: Self = Self {
        tops: [Weight::NOBODY; STEPS],
        further: Weight::NOBODY,
        rows: Vec::new(),
    };
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
                for (node, row) in page.rows(first) {
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
        let Some(node) = state.node_at(number).filter(|node| node.takes_packages()) else {
            return Self::default();
        };
        let mut yielding: Vec<(Importance, Loads)> = occupants(state, node)
            .filter(|occupant| occupant.yields)
            .map(|occupant| (occupant.importance, occupant.load))
            .collect();
        yielding.sort_by(|a, b| b.cmp(a));
        let mut row = Self::default();
        let mut room = state.rooms.get(number).later;
        let mut yielding = yielding.into_iter();
        for (step, (importance, load)) in row.steps.iter_mut().zip(yielding.by_ref()) {
            for (room, load) in room.iter_mut().zip(load.0) {
                // A node that is not metered in a dimension stays without limit there.
                *room = room.saturating_add(load);
            }
            *step = Step {
                last: Weight::of(importance),
                room,
            };
        }
        row.further = yielding
            .next()
            .map(|(importance, _)| Weight::of(importance))
            .unwrap_or_default();
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
