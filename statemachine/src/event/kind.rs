//! What kinds of events there are called, what they are about, and how much they should worry somebody.

use super::{EventKind, Placement, Proof, Severity};
use crate::command::{Maintained, Mode, Output, ResourceKind, Wish};
use crate::id::{GroupName, NodeName, PackageName};

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
            Self::Placed {
                after: Placement::First,
                ..
            } => "placed",
            Self::Placed {
                after: Placement::Restart,
                ..
            } => "restarted",
            Self::Placed {
                after: Placement::Move { .. },
                ..
            } => "moved",
            Self::Promoted { output: None, .. } => "promoted",
            Self::Promoted { output: Some(_), .. } => "released",
            Self::Started {
                mode: Mode::Active,
                output: None | Some(Output::Released),
                ..
            } => "became-active",
            Self::Started { .. } => "started",
            Self::Stopping { .. } => "stopping",
            Self::Failed { .. } => "package-failed",
            Self::Ended { .. } => "package-ended",
            Self::Stranded { .. } => "package-stranded",
            Self::Banned { .. } => "banned",
            Self::Reloading { .. } => "reloading",
            Self::Reloaded { .. } => "reloaded",
            Self::ReloadFailed { .. } => "reload-failed",
            Self::GaveUp { .. } => "gave-up",
            Self::RollOutHeld { .. } => "roll-out-held",
            Self::Waiting { .. } => "waiting",
            Self::GroupRedundant { .. } => "group-redundant",
            Self::GroupDegraded { .. } => "group-degraded",
            Self::GroupRuns { running, wanted, .. } if running == wanted => "group-redundant",
            Self::GroupRuns { .. } => "group-degraded",
            Self::GroupLost { .. } => "group-lost",
            Self::ResourceChanged { need, up, .. } => match (need.kind, up) {
                (ResourceKind::Lan, true) => "lan-up",
                (ResourceKind::Lan, false) => "lan-down",
                (ResourceKind::Disk, true) => "disk-up",
                (ResourceKind::Disk, false) => "disk-down",
                (ResourceKind::Service, true) => "service-up",
                (ResourceKind::Service, false) => "service-down",
            },
            Self::FailoversExhausted { .. } => "failovers-exhausted",
            Self::FailoversAllowed { .. } => "failovers-allowed",
            Self::RulesChanged { .. } => "rules-changed",
            Self::RuleFired { .. } => "rule-fired",
            Self::RuleRefused { .. } => "rule-refused",
            Self::RulesCutOff { .. } => "rules-cut-off",
            Self::MaintenanceBegan { .. } => "maintenance-began",
            Self::MaintenanceEnded { .. } => "maintenance-ended",
            Self::ClusterStopping { .. } => "cluster-stopping",
            Self::ClusterStarting => "cluster-starting",
            Self::DemoteWished { .. } => "demote-wished",
            Self::ModeWished { .. } => "mode-wished",
            Self::RebalanceWished { .. } => "rebalance-wished",
            Self::NodeOverloaded { .. } => "node-overloaded",
            Self::NodeRelieved { .. } => "node-relieved",
            Self::NothingToShed { .. } => "nothing-to-shed",
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
            | Self::DemoteWished { package }
            | Self::ModeWished { package, .. }
            | Self::Cleared { package }
            | Self::Placed { package, .. }
            | Self::Promoted { package, .. }
            | Self::Started { package, .. }
            | Self::Stopping { package, .. }
            | Self::Failed { package, .. }
            | Self::Ended { package, .. }
            | Self::Stranded { package, .. }
            | Self::Banned { package, .. }
            | Self::Reloading { package, .. }
            | Self::Reloaded { package, .. }
            | Self::ReloadFailed { package, .. }
            | Self::GaveUp { package, .. }
            | Self::RollOutHeld { package, .. }
            | Self::Waiting { package, .. }
            | Self::MaintenanceBegan {
                of: Maintained::Package(package),
                ..
            }
            | Self::MaintenanceEnded {
                of: Maintained::Package(package),
                ..
            } => Some(package),
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
            | Self::ResourceChanged { .. }
            | Self::GroupRuns { .. }
            | Self::GroupLost { .. }
            | Self::FailoversExhausted { .. }
            | Self::FailoversAllowed { .. }
            | Self::RulesChanged { .. }
            | Self::RuleFired { .. }
            | Self::RuleRefused { .. }
            | Self::RulesCutOff { .. }
            | Self::MaintenanceBegan { .. }
            | Self::MaintenanceEnded { .. }
            | Self::ClusterStopping { .. }
            | Self::ClusterStarting
            | Self::RebalanceWished { .. }
            | Self::NodeOverloaded { .. }
            | Self::NodeRelieved { .. }
            | Self::NothingToShed { .. } => None,
        }
    }

    /// The group that it is about.
    #[must_use]
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "an event about something else has no group"
    )]
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            Self::GroupDefined { group }
            | Self::GroupChanged { group }
            | Self::GroupRemoved { group }
            | Self::GroupRedundant { group, .. }
            | Self::GroupDegraded { group, .. }
            | Self::GroupRuns { group, .. }
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
            | Self::ResourceChanged { node, .. }
            | Self::NodeConfirmedDown { node, .. }
            | Self::NodeDrained { node, .. }
            | Self::NodeResumed { node }
            | Self::NodeOverloaded { node, .. }
            | Self::NodeRelieved { node }
            | Self::NothingToShed { node }
            | Self::LeaseExtended { node, .. }
            | Self::Placed { node, .. }
            | Self::Promoted { node, .. }
            | Self::Started { node, .. }
            | Self::Stopping { node, .. }
            | Self::Failed { node, .. }
            | Self::Ended { node, .. }
            | Self::Stranded { node, .. }
            | Self::Banned { node, .. }
            | Self::Reloading { node, .. }
            | Self::Reloaded { node, .. }
            | Self::ReloadFailed { node, .. }
            | Self::RollOutHeld { node, .. }
            | Self::MaintenanceBegan {
                of: Maintained::Node(node),
                ..
            }
            | Self::MaintenanceEnded {
                of: Maintained::Node(node),
                ..
            } => Some(node),
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
            Self::GroupRuns { running, wanted, .. } if running < wanted => Severity::Warning,
            Self::ResourceChanged { up: false, .. } => Severity::Warning,
            Self::NodeLost { .. }
            | Self::NodeConfirmedDown { .. }
            | Self::Failed { .. }
            | Self::Banned { .. }
            | Self::ReloadFailed { .. }
            | Self::RollOutHeld { .. }
            | Self::Waiting { .. }
            | Self::GroupDegraded { .. }
            | Self::RuleRefused { .. }
            | Self::RulesCutOff { .. }
            | Self::NodeOverloaded { .. }
            | Self::NothingToShed { .. }
            | Self::Ended {
                proof: Proof::LeaseEnded | Proof::Confirmed | Proof::NodeRestarted,
                ..
            } => Severity::Warning,
            _ => Severity::Info,
        }
    }
}
