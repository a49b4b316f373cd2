//! Who becomes active, and when: only when nothing holds the unit any more.

use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::command::{Mode, Wish};
use crate::draft::{Cause, Draft};
use crate::event::EventKind;
use crate::group::{Exhausted, Group, Ownership, Vacancy};
use crate::id::{GroupIx, PackageIx};
use crate::package::Package;
use crate::plan::eligible::Terms;
use crate::plan::{gate, maintenance, place, together};
use crate::state::{Deadline, State, Unit};

/// Makes a unit's package active where none is and none may still be.
pub(crate) fn activate(draft: &mut Draft<'_>, unit: Unit) {
    if let Some(group) = together::group_of(draft.state, unit) {
        return together::start(draft, group);
    }
    match unit {
        Unit::Package(package) => activate_single(draft, package),
        Unit::Group(group) => activate_group(draft, group),
    }
}

impl Package {
    /// Whether it is to run.
    pub(crate) fn is_wished(&self) -> bool {
        self.wish == Wish::Start && !self.removing
    }
}

/// Whether a package is to be active or standby and has no instance.
pub(crate) fn wants_start(package: &Package) -> bool {
    package.is_wished() && package.instance.is_none()
}

fn activate_single(draft: &mut Draft<'_>, number: PackageIx) {
    if !gate::is_open(draft.state) || !draft.state.package_at(number).is_some_and(wants_start) {
        draft.drop_claim(number);
        return;
    }
    match place::choose_in(draft, number) {
        Some(choice) => place::start(draft, &choice, number, Mode::Active, Cause::Trail),
        None => {
            place::stake(draft, number);
        }
    }
}

fn activate_group(draft: &mut Draft<'_>, group: GroupIx) {
    drop_idle_claims(draft, group);
    let Some(row) = draft.state.group_at(group) else { return };
    if Ownership::of(draft.state.group_members(row)) != Ownership::Free {
        return;
    }
    if !draft.state.group_members(row).any(|(_, package)| package.is_wished()) {
        forget_vacancy(draft, group);
        return;
    }
    let vacancy = row.vacancy;
    let failure = vacancy.filter(|vacancy| vacancy.failure);
    if let Some(failure) = failure
        && is_exhausted(draft, group)
    {
        let members = draft.state.group_at(group).map(|row| row.members.clone());
        drop_claims(draft, &members.unwrap_or_default());
        restart_in_place(draft, group, failure);
        return;
    }
    let Some(row) = draft.state.group_at(group) else { return };
    if let Some(heir) = heir(draft.state, row) {
        draft.promote(heir, vacancy);
        fill_vacancy(draft, group, failure.is_some());
        return;
    }
    if !gate::is_open(draft.state) {
        return;
    }
    let order = in_order_of_start(draft.state, row);
    for number in order.iter().copied() {
        let Some(choice) = place::choose_in(draft, number) else {
            continue;
        };
        let node = choice.node;
        let cause = vacancy.map_or(Cause::Trail, |vacancy| Cause::Of(vacancy.cause));
        drop_claims(draft, &order);
        place::start(draft, &choice, number, Mode::Active, cause);
        let elsewhere = failure.is_some_and(|was| (was.package, was.node) != (number, node));
        fill_vacancy(draft, group, elsewhere);
        return;
    }
    // None can be started now: room is made for one of them, for the one that has a claim already if that still holds.
    let holds = |number: &PackageIx| place::claim_holds(draft.state, *number);
    if let Some(kept) = order.iter().copied().find(holds) {
        let others: Vec<PackageIx> = order.iter().copied().filter(|number| *number != kept).collect();
        drop_claims(draft, &others);
        return;
    }
    drop_claims(draft, &order);
    for number in order {
        if place::stake(draft, number) {
            return;
        }
    }
}

fn drop_claims(draft: &mut Draft<'_>, members: &[PackageIx]) {
    for number in members {
        draft.drop_claim(*number);
    }
}

/// Keeps no room any more for what is not to be touched.
pub(crate) fn drop_all_claims(draft: &mut Draft<'_>, unit: Unit) {
    let members = draft.state.members_of(unit);
    drop_claims(draft, &members);
}

/// Room is kept only for a member that is to become the active one.
fn drop_idle_claims(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.group_at(group) else { return };
    let held = Ownership::of(draft.state.group_members(row)) != Ownership::Free;
    let idle = held || !gate::is_open(draft.state) || heir(draft.state, row).is_some();
    let claims = |(number, package): (PackageIx, &Package)| {
        (package.claim.is_some() && (idle || !wants_start(package))).then_some(number)
    };
    let claims: Vec<PackageIx> = draft.state.group_members(row).filter_map(claims).collect();
    drop_claims(draft, &claims);
}

/// The standby that becomes active: the operator's choice; else of those that are ready, else of those that start, the
/// one that says it is fittest, then the first by rank. One that says it must not be is left alone: what takes over
/// without its data loses them.
pub(crate) fn heir(state: &State, group: &Group) -> Option<PackageIx> {
    let standing_by = |package: &Package| {
        let live = package.instance.as_ref().filter(|it| it.stands_by() && it.is_live());
        live.filter(|_| package.is_wished())
            .map(|instance| !instance.is_ready())
    };
    let candidates = state.group_members(group).filter_map(|(number, package)| {
        let starting = standing_by(package).filter(|_| !maintenance::is_held(state, number))?;
        let chosen = group.successor == Some(number);
        let score = package.instance.as_ref().and_then(|it| it.score).unwrap_or(0);
        (chosen || score >= 0).then_some((!chosen, starting, Reverse(score), package.rank(), number))
    });
    candidates.min().map(|(_, _, _, _, number)| number)
}

/// The members without an instance, in the order in which they are tried: those that are to come back where they were,
/// then by rank.
pub(crate) fn in_order_of_start(state: &State, group: &Group) -> Vec<PackageIx> {
    let mut members: Vec<_> = state
        .group_members(group)
        .filter(|(number, package)| wants_start(package) && !maintenance::is_held(state, *number))
        .map(|(number, package)| {
            (
                group.successor != Some(number),
                package.prefer.is_none(),
                package.rank(),
                number,
            )
        })
        .collect();
    members.sort();
    members.into_iter().map(|(_, _, _, number)| number).collect()
}

/// A group that fails over no more starts its member again where it was, as if it had no standby.
fn restart_in_place(draft: &mut Draft<'_>, group: GroupIx, was: Vacancy) {
    let state = &*draft.state;
    let Some(package) = state.package_at(was.package).filter(|package| wants_start(package)) else {
        return;
    };
    let in_place = package.prefer == Some(was.node)
        && Terms::of(state, was.package, package).allow(state, was.node, &state.rooms.get(was.node));
    if in_place && gate::is_open(state) {
        draft.start(was.package, was.node, Mode::Active, Cause::Of(was.cause));
        fill_vacancy(draft, group, false);
    }
}

/// Whether a group has failed over as often as it may; says so when that becomes true.
pub(super) fn is_exhausted(draft: &mut Draft<'_>, group: GroupIx) -> bool {
    let now = draft.at();
    let Some(row) = draft.state.groups.get_mut(group.0) else {
        return false;
    };
    if row.exhausted.is_some() {
        return true;
    }
    let limit = row.spec.failovers;
    row.failovers.retain(|at| now.since(*at) < limit.within);
    let attempts = usize::try_from(limit.attempts).unwrap_or(usize::MAX);
    if row.failovers.len() < attempts {
        return false;
    }
    let counted = row.failovers.len().saturating_sub(attempts);
    let until = row.failovers.get(counted).map(|first| first.plus(limit.within));
    row.exhausted = Some(Exhausted { until });
    let failovers = u32::try_from(row.failovers.len()).unwrap_or(u32::MAX);
    let cause = row.vacancy.and_then(|vacancy| vacancy.cause);
    let name = row.name().clone();
    if let Some(until) = until {
        draft.set_deadline(until, Deadline::Failovers(group));
    }
    let kind = EventKind::FailoversExhausted {
        group: name,
        failovers,
        within: limit.within,
    };
    draft.say_group(group, Cause::Of(cause), kind);
    true
}

/// Lets a group fail over again.
pub(crate) fn allow_failovers(draft: &mut Draft<'_>, group: GroupIx) {
    let Some(row) = draft.state.groups.get_mut(group.0) else {
        return;
    };
    row.failovers.clear();
    let Some(exhausted) = row.exhausted.take() else { return };
    let name = row.name().clone();
    if let Some(vacancy) = &mut row.vacancy {
        // What takes over now does so because it was allowed to: it is not the first failover of the next count.
        vacancy.failure = false;
    }
    if let Some(until) = exhausted.until {
        draft.drop_deadline(until, Deadline::Failovers(group));
    }
    draft.say_group(group, Cause::Trail, EventKind::FailoversAllowed { group: name });
    draft.plan_unit(Unit::Group(group));
}

pub(super) fn fill_vacancy(draft: &mut Draft<'_>, group: GroupIx, failed_over: bool) {
    let now = draft.at();
    let Some(row) = draft.state.groups.get_mut(group.0) else {
        return;
    };
    row.vacancy = None;
    row.successor = None;
    if failed_over {
        row.failovers.push(now);
    }
}

fn forget_vacancy(draft: &mut Draft<'_>, group: GroupIx) {
    if let Some(row) = draft.state.groups.get_mut(group.0) {
        row.vacancy = None;
        row.successor = None;
    }
}
