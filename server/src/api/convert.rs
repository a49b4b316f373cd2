//! Core to wire, by hand.

use std::collections::BTreeMap;

use client::wire;
use statemachine::command::{Mode, Output, Wish};
use statemachine::group::{Group, Ownership};
use statemachine::id::NodeName;
use statemachine::node::{Moment, Node, NodeStatus};
use statemachine::package::{Instance, Package, Phase};
use statemachine::state::State;

use super::protocol::{containment_text, mode_text};
use super::{ApiError, rules};
use crate::failovers::{Displaced, EventPlace, Failover, Outcome, Place, Stage};
use crate::raft::{RaftStatus, Refusal};
use crate::storage::journal::{EventRecord, Gap};

/// A refusal of the state machine, asked without the log (in a what-if).
pub fn refusal(rejection: statemachine::Rejection) -> ApiError {
    if let statemachine::Rejection::Rules { errors } = &rejection {
        return rules::refused(errors, rules::error_within);
    }
    let nearest = rejection.nearest().map(ToOwned::to_owned);
    Refusal {
        code: rejection.code().to_owned(),
        text: rejection.to_string(),
        nearest,
    }
    .into()
}

/// Wall time for people, RFC 3339 in UTC.
pub fn wall(wall_ms: u64) -> String {
    i64::try_from(wall_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "unknown".to_owned(), |time| format!("{time:.3}"))
}

/// A time as people see it.
pub(super) fn moment(moment: Moment) -> String {
    wall(moment.wall_ms)
}

/// All nodes, by name.
pub fn nodes(state: &State) -> Vec<wire::node::Node> {
    let mut nodes: Vec<_> = state.nodes().map(|row| node(state, row)).collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

/// One node.
pub fn node(state: &State, node: &Node) -> wire::node::Node {
    let session = match node.status {
        NodeStatus::Up { session, .. } => Some(session.0),
        NodeStatus::Lost { .. } | NodeStatus::Left { .. } => None,
    };
    wire::node::Node {
        name: node.name.as_str().to_owned(),
        id: node.id.0,
        state: node.status.as_str().to_owned(),
        drain: node.drain,
        maintenance: node.maintenance.map(maintenance),
        overload: node.overload.is_some(),
        session,
        since: moment(node.since),
        capacity: node.capacity.0.clone(),
        planned: state
            .planned(node)
            .map(|(name, amount)| (name.to_owned(), amount))
            .collect(),
        shares: statemachine::shares(state, node)
            .map(|(package, shares)| (package.as_str().to_owned(), shares.0))
            .collect(),
        labels: (*node.labels).clone(),
        attributes: attributes(node),
        api: node.api.to_string(),
        generation: node.generation.0,
        containment: node.containment.map(|kind| containment_text(kind).to_owned()),
    }
}

/// What is in maintenance, and until when.
pub fn maintenance(row: statemachine::cluster::Maintenance) -> wire::control::Maintenance {
    wire::control::Maintenance {
        until: row.until.map(moment),
    }
}

/// A node's small replicated values.
pub fn attributes(node: &Node) -> BTreeMap<String, String> {
    node.attributes
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Names of packages that have an instance on the node.
pub fn packages_on<'a>(state: &'a State, node: &NodeName) -> Vec<&'a str> {
    let Some(node) = state.node_by_name(node) else {
        return Vec::new();
    };
    node.instances
        .iter()
        .filter_map(|number| state.package_at(*number))
        .map(|package| package.name().as_str())
        .collect()
}

/// The node that a package's instance is on.
pub fn node_of<'a>(state: &'a State, package: &Package) -> Option<&'a NodeName> {
    package
        .instance
        .as_ref()
        .and_then(|instance| state.node_at(instance.node))
        .map(|node| &node.name)
}

/// One sentence: why a package is in its state.
pub fn reason(state: &State, package: &Package) -> String {
    let Some(instance) = &package.instance else {
        return state
            .why_idle(package)
            .map_or_else(|| "not started yet".to_owned(), |why| why.to_string());
    };
    let node = state.node_at(instance.node).map_or("?", |node| node.name.as_str());
    let inhibited = if instance.is_inhibited() {
        ", its output inhibited,"
    } else {
        ""
    };
    let mode = format!("{}{inhibited}", instance.mode_name());
    match &instance.phase {
        Phase::Starting if instance.delay.0 > 0 => {
            format!(
                "starting as {mode} on {node} after a pause of {} ms, because it failed",
                instance.delay.0
            )
        }
        Phase::Starting if instance.held => format!("on {node}, waiting for those of its group that start before it"),
        Phase::Starting => format!("starting as {mode} on {node}"),
        Phase::Running => format!("{mode} on {node}"),
        Phase::Changing { from } if *from == instance.mode => format!("{mode} on {node}, its output being released"),
        Phase::Changing { from } => format!("changing from {} to {mode} on {node}", mode_text(*from)),
        Phase::Failing { .. } => format!("failed on {node} and is being killed: {}", instance.detail),
        Phase::Stopping { why } => format!("stopping on {node}: {why}"),
        Phase::Stranded => format!(
            "was active on {node}, which is lost: nothing proves that it has ended. Once {node} is switched off, say so: \
             paceline confirm-down {node}"
        ),
    }
}

/// All packages, in order of rank.
pub fn packages(state: &State) -> Vec<wire::package::Package> {
    state.packages().map(|row| package(state, row)).collect()
}

/// One package, without its definition.
pub fn package(state: &State, package: &Package) -> wire::package::Package {
    wire::package::Package {
        name: package.spec.name.as_str().to_owned(),
        group: package.spec.group.as_ref().map(|group| group.as_str().to_owned()),
        unit: unit(state, package).to_owned(),
        priority: package.spec.priority,
        wish: match package.wish {
            Wish::Start => "start",
            Wish::Stop => "stop",
            Wish::Test => "test",
        }
        .to_owned(),
        state: package.state().as_str().to_owned(),
        reason: reason(state, package),
        maintenance: package.maintenance.map(maintenance),
        instances: package.instance.iter().map(|row| instance(state, row)).collect(),
        definition: None,
    }
}

/// What may be active only once.
fn unit<'a>(state: &'a State, package: &'a Package) -> &'a str {
    let group = package.group.and_then(|group| state.group_at(group));
    match group.filter(|group| group.is_unit()) {
        Some(group) => group.name().as_str(),
        None => package.name().as_str(),
    }
}

/// The word for an output.
pub(super) fn output_text(output: Output) -> &'static str {
    match output {
        Output::Released => "released",
        Output::Inhibited => "inhibited",
    }
}

fn instance(state: &State, instance: &Instance) -> wire::package::Instance {
    let (text, mode) = match &instance.phase {
        Phase::Starting => ("starting", None),
        Phase::Running => ("running", Some(instance.mode)),
        Phase::Changing { from } => ("changing", Some(*from)),
        Phase::Failing { .. } => ("failing", Some(instance.mode)),
        Phase::Stopping { .. } => ("stopping", Some(instance.mode)),
        Phase::Stranded => ("stranded", Some(instance.mode)),
    };
    let word = |mode: Option<Mode>| match (mode, &instance.own_mode) {
        (Some(Mode::Test), Some(own)) => own.to_string(),
        (mode, _) => mode.map_or("stopped", mode_text).to_owned(),
    };
    wire::package::Instance {
        node: state
            .node_at(instance.node)
            .map_or_else(String::new, |node| node.name.as_str().to_owned()),
        mode: word(mode),
        wanted: word(instance.is_desired().then_some(instance.mode)),
        output: output_text(instance.output()).to_owned(),
        state: text.to_owned(),
        epoch: instance.epoch.0,
        since: moment(instance.since),
        detail: instance.detail.to_string(),
        score: instance.score,
        busy: instance.busy,
    }
}

/// One group.
pub fn group(state: &State, group: &Group) -> wire::package::Group {
    let members: Vec<_> = state
        .group_members(group)
        .map(|(number, package)| (number, package.name()))
        .collect();
    let first = members.first().filter(|_| group.is_unit());
    let active = match first
        .and_then(|(_, name)| state.package(name))
        .map(|first| state.ownership(first))
    {
        Some(Ownership::Held { package, .. }) => members.iter().find(|(number, _)| *number == package),
        Some(Ownership::Free | Ownership::Releasing { .. } | Ownership::Stranded { .. }) | None => None,
    };
    wire::package::Group {
        name: group.name().as_str().to_owned(),
        kind: super::definition::kind_text(group.spec.kind).to_owned(),
        standbys: group.spec.standbys,
        active: active.map(|(_, name)| name.as_str().to_owned()),
        members: members.iter().map(|(_, name)| name.as_str().to_owned()).collect(),
        state: group.health.as_str().to_owned(),
    }
}

/// A stretch of events that other servers have.
pub fn missing_events(gap: &Gap) -> wire::event::MissingEvents {
    let Gap { first, last } = gap;
    wire::event::MissingEvents {
        first: *first,
        last: *last,
    }
}

/// An event of the journal.
pub fn event(event: &EventRecord) -> wire::event::Event {
    let EventRecord {
        index,
        sequence,
        at_ms,
        wall_ms,
        resource,
        kind,
        node,
        severity,
        cause,
        text,
        // For what is made of events: `/v1/failovers`.
        facts: _,
    } = event;
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

/// A takeover.
pub fn failover(failover: &Failover) -> wire::failover::Failover {
    let Failover {
        id,
        unit,
        group,
        cause,
        because,
        outcome,
        from,
        to,
        stages,
        displaced,
    } = failover;
    let place_text = |(index, sequence): EventPlace| format!("{index}.{sequence}");
    let (outcome, reason) = match outcome {
        Outcome::Done => ("done", None),
        Outcome::UnderWay(reason) => ("under-way", reason.clone()),
        Outcome::Failed(reason) => ("failed", Some(reason.clone())),
    };
    let place = |place: &Place| wire::failover::FailoverPlace {
        package: place.package.clone(),
        node: place.node.clone(),
        epoch: place.epoch,
    };
    let stage = |stage: &Stage| wire::failover::FailoverStage {
        stage: stage.name.as_str().to_owned(),
        ms: failover.since_begin(stage.at_ms),
        time: wall(stage.wall_ms),
        event: place_text(stage.event),
        text: stage.text.clone(),
    };
    let gone = |displaced: &Displaced| wire::failover::Displaced {
        package: displaced.package.clone(),
        node: displaced.node.clone(),
    };
    wire::failover::Failover {
        id: place_text(*id),
        index: id.0,
        unit: unit.clone(),
        group: group.clone(),
        cause: cause.as_str().to_owned(),
        planned: cause.is_planned(),
        because: because.clone(),
        outcome: outcome.to_owned(),
        reason,
        from: place(from),
        to: to.as_ref().map(place),
        began: stages.first().map_or_else(String::new, |first| wall(first.wall_ms)),
        total_ms: failover.total_ms(),
        stages: stages.iter().map(stage).collect(),
        displaced: displaced.iter().map(gone).collect(),
    }
}

/// Why a package is where it is.
pub fn explanation(
    explanation: statemachine::Explanation,
    because: &[EventRecord],
    stale: bool,
) -> wire::package::Explanation {
    wire::package::Explanation {
        package: explanation.package.as_str().to_owned(),
        summary: explanation.summary,
        because: because
            .iter()
            .map(|event| format!("{}.{} {}", event.index, event.sequence, event.text))
            .collect(),
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

fn step(step: statemachine::Step) -> wire::plan::Step {
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
            role: if raft.voters.contains(&member.id) {
                "voter"
            } else {
                "learner"
            }
            .to_owned(),
            witness: member.witness,
            lag: raft.lag.get(&member.id).copied(),
        })
        .collect()
}
