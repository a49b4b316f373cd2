//! Who waits and could have room that has become free: asked one after another, the most important first, because each
//! that starts takes room from the next.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::draft::Draft;
use crate::id::NodeIx;
use crate::load::{DIMENSIONS_MAX, Loads};
use crate::package::{Importance, Rank};
use crate::plan::gate;
use crate::state::State;
use crate::waiting::Ranked;

/// The next one that waits for each node that gained room in this entry.
#[derive(Debug, Default)]
pub(crate) struct Pull {
    next: BTreeSet<(Ranked, NodeIx)>,
    by_node: BTreeMap<NodeIx, Ranked>,
}

impl Pull {
    /// Takes in what has gained room since the last time.
    pub(crate) fn extend(&mut self, draft: &mut Draft<'_>) {
        let gained = core::mem::take(&mut draft.gained);
        if !gate::is_open(draft.state) {
            return;
        }
        for node in gained {
            if let Some(unit) = self.by_node.remove(&node) {
                self.next.remove(&(unit, node));
            }
            self.look(draft.state, None, node);
        }
    }

    /// The most important one that waits and could be taken by one of the nodes.
    pub(crate) fn first(&self) -> Option<Ranked> {
        self.next.first().map(|(unit, _)| *unit)
    }

    /// Takes out the first one, which is looked at now.
    pub(crate) fn pass(&mut self, draft: &mut Draft<'_>) {
        let Some(first) = self.first() else { return };
        while let Some((unit, node)) = self.next.first().copied()
            && unit == first
        {
            self.next.pop_first();
            self.by_node.remove(&node);
            self.look(draft.state, Some(first), node);
        }
    }

    fn look(&mut self, state: &State, after: Option<Ranked>, node: NodeIx) {
        if !state.rooms.get(node).open {
            return;
        }
        let slope = Slope::of(state, node);
        let mut step = 0;
        let room = |rank: Rank| slope.left(&mut step, Importance { spare: false, rank });
        if let Some(unit) = state.waiting.first_after(after, room) {
            self.next.insert((unit, node));
            self.by_node.insert(node, unit);
        }
    }
}

/// How much room a node could have for newcomers of each importance.
struct Slope {
    /// From the most important occupant on: how important it is, and what is left where it and all before it stay.
    steps: Vec<(Option<Importance>, [u64; DIMENSIONS_MAX])>,
}

impl Slope {
    fn of(state: &State, node: NodeIx) -> Self {
        let Some(row) = state.node_at(node) else {
            return Self { steps: Vec::new() };
        };
        let capacity = state
            .dimensions
            .capacity(&row.capacity)
            .map(|it| it.unwrap_or(u64::MAX));
        let left = |sum: Loads| {
            let mut left = capacity;
            for (left, used) in left.iter_mut().zip(sum.0).filter(|(left, _)| **left != u64::MAX) {
                *left = left.saturating_sub(used);
            }
            left
        };
        let occupants = state.occupants.on(node);
        let settled = occupants.iter().filter(|occupant| !occupant.yields);
        let mut stay = settled.fold(Loads::default(), |sum, occupant| sum.plus(occupant.load));
        let mut steps = Vec::with_capacity(occupants.len().saturating_add(1));
        steps.push((None, left(stay)));
        for occupant in occupants.iter().filter(|occupant| occupant.yields) {
            stay = stay.plus(occupant.load);
            steps.push((Some(occupant.importance), left(stay)));
        }
        Self { steps }
    }

    /// What is left for a newcomer if everything less important that may be stopped were. The newcomers come in order, so
    /// that the step where the last one stood is where this one's is sought from.
    fn left(&self, step: &mut usize, newcomer: Importance) -> [u64; DIMENSIONS_MAX] {
        let rest = self.steps.get(step.saturating_add(1)..).unwrap_or_default();
        let passed = rest
            .iter()
            .take_while(|(importance, _)| importance.is_none_or(|it| it < newcomer))
            .count();
        *step = step.saturating_add(passed);
        self.steps.get(*step).map_or([0; DIMENSIONS_MAX], |(_, left)| *left)
    }
}
