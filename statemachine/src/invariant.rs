//! What holds of every committed state: one named function each.
//!
//! Tests and simulations check all of them after every entry. They look at everything, so nothing in `apply` calls them.

mod placement;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{Mode, Output};
use crate::digest::digest;
use crate::id::{NodeIx, PackageIx};
use crate::load::Loads;
use crate::package::{Instance, Package, Phase};
use crate::plan::{eligible, free_run, gate, maintenance, needs, place, together};
use crate::reason::Reason;
use crate::room::Room;
use crate::snapshot::{from_stored, to_stored};
use crate::state::State;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {text}")]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// What was found.
    pub text: String,
}

type Check = fn(&State) -> Result<(), String>;

const CHECKS: [(&str, Check); 14] = [
    ("one_holder_per_unit", one_holder_per_unit),
    ("outputs_follow_groups", outputs_follow_groups),
    ("members_apart", members_apart),
    ("members_together", members_together),
    ("epochs_unique", epochs_unique),
    ("sessions_present", sessions_present),
    ("only_where_allowed", only_where_allowed),
    ("below_capacity", below_capacity),
    ("conditions_hold", placement::conditions_hold),
    ("alone_where_exclusive", placement::alone_where_exclusive),
    ("claims_can_be_met", placement::claims_can_be_met),
    ("removed_are_gone", removed_are_gone),
    ("nothing_left_undone", nothing_left_undone),
    ("indexes_follow_rows", indexes_follow_rows),
];

/// Checks every invariant.
///
/// # Errors
/// The first one that does not hold.
pub fn check(state: &State) -> Result<(), Violation> {
    CHECKS
        .iter()
        .try_for_each(|(invariant, check)| check(state).map_err(|text| Violation { invariant, text }))
}

fn instances(state: &State) -> impl Iterator<Item = (PackageIx, &Package, &Instance)> {
    let rows = state.packages.iter();
    rows.filter_map(|(number, package)| Some((PackageIx(number), package, package.instance.as_ref()?)))
}

/// I1: of a group at most one instance was granted to be active (of a free-run group: released) and is not proven to have ended.
fn one_holder_per_unit(state: &State) -> Result<(), String> {
    for group in state.groups().filter(|group| group.is_unit()) {
        let members = state.group_members(group);
        let holders = members
            .filter(|(_, package)| package.instance.as_ref().is_some_and(Instance::holds_unit))
            .count();
        if holders > 1 {
            return Err(format!("group {} has {holders} active members", group.name()));
        }
    }
    Ok(())
}

/// Only what is active is released (I14), all that is active is, but for the waiting members of free-run groups; and
/// nothing of such a group is a standby.
fn outputs_follow_groups(state: &State) -> Result<(), String> {
    for (_, package, instance) in instances(state) {
        let free = free_run::runs_free(state, package);
        let right = match (instance.mode, instance.output) {
            (Mode::Active, Output::Released) | (Mode::Test, Output::Inhibited) => true,
            (Mode::Active, Output::Inhibited) => free,
            (Mode::Standby, Output::Inhibited) => !free,
            (Mode::Standby | Mode::Test, Output::Released) => false,
        };
        if !right {
            let (mode, output) = (instance.mode, instance.output);
            return Err(format!("{} is {mode:?}, its output {output:?}", package.name()));
        }
    }
    Ok(())
}

/// Members of a group never share a node.
fn members_apart(state: &State) -> Result<(), String> {
    for group in state.groups().filter(|group| !group.is_together()) {
        let mut nodes = BTreeSet::new();
        for (_, package) in state.group_members(group) {
            let Some(instance) = &package.instance else { continue };
            if !nodes.insert(instance.node) {
                return Err(format!(
                    "{} shares its node with another member of {}",
                    package.name(),
                    group.name()
                ));
            }
        }
    }
    Ok(())
}

/// Members of a together group are on one node, tests apart; and only such a member is held back.
fn members_together(state: &State) -> Result<(), String> {
    for group in state.groups().filter(|group| group.is_together()) {
        let home = together::home(state, group);
        for (_, package) in state.group_members(group) {
            let node = package
                .instance
                .as_ref()
                .filter(|it| it.mode != Mode::Test)
                .map(|it| it.node);
            if node.is_some() && node != home {
                return Err(format!("{} is not with its group {}", package.name(), group.name()));
            }
        }
    }
    let held = |(_, package, instance): &(PackageIx, &Package, &Instance)| {
        let group = package.group.and_then(|group| state.group_at(group));
        instance.held && !group.is_some_and(|group| group.is_together())
    };
    match instances(state).find(held) {
        None => Ok(()),
        Some((_, package, _)) => Err(format!("{} waits for a turn that it never gets", package.name())),
    }
}

/// I2: no epoch was drawn twice, and none that was not drawn is in use.
fn epochs_unique(state: &State) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (_, package, instance) in instances(state) {
        let fresh = seen.insert(instance.start) && (instance.start == instance.epoch || seen.insert(instance.epoch));
        if !fresh || instance.epoch < instance.start || instance.epoch > state.epoch() {
            return Err(format!(
                "{} has epochs {} and {}",
                package.name(),
                instance.start,
                instance.epoch
            ));
        }
    }
    Ok(())
}

/// Every instance belongs to its node's present session, or is stranded.
fn sessions_present(state: &State) -> Result<(), String> {
    for (_, package, instance) in instances(state) {
        let present = state.node_at(instance.node).and_then(crate::node::Node::session);
        let stranded = instance.phase == Phase::Stranded;
        if stranded && !instance.holds_unit() {
            return Err(format!("{} is stranded and was never active", package.name()));
        }
        if !stranded && present != Some(instance.session) {
            return Err(format!(
                "{} belongs to session {}, which has ended",
                package.name(),
                instance.session
            ));
        }
    }
    Ok(())
}

/// I13: what goes on runs as wished, on a node of its list that is not drained and has lost nothing that it needs; members of a together group stop in turns.
fn only_where_allowed(state: &State) -> Result<(), String> {
    let due = |(number, package, instance): &(PackageIx, &Package, &Instance)| {
        instance.is_live() && !maintenance::is_held(state, *number) && !together::takes_turns(state, package)
    };
    for (_, package, instance) in instances(state).filter(due) {
        let drained = state.node_at(instance.node).is_some_and(|node| node.drain);
        if let Some((why, _)) = needs::lost(state, package, instance.node) {
            return Err(format!("{} goes on although {why}", package.name()));
        }
        if drained || !eligible::is_listed(state, package, instance.node) {
            return Err(format!("{} is on a node where it may not be", package.name()));
        }
        let test = instance.mode == crate::command::Mode::Test;
        let wished = match package.wish {
            crate::command::Wish::Start => !test,
            crate::command::Wish::Test => test,
            crate::command::Wish::Stop => false,
        };
        if !wished || package.removing {
            return Err(format!("{} runs against its wish", package.name()));
        }
    }
    Ok(())
}

/// I13: the loads of what goes on stay strictly below each capacity that they load.
fn below_capacity(state: &State) -> Result<(), String> {
    for node in state.nodes() {
        let capacity = state.dimensions.capacity(&node.capacity);
        let live = node
            .instances
            .iter()
            .filter_map(|number| state.package_at(*number)?.instance.as_ref());
        let sum = live
            .filter(|instance| instance.is_live())
            .fold(Loads::default(), |sum, it| sum.plus(it.load));
        for (sum, capacity) in sum.0.iter().zip(capacity) {
            if capacity.is_some_and(|capacity| *sum > 0 && *sum >= capacity) {
                return Err(format!("node {} is planned to {sum} of {capacity:?}", node.name));
            }
        }
    }
    Ok(())
}

/// A package or group that was removed is gone once nothing of it is left.
fn removed_are_gone(state: &State) -> Result<(), String> {
    let package = state
        .packages()
        .find(|package| package.removing && package.instance.is_none());
    let group = state.groups().find(|group| group.removing && group.members.is_empty());
    match (package, group) {
        (None, None) => Ok(()),
        (Some(package), _) => Err(format!("package {} was removed and has no instance", package.name())),
        (None, Some(group)) => Err(format!("group {} was removed and has no package", group.name())),
    }
}

/// I15: a package that is to run and does not has a reason that is true.
fn nothing_left_undone(state: &State) -> Result<(), String> {
    for (number, package) in state.packages.iter() {
        if package.instance.is_some() {
            continue;
        }
        let Some(idle) = &package.idle else {
            return Err(format!("{} is nowhere without a reason", package.name()));
        };
        let open = gate::is_open(state);
        let waits = matches!(idle, Reason::NoNode { .. } | Reason::Failed { .. });
        if waits && placement::could_make_room(state, PackageIx(number)) {
            return Err(format!(
                "{} waits ({idle}) although room can be made for it",
                package.name()
            ));
        }
        if waits && (!open || place::choose(state, PackageIx(number)).is_some()) {
            return Err(format!("{} waits ({idle}) although a node can take it", package.name()));
        }
        if matches!(idle, Reason::WaitsForNodes) && open {
            return Err(format!(
                "{} waits for placing to begin, which has begun",
                package.name()
            ));
        }
    }
    Ok(())
}

/// Whatever is not stored in a snapshot is a function of what is, and so is the digest.
fn indexes_follow_rows(state: &State) -> Result<(), String> {
    let again = from_stored(to_stored(state)).map_err(|error| format!("{error}"))?;
    let waiting = (&state.waiting, &again.waiting);
    if waiting.0 != waiting.1 {
        return Err(format!("waiting units: {:?}, by the rows {:?}", waiting.0, waiting.1));
    }
    if let Some(node) = state.stale_occupants() {
        return Err(format!("who is on node {} is out of date", node.0));
    }
    if let Some(node) = state.stale_yielding() {
        return Err(format!("who would give way on node {} is out of date", node.0));
    }
    if state.deadlines != again.deadlines || state.up != again.up {
        return Err(format!(
            "deadlines {:?}, by the rows {:?}",
            state.deadlines, again.deadlines
        ));
    }
    placement::sums_follow_rows(state, &again)?;
    for (number, node) in state.nodes.iter() {
        let number = NodeIx(number);
        if state.rooms.get(number) != Room::of(node, &state.dimensions) {
            return Err(format!("the room of {} is out of date", node.name));
        }
    }
    if state.needs != again.needs {
        return Err(format!("needs {:?}, by the rows {:?}", state.needs, again.needs));
    }
    let groups = state.groups.iter().zip(again.groups.iter());
    let torn: Vec<_> = groups.filter(|((_, a), (_, b))| a.members != b.members).collect();
    if !torn.is_empty() {
        return Err(format!("members of groups differ: {torn:?}"));
    }
    if digest(state) != digest(&again) {
        return Err(String::from("the digest is another one after a snapshot"));
    }
    Ok(())
}
