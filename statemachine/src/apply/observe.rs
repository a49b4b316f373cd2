//! What daemons saw.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use super::session::find_session;
use super::{load, resource};
use crate::command::{EndCause, InstanceReport, InstanceState, InstanceWords, Mode, Observation, ReloadReport};
use crate::draft::{Cause, Draft, Release};
use crate::event::{EventKind, Proof};
use crate::id::{Epoch, NodeId, NodeIx, PackageIx, SessionId};
use crate::outcome::{Accepted, Outcome, Rejection};
use crate::package::{Ban, Instance, Phase};
use crate::plan::free_run::told_output;
use crate::plan::maintenance;

/// Observations in one report at most.
const OBSERVATIONS_MAX: usize = 4_096;

/// Bytes of what a daemon says of an instance, for people; the rest is cut off.
const DETAIL_BYTES_MAX: usize = 500;

/// A report of a session. Each sequence number counts once: one that was taken is accepted again without effect.
pub(super) fn observe(
    draft: &mut Draft<'_>,
    node: NodeId,
    session: SessionId,
    sequence: u64,
    observations: &[Observation],
) -> Outcome {
    let number = find_session(draft, node, session)?;
    let last = draft
        .state
        .node_at(number)
        .map(|node| node.sequence)
        .unwrap_or_default();
    if sequence <= last {
        return Ok(Accepted::Done);
    }
    if sequence != last.saturating_add(1) {
        return Err(Rejection::ReportGap { last, found: sequence });
    }
    if observations.len() > OBSERVATIONS_MAX {
        let text = format!(
            "{} observations in one report, {OBSERVATIONS_MAX} at most: send several",
            observations.len()
        );
        return Err(Rejection::Limit { text });
    }
    if let Some(node) = draft.state.nodes.get_mut(number.0) {
        node.sequence = sequence;
    }
    for observation in observations {
        match observation {
            Observation::Instance(report) => observe_instance(draft, number, session, report),
            Observation::Said(words) => observe_words(draft, number, session, words),
            Observation::Resource(report) => resource::observe(draft, number, report),
            Observation::Load(measured) => load::observe(draft, number, measured),
            Observation::Reloaded(report) => observe_reload(draft, number, session, report),
        }
    }
    Ok(Accepted::Done)
}

/// A report about an instance that is not there any more, or under another epoch, says nothing new.
fn observe_instance(draft: &mut Draft<'_>, node: NodeIx, session: SessionId, report: &InstanceReport) {
    let Some(number) = draft.state.packages_by_name.get(&report.package).copied() else {
        return;
    };
    let Some(instance) = find_instance(draft, number, node, session, report.start).cloned() else {
        return;
    };
    let detail = cut(&report.detail);
    if *instance.detail != *detail {
        draft.change_instance(number, |instance| instance.detail = Arc::from(detail));
    }
    match &report.state {
        InstanceState::Running { mode } => running(draft, number, &instance, report, *mode),
        InstanceState::Failing { cause } => failing(draft, number, &instance, cause, detail),
        InstanceState::Ended { cause } => ended(draft, number, &instance, cause, detail),
    }
}

/// The instance of a package that a report is about, where it is still that one.
fn find_instance<'a>(
    draft: &'a Draft<'_>,
    number: PackageIx,
    node: NodeIx,
    session: SessionId,
    start: Epoch,
) -> Option<&'a Instance> {
    let instance = draft.state.package_at(number)?.instance.as_ref()?;
    (instance.node == node && instance.session == session && instance.start == start).then_some(instance)
}

/// What it says of itself counts when the next one is chosen.
fn observe_words(draft: &mut Draft<'_>, node: NodeIx, session: SessionId, words: &InstanceWords) {
    let InstanceWords {
        package,
        start,
        score,
        busy,
    } = words;
    let Some(number) = draft.state.packages_by_name.get(package).copied() else {
        return;
    };
    if find_instance(draft, number, node, session, *start).is_none() {
        return;
    }
    draft.change_instance(number, |instance| {
        instance.score = *score;
        instance.busy = *busy;
    });
    draft.plan_package(number);
}

/// A reload command has ended, well or not.
fn observe_reload(draft: &mut Draft<'_>, node: NodeIx, session: SessionId, report: &ReloadReport) {
    let ReloadReport {
        package,
        start,
        revision,
        error,
    } = report;
    let Some(number) = draft.state.packages_by_name.get(package).copied() else {
        return;
    };
    if find_instance(draft, number, node, session, *start).is_some() {
        draft.reloaded(
            number,
            *revision,
            error.as_deref().map(|error| String::from(cut(error))),
        );
    }
}

/// It has answered that it is in a mode: the present one, or the one before a change.
fn running(draft: &mut Draft<'_>, number: PackageIx, instance: &Instance, report: &InstanceReport, mode: Mode) {
    let phase = if report.epoch == instance.epoch && mode == instance.mode {
        Phase::Running
    } else if report.epoch < instance.epoch && instance.phase == Phase::Starting {
        Phase::Changing { from: mode }
    } else {
        return;
    };
    if !instance.is_live() || instance.phase == phase {
        return;
    }
    let now = draft.now;
    let is_ready = phase == Phase::Running;
    draft.change_instance(number, |instance| {
        instance.phase = phase;
        instance.since = now;
    });
    if is_ready && let Some((package, node)) = draft.names(number, instance.node) {
        let kind = EventKind::Started {
            package,
            node,
            mode,
            epoch: instance.epoch,
            output: told_output(draft.state, number),
            own_mode: instance.own_mode.clone(),
        };
        draft.say_package(number, Cause::Trail, kind);
    }
    draft.plan_package(number);
}

/// It failed and is being killed; nothing is proven yet, so nothing is granted.
fn failing(draft: &mut Draft<'_>, number: PackageIx, instance: &Instance, cause: &EndCause, detail: &str) {
    if !instance.is_live() {
        return;
    }
    let now = draft.now;
    draft.change_instance(number, |instance| {
        instance.phase = Phase::Failing { cause: cause.clone() };
        instance.since = now;
    });
    draft.shake(number);
    say_failed(draft, number, instance, cause, detail);
    draft.plan_package(number);
}

/// Nothing of it is left.
fn ended(draft: &mut Draft<'_>, number: PackageIx, instance: &Instance, cause: &EndCause, detail: &str) {
    let failed = match (&instance.phase, cause) {
        (Phase::Failing { .. }, _) => true,
        (Phase::Stopping { .. } | Phase::Stranded, _) | (_, EndCause::Requested | EndCause::LeaseEnded) => false,
        (
            Phase::Starting | Phase::Running | Phase::Changing { .. },
            EndCause::Exited { .. }
            | EndCause::Signalled { .. }
            | EndCause::NotStarted
            | EndCause::NotReady
            | EndCause::ProbeFailed,
        ) => {
            say_failed(draft, number, instance, cause, detail);
            true
        }
    };
    // By hand something may well fail: that bans it from nowhere.
    let stay = if failed && !maintenance::is_held(draft.state, number) {
        !ban_after_failures(draft, number, instance)
    } else {
        true
    };
    draft.release(
        number,
        Release {
            proof: Proof::Reported,
            failure: true,
            stay,
            cause: Cause::Trail,
        },
    );
}

fn say_failed(draft: &mut Draft<'_>, number: PackageIx, instance: &Instance, cause: &EndCause, detail: &str) {
    let failures = draft.record_failure(number);
    let Some((package, node)) = draft.names(number, instance.node) else {
        return;
    };
    let kind = EventKind::Failed {
        package,
        node,
        mode: instance.mode,
        cause: cause.clone(),
        detail: String::from(detail),
        failures,
    };
    draft.say_package(number, Cause::Outside, kind);
}

/// After more failures than its definition allows restarts, a package is not started on this node again.
fn ban_after_failures(draft: &mut Draft<'_>, number: PackageIx, instance: &Instance) -> bool {
    let Some(package) = draft.state.packages.get_mut(number.0) else {
        return false;
    };
    let failures = u32::try_from(package.failures.len()).unwrap_or(u32::MAX);
    if failures <= package.spec.restart.attempts {
        return false;
    }
    package.failures.clear();
    package.bans.retain(|ban| ban.node != instance.node);
    package.bans.push(Ban {
        node: instance.node,
        session: instance.session,
        failures,
    });
    if let Some((package, node)) = draft.names(number, instance.node) {
        draft.say_package(
            number,
            Cause::Trail,
            EventKind::Banned {
                package,
                node,
                failures,
            },
        );
    }
    true
}

/// At most [`DETAIL_BYTES_MAX`] bytes, whole characters.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}
