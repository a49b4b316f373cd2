//! Everything that is watched or controlled, by one kind of name (M1).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /v1/resources`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// By kind, then by name.
    pub resources: Vec<Resource>,
    /// True where a server answered from its own copy without a quorum.
    #[serde(default)]
    pub stale: bool,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// `package:orders-a`, `node:n1`, `group:orders`, `lan:n1/eth1`, `disk:n1/data`, `service:n1/store`, `manager:manager`.
    pub id: String,
    /// The word before the colon.
    pub kind: String,
    /// Where it is, where it is in one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// `up` or `down`; of a group how it is.
    pub state: String,
    /// What else is known of it, by kind.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}
