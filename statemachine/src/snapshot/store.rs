//! From the state to its stored shape.

use alloc::string::ToString;
use alloc::vec::Vec;

use super::v1;
use crate::cluster::{Cluster, LeaseTail, Maintenance, Member, StartGate};
use crate::event::EventId;
use crate::group::{Exhausted, Group, Health, Leaving, Vacancy};
use crate::node::{Moment, Node, NodeStatus, Overload};
use crate::outcome::Accepted;
use crate::package::{Instance, Package, Phase};
use crate::reload::Reload;
use crate::resource::Resource;
use crate::state::State;

/// The stored shape of a state.
#[must_use]
pub fn to_stored(state: &State) -> v1::Snapshot {
    v1::Snapshot {
        applied: state.applied,
        at: state.at,
        cluster: state.cluster().map(cluster),
        members: state.members().map(member).collect(),
        nodes: state.nodes.iter().map(|(place, row)| node(place, row)).collect(),
        groups: state.groups.iter().map(|(place, row)| group(place, row)).collect(),
        packages: state.packages.iter().map(|(place, row)| package(place, row)).collect(),
        epoch: state.epoch,
        order: state.order,
        dimensions: state
            .dimensions
            .further()
            .map(|slot| slot.map(|(name, users)| (name.to_string(), users)))
            .collect(),
        requests: state
            .requests
            .iter()
            .map(|(request, seen)| v1::RequestRow {
                request: request.clone(),
                index: seen.index,
                at: seen.at,
                fingerprint: seen.fingerprint,
                gave: gave(&seen.accepted),
            })
            .collect(),
    }
}

fn cluster(row: &Cluster) -> v1::ClusterRow {
    let Cluster {
        id,
        spec,
        config_index,
        lease_high,
        lease_before,
        gate,
        rules,
        maintenance,
        stopped,
        acted,
    } = row;
    v1::ClusterRow {
        id: id.to_string(),
        spec: spec.clone(),
        config_index: *config_index,
        lease_high: *lease_high,
        lease_before: lease_before.map(tail),
        gate: match gate {
            StartGate::Closed => v1::Gate::Closed,
            StartGate::Waiting { until } => v1::Gate::Waiting(*until),
            StartGate::Open => v1::Gate::Open,
        },
        rules: rules.to_string(),
        maintenance: maintenance.map(kept),
        stopped: *stopped,
        acted: *acted,
    }
}

fn member(row: &Member) -> v1::MemberRow {
    let Member {
        id,
        name,
        peer,
        api,
        witness,
    } = row.clone();
    v1::MemberRow {
        id,
        name,
        peer,
        api,
        witness,
    }
}

fn tail(tail: LeaseTail) -> (crate::time::Millis, crate::time::Timestamp) {
    (tail.lease, tail.until)
}

fn kept(Maintenance { until }: Maintenance) -> v1::MaintenanceRow {
    v1::MaintenanceRow {
        until: until.map(moment),
    }
}

fn moment(moment: Moment) -> v1::MomentRow {
    let Moment { at, wall_ms } = moment;
    v1::MomentRow { at, wall_ms }
}

fn event(event: EventId) -> v1::EventRow {
    (event.index, event.sequence)
}

fn node(place: u32, row: &Node) -> v1::NodeRow {
    let Node {
        id,
        name,
        status,
        since,
        drain,
        machine,
        boot,
        nonce,
        capacity,
        labels,
        api,
        attributes,
        generation,
        sequence,
        extended,
        containment,
        instances: _,
        planned: _,
        trail,
        leaving: _,
        claims: _,
        claimed: _,
        alone: _,
        resources,
        maintenance,
        overload,
    } = row;
    v1::NodeRow {
        place,
        id: *id,
        name: name.clone(),
        status: match *status {
            NodeStatus::Up { session, lease } => v1::StatusRow::Up { session, lease },
            NodeStatus::Lost { session, confirmed } => v1::StatusRow::Lost { session, confirmed },
            NodeStatus::Left { session } => v1::StatusRow::Left { session },
        },
        since: moment(*since),
        drain: *drain,
        machine: machine.to_string(),
        boot: boot.to_string(),
        nonce: nonce.to_string(),
        capacity: (**capacity).clone(),
        labels: (**labels).clone(),
        api: api.to_string(),
        attributes: attributes
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        attributes_changed: attributes
            .iter()
            .map(|(key, _)| (key.to_string(), attributes.changed(key)))
            .collect(),
        attributes_removed: attributes.removed(),
        generation: *generation,
        sequence: *sequence,
        extended: extended.map(tail),
        containment: *containment,
        trail: trail.map(event),
        maintenance: maintenance.map(kept),
        overload: overload.map(
            |Overload {
                 since,
                 event: said,
                 stuck,
             }| v1::OverloadRow {
                since: moment(since),
                event: said.map(event),
                stuck,
            },
        ),
        resources: resources
            .iter()
            .map(|(need, resource)| {
                let Resource {
                    up,
                    since,
                    detail,
                    event: said,
                } = resource;
                v1::ResourceRow {
                    need: need.clone(),
                    up: *up,
                    since: moment(*since),
                    detail: detail.to_string(),
                    event: said.map(event),
                }
            })
            .collect(),
    }
}

fn group(place: u32, row: &Group) -> v1::GroupRow {
    let Group {
        spec,
        changed,
        removing,
        members: _,
        successor,
        vacancy,
        failovers,
        exhausted,
        health,
        trail,
        leaving,
    } = row;
    v1::GroupRow {
        place,
        spec: (**spec).clone(),
        changed: *changed,
        removing: *removing,
        successor: successor.map(|package| package.0),
        vacancy: vacancy.map(|vacancy| {
            let Vacancy {
                package,
                node,
                failure,
                cause,
            } = vacancy;
            v1::VacancyRow {
                package: package.0,
                node: node.0,
                failure,
                cause: cause.map(event),
            }
        }),
        failovers: failovers.clone(),
        exhausted: exhausted.map(|Exhausted { until }| v1::ExhaustedRow { until }),
        health: match health {
            Health::Idle => v1::HealthRow::Idle,
            Health::Redundant => v1::HealthRow::Redundant,
            Health::Degraded => v1::HealthRow::Degraded,
            Health::Lost => v1::HealthRow::Lost,
        },
        trail: trail.map(event),
        leaving: leaving
            .as_ref()
            .map(|Leaving { node, why, cause }| (node.0, why.clone(), cause.map(event))),
    }
}

fn package(place: u32, row: &Package) -> v1::PackageRow {
    let Package {
        spec,
        spec_digest: _,
        order,
        changed,
        revision,
        wish,
        own_mode,
        removing,
        group,
        load: _,
        condition: _,
        instance: running,
        prefer,
        last,
        failures,
        bans,
        idle,
        trail,
        maintenance,
        claim,
    } = row;
    v1::PackageRow {
        place,
        spec: (**spec).clone(),
        order: *order,
        changed: *changed,
        revision: *revision,
        wish: *wish,
        removing: *removing,
        group: group.map(|group| group.0),
        instance: running.as_ref().map(|running| instance(row, running)),
        prefer: prefer.map(|node| node.0),
        last: last.map(|node| node.0),
        failures: failures.clone(),
        bans: bans
            .iter()
            .map(|ban| (ban.node.0, ban.session, ban.failures))
            .collect::<Vec<_>>(),
        idle: idle.clone(),
        trail: trail.map(event),
        maintenance: maintenance.map(kept),
        own_mode: own_mode.as_deref().map(ToString::to_string),
        claim: claim.map(|node| node.0),
    }
}

fn instance(package: &Package, row: &Instance) -> v1::InstanceRow {
    let Instance {
        node,
        session,
        start,
        epoch,
        mode,
        phase,
        since,
        delay,
        spec,
        revision,
        load,
        detail,
        output: _,
        score,
        busy,
        own_mode,
        held,
        reload,
    } = row;
    v1::InstanceRow {
        node: node.0,
        session: *session,
        start: *start,
        epoch: *epoch,
        mode: *mode,
        phase: match phase.clone() {
            Phase::Starting => v1::PhaseRow::Starting,
            Phase::Running => v1::PhaseRow::Running,
            Phase::Changing { from } => v1::PhaseRow::Changing { from },
            Phase::Failing { cause } => v1::PhaseRow::Failing { cause },
            Phase::Stopping { why } => v1::PhaseRow::Stopping { why },
            Phase::Stranded => v1::PhaseRow::Stranded,
        },
        since: moment(*since),
        delay: *delay,
        spec: (*spec != package.spec).then(|| (**spec).clone()),
        revision: *revision,
        load: load.0,
        detail: detail.to_string(),
        inhibited: row.is_inhibited(),
        score: *score,
        busy: *busy,
        own_mode: own_mode.as_deref().map(ToString::to_string),
        held: *held,
        reload: reload.map(|reload| match reload {
            Reload::Asked(revision) => v1::ReloadRow::Asked(revision),
            Reload::Failed(revision) => v1::ReloadRow::Failed(revision),
        }),
    }
}

/// A repeated answer is never kept: what is kept is the first one.
fn gave(accepted: &Accepted) -> v1::Gave {
    match accepted {
        Accepted::Done => v1::Gave::Done,
        Accepted::Registered { node, session } => v1::Gave::Registered {
            node: *node,
            session: *session,
        },
        Accepted::MemberAdded { member } => v1::Gave::MemberAdded { member: *member },
        Accepted::Repeated { first, .. } => gave(first),
    }
}
