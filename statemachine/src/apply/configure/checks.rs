//! What a definition must not do to what is there already.

use alloc::format;
use alloc::vec::Vec;

use super::super::conflict;
use super::super::validate::GROUP_MEMBERS_MAX;
use crate::command::{ClusterSpec, PackageSpec};
use crate::draft::Draft;
use crate::id::{GroupIx, NodeIx, PackageIx};
use crate::outcome::Rejection;
use crate::plan::maintenance;

/// A mode that a package has, or is to have, stays defined.
pub(super) fn check_modes_in_use(draft: &Draft<'_>, spec: &ClusterSpec) -> Result<(), Rejection> {
    let defined = |mode: &str| spec.modes.iter().any(|it| it.name == mode);
    let rows = draft.state.packages.iter().map(|(_, package)| package);
    let mut used = rows.filter_map(|package| {
        let running = package
            .instance
            .as_ref()
            .and_then(|instance| instance.own_mode.as_deref());
        let mode = package.own_mode.as_deref().or(running)?;
        Some((package.name(), mode))
    });
    used.find(|(_, mode)| !defined(mode)).map_or(Ok(()), |(name, mode)| {
        Err(conflict(format!(
            "mode {mode} is {name}'s now: `start {name}` or `stop {name}` first, then repeat"
        )))
    })
}

/// What outgrows its node is stopped there, and what is in maintenance is not: one of the two has to wait.
pub(super) fn check_growth(draft: &Draft<'_>, number: PackageIx, spec: &PackageSpec) -> Result<(), Rejection> {
    let state = &*draft.state;
    let instance = state.package_at(number).and_then(|package| package.instance.as_ref());
    let Some(instance) = instance.filter(|_| maintenance::is_held(state, number)) else {
        return Ok(());
    };
    let load = state.dimensions.load(&spec.load);
    let room = state.rooms.get(instance.node);
    let mut rows = load.0.iter().zip(instance.load.0).zip(room.free);
    if rows.all(|((load, before), free)| *load <= before || load.saturating_sub(before) < free) {
        return Ok(());
    }
    let name = &spec.name;
    Err(conflict(format!(
        "{name} is in maintenance, and its node has no room for its new load: `maintenance off` first (`explain {name}`)"
    )))
}

/// A dimension that no package named before is one that the nodes' rooms do not count yet.
pub(super) fn claim_dimensions(draft: &mut Draft<'_>, spec: &PackageSpec) -> Result<(), Rejection> {
    let before = draft.state.dimensions.clone();
    draft
        .state
        .dimensions
        .claim(&spec.load)
        .map_err(|dimension| Rejection::Limit {
            text: format!(
                "package {} loads {dimension}, a fifth dimension beside those in use: four are counted at most",
                spec.name
            ),
        })?;
    if before.names().eq(draft.state.dimensions.names()) {
        return Ok(());
    }
    let numbers: Vec<NodeIx> = draft.state.nodes.iter().map(|(number, _)| NodeIx(number)).collect();
    for number in numbers {
        draft.change_node(number, |_| {});
    }
    Ok(())
}

/// A group has so many members at most.
pub(super) fn check_group_size(draft: &Draft<'_>, group: Option<GroupIx>) -> Result<(), Rejection> {
    let Some(group) = group.and_then(|group| draft.state.group_at(group)) else {
        return Ok(());
    };
    if group.members.len() >= GROUP_MEMBERS_MAX {
        let text = format!(
            "group {} has {GROUP_MEMBERS_MAX} members, which is the most",
            group.name()
        );
        return Err(Rejection::Limit { text });
    }
    Ok(())
}
