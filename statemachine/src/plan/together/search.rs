//! Where a together group can run: on a node that each member may use and that has room for the sum of their loads.

use alloc::vec::Vec;

use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;
use crate::package::Package;
use crate::plan::eligible::Terms;
use crate::plan::together::{home, missing};
use crate::reason::{Obstacle, Obstacles};
use crate::room::{Room, When};
use crate::state::State;

/// Members that are placed as one.
pub(crate) struct Bundle {
    terms: Vec<Terms>,
    /// What all of them ask as one.
    whole: Option<Terms>,
    load: Loads,
    prefer: Option<NodeIx>,
    without: Option<NodeIx>,
}

impl Bundle {
    /// Of these members.
    pub(crate) fn of(state: &State, members: &[PackageIx]) -> Self {
        let packages = || {
            members
                .iter()
                .filter_map(|number| Some((*number, state.package_at(*number)?)))
        };
        Self {
            terms: packages()
                .map(|(number, package)| Terms::of(state, number, package))
                .collect(),
            whole: Terms::of_party(state, members),
            load: packages().fold(Loads::default(), |sum, (_, package)| sum.plus(package.load)),
            prefer: packages().find_map(|(_, package)| package.prefer),
            without: None,
        }
    }

    /// The same anywhere but on a node; what they load there now is not looked at.
    pub(crate) fn without(self, node: NodeIx) -> Self {
        Self {
            without: Some(node),
            ..self
        }
    }

    fn allow(&self, state: &State, node: NodeIx, room: &Room) -> bool {
        self.without != Some(node) && self.whole.as_ref().is_some_and(|whole| whole.allow(state, node, room))
    }

    /// Whether a node can take all of them.
    pub(crate) fn allows(&self, state: &State, node: NodeIx) -> bool {
        self.allow(state, node, &state.rooms.get(node))
    }

    /// The node for all of them: the preferred one; else the first of a member's list, of the first that has one; else
    /// the one with most room.
    pub(crate) fn choose(&self, state: &State) -> Option<NodeIx> {
        if let Some(preferred) = self.prefer.filter(|node| self.allows(state, *node)) {
            return Some(preferred);
        }
        match self.terms.iter().find_map(|terms| terms.listed.as_ref()) {
            Some(listed) => listed.iter().copied().find(|node| self.allows(state, *node)),
            None => state
                .rooms
                .most_room(self.load, When::Now, |node, room| self.allow(state, node, room)),
        }
    }

    /// The first thing that is in the way of all of them on a node.
    pub(crate) fn obstacle(&self, state: &State, node: NodeIx) -> Option<Obstacle> {
        let first = self.terms.iter().find_map(|terms| terms.obstacle(state, node));
        first.or_else(|| Terms::shortage_of(state, node, self.load))
    }
}

/// The node for a member that has no instance: beside the others, or where all that are missing can go.
pub(crate) fn choose(state: &State, number: PackageIx, package: &Package) -> Option<NodeIx> {
    let group = package.group.and_then(|group| state.group_at(group))?;
    if group.leaving.is_some() {
        return None;
    }
    match home(state, group) {
        Some(home) => Bundle::of(state, &[number]).allows(state, home).then_some(home),
        None => Bundle::of(state, &missing(state, group)).choose(state),
    }
}

/// The first thing that is in the way of a member on a node: where it is not to be without the others, or what is in the
/// way of any of them.
pub(crate) fn obstacle(state: &State, number: PackageIx, package: &Package, node: NodeIx) -> Option<Obstacle> {
    let group = package.group.and_then(|group| state.group_at(group))?;
    match home(state, group) {
        Some(home) if home != node || group.leaving.is_some() => {
            let own = Bundle::of(state, &[number]).obstacle(state, node);
            let apart = || {
                Some(Obstacle::Apart {
                    node: state.node_at(home)?.name.clone(),
                })
            };
            own.or_else(apart)
        }
        Some(_) => Bundle::of(state, &[number]).obstacle(state, node),
        None => {
            let mut all = missing(state, group);
            if !all.contains(&number) {
                all.push(number);
            }
            Bundle::of(state, &all).obstacle(state, node)
        }
    }
}

/// What is in the way of a member, counted over all nodes.
pub(crate) fn obstacles(state: &State, number: PackageIx, package: &Package) -> Obstacles {
    let mut counts = Obstacles::default();
    for (node, _) in state.nodes.iter() {
        if let Some(obstacle) = obstacle(state, number, package, NodeIx(node)) {
            counts.count(&obstacle);
        }
    }
    counts
}
