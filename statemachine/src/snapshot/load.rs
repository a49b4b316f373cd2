//! From the stored shape to the state: the rows as they were, every index built again from them.

mod instance;
mod settings;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{SnapshotError, v1};
use crate::cluster::{Maintenance, StartGate};
use crate::digest::fingerprint;
use crate::draft::remember;
use crate::event::EventId;
use crate::group::{Exhausted, Group, Health, Leaving, Vacancy};
use crate::id::{GroupIx, NodeIx, PackageIx};
use crate::load::{Dimensions, Loads};
use crate::node::{Attributes, Moment, Node, NodeStatus, Overload};
use crate::outcome::Accepted;
use crate::package::{Ban, Package};
use crate::reason::Reason;
use crate::requests::Seen;
use crate::resource::{Need, Needs, Resource, Resources};
use crate::room::Room;
use crate::rules::{RuleSet, Unchecked, check};
use crate::state::{Deadline, Scope, State};
use crate::time::Timestamp;
use crate::waiting;
use instance::instance;
use settings::{cluster, member, tail};

/// Rows that a table can have: a larger place is not one that was ever given.
const PLACES_MAX: u32 = 1 << 20;

/// The state of a stored shape.
///
/// # Errors
/// [`SnapshotError`] where rows name rows that are not there.
pub fn from_stored(stored: v1::Snapshot) -> Result<State, SnapshotError> {
    let v1::Snapshot {
        applied,
        at,
        cluster: kept,
        members,
        nodes,
        groups,
        packages,
        epoch,
        order,
        dimensions,
        requests,
    } = stored;
    let mut state = State::new();
    state.applied = applied;
    state.at = at;
    state.cluster = kept.map(|row| Arc::new(cluster(row)));
    state.members = Arc::new(members.into_iter().map(|row| (row.id, member(row))).collect());
    state.epoch = epoch;
    state.order = order;
    state.dimensions = Dimensions::restore(dimensions.into_iter());
    for row in nodes {
        check_place(row.place)?;
        let place = row.place;
        let row = node(row);
        Arc::make_mut(&mut state.nodes_by_id).insert(row.id, NodeIx(place));
        state.nodes_by_name.insert(row.name.clone(), NodeIx(place));
        state.nodes.insert_at(place, row);
    }
    for row in groups {
        check_place(row.place)?;
        state.groups_by_name.insert(row.spec.name.clone(), GroupIx(row.place));
        state.groups.insert_at(row.place, group(row));
    }
    for row in packages {
        check_place(row.place)?;
        state
            .packages_by_name
            .insert(row.spec.name.clone(), PackageIx(row.place));
        let place = row.place;
        let row = package(&state.dimensions, row);
        state.packages.insert_at(place, row);
    }
    for row in requests {
        let accepted = accepted(row.gave);
        state.requests.insert(
            &row.request,
            Seen {
                index: row.index,
                at: row.at,
                fingerprint: row.fingerprint,
                accepted,
            },
        );
    }
    link(&mut state)?;
    index(&mut state);
    state.rules = Arc::new(rules(&state)?);
    state.settle();
    Ok(state)
}

/// The rules in force are read again. What they name was there when they were put in force.
fn rules(state: &State) -> Result<RuleSet, SnapshotError> {
    let text = state.cluster().map_or("", |cluster| &*cluster.rules);
    check(text, &mut Unchecked).map_err(|errors| {
        let first = errors.first().map_or_else(String::new, ToString::to_string);
        broken(format!("its rules can't be read by this version: {first}"))
    })
}

fn check_place(place: u32) -> Result<(), SnapshotError> {
    if place < PLACES_MAX {
        Ok(())
    } else {
        Err(broken(format!("row {place} is beyond the largest table")))
    }
}

fn broken(text: String) -> SnapshotError {
    SnapshotError { text }
}

/// Groups get their members, nodes their instances; whoever names a row that is not there breaks the snapshot.
fn link(state: &mut State) -> Result<(), SnapshotError> {
    let mut packages: Vec<_> = state.packages.iter().map(|(place, row)| (row.rank(), place)).collect();
    packages.sort();
    for (_, place) in packages {
        let Some(package) = state.packages.get(place) else {
            continue;
        };
        let name = package.name().clone();
        let running = package.instance.as_ref();
        let running = running.map(|it| (it.node, it.load, it.is_leaving(), it.spec.exclusive));
        let group = package.group;
        let claim = package.claim.map(|node| (node, package.load, package.spec.exclusive));
        if let Some(group) = group {
            let row = state.groups.get_mut(group.0);
            let row =
                row.ok_or_else(|| broken(format!("package {name} names group {}, which is not there", group.0)))?;
            row.members.push(PackageIx(place));
        }
        if let Some((node, load, alone)) = claim {
            let row = state.nodes.get_mut(node.0);
            let row = row.ok_or_else(|| {
                broken(format!(
                    "room is kept for {name} on node {}, which is not there",
                    node.0
                ))
            })?;
            row.claims.push(PackageIx(place));
            row.claimed = row.claimed.plus(load);
            row.alone = row.alone.saturating_add(u32::from(alone));
        }
        if let Some((node, load, leaving, alone)) = running {
            let row = state.nodes.get_mut(node.0);
            let row =
                row.ok_or_else(|| broken(format!("package {name} runs on node {}, which is not there", node.0)))?;
            row.instances.push(PackageIx(place));
            row.planned = row.planned.plus(load);
            row.alone = row.alone.saturating_add(u32::from(alone));
            if leaving {
                row.leaving = row.leaving.plus(load);
            }
        }
        remember(state, PackageIx(place));
    }
    Ok(())
}

/// Builds the indexes that span rows.
fn index(state: &mut State) {
    let numbers: Vec<u32> = state.nodes.iter().map(|(number, _)| number).collect();
    let mut deadlines: BTreeSet<(Timestamp, Deadline)> = BTreeSet::new();
    for number in numbers {
        let Some(row) = state.nodes.get_mut(number) else {
            continue;
        };
        row.instances.sort();
        row.claims.sort();
        state.up = state.up.saturating_add(u32::from(row.is_up()));
        deadlines.extend(
            row.extended
                .map(|tail| (tail.until, Deadline::Extension(NodeIx(number)))),
        );
        state.maintained = state.maintained.saturating_add(u32::from(row.maintenance.is_some()));
        deadlines.extend(ends(row.maintenance, Scope::Node(NodeIx(number))));
        let room = Room::of(row, &state.dimensions);
        state.rooms.set(NodeIx(number), room);
        state.yielding.mark(NodeIx(number));
    }
    for (number, row) in state.groups.iter() {
        let until = row.exhausted.and_then(|exhausted| exhausted.until);
        deadlines.extend(until.map(|until| (until, Deadline::Failovers(GroupIx(number)))));
    }
    let mut maintained = state.maintained;
    for (number, row) in state.packages.iter() {
        maintained = maintained.saturating_add(u32::from(row.maintenance.is_some()));
        deadlines.extend(ends(row.maintenance, Scope::Package(PackageIx(number))));
    }
    if let Some(cluster) = state.cluster() {
        maintained = maintained.saturating_add(u32::from(cluster.maintenance.is_some()));
        deadlines.extend(ends(cluster.maintenance, Scope::Cluster));
        deadlines.extend(cluster.lease_before.map(|tail| (tail.until, Deadline::LeaseBefore)));
        if let StartGate::Waiting { until } = cluster.gate {
            deadlines.insert((until, Deadline::Gate));
        }
    }
    let mut needs = Needs::default();
    for (number, row) in state.nodes.iter() {
        for (need, resource) in row.resources.iter() {
            needs.set(NodeIx(number), need, resource.up);
        }
    }
    for (_, row) in state.packages.iter() {
        for need in &row.spec.needs {
            needs.claim(need);
        }
    }
    state.needs = needs;
    state.maintained = maintained;
    state.deadlines = Arc::new(deadlines);
    let waiting = state
        .packages
        .iter()
        .filter(|(_, row)| row.idle.as_ref().is_some_and(Reason::waits_for_node));
    let units = waiting.map(|(number, _)| state.unit_of(PackageIx(number)));
    let units: Vec<_> = units
        .filter_map(|unit| Some(((state.unit_rank(unit)?, unit), waiting::needs(state, unit)?)))
        .collect();
    for (unit, needs) in units {
        state.waiting.insert(unit, needs);
    }
    state.list_occupants();
    state.refresh_yielding();
}

/// The deadline of a maintenance that ends by itself.
fn ends(maintenance: Option<Maintenance>, of: Scope) -> Option<(Timestamp, Deadline)> {
    maintenance?.until.map(|until| (until.at, Deadline::Maintenance(of)))
}

fn kept(v1::MaintenanceRow { until }: v1::MaintenanceRow) -> Maintenance {
    Maintenance {
        until: until.map(moment),
    }
}

fn moment(row: v1::MomentRow) -> Moment {
    let v1::MomentRow { at, wall_ms } = row;
    Moment { at, wall_ms }
}

fn event((index, sequence): v1::EventRow) -> EventId {
    EventId { index, sequence }
}

fn node(row: v1::NodeRow) -> Node {
    let v1::NodeRow {
        place: _,
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
        attributes_changed,
        attributes_removed,
        generation,
        sequence,
        extended,
        containment,
        trail,
        resources,
        maintenance,
        overload,
    } = row;
    let mut values = Attributes::kept(attributes_removed);
    for (key, value) in &attributes {
        values.set(key, value, attributes_changed.get(key).copied().unwrap_or_default());
    }
    Node {
        id,
        name,
        status: match status {
            v1::StatusRow::Up { session, lease } => NodeStatus::Up { session, lease },
            v1::StatusRow::Lost { session, confirmed } => NodeStatus::Lost { session, confirmed },
            v1::StatusRow::Left { session } => NodeStatus::Left { session },
        },
        since: moment(since),
        drain,
        machine: Arc::from(machine),
        boot: Arc::from(boot),
        nonce: Arc::from(nonce),
        capacity: Arc::new(capacity),
        labels: Arc::new(labels),
        api: Arc::from(api),
        maintenance: maintenance.map(kept),
        overload: overload.map(
            |v1::OverloadRow {
                 since,
                 event: said,
                 stuck,
             }| Overload {
                since: moment(since),
                event: said.map(event),
                stuck,
            },
        ),
        attributes: values,
        generation,
        sequence,
        extended: extended.map(tail),
        containment,
        instances: Vec::new(),
        planned: Loads::default(),
        trail: trail.map(event),
        leaving: Loads::default(),
        claims: Vec::new(),
        claimed: Loads::default(),
        alone: 0,
        resources: Resources(Arc::new(resources.into_iter().map(resource).collect())),
    }
}

fn resource(row: v1::ResourceRow) -> (Need, Resource) {
    let v1::ResourceRow {
        need,
        up,
        since,
        detail,
        event: said,
    } = row;
    let resource = Resource {
        up,
        since: moment(since),
        detail: Arc::from(detail),
        event: said.map(event),
    };
    (need, resource)
}

fn group(row: v1::GroupRow) -> Group {
    let v1::GroupRow {
        place: _,
        spec,
        changed,
        removing,
        successor,
        vacancy,
        failovers,
        exhausted,
        health,
        trail,
        leaving,
    } = row;
    Group {
        spec: Arc::new(spec),
        changed,
        removing,
        members: Vec::new(),
        successor: successor.map(PackageIx),
        vacancy: vacancy.map(|row| {
            let v1::VacancyRow {
                package,
                node,
                failure,
                cause,
            } = row;
            Vacancy {
                package: PackageIx(package),
                node: NodeIx(node),
                failure,
                cause: cause.map(event),
            }
        }),
        failovers,
        exhausted: exhausted.map(|v1::ExhaustedRow { until }| Exhausted { until }),
        health: match health {
            v1::HealthRow::Idle => Health::Idle,
            v1::HealthRow::Redundant => Health::Redundant,
            v1::HealthRow::Degraded => Health::Degraded,
            v1::HealthRow::Lost => Health::Lost,
        },
        trail: trail.map(event),
        leaving: leaving.map(|(node, why, cause)| Leaving {
            node: NodeIx(node),
            why,
            cause: cause.map(event),
        }),
    }
}

fn package(dimensions: &Dimensions, row: v1::PackageRow) -> Package {
    let v1::PackageRow {
        place: _,
        spec,
        order,
        changed,
        revision,
        wish,
        own_mode,
        removing,
        group,
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
    let spec = Arc::new(spec);
    Package {
        spec_digest: fingerprint(&*spec),
        load: dimensions.load(&spec.load),
        condition: crate::subject::condition_of(&spec),
        instance: running.map(|row| instance(&spec, row)),
        spec,
        order,
        changed,
        revision,
        wish,
        removing,
        group: group.map(GroupIx),
        prefer: prefer.map(NodeIx),
        last: last.map(NodeIx),
        failures,
        bans: bans
            .into_iter()
            .map(|(node, session, failures)| Ban {
                node: NodeIx(node),
                session,
                failures,
            })
            .collect(),
        idle,
        trail: trail.map(event),
        maintenance: maintenance.map(kept),
        own_mode: own_mode.map(Arc::from),
        claim: claim.map(NodeIx),
    }
}

fn accepted(gave: v1::Gave) -> Accepted {
    match gave {
        v1::Gave::Done => Accepted::Done,
        v1::Gave::Registered { node, session } => Accepted::Registered { node, session },
        v1::Gave::MemberAdded { member } => Accepted::MemberAdded { member },
    }
}
