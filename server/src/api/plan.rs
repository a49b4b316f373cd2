//! What-if: the same `apply` and the same plan, on a copy of the state.

use axum::extract::State;
use client::wire::plan::{Plan, PlanRequest};
use statemachine::command::{Command, Wish};
use statemachine::id::{NodeName, PackageName};
use statemachine::state::State as Cluster;

use super::{Answered, Api, ApiError, Body, ReadQuery, Reply, WithoutQuorum, config, convert, definition, packages};

/// `POST /v1/plan`.
pub async fn plan(State(api): State<Api>, Body(request): Body<PlanRequest>) -> Answered<Plan> {
    let view = api.view(&ReadQuery::default(), WithoutQuorum::Stale).await?;
    let state = &view.state;
    let preview = match request {
        PlanRequest::Fail { node } => statemachine::preview_loss(state, &node_name(state, &node)?),
        other => {
            let commands = commands(state, other)?;
            statemachine::preview(state, &commands)
        }
    };
    let preview = preview.map_err(convert::refusal)?;
    Ok(Reply::ok(state.applied(), convert::plan(state, preview)))
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
        PlanRequest::Fail { .. } => Vec::new(),
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
    })
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
