//! Version 1 of what is stored in the log. Once released these shapes do not change: a new shape is a new file.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, GroupName, Index, MemberId, NodeId, NodeName, PackageName, SessionId, Term};
use crate::time::{Millis, Timestamp};

/// One Raft entry: the commands that the leader gathered, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Cluster time, stamped by the leader.
    pub at: Timestamp,
    /// The leader's wall clock in milliseconds since 1970, for people only.
    pub wall_ms: u64,
    /// The commands, applied one after another, each with an [`Index`] of its own.
    pub proposals: Vec<Proposal>,
}

/// One command on its way into the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Makes the command take effect once however often it is proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// What to do.
    pub command: Command,
}

/// An idempotency key, as a client chose it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestId {
    /// Who asks; empty where clients are not told apart.
    pub client: String,
    /// The client's own key.
    pub key: String,
}

/// Everything that can be proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Command {
    /// The first command of a cluster's log. Rejected ever after.
    CreateCluster {
        /// Random, chosen by whoever bootstraps: tells two clusters apart on every request among peers.
        id: String,
        /// The first server.
        member: NodeName,
        /// Where its peers reach it, tried in turn.
        peer: Vec<String>,
        /// Where its API is.
        api: String,
    },
    /// Lets a server into the Raft group; its [`MemberId`] is this entry's index.
    AddMember {
        /// Its node's name.
        name: NodeName,
        /// Where its peers reach it, tried in turn.
        peer: Vec<String>,
        /// Where its API is.
        api: String,
        /// It only votes and stores: it runs no package, and gives the lead away.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        witness: bool,
    },
    /// Records that a server has left the Raft group.
    RemoveMember {
        /// Which one.
        member: MemberId,
    },
    /// Changes definitions, all of them or none.
    Configure {
        /// Refused where the configuration has changed since this index.
        expect: Option<Index>,
        /// Applied in order.
        changes: Vec<ConfigChange>,
    },
    /// Says what a package is to do; the last writer wins and no plan undoes it.
    SetWish {
        /// Which package (member of a group).
        package: PackageName,
        /// What it is to do.
        wish: Wish,
    },
    /// Makes a standby the active one of its group.
    Promote {
        /// Which member.
        package: PackageName,
    },
    /// Places a package on another node.
    Move {
        /// Which package.
        package: PackageName,
        /// Where to.
        to: NodeName,
    },
    /// Forgets a package's failures, so that it may be started everywhere again.
    Clear {
        /// Which package.
        package: PackageName,
    },
    /// Moves packages away from a node and keeps them away, or ends that.
    SetDrain {
        /// Which node.
        node: NodeName,
        /// Whether it is drained.
        drain: bool,
    },
    /// Sets or removes a small replicated value of a node.
    SetAttribute {
        /// Which node.
        node: NodeName,
        /// Its key: a name.
        key: String,
        /// At most 1 KiB; none removes it.
        value: Option<String>,
        /// Refused where this key has changed since this index.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<Index>,
    },
    /// An operator's word that a node is off: releases what it held, `fenced` packages too, and ends its session.
    ConfirmDown {
        /// Which node.
        node: NodeName,
        /// Who says so.
        by: String,
    },
    /// A daemon's new stay on its node.
    RegisterNode(RegisterNode),
    /// What a daemon saw.
    Observe {
        /// Its node.
        node: NodeId,
        /// Its session; another one is ignored.
        session: SessionId,
        /// Grows by one with each report of the session, so that none counts twice.
        sequence: u64,
        /// In the order in which they were seen.
        observations: Vec<Observation>,
    },
    /// The lease of this session has surely ended. Proposed by that term's leader to itself only.
    NodeLost {
        /// Every session that was found lost in one sweep: one plan for a rack, not forty.
        sessions: Vec<(NodeId, SessionId)>,
        /// The proposer's term: ignored in an entry of another.
        term: Term,
    },
    /// A planned restart of a daemon: its lease is extended once.
    ExtendLease {
        /// Its node.
        node: NodeId,
        /// Its session.
        session: SessionId,
        /// How long, at most 60 s.
        lease: Millis,
    },
    /// A daemon's orderly end: everything it ran is proven stopped and its session ends.
    LeaveNode {
        /// Its node.
        node: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// A deadline in the state has passed.
    Tick,
    /// From now on the manager touches nothing of this; again: its end is another.
    BeginMaintenance {
        /// Of what.
        of: Maintained,
        /// It ends by itself after this time; none: when somebody says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<Millis>,
    },
    /// The manager acts for this again.
    EndMaintenance {
        /// Of what.
        of: Maintained,
    },
    /// Stops every package, in order, and starts none before `StartCluster`; no wish changes.
    StopCluster,
    /// Starts again what is to run.
    StartCluster,
    /// Makes an active package a standby: the fittest standby of its group takes over.
    Demote {
        /// Which member.
        package: PackageName,
    },
    /// Has a package run in a mode of the users' own.
    SetMode {
        /// Which package.
        package: PackageName,
        /// Which of the cluster's modes.
        mode: String,
    },
    /// Moves packages back to the nodes that they prefer, and from full nodes to emptier ones.
    Rebalance {
        /// So many at most.
        at_most: u32,
    },
    /// A command that is rejected where what it is about has changed since this index.
    IfUnchanged {
        /// As far as somebody has looked at it.
        since: Index,
        /// What to do then. It is no condition itself.
        command: Box<Command>,
    },
}

/// What is in maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Maintained {
    /// Everything.
    Cluster,
    /// A node and all that runs there.
    Node(NodeName),
    /// A package and with it its group, because nobody may take over from it.
    Package(PackageName),
}

/// One change of what is defined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "nearly all changes are the large one")]
pub enum ConfigChange {
    /// Replaces the cluster's own settings.
    PutCluster(ClusterSpec),
    /// Defines or redefines a group.
    PutGroup(GroupSpec),
    /// Removes a group that no package names any more.
    RemoveGroup(GroupName),
    /// Defines or redefines a package.
    PutPackage(PackageSpec),
    /// Stops and removes a package.
    RemovePackage(PackageName),
    /// Replaces the rules (M5): checked against what is defined after all changes of the command.
    PutRules(String),
}

/// Settings of the whole cluster that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// For people.
    pub name: String,
    /// `T` of `docs/SAFETY.md`: how long a node may stay active unheard.
    pub lease: Millis,
    /// At a start from nothing: wait for so many nodes before placing.
    pub min_nodes: u32,
    /// But no longer than this.
    pub start_wait: Millis,
    /// How a node's resources are dealt out to its packages (M16).
    #[serde(default, skip_serializing_if = "Shares::is_none")]
    pub shares: Shares,
    /// A node whose measured load reaches so many per cent of its capacity sheds packages (M15).
    #[serde(default = "overload_default", skip_serializing_if = "is_overload_default")]
    pub overload: u32,
    /// It takes packages again once it is below so many per cent.
    #[serde(default = "resume_default", skip_serializing_if = "is_resume_default")]
    pub resume: u32,
    /// Modes of the users' own (M7), beside those that every package has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<ModeSpec>,
}

/// A mode of the users' own: an instance in it is never active, never promoted, and its output is inhibited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeSpec {
    /// Its name, as a package's is written.
    pub name: String,
    /// From which modes a package may come into it: `stopped`, `standby`, `active`, `test`, or another of these.
    pub from: Vec<String>,
    /// Into which it may go from it.
    pub to: Vec<String>,
}

fn overload_default() -> u32 {
    crate::cluster::OVERLOAD_DEFAULT
}

fn resume_default() -> u32 {
    crate::cluster::RESUME_DEFAULT
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_overload_default(per_cent: &u32) -> bool {
    *per_cent == overload_default()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_resume_default(per_cent: &u32) -> bool {
    *per_cent == resume_default()
}

/// How a node's resources are dealt out to its packages by priority (M16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Shares {
    /// They are not.
    #[default]
    None,
    /// Each gets half of what those before it have left.
    Half,
    /// Each gets 8/10 of what those before it have left, divided by its priority.
    Priority,
}

impl Shares {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// What members of a group do for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GroupKind {
    /// One active, the others standby or in reserve.
    Duplex,
    /// All that run are active and get the same input; the output of one is released, that of the others inhibited.
    FreeRun,
    /// All on one node, started in the order of `after`, moved as one.
    Together,
    /// Each member is a unit of its own; they run in parallel, never two on a node.
    LoadShare,
}

/// A group's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its name.
    pub name: GroupName,
    /// What its members do for each other.
    pub kind: GroupKind,
    /// How many standbys are wanted beside the active one.
    pub standbys: u32,
    /// After so many failovers within the time the group stops failing over, and says so.
    pub failovers: RestartSpec,
}

/// So many attempts within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartSpec {
    /// How many.
    pub attempts: u32,
    /// Within which time.
    pub within: Millis,
}

/// A node's size, and what a package needs of it: up to four dimensions, the first two are `cpu` (millicores) and
/// `memory` (MiB). A key that is absent is 0.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capacity(pub BTreeMap<String, u64>);

/// What a package needs of a node's [`Capacity`].
pub type Load = Capacity;

/// What may take over from a package's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fencing {
    /// The lease alone.
    Lease,
    /// Never before a fence agent or an operator confirms.
    Fenced,
    /// The resource itself checks the epoch.
    Token,
}

/// What a package does on a node that has lost the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OnQuorumLoss {
    /// It is stopped before the lease ends.
    Stop,
    /// It goes on, and therefore is never taken over without a confirmation.
    Freeze,
    /// It is stopped before the lease ends, and then its node is reset: what outlives a process ends too.
    Reset,
}

/// A package's definition. `copies = n` in a file is n of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// Its name.
    pub name: PackageName,
    /// The definition it is a copy of, where that has copies.
    pub copy_of: Option<PackageName>,
    /// Its group.
    pub group: Option<GroupName>,
    /// 1 is highest; none ranks after all given ones. Ties: the order of definition.
    pub priority: Option<u32>,
    /// What it needs.
    pub load: Load,
    /// Allowed nodes, most preferred first; empty: any.
    pub nodes: Vec<NodeName>,
    /// Its first [`Wish`], and a new wish where this changes.
    pub enabled: bool,
    /// What may take over from its node.
    pub safety: Fencing,
    /// What it does on a node that has lost the quorum.
    pub on_quorum_loss: OnQuorumLoss,
    /// Restarts in place before another node is tried.
    pub restart: RestartSpec,
    /// How it is run: nothing in here decides about placement.
    pub run: RunSpec,
    /// Members of its together group that start before it and stop after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<PackageName>,
    /// Resources of its node that must be up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Whether it may be stopped to make room for a more important package.
    #[serde(default = "preemptible", skip_serializing_if = "Clone::clone")]
    pub preemptible: bool,
    /// Whether it needs a node for itself.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub exclusive: bool,
    /// Where it may run, as an expression over what else runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// A package may be stopped to make room unless its definition says otherwise.
fn preemptible() -> bool {
    true
}

/// A resource of a node that a package needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Of which kind.
    pub kind: ResourceKind,
    /// Its name on the node: an interface, a mount point, a probe of the node file.
    pub name: String,
}

/// Kinds of resources that packages can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A network interface with a link.
    Lan,
    /// A mount point that can be written to.
    Disk,
    /// A probe that the node file names.
    Service,
}

/// How a daemon runs a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// Further environment.
    pub environment: BTreeMap<String, String>,
    /// Working directory.
    pub directory: Option<String>,
    /// Told that it becomes active, with the contract's environment.
    pub promote: Option<Vec<String>>,
    /// Told that it becomes standby: without it a demotion is a stop and a start.
    pub demote: Option<Vec<String>>,
    /// Asks whether it works.
    pub probe: Option<ProbeSpec>,
    /// From start, promotion or demotion to its answer.
    pub start_timeout: Millis,
    /// From the request to stop to the kill.
    pub stop_timeout: Millis,
    /// Tells what runs of a changed definition, in place of a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Vec<String>>,
}

/// How to ask a package whether it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// What to ask.
    pub kind: ProbeKind,
    /// How often.
    pub interval: Millis,
    /// How long an answer may take.
    pub timeout: Millis,
    /// How many failures in a row are a failure of the package.
    pub failures: u32,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeKind {
    /// A program that exits with 0.
    Exec(Vec<String>),
    /// An address that accepts a connection.
    Tcp(String),
    /// A URL (http only) that answers with a status from 200 to 399.
    Http(String),
}

/// What a package is to do, said by a person, a rule or the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wish {
    /// Run: active or standby as the plan chooses.
    Start,
    /// Do not run.
    Stop,
    /// Run in test: never active, output inhibited.
    Test,
}

/// What a running instance is to be. Not running is the absence of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// Started and waiting to take over.
    Standby,
    /// Doing the work: at most one in the cluster per unit.
    Active,
    /// Running beside, never promoted.
    Test,
}

/// Whether what an instance sends reaches the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Output {
    /// It does.
    Released,
    /// It does not.
    Inhibited,
}

/// A daemon's registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterNode {
    /// The node's name.
    pub name: NodeName,
    /// Which machine this is: a digest of its key and machine id. A name belongs to one machine.
    pub machine: String,
    /// The kernel's boot id.
    pub boot: String,
    /// Random per registration, so that one sent twice registers once.
    pub nonce: String,
    /// Earlier sessions of this node of which the daemon has proven that nothing lives.
    pub ended: Vec<SessionId>,
    /// What the node has.
    pub capacity: Capacity,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Where its API is, for requests that only it can answer.
    pub api: String,
    /// How its packages' processes are held together, where the daemon said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// How long its daemon was without an answered renewal when it was told that its session is over: for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Millis>,
}

/// How a node holds a package's processes together, so that none outlives the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Containment {
    /// A process namespace: the kernel ends all of it with its first process.
    Namespace,
    /// The same, by way of a user namespace, because the daemon has no privileges.
    UserNamespace,
    /// A process group only: a process that left it is killed by the daemon, not by the kernel.
    Group,
}

/// One thing that a daemon saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observation {
    /// An instance changed.
    Instance(InstanceReport),
    /// What an instance said of itself on its control socket has changed.
    Said(InstanceWords),
    /// A resource of the node came up or went down.
    Resource(ResourceReport),
    /// What the node measured of its own load, where that has crossed a threshold, or stays above the upper one.
    Load(Load),
    /// A reload command has ended.
    Reloaded(ReloadReport),
}

/// A reload command has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadReport {
    /// Which package.
    pub package: PackageName,
    /// The epoch under which its process was started.
    pub start: Epoch,
    /// The revision of the definition that it was told of.
    pub revision: Index,
    /// What went wrong, for people, at most 500 bytes; none: the package has taken the definition over.
    pub error: Option<String>,
}

/// A resource of the node came up or went down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceReport {
    /// Which.
    pub need: Need,
    /// Whether it can be used.
    pub up: bool,
    /// For people: what was found; at most 500 bytes.
    pub detail: String,
}

/// What an instance says of itself. It decides nothing about what runs now, only what is chosen next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceWords {
    /// Which package.
    pub package: PackageName,
    /// The epoch under which its process was started.
    pub start: Epoch,
    /// How fit it is to be promoted, more is better; negative: not at all. None: it has not said.
    pub score: Option<i64>,
    /// Whether it is busy: shedding passes it over.
    pub busy: bool,
}

/// An instance changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceReport {
    /// Which package.
    pub package: PackageName,
    /// The epoch under which its process was started.
    pub start: Epoch,
    /// The epoch that it was last told: equal to `start`, or that of a later change of mode.
    pub epoch: Epoch,
    /// What it is now.
    pub state: InstanceState,
    /// For people: the last line of output, the exit code in words, …; at most 500 bytes.
    pub detail: String,
}

/// What an instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceState {
    /// It has answered that it is in this mode.
    Running {
        /// Which.
        mode: Mode,
    },
    /// It is being killed because it failed; nothing is proven yet.
    Failing {
        /// Why.
        cause: EndCause,
    },
    /// Nothing of it is left, which is proven.
    Ended {
        /// Why it ended.
        cause: EndCause,
    },
}

/// Why an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndCause {
    /// The desired set did not hold it any more.
    Requested,
    /// It exited by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it that paceline did not send.
    Signalled {
        /// Which.
        signal: i32,
    },
    /// It could not be started: not there, not executable, …
    NotStarted,
    /// It did not become ready or did not answer a change of mode in time, or refused it.
    NotReady,
    /// Its probe failed too often.
    ProbeFailed,
    /// The lease ended, or its supervisor was gone.
    LeaseEnded,
}
