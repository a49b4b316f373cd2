//! What is in maintenance is not touched: no start, stop, promotion or restart, whatever happens meanwhile.
//!
//! A package in maintenance holds its whole unit, and so does the active member of a group on a node in maintenance:
//! nobody takes over from it, because whoever works on it by hand may have it running. A standby there is let alone, and
//! the others of its group go on without it.

use crate::group::Group;
use crate::id::{NodeIx, NodeName, PackageIx};
use crate::package::{Instance, Package};
use crate::reason::Reason;
use crate::state::{State, Unit};

/// Whether a unit is held as a whole.
pub(crate) fn holds(state: &State, unit: Unit) -> bool {
    if state.maintained == 0 {
        return false;
    }
    if state.is_maintained() {
        return true;
    }
    match unit {
        Unit::Package(package) => state
            .package_at(package)
            .is_some_and(|package| package.maintenance.is_some() || is_there(state, package)),
        Unit::Group(group) => state.group_at(group).is_some_and(|group| holds_group(state, group)),
    }
}

fn holds_group(state: &State, group: &Group) -> bool {
    let mut members = state.group_members(group);
    if !group.is_unit() {
        return members.any(|(_, package)| package.maintenance.is_some() || is_there(state, package));
    }
    let holds = |package: &Package| {
        let here = package.instance.as_ref().filter(|instance| instance.holds_unit());
        package.maintenance.is_some() || here.is_some_and(|instance| is_maintained(state, instance.node))
    };
    let left = group.vacancy.and_then(|vacancy| state.package_at(vacancy.package));
    left.is_some_and(|package| ended_on(state, package).is_some()) || members.any(|(_, package)| holds(package))
}

/// Whether a package is not touched: its unit is held, or it is on a node in maintenance.
pub(crate) fn is_held(state: &State, number: PackageIx) -> bool {
    state.maintained > 0
        && (holds(state, state.unit_of(number))
            || state.package_at(number).is_some_and(|package| is_there(state, package)))
}

/// Whether a package is not touched because it, its group, its node or the cluster is in maintenance.
#[must_use]
pub fn is_maintained_package(state: &State, package: &Package) -> bool {
    let number = state.packages_by_name.get(package.name()).copied();
    number.is_some_and(|number| is_held(state, number))
}

/// Why a package that is held has no instance.
pub(crate) fn why(state: &State, number: PackageIx, package: &Package) -> Option<Reason> {
    let node = ended_on(state, package).cloned();
    is_held(state, number).then_some(Reason::Maintenance { node })
}

/// Whether a package is on a node in maintenance, or ended there meanwhile.
fn is_there(state: &State, package: &Package) -> bool {
    let here = |instance: &Instance| is_maintained(state, instance.node);
    package.instance.as_ref().is_some_and(here) || ended_on(state, package).is_some()
}

/// Whether a node is in maintenance.
pub(crate) fn is_maintained(state: &State, node: NodeIx) -> bool {
    state.node_at(node).is_some_and(|node| node.maintenance.is_some())
}

/// The node in maintenance on which a package ended without being asked to.
pub(crate) fn ended_on<'a>(state: &State, package: &'a Package) -> Option<&'a NodeName> {
    let Some(Reason::Maintenance { node: Some(name) }) = &package.idle else {
        return None;
    };
    let node = state.node_by_name(name)?;
    node.maintenance.is_some().then_some(name)
}
