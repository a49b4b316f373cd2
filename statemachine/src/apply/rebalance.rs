//! Moves packages to where they would rather be. Nothing else ever moves what runs without a cause (no failback), so
//! after failures people ask for this, after a look at its preview.

use alloc::vec::Vec;

use crate::command::{Mode, Wish};
use crate::draft::{Cause, Draft};
use crate::event::EventKind;
use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;
use crate::outcome::{Accepted, Outcome};
use crate::package::{Instance, Package, Rank};
use crate::plan::eligible::Terms;
use crate::plan::{maintenance, together};
use crate::reason::Reason;
use crate::room::{Room, SCORE_MAX, When};
use crate::state::State;

/// A package without a list of nodes moves only where the emptier node keeps this much more free than the fuller one has
/// now, of [`SCORE_MAX`]: a tenth.
const GAIN_MIN: u64 = SCORE_MAX / 10;

/// Moves of one rebalance at most, whatever was asked for: each is a stop.
const MOVES_MAX: u32 = 1_000;

/// Packages in a row for which every node was looked at in vain: after so many the rest is not tried.
const MISSES_MAX: u32 = 1_000;

/// Moves that are decided, by package, node and load.
struct Moves {
    all: Vec<(PackageIx, NodeIx, NodeIx, Loads)>,
    at_most: usize,
    misses: u32,
}

/// The packages with a list of nodes go to the first of it that can take them, the most important first; then the
/// others go from fuller nodes to emptier ones, the least important first. Together groups, and packages that conditions
/// bind to others, stay: `move` takes them.
pub(super) fn rebalance(draft: &mut Draft<'_>, at_most: u32) -> Outcome {
    let mut moves = Moves {
        all: Vec::new(),
        at_most: usize::try_from(at_most.min(MOVES_MAX)).unwrap_or(usize::MAX),
        misses: 0,
    };
    let state = &*draft.state;
    let movable = state
        .packages
        .iter()
        .map(|(number, package)| (PackageIx(number), package))
        .filter(|(number, package)| is_movable(state, *number, package));
    let mut movable: Vec<(Rank, PackageIx)> = movable.map(|(number, package)| (package.rank(), number)).collect();
    movable.sort();
    let is_listed = |(_, number): &(Rank, PackageIx)| {
        state
            .package_at(*number)
            .is_some_and(|package| !package.spec.nodes.is_empty())
    };
    let (listed, free): (Vec<_>, Vec<_>) = movable.into_iter().partition(is_listed);
    for (_, number) in listed.into_iter().filter(|(_, number)| !is_home(state, *number)) {
        moves.consider(state, number, preferred);
    }
    moves.misses = 0;
    let best = state.rooms.best_score();
    let gains = |(_, number): &(Rank, PackageIx)| {
        let instance = state.package_at(*number).and_then(|package| package.instance.as_ref());
        instance.is_some_and(|instance| state.rooms.get(instance.node).score.saturating_add(GAIN_MIN) <= best)
    };
    for (_, number) in free.into_iter().rev().filter(gains) {
        moves.consider(state, number, emptier);
    }
    if moves.all.is_empty() {
        return Ok(Accepted::Done);
    }
    let count = u32::try_from(moves.all.len()).unwrap_or(u32::MAX);
    let wished = draft.say(draft.actor, EventKind::RebalanceWished { moves: count });
    for (number, _, to, _) in moves.all {
        let Some(name) = draft.state.node_at(to).map(|node| node.name.clone()) else {
            continue;
        };
        draft.stop(number, Reason::Moved { to: name }, Cause::Of(Some(wished)));
        draft.plan_package(number);
    }
    Ok(Accepted::Done)
}

fn is_movable(state: &State, number: PackageIx, package: &Package) -> bool {
    let settled = |instance: &Instance| instance.is_ready() && instance.mode != Mode::Test && !instance.busy;
    package.wish == Wish::Start
        && !package.removing
        && package.instance.as_ref().is_some_and(settled)
        && !together::holds(state, package)
        && !maintenance::is_held(state, number)
        && package.condition.is_none()
        && !is_mentioned(state, package)
}

/// Whether it is on the first node of its list.
fn is_home(state: &State, number: PackageIx) -> bool {
    let package = state.package_at(number);
    let here = package
        .and_then(|package| package.instance.as_ref())
        .and_then(|instance| state.node_at(instance.node));
    package
        .zip(here)
        .is_some_and(|(package, here)| package.spec.nodes.first() == Some(&here.name))
}

/// Whether a condition names it or its group.
fn is_mentioned(state: &State, package: &Package) -> bool {
    let group = package.group.and_then(|group| state.group_at(group));
    let named = |name: &str| state.mentions.get(name).is_some_and(|who| !who.is_empty());
    named(package.name().as_str()) || group.is_some_and(|group| named(group.name().as_str()))
}

/// The first node of its list that can take it; none where it is there.
fn preferred(state: &State, moves: &Moves, terms: &Terms, here: NodeIx) -> Option<NodeIx> {
    let better = terms.listed.iter().flatten().take_while(|node| **node != here);
    let mut better = better.filter(|node| moves.allow(state, terms, **node));
    better.next().copied()
}

/// The node that would still have clearly more left than the present one has now: of these the one with most room, then
/// the first.
fn emptier(state: &State, moves: &Moves, terms: &Terms, here: NodeIx) -> Option<NodeIx> {
    let floor = moves
        .room(state, here, Loads::default())?
        .score
        .saturating_add(GAIN_MIN);
    state.rooms.most_room(Loads::default(), When::Now, |node, room| {
        room.score >= floor
            && node != here
            && moves.allow(state, terms, node)
            && moves
                .room(state, node, terms.load)
                .is_some_and(|room| room.score >= floor)
    })
}

type Search = fn(&State, &Moves, &Terms, NodeIx) -> Option<NodeIx>;

impl Moves {
    fn consider(&mut self, state: &State, number: PackageIx, search: Search) {
        if self.all.len() >= self.at_most || self.misses >= MISSES_MAX {
            return;
        }
        let Some(package) = state.package_at(number) else {
            return;
        };
        let Some(instance) = &package.instance else { return };
        let terms = Terms::of(state, number, package);
        match search(state, self, &terms, instance.node) {
            Some(to) => {
                self.misses = 0;
                self.all.push((number, instance.node, to, instance.load));
            }
            None => self.misses = self.misses.saturating_add(1),
        }
    }

    /// What a node has left once these moves are done, with one more load.
    fn room(&self, state: &State, node: NodeIx, load: Loads) -> Option<Room> {
        let mut row = state.node_at(node)?.clone();
        row.planned = row.planned.plus(load);
        for (_, from, to, moved) in &self.all {
            if *to == node {
                row.planned = row.planned.plus(*moved);
            }
            if *from == node {
                row.planned = row.planned.minus(*moved);
            }
        }
        Some(Room::of(&row, &state.dimensions))
    }

    /// Whether a package could be there now, beside those that are to come.
    fn allow(&self, state: &State, terms: &Terms, node: NodeIx) -> bool {
        let coming: Vec<PackageIx> = self
            .all
            .iter()
            .filter(|(_, _, to, _)| *to == node)
            .map(|(number, _, _, _)| *number)
            .collect();
        let load = self.all.iter().filter(|(_, _, to, _)| *to == node);
        let load = load.fold(terms.load, |sum, (_, _, _, moved)| sum.plus(*moved));
        let groups = |number: &PackageIx| state.package_at(*number).and_then(|package| package.group);
        let own: Vec<_> = terms.party.iter().filter_map(groups).collect();
        let peers = coming.iter().filter_map(groups).any(|group| own.contains(&group));
        let exclusive = |number: &PackageIx| state.package_at(*number).is_some_and(|package| package.spec.exclusive);
        let alone = coming.iter().any(exclusive) || (terms.exclusive && !coming.is_empty());
        let room = state.rooms.get(node);
        !peers && !alone && room.fits(load) && terms.allow(state, node, &room)
    }
}
