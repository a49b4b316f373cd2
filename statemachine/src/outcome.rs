//! What comes of an entry.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::effect::Effect;
use crate::event::Event;
use crate::id::{Index, MemberId, NodeId, NodeName, SessionId, Term};
use crate::rules::RuleError;

/// What came of one entry. The same on every server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Applied {
    /// The entry's index.
    pub index: Index,
    /// Whether it was accepted.
    pub outcome: Outcome,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Hints for the runtime.
    pub effects: Vec<Effect>,
}

/// Accepted or rejected: both are replicated facts, neither is a failure.
pub type Outcome = Result<Accepted, Rejection>;

/// What an accepted command gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is done.
    Done,
    /// A node has a session.
    Registered {
        /// The node's id.
        node: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// A server has an id.
    MemberAdded {
        /// Its id.
        member: MemberId,
    },
    /// The same request was applied before; nothing was done again.
    Repeated {
        /// The index at which it was applied.
        index: Index,
        /// What it gave.
        first: Box<Accepted>,
    },
}

/// Why a command was rejected: nothing has changed. The text says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the fields are the two sides of what did not fit; the text says which is which"
)]
pub enum Rejection {
    /// The log and the state do not belong together.
    #[error("entry {found} can't follow entry {applied}")]
    OutOfOrder { applied: Index, found: Index },
    /// There is no cluster yet.
    #[error("this cluster has not been created yet")]
    NoCluster,
    /// There is one already.
    #[error("this cluster exists already, with id {id}")]
    ClusterExists { id: String },
    /// A name that nothing has.
    #[error("there is no {kind} {name:?}{}", nearest_words(.nearest.as_deref()))]
    NotFound {
        kind: &'static str,
        name: String,
        nearest: Option<String>,
    },
    /// It conflicts with the present state.
    #[error("{text}")]
    Conflict { text: String },
    /// Another change came first.
    #[error("the configuration has changed: index {found}, expected {expected}; look at it again and repeat")]
    Changed { expected: Index, found: Index },
    /// Another change of the same attribute came first.
    #[error("attribute {key} has changed since index {expected}: index {found}; read it again and repeat")]
    AttributeChanged { key: String, expected: Index, found: Index },
    /// Something else happened to what a command is about.
    #[error("{what} has changed since index {expected}: index {found}; look at it again and repeat")]
    SubjectChanged {
        what: String,
        expected: Index,
        found: Index,
    },
    /// It is well-formed but not valid.
    #[error("{text}")]
    Invalid { text: String },
    /// The session is over.
    #[error("session {session} of node {node} is over: kill what it ran and register anew naming it")]
    SessionEnded { node: NodeId, session: SessionId },
    /// The name belongs to another machine.
    #[error(
        "node {node} is another machine: give this one another name, or let the node leave, or `confirm-down {node}` once it is off for good"
    )]
    MachineConflict { node: NodeName },
    /// A report is missing before this one.
    #[error("report {found} can't follow report {last}: send report {} first", .last.saturating_add(1))]
    ReportGap { last: u64, found: u64 },
    /// It was proposed by a leader of another term, or names no present session.
    #[error(
        "this was proposed in term {proposed} and stands in an entry of term {found}, or its sessions are over: nothing to do"
    )]
    Stale { proposed: Term, found: Term },
    /// The idempotency key was used for another command.
    #[error("this request key was used at index {index} for another command: take a new key")]
    KeyReused { index: Index },
    /// A bound is reached.
    #[error("{text}")]
    Limit { text: String },
    /// The rules do not fit what is defined: all their errors.
    #[error("the rules have {}", rule_words(.errors))]
    Rules { errors: Vec<RuleError> },
}

impl Rejection {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfOrder { .. } => "out_of_order",
            Self::NoCluster => "no_cluster",
            Self::ClusterExists { .. } => "cluster_exists",
            Self::NotFound { .. } => "not_found",
            Self::Conflict { .. } => "conflict",
            Self::Changed { .. } | Self::AttributeChanged { .. } | Self::SubjectChanged { .. } => "changed",
            Self::Invalid { .. } => "invalid",
            Self::SessionEnded { .. } => "session_ended",
            Self::MachineConflict { .. } => "machine_conflict",
            Self::ReportGap { .. } => "report_gap",
            Self::Stale { .. } => "stale",
            Self::KeyReused { .. } => "key_reused",
            Self::Limit { .. } => "limit",
            Self::Rules { .. } => "invalid",
        }
    }

    /// The nearest existing name, where a name is unknown.
    #[must_use]
    pub fn nearest(&self) -> Option<&str> {
        match self {
            Self::NotFound { nearest, .. } => nearest.as_deref(),
            Self::OutOfOrder { .. }
            | Self::NoCluster
            | Self::ClusterExists { .. }
            | Self::Conflict { .. }
            | Self::Changed { .. }
            | Self::AttributeChanged { .. }
            | Self::SubjectChanged { .. }
            | Self::Invalid { .. }
            | Self::SessionEnded { .. }
            | Self::MachineConflict { .. }
            | Self::ReportGap { .. }
            | Self::Stale { .. }
            | Self::KeyReused { .. }
            | Self::Limit { .. }
            | Self::Rules { .. } => None,
        }
    }
}

/// How many errors, and each of them.
fn rule_words(errors: &[RuleError]) -> String {
    let mut words = match errors.len() {
        1 => String::from("an error"),
        count => alloc::format!("{count} errors"),
    };
    for error in errors {
        words.push_str("; ");
        words.push_str(&alloc::format!("{error}"));
    }
    words
}

fn nearest_words(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |name| alloc::format!("; did you mean {name:?}?"))
}
