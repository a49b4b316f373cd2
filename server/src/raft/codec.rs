//! Bytes of batches, memberships and messages among servers: one leading format byte each, then MessagePack with field
//! names. Shapes are our own, because openraft promises none.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use statemachine::log::v1::{Batch, Proposal};
use statemachine::time::Timestamp;

use super::type_config::{BatchBytes, Entry, Membership, Peer, log_id, stored_log_id, vote};
use crate::storage;

/// The format of everything in this file.
const FORMAT: u8 = 1;

/// Why bytes can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Another version wrote them.
    #[error("{what} has format {found:?}, this version of paceline reads format {FORMAT}: is another version running?")]
    Format {
        /// What it is.
        what: &'static str,
        /// Its format byte.
        found: Option<u8>,
    },
    /// They don't fit the shape.
    #[error("{what} can't be understood: {text}")]
    Shape {
        /// What it is.
        what: &'static str,
        /// What the decoder says.
        text: String,
    },
}

/// Encodes a message.
///
/// # Errors
/// Where a value has no encoding.
pub fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Bytes, CodecError> {
    let mut bytes = vec![FORMAT];
    rmp_serde::encode::write_named(&mut bytes, value).map_err(|error| shape(what, &error))?;
    Ok(Bytes::from(bytes))
}

/// Decodes a message.
///
/// # Errors
/// [`CodecError`].
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, CodecError> {
    match bytes.split_first() {
        Some((&FORMAT, body)) => rmp_serde::from_slice(body).map_err(|error| shape(what, &error)),
        other => Err(CodecError::Format {
            what,
            found: other.map(|(format, _)| *format),
        }),
    }
}

fn shape(what: &'static str, error: &dyn std::fmt::Display) -> CodecError {
    CodecError::Shape {
        what,
        text: error.to_string(),
    }
}

/// Encodes one proposal, for [`batch`]. Done by whoever proposes, so that the Raft thread only copies bytes.
///
/// # Errors
/// Where a value has no encoding.
pub fn proposal(proposal: &Proposal) -> Result<Bytes, CodecError> {
    rmp_serde::to_vec_named(proposal)
        .map(Bytes::from)
        .map_err(|error| shape("proposal", &error))
}

/// Decodes a proposal of another server, before it gets near the log: one that can't be decoded would stop every server.
///
/// # Errors
/// [`CodecError`].
pub fn decode_proposal(bytes: &[u8]) -> Result<Proposal, CodecError> {
    rmp_serde::from_slice(bytes).map_err(|error| shape("proposal", &error))
}

/// The bytes of a [`Batch`] of encoded proposals, without decoding them.
#[must_use]
pub fn batch(at: Timestamp, wall_ms: u64, proposals: &[Bytes]) -> BatchBytes {
    const HEAD_BYTES: usize = 64;
    let mut out = Vec::with_capacity(HEAD_BYTES + proposals.iter().map(Bytes::len).sum::<usize>());
    out.push(FORMAT);
    out.push(0x83); // a map of three
    write_text(&mut out, "at");
    write_number(&mut out, at.0);
    write_text(&mut out, "wall_ms");
    write_number(&mut out, wall_ms);
    write_text(&mut out, "proposals");
    out.push(0xdd); // an array with a length of four bytes
    out.extend_from_slice(&u32::try_from(proposals.len()).unwrap_or(u32::MAX).to_be_bytes());
    for proposal in proposals {
        out.extend_from_slice(proposal);
    }
    BatchBytes(Bytes::from(out))
}

/// Decodes a batch.
///
/// # Errors
/// [`CodecError`].
pub fn decode_batch(bytes: &BatchBytes) -> Result<Batch, CodecError> {
    decode("a log entry", &bytes.0)
}

/// The commands in a stored entry, for whoever checks what servers have applied; none in entries of Raft's own.
///
/// # Errors
/// [`CodecError`].
pub fn commands(stored: &storage::LogEntry) -> Result<Option<Batch>, CodecError> {
    match &stored.payload {
        storage::Payload::Batch(bytes) => decode("a log entry", bytes).map(Some),
        storage::Payload::Blank | storage::Payload::Membership(_) => Ok(None),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(0xa0 | u8::try_from(text.len()).unwrap_or(0x1f)); // at most 31 bytes
    out.extend_from_slice(text.as_bytes());
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.push(0xcf);
    out.extend_from_slice(&number.to_be_bytes());
}

/// A membership as it is stored and sent.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMembership {
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, Peer>,
}

/// Encodes a membership.
///
/// # Errors
/// Where a value has no encoding.
pub fn membership(membership: &Membership) -> Result<Bytes, CodecError> {
    let wire = WireMembership {
        configs: membership.get_joint_config().clone(),
        nodes: membership.nodes().map(|(id, peer)| (*id, peer.clone())).collect(),
    };
    encode("a membership", &wire)
}

/// Decodes a membership.
///
/// # Errors
/// [`CodecError`].
pub fn decode_membership(bytes: &[u8]) -> Result<Membership, CodecError> {
    let WireMembership { configs, nodes } = decode("a membership", bytes)?;
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|error| shape("a membership", &error))
}

/// The stored form of an entry.
///
/// # Errors
/// Where a value has no encoding.
pub fn stored_entry(entry: Entry) -> Result<storage::LogEntry, CodecError> {
    let payload = match entry.payload {
        openraft::EntryPayload::Blank => storage::Payload::Blank,
        openraft::EntryPayload::Normal(batch) => storage::Payload::Batch(batch.0),
        openraft::EntryPayload::Membership(value) => storage::Payload::Membership(membership(&value)?),
    };
    Ok(storage::LogEntry {
        id: stored_log_id(&entry.log_id),
        payload,
    })
}

/// openraft's form of a stored entry.
///
/// # Errors
/// [`CodecError`].
pub fn entry(stored: storage::LogEntry) -> Result<Entry, CodecError> {
    let payload = match stored.payload {
        storage::Payload::Blank => openraft::EntryPayload::Blank,
        storage::Payload::Batch(bytes) => openraft::EntryPayload::Normal(BatchBytes(bytes)),
        storage::Payload::Membership(bytes) => openraft::EntryPayload::Membership(decode_membership(&bytes)?),
    };
    Ok(Entry {
        log_id: log_id(stored.id),
        payload,
    })
}

/// A log id on the wire.
pub type WireLogId = (u64, u64);
/// A vote on the wire: term, member, committed.
pub type WireVote = (u64, u64, bool);

/// A vote for the wire.
#[must_use]
pub fn wire_vote(value: &super::type_config::Vote) -> WireVote {
    let vote = super::type_config::stored_vote(value);
    (vote.term, vote.member, vote.committed)
}

/// A vote from the wire.
#[must_use]
pub fn from_wire_vote((term, member, committed): WireVote) -> super::type_config::Vote {
    vote(storage::Vote {
        term,
        member,
        committed,
    })
}

/// A log id for the wire.
#[must_use]
pub fn wire_log_id(id: &super::type_config::LogId) -> WireLogId {
    let id = stored_log_id(id);
    (id.term, id.index)
}

/// A log id from the wire.
#[must_use]
pub fn from_wire_log_id((term, index): WireLogId) -> super::type_config::LogId {
    log_id(storage::LogId { term, index })
}

/// `POST append`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// The leader's vote.
    pub vote: WireVote,
    /// What stands before the entries.
    pub previous: Option<WireLogId>,
    /// How far the cluster has committed.
    pub committed: Option<WireLogId>,
    /// Encoded entries with their index.
    pub entries: Vec<(u64, BatchBytes)>,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Appended {
    /// All of it.
    Success,
    /// Up to there.
    Partial(Option<WireLogId>),
    /// What stands before the entries is not here.
    Conflict,
    /// There is a newer vote.
    HigherVote(WireVote),
}

/// `POST vote` and `POST pre_vote`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskVote {
    /// The candidate's vote.
    pub vote: WireVote,
    /// Its last entry.
    pub last: Option<WireLogId>,
    /// Whether the leader itself asked it to stand.
    pub transfer: bool,
}

/// Their answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voted {
    /// The voter's vote.
    pub vote: WireVote,
    /// Whether it is granted.
    pub granted: bool,
    /// The voter's last entry.
    pub last: Option<WireLogId>,
}

/// `POST transfer`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The leader that hands over.
    pub from: WireVote,
    /// To whom.
    pub to: u64,
    /// What the new leader must have.
    pub last: Option<WireLogId>,
}

/// Its answer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Transferred {
    /// It stands for election.
    Done,
    /// The vote has changed meanwhile.
    VoteChanged(WireVote, WireVote),
    /// Its log is not so far yet.
    LogNotFlushed(Option<WireLogId>, Option<WireLogId>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use statemachine::command::Command;
    use statemachine::id::{NodeName, PackageName};
    use statemachine::log::v1::RequestId;

    #[test]
    fn a_batch_put_together_from_bytes_is_what_serde_would_have_written() {
        let proposals = [
            Proposal {
                request: None,
                command: Command::Tick,
            },
            Proposal {
                request: Some(RequestId {
                    client: "c".to_owned(),
                    key: "k".to_owned(),
                }),
                command: Command::Move {
                    package: PackageName::new("p").unwrap(),
                    to: NodeName::new("n1").unwrap(),
                },
            },
        ];
        let bytes: Vec<Bytes> = proposals.iter().map(|one| proposal(one).unwrap()).collect();
        for count in [0, 1, 2] {
            let batch_bytes = batch(Timestamp(7), 1 << 40, &bytes[..count]);
            let expected = Batch {
                at: Timestamp(7),
                wall_ms: 1 << 40,
                proposals: proposals[..count].to_vec(),
            };
            assert_eq!(decode_batch(&batch_bytes).unwrap(), expected);
        }
        assert_eq!(decode_proposal(&bytes[1]).unwrap(), proposals[1]);
        assert!(decode_proposal(b"\x81\xa1x\x01").is_err());
    }

    #[test]
    fn memberships_come_back() {
        let peer = Peer {
            name: "n1".to_owned(),
            addresses: vec!["127.0.0.1:1".to_owned()],
        };
        let value = Membership::new(
            vec![BTreeSet::from([1, 2])],
            BTreeMap::from([(1, peer.clone()), (2, peer.clone()), (3, peer)]),
        )
        .unwrap();
        assert_eq!(decode_membership(&membership(&value).unwrap()).unwrap(), value);
        let other: Result<Membership, _> = decode_membership(&[9, 1]);
        assert!(other.unwrap_err().to_string().contains("format"));
    }
}
