//! The whole cluster is stopped in order and started again. No wish changes: what was to run runs again afterwards.

use alloc::vec::Vec;

use super::conflict;
use crate::draft::Draft;
use crate::event::EventKind;
use crate::id::PackageIx;
use crate::outcome::{Accepted, Outcome};
use crate::package::{Instance, Package};

/// Stops everything that runs; nothing is started before [`start`], also where nodes leave and return meanwhile.
pub(super) fn stop(draft: &mut Draft<'_>) -> Outcome {
    if draft.state.is_maintained() {
        return Err(conflict(
            "the cluster is in maintenance, so nothing is stopped: `maintenance off` first".into(),
        ));
    }
    if !set_stopped(draft, true) {
        return Ok(Accepted::Done);
    }
    let running = draft.state.packages.iter().filter(|(_, package)| runs(package));
    let instances = u32::try_from(running.count()).unwrap_or(u32::MAX);
    draft.say(draft.actor, EventKind::ClusterStopping { instances });
    plan_all(draft);
    Ok(Accepted::Done)
}

/// Starts what is to run.
pub(super) fn start(draft: &mut Draft<'_>) -> Outcome {
    if set_stopped(draft, false) {
        draft.say(draft.actor, EventKind::ClusterStarting);
        plan_all(draft);
    }
    Ok(Accepted::Done)
}

fn set_stopped(draft: &mut Draft<'_>, stopped: bool) -> bool {
    let index = draft.index;
    let changed = |cluster: &mut crate::cluster::Cluster| {
        let changed = core::mem::replace(&mut cluster.stopped, stopped) != stopped;
        if changed {
            cluster.acted = index;
        }
        changed
    };
    draft.state.cluster_mut().is_some_and(changed)
}

fn runs(package: &Package) -> bool {
    package.instance.as_ref().is_some_and(Instance::is_live)
}

fn plan_all(draft: &mut Draft<'_>) {
    let all: Vec<PackageIx> = draft
        .state
        .packages
        .iter()
        .map(|(number, _)| PackageIx(number))
        .collect();
    for package in all {
        draft.plan_package(package);
    }
}
