//! Core to wire, by hand.

use std::collections::BTreeMap;

use client::wire;
use statemachine::command::{Mode, Output, Wish};
use statemachine::event::Moment;
use statemachine::id::NodeName;
use statemachine::state::{Group, Node, NodeStatus, Package, State};
use statemachine::view;

use super::ApiError;
use super::daemon::mode_text;
use crate::raft::{RaftStatus, Refusal};
use crate::storage::journal::EventRecord;

/// A refusal of the state machine, asked without the log (in a what-if).
pub fn refusal(rejection: statemachine::Rejection) -> ApiError {
    let nearest = rejection.nearest().map(ToOwned::to_owned);
    Refusal { code: rejection.code().to_owned(), text: rejection.to_string(), nearest }.into()
}

/// Wall time for people, RFC 3339 in UTC.
pub fn wall(wall_ms: u64) -> String {
    i64::try_from(wall_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "unknown".to_owned(), |time| format!("{time:.3}"))
}

fn moment(moment: Moment) -> String {
    wall(moment.wall_ms)
}

/// All nodes, by name.
pub fn nodes(state: &State) -> Vec<wire::node::Node> {
    let mut nodes: Vec<_> = state.nodes().map(|row| node(state, row)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

/// One node.
pub fn node(_state: &State, node: &Node) -> wire::node::Node {
    let (text, session) = match &node.status {
        NodeStatus::Up { session, .. } => ("up", Some(session.0)),
        NodeStatus::Lost { .. } => ("lost", None),
        NodeStatus::Left { .. } => ("left", None),
    };
    wire::node::Node {
        name: node.name.as_str().to_owned(),
        id: node.id.0,
        state: text.to_owned(),
        drain: node.drain,
        session,
        since: moment(node.since),
        capacity: node.capacity.0.clone(),
        planned: node.planned().0,
        labels: node.labels.clone(),
        attributes: node.attributes.clone().into_iter().collect::<BTreeMap<_, _>>(),
        api: node.api.clone(),
        generation: node.generation.0,
    }
}

/// Names of packages that have an instance on the node.
pub fn packages_on<'a>(state: &'a State, node: &NodeName) -> Vec<&'a str> {
    state
        .packages()
        .filter(|package| view::package(state, &package.spec.name).is_some_and(|view| view.instances.iter().any(|i| i.node == *node)))
        .map(|package| package.spec.name.as_str())
        .collect()
}

/// All packages, in order of rank.
pub fn packages(state: &State) -> Vec<wire::package::Package> {
    state.packages().map(|row| package(state, row)).collect()
}

/// One package, without its definition.
pub fn package(state: &State, package: &Package) -> wire::package::Package {
    let view = view::package(state, &package.spec.name);
    let (text, reason, instances) = match view {
        Some(view) => (view.state.as_str(), view.reason, view.instances.iter().map(instance).collect()),
        None => ("stopped", String::new(), Vec::new()),
    };
    wire::package::Package {
        name: package.spec.name.as_str().to_owned(),
        group: package.spec.group.as_ref().map(|group| group.as_str().to_owned()),
        priority: package.spec.priority,
        wish: match package.wish {
            Wish::Start => "start",
            Wish::Stop => "stop",
            Wish::Test => "test",
        }
        .to_owned(),
        state: text.to_owned(),
        reason,
        instances,
        definition: None,
    }
}

fn instance(instance: &view::InstanceView) -> wire::package::Instance {
    let mode = |mode: Option<Mode>| mode.map_or("stopped", mode_text).to_owned();
    wire::package::Instance {
        node: instance.node.as_str().to_owned(),
        mode: mode(instance.observed),
        wanted: mode(instance.wanted),
        output: match instance.output {
            Output::Released => "released",
            Output::Inhibited => "inhibited",
        }
        .to_owned(),
        state: instance.state.as_str().to_owned(),
        epoch: instance.epoch.0,
        since: moment(instance.since),
        detail: instance.detail.clone(),
    }
}

/// One group.
pub fn group(state: &State, group: &Group) -> wire::package::Group {
    let view = view::group(state, &group.spec.name);
    wire::package::Group {
        name: group.spec.name.as_str().to_owned(),
        kind: "duplex".to_owned(),
        standbys: group.spec.standbys,
        members: view.members.iter().map(|name| name.as_str().to_owned()).collect(),
        active: view.active.map(|name| name.as_str().to_owned()),
        state: view.state.as_str().to_owned(),
    }
}

/// An event of the journal.
pub fn event(event: &EventRecord) -> wire::event::Event {
    let EventRecord { index, sequence, at_ms, wall_ms, resource, kind, node, severity, cause, text } = event;
    wire::event::Event {
        index: *index,
        sequence: *sequence,
        time: wall(*wall_ms),
        at_ms: *at_ms,
        resource: resource.clone(),
        kind: kind.clone(),
        node: node.clone(),
        severity: severity.clone(),
        cause: cause.map(|(index, sequence)| format!("{index}.{sequence}")),
        text: text.clone(),
    }
}

/// Why a package is where it is.
pub fn explanation(explanation: statemachine::Explanation, stale: bool) -> wire::package::Explanation {
    wire::package::Explanation {
        package: explanation.package.as_str().to_owned(),
        summary: explanation.summary,
        because: explanation.because,
        nodes: explanation
            .nodes
            .into_iter()
            .map(|verdict| wire::package::NodeVerdict {
                node: verdict.node.as_str().to_owned(),
                verdict: verdict.verdict.as_str().to_owned(),
                reason: verdict.reason,
            })
            .collect(),
        next: explanation.next,
        stale,
    }
}

/// What would happen.
pub fn plan(state: &State, preview: statemachine::Preview) -> wire::plan::Plan {
    wire::plan::Plan {
        index: state.applied().0,
        changes: preview.changes,
        steps: preview.steps.into_iter().map(step).collect(),
        unplaced: preview
            .unplaced
            .into_iter()
            .map(|unplaced| wire::plan::Unplaced {
                package: unplaced.package.as_str().to_owned(),
                reason: unplaced.reason,
            })
            .collect(),
        disruptive: preview.disruptive,
    }
}

fn step(step: statemachine::PreviewStep) -> wire::plan::Step {
    wire::plan::Step {
        action: step.action.as_str().to_owned(),
        package: step.package.as_str().to_owned(),
        node: step.node.as_str().to_owned(),
        from: step.from.map(|from| from.as_str().to_owned()),
        mode: step.mode.map_or("stopped", mode_text).to_owned(),
        reason: step.reason,
    }
}

/// The servers, with what this one knows of them.
pub fn members(state: &State, raft: &RaftStatus) -> Vec<wire::status::Member> {
    state
        .members()
        .map(|member| wire::status::Member {
            id: member.id.0,
            name: member.name.as_str().to_owned(),
            peer: member.peer.clone(),
            api: member.api.clone(),
            role: if raft.voters.contains(&member.id) { "voter" } else { "learner" }.to_owned(),
            lag: raft.lag.get(&member.id).copied(),
        })
        .collect()
}
