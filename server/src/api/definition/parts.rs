//! Parts of definitions that stand for themselves: what groups are, what packages need, how they are asked.

use client::wire::definition as wire;
use statemachine::command as core;

use super::{Faults, millis, text};

/// What a group's members are to each other.
pub(super) fn kind_to_core(what: &str, kind: &str, faults: &mut Faults) -> Option<core::GroupKind> {
    match kind {
        "duplex" => Some(core::GroupKind::Duplex),
        "free-run" => Some(core::GroupKind::FreeRun),
        "load-share" => Some(core::GroupKind::LoadShare),
        "together" => Some(core::GroupKind::Together),
        other => {
            faults.say(format!(
                "{what}: kind {other:?}: expected \"duplex\", \"free-run\", \"load-share\" or \"together\""
            ));
            None
        }
    }
}

/// The word for what a group's members are to each other.
pub(in crate::api) fn kind_text(kind: core::GroupKind) -> &'static str {
    match kind {
        core::GroupKind::Duplex => "duplex",
        core::GroupKind::FreeRun => "free-run",
        core::GroupKind::LoadShare => "load-share",
        core::GroupKind::Together => "together",
    }
}

/// What a package needs of its node.
pub(super) fn needs_to_core(what: &str, needs: &[String], faults: &mut Faults) -> Option<Vec<core::Need>> {
    needs
        .iter()
        .map(|need| faults.keep(&format!("{what}: needs"), core::Need::parse(need)))
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}

pub(super) fn probe_to_core(what: &str, probe: &wire::ProbeDefinition, faults: &mut Faults) -> Option<core::ProbeSpec> {
    let wire::ProbeDefinition {
        exec,
        tcp,
        http,
        interval,
        timeout,
        failures,
    } = probe;
    let kind = match (exec, tcp, http) {
        (Some(command), None, None) if !command.is_empty() => core::ProbeKind::Exec(command.clone()),
        (None, Some(address), None) => core::ProbeKind::Tcp(address.clone()),
        (None, None, Some(url)) => core::ProbeKind::Http(url.clone()),
        _ => {
            faults.say(format!("{what}: probe: expected exactly one of exec, tcp and http"));
            return None;
        }
    };
    Some(core::ProbeSpec {
        kind,
        interval: millis(*interval),
        timeout: millis(*timeout),
        failures: *failures,
    })
}

/// A probe, as a file would say it.
pub fn probe_to_wire(probe: &core::ProbeSpec) -> wire::ProbeDefinition {
    let core::ProbeSpec {
        kind,
        interval,
        timeout,
        failures,
    } = probe;
    let (mut exec, mut tcp, mut http) = (None, None, None);
    match kind {
        core::ProbeKind::Exec(command) => exec = Some(command.clone()),
        core::ProbeKind::Tcp(address) => tcp = Some(address.clone()),
        core::ProbeKind::Http(url) => http = Some(url.clone()),
    }
    wire::ProbeDefinition {
        exec,
        tcp,
        http,
        interval: text(*interval),
        timeout: text(*timeout),
        failures: *failures,
    }
}
