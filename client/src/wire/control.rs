//! Bodies of controls: what a change needs beyond its path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration::DurationText;

/// `POST /v1/packages/P/move`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTo {
    /// The node.
    pub to: String,
}

/// `POST /v1/packages/P/mode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// One of the cluster's own modes.
    pub mode: String,
}

/// `POST /v1/nodes/N/confirm-down`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmDown {
    /// The node's name, typed once more.
    pub confirm: String,
    /// Who says so.
    pub by: String,
}

/// `POST /v1/cluster/move-leader`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveLeader {
    /// A member's name; none: any that is caught up.
    pub to: Option<String>,
}

/// `POST /v1/packages/P/maintenance`, `/v1/nodes/N/maintenance`, `/v1/cluster/maintenance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMaintenance {
    /// Whether it is in maintenance from now on: nothing of it is started, stopped or taken over.
    pub on: bool,
    /// It ends by itself after this; none: when somebody says so.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<DurationText>,
}

/// `POST /v1/cluster/rebalance`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rebalance {
    /// So many moves at most [default: 100].
    // Without `default`, which would take a list for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
}

/// Moves of one rebalance where nothing else was said.
pub const MOVES_DEFAULT: u32 = 100;

/// What is in maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Maintenance {
    /// When it ends by itself, RFC 3339; none: when somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}
