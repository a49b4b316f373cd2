//! What may no longer run as it runs is stopped. It keeps its room, and its unit, until its end is proven.

use alloc::string::ToString;

use crate::command::{Mode, Wish};
use crate::draft::{Cause, Draft};
use crate::group::Group;
use crate::id::PackageIx;
use crate::package::{Instance, Package};
use crate::plan::eligible::is_listed;
use crate::plan::free_run::runs_free;
use crate::plan::refresh::{refresh_group, refresh_single};
use crate::plan::{company, condition, needs, together};
use crate::reason::Reason;
use crate::state::{State, Unit};

/// Stops the instances of a unit that may not go on.
pub(crate) fn stop_unlawful(draft: &mut Draft<'_>, unit: Unit) {
    if let Some(group) = together::group_of(draft.state, unit) {
        return together::stop(draft, group);
    }
    let members = draft.state.members_of(unit);
    for number in members {
        company::send_away(draft, number);
        if let Some(why) = unlawful(draft, number) {
            let cause = if matches!(why, Reason::Unmet { .. }) {
                Cause::Of(condition::latest_trail(draft.state, number))
            } else {
                Cause::Trail
            };
            draft.stop(number, why, cause);
        }
    }
    match unit {
        Unit::Package(package) => refresh_single(draft, package),
        Unit::Group(group) => refresh_group(draft, group),
    }
}

/// Why a package's instance may not go on.
pub(super) fn unlawful(draft: &Draft<'_>, number: PackageIx) -> Option<Reason> {
    let state = &*draft.state;
    let package = state.package_at(number)?;
    let instance = package.instance.as_ref().filter(|instance| instance.is_live())?;
    if package.removing {
        return Some(Reason::Removed);
    }
    if let Some(why) = unwished(state, package, instance) {
        return Some(why);
    }
    if state.is_stopped() {
        return Some(Reason::ClusterStopped);
    }
    if state.node_at(instance.node).is_some_and(|node| node.drain) {
        return Some(Reason::Drained);
    }
    if !is_listed(state, package, instance.node) {
        return Some(Reason::NotAllowed);
    }
    if let Some((why, _)) = needs::lost(state, package, instance.node) {
        return Some(why);
    }
    if let Some(condition) = condition::unmet(state, number, instance.node) {
        return Some(Reason::Unmet { condition });
    }
    if let Some(by) = company::more_important(state, number) {
        return Some(Reason::Excluded { by });
    }
    (draft.grown.contains(&number) && is_over(state, instance)).then_some(Reason::NoRoom)
}

fn unwished(state: &State, package: &Package, instance: &Instance) -> Option<Reason> {
    match (package.wish, instance.mode) {
        (Wish::Stop, Mode::Active | Mode::Standby | Mode::Test) => Some(Reason::Stopped),
        (Wish::Test, Mode::Active | Mode::Standby) => Some(into_test(package)),
        (Wish::Test, Mode::Test) if package.own_mode != instance.own_mode => Some(into_test(package)),
        (Wish::Start, Mode::Test) => {
            let group = package.group.and_then(|group| state.group_at(group));
            let to = if group.is_some_and(Group::is_unit) && !runs_free(state, package) {
                Mode::Standby
            } else {
                Mode::Active
            };
            Some(Reason::ModeChange { to })
        }
        (Wish::Start, Mode::Active | Mode::Standby) | (Wish::Test, Mode::Test) => None,
    }
}

fn into_test(package: &Package) -> Reason {
    match &package.own_mode {
        None => Reason::ModeChange { to: Mode::Test },
        Some(mode) => Reason::OwnMode { mode: mode.to_string() },
    }
}

/// Whether the sums of what goes on on an instance's node have reached its capacity in a dimension that the instance
/// loads.
pub(super) fn is_over(state: &State, instance: &Instance) -> bool {
    let Some(node) = state.node_at(instance.node) else {
        return false;
    };
    let sums = node.planned.minus(node.leaving);
    let capacity = state.dimensions.capacity(&node.capacity);
    let rows = instance.load.0.iter().zip(sums.0).zip(capacity);
    let mut loaded = rows.filter(|((load, _), _)| **load > 0);
    loaded.any(|((_, sum), capacity)| capacity.is_some_and(|capacity| sum >= capacity))
}
