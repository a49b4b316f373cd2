//! May a package run on a node?

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;
use crate::node::Node;
use crate::package::Package;
use crate::plan::condition::{self, Lens};
use crate::plan::needs;
use crate::reason::{Obstacle, Obstacles};
use crate::resource::Need;
use crate::room::Room;
use crate::state::State;

/// What a package, or several that only start together, asks of a node: worked out once for a search over nodes.
pub(crate) struct Terms {
    /// Who is to be placed.
    pub(crate) party: Vec<PackageIx>,
    /// Their loads together.
    pub(crate) load: Loads,
    /// The allowed nodes that exist, in the order of the list; none: any.
    pub(crate) listed: Option<Vec<NodeIx>>,
    /// Where other members of its group are, or have room kept for them.
    peers: Vec<(NodeIx, PackageIx)>,
    /// Where it failed too often in the node's present session.
    banned: Vec<(NodeIx, u32)>,
    /// It needs a node for itself.
    pub(crate) exclusive: bool,
    /// It has a condition.
    conditional: bool,
    /// Who is somewhere on a condition that names it, and where.
    pub(crate) wary: Vec<(NodeIx, PackageIx)>,
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
            .flat_map(|(member, peer)| places(peer).map(move |node| (node, member)))
            .collect();
        let banned = package.bans.iter().filter(|ban| {
            state
                .node_at(ban.node)
                .is_some_and(|node| node.status.session() == ban.session)
        });
        Self {
            party: Vec::from([number]),
            load: package.load,
            listed,
            peers,
            banned: banned.map(|ban| (ban.node, ban.failures)).collect(),
            exclusive: package.spec.exclusive,
            conditional: package.condition.is_some(),
            wary: condition::wary_of(state, number, package),
            needs: package
                .spec
                .needs
                .iter()
                .map(|need| (need.clone(), state.needs.nodes_with(need).cloned()))
                .collect(),
        }
    }

    /// What several ask that only start together, on one node; none where one of them would have to be alone there.
    pub(crate) fn of_party(state: &State, party: &[PackageIx]) -> Option<Self> {
        let mut whole: Option<Self> = None;
        for number in party {
            let one = Self::of(state, *number, state.package_at(*number)?);
            whole = Some(match whole {
                None => one,
                Some(whole) => whole.and(one),
            });
        }
        let mut whole = whole.filter(|whole| party.len() == 1 || !whole.exclusive)?;
        whole.wary.retain(|(_, other)| !party.contains(other));
        Some(whole)
    }

    fn and(mut self, other: Self) -> Self {
        self.party.extend(other.party);
        self.load = self.load.plus(other.load);
        self.listed = match (self.listed, other.listed) {
            (Some(mine), Some(theirs)) => Some(mine.into_iter().filter(|node| theirs.contains(node)).collect()),
            (Some(listed), None) | (None, Some(listed)) => Some(listed),
            (None, None) => None,
        };
        self.peers.extend(other.peers);
        self.banned.extend(other.banned);
        self.exclusive |= other.exclusive;
        self.conditional |= other.conditional;
        self.wary.extend(other.wary);
        self.needs.extend(other.needs);
        self
    }

    /// Whether no condition comes in, its own or another's, and it may share a node.
    pub(crate) fn is_plain(&self) -> bool {
        !self.conditional && !self.exclusive && self.wary.is_empty()
    }

    /// Whether the package may be started on a node that has this room.
    pub(crate) fn allow(&self, state: &State, node: NodeIx, room: &Room) -> bool {
        room.open
            && room.fits(self.load)
            && !room.alone
            && (room.empty || !self.exclusive)
            && self.allow_node(node)
            && self.allow_company(state, node, Lens::Now)
    }

    /// Whether it may be started where room was kept for it.
    pub(crate) fn allow_claimed(&self, state: &State, node: NodeIx) -> bool {
        let Some(row) = state.node_at(node) else { return false };
        let alone = row.alone > 0 && condition::alone_instances(state, row) > 0;
        self.allow(state, node, &Room::without_claims(row, &state.dimensions, alone))
    }

    /// Whether a node is one that its definition and its past allow, whatever else is there, peers apart.
    pub(crate) fn allow_node(&self, node: NodeIx) -> bool {
        self.listed.as_ref().is_none_or(|listed| listed.contains(&node))
            && !self.peers.iter().any(|(there, _)| *there == node)
            && !self.banned.iter().any(|(there, _)| *there == node)
            && self
                .needs
                .iter()
                .all(|(_, up)| up.as_ref().is_some_and(|up| up.contains(&node)))
    }

    /// Whether its own condition and those of others hold with it there.
    pub(crate) fn allow_company(&self, state: &State, node: NodeIx, lens: Lens) -> bool {
        (!self.conditional || condition::holds_for(state, &self.party, node, lens, &[]))
            && condition::first_against(state, self, node, lens, &[]).is_none()
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
        if node.maintenance.is_some() {
            return Some(Obstacle::Maintained);
        }
        if node.overload.is_some() {
            return Some(Obstacle::Overloaded);
        }
        if let Some(unmet) = needs::unmet(self.needs.iter().map(|(need, _)| need), node) {
            return Some(unmet);
        }
        if let Some((_, failures)) = self.banned.iter().find(|(there, _)| *there == number) {
            return Some(Obstacle::Banned { failures: *failures });
        }
        if let Some(obstacle) = condition::obstacle(state, self, number) {
            return Some(obstacle);
        }
        if let Some((_, peer)) = self.peers.iter().find(|(there, _)| *there == number) {
            return Some(Obstacle::Peer {
                package: state.package_at(*peer)?.name().clone(),
            });
        }
        self.occupied(state, number)
            .or_else(|| Self::shortage_of(state, number, self.load))
    }

    /// Who is in the way where one of two needs the node for itself.
    fn occupied(&self, state: &State, number: NodeIx) -> Option<Obstacle> {
        let room = state.rooms.get(number);
        if !room.alone && (room.empty || !self.exclusive) {
            return None;
        }
        let node = state.node_at(number)?;
        let there = node.instances.iter().chain(&node.claims).copied();
        let mut there = there.filter(|other| !self.party.contains(other));
        if self.exclusive {
            let package = there.next()?;
            return Some(Obstacle::NotEmpty {
                package: state.package_at(package)?.name().clone(),
            });
        }
        let alone = there.find(|other| condition::is_exclusive(state, *other))?;
        Some(Obstacle::Exclusive {
            package: state.package_at(alone)?.name().clone(),
        })
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
        if let Some(listed) = &self.listed {
            let mut listed = listed.clone();
            listed.sort();
            listed.dedup();
            let is_up = |node: &&NodeIx| state.node_at(**node).is_some_and(Node::is_up);
            let up = u32::try_from(listed.iter().filter(is_up).count()).unwrap_or(u32::MAX);
            let all = u32::try_from(listed.len()).unwrap_or(u32::MAX);
            let down = state.nodes.len().saturating_sub(state.up);
            counts.not_listed = state.up.saturating_sub(up);
            counts.down = down.saturating_sub(all.saturating_sub(up));
            self.count_each(state, listed.into_iter(), &mut counts);
            return counts;
        }
        if self.exclusive || self.conditional || !self.needs.is_empty() {
            self.count_each(state, state.nodes.iter().map(|(number, _)| NodeIx(number)), &mut counts);
            return counts;
        }
        // Of most nodes their room says all.
        let others = self.peers.iter().chain(&self.wary).map(|(node, _)| *node);
        let mut special: Vec<NodeIx> = others.chain(self.banned.iter().map(|(node, _)| *node)).collect();
        special.sort();
        special.dedup();
        let mut rest = Vec::new();
        counts.full = state.rooms.count_full(self.load, &special, |node| rest.push(node));
        self.count_each(state, rest.into_iter(), &mut counts);
        counts
    }

    fn count_each(&self, state: &State, nodes: impl Iterator<Item = NodeIx>, counts: &mut Obstacles) {
        for node in nodes {
            if let Some(obstacle) = self.obstacle(state, node) {
                counts.count(&obstacle);
            }
        }
    }
}

/// Where a package is, or has room kept for it.
fn places(package: &Package) -> impl Iterator<Item = NodeIx> {
    let here = package.instance.as_ref().map(|instance| instance.node);
    here.into_iter().chain(package.claim)
}

/// Whether a definition's list of nodes allows a node.
pub(crate) fn is_listed(state: &State, package: &Package, node: NodeIx) -> bool {
    let Some(node) = state.node_at(node) else { return false };
    package.spec.nodes.is_empty() || package.spec.nodes.contains(&node.name)
}
