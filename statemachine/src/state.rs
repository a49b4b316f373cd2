//! The state: the root of all that the manager knows, and the only thing that `apply` changes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::cluster::{Cluster, Member};
use crate::digest::{Feed, Hasher};
use crate::group::{Group, Ownership};
use crate::id::{Epoch, GroupIx, GroupName, Index, MemberId, NodeId, NodeIx, NodeName, PackageIx, PackageName};
use crate::load::Dimensions;
use crate::node::Node;
use crate::occupants::Occupants;
use crate::package::{Package, Rank};
use crate::plan::{account, refresh};
use crate::reason::Reason;
use crate::requests::Requests;
use crate::resource::Needs;
use crate::room::Rooms;
use crate::rules::RuleSet;
use crate::store::{Shards, Table};
use crate::time::Timestamp;
use crate::waiting::Waiting;
use crate::yielding::Yielding;

/// What is planned as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    /// A package without a group.
    Package(PackageIx),
    /// A group: of most kinds only one member may be active.
    Group(GroupIx),
}

/// What happens by time alone, when the leader proposes a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// Placing begins although too few nodes are up.
    Gate,
    /// A lease that was in force before has surely ended.
    LeaseBefore,
    /// A node's extended lease has surely ended.
    Extension(NodeIx),
    /// A group may fail over again.
    Failovers(GroupIx),
    /// A maintenance ends by itself.
    Maintenance(Scope),
}

/// What is in maintenance, by its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Cluster,
    Node(NodeIx),
    Package(PackageIx),
}

/// All that the manager knows.
///
/// A clone costs a few pointers: readers and the snapshot builder hold one while `apply` goes on.
#[derive(Clone, Debug)]
pub struct State {
    /// The last entry applied, rejected ones too.
    pub(crate) applied: Index,
    /// Cluster time of that entry; never goes back.
    pub(crate) at: Timestamp,
    /// None before `CreateCluster`.
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) members: Arc<BTreeMap<MemberId, Member>>,
    pub(crate) nodes: Table<Node>,
    pub(crate) packages: Table<Package>,
    pub(crate) groups: Table<Group>,
    /// The last epoch that was drawn: starts and promotions share one counter.
    pub(crate) epoch: Epoch,
    /// The last place in the order of definition that was given.
    pub(crate) order: u64,
    pub(crate) dimensions: Dimensions,
    /// Requests with a key, so that each takes effect once.
    pub(crate) requests: Requests,

    // Indexes: each a pure function of the rows above, rebuilt when a snapshot is loaded.
    pub(crate) nodes_by_id: Arc<BTreeMap<NodeId, NodeIx>>,
    pub(crate) nodes_by_name: Shards<NodeName, NodeIx>,
    pub(crate) packages_by_name: Shards<PackageName, PackageIx>,
    pub(crate) groups_by_name: Shards<GroupName, GroupIx>,
    /// Whose conditions name this package or group.
    pub(crate) mentions: Shards<String, Arc<BTreeSet<PackageIx>>>,
    pub(crate) rooms: Rooms,
    pub(crate) occupants: Occupants,
    /// Current at the end of each entry, and after [`State::refresh_yielding`].
    pub(crate) yielding: Yielding,
    /// How many nodes are up.
    pub(crate) up: u32,
    /// How many packages, nodes and clusters are in maintenance: nearly always none, and then nobody is asked.
    pub(crate) maintained: u32,
    /// Units that want more than they have for lack of a node, in order of rank.
    pub(crate) waiting: Waiting,
    pub(crate) deadlines: Arc<BTreeSet<(Timestamp, Deadline)>>,
    /// The rules of [`Cluster::rules`], read and checked.
    pub(crate) rules: Arc<RuleSet>,
    /// What packages need of their nodes, and where it is up.
    pub(crate) needs: Needs,
}

impl State {
    /// The state before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self {
            applied: Index(0),
            at: Timestamp(0),
            cluster: None,
            members: Arc::new(BTreeMap::new()),
            nodes: Table::new(),
            packages: Table::new(),
            groups: Table::new(),
            epoch: Epoch(0),
            order: 0,
            dimensions: Dimensions::new(),
            requests: Requests::new(),
            nodes_by_id: Arc::new(BTreeMap::new()),
            nodes_by_name: Shards::new(),
            packages_by_name: Shards::new(),
            groups_by_name: Shards::new(),
            mentions: Shards::new(),
            rooms: Rooms::new(),
            occupants: Occupants::new(),
            yielding: Yielding::new(),
            up: 0,
            maintained: 0,
            waiting: Waiting::new(),
            deadlines: Arc::new(BTreeSet::new()),
            rules: Arc::default(),
            needs: Needs::default(),
        }
    }

    /// The last entry applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// Cluster time of the last entry.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The last epoch that was drawn.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The cluster's id and settings, once it is created.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    /// When the next tick is due: the leader proposes one then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// All nodes, in the order of their first registration.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|(_, node)| node)
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.node_at(*self.nodes_by_id.get(&id)?)
    }

    /// A node by its name.
    #[must_use]
    pub fn node_by_name(&self, name: &NodeName) -> Option<&Node> {
        self.node_at(*self.nodes_by_name.get(name)?)
    }

    /// A node by its row, as an instance names it.
    #[must_use]
    pub fn node_at(&self, node: NodeIx) -> Option<&Node> {
        self.nodes.get(node.0)
    }

    /// All servers, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// All packages in order of rank; those that were removed and still run are among them.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        let mut ranked: Vec<&Package> = self.packages.iter().map(|(_, package)| package).collect();
        ranked.sort_by_key(|package| package.rank());
        ranked.into_iter()
    }

    /// A package by its name.
    #[must_use]
    pub fn package(&self, name: &PackageName) -> Option<&Package> {
        self.package_at(*self.packages_by_name.get(name)?)
    }

    /// A package by its row, as a node's list and a group's members name it.
    #[must_use]
    pub fn package_at(&self, package: PackageIx) -> Option<&Package> {
        self.packages.get(package.0)
    }

    /// What packages of this cluster need of their nodes: what every daemon looks at.
    pub fn needed(&self) -> impl Iterator<Item = &crate::resource::Need> {
        self.needs.wanted.keys()
    }

    /// All groups, by name.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        let mut named: Vec<&Group> = self.groups.iter().map(|(_, group)| group).collect();
        named.sort_by(|a, b| a.name().cmp(b.name()));
        named.into_iter()
    }

    /// A group by its name.
    #[must_use]
    pub fn group(&self, name: &GroupName) -> Option<&Group> {
        self.group_at(*self.groups_by_name.get(name)?)
    }

    /// A group by its row, as a package names it.
    #[must_use]
    pub fn group_at(&self, group: GroupIx) -> Option<&Group> {
        self.groups.get(group.0)
    }

    /// A group's packages in order of rank.
    pub fn group_members<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = (PackageIx, &'a Package)> {
        group
            .members
            .iter()
            .filter_map(|member| Some((*member, self.package_at(*member)?)))
    }

    /// Who has the unit of a package: its group where only one of that may be active, else itself.
    #[must_use]
    pub fn ownership(&self, package: &Package) -> Ownership {
        match self.shared_unit(package) {
            Some(group) => Ownership::of(self.group_members(group)),
            None => match self.packages_by_name.get(package.name()) {
                Some(number) => Ownership::of(core::iter::once((*number, package))),
                None => Ownership::Free,
            },
        }
    }

    /// Why a package has no instance, with the numbers of now; none where it has one.
    ///
    /// [`Package::idle`] holds the same reason with the numbers of when it was found.
    #[must_use]
    pub fn why_idle(&self, package: &Package) -> Option<Reason> {
        let number = *self.packages_by_name.get(package.name())?;
        account::why_idle(self, number, package)
    }

    /// Whose failure under a new definition keeps that from a package, which goes on under the one before.
    #[must_use]
    pub fn held_back_by(&self, package: &Package) -> Option<&PackageName> {
        let number = *self.packages_by_name.get(package.name())?;
        let by = refresh::held_back_by(self, number)?;
        self.package_at(by).map(Package::name)
    }

    /// The names of a node's load dimensions with what is planned there, as `capacity` names them.
    pub fn planned<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (&'a str, u64)> {
        self.dimensions
            .names()
            .zip(node.planned.0)
            .filter_map(|(name, amount)| Some((name?, amount)))
    }

    pub(crate) fn unit_of(&self, number: PackageIx) -> Unit {
        match self.package_at(number).and_then(|package| package.group) {
            Some(group) if self.group_at(group).is_none_or(|group| !group.members_are_units()) => Unit::Group(group),
            Some(_) | None => Unit::Package(number),
        }
    }

    /// The packages of a unit.
    pub(crate) fn members_of(&self, unit: Unit) -> Vec<PackageIx> {
        match unit {
            Unit::Package(package) => Vec::from([package]),
            Unit::Group(group) => self
                .group_at(group)
                .map(|group| group.members.clone())
                .unwrap_or_default(),
        }
    }

    /// Whether the whole cluster was stopped, and nothing is to run before it is started.
    pub(crate) fn is_stopped(&self) -> bool {
        self.cluster().is_some_and(|cluster| cluster.stopped)
    }

    /// Whether the whole cluster is in maintenance.
    pub(crate) fn is_maintained(&self) -> bool {
        self.cluster().is_some_and(|cluster| cluster.maintenance.is_some())
    }

    /// The group of a package where that is its unit: not for a member of a load-share group, which is one by itself.
    pub(crate) fn shared_unit(&self, package: &Package) -> Option<&Group> {
        let group = package.group.and_then(|group| self.group_at(group));
        group.filter(|group| !group.members_are_units())
    }

    /// The rank of a unit: its package's, or its first member's.
    pub(crate) fn unit_rank(&self, unit: Unit) -> Option<Rank> {
        let package = match unit {
            Unit::Package(package) => package,
            Unit::Group(group) => *self.group_at(group)?.members.first()?,
        };
        Some(self.package_at(package)?.rank())
    }

    pub(crate) fn cluster_mut(&mut self) -> Option<&mut Cluster> {
        self.cluster.as_mut().map(Arc::make_mut)
    }

    /// Ends an entry: indexes and digests of written rows are brought up to date.
    pub(crate) fn settle(&mut self) {
        self.refresh_yielding();
        self.nodes.settle();
        self.packages.settle();
        self.groups.settle();
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl Feed for State {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            applied,
            at,
            cluster,
            members,
            nodes,
            packages,
            groups,
            epoch,
            order,
            dimensions,
            requests,
            nodes_by_id: _,
            nodes_by_name: _,
            packages_by_name: _,
            groups_by_name: _,
            mentions: _,
            rooms: _,
            occupants: _,
            yielding: _,
            up: _,
            maintained: _,
            waiting: _,
            deadlines: _,
            rules: _,
            needs: _,
        } = self;
        applied.feed(hasher);
        at.feed(hasher);
        cluster.feed(hasher);
        for member in members.values() {
            member.feed(hasher);
        }
        hasher.word(nodes.sum());
        hasher.word(packages.sum());
        hasher.word(groups.sum());
        epoch.feed(hasher);
        order.feed(hasher);
        dimensions.feed(hasher);
        requests.feed(hasher);
    }
}
