//! Packages, groups, their instances, and why they are where they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::control::Maintenance;
use super::definition::PackageDefinition;

/// `GET /v1/packages`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Packages {
    /// In order of rank.
    pub packages: Vec<Package>,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What may be active, or released, only once: its group, or itself where each member of its group runs.
    #[serde(default)]
    pub unit: String,
    /// Its rank's given part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// `start`, `stop` or `test`.
    pub wish: String,
    /// `running`, `starting`, `stopping`, `stopped`, `waiting`, `failed`.
    pub state: String,
    /// One sentence: why it is in this state.
    pub reason: String,
    /// It is in maintenance by itself: it and its group are not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Where it is: at most one, but while it moves the old one is still listed.
    pub instances: Vec<Instance>,
    /// Its definition, only where one package was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<PackageDefinition>,
}

/// One package on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Where.
    pub node: String,
    /// What it is: `stopped`, `standby`, `active`, `test`.
    pub mode: String,
    /// What it is to be.
    pub wanted: String,
    /// `released` or `inhibited`.
    pub output: String,
    /// `starting`, `running`, `changing`, `stopping`, `failing`.
    pub state: String,
    /// The fencing token.
    pub epoch: u64,
    /// When it came into this mode, RFC 3339.
    pub since: String,
    /// For people: what the daemon last said of it.
    #[serde(default)]
    pub detail: String,
    /// How fit it says it is to be promoted; negative: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// Whether it says that it is busy.
    #[serde(default)]
    pub busy: bool,
}

/// `GET /v1/packages/P/explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The package.
    pub package: String,
    /// One sentence: where it is or why it is nowhere.
    pub summary: String,
    /// The events that led there, oldest first, as `INDEX.SEQUENCE text`.
    #[serde(default)]
    pub because: Vec<String>,
    /// Every node with the verdict on it.
    pub nodes: Vec<NodeVerdict>,
    /// What would change it.
    #[serde(default)]
    pub next: Vec<String>,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
}

/// What the plan thinks of a node for a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeVerdict {
    /// The node.
    pub node: String,
    /// `chosen`, `possible` or `rejected`.
    pub verdict: String,
    /// By which rule, with its numbers.
    pub reason: String,
}

/// `GET /v1/groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Groups {
    /// By name.
    pub groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `duplex`, `free-run` or `together`.
    pub kind: String,
    /// Standbys wanted.
    pub standbys: u32,
    /// Members in order of rank.
    pub members: Vec<String>,
    /// The active member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// `redundant`, `degraded`, `lost`.
    pub state: String,
}
