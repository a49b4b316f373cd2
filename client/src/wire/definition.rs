//! What is defined: the cluster file's content, and the bodies of `/v1/config` and `PUT /v1/packages/P`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::DurationText;

/// Everything that is defined. In a cluster file the lists are `[[group]]` and `[[package]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Settings of the whole cluster.
    pub cluster: ClusterDefinition,
    /// Modes of the users' own, beside those that every package has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<ModeDefinition>,
    /// Groups, in the order of definition.
    #[serde(default)]
    pub groups: Vec<GroupDefinition>,
    /// Packages, in the order of definition, which breaks ties of priority.
    #[serde(default)]
    pub packages: Vec<PackageDefinition>,
}

/// Settings of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterDefinition {
    /// For people.
    #[serde(default = "default_cluster_name")]
    pub name: String,
    /// A node that is cut off stops its active packages within this.
    #[serde(default = "default_lease")]
    pub lease: DurationText,
    /// At a start from nothing: wait for so many nodes before placing.
    #[serde(default = "one")]
    pub min_nodes: u32,
    /// But no longer than this.
    #[serde(default = "default_start_wait")]
    pub start_wait: DurationText,
    /// How each node's resources are dealt out to its packages by priority: `none`, `half` or `priority`.
    #[serde(default = "default_shares", skip_serializing_if = "is_default_shares")]
    pub shares: String,
    /// A node whose measured load reaches so many per cent of its capacity stops packages and takes none.
    #[serde(default = "default_overload")]
    pub overload: u32,
    /// It takes packages again once it is below so many per cent.
    #[serde(default = "default_resume")]
    pub resume: u32,
    /// Rules: which events have what done (`docs/policies/rules.md`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rules: String,
}

/// A mode of the users' own: an instance in it is never active, never promoted, and its output is inhibited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeDefinition {
    /// Its name.
    pub name: String,
    /// From which modes a package may come into it: `stopped`, `standby`, `active`, `test`, or another of these.
    pub from: Vec<String>,
    /// Into which it may go from it.
    pub to: Vec<String>,
}

/// A group's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupDefinition {
    /// Its name.
    pub name: String,
    /// `duplex`, `free-run`, `load-share` or `together`.
    pub kind: String,
    /// How many standbys are wanted.
    #[serde(default = "one")]
    pub standbys: u32,
    /// After so many failovers within the time the group stops failing over.
    #[serde(default = "default_failovers")]
    pub failovers: RestartDefinition,
}

/// A package's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageDefinition {
    /// Its name.
    pub name: String,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// More than 1: members NAME-1 … NAME-n.
    #[serde(default = "one")]
    pub copies: u32,
    /// 1 is highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// What it needs: `cpu` in millicores, `memory` in MiB, and up to two more.
    #[serde(default)]
    pub load: BTreeMap<String, u64>,
    /// Allowed nodes, most preferred first; empty: any.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// False: defined, not started.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// `lease`, `fenced` or `token`.
    #[serde(default = "default_safety")]
    pub safety: String,
    /// `stop`, `freeze` or `reset`.
    #[serde(default = "default_on_quorum_loss")]
    pub on_quorum_loss: String,
    /// How it is run.
    pub run: RunDefinition,
    /// Told that it becomes active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<CommandDefinition>,
    /// Told that it becomes standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demote: Option<CommandDefinition>,
    /// Tells what runs of a changed definition, in place of a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<CommandDefinition>,
    /// Asks whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeDefinition>,
    /// Restarts in place before another node is tried.
    #[serde(default = "default_restart")]
    pub restart: RestartDefinition,
    /// From start or change of mode to the answer.
    #[serde(default = "default_start_timeout")]
    pub start_timeout: DurationText,
    /// From the request to stop to the kill.
    #[serde(default = "default_stop_timeout")]
    pub stop_timeout: DurationText,
    /// Members of its together group that start before it and stop after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Resources of its node that must be up: `lan:eth1`, `disk:/data`, `service:db`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Where it may run, over what else runs on the node: `!batch & (db | cache)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// It needs a node for itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// It may be stopped to make room for a more important package.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub preemptible: bool,
}

/// How a package is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunDefinition {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// Further environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// A program to run once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandDefinition {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
}

/// How to ask a package whether it works: one of `exec`, `tcp`, `http`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeDefinition {
    /// A program that exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<String>>,
    /// An address that accepts a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// A URL (http only) that answers with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// How often.
    #[serde(default = "default_probe_interval")]
    pub interval: DurationText,
    /// How long an answer may take.
    #[serde(default = "default_probe_timeout")]
    pub timeout: DurationText,
    /// How many failures in a row are a failure of the package.
    #[serde(default = "default_probe_failures")]
    pub failures: u32,
}

/// So many attempts within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartDefinition {
    /// How many.
    pub attempts: u32,
    /// Within which time.
    pub within: DurationText,
}

/// The name of a cluster that was given none.
#[must_use]
pub fn default_cluster_name() -> String {
    "paceline".to_owned()
}
/// `T`: 1 s.
#[must_use]
pub fn default_lease() -> DurationText {
    DurationText::from_ms(1_000)
}
fn default_overload() -> u32 {
    statemachine::cluster::OVERLOAD_DEFAULT
}

fn default_resume() -> u32 {
    statemachine::cluster::RESUME_DEFAULT
}

/// Resources are not dealt out.
#[must_use]
pub fn default_shares() -> String {
    "none".to_owned()
}

fn is_default_shares(shares: &str) -> bool {
    shares == "none"
}

/// How long a start from nothing waits for `min_nodes`.
#[must_use]
pub fn default_start_wait() -> DurationText {
    DurationText::from_ms(60_000)
}
/// 3 restarts within 10 minutes.
#[must_use]
pub fn default_restart() -> RestartDefinition {
    RestartDefinition {
        attempts: 3,
        within: DurationText::from_ms(600_000),
    }
}
/// 5 failovers within 10 minutes.
#[must_use]
pub fn default_failovers() -> RestartDefinition {
    RestartDefinition {
        attempts: 5,
        within: DurationText::from_ms(600_000),
    }
}
/// 60 s.
#[must_use]
pub fn default_start_timeout() -> DurationText {
    DurationText::from_ms(60_000)
}
/// 10 s.
#[must_use]
pub fn default_stop_timeout() -> DurationText {
    DurationText::from_ms(10_000)
}
fn default_safety() -> String {
    "lease".to_owned()
}
fn default_on_quorum_loss() -> String {
    "stop".to_owned()
}
fn default_probe_interval() -> DurationText {
    DurationText::from_ms(1_000)
}
fn default_probe_timeout() -> DurationText {
    DurationText::from_ms(2_000)
}
fn default_probe_failures() -> u32 {
    2
}
fn one() -> u32 {
    1
}
fn yes() -> bool {
    true
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
