//! The types that openraft is instantiated with. None of them leaves `server/src/raft`.

use std::fmt;

use bytes::Bytes;
use openraft::type_config::alias::{LogIdOf, StoredMembershipOf, VoteOf};
use openraft::vote::RaftLeaderId as _;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use super::answer::Answer;
use crate::storage;

#[allow(deprecated, reason = "the macro names openraft's runtime by its old path")]
mod declared {
    use super::{Answers, BatchBytes, Peer};

    openraft::declare_raft_types!(
        /// openraft's types here: one leader a term, entries as the leader encoded them.
        pub TypeConfig:
            D = BatchBytes,
            R = Answers,
            NodeId = u64,
            Node = Peer,
            LeaderId = openraft::impls::leader_id_std::LeaderId<Self::Term, Self::NodeId>,
    );
}
pub use declared::TypeConfig;

/// openraft, for our types.
pub type Raft = openraft::Raft<TypeConfig, super::machine::Machine>;
/// A log id.
pub type LogId = LogIdOf<TypeConfig>;
/// A vote.
pub type Vote = VoteOf<TypeConfig>;
/// A membership with the log id of its entry.
pub type StoredMembership = StoredMembershipOf<TypeConfig>;
/// The voters and learners.
pub type Membership = openraft::Membership<u64, Peer>;
/// A log entry.
pub type Entry = <TypeConfig as openraft::RaftTypeConfig>::Entry;
/// What a term's leader is called once it leads.
pub type CommittedLeaderId = openraft::type_config::alias::CommittedLeaderIdOf<TypeConfig>;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Peer {
    /// Its node's name.
    pub name: String,
    /// Where its peers reach it, tried in turn.
    pub addresses: Vec<String>,
}

/// A batch of commands as the leader encoded it: stored and sent as it is, never encoded again.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BatchBytes(pub Bytes);

impl fmt::Display for BatchBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for BatchBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for BatchBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor).map(Self)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes::from(bytes))
    }
}

/// What became of the commands of one entry, in their order; empty for entries without commands.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Answers(pub Vec<Answer>);

/// openraft's log id of a stored one.
#[must_use]
pub fn log_id(stored: storage::LogId) -> LogId {
    LogId::new(CommittedLeaderId::from(stored.term), stored.index)
}

/// The stored form of a log id.
#[must_use]
pub fn stored_log_id(id: &LogId) -> storage::LogId {
    storage::LogId {
        term: id.committed_leader_id().term,
        index: id.index(),
    }
}

/// openraft's vote of a stored one.
#[must_use]
pub fn vote(stored: storage::Vote) -> Vote {
    if stored.committed {
        Vote::new_committed(stored.term, stored.member)
    } else {
        Vote::new(stored.term, stored.member)
    }
}

/// The stored form of a vote.
#[must_use]
pub fn stored_vote(vote: &Vote) -> storage::Vote {
    storage::Vote {
        term: vote.leader_id.term(),
        member: *vote.leader_id.node_id(),
        committed: vote.committed,
    }
}
