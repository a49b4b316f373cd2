//! The cluster at a glance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::Maintenance;
use super::node::Node;
use super::package::Package;

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The cluster's name.
    pub cluster: String,
    /// Random, tells two clusters apart.
    pub cluster_id: String,
    /// The node that answers.
    pub node: String,
    /// The leader's node name.
    #[serde(default)]
    pub leader: Option<String>,
    /// Raft's number of the leader.
    pub term: u64,
    /// Whether a quorum confirmed this answer.
    pub quorate: bool,
    /// True where this is the node's own copy without a quorum.
    pub stale: bool,
    /// Index of the last command applied here.
    pub index: u64,
    /// Raft's own last committed and applied log index here.
    pub raft_committed: u64,
    /// See `raft_committed`.
    pub raft_applied: u64,
    /// Stable hash of the state at `index`, to compare servers.
    pub digest: String,
    /// `T` in milliseconds.
    pub lease_ms: u64,
    /// The whole cluster is in maintenance: nothing is started, stopped or taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// The whole cluster was stopped: nothing is started before `POST /v1/cluster/start`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Servers.
    pub members: Vec<Member>,
    /// Nodes at a glance.
    pub nodes: Vec<Node>,
    /// Packages at a glance.
    pub packages: Vec<Package>,
    /// What somebody should know: `plaintext beyond loopback`, `supervisors without a pid namespace on n2`, …
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A server in the Raft group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Never reused.
    pub id: u64,
    /// Its node's name.
    pub name: String,
    /// Where its peers reach it.
    pub peer: Vec<String>,
    /// Where its API is.
    pub api: String,
    /// `voter` or `learner`.
    pub role: String,
    /// It only votes and stores: it runs no package, and gives the lead away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub witness: bool,
    /// Entries behind the leader, where the leader answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
}

/// `GET /v1/members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Members {
    /// By id.
    pub members: Vec<Member>,
}
