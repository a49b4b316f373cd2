//! Between the protocol of the daemons and the core, in both directions. Pure: the handlers and the simulation of a whole
//! cluster call the same functions.

use std::collections::BTreeMap;

use client::wire::daemon as wire;
use statemachine::State;
use statemachine::command::{
    Capacity, Command, Containment, EndCause, InstanceReport, InstanceState, InstanceWords, Mode, Need, Observation,
    RegisterNode, ReloadReport, ResourceReport,
};
use statemachine::id::{Epoch, Generation, Index, NodeId, NodeName, PackageName, SessionId};
use statemachine::time::Millis;

use super::definition;
use crate::lease::RenewalGrant;

/// The command of a registration.
///
/// # Errors
/// What is not well-formed.
pub fn register(request: wire::Register) -> Result<Command, String> {
    let wire::Register {
        name,
        machine,
        boot,
        nonce,
        ended,
        capacity,
        labels,
        api,
        containment,
        cut_off_ms,
    } = request;
    let name = NodeName::new(&name).map_err(|error| format!("name {name:?}: {error}"))?;
    Ok(Command::RegisterNode(RegisterNode {
        name,
        machine,
        boot,
        nonce,
        ended: ended.into_iter().map(SessionId).collect(),
        capacity: Capacity(capacity),
        labels,
        api,
        containment: containment.as_deref().map(containment_from_text).transpose()?,
        cut_off: cut_off_ms.map(Millis),
    }))
}

/// The command of a report.
///
/// # Errors
/// What is not well-formed.
pub fn report(request: wire::Report) -> Result<Command, String> {
    let wire::Report {
        node,
        session,
        sequence,
        observations,
        said,
        reloads,
        resources,
        load,
    } = request;
    let observations = observations
        .into_iter()
        .map(observation)
        .chain(said.into_iter().map(words))
        .chain(reloads.into_iter().map(reload))
        .chain(resources.into_iter().map(resource))
        .chain(load.map(|load| Ok(Observation::Load(Capacity(load)))))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Command::Observe {
        node: NodeId(node),
        session: SessionId(session),
        sequence,
        observations,
    })
}

/// The command of a planned restart.
#[must_use]
pub fn extend(request: &wire::Extend) -> Command {
    let wire::Extend {
        node,
        session,
        lease_ms,
    } = *request;
    Command::ExtendLease {
        node: NodeId(node),
        session: SessionId(session),
        lease: Millis(lease_ms),
    }
}

/// The command of an orderly end.
#[must_use]
pub fn leave(request: &wire::Leave) -> Command {
    let wire::Leave { node, session } = *request;
    Command::LeaveNode {
        node: NodeId(node),
        session: SessionId(session),
    }
}

/// The answer to a renewal that was granted. `state` must have been looked up after the round that granted it, so that
/// what the answer allows is at least as new; none where the session has ended since.
#[must_use]
pub fn renewed(state: &State, request: &wire::Renew, grant: RenewalGrant) -> Option<wire::Renewed> {
    let desired = statemachine::desired(state, NodeId(request.node))?;
    let newer = desired.generation > Generation(request.generation);
    let stopping = desired.stopping.iter().filter(|_| newer);
    Some(wire::Renewed {
        nonce: request.nonce,
        lease_ms: grant.lease.0,
        soft_ms: grant.soft.0,
        renew_ms: grant.renew.0,
        retry_ms: grant.retry.0,
        generation: desired.generation.0,
        desired: newer.then(|| desired.instances.iter().map(desired_to_wire).collect()),
        stopping: stopping
            .map(|(package, start)| wire::StoppingInstance {
                package: package.as_str().to_owned(),
                start: start.0,
            })
            .collect(),
        servers: servers(state),
        watch: desired
            .watch
            .iter()
            .filter(|_| newer)
            .map(ToString::to_string)
            .collect(),
        thresholds: newer.then_some(wire::Thresholds {
            overload: desired.thresholds.0,
            resume: desired.thresholds.1,
        }),
    })
}

/// The version of a node's desired set.
#[must_use]
pub fn generation(state: &State, node: NodeId) -> Generation {
    state.node(node).map_or(Generation(0), |node| node.generation)
}

/// Peer addresses of all servers, so that a daemon finds them all whichever it asked first.
#[must_use]
pub fn servers(state: &State) -> Vec<String> {
    state.members().flat_map(|member| member.peer.iter().cloned()).collect()
}

/// A desired instance in the words of the protocol.
#[must_use]
pub fn desired_to_wire(instance: &statemachine::DesiredInstance) -> wire::DesiredInstance {
    let statemachine::DesiredInstance {
        package,
        start,
        epoch,
        mode,
        own_mode,
        output,
        delay,
        deadline,
        reset,
        maintained,
        shares,
        spec,
        reload,
    } = instance;
    let run = &spec.run;
    let environment: BTreeMap<String, String> = run.environment.clone();
    wire::DesiredInstance {
        package: package.as_str().to_owned(),
        start: start.0,
        epoch: epoch.0,
        mode: mode_text(*mode).to_owned(),
        own_mode: own_mode.as_deref().map(ToOwned::to_owned),
        output: super::convert::output_text(*output).to_owned(),
        delay_ms: delay.0,
        deadline: *deadline,
        reset: *reset,
        maintained: *maintained,
        shares: shares.0.clone(),
        run: client::wire::definition::RunDefinition {
            command: run.command.clone(),
            env: environment,
            directory: run.directory.clone(),
        },
        promote: run.promote.clone(),
        demote: run.demote.clone(),
        probe: run.probe.as_ref().map(definition::probe_to_wire),
        start_timeout_ms: run.start_timeout.0,
        stop_timeout_ms: run.stop_timeout.0,
        reload: reload.as_ref().map(reload_to_wire),
    }
}

fn reload_to_wire(reload: &statemachine::DesiredReload) -> wire::DesiredReload {
    let statemachine::DesiredReload { revision, spec } = reload;
    wire::DesiredReload {
        revision: revision.0,
        command: spec.run.reload.clone().unwrap_or_default(),
        env: spec.run.environment.clone(),
        timeout_ms: spec.run.start_timeout.0,
        stop_timeout_ms: spec.run.stop_timeout.0,
    }
}

/// The word for how a node holds processes together.
#[must_use]
pub fn containment_text(containment: Containment) -> &'static str {
    match containment {
        Containment::Namespace => "namespace",
        Containment::UserNamespace => "user_namespace",
        Containment::Group => "group",
    }
}

fn containment_from_text(text: &str) -> Result<Containment, String> {
    match text {
        "namespace" => Ok(Containment::Namespace),
        "user_namespace" => Ok(Containment::UserNamespace),
        "group" => Ok(Containment::Group),
        other => Err(format!(
            "containment {other:?}: expected \"namespace\", \"user_namespace\" or \"group\""
        )),
    }
}

/// The word for a mode.
#[must_use]
pub fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::Standby => "standby",
        Mode::Active => "active",
        Mode::Test => "test",
    }
}

fn observation(observed: wire::InstanceObservation) -> Result<Observation, String> {
    let wire::InstanceObservation {
        package,
        start,
        epoch,
        state,
        mode,
        cause,
        code,
        detail,
    } = observed;
    let package = PackageName::new(&package).map_err(|error| format!("package {package:?}: {error}"))?;
    let state = match (state.as_str(), mode.as_deref()) {
        ("running", Some("standby")) => InstanceState::Running { mode: Mode::Standby },
        ("running", Some("active")) => InstanceState::Running { mode: Mode::Active },
        ("running", Some("test")) => InstanceState::Running { mode: Mode::Test },
        ("failing", _) => InstanceState::Failing {
            cause: end_cause(cause.as_deref(), code)?,
        },
        ("ended", _) => InstanceState::Ended {
            cause: end_cause(cause.as_deref(), code)?,
        },
        (state, mode) => {
            return Err(format!("state {state:?} with mode {mode:?} is not known"));
        }
    };
    Ok(Observation::Instance(InstanceReport {
        package,
        start: Epoch(start),
        epoch: Epoch(epoch),
        state,
        detail,
    }))
}

fn words(said: wire::InstanceSaid) -> Result<Observation, String> {
    let wire::InstanceSaid {
        package,
        start,
        score,
        busy,
    } = said;
    Ok(Observation::Said(InstanceWords {
        package: PackageName::new(&package).map_err(|error| format!("package {package:?}: {error}"))?,
        start: Epoch(start),
        score,
        busy,
    }))
}

fn reload(ended: wire::InstanceReload) -> Result<Observation, String> {
    let wire::InstanceReload {
        package,
        start,
        revision,
        error,
    } = ended;
    Ok(Observation::Reloaded(ReloadReport {
        package: PackageName::new(&package).map_err(|error| format!("package {package:?}: {error}"))?,
        start: Epoch(start),
        revision: Index(revision),
        error,
    }))
}

fn resource(seen: wire::ResourceObservation) -> Result<Observation, String> {
    let wire::ResourceObservation { resource, up, detail } = seen;
    Ok(Observation::Resource(ResourceReport {
        need: Need::parse(&resource).map_err(|error| format!("resource {error}"))?,
        up,
        detail,
    }))
}

fn end_cause(cause: Option<&str>, code: Option<i32>) -> Result<EndCause, String> {
    Ok(match (cause, code) {
        (Some("requested"), _) => EndCause::Requested,
        (Some("exited"), Some(code)) => EndCause::Exited { code },
        (Some("signalled"), Some(signal)) => EndCause::Signalled { signal },
        (Some("not_started"), _) => EndCause::NotStarted,
        (Some("not_ready"), _) => EndCause::NotReady,
        (Some("probe_failed"), _) => EndCause::ProbeFailed,
        (Some("lease_ended"), _) => EndCause::LeaseEnded,
        (cause, code) => {
            return Err(format!("cause {cause:?} with code {code:?} is not known"));
        }
    })
}
