//! What a package needs of its node (M1): it is placed only where all of it is known to be up, and the loss of any is a
//! failure of the package there.
//!
//! Not known is not lost: a daemon that has just begun, or has just been told what to look at, has not said anything yet.
//! Nothing is placed on its word before, and nothing is stopped for lack of it.

use alloc::string::ToString;

use crate::id::{NodeIx, PackageIx};
use crate::node::Node;
use crate::package::Package;
use crate::reason::{Obstacle, Reason};
use crate::resource::{Need, Resource};
use crate::state::State;

/// The first of these needs that a node is not known to meet.
pub(crate) fn unmet<'a>(mut needs: impl Iterator<Item = &'a Need>, node: &Node) -> Option<Obstacle> {
    needs.find_map(|need| match node.resources.get(need) {
        Some(resource) if resource.up => None,
        found => Some(Obstacle::Unmet {
            need: need.to_string(),
            detail: found.map(|resource| resource.detail.to_string()),
        }),
    })
}

/// The first need of a package that a node says it has lost.
pub(crate) fn lost<'a>(state: &'a State, package: &Package, node: NodeIx) -> Option<(Reason, &'a Resource)> {
    let row = state.node_at(node)?;
    package.spec.needs.iter().find_map(|need| {
        let resource = row.resources.get(need).filter(|resource| !resource.up)?;
        let need = need.to_string();
        Some((Reason::NeedLost { need }, resource))
    })
}

/// The packages on a node that may not go on there for lack of a resource.
pub(crate) fn hit(state: &State, node: NodeIx) -> impl Iterator<Item = PackageIx> {
    let there = state
        .node_at(node)
        .map(|row| row.instances.as_slice())
        .unwrap_or_default();
    there.iter().copied().filter(move |number| {
        state
            .package_at(*number)
            .is_some_and(|package| lost(state, package, node).is_some())
    })
}

/// Whether a package that has an instance on a node needs this.
pub(crate) fn any_needs(state: &State, node: NodeIx, need: &Need) -> bool {
    let there = state
        .node_at(node)
        .map(|row| row.instances.as_slice())
        .unwrap_or_default();
    there.iter().any(|number| {
        state
            .package_at(*number)
            .is_some_and(|package| package.spec.needs.contains(need))
    })
}
