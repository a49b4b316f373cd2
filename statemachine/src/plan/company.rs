//! Where two that run on one node exclude each other since a definition changed, the more important one stays.

use alloc::vec::Vec;

use crate::draft::{Cause, Draft};
use crate::id::{NodeIx, PackageIx, PackageName};
use crate::package::{Importance, Instance, Package};
use crate::plan::condition::{is_exclusive, named, still_holds, unmet};
use crate::reason::Reason;
use crate::rules::condition::Polarity;
use crate::state::State;

/// Stops what is less important than a package that runs, and whose presence its condition or its need of a node for
/// itself forbids.
pub(crate) fn send_away(draft: &mut Draft<'_>, number: PackageIx) {
    let Some((package, instance)) = live(draft.state, number) else {
        return;
    };
    let (node, own) = (instance.node, instance.importance(package));
    let (by, cause) = (package.name().clone(), package.trail);
    let mut rivals = Vec::new();
    if is_exclusive(draft.state, number) {
        rivals = less_important(draft.state, node, own, number);
    } else if package.condition.is_some() && unmet(draft.state, number, node).is_some() {
        let against = named(draft.state, number, Polarity::Negative);
        rivals = less_important(draft.state, node, own, number);
        rivals.retain(|rival| against.contains(rival));
        if !still_holds(draft.state, number, node, &[], &rivals) {
            return;
        }
        give_back(draft.state, number, node, &mut rivals);
    }
    for rival in rivals {
        draft.stop(rival, Reason::Excluded { by: by.clone() }, Cause::Of(cause));
        draft.plan_package(rival);
    }
}

/// Whoever need not go stays, the most important first.
fn give_back(state: &State, number: PackageIx, node: NodeIx, rivals: &mut Vec<PackageIx>) {
    for rival in rivals.clone() {
        let without: Vec<PackageIx> = rivals.iter().copied().filter(|other| *other != rival).collect();
        if still_holds(state, number, node, &[], &without) {
            *rivals = without;
        }
    }
}

/// The more important one on its node beside which a package may not run because one of them needs the node for itself.
pub(crate) fn more_important(state: &State, number: PackageIx) -> Option<PackageName> {
    let (package, instance) = live(state, number)?;
    let node = state.node_at(instance.node)?;
    if node.alone == 0 {
        return None;
    }
    let own = instance.importance(package);
    let others = node.instances.iter().filter(|other| **other != number);
    let mut others = others.filter_map(|other| Some((*other, live(state, *other)?)));
    let above = others.find(|(other, (package, instance))| {
        instance.importance(package) < own && (is_exclusive(state, number) || is_exclusive(state, *other))
    });
    above.map(|(_, (package, _))| package.name().clone())
}

/// What runs on a node and is less important, the most important first.
fn less_important(state: &State, node: NodeIx, own: Importance, number: PackageIx) -> Vec<PackageIx> {
    let there = state
        .node_at(node)
        .map(|node| node.instances.as_slice())
        .unwrap_or_default();
    let mut rivals: Vec<(Importance, PackageIx)> = there
        .iter()
        .filter(|other| **other != number)
        .filter_map(|other| {
            let (package, instance) = live(state, *other)?;
            Some((instance.importance(package), *other))
        })
        .filter(|(importance, _)| *importance > own)
        .collect();
    rivals.sort();
    rivals.into_iter().map(|(_, other)| other).collect()
}

fn live(state: &State, number: PackageIx) -> Option<(&Package, &Instance)> {
    let package = state.package_at(number)?;
    let instance = package.instance.as_ref().filter(|instance| instance.is_live())?;
    Some((package, instance))
}
