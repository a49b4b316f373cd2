//! What the members of a group are to each other: the order of `after` in together groups names members of the same group
//! and has no cycle, and none of those needs a node for itself.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use super::conflict;
use crate::command::ConfigChange;
use crate::draft::Draft;
use crate::group::Group;
use crate::id::{GroupIx, PackageName};
use crate::outcome::Rejection;
use crate::package::Package;

/// The groups whose order these changes may break: those of the packages and groups that they name.
pub(super) fn groups_of(draft: &Draft<'_>, changes: &[ConfigChange]) -> BTreeSet<GroupIx> {
    let state = &*draft.state;
    let of_package = |name: &PackageName| state.package(name).and_then(|package| package.group);
    let touched = changes.iter().filter_map(|change| match change {
        ConfigChange::PutPackage(spec) => of_package(&spec.name),
        ConfigChange::RemovePackage(name) => of_package(name),
        ConfigChange::PutGroup(spec) => state.groups_by_name.get(&spec.name).copied(),
        ConfigChange::PutCluster(_) | ConfigChange::RemoveGroup(_) | ConfigChange::PutRules(_) => None,
    });
    touched.collect()
}

/// Refuses a definition after which a group could not start in order.
pub(super) fn check(draft: &Draft<'_>, group: GroupIx) -> Result<(), Rejection> {
    let state = &*draft.state;
    let Some(group) = state.group_at(group) else {
        return Ok(());
    };
    let members: Vec<&Package> = state
        .group_members(group)
        .map(|(_, package)| package)
        .filter(|package| !package.removing)
        .collect();
    let exclusive = members.iter().find(|package| package.spec.exclusive);
    if let Some(package) = exclusive.filter(|_| group.is_together()) {
        return Err(conflict(format!(
            "package {} needs a node for itself, but the members of group {} share one: take `exclusive` away, or put it \
             outside the group",
            package.name(),
            group.name()
        )));
    }
    if members.iter().all(|package| package.spec.after.is_empty()) {
        return Ok(());
    }
    for package in &members {
        for earlier in &package.spec.after {
            check_name(group, package, earlier, &members)?;
        }
    }
    // Whoever has nobody before it is taken out, again and again: what is left waits for itself.
    let mut rest = members;
    loop {
        let names: BTreeSet<&PackageName> = rest.iter().map(|package| package.name()).collect();
        let count = rest.len();
        rest.retain(|package| package.spec.after.iter().any(|earlier| names.contains(earlier)));
        if rest.is_empty() {
            return Ok(());
        }
        if rest.len() == count {
            let names: Vec<&str> = rest.iter().map(|package| package.name().as_str()).collect();
            return Err(conflict(format!(
                "in group {} these start after each other, so none could be first: {}; take one `after` away",
                group.name(),
                names.join(", ")
            )));
        }
    }
}

fn check_name(group: &Group, package: &Package, earlier: &PackageName, members: &[&Package]) -> Result<(), Rejection> {
    let name = package.name();
    if !group.is_together() {
        return Err(conflict(format!(
            "package {name} is after {earlier}, but group {} is not of kind together: order is kept there only",
            group.name()
        )));
    }
    if members.iter().any(|member| member.name() == earlier) {
        return Ok(());
    }
    Err(conflict(format!(
        "package {name} is after {earlier}, which is no member of group {}: put it there, or take it out of `after`",
        group.name()
    )))
}
