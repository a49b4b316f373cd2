//! The log of the cluster, as `/v1/events` tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A page of events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
    /// Ask for `after` this for the next page; none where this page reaches the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<u64>,
    /// Of the newest ones: ask for `before` this for older ones; none where none that is older passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_before: Option<u64>,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
    /// Stretches within this page whose events this server does not have yet: it was caught up by a snapshot and is asking
    /// the other servers for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingEvents>,
}

/// Commands whose events the answering server lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissingEvents {
    /// The first index.
    pub first: u64,
    /// The last index.
    pub last: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The index of the command that made it happen. Events of one index stand together and are never split by a page.
    pub index: u64,
    /// Its place among those of that index, from 0.
    pub sequence: u32,
    /// Wall time of the leader, RFC 3339 in UTC, milliseconds: for people.
    pub time: String,
    /// Cluster time in milliseconds: for durations.
    pub at_ms: u64,
    /// `package:orders-a`, `node:n1`, `group:orders`, `cluster`.
    pub resource: String,
    /// `node-lost`, `promoted`, `package-failed`, …
    pub kind: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// What caused it: `INDEX.SEQUENCE` of an earlier event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// A sentence that a tired person understands.
    pub text: String,
}
