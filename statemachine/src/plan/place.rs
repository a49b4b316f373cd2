//! Where a package is placed.

use crate::draft::Draft;
use crate::id::{NodeIx, PackageIx};
use crate::plan::eligible::Terms;
use crate::plan::{gate, together};
use crate::state::{State, Unit};

/// The node for a package: the preferred one; else the first of its list that can take it; else the one with most room,
/// then the lowest number.
pub(crate) fn choose(state: &State, number: PackageIx) -> Option<NodeIx> {
    let package = state.package_at(number)?;
    if together::holds(state, package) {
        return together::choose(state, number, package);
    }
    let terms = Terms::of(state, number, package);
    let allowed = |node: NodeIx| terms.allow(node, &state.rooms.get(node));
    if let Some(preferred) = package.prefer
        && allowed(preferred)
    {
        return Some(preferred);
    }
    match &terms.listed {
        Some(listed) => listed.iter().copied().find(|node| allowed(*node)),
        None => state.rooms.most_room(|node, room| terms.allow(node, room)),
    }
}

/// Units that wait join the plan where a node that gained room can take one of their packages.
pub(crate) fn wake_waiting(draft: &mut Draft<'_>) {
    let gained = core::mem::take(&mut draft.gained);
    let state = &*draft.state;
    let rooms = || {
        gained
            .iter()
            .map(|node| (*node, state.rooms.get(*node)))
            .filter(|(_, room)| room.open)
    };
    if !draft.wake_all && (!gate::is_open(state) || rooms().next().is_none()) {
        return;
    }
    for entry in state.waiting.iter() {
        let wakes = draft.wake_all
            || candidates(state, entry.1).any(|number| {
                state.package_at(number).is_some_and(|package| {
                    let mut fitting = rooms().filter(|(_, room)| room.fits(package.load)).peekable();
                    fitting.peek().is_some() && {
                        let terms = Terms::of(state, number, package);
                        fitting.any(|(node, room)| terms.allow(node, &room))
                    }
                })
            });
        if wakes {
            draft.units.insert(*entry);
        }
    }
}

/// The packages of a unit that have no instance.
fn candidates(state: &State, unit: Unit) -> impl Iterator<Item = PackageIx> {
    let (single, group) = match unit {
        Unit::Package(package) => (Some(package), None),
        Unit::Group(group) => (None, state.group_at(group)),
    };
    let members = group.into_iter().flat_map(|group| group.members.iter().copied());
    let idle = |number: &PackageIx| {
        state
            .package_at(*number)
            .is_some_and(|package| package.instance.is_none())
    };
    single.into_iter().chain(members).filter(idle)
}
