//! Nodes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::Maintenance;

/// `GET /v1/nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nodes {
    /// By name.
    pub nodes: Vec<Node>,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
}

/// One computer of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its id, never reused.
    pub id: u64,
    /// `up`, `lost`, `left`.
    pub state: String,
    /// Whether packages are moved away from it.
    pub drain: bool,
    /// It is in maintenance: what runs there is not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Its session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// When it came into this state, RFC 3339.
    pub since: String,
    /// Its measured load has reached the threshold: packages are stopped, and none come.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overload: bool,
    /// What it has.
    pub capacity: BTreeMap<String, u64>,
    /// What the plan has put on it.
    pub planned: BTreeMap<String, u64>,
    /// By package: its share of each resource; empty where shares are off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, BTreeMap<String, u64>>,
    /// For placement.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Small replicated values.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Where its API is.
    #[serde(default)]
    pub api: String,
    /// Version of its desired set.
    pub generation: u64,
    /// How its packages' processes are held together: `namespace`, `user_namespace`, or `group`, where a process that
    /// leaves its group is killed by the daemon and not by the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<String>,
}

/// `GET /v1/nodes/N/attributes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attributes {
    /// By key.
    pub attributes: BTreeMap<String, String>,
}
