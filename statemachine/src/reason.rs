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
    /// What a package without an instance does, for this reason.
    #[must_use]
    pub fn idle_state(&self) -> PackageState {
        match self {
            Self::WaitsForNodes | Self::NoNode { .. } | Self::Exhausted { .. } | Self::GroupLeaves { .. } => {
                PackageState::Waiting
            }
            Self::Failed { .. } => PackageState::Failed,
            Self::Stopped
            | Self::Removed
            | Self::Reserve { .. }
            | Self::Drained
            | Self::Moved { .. }
            | Self::Promoted { .. }
            | Self::Redefined
            | Self::NotAllowed
            | Self::NoRoom
            | Self::Surplus { .. }
            | Self::ModeChange { .. }
            | Self::NeedLost { .. }
            | Self::GroupMoves { .. } => PackageState::Stopped,
        }
    }

    /// Whether a node that gains room, returns or is resumed may end it.
    #[must_use]
    pub(crate) fn waits_for_node(&self) -> bool {
        match self {
            Self::WaitsForNodes | Self::NoNode { .. } | Self::Failed { .. } => true,
            Self::Exhausted { .. }
            | Self::Stopped
            | Self::Removed
            | Self::Reserve { .. }
            | Self::Drained
            | Self::Moved { .. }
            | Self::Promoted { .. }
            | Self::Redefined
            | Self::NotAllowed
            | Self::NoRoom
            | Self::Surplus { .. }
            | Self::ModeChange { .. }
            | Self::GroupMoves { .. }
            | Self::NeedLost { .. }
            | Self::GroupLeaves { .. } => false,
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
            Self::ModeChange { to } => write!(f, "it is to run {}", crate::event::mode_word(*to)),
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
        };
        *count = count.saturating_add(1);
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("the node is not up"),
            Self::Drained => f.write_str("the node is drained; `resume` it to use it again"),
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
        }
    }
}
