//! Who has to go for a package to fit on a node (M14).
//!
//! What counts is how the node will be once everything that is being stopped there has ended. Only less important
//! packages that may be stopped are victims, the least important ones first, and of those none that is not needed.

use alloc::vec::Vec;

use crate::id::{NodeIx, PackageIx};
use crate::load::DIMENSIONS_MAX;
use crate::occupants::Occupant;
use crate::package::Importance;
use crate::plan::condition::{self, Lens};
use crate::plan::eligible::Terms;
use crate::plan::{maintenance, together};
use crate::room::When;
use crate::rules::condition::Polarity;
use crate::state::State;
use crate::yielding::Weight;

/// Nodes that are looked at one after another before all that seem worth it are put in order.
const TRIES: u32 = 16;

/// What it takes to put a package on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) node: NodeIx,
    /// The most important one that has to go; none where nobody has to.
    pub(crate) dearest: Option<Importance>,
    /// All that have to go, the most important one first.
    pub(crate) victims: Vec<PackageIx>,
}

/// A newcomer and what stands in its way on one node.
struct Case<'a> {
    state: &'a State,
    terms: &'a Terms,
    newcomer: Importance,
    node: NodeIx,
    capacity: [u64; DIMENSIONS_MAX],
    /// Whether anything there needs the node for itself.
    alone: bool,
    /// Whom its own condition wants there.
    wanted: Vec<PackageIx>,
    /// The most important first.
    occupants: Vec<Occupant>,
}

/// Who has to go for a package to fit on a node; none where it can't, whoever goes.
pub(crate) fn evict(state: &State, terms: &Terms, newcomer: Importance, node: NodeIx) -> Option<Eviction> {
    if !state.rooms.get(node).open || !terms.allow_node(node) {
        return None;
    }
    let case = Case::new(state, terms, newcomer, node)?;
    let mut gone: Vec<PackageIx> = Vec::new();
    let mut yielding = case.occupants.iter().rev().filter(|occupant| case.gives_way(occupant));
    while !case.admits(&gone) {
        gone.push(yielding.next()?.number);
    }
    case.give_back(&mut gone);
    case.add_dependents(&mut gone)?;
    let victims = case.occupants.iter().filter(|occupant| gone.contains(&occupant.number));
    let victims: Vec<&Occupant> = victims.collect();
    Some(Eviction {
        node,
        dearest: victims.first().map(|first| first.importance),
        victims: victims.into_iter().map(|victim| victim.number).collect(),
    })
}

impl<'a> Case<'a> {
    fn new(state: &'a State, terms: &'a Terms, newcomer: Importance, node: NodeIx) -> Option<Self> {
        let row = state.node_at(node)?;
        let wanted = terms.party.iter();
        let wanted: Vec<PackageIx> = wanted
            .flat_map(|number| condition::named(state, *number, Polarity::Positive))
            .collect();
        let others = |occupant: &&Occupant| !terms.party.contains(&occupant.number);
        let occupants = state.occupants.on(node).iter().filter(others).copied().collect();
        let capacity = state.dimensions.capacity(&row.capacity);
        Some(Self {
            state,
            terms,
            newcomer,
            node,
            capacity: capacity.map(|capacity| capacity.unwrap_or(u64::MAX)),
            alone: row.alone > 0,
            wanted,
            occupants,
        })
    }

    /// Whether one may be stopped for the newcomer.
    fn gives_way(&self, occupant: &Occupant) -> bool {
        let Some(package) = self.state.package_at(occupant.number) else {
            return false;
        };
        occupant.yields
            && occupant.importance > self.newcomer
            && !self.wanted.contains(&occupant.number)
            && !together::holds(self.state, package)
            && !maintenance::is_held(self.state, occupant.number)
    }

    /// Whether the newcomer may be there once these are gone.
    fn admits(&self, gone: &[PackageIx]) -> bool {
        let stay = || {
            self.occupants
                .iter()
                .filter(|occupant| !gone.contains(&occupant.number))
        };
        let load = stay().fold(self.terms.load, |sum, occupant| sum.plus(occupant.load));
        let loads = load.0.iter().zip(self.terms.load.0).zip(self.capacity);
        let mut loads = loads.filter(|((_, own), _)| *own > 0);
        loads.all(|((sum, _), capacity)| *sum < capacity || capacity == u64::MAX)
            && (!self.terms.exclusive || stay().next().is_none())
            && !(self.alone && stay().any(|occupant| condition::is_exclusive(self.state, occupant.number)))
            && condition::first_against(self.state, self.terms, self.node, Lens::Later, gone).is_none()
            && condition::holds_for(self.state, &self.terms.party, self.node, Lens::Later, gone)
    }

    /// Whoever need not go stays, the most important first.
    fn give_back(&self, gone: &mut Vec<PackageIx>) {
        for occupant in &self.occupants {
            let Some(place) = gone.iter().position(|number| *number == occupant.number) else {
                continue;
            };
            gone.remove(place);
            if !self.admits(gone) {
                gone.insert(place, occupant.number);
            }
        }
    }

    /// Whoever is there on the condition that a victim is goes too; none where that is a more important one, or one that may not
    /// be stopped to make room.
    fn add_dependents(&self, gone: &mut Vec<PackageIx>) -> Option<()> {
        let victims = gone.len();
        let here = || self.occupants.iter().map(|occupant| occupant.number);
        condition::add_dependents(self.state, self.node, here, &self.terms.party, gone);
        let dependents = gone.get(victims..).unwrap_or_default();
        if dependents.is_empty() {
            return Some(());
        }
        let gives_way = |occupant: &Occupant| {
            let package = self.state.package_at(occupant.number);
            occupant.importance > self.newcomer && package.is_some_and(|package| package.spec.preemptible)
        };
        let mut dependents = self.occupants.iter().filter(|it| dependents.contains(&it.number));
        if !dependents.all(gives_way) {
            return None;
        }
        condition::holds_for(self.state, &self.terms.party, self.node, Lens::Later, gone).then_some(())
    }
}

/// The node on which a package can be placed at the least expense: nobody has to go, or the most important one that has
/// to go is the least important of all.
pub(crate) fn cheapest(state: &State, terms: &Terms, newcomer: Importance) -> Option<Eviction> {
    let mut best: Option<Eviction> = None;
    match &terms.listed {
        Some(listed) => {
            for node in listed {
                let free = state.rooms.get(*node).fits_later(terms.load);
                if free || state.yielding.bound(*node, terms.load) > floor(newcomer, best.as_ref()) {
                    look_at(state, terms, newcomer, *node, &mut best);
                }
            }
        }
        None => {
            // Where nobody has to go the one with most room is taken, as for a start.
            let free = state.rooms.most_room(terms.load, When::Later, |node, _| {
                evict(state, terms, newcomer, node).is_some_and(|found| found.dearest.is_none())
            });
            match free {
                Some(node) => look_at(state, terms, newcomer, node, &mut best),
                None => best = least_dear(state, terms, newcomer),
            }
        }
    }
    best
}

/// Takes a node where it is cheaper than the best one so far.
fn look_at(state: &State, terms: &Terms, newcomer: Importance, node: NodeIx, best: &mut Option<Eviction>) {
    let bound = best.as_ref().map(|best| best.dearest);
    if bound == Some(None) {
        return;
    }
    if let Some(found) = evict(state, terms, newcomer, node)
        && is_cheaper(found.dearest, bound)
    {
        *best = Some(found);
    }
}

/// The node where the most important one that has to go is the least important of all, where somebody has to go.
fn least_dear(state: &State, terms: &Terms, newcomer: Importance) -> Option<Eviction> {
    let mut best: Option<Eviction> = None;
    let mut tried: Vec<NodeIx> = Vec::new();
    for _ in 0..TRIES {
        let above = floor(newcomer, best.as_ref());
        let untried = |node: NodeIx| !tried.contains(&node) && terms.allow_node(node);
        let Some(node) = state.yielding.cheapest(terms.load, above, untried) else {
            return best;
        };
        tried.push(node);
        look_at(state, terms, newcomer, node, &mut best);
        if best.as_ref().is_some_and(|best| best.node == node)
            && floor(newcomer, best.as_ref()) >= state.yielding.bound(node, terms.load)
        {
            return best;
        }
    }
    // Something that loads do not tell makes many nodes dearer than they seem.
    let above = floor(newcomer, best.as_ref());
    for (bound, node) in state.yielding.by_expense(terms.load, above) {
        if bound <= floor(newcomer, best.as_ref()) {
            break;
        }
        if !tried.contains(&node) {
            look_at(state, terms, newcomer, node, &mut best);
        }
    }
    best
}

/// What the most important one that has to go must be less important than: the newcomer, and that of the best node so far.
fn floor(newcomer: Importance, best: Option<&Eviction>) -> Weight {
    match best {
        None => Weight::of(newcomer),
        Some(Eviction {
            dearest: Some(dearest), ..
        }) => Weight::of(*dearest),
        Some(Eviction { dearest: None, .. }) => Weight::MOST,
    }
}

/// Whether an eviction is cheaper than the best one so far.
fn is_cheaper(found: Option<Importance>, best: Option<Option<Importance>>) -> bool {
    match (found, best) {
        (_, None) => true,
        (None, Some(best)) => best.is_some(),
        (Some(found), Some(best)) => best.is_some_and(|best| found > best),
    }
}
