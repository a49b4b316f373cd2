//! Takeovers, as `/v1/failovers` tells them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::MissingEvents;

/// A page of takeovers, in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failovers {
    /// They.
    pub failovers: Vec<Failover>,
    /// Ask for `after` this for the next page; none where this page reaches the present. A page may be empty and name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// Of the newest ones: ask for `before` this for older ones; none where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
    /// Stretches of the log within this page that the answering server does not have yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingEvents>,
}

/// One takeover: what was active at one place is to be active at another, from its cause to its end. A restart in place is
/// none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failover {
    /// Its name: the place in the log, `INDEX.SEQUENCE`, of the event with which the unit lost the one that was active.
    pub id: String,
    /// The index of that event.
    pub index: u64,
    /// What may be active only once: `group:orders` or `package:backup`.
    pub unit: String,
    /// The group that the package is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `program`, `node-lost`, `node-restarted`, `need-lost`, `lease-ended`; of planned ones `node-left`, `drained`, `moved`,
    /// `promoted`, `demoted`, `stopped`, `redefined`, `displaced`, `placement`.
    pub cause: String,
    /// Somebody, or the plan, wanted it: nothing had failed.
    pub planned: bool,
    /// The event that says so, in words.
    pub because: String,
    /// `done`, `under-way` or `failed`.
    pub outcome: String,
    /// Why it failed, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who was active.
    pub from: FailoverPlace,
    /// Who is active after it, or is told to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<FailoverPlace>,
    /// Wall time of its first stage, RFC 3339 in UTC: for people.
    pub began: String,
    /// From the first stage to the last one, in milliseconds; none before it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// What happened when, in order.
    pub stages: Vec<FailoverStage>,
    /// What was stopped to make room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displaced: Vec<Displaced>,
}

/// An instance that was active, or is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailoverPlace {
    /// The package.
    pub package: String,
    /// The node.
    pub node: String,
    /// The epoch.
    pub epoch: u64,
}

/// One stage of a takeover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailoverStage {
    /// `detected` (known where it happened, or asked for), `decided` (the log entry), `stranded` (it may still run on a lost
    /// node), `ended` (proven gone, fenced, or its lease is over), `told` (another one is to be active), `active` (it is).
    pub stage: String,
    /// Milliseconds of cluster time since the first stage.
    pub ms: u64,
    /// Wall time of the leader, RFC 3339 in UTC: for people.
    pub time: String,
    /// The event that tells of it: `INDEX.SEQUENCE`.
    pub event: String,
    /// What happened, in words.
    pub text: String,
}

/// Something that was stopped to make room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Displaced {
    /// The package.
    pub package: String,
    /// Where it ran.
    pub node: String,
}
