//! Version 1 of what a snapshot holds. Once released these shapes do not change: a new shape is a new file.

use serde::{Deserialize, Serialize};

use crate::id::{NodeName, PackageName};
use crate::log::v1::Mode;

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
    /// Placing has not begun.
    WaitsForNodes {
        /// So many nodes are up.
        up: u32,
        /// So many are wanted.
        wanted: u32,
    },
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
}
