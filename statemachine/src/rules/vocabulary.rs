//! The words that each kind of resource knows: its events, attributes and methods (`docs/policies/rules.md`).
//!
//! A word without a meaning is one that nothing stands behind in this version: it is known, and refused as such.

use core::fmt;

use super::program::Attribute;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the word that people write")]
pub enum Kind {
    Package,
    Group,
    Node,
    Lan,
    Disk,
    Address,
    Cpu,
    Memory,
    Service,
    Manager,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Self; 10] = [
        Self::Package,
        Self::Group,
        Self::Node,
        Self::Lan,
        Self::Disk,
        Self::Address,
        Self::Cpu,
        Self::Memory,
        Self::Service,
        Self::Manager,
    ];

    /// The word that people write.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Group => "group",
            Self::Node => "node",
            Self::Lan => "lan",
            Self::Disk => "disk",
            Self::Address => "address",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Service => "service",
            Self::Manager => "manager",
        }
    }

    /// Whether anything of this kind is watched by this version.
    pub(super) fn is_supported(self) -> bool {
        matches!(self, Self::Package | Self::Group | Self::Node)
    }

    /// Its events.
    pub(super) fn events(self) -> &'static [(&'static str, Option<Trigger>)] {
        match self {
            Self::Package => &[
                ("startup", Some(Trigger::Startup)),
                ("halt", Some(Trigger::Halt)),
                ("fail", Some(Trigger::Fail)),
                ("promote", Some(Trigger::Promote)),
                ("demote", Some(Trigger::Demote)),
                ("mode", Some(Trigger::Mode)),
            ],
            Self::Group => &[
                ("degraded", Some(Trigger::Degraded)),
                ("redundant", Some(Trigger::Redundant)),
                ("lost", Some(Trigger::Lost)),
            ],
            Self::Node => &[
                ("up", Some(Trigger::Up)),
                ("down", Some(Trigger::Down)),
                ("overload", Some(Trigger::Overload)),
                ("drain", Some(Trigger::Drain)),
            ],
            Self::Lan | Self::Disk | Self::Address | Self::Cpu | Self::Memory | Self::Service => {
                &[("up", None), ("down", None), ("change", None)]
            }
            Self::Manager => &[("change", None)],
        }
    }

    /// Its attributes, except a node's own (`attr.KEY`).
    pub(super) fn attributes(self) -> &'static [(&'static str, Option<Attribute>)] {
        match self {
            Self::Package => &[
                ("state", Some(Attribute::PackageState)),
                ("node", Some(Attribute::PackageNode)),
                ("mode", Some(Attribute::PackageMode)),
                ("output", Some(Attribute::PackageOutput)),
                ("priority", Some(Attribute::PackagePriority)),
                ("failures", Some(Attribute::PackageFailures)),
            ],
            Self::Group => &[
                ("active", Some(Attribute::GroupActive)),
                ("standbys", Some(Attribute::GroupStandbys)),
            ],
            Self::Node => &[
                ("state", Some(Attribute::NodeState)),
                ("load", None),
                ("packages", Some(Attribute::NodePackages)),
            ],
            Self::Lan | Self::Disk | Self::Address | Self::Cpu | Self::Memory | Self::Service => {
                &[("state", None), ("value", None), ("node", None)]
            }
            Self::Manager => &[("node", None)],
        }
    }

    /// Its methods.
    pub(super) fn methods(self) -> &'static [(&'static str, Option<Method>)] {
        match self {
            Self::Package => &[
                ("startup", Some(Method::Startup)),
                ("halt", Some(Method::Halt)),
                ("promote", Some(Method::Promote)),
                ("demote", Some(Method::Demote)),
                ("test", Some(Method::Test)),
                ("move", Some(Method::Move)),
            ],
            Self::Node => &[
                ("drain", Some(Method::Drain)),
                ("resume", Some(Method::Resume)),
                ("fence", None),
            ],
            Self::Address => &[("acquire", None), ("release", None)],
            Self::Manager => &[("move", None)],
            Self::Group | Self::Lan | Self::Disk | Self::Cpu | Self::Memory | Self::Service => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What makes a rule fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// A package was put on a node and is being started there.
    Startup,
    /// A package has stopped running, for whatever reason: nothing of it is left.
    Halt,
    /// A package failed.
    Fail,
    /// A standby was told to be active.
    Promote,
    /// An active one was told to make way, to come back as standby.
    Demote,
    /// A package has answered that it is in its mode.
    Mode,
    /// A group has an active member and too few standbys.
    Degraded,
    /// A group has an active member and as many standbys as wanted.
    Redundant,
    /// A group has no active member.
    Lost,
    /// A node's daemon has a session.
    Up,
    /// A node was lost or has left.
    Down,
    /// Packages are moved away from a node.
    Drain,
    /// A node's measured load has reached the threshold.
    Overload,
}

/// What a rule can have done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Startup,
    Halt,
    Promote,
    Demote,
    Test,
    Move,
    Drain,
    Resume,
}
