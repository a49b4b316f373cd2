//! What-if: the same `apply` and the same plan, on a copy of the state.

use axum::extract::State;
use client::wire::control::MOVES_DEFAULT;
use client::wire::plan::{Plan, PlanRequest};
use serde_json::Value;
use statemachine::command::{Command, Maintained, Wish};
use statemachine::id::{NodeName, PackageName};
use statemachine::state::State as Cluster;

use super::{Answered, Api, ApiError, Body, ReadQuery, Reply, WithoutQuorum, config, convert, definition, packages};

/// Changes that are planned together at most.
const CHANGES_MAX: usize = 100;

/// `POST /v1/plan`.
pub async fn plan(State(api): State<Api>, Body(request): Body<Value>) -> Answered<Plan> {
    let request = read(request)?;
    let view = api.view(&ReadQuery::default(), WithoutQuorum::Stale).await?;
    let state = &view.state;
    let commands = commands(state, request)?;
    let preview = statemachine::preview(state, &commands).map_err(convert::refusal)?;
    Ok(Reply::ok(state.applied(), convert::plan(state, preview)))
}

/// A number would be taken for the place of a change among all that there are.
fn read(request: Value) -> Result<PlanRequest, ApiError> {
    if !is_named(&request) {
        let detail = "the body: `change` is the name of a change, such as \"apply\" or \"drain\"";
        return Err(ApiError::malformed(detail));
    }
    serde_json::from_value(request).map_err(|error| ApiError::malformed(format!("the body: {error}")))
}

fn is_named(request: &Value) -> bool {
    let several = request.get("changes").and_then(Value::as_array);
    request.get("change").is_none_or(Value::is_string) && several.is_none_or(|all| all.iter().all(is_named))
}

fn commands(state: &Cluster, request: PlanRequest) -> Result<Vec<Command>, ApiError> {
    let wish = |package: &str, wish| -> Result<Vec<Command>, ApiError> {
        Ok(packages::members(state, package)?
            .into_iter()
            .map(|package| Command::SetWish { package, wish })
            .collect())
    };
    Ok(match request {
        PlanRequest::Apply { file } => {
            let config = config::read_file(&file)?;
            config::check_lease(&config)?;
            let changes = definition::changes(state, &config)
                .map_err(|errors| ApiError::invalid("the definition has errors", errors))?;
            if changes.is_empty() {
                Vec::new()
            } else {
                vec![Command::Configure { expect: None, changes }]
            }
        }
        PlanRequest::Fail { node } => {
            vec![statemachine::loss(state, &node_name(state, &node)?).map_err(convert::refusal)?]
        }
        PlanRequest::Drain { node } => vec![Command::SetDrain {
            node: node_name(state, &node)?,
            drain: true,
        }],
        PlanRequest::Resume { node } => vec![Command::SetDrain {
            node: node_name(state, &node)?,
            drain: false,
        }],
        PlanRequest::Start { package } => wish(&package, Wish::Start)?,
        PlanRequest::Stop { package } => wish(&package, Wish::Stop)?,
        PlanRequest::Test { package } => wish(&package, Wish::Test)?,
        PlanRequest::Promote { package } => vec![Command::Promote {
            package: package_name(state, &package)?,
        }],
        PlanRequest::Move { package, to } => {
            vec![Command::Move {
                package: package_name(state, &package)?,
                to: node_name(state, &to)?,
            }]
        }
        PlanRequest::Demote { package } => vec![Command::Demote {
            package: package_name(state, &package)?,
        }],
        PlanRequest::Mode { package, mode } => vec![Command::SetMode {
            package: package_name(state, &package)?,
            mode,
        }],
        PlanRequest::Clear { package } => vec![Command::Clear {
            package: package_name(state, &package)?,
        }],
        PlanRequest::MaintenanceOff { node, package } => {
            let of = match (node, package) {
                (None, None) => Maintained::Cluster,
                (Some(node), None) => Maintained::Node(node_name(state, &node)?),
                (None, Some(package)) => Maintained::Package(package_name(state, &package)?),
                (Some(_), Some(_)) => {
                    let detail = "maintenance_off: expected a node, a package, or neither for the cluster".to_owned();
                    return Err(ApiError::malformed(detail));
                }
            };
            vec![Command::EndMaintenance { of }]
        }
        PlanRequest::Rebalance { at_most } => vec![Command::Rebalance {
            at_most: at_most.unwrap_or(MOVES_DEFAULT),
        }],
        PlanRequest::StopCluster {} => vec![Command::StopCluster],
        PlanRequest::StartCluster {} => vec![Command::StartCluster],
        PlanRequest::Several { changes } => several(state, changes)?,
    })
}

/// Commands of several changes, each checked against the state as it is now.
fn several(state: &Cluster, changes: Vec<PlanRequest>) -> Result<Vec<Command>, ApiError> {
    if changes.len() > CHANGES_MAX {
        let detail = format!(
            "{} changes at once: {CHANGES_MAX} are planned together at most",
            changes.len()
        );
        return Err(ApiError::malformed(detail));
    }
    let mut all = Vec::new();
    for change in changes {
        if matches!(change, PlanRequest::Several { .. }) {
            let detail = "several within several: put all changes into one list".to_owned();
            return Err(ApiError::malformed(detail));
        }
        all.extend(commands(state, change)?);
    }
    Ok(all)
}

fn node_name(state: &Cluster, name: &str) -> Result<NodeName, ApiError> {
    NodeName::new(name)
        .ok()
        .filter(|name| state.node_by_name(name).is_some())
        .ok_or_else(|| ApiError::not_found("node", name, state.nodes().map(|node| node.name.as_str())))
}

fn package_name(state: &Cluster, name: &str) -> Result<PackageName, ApiError> {
    packages::find(state, name).map(|package| package.spec.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_by_its_name_alone() {
        let fine = serde_json::json!({ "change": "fail", "node": "n1" });
        let nested = |change: Value| serde_json::json!({ "change": "several", "changes": [change] });
        assert!(read(fine.clone()).is_ok());
        assert!(read(nested(fine)).is_ok());
        let numbered = serde_json::json!({ "change": 1, "node": "n1" });
        for refused in [
            numbered.clone(),
            nested(numbered),
            Value::Null,
            serde_json::json!({ "change": null }),
        ] {
            assert!(read(refused.clone()).is_err(), "{refused}");
        }
    }
}
