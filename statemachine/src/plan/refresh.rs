//! Instances of an older definition are reloaded or restarted: the standbys of a group first, the active one last, and not
//! at all while a standby fails under the new one.

use alloc::vec::Vec;

use crate::draft::{Cause, Draft};
use crate::group::{Group, Ownership};
use crate::id::{GroupIx, PackageIx};
use crate::package::{Instance, Package};
use crate::plan::place;
use crate::plan::standby::{occupied, wanted};
use crate::plan::takeover::wants_start;
use crate::reason::Reason;
use crate::reload::{self, Refresh};
use crate::state::State;

/// A package that is its own unit.
pub(super) fn refresh_single(draft: &mut Draft<'_>, number: PackageIx) {
    if let Some(refresh) = draft.state.package_at(number).and_then(reload::due) {
        perform(draft, number, refresh);
    }
}

/// A group: the standbys first, then, once they are ready again, the active one.
pub(super) fn refresh_group(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    let Ownership::Held { package: active, .. } = Ownership::of(draft.state.group_members(row)) else {
        return;
    };
    let due = |number: &PackageIx| draft.state.package_at(*number).and_then(reload::due);
    let standbys: Vec<(PackageIx, Refresh)> = row
        .members
        .iter()
        .copied()
        .filter(|member| *member != active)
        .filter_map(|member| Some((member, due(&member)?)))
        .collect();
    let of_active = due(&active).filter(|_| {
        standbys.is_empty()
            && others_are_settled(draft.state, row, active)
            && failed_under_new(draft.state, row, active).is_none()
    });
    for (number, refresh) in standbys {
        perform(draft, number, refresh);
    }
    if let Some(refresh) = of_active {
        perform(draft, active, refresh);
    }
}

/// Reloads what can be reloaded of a together group. What is to be restarted there takes its turn with what is stopped.
pub(super) fn reload_members(draft: &mut Draft<'_>, members: &[PackageIx]) {
    for number in members {
        if draft.state.package_at(*number).and_then(reload::due) == Some(Refresh::Reload) {
            draft.reload(*number);
        }
    }
}

/// Whether a package is to be stopped because its definition has changed.
pub(super) fn restarts(package: &Package) -> bool {
    reload::due(package) == Some(Refresh::Restart)
}

fn perform(draft: &mut Draft<'_>, number: PackageIx, refresh: Refresh) {
    match refresh {
        Refresh::Reload => draft.reload(number),
        Refresh::Wait => {}
        Refresh::Restart => draft.stop(number, Reason::Redefined, Cause::Trail),
    }
}

/// Whom the active one of its group waits for with its new definition: a member that failed under its own new one and
/// does not run. Nobody who works is stopped for a definition that has just been seen to fail.
pub(crate) fn held_back_by(state: &State, number: PackageIx) -> Option<PackageIx> {
    let package = state.package_at(number)?;
    let instance = package.instance.as_ref()?;
    if !package.is_outdated() || !instance.holds_unit() || !instance.is_live() {
        return None;
    }
    failed_under_new(state, state.group_at(package.group?)?, number)
}

/// A definition that changes how a package is run forgets its failures, so those that there are came under it. It says something of
/// the active one's only where it came later than what that runs.
fn failed_under_new(state: &State, group: &Group, active: PackageIx) -> Option<PackageIx> {
    let runs = state.package_at(active)?.instance.as_ref()?.revision;
    let mut others = state.group_members(group).filter(|(number, _)| *number != active);
    let failed = others.find(|(_, package)| {
        let ready = package.instance.as_ref().is_some_and(Instance::is_ready);
        package.revision > runs
            && package.is_wished()
            && !ready
            && !(package.failures.is_empty() && package.bans.is_empty())
    });
    failed.map(|(number, _)| number)
}

/// Whether every other member of a group is ready, or has no instance and is not about to have one.
fn others_are_settled(state: &State, group: &Group, active: PackageIx) -> bool {
    let mut others = state.group_members(group).filter(|(number, _)| *number != active);
    others.all(|(number, package)| match &package.instance {
        Some(instance) => instance.is_ready(),
        None => !comes_back(state, group, number, package),
    })
}

/// Whether a member without an instance will have one in this very entry: it ended in order to start again, or may again.
fn comes_back(state: &State, group: &Group, number: PackageIx, package: &Package) -> bool {
    wants_start(package) && occupied(state, group) < wanted(group) && place::choose(state, number).is_some()
}
