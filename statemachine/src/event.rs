//! What happened, for people and history.
//!
//! Every event names its cause, so that a failover reads as one story: node lost, standby promoted, active again.

mod facts;
mod kind;
mod text;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use crate::command::{EndCause, Maintained, Mode, Output, Wish};
use crate::digest::{Feed, Hasher};
use crate::id::{Epoch, GroupName, Index, MemberId, NodeName, PackageName, SessionId};
use crate::reason::Reason;
use crate::reload::Change;
use crate::resource::Need;
use crate::time::{Millis, Timestamp};

pub use facts::Facts;
pub(crate) use text::{mode_word, output_word, wish_word};

/// An event's place in the one order of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The command that made it happen.
    pub index: Index,
    /// Its place among the events of that command, from 0.
    pub sequence: u32,
}

impl core::fmt::Display for EventId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.index, self.sequence)
    }
}

impl Feed for EventId {
    fn feed(&self, hasher: &mut Hasher) {
        let Self { index, sequence } = self;
        index.feed(hasher);
        sequence.feed(hasher);
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order.
    pub id: EventId,
    /// Cluster time.
    pub at: Timestamp,
    /// The leader's wall clock in milliseconds since 1970, for people.
    pub wall_ms: u64,
    /// The earlier event that it follows from.
    pub cause: Option<EventId>,
    /// What happened.
    pub kind: EventKind,
    /// The group of the package that it is about.
    pub group: Option<GroupName>,
    /// What may be active only once is the package itself, not the whole of its group.
    pub alone: bool,
}

/// How much an event should worry somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Something failed and is being mended.
    Warning,
    /// Something is out of service.
    Error,
}

impl Severity {
    /// `info`, `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the fields say what they are; the sentence of each is in event/text.rs"
)]
pub enum EventKind {
    /// The first command of the log.
    ClusterCreated { id: String, member: NodeName },
    /// The cluster's settings changed.
    ClusterChanged,
    /// Placing begins after a start from nothing.
    PlacingBegan { up: u32, wanted: u32 },
    /// A server joined the Raft group.
    MemberAdded {
        member: MemberId,
        name: NodeName,
        witness: bool,
    },
    /// A server left the Raft group.
    MemberRemoved { member: MemberId, name: NodeName },
    /// A daemon's new stay.
    NodeRegistered {
        node: NodeName,
        session: SessionId,
        arrival: Arrival,
    },
    /// A session's lease ended.
    NodeLost { node: NodeName, session: SessionId },
    /// A daemon ended in order.
    NodeLeft { node: NodeName },
    /// An operator said that a lost node is off.
    NodeConfirmedDown { node: NodeName, by: String },
    /// Packages are moved away from a node.
    NodeDrained { node: NodeName, instances: u32 },
    /// A node is used again.
    NodeResumed { node: NodeName },
    /// A planned restart of a daemon.
    LeaseExtended { node: NodeName, lease: Millis },
    /// A package is defined.
    PackageDefined { package: PackageName },
    /// A package's definition changed.
    PackageChanged { package: PackageName, change: Change },
    /// A package's definition is gone; what runs of it is stopped.
    PackageRemoved { package: PackageName },
    /// A group is defined.
    GroupDefined { group: GroupName },
    /// A group's definition changed.
    GroupChanged { group: GroupName },
    /// A group's definition is gone.
    GroupRemoved { group: GroupName },
    /// Somebody said what a package is to do.
    Wished { package: PackageName, wish: Wish },
    /// An operator moved a package.
    MoveWished { package: PackageName, to: NodeName },
    /// An operator chose another active member.
    PromoteWished { package: PackageName },
    /// A package's failures are forgotten.
    Cleared { package: PackageName },
    /// A node was told to start it.
    Placed {
        package: PackageName,
        node: NodeName,
        mode: Mode,
        epoch: Epoch,
        delay: Millis,
        after: Placement,
        /// In a free-run group, where all are active: whether its output is released.
        output: Option<Output>,
        /// The mode of the users' own that this is.
        own_mode: Option<Arc<str>>,
    },
    /// A standby was told to be active, in place; in a free-run group its output is released.
    Promoted {
        package: PackageName,
        node: NodeName,
        epoch: Epoch,
        from: Option<NodeName>,
        /// In a free-run group: released.
        output: Option<Output>,
    },
    /// It has answered that it is in its mode.
    Started {
        package: PackageName,
        node: NodeName,
        mode: Mode,
        epoch: Epoch,
        /// In a free-run group, where all are active: whether its output is released.
        output: Option<Output>,
        /// The mode of the users' own that this is.
        own_mode: Option<Arc<str>>,
    },
    /// It was taken out of its node's desired set.
    Stopping {
        package: PackageName,
        node: NodeName,
        why: Reason,
    },
    /// It failed.
    Failed {
        package: PackageName,
        node: NodeName,
        mode: Mode,
        cause: EndCause,
        detail: String,
        failures: u32,
    },
    /// Nothing of it is left, which is proven.
    Ended {
        package: PackageName,
        node: NodeName,
        mode: Mode,
        proof: Proof,
        epoch: Epoch,
        /// Whether nobody else of its unit could be active before this.
        held: bool,
        /// Whether it was [`Stranded`](Self::Stranded) before.
        stranded: bool,
    },
    /// It is active on a lost node, and nobody may take over unproven.
    Stranded {
        package: PackageName,
        node: NodeName,
        epoch: Epoch,
        /// Whether nobody else of its unit can be active meanwhile.
        held: bool,
    },
    /// It failed too often on a node.
    Banned {
        package: PackageName,
        node: NodeName,
        failures: u32,
    },
    /// It is told of its changed definition by its reload command.
    Reloading { package: PackageName, node: NodeName },
    /// It has taken its changed definition over.
    Reloaded { package: PackageName, node: NodeName },
    /// Its reload command failed or took too long: it is restarted.
    ReloadFailed {
        package: PackageName,
        node: NodeName,
        detail: String,
    },
    /// It goes on under the definition before: a member of its group has failed under the new one.
    RollOutHeld {
        package: PackageName,
        node: NodeName,
        by: PackageName,
    },
    /// No node is left on which it has not failed too often.
    GaveUp { package: PackageName, why: Reason },
    /// It is to run and can't at the moment.
    Waiting { package: PackageName, why: Reason },
    /// One is active and as many as wanted stand by.
    GroupRedundant { group: GroupName, active: PackageName },
    /// One is active and too few stand by.
    GroupDegraded {
        group: GroupName,
        active: PackageName,
        ready: u32,
        wanted: u32,
    },
    /// A link, a disk or a service of a node came up or went down.
    ResourceChanged {
        node: NodeName,
        need: Need,
        up: bool,
        detail: String,
    },
    /// So many members of a group whose members all run do.
    GroupRuns {
        group: GroupName,
        running: u32,
        wanted: u32,
    },
    /// Nobody is active.
    GroupLost { group: GroupName },
    /// It failed over too often.
    FailoversExhausted {
        group: GroupName,
        failovers: u32,
        within: Millis,
    },
    /// It may fail over again.
    FailoversAllowed { group: GroupName },
    /// The rules were replaced.
    RulesChanged { rules: u32 },
    /// An event fired a rule, and something came of it.
    RuleFired {
        resource: String,
        rule: String,
        actions: String,
    },
    /// What a rule wanted was refused, as a person's command would be.
    RuleRefused {
        resource: String,
        rule: String,
        action: String,
        why: String,
    },
    /// Rules fired rules, and the last one was not carried out any more.
    RulesCutOff { resource: String, chain: String },
    /// From now on the manager touches nothing of it.
    MaintenanceBegan { of: Maintained, length: Option<Millis> },
    /// The manager acts for it again: its time has passed, or somebody said so.
    MaintenanceEnded { of: Maintained, by_time: bool },
    /// Everything is stopped in order, and nothing started before somebody says so.
    ClusterStopping { instances: u32 },
    /// What is to run is started again.
    ClusterStarting,
    /// A package is to run in a mode of the users' own.
    ModeWished { package: PackageName, mode: String },
    /// An active package is to become a standby.
    DemoteWished { package: PackageName },
    /// Packages move to where they would rather be.
    RebalanceWished { moves: u32 },
    /// A node's measured load has reached the threshold.
    NodeOverloaded {
        node: NodeName,
        dimension: String,
        measured: u64,
        capacity: u64,
    },
    /// A node's measured load is low enough again.
    NodeRelieved { node: NodeName },
    /// A node is overloaded and nothing more of it may be stopped.
    NothingToShed { node: NodeName },
}

/// What a daemon's new stay follows on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The node is new.
    First,
    /// An earlier stay that ended in order, or that its daemon itself proved to be over.
    Again,
    /// Its lease ended unheard, and its packages were taken over.
    DeclaredDown {
        /// How long it was without an answer, where its daemon knows.
        cut_off: Option<Millis>,
    },
}

/// What a start follows on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It ran nowhere before, or was stopped.
    First,
    /// It ran on the same node.
    Restart,
    /// It ran on another node.
    Move {
        /// Which.
        from: NodeName,
    },
}

/// How the end of an instance is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its daemon has proven that nothing of it is left.
    Reported,
    /// The lease of its node's session has surely ended.
    LeaseEnded,
    /// The node started anew and has proven that nothing of its old session is left.
    NodeRestarted,
    /// The node's daemon ended in order.
    NodeLeft,
    /// An operator said so.
    Confirmed,
}

/// How a resource of a node is called all over the cluster: `lan:n1/eth1`, `disk:n1/data`.
#[must_use]
pub fn resource_id(node: &NodeName, need: &Need) -> String {
    let name = need.name.trim_start_matches('/');
    format!("{}:{node}/{name}", need.kind.as_str())
}

impl Event {
    /// What it is about: `package:NAME`, `group:NAME`, `node:NAME`, `member:ID` or `cluster`.
    #[must_use]
    pub fn resource(&self) -> String {
        if let EventKind::MemberAdded { member, .. } | EventKind::MemberRemoved { member, .. } = &self.kind {
            return format!("member:{member}");
        }
        if let EventKind::RuleFired { resource, .. }
        | EventKind::RuleRefused { resource, .. }
        | EventKind::RulesCutOff { resource, .. } = &self.kind
        {
            return resource.clone();
        }
        if let EventKind::ResourceChanged { node, need, .. } = &self.kind {
            return resource_id(node, need);
        }
        match (self.kind.package(), self.kind.group(), self.kind.node()) {
            (Some(package), _, _) => format!("package:{package}"),
            (None, Some(group), _) => format!("group:{group}"),
            (None, None, Some(node)) => format!("node:{node}"),
            (None, None, None) => String::from("cluster"),
        }
    }

    /// Its kind, stable, for programs.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        self.kind.name()
    }

    /// Where it happened.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        self.kind.node()
    }

    /// How much it should worry somebody.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }

    /// A sentence that a tired person understands.
    #[must_use]
    pub fn text(&self) -> String {
        text::sentence(&self.kind)
    }
}
