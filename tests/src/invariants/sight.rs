//! What was seen of a cluster from outside while it ran.

use std::path::PathBuf;

use client::wire::node::Node;
use client::wire::package::Package;
use client::wire::status::Status;

/// What one server said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Which server.
    pub node: String,
    /// Which process of it: 0 where that is not known.
    pub process: i32,
    /// When it was asked, CLOCK_MONOTONIC.
    pub asked_ns: u64,
    /// When it had answered.
    pub at_ns: u64,
    /// Its term.
    pub term: u64,
    /// Who leads, as it knows.
    pub leader: Option<String>,
    /// The index of commands that it had applied.
    pub index: u64,
    /// The digest of its state there.
    pub digest: String,
    /// The log index that it knew to be committed.
    pub committed: u64,
    /// The log index that it had applied.
    pub applied: u64,
}

impl Sight {
    /// From an answer to `GET /v1/status?consistency=local`.
    #[must_use]
    pub fn of(node: &str, process: i32, asked_ns: u64, at_ns: u64, status: &Status) -> Self {
        Self {
            node: node.to_owned(),
            process,
            asked_ns,
            at_ns,
            term: status.term,
            leader: status.leader.clone(),
            index: status.index,
            digest: status.digest.clone(),
            committed: status.raft_committed,
            applied: status.raft_applied,
        }
    }
}

/// Nodes and packages of one committed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSight {
    /// Which server showed it.
    pub node: String,
    /// The index that it had applied.
    pub index: u64,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The packages with their instances.
    pub packages: Vec<Package>,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `paceline serve`.
    Parent,
    /// The server.
    Server,
    /// The daemon.
    Daemon,
    /// A supervisor.
    Supervisor,
    /// The first process of a package's namespace.
    Init,
    /// Of a package.
    Package,
}

/// A process that was alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSight {
    /// When it was seen, CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// Its id.
    pub pid: i32,
    /// When it began, in clock ticks: with the id it names one process.
    pub began: u64,
    /// Its parent.
    pub parent: i32,
    /// What it is.
    pub role: Role,
    /// The node's data directory.
    pub root: PathBuf,
    /// The node's name, of a package's process.
    pub node: String,
    /// The package, of a package's process.
    pub package: String,
    /// The epoch under which a package's process was started.
    pub epoch: u64,
    /// Open descriptors, of a server or daemon.
    pub descriptors: usize,
    /// Resident memory in KiB, of a server or daemon.
    pub resident_kib: u64,
}

/// A time in which a node could not reach a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which node.
    pub node: String,
    /// From here on no renewal of it could be answered, CLOCK_MONOTONIC.
    pub from_ns: u64,
    /// Until here.
    pub until_ns: u64,
}

/// A time in which nothing was broken and a majority was healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// CLOCK_MONOTONIC.
    pub from_ns: u64,
    /// CLOCK_MONOTONIC.
    pub until_ns: u64,
}

/// A server or daemon that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which node.
    pub node: String,
    /// `server` or `daemon`.
    pub role: String,
    /// What its `FATAL` file or its log says about it; none: nothing was found.
    pub reason: Option<String>,
}
