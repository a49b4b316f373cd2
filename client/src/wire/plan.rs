//! What-if: a change planned without being done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /v1/plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanRequest {
    /// A cluster file's text.
    Apply {
        /// The file.
        file: String,
    },
    /// A node fails.
    Fail {
        /// Which.
        node: String,
    },
    /// A node is drained.
    Drain {
        /// Which.
        node: String,
    },
    /// A node is used again.
    Resume {
        /// Which.
        node: String,
    },
    /// A package is started.
    Start {
        /// Which.
        package: String,
    },
    /// A package is stopped.
    Stop {
        /// Which.
        package: String,
    },
    /// A package is run in test.
    Test {
        /// Which.
        package: String,
    },
    /// A standby is promoted.
    Promote {
        /// Which.
        package: String,
    },
    /// A package is moved.
    Move {
        /// Which.
        package: String,
        /// Where to.
        to: String,
    },
    /// An active package becomes a standby.
    Demote {
        /// Which.
        package: String,
    },
    /// A package is run in a mode of the users' own.
    Mode {
        /// Which.
        package: String,
        /// In which mode.
        mode: String,
    },
    /// A package's failures are forgotten.
    Clear {
        /// Which.
        package: String,
    },
    /// The maintenance of a node, a package, or with neither of the cluster ends.
    MaintenanceOff {
        /// Which node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// Which package.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<String>,
    },
    /// Packages move to where they would rather be.
    Rebalance {
        /// So many moves at most [default: 100].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<u32>,
    },
    /// The whole cluster stops.
    StopCluster {},
    /// The whole cluster starts.
    StartCluster {},
    /// All of these, one after another.
    Several {
        /// At most 100.
        changes: Vec<PlanRequest>,
    },
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The index that it was computed at: send it as `If-Match` to have the change refused where the state has moved.
    pub index: u64,
    /// What becomes defined otherwise, in words: `define package web`, `remove group g`.
    #[serde(default)]
    pub changes: Vec<String>,
    /// What happens to instances, in order.
    pub steps: Vec<Step>,
    /// Packages that would run nowhere afterwards although they should, with why.
    #[serde(default)]
    pub unplaced: Vec<Unplaced>,
    /// Whether any step stops something that runs.
    pub disruptive: bool,
}

/// One thing that would happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// `start`, `stop`, `promote`, `demote`, `restart`, `move`, `reload`, `release`.
    pub action: String,
    /// Which package.
    pub package: String,
    /// Where.
    pub node: String,
    /// Where from, for a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// In which mode it is afterwards.
    pub mode: String,
    /// Why.
    pub reason: String,
}

/// A package that would run nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unplaced {
    /// Which.
    pub package: String,
    /// Why.
    pub reason: String,
}

/// The result of a change that was done: answered once the daemons have done it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// The index of the command.
    pub index: u64,
    /// `done`: it is so; `pending`: `wait=0` was asked for; `timeout`: accepted, but not yet so within the wait.
    pub outcome: String,
    /// In words.
    pub detail: String,
    /// What happened to instances meanwhile, where that is known.
    #[serde(default)]
    pub steps: Vec<Step>,
}

#[cfg(test)]
mod tests {
    use super::PlanRequest;
    use crate::wire::control::{Rebalance, SetMaintenance};

    /// Found by schemathesis: what a request does not know it refuses, in whatever shape it comes.
    #[test]
    fn what_is_not_known_is_refused() {
        let stop = r#"{"change": "stop_cluster"}"#;
        assert_eq!(
            serde_json::from_str::<PlanRequest>(stop).ok(),
            Some(PlanRequest::StopCluster {})
        );
        assert!(serde_json::from_str::<PlanRequest>(r#"{"change": "stop_cluster", "x": 1}"#).is_err());
        assert!(serde_json::from_str::<Rebalance>("[]").is_err());
        assert_eq!(serde_json::from_str::<Rebalance>("{}").ok(), Some(Rebalance::default()));
        assert!(serde_json::from_str::<SetMaintenance>("[true]").is_err());
        assert!(serde_json::from_str::<SetMaintenance>(r#"{"on": true}"#).is_ok());
    }
}
