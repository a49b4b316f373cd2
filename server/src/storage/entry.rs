//! Stored shapes of the log: one leading format byte each, so that a later version can tell them apart.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The format of log values and of the vote.
const FORMAT: u8 = 1;
const KIND_BLANK: u8 = 0;
const KIND_BATCH: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;
/// Format, kind and term stand before an entry's body.
const ENTRY_HEAD_BYTES: usize = 1 + 1 + 8;

/// Why stored bytes can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The format byte is not one that this version knows.
    #[error("{what} has format {found}, this version of paceline reads format {expected}")]
    Format {
        /// What was read.
        what: &'static str,
        /// Its format byte.
        found: u8,
        /// The one that is known.
        expected: u8,
    },
    /// Too few or too many bytes.
    #[error("{what} has an impossible length of {found} bytes")]
    Length {
        /// What was read.
        what: &'static str,
        /// How many bytes.
        found: usize,
    },
    /// A number that stands for nothing.
    #[error("{what} has the unknown kind {found}")]
    Kind {
        /// What was read.
        what: &'static str,
        /// The number.
        found: u8,
    },
}

/// Raft's own name of a log entry. Never leaves `server/src/{raft,storage}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// Its place in the log.
    pub index: u64,
}

/// What a log entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a leader's first entry.
    Blank,
    /// An encoded batch of commands, as the leader encoded it.
    Batch(Bytes),
    /// An encoded membership of the Raft group.
    Membership(Bytes),
}

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its name.
    pub id: LogId,
    /// What it holds.
    pub payload: Payload,
}

impl LogEntry {
    /// The stored value; the index is in the key.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, body) = match &self.payload {
            Payload::Blank => (KIND_BLANK, None),
            Payload::Batch(body) => (KIND_BATCH, Some(body)),
            Payload::Membership(body) => (KIND_MEMBERSHIP, Some(body)),
        };
        let mut value = BytesMut::with_capacity(ENTRY_HEAD_BYTES + body.map_or(0, Bytes::len));
        value.put_u8(FORMAT);
        value.put_u8(kind);
        value.put_u64(self.id.term);
        if let Some(body) = body {
            value.put_slice(body);
        }
        value.freeze()
    }

    /// Reads a stored value.
    ///
    /// # Errors
    /// [`DecodeError`] says what is not as this version writes it.
    pub fn decode(index: u64, value: &Bytes) -> Result<Self, DecodeError> {
        let what = "log entry";
        let format = *value.first().ok_or(DecodeError::Length { what, found: 0 })?;
        if format != FORMAT {
            return Err(DecodeError::Format {
                what,
                found: format,
                expected: FORMAT,
            });
        }
        let wrong = || DecodeError::Length {
            what,
            found: value.len(),
        };
        let kind = *value.get(1).ok_or_else(wrong)?;
        let term: [u8; 8] = value
            .get(2..ENTRY_HEAD_BYTES)
            .and_then(|b| b.try_into().ok())
            .ok_or_else(wrong)?;
        let payload = match kind {
            KIND_BLANK if value.len() == ENTRY_HEAD_BYTES => Payload::Blank,
            KIND_BLANK => return Err(wrong()),
            KIND_BATCH => Payload::Batch(value.slice(ENTRY_HEAD_BYTES..)),
            KIND_MEMBERSHIP => Payload::Membership(value.slice(ENTRY_HEAD_BYTES..)),
            found => return Err(DecodeError::Kind { what, found }),
        };
        Ok(Self {
            id: LogId {
                term: u64::from_be_bytes(term),
                index,
            },
            payload,
        })
    }

    /// How much memory it holds, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        let body = match &self.payload {
            Payload::Blank => 0,
            Payload::Batch(body) | Payload::Membership(body) => body.len(),
        };
        body + size_of::<Self>()
    }
}

impl LogId {
    /// The stored form of a marker.
    #[must_use]
    pub fn encode(self) -> [u8; 17] {
        let mut value = [FORMAT; 17];
        value[1..9].copy_from_slice(&self.term.to_be_bytes());
        value[9..].copy_from_slice(&self.index.to_be_bytes());
        value
    }

    /// Reads a stored marker.
    ///
    /// # Errors
    /// [`DecodeError`] says what is not as this version writes it.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let fields = fields(value, "log marker", 17)?;
        Ok(Self {
            term: number(&fields[..8]),
            index: number(&fields[8..16]),
        })
    }
}

/// For whom this server voted, or who leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// In which term.
    pub term: u64,
    /// For which member.
    pub member: u64,
    /// Whether a quorum granted it, so that the member leads.
    pub committed: bool,
}

impl Vote {
    /// The stored form.
    #[must_use]
    pub fn encode(self) -> [u8; 18] {
        let mut value = [FORMAT; 18];
        value[1..9].copy_from_slice(&self.term.to_be_bytes());
        value[9..17].copy_from_slice(&self.member.to_be_bytes());
        value[17] = u8::from(self.committed);
        value
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`DecodeError`] says what is not as this version writes it.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let what = "vote";
        let fields = fields(value, what, 18)?;
        let committed = match fields[16] {
            0 => false,
            1 => true,
            found => return Err(DecodeError::Kind { what, found }),
        };
        Ok(Self {
            term: number(&fields[..8]),
            member: number(&fields[8..16]),
            committed,
        })
    }
}

fn fields<'a>(value: &'a [u8], what: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
    let (format, fields) = value.split_first().ok_or(DecodeError::Length { what, found: 0 })?;
    if *format != FORMAT {
        return Err(DecodeError::Format {
            what,
            found: *format,
            expected: FORMAT,
        });
    }
    if value.len() != length {
        return Err(DecodeError::Length {
            what,
            found: value.len(),
        });
    }
    Ok(fields)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_markers_and_votes_come_back_as_they_were_stored() {
        let id = LogId {
            term: 7,
            index: 0x0102_0304_0506_0708,
        };
        for payload in [
            Payload::Blank,
            Payload::Batch(Bytes::from_static(b"batch")),
            Payload::Membership(Bytes::new()),
        ] {
            let entry = LogEntry { id, payload };
            assert_eq!(LogEntry::decode(id.index, &entry.encode()), Ok(entry));
        }
        assert_eq!(LogId::decode(&id.encode()), Ok(id));
        let vote = Vote {
            term: 9,
            member: 3,
            committed: true,
        };
        assert_eq!(Vote::decode(&vote.encode()), Ok(vote));
    }

    #[test]
    fn another_format_is_named_and_not_guessed() {
        let mut value = LogEntry {
            id: LogId { term: 1, index: 1 },
            payload: Payload::Blank,
        }
        .encode()
        .to_vec();
        value[0] = 2;
        let error = LogEntry::decode(1, &Bytes::from(value)).unwrap_err();
        assert_eq!(
            error,
            DecodeError::Format {
                what: "log entry",
                found: 2,
                expected: 1
            }
        );
        assert_eq!(
            Vote::decode(&[1, 2]).unwrap_err(),
            DecodeError::Length { what: "vote", found: 2 }
        );
        assert_eq!(
            LogEntry::decode(1, &Bytes::from_static(&[1])).unwrap_err(),
            DecodeError::Length {
                what: "log entry",
                found: 1
            }
        );
    }
}
