//! Where a package is placed: at once, or where room is kept for it until others have made it.

use alloc::vec::Vec;

use crate::command::Mode;
use crate::draft::{Cause, Draft};
use crate::id::{NodeIx, PackageIx};
use crate::package::Importance;
use crate::plan::eligible::Terms;
use crate::plan::evict::{Eviction, cheapest, evict};
use crate::plan::{ring, together};
use crate::reason::Reason;
use crate::room::When;
use crate::state::State;

/// The node where a package can be started now, with all that only start together with it: where room was kept for it;
/// else the preferred one; else the first of its list that can take it; else the one with most room, then the lowest
/// number.
pub(crate) fn choose(state: &State, number: PackageIx) -> Option<Choice> {
    let package = state.package_at(number)?;
    if together::holds(state, package) {
        let node = together::choose(state, number, package)?;
        let party = Vec::from([number]);
        return Some(Choice { node, party });
    }
    parties(state, number).into_iter().find_map(|party| {
        let node = choose_for(state, &party)?;
        Some(Choice { node, party })
    })
}

/// The same, and what the search finds out about room serves the next one.
pub(crate) fn choose_in(draft: &mut Draft<'_>, number: PackageIx) -> Option<Choice> {
    let load = draft.state.package_at(number)?.load;
    draft.state.rooms.learn(load, When::Now);
    choose(draft.state, number)
}

/// Where a package can be started, and who starts with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) node: NodeIx,
    /// In order of rank; the package itself is among them.
    pub(crate) party: Vec<PackageIx>,
}

/// With whom a package is placed: the whole ring of conditions that it is part of, else it alone.
fn parties(state: &State, number: PackageIx) -> Vec<Vec<PackageIx>> {
    let alone = Vec::from([number]);
    match ring::party(state, number) {
        Some(party) => Vec::from([party, alone]),
        None => Vec::from([alone]),
    }
}

fn choose_for(state: &State, party: &[PackageIx]) -> Option<NodeIx> {
    let package = state.package_at(*party.first()?)?;
    let terms = Terms::of_party(state, party)?;
    let allowed = |node: NodeIx| terms.allow(state, node, &state.rooms.get(node));
    if let Some(claimed) = package.claim
        && terms.allow_claimed(state, claimed)
    {
        return Some(claimed);
    }
    if let Some(preferred) = package.prefer
        && allowed(preferred)
    {
        return Some(preferred);
    }
    match &terms.listed {
        Some(listed) => listed.iter().copied().find(|node| allowed(*node)),
        None => state
            .rooms
            .most_room(terms.load, When::Now, |node, room| terms.allow(state, node, room)),
    }
}

/// Where room can be made for a package that is to be active, with all that only start together with it, and who has to
/// go for it.
pub(crate) fn make_room(state: &State, number: PackageIx) -> Option<(Eviction, Vec<PackageIx>)> {
    if together::holds(state, state.package_at(number)?) {
        // Its members start one after another and leave one after another: it neither makes others stop nor stops for
        // them.
        return None;
    }
    parties(state, number).into_iter().find_map(|party| {
        let terms = Terms::of_party(state, &party)?;
        Some((cheapest(state, &terms, importance(state, &party)?)?, party))
    })
}

/// Several that start together are as important as the first of them.
fn importance(state: &State, party: &[PackageIx]) -> Option<Importance> {
    Some(state.package_at(*party.first()?)?.as_active())
}

/// Whether the room that is kept for a package can still become its own without anybody else having to go.
pub(crate) fn claim_holds(state: &State, number: PackageIx) -> bool {
    let Some(node) = state.package_at(number).and_then(|package| package.claim) else {
        return false;
    };
    let has_claim = |number: &PackageIx| state.package_at(*number).is_some_and(|it| it.claim == Some(node));
    parties(state, number)
        .into_iter()
        .filter(|party| party.iter().all(has_claim))
        .any(|party| keeps_claim(state, &party, node) == Some(true))
}

/// Whether several that start together can all be where room is kept for them without anybody else having to go.
fn keeps_claim(state: &State, party: &[PackageIx], node: NodeIx) -> Option<bool> {
    let terms = Terms::of_party(state, party)?;
    let room = state.rooms.get(node);
    if terms.is_plain() && !room.alone {
        // What is kept for them is counted there already: it holds as long as anything is left beside it.
        let mut later = terms.load.0.iter().zip(room.later);
        return Some(room.open && terms.allow_node(node) && later.all(|(load, later)| *load == 0 || later > 0));
    }
    let found = evict(state, &terms, importance(state, party)?, node)?;
    Some(found.victims.is_empty())
}

/// Keeps room for a package where it can be made at the least expense, and stops whoever has to go for it. Gives whether
/// there is such a node. It starts there once their ends are confirmed.
pub(crate) fn stake(draft: &mut Draft<'_>, number: PackageIx) -> bool {
    if claim_holds(draft.state, number) {
        return true;
    }
    for party in parties(draft.state, number) {
        for member in party {
            draft.drop_claim(member);
        }
    }
    draft.state.refresh_yielding();
    if let Some(load) = draft.state.package_at(number).map(|package| package.load) {
        draft.state.rooms.learn(load, When::Later);
    }
    let Some((found, party)) = make_room(draft.state, number) else {
        return false;
    };
    let Some(package) = draft.state.package_at(number) else {
        return false;
    };
    let (by, cause) = (package.name().clone(), package.trail);
    for victim in found.victims {
        if !draft.drop_claim(victim) {
            draft.stop(victim, Reason::Preempted { by: by.clone() }, Cause::Of(cause));
        }
        draft.plan_package(victim);
    }
    for member in party {
        draft.claim(member, found.node);
        draft.plan_package(member);
    }
    true
}

/// Starts a package, and all that only start together with it.
pub(crate) fn start(draft: &mut Draft<'_>, choice: &Choice, number: PackageIx, mode: Mode, cause: Cause) {
    draft.start(number, choice.node, mode, cause);
    for member in choice.party.iter().filter(|member| **member != number) {
        draft.start(*member, choice.node, Mode::Active, Cause::Trail);
        draft.plan_package(*member);
    }
}
