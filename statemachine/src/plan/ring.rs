//! Rings of conditions: `a: b` and `b: a` can't start one after the other, so that they are placed as one, or not at all.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::id::PackageIx;
use crate::plan::condition::named;
use crate::plan::takeover::wants_start;
use crate::rules::condition::Polarity;
use crate::state::{State, Unit};

/// Packages of one ring at most: they are placed on one node.
pub(crate) const RING_MAX: usize = 16;

/// Packages that a condition may lead to, by way of others' conditions: so many are looked at for a ring.
pub(crate) const REACH_MAX: usize = 256;

/// The ring that a package is part of, itself too, by number; none where it is part of none.
///
/// # Errors
/// The number of packages that its condition leads to, where that is more than [`REACH_MAX`].
pub(crate) fn ring_of(state: &State, number: PackageIx) -> Result<Option<BTreeSet<PackageIx>>, usize> {
    let reached = reach(state, number)?;
    if !reached.contains(&number) {
        return Ok(None);
    }
    let mut ring = BTreeSet::from([number]);
    for other in reached {
        if reach(state, other)?.contains(&number) {
            ring.insert(other);
        }
    }
    Ok((ring.len() > 1).then_some(ring))
}

/// Everything that a package's condition leads to by names that have to be true.
fn reach(state: &State, number: PackageIx) -> Result<BTreeSet<PackageIx>, usize> {
    let mut reached = BTreeSet::new();
    let mut next = Vec::from([number]);
    while let Some(from) = next.pop() {
        for to in named(state, from, Polarity::Positive) {
            if reached.insert(to) {
                next.push(to);
            }
        }
        if reached.len() > REACH_MAX {
            return Err(reached.len());
        }
    }
    Ok(reached)
}

/// Those of a package's ring that are to start and run nowhere, in order of rank; none where it is the only one.
pub(crate) fn party(state: &State, number: PackageIx) -> Option<Vec<PackageIx>> {
    state.package_at(number)?.condition.as_ref()?;
    let ring = ring_of(state, number).ok()??;
    let idle = |member: &PackageIx| {
        matches!(state.unit_of(*member), Unit::Package(_)) && state.package_at(*member).is_some_and(wants_start)
    };
    let mut party: Vec<_> = ring
        .into_iter()
        .filter(idle)
        .filter_map(|member| Some((state.package_at(member)?.rank(), member)))
        .collect();
    party.sort();
    let party: Vec<PackageIx> = party.into_iter().map(|(_, member)| member).collect();
    (party.len() > 1 && party.contains(&number)).then_some(party)
}
