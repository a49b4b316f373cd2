//! The messages among servers by name, for whoever checks that bytes from outside can do no harm.
//!
//! The routes decode exactly so. Nothing else of these shapes is seen outside of this folder.

use bytes::Bytes;
use statemachine::log::v1::{Batch, Proposal};
use statemachine::time::Timestamp;

use super::backfill::AskEvents;
use super::codec::{self, Append, AskVote, CodecError, Transfer};
use super::join::{AskAdmission, AskPromotion};
use super::member::Change;
use super::network::append_request;
use super::propose::Forwarded;
use super::type_config::BatchBytes;
use crate::storage::{LogEntry, LogId, Payload};

/// The messages that carry a body; the last is what an entry of the log holds.
pub const KINDS: [&str; 9] = [
    "append", "vote", "transfer", "propose", "change", "events", "join", "promote", "batch",
];

/// Decodes a message as its route does, and encodes it again.
///
/// # Errors
/// [`CodecError`] where it is refused.
pub fn round_trip(kind: &str, bytes: &[u8]) -> Result<Bytes, CodecError> {
    match kind {
        "append" => {
            append_request(codec::decode("append", bytes)?)?;
            codec::encode("append", &codec::decode::<Append>("append", bytes)?)
        }
        "vote" => codec::encode("vote", &codec::decode::<AskVote>("vote", bytes)?),
        "transfer" => codec::encode("transfer", &codec::decode::<Transfer>("transfer", bytes)?),
        "propose" => {
            let forwarded: Forwarded = codec::decode("propose", bytes)?;
            for BatchBytes(proposal) in &forwarded.proposals {
                codec::decode_proposal(proposal)?;
            }
            codec::encode("propose", &forwarded)
        }
        "change" => codec::encode("change", &codec::decode::<Change>("change", bytes)?),
        "events" => codec::encode("events", &codec::decode::<AskEvents>("events", bytes)?),
        "join" => codec::encode("join", &codec::decode::<AskAdmission>("join", bytes)?),
        "promote" => codec::encode("promote", &codec::decode::<AskPromotion>("promote", bytes)?),
        _ => codec::encode("a log entry", &batch(bytes)?),
    }
}

/// Decodes what an entry of the log holds.
///
/// # Errors
/// [`CodecError`] where it is refused.
pub fn batch(bytes: &[u8]) -> Result<Batch, CodecError> {
    codec::decode_batch(&BatchBytes(Bytes::copy_from_slice(bytes)))
}

/// Encodes what an entry of the log holds.
///
/// # Errors
/// Where a value has no encoding.
pub fn encode_batch(batch: &Batch) -> Result<Bytes, CodecError> {
    codec::encode("a log entry", batch)
}

/// A message of every kind that holds these proposals where it holds any.
///
/// # Errors
/// Where a value has no encoding.
pub fn samples(proposals: &[Proposal]) -> Result<Vec<(&'static str, Bytes)>, CodecError> {
    let encoded: Vec<Bytes> = proposals.iter().map(codec::proposal).collect::<Result<_, _>>()?;
    let batch = codec::batch(Timestamp(7), 1_700_000_000_000, &encoded);
    let entry = LogEntry {
        id: LogId { term: 3, index: 9 },
        payload: Payload::Batch(batch.0.clone()),
    };
    let append = Append {
        vote: (3, 1, true),
        previous: Some((3, 8)),
        committed: Some((3, 8)),
        entries: vec![(9, BatchBytes(entry.encode()))],
    };
    let forwarded = Forwarded {
        proposals: encoded.into_iter().map(BatchBytes).collect(),
    };
    let ask = AskAdmission {
        name: "n2".to_owned(),
        peer: vec!["127.0.0.1:7401".to_owned()],
        api: "127.0.0.1:7400".to_owned(),
        nonce: "nonce".to_owned(),
        witness: true,
    };
    let vote = AskVote {
        vote: (4, 2, false),
        last: Some((3, 9)),
        transfer: false,
    };
    let transfer = Transfer {
        from: (3, 1, true),
        to: 2,
        last: None,
    };
    Ok(vec![
        ("append", codec::encode("append", &append)?),
        ("vote", codec::encode("vote", &vote)?),
        ("transfer", codec::encode("transfer", &transfer)?),
        ("propose", codec::encode("propose", &forwarded)?),
        ("change", codec::encode("change", &Change::HandOver { to: Some(2) })?),
        ("change", codec::encode("change", &Change::Remove { member: 2 })?),
        ("events", codec::encode("events", &AskEvents::range(1, 9))?),
        ("join", codec::encode("join", &ask)?),
        ("promote", codec::encode("promote", &AskPromotion { member: 2 })?),
        ("batch", batch.0),
    ])
}
