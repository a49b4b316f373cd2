//! What people and rules ask of packages.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::{conflict, not_found};
use crate::command::{ModeSpec, Wish};
use crate::draft::{Cause, Draft};
use crate::event::{EventKind, mode_word, wish_word};
use crate::group::{Leaving, Ownership};
use crate::id::{GroupIx, NodeIx, NodeName, PackageIx, PackageName};
use crate::outcome::{Accepted, Outcome, Rejection};
use crate::package::{Instance, Package, Phase};
use crate::plan::eligible::Terms;
use crate::plan::takeover::{allow_failovers, heir};
use crate::plan::{maintenance, together};
use crate::reason::Reason;
use crate::state::State;

/// A package that is defined.
pub(super) fn find_package(draft: &Draft<'_>, name: &PackageName) -> Result<PackageIx, Rejection> {
    let state = &*draft.state;
    let known = state.packages_by_name.get(name).copied();
    known
        .filter(|number| state.package_at(*number).is_some_and(|package| !package.removing))
        .ok_or_else(|| {
            let defined = state.packages.iter().filter(|(_, package)| !package.removing);
            not_found(
                "package",
                name.as_str(),
                defined.map(|(_, package)| package.name().as_str()),
            )
        })
}

/// A node that has registered once.
pub(super) fn find_node(draft: &Draft<'_>, name: &NodeName) -> Result<NodeIx, Rejection> {
    let state = &*draft.state;
    let known = state.nodes_by_name.get(name).copied();
    known.ok_or_else(|| not_found("node", name.as_str(), state.nodes().map(|node| node.name.as_str())))
}

/// Maintenance ranks before any wish: whoever wants something of the package ends it first.
fn check_free(draft: &Draft<'_>, number: PackageIx, name: &PackageName) -> Result<(), Rejection> {
    if maintenance::is_held(draft.state, number) {
        return Err(conflict(format!(
            "{name} is in maintenance, by itself, its group, its node or the cluster: `maintenance off` first (`explain {name}`)"
        )));
    }
    Ok(())
}

pub(super) fn set_wish(draft: &mut Draft<'_>, name: &PackageName, wish: Wish) -> Outcome {
    let number = find_package(draft, name)?;
    check_free(draft, number, name)?;
    let Some(package) = draft.state.package_at(number) else {
        return Ok(Accepted::Done);
    };
    let forgets = wish == Wish::Start && has_failures(draft, package);
    if package.wish == wish && package.own_mode.is_none() && !forgets {
        return Ok(Accepted::Done);
    }
    let words: &[&str] = match wish {
        Wish::Start => &["standby", "active"],
        Wish::Stop => &["stopped"],
        Wish::Test => &["test"],
    };
    check_leave(draft.state, package, words)?;
    let index = draft.index;
    let group = package.group;
    draft.change_package(number, |package| {
        package.wish = wish;
        package.own_mode = None;
        package.changed = index;
        package.prefer = None;
        if wish != Wish::Test {
            package.forget_failures();
        }
    });
    draft.say_package(
        number,
        Cause::Outside,
        EventKind::Wished {
            package: name.clone(),
            wish,
        },
    );
    if wish == Wish::Start {
        group.into_iter().for_each(|group| allow_failovers(draft, group));
    }
    draft.plan_package(number);
    Ok(Accepted::Done)
}

/// The word for the mode that a package has now.
fn present_mode(package: &Package) -> &str {
    let live = package.instance.as_ref().filter(|instance| instance.is_live());
    live.map_or("stopped", Instance::mode_name)
}

/// The modes of the users' own.
fn modes_of(state: &State) -> &[ModeSpec] {
    state
        .cluster()
        .map(|cluster| cluster.spec.modes.as_slice())
        .unwrap_or_default()
}

/// Whether a package may go from the mode of the users' own that it has, if it has one, into one of these.
fn check_leave(state: &State, package: &Package, into: &[&str]) -> Result<(), Rejection> {
    let now = present_mode(package);
    let modes = modes_of(state);
    let Some(mode) = modes.iter().find(|mode| mode.name == now) else {
        return Ok(());
    };
    if into.iter().any(|word| mode.to.iter().any(|to| to == word)) {
        return Ok(());
    }
    let name = package.name();
    Err(conflict(format!(
        "{name} runs {now}, from which it may go into {} only: `mode {name} …`, or change `to` of the mode",
        mode.to.join(", ")
    )))
}

/// Has a package run in a mode of the users' own: beside an active one, as in test.
pub(super) fn set_mode(draft: &mut Draft<'_>, name: &PackageName, mode: &str) -> Outcome {
    let number = find_package(draft, name)?;
    check_free(draft, number, name)?;
    let state = &*draft.state;
    let Some(package) = state.package_at(number) else {
        return Ok(Accepted::Done);
    };
    let modes = modes_of(state);
    let Some(spec) = modes.iter().find(|spec| spec.name == mode) else {
        return Err(not_found("mode", mode, modes.iter().map(|mode| mode.name.as_str())));
    };
    if package.own_mode.as_deref() == Some(mode) {
        return Ok(Accepted::Done);
    }
    let now = present_mode(package);
    if !spec.from.iter().any(|from| from == now) {
        return Err(conflict(format!(
            "{name} is {now}, and only from {} may a package go into mode {mode}",
            spec.from.join(", ")
        )));
    }
    check_leave(state, package, &[mode])?;
    let index = draft.index;
    draft.change_package(number, |package| {
        package.wish = Wish::Test;
        package.own_mode = Some(Arc::from(mode));
        package.changed = index;
        package.prefer = None;
    });
    let kind = EventKind::ModeWished {
        package: name.clone(),
        mode: String::from(mode),
    };
    draft.say_package(number, Cause::Outside, kind);
    draft.plan_package(number);
    Ok(Accepted::Done)
}

/// Whether a start has anything to forget.
fn has_failures(draft: &Draft<'_>, package: &Package) -> bool {
    let group = package.group.and_then(|group| draft.state.group_at(group));
    let exhausted = group.is_some_and(|group| group.exhausted.is_some());
    !package.failures.is_empty() || !package.bans.is_empty() || exhausted
}

pub(super) fn clear(draft: &mut Draft<'_>, name: &PackageName) -> Outcome {
    let number = find_package(draft, name)?;
    let group = draft.state.package_at(number).and_then(|package| package.group);
    draft.change_package(number, Package::forget_failures);
    draft.say_package(number, Cause::Outside, EventKind::Cleared { package: name.clone() });
    group.into_iter().for_each(|group| allow_failovers(draft, group));
    draft.plan_package(number);
    Ok(Accepted::Done)
}

pub(super) fn promote(draft: &mut Draft<'_>, name: &PackageName) -> Outcome {
    let number = find_package(draft, name)?;
    check_free(draft, number, name)?;
    let state = &*draft.state;
    let Some(package) = state.package_at(number) else {
        return Ok(Accepted::Done);
    };
    let Some(group) = package.group.filter(|_| state.shared_unit(package).is_some()) else {
        return Err(conflict(format!(
            "package {name} is in no group that has standbys, so it is never standby: `start {name}` runs it as active"
        )));
    };
    let live = package.instance.as_ref().filter(|instance| instance.is_live());
    if live.is_some_and(Instance::holds_unit) {
        return Ok(Accepted::Done);
    }
    if package.wish != Wish::Start {
        let wish = wish_word(package.wish);
        return Err(conflict(format!("the wish of {name} is {wish}: `start {name}` first")));
    }
    if live.is_none_or(|instance| !instance.stands_by()) {
        let found = package.state().as_str();
        return Err(conflict(format!(
            "{name} is {found}, and only a standby can be promoted: wait until it stands by"
        )));
    }
    let holder = match state.ownership(package) {
        Ownership::Stranded { package, .. } => return Err(stranded(draft, package)),
        Ownership::Held { package, .. } => Some(package),
        Ownership::Free | Ownership::Releasing { .. } => None,
    };
    hand_over(draft, group, number, name, holder);
    Ok(Accepted::Done)
}

/// The fittest standby takes over, and the active one becomes a standby.
pub(super) fn demote(draft: &mut Draft<'_>, name: &PackageName) -> Outcome {
    let number = find_package(draft, name)?;
    check_free(draft, number, name)?;
    let state = &*draft.state;
    let Some(package) = state.package_at(number) else {
        return Ok(Accepted::Done);
    };
    let Some(group) = package.group.filter(|_| state.shared_unit(package).is_some()) else {
        return Err(conflict(format!(
            "package {name} is in no group that has standbys, so nobody can take over from it: `stop {name}` stops it"
        )));
    };
    let live = package.instance.as_ref().filter(|instance| instance.is_live());
    if live.is_some_and(Instance::stands_by) {
        return Ok(Accepted::Done);
    }
    if !live.is_some_and(Instance::holds_unit) {
        let found = package.state().as_str();
        return Err(conflict(format!(
            "{name} is {found}: only an active package can be demoted"
        )));
    }
    let heir = state.group_at(group).and_then(|row| heir(state, row));
    let ready = heir.and_then(|heir| state.package_at(heir)).filter(|heir| {
        let instance = heir.instance.as_ref();
        instance.is_some_and(Instance::is_ready)
    });
    let Some((heir, heir_name)) = heir.zip(ready.map(|heir| heir.name().clone())) else {
        return Err(conflict(format!(
            "no standby of {name}'s group is ready to take over: `explain` shows what each waits for"
        )));
    };
    draft.say_package(
        number,
        Cause::Outside,
        EventKind::DemoteWished { package: name.clone() },
    );
    hand_over(draft, group, heir, &heir_name, Some(number));
    Ok(Accepted::Done)
}

/// Stops the active one; the chosen one takes over once its end is proven.
fn hand_over(draft: &mut Draft<'_>, group: GroupIx, heir: PackageIx, name: &PackageName, holder: Option<PackageIx>) {
    let wished = draft.say_package(heir, Cause::Outside, EventKind::PromoteWished { package: name.clone() });
    allow_failovers(draft, group);
    if let Some(row) = draft.state.groups.get_mut(group.0) {
        row.successor = Some(heir);
    }
    if let Some(holder) = holder {
        draft.stop(
            holder,
            Reason::Promoted { package: name.clone() },
            Cause::Of(Some(wished)),
        );
    }
    draft.plan_package(heir);
}

pub(super) fn move_package(draft: &mut Draft<'_>, name: &PackageName, to: &NodeName) -> Outcome {
    let number = find_package(draft, name)?;
    let node = find_node(draft, to)?;
    check_free(draft, number, name)?;
    let state = &*draft.state;
    let Some(package) = state.package_at(number) else {
        return Ok(Accepted::Done);
    };
    if package.wish == Wish::Stop {
        return Err(conflict(format!("{name} is stopped: `start {name}` first")));
    }
    if let Some(instance) = &package.instance {
        if instance.phase == Phase::Stranded {
            return Err(stranded(draft, number));
        }
        if instance.node == node && instance.is_live() {
            return Ok(Accepted::Done);
        }
    }
    if together::holds(state, package) {
        return move_together(draft, number, node, to);
    }
    let terms = Terms::of(state, number, package);
    let here = package.instance.as_ref().is_some_and(|instance| instance.node == node);
    if !here && let Some(obstacle) = terms.obstacle(state, node) {
        return Err(conflict(format!("{name} can't run on {to}: {obstacle}")));
    }
    let wished = draft.say_package(
        number,
        Cause::Outside,
        EventKind::MoveWished {
            package: name.clone(),
            to: to.clone(),
        },
    );
    draft.stop(number, Reason::Moved { to: to.clone() }, Cause::Of(Some(wished)));
    draft.change_package(number, |package| package.prefer = Some(node));
    draft.plan_package(number);
    Ok(Accepted::Done)
}

/// A member of a together group takes the others along.
fn move_together(draft: &mut Draft<'_>, number: PackageIx, node: NodeIx, to: &NodeName) -> Outcome {
    let state = &*draft.state;
    let Some(package) = state.package_at(number) else {
        return Ok(Accepted::Done);
    };
    let Some((group, row)) = package.group.and_then(|group| Some((group, state.group_at(group)?))) else {
        return Ok(Accepted::Done);
    };
    let name = package.name().clone();
    let home = together::home(state, row);
    if home == Some(node) && row.leaving.is_none() {
        return Ok(Accepted::Done);
    }
    let members: alloc::vec::Vec<PackageIx> = state
        .group_members(row)
        .filter(|(_, package)| package.is_wished())
        .map(|(number, _)| number)
        .collect();
    let is_stranded = |number: &PackageIx| {
        let instance = state.package_at(*number).and_then(|package| package.instance.as_ref());
        instance.is_some_and(|instance| instance.phase == Phase::Stranded)
    };
    if let Some(stuck) = members.iter().copied().find(is_stranded) {
        return Err(stranded(draft, stuck));
    }
    if home != Some(node)
        && let Some(obstacle) = together::Bundle::of(state, &members).obstacle(state, node)
    {
        return Err(conflict(format!("the group of {name} can't run on {to}: {obstacle}")));
    }
    let wished = draft.say_package(
        number,
        Cause::Outside,
        EventKind::MoveWished {
            package: name,
            to: to.clone(),
        },
    );
    if let Some((home, row)) = home.zip(draft.state.groups.get_mut(group.0)) {
        row.leaving = Some(Leaving {
            node: home,
            why: Reason::Moved { to: to.clone() },
            cause: Some(wished),
        });
    }
    for member in members {
        draft.change_package(member, |package| package.prefer = Some(node));
    }
    draft.plan_package(number);
    Ok(Accepted::Done)
}

/// The refusal where an instance may still run on a lost node.
fn stranded(draft: &Draft<'_>, number: PackageIx) -> Rejection {
    let state = &*draft.state;
    let instance: Option<&Instance> = state.package_at(number).and_then(|package| package.instance.as_ref());
    let node = instance
        .and_then(|instance| state.node_at(instance.node))
        .map(|node| node.name.clone());
    let package = state.package_at(number).map(|package| package.name().clone());
    match (package, node, instance) {
        (Some(package), Some(node), Some(instance)) => conflict(format!(
            "{package} may still be {} on {node}, which is lost: `confirm-down {node}` once it is surely off",
            mode_word(instance.mode)
        )),
        (Some(_) | None, _, _) => conflict("it may still run on a lost node: `confirm-down` that node first".into()),
    }
}
