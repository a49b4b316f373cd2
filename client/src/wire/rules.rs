//! Rules: which events have what done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rules in force, and the body that replaces them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// As they were written; empty where there are none.
    pub rules: String,
}
