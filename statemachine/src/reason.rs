//! Why: what `explain`, `status` and the events say.
//!
//! [`Reason`] is kept in the state (why a package has no instance, why one is stopped), so its shape is frozen with the
//! snapshot's. [`Obstacle`] is worked out when somebody asks.

use alloc::string::String;
use core::fmt;

pub use crate::snapshot::v1::{Obstacles, Reason};

use crate::digest::{Feed, Hasher};
use crate::id::{NodeName, PackageName};
use crate::package::PackageState;

impl Reason {
    /// Its stable name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::ClusterStopped => "cluster-stopped",
            Self::Removed => "removed",
            Self::Reserve { .. } => "reserve",
            Self::WaitsForNodes => "waits-for-nodes",
            Self::NoNode { .. } => "no-node",
            Self::Failed { .. } => "failed",
            Self::Exhausted { .. } => "exhausted",
            Self::Drained => "drained",
            Self::Shed { .. } => "shed",
            Self::Moved { .. } => "moved",
            Self::Promoted { .. } => "promoted",
            Self::Redefined => "redefined",
            Self::NotAllowed => "not-allowed",
            Self::NoRoom => "no-room",
            Self::Surplus { .. } => "surplus",
            Self::ModeChange { .. } => "mode-change",
            Self::OwnMode { .. } => "own-mode",
            Self::Preempted { .. } => "preempted",
            Self::Unmet { .. } => "unmet",
            Self::Excluded { .. } => "excluded",
            Self::NeedLost { .. } => "need-lost",
            Self::GroupMoves { .. } => "group-moves",
            Self::GroupLeaves { .. } => "group-leaves",
            Self::AwaitsRoom { .. } => "awaits-room",
            Self::Maintenance { .. } => "maintenance",
        }
    }

    /// What a package without an instance does, for this reason.
    #[must_use]
    pub fn idle_state(&self) -> PackageState {
        match self {
            Self::WaitsForNodes
            | Self::NoNode { .. }
            | Self::Exhausted { .. }
            | Self::AwaitsRoom { .. }
            | Self::GroupLeaves { .. }
            | Self::Maintenance { .. } => PackageState::Waiting,
            Self::Failed { .. } => PackageState::Failed,
            Self::Stopped
            | Self::ClusterStopped
            | Self::Removed
            | Self::Reserve { .. }
            | Self::Drained
            | Self::Shed { .. }
            | Self::Moved { .. }
            | Self::Promoted { .. }
            | Self::Redefined
            | Self::NotAllowed
            | Self::NoRoom
            | Self::Surplus { .. }
            | Self::ModeChange { .. }
            | Self::OwnMode { .. }
            | Self::Preempted { .. }
            | Self::Unmet { .. }
            | Self::Excluded { .. }
            | Self::NeedLost { .. }
            | Self::GroupMoves { .. } => PackageState::Stopped,
        }
    }

    /// Whether a node that gains room, returns or is resumed may end it.
    #[must_use]
    pub(crate) fn waits_for_node(&self) -> bool {
        match self {
            Self::WaitsForNodes | Self::NoNode { .. } | Self::Failed { .. } | Self::AwaitsRoom { .. } => true,
            Self::Exhausted { .. }
            | Self::Stopped
            | Self::ClusterStopped
            | Self::Removed
            | Self::Reserve { .. }
            | Self::Drained
            | Self::Shed { .. }
            | Self::Moved { .. }
            | Self::Promoted { .. }
            | Self::Redefined
            | Self::NotAllowed
            | Self::NoRoom
            | Self::Surplus { .. }
            | Self::ModeChange { .. }
            | Self::OwnMode { .. }
            | Self::Preempted { .. }
            | Self::Unmet { .. }
            | Self::Excluded { .. }
            | Self::GroupMoves { .. }
            | Self::NeedLost { .. }
            | Self::Maintenance { .. }
            | Self::GroupLeaves { .. } => false,
        }
    }

    /// Whether what is stopped for it is started again where it was.
    #[must_use]
    pub(crate) fn returns(&self) -> bool {
        match self {
            Self::Redefined | Self::Promoted { .. } | Self::ModeChange { .. } | Self::OwnMode { .. } => true,
            Self::Stopped
            | Self::ClusterStopped
            | Self::Removed
            | Self::Reserve { .. }
            | Self::WaitsForNodes
            | Self::NoNode { .. }
            | Self::Failed { .. }
            | Self::Exhausted { .. }
            | Self::Drained
            | Self::Shed { .. }
            | Self::Moved { .. }
            | Self::NotAllowed
            | Self::NoRoom
            | Self::Surplus { .. }
            | Self::Preempted { .. }
            | Self::Unmet { .. }
            | Self::Excluded { .. }
            | Self::AwaitsRoom { .. }
            | Self::GroupMoves { .. }
            | Self::NeedLost { .. }
            | Self::GroupLeaves { .. }
            | Self::Maintenance { .. } => false,
        }
    }

    /// Whether a stop for this reason is a failure, so that what takes over is a failover.
    #[must_use]
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::NeedLost { .. })
    }

    /// Whether it is of the same kind, whatever its numbers: no second event says so.
    #[must_use]
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        core::mem::discriminant(self) == core::mem::discriminant(other)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("its wish is stop"),
            Self::ClusterStopped => f.write_str("the cluster is stopped; `cluster start` starts what is to run"),
            Self::Removed => f.write_str("it was removed"),
            Self::Reserve { wanted } => write!(f, "it is in reserve: {wanted} of its group run, as many as are wanted"),
            Self::WaitsForNodes => {
                f.write_str("placing has not begun: fewer nodes are up than min_nodes (start_wait ends the wait)")
            }
            Self::NoNode { nodes } => write!(f, "no node can take it: {nodes}"),
            Self::Failed { nodes } => {
                write!(f, "it failed too often on {} of the nodes", nodes.banned)?;
                let others = Obstacles { banned: 0, ..*nodes };
                if others != Obstacles::default() {
                    write!(f, " and no other can take it ({others})")?;
                }
                f.write_str("; `clear` or `start` it once the cause is mended")
            }
            Self::Exhausted { failovers } => write!(
                f,
                "its group has failed over {failovers} times, which is its limit; `clear` or `promote` a member"
            ),
            Self::Drained => f.write_str("its node is drained"),
            Self::Shed {
                dimension,
                measured,
                capacity,
            } => write!(
                f,
                "its node is overloaded: {dimension} is measured at {measured} of {capacity}"
            ),
            Self::Moved { to } => write!(f, "it is moved to {to}"),
            Self::Promoted { package } => write!(f, "{package} is to be active instead"),
            Self::Redefined => f.write_str("how it is run has changed"),
            Self::NotAllowed => f.write_str("its definition does not allow this node any more"),
            Self::NoRoom => f.write_str("its load has grown beyond what its node has left"),
            Self::Surplus { wanted } => write!(f, "its group wants only {wanted} running"),
            Self::GroupMoves { package } => {
                write!(f, "{package} failed too often here, and its group moves as one")
            }
            Self::NeedLost { need } => write!(f, "it needs {need}, which is down there"),
            Self::GroupLeaves { node } => {
                write!(
                    f,
                    "its group is leaving {node} and is placed once nothing of it is left there"
                )
            }
            Self::Maintenance { node: None } => {
                f.write_str("maintenance: nothing of it is started, stopped or taken over before `maintenance off`")
            }
            Self::Maintenance { node: Some(node) } => write!(
                f,
                "it ended on {node}, which is in maintenance: nothing is started for it before `maintenance off --node {node}`"
            ),
            Self::OwnMode { mode } => write!(f, "it is to run {mode}"),
            Self::ModeChange { to } => write!(f, "it is to run {}", crate::event::mode_word(*to)),
            Self::Preempted { by } => write!(f, "it makes room for {by}, which is more important"),
            Self::Unmet { condition } => write!(f, "its condition does not hold any more: {condition}"),
            Self::Excluded { by } => write!(f, "{by}, which is more important, excludes it from its node"),
            Self::AwaitsRoom { node } => write!(f, "it starts on {node} once what is being stopped there has ended"),
        }
    }
}

impl Feed for Reason {
    fn feed(&self, hasher: &mut Hasher) {
        hasher.word(crate::digest::fingerprint(self));
    }
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            down,
            drained,
            not_listed,
            full,
            peers,
            banned,
            apart,
            unmet,
            maintained,
            overloaded,
            conditions,
            exclusive,
        } = *self;
        let parts = [
            (down, "not up"),
            (drained, "drained"),
            (not_listed, "not in its list of nodes"),
            (full, "without room"),
            (peers, "with another member of its group"),
            (banned, "where it failed too often"),
            (apart, "where the others of its group are not"),
            (unmet, "without what it needs"),
            (maintained, "in maintenance"),
            (overloaded, "overloaded"),
            (conditions, "where a condition does not allow it"),
            (exclusive, "that one of two needs for itself"),
        ];
        let mut first = true;
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{}{count} {what}", if first { "" } else { ", " })?;
            first = false;
        }
        if first { f.write_str("there is no node") } else { Ok(()) }
    }
}

/// Why a node can't take a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The node is lost or has left.
    Down,
    /// The node is drained.
    Drained,
    /// It is in maintenance.
    Maintained,
    /// Its measured load has reached the threshold.
    Overloaded,
    /// The package's list of nodes does not name it.
    NotListed,
    /// The sum of the loads would not stay below its capacity.
    NoRoom {
        /// In which dimension.
        dimension: String,
        /// What the package needs.
        needed: u64,
        /// What the node has left.
        free: u64,
    },
    /// Another member of the group is there.
    Peer {
        /// Which.
        package: PackageName,
    },
    /// The package failed there too often.
    Banned {
        /// How often.
        failures: u32,
    },
    /// Something that it needs is not known to be up.
    Unmet {
        /// What.
        need: String,
        /// What its daemon says of it, where it has said anything.
        detail: Option<String>,
    },
    /// The others of its together group are elsewhere.
    Apart {
        /// Where.
        node: NodeName,
    },
    /// Its own condition does not hold there.
    Condition {
        /// The part that does not hold.
        condition: String,
    },
    /// The condition of a package there would not hold any more.
    Against {
        /// Which package.
        package: PackageName,
        /// Its condition.
        condition: String,
    },
    /// It needs the node for itself, and this one is there.
    NotEmpty {
        /// Which package.
        package: PackageName,
    },
    /// This one is there and needs the node for itself.
    Exclusive {
        /// Which package.
        package: PackageName,
    },
}

impl Obstacles {
    /// Counts a node for what is in the way there.
    pub(crate) fn count(&mut self, obstacle: &Obstacle) {
        let count = match obstacle {
            Obstacle::Down => &mut self.down,
            Obstacle::Drained => &mut self.drained,
            Obstacle::NotListed => &mut self.not_listed,
            Obstacle::NoRoom { .. } => &mut self.full,
            Obstacle::Peer { .. } => &mut self.peers,
            Obstacle::Banned { .. } => &mut self.banned,
            Obstacle::Apart { .. } => &mut self.apart,
            Obstacle::Unmet { .. } => &mut self.unmet,
            Obstacle::Maintained => &mut self.maintained,
            Obstacle::Overloaded => &mut self.overloaded,
            Obstacle::Condition { .. } | Obstacle::Against { .. } => &mut self.conditions,
            Obstacle::NotEmpty { .. } | Obstacle::Exclusive { .. } => &mut self.exclusive,
        };
        *count = count.saturating_add(1);
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("the node is not up"),
            Self::Drained => f.write_str("the node is drained; `resume` it to use it again"),
            Self::Overloaded => {
                f.write_str("the node is overloaded: it takes packages again once its load is below `resume`")
            }
            Self::Maintained => f.write_str("the node is in maintenance; `maintenance off --node` ends it"),
            Self::NotListed => f.write_str("the package's list of nodes does not name it"),
            Self::NoRoom {
                dimension,
                needed,
                free,
            } => {
                write!(
                    f,
                    "it needs {needed} {dimension} and the node has {free} left (the sum must stay below its capacity)"
                )
            }
            Self::Peer { package } => write!(f, "{package} of the same group is there"),
            Self::Banned { failures } => {
                write!(f, "it failed there {failures} times; `clear` it to try again")
            }
            Self::Unmet {
                need,
                detail: Some(detail),
            } => write!(f, "it needs {need}, which is down there: {detail}"),
            Self::Unmet { need, detail: None } => {
                write!(
                    f,
                    "it needs {need}, of which the node's daemon has not said anything yet"
                )
            }
            Self::Apart { node } => write!(f, "its group is together, and something of it is on {node}"),
            Self::Condition { condition } => write!(f, "its condition does not hold there: {condition}"),
            Self::Against { package, condition } => {
                write!(
                    f,
                    "{package} is there on the condition {condition}, which would not hold any more"
                )
            }
            Self::NotEmpty { package } => write!(f, "it needs the node for itself, and {package} is there"),
            Self::Exclusive { package } => write!(f, "{package} is there and needs the node for itself"),
        }
    }
}
