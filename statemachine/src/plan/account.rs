//! What the plan came to: why packages have no instance, which units wait, and how groups are.

use alloc::collections::BTreeSet;

use crate::command::Wish;
use crate::draft::{Cause, Draft};
use crate::event::{EventId, EventKind};
use crate::group::{Group, Health, Ownership};
use crate::id::{GroupIx, PackageIx};
use crate::package::{Instance, Package};
use crate::plan::eligible::Terms;
use crate::plan::refresh::held_back_by;
use crate::plan::standby::{occupied, wanted};
use crate::plan::{gate, maintenance, together};
use crate::reason::Reason;
use crate::state::{State, Unit};

/// Takes leave of members that were removed and have ended, before anything is decided: what the group remembers of them
/// must not hold the others back.
pub(crate) fn bury_removed(draft: &mut Draft<'_>, unit: Unit) {
    for member in draft.state.members_of(unit) {
        draft.bury(member);
    }
}

/// Writes down what the plan came to for a unit, and says what is new.
pub(crate) fn account(draft: &mut Draft<'_>, unit: Unit) {
    let members = draft.state.members_of(unit);
    if let Unit::Group(group) = unit {
        set_health(draft, group);
    }
    let mut waits = false;
    for number in members {
        let Some(package) = draft.state.package_at(number) else {
            continue;
        };
        let idle = why_idle(draft.state, number, package);
        waits |= idle.as_ref().is_some_and(Reason::waits_for_node);
        set_idle(draft, number, idle);
    }
    draft.set_waiting(unit, waits);
    if let Unit::Group(group) = unit {
        draft.bury_group(group);
    }
}

/// How the groups are whose members are units of their own: each once, however many of its members were planned.
pub(crate) fn account_shared(draft: &mut Draft<'_>, units: impl Iterator<Item = Unit>) {
    let group_of = |unit: Unit| match unit {
        Unit::Package(package) => draft.state.package_at(package)?.group,
        Unit::Group(_) => None,
    };
    let groups: BTreeSet<GroupIx> = units.filter_map(group_of).collect();
    for group in groups {
        if draft.state.group_at(group).is_some_and(Group::members_are_units) {
            set_health(draft, group);
        }
    }
}

/// Why a package has no instance; none where it has one.
pub(crate) fn why_idle(state: &State, number: PackageIx, package: &Package) -> Option<Reason> {
    if package.instance.is_some() {
        return None;
    }
    // Whoever works on the node may have it running: that its group waits for the end of the maintenance is not forgotten
    // where it is to be stopped meanwhile.
    let kept = state.shared_unit(package).is_some() && maintenance::ended_on(state, package).is_some();
    if package.wish == Wish::Stop && !kept {
        return Some(Reason::Stopped);
    }
    if let Some(held) = maintenance::why(state, number, package) {
        return Some(held);
    }
    if state.is_stopped() {
        return Some(Reason::ClusterStopped);
    }
    if !gate::is_open(state) {
        return Some(Reason::WaitsForNodes);
    }
    if let Some(group) = state.shared_unit(package)
        && package.wish == Wish::Start
        && package.claim.is_none()
    {
        if group.is_unit() && occupied(state, group) >= wanted(group) {
            return Some(Reason::Reserve { wanted: wanted(group) });
        }
        if let Some(leaving) = &group.leaving
            && let Some(node) = state.node_at(leaving.node)
        {
            return Some(Reason::GroupLeaves {
                node: node.name.clone(),
            });
        }
        if group.exhausted.is_some() && group.vacancy.is_some() {
            let failovers = u32::try_from(group.failovers.len()).unwrap_or(u32::MAX);
            return Some(Reason::Exhausted { failovers });
        }
    }
    if let Some(node) = package.claim.and_then(|node| state.node_at(node)) {
        return Some(Reason::AwaitsRoom {
            node: node.name.clone(),
        });
    }
    let nodes = if together::holds(state, package) {
        together::obstacles(state, number, package)
    } else {
        Terms::of(state, number, package).obstacles(state)
    };
    Some(if nodes.banned > 0 {
        Reason::Failed { nodes }
    } else {
        Reason::NoNode { nodes }
    })
}

fn set_idle(draft: &mut Draft<'_>, number: PackageIx, idle: Option<Reason>) {
    let Some(package) = draft.state.package_at(number) else {
        return;
    };
    if package.idle == idle {
        return;
    }
    let known = match (&package.idle, &idle) {
        (Some(before), Some(after)) => before.is_like(after),
        (None | Some(_), None) => true,
        (None, Some(_)) => false,
    };
    let name = package.name().clone();
    draft.change_package(number, |package| package.idle = idle.clone());
    if known {
        return;
    }
    match idle {
        Some(why @ Reason::Failed { .. }) => {
            draft.say_package(number, Cause::Trail, EventKind::GaveUp { package: name, why });
            say_held_back(draft, number);
        }
        Some(why @ (Reason::NoNode { .. } | Reason::AwaitsRoom { .. })) => {
            draft.say_package(number, Cause::Trail, EventKind::Waiting { package: name, why });
        }
        Some(_) | None => {}
    }
}

/// Who has given up under a new definition keeps it from the active one of its group.
fn say_held_back(draft: &mut Draft<'_>, failed: PackageIx) {
    if let Some((held, kind)) = held_back(draft, failed) {
        draft.say_package(held, Cause::Trail, kind);
    }
}

fn held_back(draft: &Draft<'_>, failed: PackageIx) -> Option<(PackageIx, EventKind)> {
    let by = draft.state.package_at(failed)?;
    let mut members = draft.state.group_members(draft.state.group_at(by.group?)?);
    let (held, package) = members.find(|(number, _)| held_back_by(draft.state, *number) == Some(failed))?;
    let (package, node) = draft.names(held, package.instance.as_ref()?.node)?;
    let by = by.name().clone();
    Some((held, EventKind::RollOutHeld { package, node, by }))
}

/// What is known of a group: its health, its active member and how many standbys are ready.
struct Finding {
    health: Health,
    active: Option<PackageIx>,
    ready: u32,
}

fn examine(state: &State, group: &Group) -> Finding {
    let stopped = state.is_stopped();
    let wished = !stopped && state.group_members(group).any(|(_, package)| package.is_wished());
    let is_ready_standby = |instance: &Instance| instance.stands_by() && instance.is_ready();
    let ready = state
        .group_members(group)
        .filter(|(_, package)| package.instance.as_ref().is_some_and(is_ready_standby))
        .count();
    let ready = u32::try_from(ready).unwrap_or(u32::MAX);
    let ownership = Ownership::of(state.group_members(group));
    let active = match ownership {
        Ownership::Held { package, .. } => Some(package),
        Ownership::Free | Ownership::Releasing { .. } | Ownership::Stranded { .. } => None,
    };
    let health = match ownership {
        Ownership::Held { .. } if ready >= group.spec.standbys => Health::Redundant,
        Ownership::Held { .. } => Health::Degraded,
        // Whether the group is lost shows once the end of the old one is proven.
        Ownership::Releasing { .. } => group.health,
        Ownership::Free | Ownership::Stranded { .. } if !wished || group.health == Health::Idle => Health::Idle,
        Ownership::Free | Ownership::Stranded { .. } => Health::Lost,
    };
    Finding { health, active, ready }
}

fn set_health(draft: &mut Draft<'_>, number: GroupIx) {
    let Some(group) = draft.state.group_at(number) else {
        return;
    };
    if !group.is_unit() {
        return set_common_health(draft, number);
    }
    let Finding { health, active, ready } = examine(draft.state, group);
    if health == group.health {
        return;
    }
    let name = group.name().clone();
    let wanted = group.spec.standbys;
    let active = active
        .and_then(|active| draft.state.package_at(active))
        .map(|package| package.name().clone());
    let cause = latest_trail(draft.state, group);
    if let Some(group) = draft.state.groups.get_mut(number.0) {
        group.health = health;
    }
    let kind = match (health, active) {
        (Health::Redundant, Some(active)) => EventKind::GroupRedundant { group: name, active },
        (Health::Degraded, Some(active)) => EventKind::GroupDegraded {
            group: name,
            active,
            ready,
            wanted,
        },
        (Health::Lost, _) => EventKind::GroupLost { group: name },
        (Health::Idle, _) | (Health::Redundant | Health::Degraded, None) => return,
    };
    draft.say_group(number, Cause::Of(cause), kind);
}

/// A group whose members all run: how many do.
fn set_common_health(draft: &mut Draft<'_>, number: GroupIx) {
    let Some(group) = draft.state.group_at(number) else {
        return;
    };
    let stopped = draft.state.is_stopped();
    let wished = || {
        draft
            .state
            .group_members(group)
            .filter(|(_, package)| package.is_wished() && !stopped)
    };
    let is_ready = |package: &Package| package.instance.as_ref().is_some_and(Instance::is_ready);
    let goes_on = |package: &Package| package.instance.as_ref().is_some_and(Instance::is_live);
    let ends = |package: &Package| package.instance.is_some();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let wanted = count(wished().count());
    let running = count(wished().filter(|(_, package)| is_ready(package)).count());
    let health = match running {
        _ if wanted == 0 => Health::Idle,
        _ if running == wanted => Health::Redundant,
        _ if wished().any(|(_, package)| goes_on(package)) => Health::Degraded,
        // Whether the group is lost shows once the end of the last one is proven.
        _ if wished().any(|(_, package)| ends(package)) || group.health == Health::Idle => group.health,
        _ => Health::Lost,
    };
    if health == group.health {
        return;
    }
    let name = group.name().clone();
    let cause = latest_trail(draft.state, group);
    if let Some(group) = draft.state.groups.get_mut(number.0) {
        group.health = health;
    }
    let kind = match health {
        Health::Idle => return,
        Health::Lost => EventKind::GroupLost { group: name },
        Health::Redundant | Health::Degraded => EventKind::GroupRuns {
            group: name,
            running,
            wanted,
        },
    };
    draft.say_group(number, Cause::Of(cause), kind);
}

/// The last event about any member: what a change of the group's health follows from.
fn latest_trail(state: &State, group: &Group) -> Option<EventId> {
    state
        .group_members(group)
        .filter_map(|(_, package)| package.trail)
        .max()
}
