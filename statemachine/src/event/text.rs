//! The sentences of events.

use alloc::format;
use alloc::string::{String, ToString};

use super::{Arrival, EventKind, Placement, Proof};
use crate::command::{EndCause, Maintained, Mode, Output, Wish};
use crate::id::NodeName;
use crate::reload::Change;
use crate::time::Millis;

/// The word for a mode.
pub(crate) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Standby => "standby",
        Mode::Active => "active",
        Mode::Test => "test",
    }
}

/// The word for a mode, and for the output where that is told apart.
fn manner_words(mode: Mode, output: Option<Output>) -> String {
    let mode = mode_word(mode);
    match output {
        None => mode.to_string(),
        Some(output) => format!("{mode} with its output {}", output_word(output)),
    }
}

/// The same, under the name of the mode where it is one of the users' own.
fn told_words(own_mode: Option<&str>, mode: Mode, output: Option<Output>) -> String {
    own_mode.map_or_else(|| manner_words(mode, output), ToString::to_string)
}

/// The word for an output.
pub(crate) fn output_word(output: Output) -> &'static str {
    match output {
        Output::Released => "released",
        Output::Inhibited => "inhibited",
    }
}

/// What is in maintenance, as the beginning of a sentence.
fn maintained_words(of: &Maintained) -> String {
    match of {
        Maintained::Cluster => "the whole cluster is".to_string(),
        Maintained::Node(node) => format!("node {node} is"),
        Maintained::Package(package) => format!("{package} is"),
    }
}

/// The word for a wish.
pub(crate) fn wish_word(wish: Wish) -> &'static str {
    match wish {
        Wish::Start => "start",
        Wish::Stop => "stop",
        Wish::Test => "test",
    }
}

/// A length of time, in seconds with one decimal.
fn seconds(time: Millis) -> String {
    format!(
        "{}.{} s",
        time.0.div_euclid(1_000),
        time.0.rem_euclid(1_000).div_euclid(100)
    )
}

/// Why an instance ended, as the end of a sentence that begins with its name.
fn cause_words(cause: &EndCause) -> String {
    match cause {
        EndCause::Requested => "ended as requested".to_string(),
        EndCause::Exited { code } => format!("exited with code {code}"),
        EndCause::Signalled { signal } => format!("was ended by signal {signal}"),
        EndCause::NotStarted => "could not be started".to_string(),
        EndCause::NotReady => "did not become ready in time".to_string(),
        EndCause::ProbeFailed => "failed its probe".to_string(),
        EndCause::LeaseEnded => "was stopped because its node's lease ended".to_string(),
    }
}

/// A sentence that a tired person understands.
pub(super) fn sentence(kind: &EventKind) -> String {
    package_sentence(kind)
        .or_else(|| definition_sentence(kind))
        .unwrap_or_else(|| cluster_sentence(kind))
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the other sentences are in the functions below"
)]
fn package_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::Placed { .. } => placed_sentence(kind)?,
        EventKind::Promoted {
            package,
            node,
            epoch,
            from,
            output,
        } => match (from, output) {
            (Some(from), None) => format!("{package} on {node} takes over from {from} under epoch {epoch}"),
            (None, None) => format!("{package} on {node} is to be active under epoch {epoch}"),
            (Some(from), Some(_)) => {
                format!(
                    "{package} on {node}, which runs already, has its output released after {from} under epoch {epoch}"
                )
            }
            (None, Some(_)) => format!("{package} on {node} has its output released under epoch {epoch}"),
        },
        EventKind::Started {
            package,
            node,
            mode: Mode::Active,
            epoch,
            output: None,
            ..
        } => {
            format!("{package} is active on {node} under epoch {epoch}")
        }
        EventKind::Started {
            package,
            node,
            mode: Mode::Active,
            epoch,
            output: Some(Output::Released),
            ..
        } => {
            format!("{package} is active on {node} under epoch {epoch}, with its output released")
        }
        EventKind::Started {
            package,
            node,
            mode,
            output,
            own_mode,
            ..
        } => {
            let manner = told_words(own_mode.as_deref(), *mode, *output);
            format!("{package} runs on {node} as {manner}")
        }
        EventKind::Stopping { package, node, why } => format!("{package} is stopped on {node}: {why}"),
        EventKind::Failed { .. } => failed_sentence(kind)?,
        EventKind::Ended {
            package, node, proof, ..
        } => format!("{package} {}", ended_words(node, *proof)),
        EventKind::Stranded { package, node, .. } => format!(
            "{package} was active on {node}, which is lost, and may still run there: nobody takes over before `confirm-down {node}` or the node's return"
        ),
        EventKind::Banned {
            package,
            node,
            failures,
        } => {
            format!(
                "{package} failed {failures} times on {node} and is not started there again before `clear` or the node's restart"
            )
        }
        EventKind::Reloading { package, node } => {
            format!("{package} is told of its changed definition on {node} by its reload command")
        }
        EventKind::Reloaded { package, node } => format!("{package} has taken its changed definition over on {node}"),
        EventKind::ReloadFailed { package, node, detail } => {
            format!("{package} could not be reloaded on {node} and is restarted: {detail}")
        }
        EventKind::RollOutHeld { package, node, by } => {
            format!("{package} goes on on {node} under the definition before: {by} has failed under the new one")
        }
        EventKind::GaveUp { package, why } => format!("{package} is given up: {why}"),
        EventKind::Waiting { package, why } => format!("{package} waits: {why}"),
        _ => return None,
    })
}

/// Where it starts, and where it was before.
fn placed_sentence(kind: &EventKind) -> Option<String> {
    let EventKind::Placed {
        package,
        node,
        mode,
        epoch,
        delay,
        after,
        output,
        own_mode,
    } = kind
    else {
        return None;
    };
    let mode = told_words(own_mode.as_deref(), *mode, *output);
    let wait = if delay.0 == 0 {
        String::new()
    } else {
        format!(" after a pause of {} ms", delay.0)
    };
    Some(match after {
        Placement::First => format!("{package} starts on {node} as {mode} under epoch {epoch}{wait}"),
        Placement::Restart => format!("{package} starts again on {node} as {mode} under epoch {epoch}{wait}"),
        Placement::Move { from } => {
            format!("{package}, before on {from}, starts on {node} as {mode} under epoch {epoch}{wait}")
        }
    })
}

/// How it failed, and how often.
fn failed_sentence(kind: &EventKind) -> Option<String> {
    let EventKind::Failed {
        package,
        node,
        mode,
        cause,
        detail,
        failures,
    } = kind
    else {
        return None;
    };
    let said = if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    };
    let times = if *failures < 2 {
        String::new()
    } else {
        format!(", failure {failures} there")
    };
    Some(format!(
        "{package}, {} on {node}, {}{said}{times}",
        mode_word(*mode),
        cause_words(cause)
    ))
}

/// How the end is known.
fn ended_words(node: &NodeName, proof: Proof) -> String {
    match proof {
        Proof::Reported => format!("has ended on {node}"),
        Proof::LeaseEnded => format!("has ended on {node}: the node's lease ran out"),
        Proof::NodeRestarted => format!("has ended on {node}: the node started anew"),
        Proof::NodeLeft => format!("has ended on {node}: its daemon ended in order"),
        Proof::Confirmed => format!("counts as ended on {node}: an operator confirmed it"),
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the other sentences are in the functions beside this one"
)]
fn definition_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::PackageDefined { package } => format!("package {package} is defined"),
        EventKind::PackageChanged { package, change } => {
            let effect = match change {
                Change::Nothing => "",
                Change::Reload => "; what runs of it is reloaded",
                Change::Restart => "; what runs of it is restarted",
            };
            format!("the definition of package {package} has changed{effect}")
        }
        EventKind::PackageRemoved { package } => format!("package {package} is removed"),
        EventKind::GroupDefined { group } => format!("group {group} is defined"),
        EventKind::GroupChanged { group } => format!("the definition of group {group} has changed"),
        EventKind::GroupRemoved { group } => format!("group {group} is removed"),
        EventKind::Wished {
            package,
            wish: Wish::Start,
        } => format!("{package} is to run"),
        EventKind::Wished {
            package,
            wish: Wish::Stop,
        } => format!("{package} is to stop"),
        EventKind::Wished {
            package,
            wish: Wish::Test,
        } => format!("{package} is to run in test"),
        EventKind::MoveWished { package, to } => format!("{package} is to run on {to}"),
        EventKind::PromoteWished { package } => format!("{package} is to be the active one of its group"),
        EventKind::ModeWished { package, mode } => format!("{package} is to run {mode}"),
        EventKind::DemoteWished { package } => format!("{package} is to be a standby"),
        EventKind::Cleared { package } => format!("the failures of {package} are forgotten"),
        EventKind::GroupRedundant { group, active } => {
            format!("group {group} is redundant: {active} is active and as many as wanted stand by")
        }
        EventKind::GroupDegraded {
            group,
            active,
            ready,
            wanted,
        } => {
            format!("group {group} is degraded: {active} is active, {ready} of {wanted} standbys are ready")
        }
        EventKind::ResourceChanged { node, need, up, detail } => {
            let state = if *up { "up" } else { "down" };
            let why = if detail.is_empty() {
                String::new()
            } else {
                format!(": {detail}")
            };
            format!("{need} on {node} is {state}{why}")
        }
        EventKind::GroupRuns { group, running, wanted } => {
            format!("{running} of the {wanted} members of group {group} run")
        }
        EventKind::GroupLost { group } => format!("group {group} has no active member"),
        EventKind::FailoversExhausted {
            group,
            failovers,
            within,
        } => format!(
            "group {group} failed over {failovers} times within {} s and does not any more: `clear` or `promote` a member once the cause is mended",
            within.0.div_euclid(1_000)
        ),
        EventKind::FailoversAllowed { group } => format!("group {group} may fail over again"),
        _ => return None,
    })
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the other sentences are in the functions above"
)]
fn cluster_sentence(kind: &EventKind) -> String {
    match kind {
        EventKind::ClusterCreated { id, member } => format!("cluster {id} is created; {member} is its first server"),
        EventKind::ClusterChanged => "the cluster's settings have changed".to_string(),
        EventKind::PlacingBegan { up, wanted } => format!("placing begins with {up} nodes up, {wanted} wanted"),
        EventKind::MemberAdded { member, name, witness } => {
            let role = if *witness { "witness" } else { "server" };
            format!("{role} {name} joined as member {member}")
        }
        EventKind::MemberRemoved { member, name } => format!("server {name}, member {member}, left"),
        EventKind::NodeRegistered { node, session, arrival } => match arrival {
            Arrival::First => format!("node {node} is new; session {session}"),
            Arrival::Again => format!("node {node} is up; session {session}"),
            Arrival::DeclaredDown { cut_off: Some(time) } => format!(
                "node {node} is back after it was declared down: it was cut off for {}; session {session}",
                seconds(*time)
            ),
            Arrival::DeclaredDown { cut_off: None } => {
                format!("node {node} is back after it was declared down; session {session}")
            }
        },
        EventKind::NodeLost { node, session } => {
            format!("node {node} is lost: the lease of session {session} has surely ended")
        }
        EventKind::NodeLeft { node } => format!("node {node} has left in order"),
        EventKind::NodeConfirmedDown { node, by } => {
            format!("{by} confirmed that nothing of node {node}'s ended sessions is left")
        }
        EventKind::NodeDrained { node, instances } => {
            format!("node {node} is drained: {instances} packages are moved away from it")
        }
        EventKind::NodeResumed { node } => format!("node {node} is used again"),
        EventKind::LeaseExtended { node, lease } => {
            format!(
                "node {node} restarts its daemon: its lease is extended to {} ms",
                lease.0
            )
        }
        EventKind::RulesChanged { rules: 0 } => "there are no rules any more".to_string(),
        EventKind::RulesChanged { rules } => format!("the rules have changed: {rules} in force"),
        EventKind::RuleFired { rule, actions, .. } => format!("rule {rule}: {actions}"),
        EventKind::RuleRefused { rule, action, why, .. } => format!("rule {rule}: {action} is refused: {why}"),
        EventKind::RulesCutOff { chain, .. } => {
            format!("rules fired each other too often within one event and the last is not carried out: {chain}")
        }
        EventKind::MaintenanceBegan { of, length: None } => {
            format!(
                "{} in maintenance until somebody ends it: nothing is started, stopped or taken over",
                maintained_words(of)
            )
        }
        EventKind::MaintenanceBegan {
            of,
            length: Some(length),
        } => format!(
            "{} in maintenance for {}: nothing is started, stopped or taken over",
            maintained_words(of),
            seconds(*length)
        ),
        EventKind::MaintenanceEnded { of, by_time: true } => {
            format!("{} in maintenance no more: its time has passed", maintained_words(of))
        }
        EventKind::MaintenanceEnded { of, by_time: false } => {
            format!("{} in maintenance no more", maintained_words(of))
        }
        EventKind::ClusterStopping { instances } => {
            format!(
                "the cluster stops: {instances} that run are stopped in order, and nothing starts before `cluster start`"
            )
        }
        EventKind::ClusterStarting => "the cluster starts: what is to run is started".to_string(),
        EventKind::NodeOverloaded {
            node,
            dimension,
            measured,
            capacity,
        } => format!("node {node} is overloaded: {dimension} is measured at {measured} of {capacity}"),
        EventKind::NodeRelieved { node } => format!("node {node} is overloaded no more and takes packages again"),
        EventKind::NothingToShed { node } => {
            format!(
                "node {node} is overloaded, and what is left on it is busy or must not be stopped: nothing more is shed"
            )
        }
        EventKind::RebalanceWished { moves } => {
            format!("{moves} packages move to where they would rather be")
        }
        other => other.name().to_string(),
    }
}
