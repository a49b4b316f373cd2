//! Rings of conditions: `a: b` and `b: a` can't start one after the other, so that they are placed as one, or not at all.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::id::PackageIx;
use crate::plan::condition::named;
use crate::plan::maintenance;
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
        // Who keeps apart can't be what somebody rests on: only the package itself stands there for its group.
        let beside = named(state, from, Polarity::Positive).into_iter();
        for to in beside.filter(|to| !keep_apart(state, from, *to)) {
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
        matches!(state.unit_of(*member), Unit::Package(_))
            && state.package_at(*member).is_some_and(wants_start)
            && !maintenance::is_held(state, *member)
    };
    let mut party: Vec<_> = ring
        .into_iter()
        .filter(idle)
        .filter_map(|member| Some((state.package_at(member)?.rank(), member)))
        .collect();
    party.sort();
    let party: Vec<PackageIx> = party.into_iter().map(|(_, member)| member).collect();
    let torn = party
        .iter()
        .any(|one| party.iter().any(|other| keep_apart(state, *one, *other)));
    (party.len() > 1 && party.contains(&number) && !torn).then_some(party)
}

/// Whether two are different members of a group that keeps its members apart.
fn keep_apart(state: &State, one: PackageIx, other: PackageIx) -> bool {
    let group = |number| state.package_at(number).and_then(|package| package.group);
    let Some(common) = group(one).filter(|group_of_one| one != other && group(other) == Some(*group_of_one)) else {
        return false;
    };
    state.group_at(common).is_some_and(|group| !group.is_together())
}
