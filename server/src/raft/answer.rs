//! What became of a proposal or a read.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use statemachine::id::{Index, MemberId, NodeId, SessionId};
use statemachine::{Accepted, Applied};

/// What became of a command that was applied. Both outcomes are replicated facts; neither is a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Its index; that of the first one where it was a repetition.
    pub index: Index,
    /// What it made, or why it was refused.
    pub result: Result<Fact, Refusal>,
    /// Whether an earlier command with the same idempotency key had done it already.
    pub repeated: bool,
}

/// What an accepted command made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// It is done.
    Done,
    /// A node has a new session.
    Registered {
        /// The node.
        node: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// A server may join the Raft group.
    MemberAdded {
        /// Under this id.
        member: MemberId,
    },
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable, for programs.
    pub code: String,
    /// What is wrong and what to do next.
    pub text: String,
    /// The nearest existing name, where a name is unknown.
    pub nearest: Option<String>,
}

impl Answer {
    /// Of a command that was applied: what whoever proposed it is told.
    #[must_use]
    pub fn of(applied: &Applied) -> Self {
        match &applied.outcome {
            Ok(Accepted::Repeated { index, first }) => Self {
                index: *index,
                result: Ok(Fact::of(first)),
                repeated: true,
            },
            Ok(accepted) => Self {
                index: applied.index,
                result: Ok(Fact::of(accepted)),
                repeated: false,
            },
            Err(rejection) => {
                let refusal = Refusal {
                    code: rejection.code().to_owned(),
                    text: rejection.to_string(),
                    nearest: rejection.nearest().map(ToOwned::to_owned),
                };
                Self {
                    index: applied.index,
                    result: Err(refusal),
                    repeated: false,
                }
            }
        }
    }
}

impl Fact {
    fn of(accepted: &Accepted) -> Self {
        match accepted {
            Accepted::Done => Self::Done,
            Accepted::Registered { node, session } => Self::Registered {
                node: *node,
                session: *session,
            },
            Accepted::MemberAdded { member } => Self::MemberAdded { member: *member },
            Accepted::Repeated { first, .. } => Self::of(first),
        }
    }
}

/// Why a proposal has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ProposeError {
    /// Nothing was done: no leader is known.
    #[error("no server leads at the moment, nothing was changed; ask again in {} ms", retry_after.as_millis())]
    NoLeader {
        /// When to ask again.
        retry_after: Duration,
    },
    /// Nothing was done: more is asked than can be done.
    #[error("too many proposals are waiting, nothing was changed; ask again later")]
    Overloaded,
    /// It may have been done or may yet be: ask with the same idempotency key, or look.
    #[error("it is not known whether this was done: ask again with the same Idempotency-Key, or look at the result")]
    Unknown,
    /// Nothing was done: it is too large.
    #[error("this has {bytes} bytes, at most {bytes_max} are taken; send it in parts")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// This server has stopped for good.
    #[error("this server has stopped: {reason}; ask another one")]
    Fatal {
        /// Why.
        reason: String,
    },
}

/// Why a read can't be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ReadError {
    /// No leader is known, or it was lost meanwhile.
    #[error("no server leads at the moment; ask again in {} ms", retry_after.as_millis())]
    NoLeader {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The leader could not reach a majority.
    #[error("no majority of the servers answers")]
    NoQuorum,
    /// Too many reads wait.
    #[error("too many reads are waiting; ask again later")]
    Overloaded,
    /// This server has stopped for good.
    #[error("this server has stopped: {reason}; ask another one")]
    Fatal {
        /// Why.
        reason: String,
    },
}
