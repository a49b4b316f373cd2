//! What daemons say of the resources of their nodes, and which they are to look at.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::observe::cut;
use crate::command::{PackageSpec, ResourceReport};
use crate::draft::{Cause, Draft};
use crate::event::EventKind;
use crate::id::{NodeIx, PackageIx};
use crate::outcome::Rejection;
use crate::plan::{needs, together};
use crate::resource::{NEEDS_MAX, Need, Resource};

/// Takes a daemon's word on one resource. The same word again says nothing; a resource that nothing needs and that was
/// never heard of is kept up to a bound.
pub(super) fn observe(draft: &mut Draft<'_>, number: NodeIx, report: &ResourceReport) {
    let ResourceReport { need, up, detail } = report;
    let (up, detail) = (*up, cut(detail));
    let Some(node) = draft.state.node_at(number) else {
        return;
    };
    let known = node.resources.get(need);
    let is_new = known.is_none();
    if need.check().is_err() || is_new && node.resources.0.len() >= NEEDS_MAX {
        return;
    }
    if known.is_some_and(|known| known.up == up && *known.detail == *detail) {
        return;
    }
    // A link that a node never had is no news, unless something runs there that needs it.
    let changed = match known {
        Some(known) => known.up != up,
        None => !up && needs::any_needs(draft.state, number, need),
    };
    let (since, event) = known.map_or((draft.now, None), |known| (known.since, known.event));
    let name = node.name.clone();
    let event = if changed {
        let kind = EventKind::ResourceChanged {
            node: name,
            need: need.clone(),
            up,
            detail: detail.into(),
        };
        Some(draft.say(None, kind))
    } else {
        event
    };
    let resource = Resource {
        up,
        since: if changed || is_new { draft.now } else { since },
        detail: Arc::from(detail),
        event,
    };
    if let Some(node) = draft.state.nodes.get_mut(number.0) {
        Arc::make_mut(&mut node.resources.0).insert(need.clone(), resource);
    }
    draft.state.needs.set(number, need, up);
    if up {
        draft.gained.insert(number);
    } else {
        stop_hit(draft, number);
        draft.plan_claims(number);
    }
}

/// What needs a resource that is lost goes elsewhere.
fn stop_hit(draft: &mut Draft<'_>, node: NodeIx) {
    let hit: Vec<PackageIx> = needs::hit(draft.state, node).collect();
    for number in hit {
        let state = &*draft.state;
        let Some(package) = state.package_at(number) else {
            continue;
        };
        let apart = !together::holds(state, package);
        if apart && let Some((why, resource)) = needs::lost(state, package, node) {
            let cause = Cause::Of(resource.event);
            draft.stop(number, why, cause);
        }
        draft.plan_package(number);
    }
}

/// A node's new session has said nothing yet.
pub(super) fn forget(draft: &mut Draft<'_>, number: NodeIx) {
    let Some(node) = draft.state.nodes.get_mut(number.0) else {
        return;
    };
    let before = core::mem::take(&mut node.resources);
    for (need, _) in before.iter() {
        draft.state.needs.set(number, need, false);
    }
}

/// Notes what a definition needs. Every daemon is told of what none needed before.
pub(super) fn claim(draft: &mut Draft<'_>, spec: &PackageSpec) -> Result<(), Rejection> {
    let mut fresh = false;
    for need in &spec.needs {
        fresh |= draft.state.needs.claim(need);
    }
    if draft.state.needs.wanted.len() > NEEDS_MAX {
        let text = format!(
            "package {} needs a resource beyond the {NEEDS_MAX} different ones that packages of a cluster may need",
            spec.name
        );
        return Err(Rejection::Limit { text });
    }
    if fresh {
        draft.touch_all();
    }
    Ok(())
}

/// What none needs any more is no longer looked at, and what was said of it is no longer true.
pub(crate) fn release(draft: &mut Draft<'_>, spec: &PackageSpec) {
    let gone: Vec<&Need> = spec
        .needs
        .iter()
        .filter(|need| draft.state.needs.release(need))
        .collect();
    if gone.is_empty() {
        return;
    }
    draft.touch_all();
    let numbers: Vec<NodeIx> = draft.state.nodes.iter().map(|(number, _)| NodeIx(number)).collect();
    for number in numbers {
        for need in &gone {
            draft.state.needs.set(number, need, false);
            if draft
                .state
                .node_at(number)
                .is_some_and(|node| node.resources.get(need).is_some())
                && let Some(node) = draft.state.nodes.get_mut(number.0)
            {
                Arc::make_mut(&mut node.resources.0).remove(*need);
            }
        }
    }
}
