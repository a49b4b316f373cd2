//! Everything that is watched or controlled, by one kind of name (M1): packages, groups, nodes, links, disks, services and
//! the manager.

use std::collections::BTreeMap;

use axum::extract::State;
use client::wire::resource::{Resource, Resources};
use serde_json::{Value, json};
use statemachine::event::resource_id;
use statemachine::group::Group;
use statemachine::node::Node;
use statemachine::package::Package;
use statemachine::state::State as Cluster;

use super::protocol::mode_text;
use super::{Answered, Api, ApiError, Asked, Path, ReadQuery, Reply, View, WithoutQuorum};

/// `GET /v1/resources`.
pub async fn list(State(api): State<Api>, Asked(query): Asked<ReadQuery>) -> Answered<Resources> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let body = Resources {
        resources: all(&api, &view),
        stale: view.stale,
    };
    Ok(Reply::ok(view.state.applied(), body))
}

/// `GET /v1/resources/ID`.
pub async fn one(State(api): State<Api>, Path(id): Path<String>, Asked(query): Asked<ReadQuery>) -> Answered<Resource> {
    let view = api.view(&query, WithoutQuorum::Stale).await?;
    let resources = all(&api, &view);
    let found = resources.iter().find(|resource| resource.id == id).cloned();
    let found = found
        .ok_or_else(|| ApiError::not_found("resource", &id, resources.iter().map(|resource| resource.id.as_str())))?;
    Ok(Reply::ok(view.state.applied(), found))
}

/// Every resource, by its id.
pub(super) fn all(api: &Api, view: &View) -> Vec<Resource> {
    let state = &*view.state;
    let leader = api.leader_name(state);
    let manager = Resource {
        id: "manager:manager".to_owned(),
        kind: "manager".to_owned(),
        state: up_or_down(leader.is_some() && !view.stale),
        node: leader,
        attributes: BTreeMap::new(),
    };
    let packages = state.packages().map(|row| package(state, row));
    let groups = state.groups().map(|row| group(state, row));
    let nodes = state.nodes().map(node);
    let on_nodes = state
        .nodes()
        .flat_map(|row| row.resources.iter().map(|it| on_node(row, it)));
    let mut all: Vec<Resource> = std::iter::once(manager)
        .chain(packages)
        .chain(groups)
        .chain(nodes)
        .chain(on_nodes)
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// The kinds of resources; no kind of events is called like one of them.
const KINDS: [&str; 12] = [
    "address", "cluster", "cpu", "disk", "group", "lan", "manager", "member", "memory", "node", "package", "service",
];

/// Whether this is a kind of resources, and so no kind of events.
pub(super) fn is_kind(word: &str) -> bool {
    KINDS.contains(&word)
}

fn up_or_down(up: bool) -> String {
    if up { "up" } else { "down" }.to_owned()
}

fn attributes<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn package(state: &Cluster, row: &Package) -> Resource {
    let instance = row.instance.as_ref();
    let node = instance.and_then(|instance| state.node_at(instance.node));
    Resource {
        id: format!("package:{}", row.name()),
        kind: "package".to_owned(),
        node: node.map(|node| node.name.as_str().to_owned()),
        state: up_or_down(instance.is_some_and(|instance| instance.is_ready())),
        attributes: attributes([
            (
                "mode",
                json!(instance.map_or("stopped", |instance| mode_text(instance.mode))),
            ),
            (
                "output",
                json!(instance.map_or("inhibited", |instance| super::convert::output_text(instance.output))),
            ),
            ("priority", json!(row.spec.priority)),
            ("failures", json!(row.failures.len())),
            ("score", json!(instance.and_then(|instance| instance.score))),
            ("busy", json!(instance.is_some_and(|instance| instance.busy))),
        ]),
    }
}

fn group(state: &Cluster, row: &Group) -> Resource {
    let told = super::convert::group(state, row);
    Resource {
        id: format!("group:{}", row.name()),
        kind: "group".to_owned(),
        node: None,
        state: told.state,
        attributes: attributes([("active", json!(told.active)), ("standbys", json!(told.standbys))]),
    }
}

fn node(row: &Node) -> Resource {
    Resource {
        id: format!("node:{}", row.name),
        kind: "node".to_owned(),
        node: Some(row.name.as_str().to_owned()),
        state: up_or_down(row.is_up()),
        attributes: attributes([
            ("status", json!(row.status.as_str())),
            ("drain", json!(row.drain)),
            ("packages", json!(row.instances.len())),
        ]),
    }
}

fn on_node(
    node: &Node,
    (need, resource): (&statemachine::resource::Need, &statemachine::resource::Resource),
) -> Resource {
    Resource {
        id: resource_id(&node.name, need),
        kind: need.kind.as_str().to_owned(),
        node: Some(node.name.as_str().to_owned()),
        state: up_or_down(resource.up && node.is_up()),
        attributes: attributes([
            ("name", json!(need.name)),
            ("detail", json!(&*resource.detail)),
            ("since", json!(super::convert::moment(resource.since))),
        ]),
    }
}
