//! Resource shares (M16): what a node has is dealt out to its packages by priority, so that important work keeps its
//! response time and the rest goes on.
//!
//! In integers: the shares and what remains add up to the capacity, and every server comes to the same. A share follows
//! from the state alone and is kept nowhere.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::command::{Capacity, Shares};
use crate::id::PackageIx;
use crate::load::LOAD_MAX;
use crate::node::Node;
use crate::package::{Instance, Rank};
use crate::state::State;

/// What a node's packages get of each resource that the node declares; nothing where shares are off.
pub(crate) fn of_node(state: &State, node: &Node) -> BTreeMap<PackageIx, Capacity> {
    let formula = state.cluster().map(|cluster| cluster.spec.shares).unwrap_or_default();
    let mut shares = BTreeMap::new();
    if formula == Shares::None {
        return shares;
    }
    let runs = |number: &PackageIx| {
        let package = state.package_at(*number)?;
        let instance = package.instance.as_ref();
        instance
            .is_some_and(Instance::is_desired)
            .then(|| (package.rank(), *number))
    };
    let mut running: Vec<(Rank, PackageIx)> = node.instances.iter().filter_map(runs).collect();
    running.sort();
    for (name, capacity) in &node.capacity.0 {
        let mut remaining = (*capacity).min(LOAD_MAX);
        for (place, (rank, number)) in (1u64..).zip(&running) {
            let share = share(formula, remaining, priority(*rank, place));
            remaining = remaining.saturating_sub(share);
            shares
                .entry(*number)
                .or_insert_with(Capacity::default)
                .0
                .insert(name.clone(), share);
        }
    }
    shares
}

/// The number given, else its place among the packages of the node.
fn priority(rank: Rank, place: u64) -> u64 {
    if rank.priority == u32::MAX {
        place
    } else {
        u64::from(rank.priority).max(1)
    }
}

/// One package's share of what remains, rounded down.
fn share(formula: Shares, remaining: u64, priority: u64) -> u64 {
    match formula {
        Shares::None => 0,
        Shares::Half => remaining / 2,
        Shares::Priority => remaining
            .saturating_mul(8)
            .checked_div(priority.saturating_mul(10))
            .unwrap_or(0),
    }
}
