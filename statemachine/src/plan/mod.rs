//! Who runs where, in which mode, under which epoch.
//!
//! The plan is incremental: it looks at the units that the entry touched, and at those that wait where a node gained
//! room. It decides and records in one pass, because each decision takes room from the next. A package that runs never
//! moves without a cause, and nothing here ever grants a unit that is held.
//!
//! Further steps join the list in [`plan`]: conditions (M6) before `stop_unlawful`, load share and together groups
//! beside `activate`, preemption (M14) after `place_standbys`, shares (M16) before `account`.

pub(crate) mod account;
pub(crate) mod eligible;
pub(crate) mod free_run;
pub(crate) mod gate;
mod lawful;
pub(crate) mod needs;
pub(crate) mod place;
mod standby;
pub(crate) mod takeover;
pub(crate) mod together;

use alloc::vec::Vec;

use crate::draft::Draft;
use crate::state::Unit;

/// Plans everything that the entry touched. Whoever calls it gives the generations their numbers afterwards, once an entry.
pub(crate) fn plan(draft: &mut Draft<'_>) {
    gate::update(draft);
    place::wake_waiting(draft);
    let units = take_units(draft);
    each(draft, &units, account::bury_removed);
    each(draft, &units, lawful::stop_unlawful);
    each(draft, &units, takeover::activate);
    each(draft, &units, standby::place_standbys);
    each(draft, &units, standby::place_tests);
    each(draft, &units, account::account);
}

/// The units to be planned, in order of rank. A package that has joined a group meanwhile is no unit any more.
fn take_units(draft: &mut Draft<'_>) -> Vec<Unit> {
    let units = core::mem::take(&mut draft.units).into_iter().map(|(_, unit)| unit);
    let is_unit = |unit: &Unit| match unit {
        Unit::Package(package) => draft.state.unit_of(*package) == *unit,
        Unit::Group(_) => true,
    };
    units.filter(is_unit).collect()
}

/// One step, for each unit in order of rank.
fn each(draft: &mut Draft<'_>, units: &[Unit], step: fn(&mut Draft<'_>, Unit)) {
    for unit in units {
        step(draft, *unit);
    }
}
