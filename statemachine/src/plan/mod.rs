//! Who runs where, in which mode, under which epoch.
//!
//! The plan is incremental: it looks at the units that the entry touched, and at those that wait where a node gained
//! room. It decides and records in one pass, because each decision takes room from the next. A package that runs never
//! moves without a cause, and nothing here ever grants a unit that is held.
//!
//! A package that finds no place may have others give way (M14). It then has a claim to the room that they leave, and
//! starts once their ends are confirmed. Whatever a start or a stop means for conditions (M6) is planned in the same entry.

pub(crate) mod account;
mod company;
pub(crate) mod condition;
pub(crate) mod eligible;
pub(crate) mod evict;
pub(crate) mod free_run;
pub(crate) mod gate;
mod lawful;
pub(crate) mod maintenance;
pub(crate) mod needs;
pub(crate) mod place;
mod pull;
pub(crate) mod refresh;
pub(crate) mod ring;
pub(crate) mod share;
mod standby;
pub(crate) mod takeover;
pub(crate) mod together;

use alloc::collections::BTreeSet;

use crate::draft::Draft;
use crate::state::Unit;
use crate::waiting::Ranked;
use pull::Pull;

/// Units in order of rank.
type Units = BTreeSet<Ranked>;

/// Rounds of one plan at most.
const ROUNDS_MAX: u32 = 64;

/// Units that one round looks at, each time that something touches them, at most.
const STEPS_MAX: u32 = 1_000_000;

/// Plans everything that the entry touched, and what that touches in turn. Whoever calls it gives the generations their
/// numbers afterwards, once an entry.
pub(crate) fn plan(draft: &mut Draft<'_>) {
    gate::update(draft);
    let mut planned = BTreeSet::new();
    // Each round handles what the one before has moved: it ends, because a package is started once an entry at most,
    // and gives up a claim only for a more important one. The bound is for the case that this is wrong.
    for _ in 0..ROUNDS_MAX {
        let units = place_actives(draft);
        if units.is_empty() {
            break;
        }
        let free = |(_, unit): &&Ranked| !maintenance::holds(draft.state, *unit);
        let free: Units = units.iter().filter(free).copied().collect();
        each(draft, &free, standby::place_standbys);
        each(draft, &free, standby::place_tests);
        planned.extend(units);
    }
    each(draft, &planned, account::account);
    account::account_shared(draft, planned.iter().map(|(_, unit)| *unit));
}

/// Stops what may not go on, then gives every unit that wants one an active member, the most important unit first. Gives
/// all the units that it has looked at.
fn place_actives(draft: &mut Draft<'_>) -> Units {
    let mut seen = Units::new();
    let mut queue = Units::new();
    let mut pull = Pull::default();
    if core::mem::take(&mut draft.wake_all) {
        draft.units.extend(draft.state.waiting.iter());
    }
    let mut steps: u32 = 0;
    loop {
        queue.extend(stop_unlawful(draft));
        pull.extend(draft);
        let next = match (queue.first().copied(), pull.first()) {
            (Some(queued), Some(waiting)) => queued.min(waiting),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => break,
        };
        if pull.first() == Some(next) {
            draft.units.insert(next);
            queue.extend(stop_unlawful(draft));
        }
        queue.remove(&next);
        seen.insert(next);
        if !maintenance::holds(draft.state, next.1) {
            takeover::activate(draft, next.1);
            // It may still want a node, and one that gains room in this entry is to find it. What it came to is written
            // down at the end.
            draft.set_waiting(next.1, true);
        }
        if pull.first() == Some(next) {
            pull.pass(draft);
        }
        steps = steps.saturating_add(1);
        if steps >= STEPS_MAX {
            break;
        }
    }
    seen.extend(queue);
    seen
}

/// Looks at every unit that was touched and stops what may not go on, and whatever rests on that. Gives the units.
fn stop_unlawful(draft: &mut Draft<'_>) -> Units {
    let mut seen = Units::new();
    let mut said = None;
    loop {
        let units = take_units(draft);
        // A unit that was looked at is looked at again only after something ended.
        if units.is_empty() || (units.is_subset(&seen) && said == Some(draft.events().len())) {
            return seen;
        }
        said = Some(draft.events().len());
        for entry in units {
            account::bury_removed(draft, entry.1);
            if maintenance::holds(draft.state, entry.1) {
                takeover::drop_all_claims(draft, entry.1);
            } else {
                lawful::stop_unlawful(draft, entry.1);
            }
            seen.insert(entry);
        }
    }
}

/// The units to be planned, in order of rank. A package that has joined a group meanwhile is no unit any more, nor is a
/// group whose members are.
fn take_units(draft: &mut Draft<'_>) -> Units {
    let mut units = core::mem::take(&mut draft.units);
    units.retain(|(_, unit)| match unit {
        Unit::Package(package) => draft.state.unit_of(*package) == *unit,
        Unit::Group(group) => draft
            .state
            .group_at(*group)
            .is_none_or(|group| !group.members_are_units()),
    });
    units
}

/// One step, for each unit in order of rank.
fn each(draft: &mut Draft<'_>, units: &Units, step: fn(&mut Draft<'_>, Unit)) {
    for (_, unit) in units {
        step(draft, *unit);
    }
}
