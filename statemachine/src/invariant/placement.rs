//! I13 and I15 where packages give way to each other: conditions, nodes for themselves, room that is kept.

use alloc::format;
use alloc::string::String;

use super::instances;
use crate::group::Ownership;
use crate::id::{NodeIx, PackageIx};
use crate::package::{Instance, Package};
use crate::plan::{condition, maintenance, place, together};
use crate::reason::Reason;
use crate::state::{State, Unit};

/// I13: the condition of what goes on holds by what goes on beside it; members of a together group stop in turns.
pub(super) fn conditions_hold(state: &State) -> Result<(), String> {
    let due = |(_, package, instance): &(PackageIx, &Package, &Instance)| {
        instance.is_live() && !together::takes_turns(state, package)
    };
    let free = |(number, _, _): &(PackageIx, &Package, &Instance)| !maintenance::is_held(state, *number);
    for (number, package, instance) in instances(state).filter(due).filter(free) {
        if let Some(condition) = condition::unmet(state, number, instance.node) {
            return Err(format!(
                "{} runs although its condition fails: {condition}",
                package.name()
            ));
        }
    }
    Ok(())
}

/// I13: what needs a node for itself has one; what is being stopped counts too.
pub(super) fn alone_where_exclusive(state: &State) -> Result<(), String> {
    for (_, package, instance) in instances(state).filter(|(_, _, instance)| instance.spec.exclusive) {
        let there = || instances(state).filter(|(_, _, other)| other.node == instance.node && other.is_live());
        if there().any(|(number, _, _)| maintenance::is_held(state, number)) {
            continue;
        }
        let there = there();
        if instance.is_live() && there.count() > 1 {
            return Err(format!("{} needs its node for itself and is not alone", package.name()));
        }
    }
    Ok(())
}

/// Room is kept only for a package that is to be active, on a node where it will have it.
pub(super) fn claims_can_be_met(state: &State) -> Result<(), String> {
    for (number, package) in state.packages.iter().filter(|(_, package)| package.claim.is_some()) {
        let number = PackageIx(number);
        let held = matches!(state.unit_of(number), Unit::Group(_)) && state.ownership(package) != Ownership::Free;
        if package.instance.is_some() || held || !matches!(package.idle, Some(Reason::AwaitsRoom { .. })) {
            return Err(format!(
                "room is kept for {}, which does not wait for it",
                package.name()
            ));
        }
        if !place::claim_holds(state, number) {
            return Err(format!("room is kept for {} where it will not have it", package.name()));
        }
        if place::choose(state, number).is_some() {
            return Err(format!("{} waits for room although it could start", package.name()));
        }
    }
    Ok(())
}

/// I15: whether a package that is to be active waits although others would have to give way.
pub(super) fn could_make_room(state: &State, number: PackageIx) -> bool {
    let Some(package) = state
        .package_at(number)
        .filter(|_| !maintenance::is_held(state, number))
    else {
        return false;
    };
    let free = match state.shared_unit(package) {
        Some(group) => {
            let mut members = state.group_members(group);
            state.ownership(package) == Ownership::Free && !members.any(|(_, member)| member.claim.is_some())
        }
        None => true,
    };
    let first = package.wish == crate::command::Wish::Start && free;
    first && place::make_room(state, number).is_some()
}

/// The sums of each node, and who is named by whose condition, follow from the packages.
pub(super) fn sums_follow_rows(state: &State, again: &State) -> Result<(), String> {
    for (number, node) in state.nodes.iter() {
        let Some(other) = again.node_at(NodeIx(number)) else {
            continue;
        };
        let kept = (node.planned, node.leaving, &node.claims, node.claimed, node.alone);
        let built = (other.planned, other.leaving, &other.claims, other.claimed, other.alone);
        if kept != built {
            return Err(format!("node {} has {kept:?}, by the rows {built:?}", node.name));
        }
    }
    if state.mentions.len() != again.mentions.len() {
        return Err(format!(
            "{} names are mentioned, by the rows {}",
            state.mentions.len(),
            again.mentions.len()
        ));
    }
    Ok(())
}
