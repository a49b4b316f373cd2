//! Looking back: how it came that one that was active is not any more.

use std::io;

use super::fold::Lookup;
use super::{Stage, StageName};
use crate::storage::EventRecord;

/// Most events that are looked back along.
const STEPS_MAX: usize = 8;

/// Events that say of a package's instance that it ends, or why.
const DECISIONS: [&str; 6] = [
    "package-failed",
    "stopping",
    "node-lost",
    "node-left",
    "node-registered",
    "node-confirmed-down",
];

/// Events with which an instance's time in its mode begins: what came before them is another story.
const BEGINNINGS: [&str; 7] = [
    "placed",
    "restarted",
    "moved",
    "promoted",
    "released",
    "became-active",
    "started",
];

/// Events of other resources for which a package may be stopped.
const WISHES: [&str; 17] = [
    "node-drained",
    "move-wished",
    "promote-wished",
    "demote-wished",
    "stop-wished",
    "mode-wished",
    "rebalance-wished",
    "lan-down",
    "disk-down",
    "service-down",
    "node-overloaded",
    "package-changed",
    "group-changed",
    "cluster-changed",
    "cluster-stopping",
    "rule-fired",
    "node-lost",
];

/// How it came to a takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The program ended, hung or was killed.
    Program,
    /// The node was not heard until its lease was over.
    NodeLost,
    /// The node started anew and says that nothing is left.
    NodeRestarted,
    /// A link, a disk or a service that it needs went down.
    NeedLost,
    /// Its node stopped it because its own lease was over.
    LeaseEnded,
    /// The node's daemon ended in order.
    NodeLeft,
    /// The node is drained.
    Drained,
    /// Somebody moved it, or had the cluster rebalanced.
    Moved,
    /// Somebody chose another active one.
    Promoted,
    /// Somebody made it a standby.
    Demoted,
    /// Somebody stopped or removed it.
    Stopped,
    /// Its definition changed.
    Redefined,
    /// Something of a higher priority took its room, or its node was overloaded.
    Displaced,
    /// It may not stay where it was: a condition, a list of nodes, its group.
    Placement,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Program,
        Self::NodeLost,
        Self::NodeRestarted,
        Self::NeedLost,
        Self::LeaseEnded,
        Self::NodeLeft,
        Self::Drained,
        Self::Moved,
        Self::Promoted,
        Self::Demoted,
        Self::Stopped,
        Self::Redefined,
        Self::Displaced,
        Self::Placement,
    ];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::NodeLost => "node-lost",
            Self::NodeRestarted => "node-restarted",
            Self::NeedLost => "need-lost",
            Self::LeaseEnded => "lease-ended",
            Self::NodeLeft => "node-left",
            Self::Drained => "drained",
            Self::Moved => "moved",
            Self::Promoted => "promoted",
            Self::Demoted => "demoted",
            Self::Stopped => "stopped",
            Self::Redefined => "redefined",
            Self::Displaced => "displaced",
            Self::Placement => "placement",
        }
    }

    /// Whether somebody, or the plan, wanted it: nothing had failed.
    #[must_use]
    pub fn is_planned(self) -> bool {
        match self {
            Self::Program | Self::NodeLost | Self::NodeRestarted | Self::NeedLost | Self::LeaseEnded => false,
            Self::NodeLeft
            | Self::Drained
            | Self::Moved
            | Self::Promoted
            | Self::Demoted
            | Self::Stopped
            | Self::Redefined
            | Self::Displaced
            | Self::Placement => true,
        }
    }

    /// Whether another one is to be active after it: after a stop that somebody wants, only where one is at once.
    pub(super) fn wants_successor(self) -> bool {
        match self {
            Self::Stopped | Self::Redefined | Self::Displaced => false,
            Self::Program
            | Self::NodeLost
            | Self::NodeRestarted
            | Self::NeedLost
            | Self::LeaseEnded
            | Self::NodeLeft
            | Self::Drained
            | Self::Moved
            | Self::Promoted
            | Self::Demoted
            | Self::Placement => true,
        }
    }
}

/// What came before the event with which a takeover begins.
pub(super) struct Story {
    pub(super) cause: Cause,
    pub(super) because: String,
    /// Detected and decided, as far as they are known.
    pub(super) stages: Vec<Stage>,
}

impl Story {
    /// The story of an instance's end.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub(super) fn of(ended: &EventRecord, lookup: Lookup<'_>) -> io::Result<Self> {
        let chain = chain(ended, lookup)?;
        let decision = chain.iter().rfind(|event| DECISIONS.contains(&event.kind.as_str()));
        let asked = chain.last().filter(|event| WISHES.contains(&event.kind.as_str()));
        let cause = cause_of(ended, decision, asked);
        let mut stages = Vec::new();
        if let Some(asked) = asked
            && decision.is_some_and(|decision| decision.kind == "stopping")
        {
            stages.push(Stage::of(StageName::Detected, asked, 0));
        }
        stages.push(Stage::of(StageName::Decided, decision.unwrap_or(ended), 0));
        let told = asked.filter(|_| cause.is_planned()).or(decision);
        Ok(Self {
            cause,
            because: told.unwrap_or(ended).text.clone(),
            stages,
        })
    }
}

/// The events that an end follows from, the last one first.
fn chain(ended: &EventRecord, lookup: Lookup<'_>) -> io::Result<Vec<EventRecord>> {
    let mut chain: Vec<EventRecord> = Vec::new();
    let mut next = ended.cause;
    while let Some(place) = next
        && chain.len() < STEPS_MAX
    {
        let Some(event) = lookup(place)? else { break };
        let kind = event.kind.as_str();
        let own = event.resource == ended.resource;
        let told = DECISIONS.contains(&kind) || WISHES.contains(&kind);
        if BEGINNINGS.contains(&kind) || !(own || told) {
            break;
        }
        next = event.cause;
        chain.push(event);
    }
    Ok(chain)
}

fn cause_of(ended: &EventRecord, decision: Option<&EventRecord>, asked: Option<&EventRecord>) -> Cause {
    let why = |record: &EventRecord| record.facts.as_ref().and_then(|facts| facts.why.clone());
    if ended.kind == "package-stranded" {
        return Cause::NodeLost;
    }
    match why(ended).as_deref() {
        Some("lease-ended" | "confirmed") => return Cause::NodeLost,
        Some("node-restarted") => return Cause::NodeRestarted,
        Some("node-left") => return Cause::NodeLeft,
        _ => {}
    }
    let Some(decision) = decision else {
        return Cause::LeaseEnded;
    };
    if decision.kind == "package-failed" {
        return Cause::Program;
    }
    match (why(decision).as_deref(), asked.map(|asked| asked.kind.as_str())) {
        (Some("need-lost"), _) => Cause::NeedLost,
        (_, Some("stop-wished")) => Cause::Stopped,
        (Some("drained"), _) => Cause::Drained,
        (Some("moved"), _) => Cause::Moved,
        (Some("promoted"), _) => Cause::Promoted,
        (Some("mode-change"), _) => Cause::Demoted,
        (Some("stopped" | "removed" | "cluster-stopped" | "own-mode" | "maintenance"), _) => Cause::Stopped,
        (Some("redefined"), _) => Cause::Redefined,
        (Some("preempted" | "shed"), _) => Cause::Displaced,
        _ => Cause::Placement,
    }
}
