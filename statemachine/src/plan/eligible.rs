//! May a package run on a node?

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;
use crate::package::Package;
use crate::plan::needs;
use crate::reason::{Obstacle, Obstacles};
use crate::resource::Need;
use crate::room::Room;
use crate::state::State;

/// What a package asks of a node, worked out once for a search over nodes.
pub(crate) struct Terms {
    load: Loads,
    /// The allowed nodes that exist, in the order of the list; none: any.
    pub(crate) listed: Option<Vec<NodeIx>>,
    /// Where other members of its group are.
    peers: Vec<(NodeIx, PackageIx)>,
    /// Where it failed too often in the node's present session.
    banned: Vec<(NodeIx, u32)>,
    /// Where each of its needs is up; none: nowhere.
    needs: Vec<(Need, Option<Arc<BTreeSet<NodeIx>>>)>,
}

impl Terms {
    pub(crate) fn of(state: &State, number: PackageIx, package: &Package) -> Self {
        let listed = (!package.spec.nodes.is_empty()).then(|| {
            package
                .spec
                .nodes
                .iter()
                .filter_map(|name| state.nodes_by_name.get(name).copied())
                .collect()
        });
        let group = package.group.and_then(|group| state.group_at(group));
        let apart = group.filter(|group| !group.is_together());
        let members = apart.into_iter().flat_map(|group| state.group_members(group));
        let peers = members
            .filter(|(member, _)| *member != number)
            .filter_map(|(member, peer)| Some((peer.instance.as_ref()?.node, member)))
            .collect();
        let banned = package.bans.iter().filter(|ban| {
            state
                .node_at(ban.node)
                .is_some_and(|node| node.status.session() == ban.session)
        });
        Self {
            load: package.load,
            listed,
            peers,
            banned: banned.map(|ban| (ban.node, ban.failures)).collect(),
            needs: package
                .spec
                .needs
                .iter()
                .map(|need| (need.clone(), state.needs.nodes_with(need).cloned()))
                .collect(),
        }
    }

    /// Whether the package may be placed on a node that has this room.
    pub(crate) fn allow(&self, node: NodeIx, room: &Room) -> bool {
        room.open
            && room.fits(self.load)
            && self.listed.as_ref().is_none_or(|listed| listed.contains(&node))
            && !self.peers.iter().any(|(there, _)| *there == node)
            && !self.banned.iter().any(|(there, _)| *there == node)
            && self
                .needs
                .iter()
                .all(|(_, up)| up.as_ref().is_some_and(|up| up.contains(&node)))
    }

    /// The first thing that is in the way on a node.
    pub(crate) fn obstacle(&self, state: &State, number: NodeIx) -> Option<Obstacle> {
        let node = state.node_at(number)?;
        if !node.is_up() {
            return Some(Obstacle::Down);
        }
        if self.listed.as_ref().is_some_and(|listed| !listed.contains(&number)) {
            return Some(Obstacle::NotListed);
        }
        if node.drain {
            return Some(Obstacle::Drained);
        }
        if let Some(unmet) = needs::unmet(self.needs.iter().map(|(need, _)| need), node) {
            return Some(unmet);
        }
        if let Some((_, failures)) = self.banned.iter().find(|(there, _)| *there == number) {
            return Some(Obstacle::Banned { failures: *failures });
        }
        if let Some((_, peer)) = self.peers.iter().find(|(there, _)| *there == number) {
            return Some(Obstacle::Peer {
                package: state.package_at(*peer)?.name().clone(),
            });
        }
        Self::shortage_of(state, number, self.load)
    }

    /// The first dimension in which a node lacks room for a load.
    pub(crate) fn shortage_of(state: &State, number: NodeIx, load: Loads) -> Option<Obstacle> {
        let room = state.rooms.get(number);
        let rows = state.dimensions.names().zip(load.0).zip(room.free);
        let short = rows
            .into_iter()
            .find(|((_, needed), free)| *needed > 0 && needed >= free);
        short.map(|((name, needed), free)| {
            let dimension = name.map_or_else(String::new, ToString::to_string);
            Obstacle::NoRoom {
                dimension,
                needed,
                free,
            }
        })
    }

    /// What is in the way, counted over all nodes.
    pub(crate) fn obstacles(&self, state: &State) -> Obstacles {
        let mut counts = Obstacles::default();
        for (number, _) in state.nodes.iter() {
            if let Some(obstacle) = self.obstacle(state, NodeIx(number)) {
                counts.count(&obstacle);
            }
        }
        counts
    }
}

/// Whether a definition's list of nodes allows a node.
pub(crate) fn is_listed(state: &State, package: &Package, node: NodeIx) -> bool {
    let Some(node) = state.node_at(node) else { return false };
    package.spec.nodes.is_empty() || package.spec.nodes.contains(&node.name)
}
