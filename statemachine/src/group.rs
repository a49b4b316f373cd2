//! A group: packages that can take over each other's work.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{GroupKind, GroupSpec};
use crate::digest::{Feed, Hasher};
use crate::event::EventId;
use crate::id::{Epoch, GroupName, Index, NodeIx, PackageIx};
use crate::package::{Package, Phase};
use crate::reason::Reason;
use crate::time::Timestamp;

/// A group's definition and what the manager remembers of it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its definition.
    pub spec: Arc<GroupSpec>,
    /// The last entry that changed its definition.
    pub changed: Index,
    /// It was removed, and is gone once its last package is.
    pub removing: bool,
    /// Its packages in order of rank, removed ones that still run too.
    pub members: Vec<PackageIx>,
    /// Whom an operator chose to be active next.
    pub successor: Option<PackageIx>,
    /// How it came that nobody is active, where somebody was.
    pub vacancy: Option<Vacancy>,
    /// When it failed over, within the time that counts.
    pub failovers: Vec<Timestamp>,
    /// It failed over too often and does not any more, until somebody says `clear`, `start` or `promote`, or until then.
    pub exhausted: Option<Exhausted>,
    /// What was last said of it.
    pub health: Health,
    /// The last event about it.
    pub trail: Option<EventId>,
    /// A together group has to leave this node: its members are stopped one after another, and nothing of it starts.
    pub leaving: Option<Leaving>,
}

/// Where a together group may not stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Where it is.
    pub node: NodeIx,
    /// Why its members are stopped.
    pub why: Reason,
    /// The event that says so.
    pub cause: Option<EventId>,
}

/// How it came that nobody is active any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// Who was active.
    pub package: PackageIx,
    /// Where.
    pub node: NodeIx,
    /// A failure: what takes over counts as a failover.
    pub failure: bool,
    /// The event that says so.
    pub cause: Option<EventId>,
}

/// A group that does not fail over any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// When the first of the failovers that count is old enough; none where it never is.
    pub until: Option<Timestamp>,
}

/// How a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nobody has been active since it was defined or stopped.
    Idle,
    /// One is active and as many as wanted stand by.
    Redundant,
    /// One is active and too few stand by.
    Degraded,
    /// Nobody is active.
    Lost,
}

impl Health {
    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Redundant => "redundant",
            Self::Degraded => "degraded",
            Self::Lost => "lost",
        }
    }
}

/// Who has a unit: a duplex group, or a package without a group. Derived from the instances, so it can't disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Nobody: it may be granted.
    Free,
    /// An instance was granted to be active and goes on.
    Held {
        /// Whose.
        package: PackageIx,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// An instance that was active is stopping or failing; its end is not proven.
    Releasing {
        /// Whose.
        package: PackageIx,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// An instance was active on a node that is lost, and only a confirmation releases it.
    Stranded {
        /// Whose.
        package: PackageIx,
        /// Under which epoch.
        epoch: Epoch,
    },
}

impl Ownership {
    /// Who has a unit of these packages.
    pub(crate) fn of<'a>(packages: impl Iterator<Item = (PackageIx, &'a Package)>) -> Self {
        for (number, package) in packages {
            let Some(instance) = package.instance.as_ref().filter(|instance| instance.holds_unit()) else {
                continue;
            };
            let epoch = instance.epoch;
            return match instance.phase {
                Phase::Starting | Phase::Running | Phase::Changing { .. } => Self::Held { package: number, epoch },
                Phase::Failing { .. } | Phase::Stopping { .. } => Self::Releasing { package: number, epoch },
                Phase::Stranded => Self::Stranded { package: number, epoch },
            };
        }
        Self::Free
    }
}

impl Group {
    /// Whether one member at a time is active, with its output released: what takes over from it may be any other.
    #[must_use]
    pub fn has_one_active(&self) -> bool {
        match self.spec.kind {
            GroupKind::Duplex | GroupKind::FreeRun => true,
            GroupKind::LoadShare | GroupKind::Together => false,
        }
    }

    /// Whether each member is a unit of its own: such a group only keeps its members apart.
    #[must_use]
    pub fn members_are_units(&self) -> bool {
        match self.spec.kind {
            GroupKind::Duplex | GroupKind::FreeRun | GroupKind::Together => false,
            GroupKind::LoadShare => true,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &GroupName {
        &self.spec.name
    }
}

impl Feed for Group {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            spec,
            changed,
            removing,
            members,
            successor,
            vacancy,
            failovers,
            exhausted,
            health,
            trail,
            leaving,
        } = self;
        spec.feed(hasher);
        changed.feed(hasher);
        removing.feed(hasher);
        members.feed(hasher);
        successor.feed(hasher);
        vacancy.feed(hasher);
        failovers.feed(hasher);
        exhausted.feed(hasher);
        hasher.word(match health {
            Health::Idle => 0,
            Health::Redundant => 1,
            Health::Degraded => 2,
            Health::Lost => 3,
        });
        trail.feed(hasher);
        // Fed only where it is, so that logs from before it was kept have the same digests.
        if let Some(Leaving { node, why, cause }) = leaving {
            node.feed(hasher);
            why.feed(hasher);
            cause.feed(hasher);
        }
    }
}

impl Feed for Vacancy {
    fn feed(&self, hasher: &mut Hasher) {
        let Self {
            package,
            node,
            failure,
            cause,
        } = self;
        package.feed(hasher);
        node.feed(hasher);
        failure.feed(hasher);
        cause.feed(hasher);
    }
}

impl Feed for Exhausted {
    fn feed(&self, hasher: &mut Hasher) {
        let Self { until } = self;
        until.feed(hasher);
    }
}
