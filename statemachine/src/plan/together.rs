//! Together groups: all members run on one node and move as one. They start in the order of `after`, each once those
//! before it are ready, and stop in the reverse order, each once the end of those after it is proven.
//!
//! Each member is a unit of its own: one group's members are all active. A member whose turn has not come is placed with
//! the others, so that its room is kept, and is *held*: its node's desired set does not have it yet. Once the group has
//! to leave its node it leaves as a whole ([`Leaving`]), and nothing of it is placed before the last end there is proven.

mod leave;
mod search;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::command::{GroupKind, Mode, Wish};
use crate::draft::{Cause, Draft};
use crate::group::{Group, Leaving};
use crate::id::{GroupIx, NodeIx, PackageIx};
use crate::package::{Instance, Package, Phase};
use crate::plan::gate;
use crate::plan::lawful::unlawful;
use crate::plan::refresh;
use crate::plan::takeover::{fill_vacancy, is_exhausted, wants_start};
use crate::reason::Reason;
use crate::state::{State, Unit};

pub(crate) use leave::leave;
pub(crate) use search::{Bundle, choose, obstacle, obstacles};

impl Group {
    /// Whether its members are placed and moved as one.
    #[must_use]
    pub fn is_together(&self) -> bool {
        self.spec.kind == GroupKind::Together
    }

    /// Whether only one of its members may be active, or released, at a time.
    #[must_use]
    pub fn is_unit(&self) -> bool {
        match self.spec.kind {
            GroupKind::Duplex | GroupKind::FreeRun => true,
            GroupKind::Together | GroupKind::LoadShare => false,
        }
    }
}

/// The group of a unit whose members run together.
pub(crate) fn group_of(state: &State, unit: Unit) -> Option<GroupIx> {
    match unit {
        Unit::Package(_) => None,
        Unit::Group(group) => state.group_at(group).is_some_and(Group::is_together).then_some(group),
    }
}

/// Whether a package is placed with the others of its group: it is of a together group, and not in test.
pub(crate) fn holds(state: &State, package: &Package) -> bool {
    let group = package.group.and_then(|group| state.group_at(group));
    package.wish != Wish::Test && group.is_some_and(Group::is_together)
}

/// Where a group's members are, tests apart.
pub(crate) fn home(state: &State, group: &Group) -> Option<NodeIx> {
    let mut places = state
        .group_members(group)
        .filter_map(|(_, package)| package.instance.as_ref())
        .filter(|instance| instance.mode != Mode::Test)
        .map(|instance| instance.node);
    places.next()
}

/// The members of a group that start before one of them and stop after it: those it names, those that they name, …
fn before(state: &State, group: &Group, number: PackageIx) -> BTreeSet<PackageIx> {
    let mut found = BTreeSet::new();
    let mut next = Vec::from([number]);
    while let Some(package) = next.pop().and_then(|number| state.package_at(number)) {
        for (earlier, it) in state.group_members(group) {
            if package.spec.after.contains(it.name()) && found.insert(earlier) {
                next.push(earlier);
            }
        }
    }
    found
}

/// Stops what may not go on, in the reverse order of `after`: what is still waited for keeps what it rests on.
pub(crate) fn stop(draft: &mut Draft<'_>, group: GroupIx) {
    leave::note(draft, group);
    let Some(row) = draft.state.group_at(group) else { return };
    let leaving = row.leaving.clone();
    let members = row.members.iter().copied();
    let due: Vec<(PackageIx, (Reason, Cause))> = members
        .filter_map(|number| Some((number, why_stopped(draft, number, leaving.as_ref())?)))
        .collect();
    let going_on: Vec<PackageIx> = row
        .members
        .iter()
        .copied()
        .filter(|number| !due.iter().any(|(stopped, _)| stopped == number))
        .collect();
    let ending = |number: PackageIx| {
        let instance = draft
            .state
            .package_at(number)
            .and_then(|package| package.instance.as_ref());
        instance.is_some_and(|instance| matches!(instance.phase, Phase::Stopping { .. } | Phase::Failing { .. }))
    };
    // What starts after others stops before them: as long as it is there, they go on.
    let mut needed = BTreeSet::new();
    for later in row.members.iter().copied() {
        if ending(later) || due.iter().any(|(number, _)| *number == later) {
            needed.extend(before(draft.state, row, later));
        }
    }
    for (number, (why, cause)) in due {
        if !needed.contains(&number) {
            draft.stop(number, why, cause);
        }
    }
    refresh::reload_members(draft, &going_on);
}

/// Why a member's instance is to stop.
fn why_stopped(draft: &Draft<'_>, number: PackageIx, leaving: Option<&Leaving>) -> Option<(Reason, Cause)> {
    let package = draft.state.package_at(number)?;
    let instance = package.instance.as_ref().filter(|instance| instance.is_live())?;
    let leaves = leaving
        .filter(|leaving| leaving.node == instance.node && instance.mode != Mode::Test)
        .map(|leaving| (leaving.why.clone(), Cause::Of(leaving.cause)));
    match unlawful(draft, number) {
        Some(Reason::Drained | Reason::NotAllowed | Reason::NoRoom | Reason::NeedLost { .. }) if leaves.is_some() => {
            leaves
        }
        Some(why) => Some((why, Cause::Trail)),
        None => leaves.or_else(|| refresh::restarts(package).then_some((Reason::Redefined, Cause::Trail))),
    }
}

/// Whether a package may have to wait with its own stop: something of its together group is ending.
pub(crate) fn takes_turns(state: &State, package: &Package) -> bool {
    let group = package.group.and_then(|group| state.group_at(group));
    let ending = |package: &Package| {
        let phase = package.instance.as_ref().map(|instance| &instance.phase);
        matches!(phase, Some(Phase::Stopping { .. } | Phase::Failing { .. }))
    };
    group
        .filter(|group| group.is_together())
        .is_some_and(|group| state.group_members(group).any(|(_, package)| ending(package)))
}

/// Places what is to run and has no instance: beside the others, or all of them on one node; and lets those start whose
/// turn has come.
pub(crate) fn start(draft: &mut Draft<'_>, group: GroupIx) {
    leave::forget(draft, group);
    let Some(row) = draft.state.group_at(group) else { return };
    if row.leaving.is_none() && gate::is_open(draft.state) {
        place(draft, group);
    }
    release_held(draft, group);
}

fn place(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    let missing = missing(draft.state, row);
    if missing.is_empty() {
        return;
    }
    let vacancy = row.vacancy;
    if let Some(home) = home(draft.state, row) {
        for number in missing {
            if Bundle::of(draft.state, &[number]).allows(draft.state, home) {
                start_held(draft, number, home);
            }
        }
        fill_vacancy(draft, group, false);
        return;
    }
    let failure = vacancy.filter(|vacancy| vacancy.failure);
    let exhausted = failure.is_some() && is_exhausted(draft, group);
    let bundle = Bundle::of(draft.state, &missing);
    let node = match failure.filter(|_| exhausted) {
        Some(was) => bundle.allows(draft.state, was.node).then_some(was.node),
        None => bundle.choose(draft.state),
    };
    let Some(node) = node else { return };
    for number in missing {
        start_held(draft, number, node);
    }
    fill_vacancy(draft, group, failure.is_some_and(|was| was.node != node));
}

/// The members that are to run and have no instance, those that start first in front.
pub(crate) fn missing(state: &State, group: &Group) -> Vec<PackageIx> {
    let mut rest: Vec<(PackageIx, BTreeSet<PackageIx>)> = state
        .group_members(group)
        .filter(|(_, package)| wants_start(package))
        .map(|(number, _)| (number, before(state, group, number)))
        .collect();
    let mut ordered = Vec::new();
    while !rest.is_empty() {
        let is_first =
            |(_, before): &(PackageIx, BTreeSet<PackageIx>)| !rest.iter().any(|(other, _)| before.contains(other));
        // A cycle is refused where it is defined; were there one, the order of rank ends it.
        let first = rest.iter().position(is_first).unwrap_or(0);
        ordered.push(rest.remove(first).0);
    }
    ordered
}

fn start_held(draft: &mut Draft<'_>, number: PackageIx, node: NodeIx) {
    draft.start(number, node, Mode::Active, Cause::Trail);
    draft.change_instance(number, |instance| instance.held = true);
}

/// Lets go those for which everything before them is ready.
fn release_held(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    let held = |package: &Package| package.instance.as_ref().is_some_and(|instance| instance.held);
    let free: Vec<(PackageIx, NodeIx)> = draft
        .state
        .group_members(row)
        .filter(|(number, package)| held(package) && waits_for(draft.state, *number).is_none())
        .filter_map(|(number, package)| Some((number, package.instance.as_ref()?.node)))
        .collect();
    for (number, node) in free {
        let now = draft.now;
        draft.change_instance(number, |instance| {
            instance.held = false;
            instance.since = now;
        });
        draft.touch(node);
    }
}

/// The first member before this one that is to run and is not ready.
pub(crate) fn waits_for(state: &State, number: PackageIx) -> Option<&Package> {
    let package = state.package_at(number)?;
    let group = package.group.and_then(|group| state.group_at(group))?;
    let mut before = before(state, group, number)
        .into_iter()
        .filter_map(|earlier| state.package_at(earlier))
        .filter(|earlier| earlier.is_wished());
    before.find(|earlier| !earlier.instance.as_ref().is_some_and(Instance::is_ready))
}
