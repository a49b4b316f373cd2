//! When a together group leaves its node: what drives one member away drives all.

use crate::command::Mode;
use crate::draft::Draft;
use crate::event::EventId;
use crate::group::{Group, Leaving};
use crate::id::{GroupIx, NodeIx, PackageIx};
use crate::package::Package;
use crate::plan::eligible::is_listed;
use crate::plan::needs;
use crate::plan::takeover::is_exhausted;
use crate::plan::together::{Bundle, holds, home};
use crate::reason::Reason;
use crate::state::State;

/// Notes that a group has to leave the node where it is, and why.
pub(super) fn note(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    if row.leaving.is_some() {
        return;
    }
    let Some(node) = home(draft.state, row) else { return };
    let Some((why, cause)) = why(draft, group, node) else {
        return;
    };
    if let Some(row) = draft.state.groups.get_mut(group.0) {
        row.leaving = Some(Leaving { node, why, cause });
    }
}

/// Makes a package's together group leave the node where the package is; false where it has no such group.
pub(crate) fn leave(draft: &mut Draft<'_>, number: PackageIx, why: Reason, cause: Option<EventId>) -> bool {
    let state = &*draft.state;
    let Some(package) = state.package_at(number).filter(|package| holds(state, package)) else {
        return false;
    };
    let node = package.instance.as_ref().map(|instance| instance.node);
    if let Some((group, node)) = package.group.zip(node)
        && let Some(row) = draft.state.groups.get_mut(group.0)
        && row.leaving.is_none()
    {
        row.leaving = Some(Leaving { node, why, cause });
    }
    true
}

/// Forgets it once nothing of the group is left there.
pub(super) fn forget(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    let Some(leaving) = &row.leaving else { return };
    if home(draft.state, row) == Some(leaving.node) {
        return;
    }
    if let Some(row) = draft.state.groups.get_mut(group.0) {
        row.leaving = None;
    }
}

fn why(draft: &mut Draft<'_>, group: GroupIx, node: NodeIx) -> Option<(Reason, Option<EventId>)> {
    let state = &*draft.state;
    let row = state.group_at(group)?;
    let place = state.node_at(node)?;
    if place.drain {
        return Some((Reason::Drained, place.trail));
    }
    let wished = || wished(state, row);
    if let Some((_, package)) = wished().find(|(_, package)| !is_listed(state, package, node)) {
        return Some((Reason::NotAllowed, package.trail));
    }
    let grown = |number: PackageIx| draft.grown.contains(&number) && is_over(state, number);
    if let Some((_, package)) = wished().find(|(number, _)| grown(*number)) {
        return Some((Reason::NoRoom, package.trail));
    }
    // A failure of one drives the others away only where all of them can go.
    let all: alloc::vec::Vec<PackageIx> = wished().map(|(number, _)| number).collect();
    let elsewhere = || Bundle::of(state, &all).without(node).choose(state).is_some();
    if let Some((why, resource)) = wished().find_map(|(_, package)| needs::lost(state, package, node)) {
        return elsewhere().then_some((why, resource.event));
    }
    let (_, failed) = wished().find(|(_, package)| package.instance.is_none() && is_banned(state, package, node))?;
    let (package, cause) = (failed.name().clone(), failed.trail);
    if !elsewhere() {
        return None;
    }
    (!is_exhausted(draft, group)).then_some((Reason::GroupMoves { package }, cause))
}

/// The members that are to run.
fn wished<'a>(state: &'a State, group: &'a Group) -> impl Iterator<Item = (PackageIx, &'a Package)> {
    state.group_members(group).filter(|(_, package)| package.is_wished())
}

fn is_over(state: &State, number: PackageIx) -> bool {
    let instance = state.package_at(number).and_then(|package| package.instance.as_ref());
    instance
        .filter(|instance| instance.is_live() && instance.mode != Mode::Test)
        .is_some_and(|instance| crate::plan::lawful::is_over(state, instance))
}

fn is_banned(state: &State, package: &Package, node: NodeIx) -> bool {
    let session = state.node_at(node).map(|node| node.status.session());
    package
        .bans
        .iter()
        .any(|ban| ban.node == node && Some(ban.session) == session)
}
