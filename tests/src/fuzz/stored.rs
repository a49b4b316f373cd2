//! Values of the store: entries of the log, markers and votes. What is read is written the same.

use bytes::Bytes;
use server::storage::{LogEntry, LogId, Payload, Vote};

use super::{Target, Verdict};

/// The index under which an entry is looked up.
const INDEX: u64 = 9;

/// The target. The first byte of an input says what the others are.
pub(super) struct Stored;

impl Target for Stored {
    fn name(&self) -> &'static str {
        "stored"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let id = LogId { term: 3, index: INDEX };
        let payloads = [
            Payload::Blank,
            Payload::Batch(Bytes::from_static(b"\x01batch of some bytes")),
            Payload::Membership(Bytes::from_static(b"\x01membership")),
        ];
        let vote = Vote {
            term: 3,
            member: 2,
            committed: true,
        };
        let mut all: Vec<Vec<u8>> = payloads
            .into_iter()
            .map(|payload| [&[0_u8][..], &LogEntry { id, payload }.encode()[..]].concat())
            .collect();
        all.push([&[1_u8][..], &id.encode()[..]].concat());
        all.push([&[2_u8][..], &vote.encode()[..]].concat());
        all
    }

    fn take(&mut self, input: &[u8]) -> Result<Verdict, String> {
        let Some((kind, rest)) = input.split_first() else {
            return Ok(Verdict::Refused);
        };
        let again = match kind % 3 {
            0 => LogEntry::decode(INDEX, &Bytes::copy_from_slice(rest)).map(|entry| entry.encode().to_vec()),
            1 => LogId::decode(rest).map(|id| id.encode().to_vec()),
            _ => Vote::decode(rest).map(|vote| vote.encode().to_vec()),
        };
        match again {
            Err(_) => Ok(Verdict::Refused),
            Ok(again) if again == rest => Ok(Verdict::Accepted),
            Ok(again) => Err(format!("read, and written as {}", again.escape_ascii())),
        }
    }
}
