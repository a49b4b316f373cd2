//! What daemons and servers say to each other, on the peer address under `/daemon/v1`. JSON.
//!
//! | request | does |
//! | --- | --- |
//! | `POST register` | [`Register`] -> [`Registered`]: a new session |
//! | `POST renew` | [`Renew`] -> [`Renewed`]: time, and the right to activate; confirmed by a quorum round begun after it arrived |
//! | `POST report` | [`Report`] -> [`Reported`]: observations, once each |
//! | `GET wait?node=ID&generation=G&wait_ms=N` | -> [`Waited`] as soon as the node's desired set is newer than G: only a hint to renew at once |
//! | `POST extend` | [`Extend`] -> [`Reported`]: a planned restart |
//! | `POST leave` | [`Leave`] -> [`Reported`]: an orderly end |
//!
//! Refusals are [`Problem`](super::error::Problem)s: code `session_ended` (409) means that this session is over, so
//! everything it ran must be killed and proven gone before the daemon registers anew naming it; `not_ready` and
//! `no_quorum` (503) mean: try the next server; `machine_conflict` (409): another machine has this name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::definition::{ProbeDefinition, RunDefinition};

/// See [`statemachine::command::RegisterNode`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The node's name.
    pub name: String,
    /// Digest of the machine's key and id.
    pub machine: String,
    /// The kernel's boot id.
    pub boot: String,
    /// Random per registration.
    pub nonce: String,
    /// Sessions of this node that are proven to be over.
    pub ended: Vec<u64>,
    /// What the node has.
    pub capacity: BTreeMap<String, u64>,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Where its API is.
    pub api: String,
    /// `namespace`, `user_namespace` or `group`: how its packages' processes are held together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<String>,
    /// After it was declared down: how long it had no answer to a renewal when it was told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off_ms: Option<u64>,
}

/// A new session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Which cluster.
    pub cluster_id: String,
    /// The node's id, for ever.
    pub node: u64,
    /// The session.
    pub session: u64,
    /// Peer addresses of all servers.
    pub servers: Vec<String>,
}

/// Asks for another lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The cluster the session belongs to.
    pub cluster_id: String,
    /// The node's id.
    pub node: u64,
    /// Its session.
    pub session: u64,
    /// Random per renewal: only the answer with this nonce counts.
    pub nonce: u64,
    /// The generation of the desired set that the daemon holds; 0: none.
    pub generation: u64,
    /// For how long this daemon process has asked and heard no answer, in milliseconds.
    #[serde(default)]
    pub unanswered_ms: u64,
}

/// The lease, counted from just before the renewal was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// That of the renewal.
    pub nonce: u64,
    /// `T` in milliseconds.
    pub lease_ms: u64,
    /// `G` in milliseconds: a soft stop begins this long before the deadline.
    pub soft_ms: u64,
    /// `R` in milliseconds.
    pub renew_ms: u64,
    /// `Q` in milliseconds.
    pub retry_ms: u64,
    /// The generation of the desired set.
    pub generation: u64,
    /// The desired set, where it is newer than the daemon's.
    pub desired: Option<Vec<DesiredInstance>>,
    /// With it: the instances whose end the manager waits for. What the daemon knows nothing of has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopping: Vec<StoppingInstance>,
    /// Peer addresses of all servers.
    pub servers: Vec<String>,
    /// With the desired set: the resources that packages of the cluster need. The daemon reports how they are on its node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<String>,
    /// With the desired set: when the node is overloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
}

/// `GET apis`: where the servers have their public API, for a node that passes requests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apis {
    /// Addresses of all servers.
    pub apis: Vec<String>,
}

/// Per cent of a node's capacity, in any dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// At this it is overloaded.
    pub overload: u32,
    /// Below this it is so no more.
    pub resume: u32,
}

/// An instance that a node is to stop, and whose end is not reported yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppingInstance {
    /// Which package.
    pub package: String,
    /// The epoch under which its process was or would have been started.
    pub start: u64,
}

/// One instance that a node is to run. What is absent is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredInstance {
    /// Which package.
    pub package: String,
    /// The epoch under which its process is started: another one than the running process has means stop and start.
    pub start: u64,
    /// The epoch of its present mode: equal to `start`, or larger after a change of mode in place.
    pub epoch: u64,
    /// `standby`, `active` or `test`.
    pub mode: String,
    /// The mode of the users' own of which the package is told instead of `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_mode: Option<String>,
    /// `released` or `inhibited`.
    pub output: String,
    /// Wait this long before starting it (back-off after failures).
    pub delay_ms: u64,
    /// Whether the lease's deadline is armed (false only for `on_quorum_loss = freeze`).
    pub deadline: bool,
    /// Whether the node is reset once this was stopped because the lease ended (`on_quorum_loss = reset`).
    #[serde(default)]
    pub reset: bool,
    /// It is in maintenance: what is seen of it is no reason to end it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintained: bool,
    /// Its share of each resource of the node; empty where shares are off.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shares: BTreeMap<String, u64>,
    /// How it is run.
    pub run: RunDefinition,
    /// Told that it becomes active.
    #[serde(default)]
    pub promote: Option<Vec<String>>,
    /// Told that it becomes standby.
    #[serde(default)]
    pub demote: Option<Vec<String>>,
    /// Asks whether it works.
    #[serde(default)]
    pub probe: Option<ProbeDefinition>,
    /// From start or change of mode to the answer.
    pub start_timeout_ms: u64,
    /// From the request to stop to the kill.
    pub stop_timeout_ms: u64,
    /// It is to be told of a changed definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<DesiredReload>,
}

/// A changed definition that a running instance is to be told of by a command beside it. The instance goes on as it is
/// until the daemon has reported how the command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredReload {
    /// Names the change: the report says it again. Another number means another change.
    pub revision: u64,
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// The environment of the changed definition: the command and what is run beside the package later finds it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long it may take; then it is killed and has failed.
    pub timeout_ms: u64,
    /// From the request to stop to the kill, from then on.
    pub stop_timeout_ms: u64,
}

/// What a daemon saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The node's id.
    pub node: u64,
    /// Its session.
    pub session: u64,
    /// Grows by one with each report of the session; sent again with the same number until answered.
    pub sequence: u64,
    /// In order.
    pub observations: Vec<InstanceObservation>,
    /// What packages say of themselves, where that has changed; each package's newest words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<InstanceSaid>,
    /// Reload commands that have ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reloads: Vec<InstanceReload>,
    /// Links, disks and services of the node that came up or went down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceObservation>,
    /// The node's measured load, where it has crossed a threshold, or stays above the upper one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<BTreeMap<String, u64>>,
}

/// A resource of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceObservation {
    /// `lan:INTERFACE`, `disk:/MOUNT/POINT` or `service:NAME`.
    pub resource: String,
    /// Whether it can be used.
    pub up: bool,
    /// For people, at most 500 bytes.
    #[serde(default)]
    pub detail: String,
}

/// What an instance says of itself on its control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSaid {
    /// Which package.
    pub package: String,
    /// The epoch of its process.
    pub start: u64,
    /// How fit it is to be promoted; negative: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// Whether it is busy.
    #[serde(default)]
    pub busy: bool,
}

/// A reload command has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceReload {
    /// Which package.
    pub package: String,
    /// The epoch of its process.
    pub start: u64,
    /// Of which change it was told.
    pub revision: u64,
    /// What went wrong, for people, at most 500 bytes; none: it has taken the change over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An instance changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceObservation {
    /// Which package.
    pub package: String,
    /// The epoch of its process.
    pub start: u64,
    /// The epoch that it was last told.
    pub epoch: u64,
    /// `running`, `failing` or `ended`.
    pub state: String,
    /// With `running`: the mode that it has answered to be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// With the others: `requested`, `exited`, `signalled`, `not_started`, `not_ready`, `probe_failed`, `lease_ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The exit code or the signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// For people, at most 500 bytes.
    #[serde(default)]
    pub detail: String,
}

/// Recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The index of the command.
    pub index: u64,
    /// The generation of the desired set afterwards: renew at once where it is newer.
    pub generation: u64,
}

/// The desired set may be newer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// As far as the answering server has applied.
    pub generation: u64,
}

/// A planned restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extend {
    /// The node's id.
    pub node: u64,
    /// Its session.
    pub session: u64,
    /// At most 60 s.
    pub lease_ms: u64,
}

/// An orderly end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The node's id.
    pub node: u64,
    /// Its session.
    pub session: u64,
}
