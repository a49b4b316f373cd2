//! Nodes and their attributes.

use axum::extract::State;
use client::wire::control::ConfirmDown;
use client::wire::node::{Attributes, Node, Nodes};
use client::wire::plan::Done;
use statemachine::command::Command;
use statemachine::id::NodeName;
use statemachine::state::State as Cluster;

use super::change::{Settled, Terms};
use super::{Answered, Api, ApiError, Asked, Body, Path, ReadQuery, Reply, WithoutQuorum, convert};

/// `GET /v1/nodes`.
pub async fn list(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Nodes> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let nodes = convert::nodes(&view.state);
    Ok(Reply::ok(
        view.state.applied(),
        Nodes {
            nodes,
            stale: view.stale,
        },
    ))
}

/// `GET /v1/nodes/N`.
pub async fn one(State(api): State<Api>, Path(name): Path<String>, Asked(query): Asked<ReadQuery>) -> Answered<Node> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let node = find(&view.state, &name)?;
    Ok(Reply::ok(view.state.applied(), convert::node(&view.state, node)))
}

/// `POST /v1/nodes/N/drain`: moves packages away and keeps them away.
pub async fn drain(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let node = node_name(&api, &name)?;
    let command = Command::SetDrain {
        node: node.clone(),
        drain: true,
    };
    api.control(&terms, command, |state| {
        let left: Vec<&str> = convert::packages_on(state, &node);
        if left.is_empty() {
            Settled::Done(format!("{node} is drained: nothing runs there"))
        } else {
            Settled::Not(format!("still on {node}: {}", left.join(", ")))
        }
    })
    .await
}

/// `POST /v1/nodes/N/resume`: the node may be used again.
pub async fn resume(State(api): State<Api>, Path(name): Path<String>, terms: Terms) -> Answered<Done> {
    let node = node_name(&api, &name)?;
    let detail = format!("{node} may be used again; nothing that runs elsewhere moves back by itself");
    api.change(&terms, Command::SetDrain { node, drain: false }, detail)
        .await
}

/// `POST /v1/nodes/N/confirm-down`: an operator's word that the node is off.
pub async fn confirm_down(
    State(api): State<Api>,
    Path(name): Path<String>,
    terms: Terms,
    Body(word): Body<ConfirmDown>,
) -> Answered<Done> {
    let node = node_name(&api, &name)?;
    if word.confirm != name {
        let detail = format!(
            "confirm is {:?}, not {name:?}: type the node's name to confirm that it is switched off",
            word.confirm
        );
        return Err(ApiError::invalid(detail, Vec::new()));
    }
    let detail = format!(
        "recorded: {} says that {node} is off; what it held may start elsewhere",
        word.by
    );
    api.change(&terms, Command::ConfirmDown { node, by: word.by }, detail)
        .await
}

/// `GET /v1/nodes/N/attributes`.
pub async fn attributes(
    State(api): State<Api>,
    Path(name): Path<String>,
    Asked(query): Asked<ReadQuery>,
) -> Answered<Attributes> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let node = find(&view.state, &name)?;
    Ok(Reply::ok(
        view.state.applied(),
        Attributes {
            attributes: convert::attributes(node),
        },
    ))
}

/// `GET /v1/nodes/N/attributes/KEY`: the value as a JSON string.
pub async fn attribute(
    State(api): State<Api>,
    Path((name, key)): Path<(String, String)>,
    Asked(query): Asked<ReadQuery>,
) -> Answered<String> {
    let view = api.view(&query, WithoutQuorum::Refuse).await?;
    let node = find(&view.state, &name)?;
    match node.attributes.get(&key) {
        Some(value) => Ok(Reply::ok(view.state.applied(), value.to_owned())),
        None => Err(ApiError::not_found(
            "attribute",
            &key,
            node.attributes.iter().map(|(key, _)| key),
        )),
    }
}

/// `PUT /v1/nodes/N/attributes/KEY`: the body is a JSON string of at most 1 KiB. With `If-Match` only where the key has not
/// changed since that index.
pub async fn put_attribute(
    State(api): State<Api>,
    Path((name, key)): Path<(String, String)>,
    terms: Terms,
    Body(value): Body<String>,
) -> Answered<Done> {
    let node = node_name(&api, &name)?;
    let command = Command::SetAttribute {
        node,
        key,
        value: Some(value),
        expect: terms.expect,
    };
    api.change_matching(&terms, command, "set".to_owned()).await
}

/// `DELETE /v1/nodes/N/attributes/KEY`, with `If-Match` as above.
pub async fn delete_attribute(
    State(api): State<Api>,
    Path((name, key)): Path<(String, String)>,
    terms: Terms,
) -> Answered<Done> {
    let node = node_name(&api, &name)?;
    let command = Command::SetAttribute {
        node,
        key,
        value: None,
        expect: terms.expect,
    };
    api.change_matching(&terms, command, "removed".to_owned()).await
}

/// A name from a path. One that is no name at all names nothing that exists.
fn node_name(api: &Api, name: &str) -> Result<NodeName, ApiError> {
    NodeName::new(name).map_err(|_| unknown(&api.raft().state(), name))
}

/// The node of this name.
///
/// # Errors
/// 404 with the nearest name.
pub fn find<'a>(state: &'a Cluster, name: &str) -> Result<&'a statemachine::node::Node, ApiError> {
    NodeName::new(name)
        .ok()
        .and_then(|name| state.node_by_name(&name))
        .ok_or_else(|| unknown(state, name))
}

fn unknown(state: &Cluster, name: &str) -> ApiError {
    ApiError::not_found("node", name, state.nodes().map(|node| node.name.as_str()))
}
