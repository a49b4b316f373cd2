//! Conditions of a changed configuration: whatever could never hold is refused while somebody is there to mend it.

use alloc::format;
use alloc::string::String;

use super::not_found;
use crate::command::{ConfigChange, PackageSpec};
use crate::draft::Draft;
use crate::id::{GroupName, PackageName};
use crate::outcome::Rejection;
use crate::plan::ring::{REACH_MAX, RING_MAX, ring_of};
use crate::rules::condition::Condition;
use crate::state::State;

/// What can be seen of a condition without the other packages.
pub(super) fn check_condition(spec: &PackageSpec) -> Result<(), Rejection> {
    let Some(text) = &spec.condition else { return Ok(()) };
    let name = &spec.name;
    let condition =
        Condition::parse(text).map_err(|error| invalid(format!("the condition of package {name}: {error}")))?;
    let own = [Some(name.as_str()), spec.group.as_ref().map(GroupName::as_str)];
    if let Some(own) = own.into_iter().flatten().find(|own| condition.excludes(own)) {
        return Err(invalid(format!(
            "the condition of package {name} excludes {own}, which is there wherever {name} is: take that out"
        )));
    }
    Ok(())
}

/// What shows only once all changes of a command are there: names that nothing has, and rings that can't be placed.
pub(super) fn check_conditions(draft: &Draft<'_>, changes: &[ConfigChange]) -> Result<(), Rejection> {
    let state = &*draft.state;
    for change in changes {
        match change {
            ConfigChange::PutPackage(spec) if spec.condition.is_some() => check_names(state, spec)?,
            ConfigChange::RemovePackage(name) => check_removed(state, name.as_str())?,
            ConfigChange::RemoveGroup(name) => check_removed(state, name.as_str())?,
            ConfigChange::PutPackage(_)
            | ConfigChange::PutGroup(_)
            | ConfigChange::PutCluster(_)
            | ConfigChange::PutRules(_) => {}
        }
    }
    Ok(())
}

fn check_names(state: &State, spec: &PackageSpec) -> Result<(), Rejection> {
    let Some(number) = state.packages_by_name.get(&spec.name).copied() else {
        return Ok(());
    };
    let Some(package) = state.package_at(number).filter(|package| !package.removing) else {
        return Ok(());
    };
    let Some(Ok(condition)) = package.spec.condition.as_deref().map(Condition::parse) else {
        return Ok(());
    };
    let name = package.name();
    for (atom, _) in condition.atoms() {
        if !is_defined(state, atom) {
            let packages = state.packages.iter().filter(|(_, package)| !package.removing);
            let groups = state.groups.iter().filter(|(_, group)| !group.removing);
            let names = packages.map(|(_, package)| package.name().as_str());
            let unknown = not_found(
                "package",
                atom,
                names.chain(groups.map(|(_, group)| group.name().as_str())),
            );
            return Err(invalid(format!("the condition of package {name}: {unknown}")));
        }
        let peer = PackageName::new(atom).ok().and_then(|atom| state.package(&atom));
        if let Some(peer) =
            peer.filter(|peer| peer.name() != name && peer.group.is_some() && peer.group == package.group)
            && condition.requires(atom)
        {
            return Err(invalid(format!(
                "the condition of package {name} wants {} on the same node, and both are in one group, which keeps its members apart",
                peer.name()
            )));
        }
    }
    match ring_of(state, number) {
        Err(reached) => Err(invalid(format!(
            "the condition of package {name} leads to {reached} packages by way of others' conditions, {REACH_MAX} at most"
        ))),
        Ok(Some(ring)) if ring.len() > RING_MAX => Err(invalid(format!(
            "the condition of package {name} closes a ring of {} packages, which would all start on one node: {RING_MAX} at most",
            ring.len()
        ))),
        Ok(_) => Ok(()),
    }
}

/// A name that goes must not be left behind in somebody's condition.
fn check_removed(state: &State, name: &str) -> Result<(), Rejection> {
    if is_defined(state, name) {
        return Ok(());
    }
    let who = state.mentions.get(name).into_iter().flat_map(|who| who.iter());
    let mut who = who.filter_map(|number| state.package_at(*number));
    match who.find(|package| !package.removing) {
        None => Ok(()),
        Some(package) => Err(super::conflict(format!(
            "{name} is named by the condition of package {}: change that first, or in the same command",
            package.name()
        ))),
    }
}

fn is_defined(state: &State, name: &str) -> bool {
    let package = PackageName::new(name).ok().and_then(|name| state.package(&name));
    let group = GroupName::new(name).ok().and_then(|name| state.group(&name));
    package.is_some_and(|package| !package.removing) || group.is_some_and(|group| !group.removing)
}

fn invalid(text: String) -> Rejection {
    Rejection::Invalid { text }
}
