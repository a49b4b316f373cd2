//! Names, subjects, severities and sentences of events.

use alloc::format;
use alloc::string::{String, ToString};

use super::{EventKind, Placement, Proof, Severity};
use crate::command::{EndCause, Mode, Wish};
use crate::id::{GroupName, NodeName, PackageName};

/// The word for a mode.
pub(crate) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Standby => "standby",
        Mode::Active => "active",
        Mode::Test => "test",
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

impl EventKind {
    /// Its name, stable, for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClusterCreated { .. } => "cluster-created",
            Self::ClusterChanged => "cluster-changed",
            Self::PlacingBegan { .. } => "placing-began",
            Self::MemberAdded { .. } => "member-added",
            Self::MemberRemoved { .. } => "member-removed",
            Self::NodeRegistered { .. } => "node-registered",
            Self::NodeLost { .. } => "node-lost",
            Self::NodeLeft { .. } => "node-left",
            Self::NodeConfirmedDown { .. } => "node-confirmed-down",
            Self::NodeDrained { .. } => "node-drained",
            Self::NodeResumed { .. } => "node-resumed",
            Self::LeaseExtended { .. } => "lease-extended",
            Self::PackageDefined { .. } => "package-defined",
            Self::PackageChanged { .. } => "package-changed",
            Self::PackageRemoved { .. } => "package-removed",
            Self::GroupDefined { .. } => "group-defined",
            Self::GroupChanged { .. } => "group-changed",
            Self::GroupRemoved { .. } => "group-removed",
            Self::Wished { wish: Wish::Start, .. } => "start-wished",
            Self::Wished { wish: Wish::Stop, .. } => "stop-wished",
            Self::Wished { wish: Wish::Test, .. } => "test-wished",
            Self::MoveWished { .. } => "move-wished",
            Self::PromoteWished { .. } => "promote-wished",
            Self::Cleared { .. } => "cleared",
            Self::Placed { after: Placement::First, .. } => "placed",
            Self::Placed { after: Placement::Restart, .. } => "restarted",
            Self::Placed { after: Placement::Move { .. }, .. } => "moved",
            Self::Promoted { .. } => "promoted",
            Self::Started { mode: Mode::Active, .. } => "became-active",
            Self::Started { mode: Mode::Standby | Mode::Test, .. } => "started",
            Self::Stopping { .. } => "stopping",
            Self::Failed { .. } => "package-failed",
            Self::Ended { .. } => "package-ended",
            Self::Stranded { .. } => "package-stranded",
            Self::Banned { .. } => "banned",
            Self::GaveUp { .. } => "gave-up",
            Self::Waiting { .. } => "waiting",
            Self::GroupRedundant { .. } => "group-redundant",
            Self::GroupDegraded { .. } => "group-degraded",
            Self::GroupLost { .. } => "group-lost",
            Self::FailoversExhausted { .. } => "failovers-exhausted",
            Self::FailoversAllowed { .. } => "failovers-allowed",
        }
    }

    /// The package that it is about.
    #[must_use]
    pub fn package(&self) -> Option<&PackageName> {
        match self {
            Self::PackageDefined { package }
            | Self::PackageChanged { package, .. }
            | Self::PackageRemoved { package }
            | Self::Wished { package, .. }
            | Self::MoveWished { package, .. }
            | Self::PromoteWished { package }
            | Self::Cleared { package }
            | Self::Placed { package, .. }
            | Self::Promoted { package, .. }
            | Self::Started { package, .. }
            | Self::Stopping { package, .. }
            | Self::Failed { package, .. }
            | Self::Ended { package, .. }
            | Self::Stranded { package, .. }
            | Self::Banned { package, .. }
            | Self::GaveUp { package, .. }
            | Self::Waiting { package, .. } => Some(package),
            Self::ClusterCreated { .. }
            | Self::ClusterChanged
            | Self::PlacingBegan { .. }
            | Self::MemberAdded { .. }
            | Self::MemberRemoved { .. }
            | Self::NodeRegistered { .. }
            | Self::NodeLost { .. }
            | Self::NodeLeft { .. }
            | Self::NodeConfirmedDown { .. }
            | Self::NodeDrained { .. }
            | Self::NodeResumed { .. }
            | Self::LeaseExtended { .. }
            | Self::GroupDefined { .. }
            | Self::GroupChanged { .. }
            | Self::GroupRemoved { .. }
            | Self::GroupRedundant { .. }
            | Self::GroupDegraded { .. }
            | Self::GroupLost { .. }
            | Self::FailoversExhausted { .. }
            | Self::FailoversAllowed { .. } => None,
        }
    }

    /// The group that it is about.
    #[must_use]
    #[allow(clippy::wildcard_enum_match_arm, reason = "an event about something else has no group")]
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            Self::GroupDefined { group }
            | Self::GroupChanged { group }
            | Self::GroupRemoved { group }
            | Self::GroupRedundant { group, .. }
            | Self::GroupDegraded { group, .. }
            | Self::GroupLost { group }
            | Self::FailoversExhausted { group, .. }
            | Self::FailoversAllowed { group } => Some(group),
            _ => None,
        }
    }

    /// The node where it happened.
    #[must_use]
    #[allow(clippy::wildcard_enum_match_arm, reason = "an event that is not on a node has none")]
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NodeRegistered { node, .. }
            | Self::NodeLost { node, .. }
            | Self::NodeLeft { node }
            | Self::NodeConfirmedDown { node, .. }
            | Self::NodeDrained { node, .. }
            | Self::NodeResumed { node }
            | Self::LeaseExtended { node, .. }
            | Self::Placed { node, .. }
            | Self::Promoted { node, .. }
            | Self::Started { node, .. }
            | Self::Stopping { node, .. }
            | Self::Failed { node, .. }
            | Self::Ended { node, .. }
            | Self::Stranded { node, .. }
            | Self::Banned { node, .. } => Some(node),
            _ => None,
        }
    }

    /// How much it should worry somebody.
    #[must_use]
    #[allow(clippy::wildcard_enum_match_arm, reason = "what is not listed is as it should be")]
    pub fn severity(&self) -> Severity {
        match self {
            Self::GaveUp { .. } | Self::GroupLost { .. } | Self::FailoversExhausted { .. } | Self::Stranded { .. } => {
                Severity::Error
            }
            Self::NodeLost { .. }
            | Self::NodeConfirmedDown { .. }
            | Self::Failed { .. }
            | Self::Banned { .. }
            | Self::Waiting { .. }
            | Self::GroupDegraded { .. }
            | Self::Ended { proof: Proof::LeaseEnded | Proof::Confirmed | Proof::NodeRestarted, .. } => Severity::Warning,
            _ => Severity::Info,
        }
    }
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
    package_sentence(kind).or_else(|| definition_sentence(kind)).unwrap_or_else(|| cluster_sentence(kind))
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the other sentences are in the functions below")]
fn package_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::Placed { package, node, mode, epoch, delay, after } => {
            let mode = mode_word(*mode);
            let wait = if delay.0 == 0 { String::new() } else { format!(" after a pause of {} ms", delay.0) };
            match after {
                Placement::First => format!("{package} starts on {node} as {mode} under epoch {epoch}{wait}"),
                Placement::Restart => format!("{package} starts again on {node} as {mode} under epoch {epoch}{wait}"),
                Placement::Move { from } => {
                    format!("{package}, before on {from}, starts on {node} as {mode} under epoch {epoch}{wait}")
                }
            }
        }
        EventKind::Promoted { package, node, epoch, from } => match from {
            Some(from) => format!("{package} on {node} takes over from {from} under epoch {epoch}"),
            None => format!("{package} on {node} is to be active under epoch {epoch}"),
        },
        EventKind::Started { package, node, mode: Mode::Active, epoch } => {
            format!("{package} is active on {node} under epoch {epoch}")
        }
        EventKind::Started { package, node, mode, .. } => format!("{package} runs on {node} as {}", mode_word(*mode)),
        EventKind::Stopping { package, node, why } => format!("{package} is stopped on {node}: {why}"),
        EventKind::Failed { package, node, mode, cause, detail, failures } => {
            let said = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            let times = if *failures < 2 { String::new() } else { format!(", failure {failures} there") };
            format!("{package}, {} on {node}, {}{said}{times}", mode_word(*mode), cause_words(cause))
        }
        EventKind::Ended { package, node, proof, .. } => match proof {
            Proof::Reported => format!("{package} has ended on {node}"),
            Proof::LeaseEnded => format!("{package} has ended on {node}: the node's lease ran out"),
            Proof::NodeRestarted => format!("{package} has ended on {node}: the node started anew"),
            Proof::NodeLeft => format!("{package} has ended on {node}: its daemon ended in order"),
            Proof::Confirmed => format!("{package} counts as ended on {node}: an operator confirmed it"),
        },
        EventKind::Stranded { package, node } => format!(
            "{package} was active on {node}, which is lost, and may still run there: nobody takes over before `confirm-down {node}` or the node's return"
        ),
        EventKind::Banned { package, node, failures } => {
            format!("{package} failed {failures} times on {node} and is not started there again before `clear` or the node's restart")
        }
        EventKind::GaveUp { package, why } => format!("{package} is given up: {why}"),
        EventKind::Waiting { package, why } => format!("{package} waits: {why}"),
        _ => return None,
    })
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the other sentences are in the functions beside this one")]
fn definition_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::PackageDefined { package } => format!("package {package} is defined"),
        EventKind::PackageChanged { package, restarts } => {
            let effect = if *restarts { "; what runs of it is restarted" } else { "" };
            format!("the definition of package {package} has changed{effect}")
        }
        EventKind::PackageRemoved { package } => format!("package {package} is removed"),
        EventKind::GroupDefined { group } => format!("group {group} is defined"),
        EventKind::GroupChanged { group } => format!("the definition of group {group} has changed"),
        EventKind::GroupRemoved { group } => format!("group {group} is removed"),
        EventKind::Wished { package, wish: Wish::Start } => format!("{package} is to run"),
        EventKind::Wished { package, wish: Wish::Stop } => format!("{package} is to stop"),
        EventKind::Wished { package, wish: Wish::Test } => format!("{package} is to run in test"),
        EventKind::MoveWished { package, to } => format!("{package} is to run on {to}"),
        EventKind::PromoteWished { package } => format!("{package} is to be the active one of its group"),
        EventKind::Cleared { package } => format!("the failures of {package} are forgotten"),
        EventKind::GroupRedundant { group, active } => {
            format!("group {group} is redundant: {active} is active and as many as wanted stand by")
        }
        EventKind::GroupDegraded { group, active, ready, wanted } => {
            format!("group {group} is degraded: {active} is active, {ready} of {wanted} standbys are ready")
        }
        EventKind::GroupLost { group } => format!("group {group} has no active member"),
        EventKind::FailoversExhausted { group, failovers, within } => format!(
            "group {group} failed over {failovers} times within {} s and does not any more: `clear` or `promote` a member once the cause is mended",
            within.0.div_euclid(1_000)
        ),
        EventKind::FailoversAllowed { group } => format!("group {group} may fail over again"),
        _ => return None,
    })
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the other sentences are in the functions above")]
fn cluster_sentence(kind: &EventKind) -> String {
    match kind {
        EventKind::ClusterCreated { id, member } => format!("cluster {id} is created; {member} is its first server"),
        EventKind::ClusterChanged => "the cluster's settings have changed".to_string(),
        EventKind::PlacingBegan { up, wanted } => format!("placing begins with {up} nodes up, {wanted} wanted"),
        EventKind::MemberAdded { member, name } => format!("server {name} joined as member {member}"),
        EventKind::MemberRemoved { member, name } => format!("server {name}, member {member}, left"),
        EventKind::NodeRegistered { node, session, first: true } => format!("node {node} is new; session {session}"),
        EventKind::NodeRegistered { node, session, first: false } => format!("node {node} is up; session {session}"),
        EventKind::NodeLost { node, session } => {
            format!("node {node} is lost: the lease of session {session} has surely ended")
        }
        EventKind::NodeLeft { node } => format!("node {node} has left in order"),
        EventKind::NodeConfirmedDown { node, by } => format!("{by} confirmed that nothing of node {node}'s ended sessions is left"),
        EventKind::NodeDrained { node, instances } => {
            format!("node {node} is drained: {instances} packages are moved away from it")
        }
        EventKind::NodeResumed { node } => format!("node {node} is used again"),
        EventKind::LeaseExtended { node, lease } => {
            format!("node {node} restarts its daemon: its lease is extended to {} ms", lease.0)
        }
        other => other.name().to_string(),
    }
}
