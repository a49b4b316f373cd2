//! Redundancy: standbys of duplex groups, after every active package has its place; and packages in test.

use crate::command::{Mode, Wish};
use crate::draft::{Cause, Draft};
use crate::group::Group;
use crate::id::{GroupIx, PackageIx};
use crate::package::{Instance, Package, Phase};
use crate::plan::takeover::in_order_of_start;
use crate::plan::{gate, place};
use crate::reason::Reason;
use crate::state::{State, Unit};

/// Starts standbys until a group has as many members running as it wants, and stops those beyond.
pub(crate) fn place_standbys(draft: &mut Draft<'_>, unit: Unit) {
    let Unit::Group(group) = unit else { return };
    if !draft.state.group_at(group).is_some_and(Group::is_unit) {
        return;
    }
    stop_surplus(draft, group);
    if !gate::is_open(draft.state) {
        return;
    }
    let Some(row) = draft.state.group_at(group) else { return };
    for number in in_order_of_start(draft.state, row) {
        let Some(row) = draft.state.group_at(group) else { return };
        if occupied(draft.state, row) >= wanted(row) {
            return;
        }
        if let Some(choice) = place::choose_in(draft, number) {
            draft.start(number, choice.node, Mode::Standby, Cause::Trail);
        }
    }
}

/// How many members of a group are to run: the active one and its standbys.
pub(crate) fn wanted(group: &Group) -> u32 {
    group.spec.standbys.saturating_add(1)
}

/// How many members of a group run or will run again where they were.
pub(crate) fn occupied(state: &State, group: &Group) -> u32 {
    let count = state
        .group_members(group)
        .filter(|(_, package)| occupies(package))
        .count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether a member takes one of its group's places: one that leaves for good, or is in test, does not.
fn occupies(package: &Package) -> bool {
    let Some(instance) = &package.instance else {
        return false;
    };
    if package.wish != Wish::Start || package.removing {
        return false;
    }
    match &instance.phase {
        Phase::Starting | Phase::Running | Phase::Changing { .. } | Phase::Failing { .. } | Phase::Stranded => {
            instance.mode != Mode::Test
        }
        Phase::Stopping { why } => {
            matches!(
                why,
                Reason::Redefined
                    | Reason::Promoted { .. }
                    | Reason::ModeChange { .. }
                    | Reason::OwnMode { .. }
                    | Reason::Moved { .. }
            )
        }
    }
}

fn stop_surplus(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    let wanted = wanted(row);
    let surplus = occupied(draft.state, row).saturating_sub(wanted);
    let is_standby = |instance: &Instance| instance.stands_by() && instance.is_live();
    let mut standbys: alloc::vec::Vec<PackageIx> = draft
        .state
        .group_members(row)
        .filter(|(_, package)| package.instance.as_ref().is_some_and(is_standby))
        .map(|(number, _)| number)
        .collect();
    standbys.reverse();
    let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
    for number in standbys.into_iter().take(surplus) {
        draft.stop(number, Reason::Surplus { wanted }, Cause::Trail);
    }
}

/// Starts packages in test: they are never active, and may run beside an active one.
pub(crate) fn place_tests(draft: &mut Draft<'_>, unit: Unit) {
    if !gate::is_open(draft.state) {
        return;
    }
    let members = draft.state.members_of(unit);
    for number in members {
        let wanted = draft
            .state
            .package_at(number)
            .is_some_and(|package| package.wish == Wish::Test && !package.removing && package.instance.is_none());
        if !wanted {
            continue;
        }
        if let Some(choice) = place::choose_in(draft, number) {
            draft.start(number, choice.node, Mode::Test, Cause::Trail);
        }
    }
}
