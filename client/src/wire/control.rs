//! Bodies of controls: what a change needs beyond its path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/packages/P/move`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTo {
    /// The node.
    pub to: String,
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
