//! Version 1 of what a snapshot holds. Once released these shapes do not change: a new shape is a new file.
//!
//! Rows carry their place in the tables, because places are part of what the next choice depends on. What is an index
//! (names, rooms, who waits) is not stored: it is built again from the rows.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, Generation, Index, MemberId, NodeId, NodeName, PackageName, SessionId};
use crate::log::v1::{
    Capacity, ClusterSpec, Containment, EndCause, GroupSpec, Mode, Need, PackageSpec, RequestId, Wish,
};
use crate::time::{Millis, Timestamp};

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The last entry that it holds.
    pub applied: Index,
    /// Cluster time of that entry.
    pub at: Timestamp,
    /// None before the cluster was created.
    pub cluster: Option<ClusterRow>,
    /// Servers, by id.
    pub members: Vec<MemberRow>,
    /// Nodes, by place.
    pub nodes: Vec<NodeRow>,
    /// Groups, by place.
    pub groups: Vec<GroupRow>,
    /// Packages, by place.
    pub packages: Vec<PackageRow>,
    /// The last epoch that was drawn.
    pub epoch: Epoch,
    /// The last place in the order of definition that was given.
    pub order: u64,
    /// Load dimensions beside `cpu` and `memory`, by place, with how many packages load them.
    pub dimensions: Vec<Option<(String, u64)>>,
    /// Requests with a key, oldest first.
    pub requests: Vec<RequestRow>,
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterRow {
    /// Its id.
    pub id: String,
    /// Its settings.
    pub spec: ClusterSpec,
    /// The last entry that changed what is defined.
    pub config_index: Index,
    /// The longest lease that may still be out.
    pub lease_high: Millis,
    /// A longer lease from before: its length and when it has surely ended.
    pub lease_before: Option<(Millis, Timestamp)>,
    /// Whether packages are placed.
    pub gate: Gate,
    /// The rules in force, as they were written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rules: String,
    /// All of it is in maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceRow>,
    /// It was stopped as a whole.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stopped: bool,
    /// The last entry that stopped, started or maintained it as a whole.
    #[serde(default, skip_serializing_if = "is_never")]
    pub acted: Index,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_never(index: &Index) -> bool {
    *index == Index(0)
}

/// Whether packages are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// No node is up.
    Closed,
    /// Not before this time, or enough nodes.
    Waiting(Timestamp),
    /// They are.
    Open,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRow {
    /// Its id.
    pub id: MemberId,
    /// Its node's name.
    pub name: NodeName,
    /// Where its peers reach it.
    pub peer: Vec<String>,
    /// Where its API is.
    pub api: String,
    /// It only votes and stores.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub witness: bool,
}

/// When something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MomentRow {
    /// Cluster time.
    pub at: Timestamp,
    /// Wall time in milliseconds since 1970, for people.
    pub wall_ms: u64,
}

/// An event's place: index and place among the events of that index.
pub type EventRow = (Index, u32);

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRow {
    /// Its place.
    pub place: u32,
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Whether it takes part.
    pub status: StatusRow,
    /// Since when.
    pub since: MomentRow,
    /// Whether packages are moved away from it.
    pub drain: bool,
    /// Which machine it is.
    pub machine: String,
    /// The kernel's boot id.
    pub boot: String,
    /// Of its last registration.
    pub nonce: String,
    /// What it has.
    pub capacity: Capacity,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Where its API is.
    pub api: String,
    /// Small replicated values.
    pub attributes: BTreeMap<String, String>,
    /// The index of each one's last change.
    #[serde(default)]
    pub attributes_changed: BTreeMap<String, Index>,
    /// The index of the last removal of one.
    #[serde(default)]
    pub attributes_removed: Index,
    /// The version of its desired set.
    pub generation: Generation,
    /// The last report that was taken.
    pub sequence: u64,
    /// An extended lease: its length and when it has surely ended.
    pub extended: Option<(Millis, Timestamp)>,
    /// How its packages' processes are held together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// The last event about it.
    pub trail: Option<EventRow>,
    /// What its daemon says of its links, disks and services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceRow>,
    /// It is in maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceRow>,
    /// Its measured load has reached the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overload: Option<OverloadRow>,
}

/// A node's measured load has reached the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverloadRow {
    /// Since when.
    pub since: MomentRow,
    /// The event that said so.
    pub event: Option<EventRow>,
    /// Nothing more could be shed.
    pub stuck: bool,
}

/// A resource of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRow {
    /// Which.
    pub need: Need,
    /// Whether it can be used.
    pub up: bool,
    /// Since when.
    pub since: MomentRow,
    /// For people.
    pub detail: String,
    /// The event that says so.
    pub event: Option<EventRow>,
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum StatusRow {
    /// Its daemon has a session.
    Up {
        /// Which.
        session: SessionId,
        /// The longest lease that it may count on.
        lease: Millis,
    },
    /// Its lease has ended.
    Lost {
        /// The session that was lost.
        session: SessionId,
        /// An operator has said that the node is off.
        confirmed: bool,
    },
    /// Its daemon ended in order.
    Left {
        /// The last session.
        session: SessionId,
    },
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRow {
    /// Its place.
    pub place: u32,
    /// Its definition.
    pub spec: GroupSpec,
    /// The last entry that changed its definition.
    pub changed: Index,
    /// It was removed and still has packages that run.
    pub removing: bool,
    /// The place of the member that an operator chose.
    pub successor: Option<u32>,
    /// How it came that nobody is active.
    pub vacancy: Option<VacancyRow>,
    /// When it failed over.
    pub failovers: Vec<Timestamp>,
    /// It does not fail over any more, until then.
    pub exhausted: Option<ExhaustedRow>,
    /// What was last said of it.
    pub health: HealthRow,
    /// The last event about it.
    pub trail: Option<EventRow>,
    /// The place of the node that a together group has to leave, why, and the event that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<(u32, Reason, Option<EventRow>)>,
}

/// How it came that nobody is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VacancyRow {
    /// The place of who was active.
    pub package: u32,
    /// The place of the node.
    pub node: u32,
    /// Whether it was a failure.
    pub failure: bool,
    /// The event that says so.
    pub cause: Option<EventRow>,
}

/// A group that does not fail over any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExhaustedRow {
    /// Until then; none: until somebody says so.
    pub until: Option<Timestamp>,
}

/// How a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthRow {
    /// Nobody has been active.
    Idle,
    /// As wanted.
    Redundant,
    /// Too few stand by.
    Degraded,
    /// Nobody is active.
    Lost,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageRow {
    /// Its place.
    pub place: u32,
    /// Its definition.
    pub spec: PackageSpec,
    /// Its place in the order of definition.
    pub order: u64,
    /// The last entry that changed its definition or wish.
    pub changed: Index,
    /// The last entry that changed how it is run.
    pub revision: Index,
    /// What it is to do.
    pub wish: Wish,
    /// It was removed and still runs.
    pub removing: bool,
    /// The place of its group.
    pub group: Option<u32>,
    /// Its instance.
    pub instance: Option<InstanceRow>,
    /// The place of the node where it is placed next if it may run there.
    pub prefer: Option<u32>,
    /// The place of the node where it was last placed.
    pub last: Option<u32>,
    /// Its recent failures there.
    pub failures: Vec<Timestamp>,
    /// Nodes on which it failed too often: place, session, how often.
    pub bans: Vec<(u32, SessionId, u32)>,
    /// Why it has no instance.
    pub idle: Option<Reason>,
    /// The last event about it.
    pub trail: Option<EventRow>,
    /// The mode of the users' own that it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mode: Option<String>,
    /// It is in maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceRow>,
    /// The place of the node on which room is kept for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<u32>,
}

/// Maintenance of a package, a node or the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRow {
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<MomentRow>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceRow {
    /// The place of its node.
    pub node: u32,
    /// The session under which it was started.
    pub session: SessionId,
    /// The epoch of its process.
    pub start: Epoch,
    /// The epoch of its present mode.
    pub epoch: Epoch,
    /// What it is to be.
    pub mode: Mode,
    /// What is known of it.
    pub phase: PhaseRow,
    /// Since when.
    pub since: MomentRow,
    /// The daemon waits this long before it starts it.
    pub delay: Millis,
    /// The definition that it was started with, where that is not the package's present one.
    pub spec: Option<PackageSpec>,
    /// That definition's revision.
    pub revision: Index,
    /// What it counts with on its node, by dimension.
    pub load: [u64; 4],
    /// What its daemon last said of it.
    pub detail: String,
    /// It is active in a free-run group, and its output is inhibited.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub inhibited: bool,
    /// How fit it said it is to be promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// It said that it is busy.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub busy: bool,
    /// The mode of the users' own in which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mode: Option<String>,
    /// Its turn in its together group has not come.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub held: bool,
    /// How far it is with a reload to the package's present definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadRow>,
}

/// How far an instance is with a reload, and for which revision of its package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum ReloadRow {
    /// Its node was told.
    Asked(Index),
    /// The command failed.
    Failed(Index),
}

/// What is known of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PhaseRow {
    /// It has not answered yet.
    Starting,
    /// It has answered that it is in its mode.
    Running,
    /// It runs in another mode and was told of its present one.
    Changing {
        /// The mode that it answered last.
        from: Mode,
    },
    /// It failed and is being killed.
    Failing {
        /// Why.
        cause: EndCause,
    },
    /// It has left the desired set.
    Stopping {
        /// Why.
        why: Reason,
    },
    /// Its node is lost and nothing proves that it has ended.
    Stranded,
}

/// A request that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRow {
    /// Its key.
    pub request: RequestId,
    /// The index at which it was applied.
    pub index: Index,
    /// When.
    pub at: Timestamp,
    /// The hash of its command.
    pub fingerprint: u64,
    /// What it gave.
    pub gave: Gave,
}

/// What an accepted command gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Gave {
    /// Nothing but that it is done.
    Done,
    /// A session.
    Registered {
        /// The node's id.
        node: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// A server's id.
    MemberAdded {
        /// Which.
        member: MemberId,
    },
}

/// Why a package has no instance, or why its instance is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Reason {
    /// Its wish is stop.
    Stopped,
    /// It was removed.
    Removed,
    /// As many of its group run as are wanted.
    Reserve {
        /// So many are wanted.
        wanted: u32,
    },
    /// Placing has not begun: too few nodes are up.
    WaitsForNodes,
    /// No node can take it.
    NoNode {
        /// What is in the way, and on how many nodes.
        nodes: Obstacles,
    },
    /// No node can take it, and on some it failed too often.
    Failed {
        /// What is in the way, and on how many nodes.
        nodes: Obstacles,
    },
    /// Its group failed over too often.
    Exhausted {
        /// How often.
        failovers: u32,
    },
    /// Its node is drained.
    Drained,
    /// An operator moved it.
    Moved {
        /// Where to.
        to: NodeName,
    },
    /// Another member is to be active.
    Promoted {
        /// Which.
        package: PackageName,
    },
    /// How it is run has changed.
    Redefined,
    /// Its definition does not allow its node any more.
    NotAllowed,
    /// Its load has grown beyond what its node has left.
    NoRoom,
    /// Its group wants fewer running.
    Surplus {
        /// So many are wanted.
        wanted: u32,
    },
    /// It is to run in another mode, which takes a start.
    ModeChange {
        /// Which.
        to: Mode,
    },
    /// Another member failed beyond its restarts, and its together group moves as one.
    GroupMoves {
        /// Which.
        package: PackageName,
    },
    /// Its together group is leaving a node, and is placed once nothing of it is left there.
    GroupLeaves {
        /// Which.
        node: NodeName,
    },
    /// A resource that it needs is down on its node.
    NeedLost {
        /// Which.
        need: String,
    },
    /// It, its group, its node or the cluster is in maintenance.
    Maintenance {
        /// It ended on this node while that was in maintenance.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
    },
    /// The whole cluster is stopped.
    ClusterStopped,
    /// Its node's measured load has reached the threshold.
    Shed {
        /// In which dimension.
        dimension: String,
        /// What was measured, less what was being stopped already.
        measured: u64,
        /// Of how much.
        capacity: u64,
    },
    /// It is to run in a mode of the users' own.
    OwnMode {
        /// Which.
        mode: String,
    },
    /// It makes room for a more important package.
    Preempted {
        /// Which.
        by: PackageName,
    },
    /// Its condition does not hold on its node any more.
    Unmet {
        /// The part that does not hold.
        condition: String,
    },
    /// A more important package excludes it from its node.
    Excluded {
        /// Which.
        by: PackageName,
    },
    /// Room is kept for it on a node, where others are being stopped.
    AwaitsRoom {
        /// Where.
        node: NodeName,
    },
}

/// What is in the way, and on how many nodes: each node counts once, for the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Obstacles {
    /// Lost or left.
    pub down: u32,
    /// Drained.
    pub drained: u32,
    /// Not in the package's list.
    pub not_listed: u32,
    /// Without room.
    pub full: u32,
    /// With another member of the group.
    pub peers: u32,
    /// Where it failed too often.
    pub banned: u32,
    /// Where the others of its together group are not.
    #[serde(default, skip_serializing_if = "is_none_of")]
    pub apart: u32,
    /// Where something that it needs is not up.
    #[serde(default, skip_serializing_if = "is_none_of")]
    pub unmet: u32,
    /// In maintenance.
    #[serde(default, skip_serializing_if = "is_none_of")]
    pub maintained: u32,
    /// Overloaded.
    #[serde(default, skip_serializing_if = "is_none_of")]
    pub overloaded: u32,
    /// Where a condition, its own or another's, does not allow it.
    #[serde(default, skip_serializing_if = "is_none_of")]
    pub conditions: u32,
    /// Where one of two needs the node for itself.
    #[serde(default, skip_serializing_if = "is_none_of")]
    pub exclusive: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none_of(count: &u32) -> bool {
    *count == 0
}
