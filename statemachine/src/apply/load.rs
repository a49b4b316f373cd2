//! Measured load (M15): a node whose load reaches the threshold sheds packages, the least important first, until it is
//! below it, and takes none before its load is below the lower threshold.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::command::Load;
use crate::draft::{Cause, Draft};
use crate::event::EventKind;
use crate::id::{NodeIx, PackageIx};
use crate::load::{DIMENSIONS_MAX, Loads};
use crate::node::{Node, Overload};
use crate::package::{Importance, Instance};
use crate::plan::{condition, maintenance, together};
use crate::reason::Reason;
use crate::state::State;

/// A dimension in which a load reaches a threshold.
struct Reached {
    place: usize,
    dimension: String,
    measured: u64,
    capacity: u64,
}

/// What could be stopped: a package, or a together group as a whole, with whoever is there on its condition.
struct Candidate {
    /// Of the most important one that would go.
    importance: Importance,
    /// So many go: of two that cost the same, the one that takes fewer along.
    count: usize,
    number: PackageIx,
    load: Loads,
}

/// Takes what a node measured. What is being stopped there already counts as gone: its load lingers in what is measured.
pub(super) fn observe(draft: &mut Draft<'_>, number: NodeIx, measured: &Load) {
    let state = &*draft.state;
    let (Some(node), Some(cluster)) = (state.node_at(number), state.cluster()) else {
        return;
    };
    let (overload, resume) = (cluster.spec.overload, cluster.spec.resume);
    let all = state.dimensions.load(measured);
    let mut left = all.minus(node.leaving);
    let name = node.name.clone();
    let marked = node.overload;
    if reached(state, node, all, overload).is_none() {
        if marked.is_some() && reached(state, node, all, resume).is_none() {
            draft.change_node(number, |node| node.overload = None);
            draft.say_node(number, Cause::Trail, EventKind::NodeRelieved { node: name });
            draft.gained.insert(number);
        }
        return;
    }
    let event = match marked {
        Some(marked) => marked.event,
        None => mark(draft, number, all, overload),
    };
    loop {
        let state = &*draft.state;
        let Some(node) = state.node_at(number) else { return };
        let Some(why) = reached(state, node, left, overload) else {
            return;
        };
        let candidates = node.instances.iter().filter_map(|number| candidate(state, *number));
        let in_dimension = |candidate: &Candidate| candidate.load.0.get(why.place).is_some_and(|load| *load > 0);
        let last = candidates
            .filter(in_dimension)
            .max_by_key(|candidate| (candidate.importance, Reverse(candidate.count), candidate.number));
        let Some(last) = last else {
            return say_stuck(draft, number, event);
        };
        left = left.minus(last.load);
        let Reached {
            dimension,
            measured,
            capacity,
            ..
        } = why;
        let why = Reason::Shed {
            dimension,
            measured,
            capacity,
        };
        if !together::leave(draft, last.number, why.clone(), event) {
            draft.stop(last.number, why, Cause::Of(event));
        }
        draft.plan_package(last.number);
    }
}

/// Closes a node for packages, and says why.
fn mark(draft: &mut Draft<'_>, number: NodeIx, load: Loads, overload: u32) -> Option<crate::event::EventId> {
    let state = &*draft.state;
    let node = state.node_at(number)?;
    let Reached {
        dimension,
        measured,
        capacity,
        ..
    } = reached(state, node, load, overload)?;
    let kind = EventKind::NodeOverloaded {
        node: node.name.clone(),
        dimension,
        measured,
        capacity,
    };
    let event = Some(draft.say_node(number, Cause::Outside, kind));
    let since = draft.now;
    draft.change_node(number, |node| {
        node.overload = Some(Overload {
            since,
            event,
            stuck: false,
        });
    });
    draft.plan_claims(number);
    event
}

fn say_stuck(draft: &mut Draft<'_>, number: NodeIx, event: Option<crate::event::EventId>) {
    let Some(node) = draft.state.node_at(number) else {
        return;
    };
    if node.overload.is_none_or(|overload| overload.stuck) {
        return;
    }
    let name = node.name.clone();
    draft.change_node(number, |node| {
        if let Some(overload) = &mut node.overload {
            overload.stuck = true;
        }
    });
    draft.say_node(number, Cause::Of(event), EventKind::NothingToShed { node: name });
}

/// The first dimension in which a load is at least so many per cent of a node's capacity.
fn reached(state: &State, node: &Node, load: Loads, per_cent: u32) -> Option<Reached> {
    let capacity: [Option<u64>; DIMENSIONS_MAX] = state.dimensions.capacity(&node.capacity);
    let rows = state.dimensions.names().zip(load.0).zip(capacity).enumerate();
    let mut rows = rows.filter_map(|(place, ((name, measured), capacity))| {
        let capacity = capacity.filter(|capacity| *capacity > 0)?;
        let is_reached = measured.saturating_mul(100) >= capacity.saturating_mul(u64::from(per_cent));
        is_reached.then(|| Reached {
            place,
            dimension: name.unwrap_or_default().to_string(),
            measured,
            capacity,
        })
    });
    rows.next()
}

/// What may be stopped of a package; of a together group its first member there stands for all of them.
fn candidate(state: &State, number: PackageIx) -> Option<Candidate> {
    let package = state.package_at(number)?;
    let here = package.instance.as_ref()?.node;
    let mut members: Vec<PackageIx> = match package.group.and_then(|group| state.group_at(group)) {
        Some(group) if together::holds(state, package) => group
            .members
            .iter()
            .copied()
            .filter(|member| {
                let member = state.package_at(*member);
                member.is_some_and(|it| {
                    it.instance.as_ref().is_some_and(|it| it.node == here) && together::holds(state, it)
                })
            })
            .collect(),
        Some(_) | None => Vec::from([number]),
    };
    if members.first() != Some(&number) {
        return None;
    }
    let row = state.node_at(here)?;
    let live = |number: &PackageIx| {
        let instance = state.package_at(*number).and_then(|package| package.instance.as_ref());
        instance.is_some_and(Instance::is_live)
    };
    let there = || row.instances.iter().copied().filter(live);
    condition::add_dependents(state, here, there, &[], &mut members);
    let may_stop = |member: &PackageIx| {
        let Some(package) = state.package_at(*member) else {
            return false;
        };
        let instance = package.instance.as_ref();
        instance.is_some_and(|instance| instance.is_live() && !instance.busy)
            && package.spec.preemptible
            && !maintenance::is_held(state, *member)
    };
    let leaving = package
        .group
        .and_then(|group| state.group_at(group))
        .is_some_and(|group| group.leaving.is_some());
    if !members.iter().all(may_stop) || leaving {
        return None;
    }
    let rows = || {
        let rows = members.iter().filter_map(|member| state.package_at(*member));
        rows.filter_map(|package| Some((package, package.instance.as_ref()?)))
    };
    let importance = rows()
        .map(|(package, instance): (_, &Instance)| instance.importance(package))
        .min()?;
    let load = rows().fold(Loads::default(), |sum, (_, instance)| sum.plus(instance.load));
    Some(Candidate {
        importance,
        count: members.len(),
        number,
        load,
    })
}
