//! Maintenance: people work by hand on a package, a node or the whole cluster, and the manager keeps its hands off.
//!
//! What is reported is still recorded, and a lease that ends still releases: only what would follow from it waits.

use alloc::format;
use alloc::vec::Vec;

use super::control::{find_node, find_package};
use super::not_found;
use crate::cluster::Maintenance;
use crate::command::Maintained;
use crate::draft::{Cause, Draft};
use crate::event::EventKind;
use crate::id::{NodeIx, PackageIx};
use crate::node::Moment;
use crate::outcome::{Accepted, Outcome, Rejection};
use crate::state::{Deadline, Scope, State};
use crate::time::Millis;

/// The longest maintenance that ends by itself: a year. A mistyped unit is refused rather than kept for an age.
const LENGTH_MAX: Millis = Millis(366 * 24 * 3_600_000);

/// Keeps the manager's hands off; where it is so already, the end becomes another.
pub(super) fn begin(draft: &mut Draft<'_>, of: &Maintained, length: Option<Millis>) -> Outcome {
    let subject = match of {
        Maintained::Cluster => Scope::Cluster,
        Maintained::Node(name) => Scope::Node(find_node(draft, name)?),
        Maintained::Package(name) => Scope::Package(find_package(draft, name)?),
    };
    if length.is_some_and(|length| length.0 == 0 || length > LENGTH_MAX) {
        let text = format!(
            "maintenance lasts from 1 ms to {} ms, or until it is ended",
            LENGTH_MAX.0
        );
        return Err(Rejection::Invalid { text });
    }
    let until = length.map(|length| Moment {
        at: draft.at().plus(length),
        wall_ms: draft.now.wall_ms.saturating_add(length.0),
    });
    let before = maintenance_of(draft.state, subject);
    let after = Some(Maintenance { until });
    if before == after {
        return Ok(Accepted::Done);
    }
    set(draft, subject, after);
    let kind = EventKind::MaintenanceBegan { of: of.clone(), length };
    say(draft, subject, kind);
    Ok(Accepted::Done)
}

/// The manager acts again; what is removed and still runs can be let go as well.
pub(super) fn end(draft: &mut Draft<'_>, of: &Maintained) -> Outcome {
    let subject = match of {
        Maintained::Cluster => Scope::Cluster,
        Maintained::Node(name) => Scope::Node(find_node(draft, name)?),
        Maintained::Package(name) => {
            let known = draft.state.packages_by_name.get(name).copied();
            let names = draft.state.packages.iter().map(|(_, package)| package.name().as_str());
            Scope::Package(known.ok_or_else(|| not_found("package", name.as_str(), names))?)
        }
    };
    finish(draft, subject, of.clone(), By::Somebody);
    Ok(Accepted::Done)
}

/// Its time has passed.
pub(super) fn expire(draft: &mut Draft<'_>, subject: Scope) {
    let of = match subject {
        Scope::Cluster => Some(Maintained::Cluster),
        Scope::Node(node) => draft
            .state
            .node_at(node)
            .map(|node| Maintained::Node(node.name.clone())),
        Scope::Package(package) => draft
            .state
            .package_at(package)
            .map(|package| Maintained::Package(package.name().clone())),
    };
    if let Some(of) = of {
        finish(draft, subject, of, By::Time);
    }
}

/// What ends a maintenance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Somebody,
    Time,
}

fn finish(draft: &mut Draft<'_>, subject: Scope, of: Maintained, by: By) {
    if maintenance_of(draft.state, subject).is_none() {
        return;
    }
    set(draft, subject, None);
    let by_time = by == By::Time;
    say(draft, subject, EventKind::MaintenanceEnded { of, by_time });
}

fn maintenance_of(state: &State, subject: Scope) -> Option<Maintenance> {
    match subject {
        Scope::Cluster => state.cluster()?.maintenance,
        Scope::Node(node) => state.node_at(node)?.maintenance,
        Scope::Package(package) => state.package_at(package)?.maintenance,
    }
}

fn set(draft: &mut Draft<'_>, subject: Scope, maintenance: Option<Maintenance>) {
    let index = draft.index;
    let before = maintenance_of(draft.state, subject);
    let others = draft.state.maintained.saturating_sub(u32::from(before.is_some()));
    draft.state.maintained = others.saturating_add(u32::from(maintenance.is_some()));
    if let Some(until) = before.and_then(|before| before.until) {
        draft.drop_deadline(until.at, Deadline::Maintenance(subject));
    }
    if let Some(until) = maintenance.and_then(|after| after.until) {
        draft.set_deadline(until.at, Deadline::Maintenance(subject));
    }
    match subject {
        Scope::Cluster => {
            if let Some(cluster) = draft.state.cluster_mut() {
                cluster.maintenance = maintenance;
                cluster.acted = index;
            }
        }
        Scope::Node(node) => {
            draft.change_node(node, |node| node.maintenance = maintenance);
            draft.gained.insert(node);
        }
        Scope::Package(package) => draft.change_package(package, |package| package.maintenance = maintenance),
    }
    for package in concerned(draft.state, subject) {
        draft.plan_package(package);
        for node in nodes_of_unit(draft.state, package) {
            draft.touch(node);
            draft.gained.insert(node);
        }
    }
}

/// The packages that are held or let go: those of a node are what runs there, and what ended there while it was in maintenance.
fn concerned(state: &State, subject: Scope) -> Vec<PackageIx> {
    let all = || {
        state
            .packages
            .iter()
            .map(|(number, package)| (PackageIx(number), package))
    };
    match subject {
        Scope::Package(package) => Vec::from([package]),
        Scope::Cluster => all().map(|(number, _)| number).collect(),
        Scope::Node(node) => all()
            .filter(|(_, package)| {
                let there = package
                    .instance
                    .as_ref()
                    .map_or(package.last, |instance| Some(instance.node));
                there == Some(node)
            })
            .map(|(number, _)| number)
            .collect(),
    }
}

/// Where a package and the others of its unit are: their daemons are told whether to act on what they see.
fn nodes_of_unit(state: &State, package: PackageIx) -> Vec<NodeIx> {
    let instance = |number: PackageIx| state.package_at(number)?.instance.as_ref();
    let members = state.members_of(state.unit_of(package)).into_iter();
    members.filter_map(instance).map(|instance| instance.node).collect()
}

fn say(draft: &mut Draft<'_>, subject: Scope, kind: EventKind) {
    match subject {
        Scope::Cluster => draft.say(draft.actor, kind),
        Scope::Node(node) => draft.say_node(node, Cause::Outside, kind),
        Scope::Package(package) => draft.say_package(package, Cause::Outside, kind),
    };
}
