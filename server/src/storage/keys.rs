//! Keys of the database: big-endian numbers, so that their order is the order of keys.

use super::entry::DecodeError;

/// Column family of the Raft log: key is the log index.
pub const FAMILY_LOG: &str = "log";
/// Column family of single values: vote, markers, identity.
pub const FAMILY_META: &str = "meta";
/// Column family of the event journal: key is command index and sequence.
pub const FAMILY_JOURNAL: &str = "journal";

/// The vote.
pub const META_VOTE: &[u8] = b"vote";
/// The last log id known to be committed; a hint that saves replaying, never synced for itself.
pub const META_COMMITTED: &[u8] = b"committed";
/// The last log id that was purged: written before the range is deleted.
pub const META_PURGED: &[u8] = b"purged";
/// Who this server is; must equal the identity file.
pub const META_IDENTITY: &[u8] = b"identity";
/// Ranges of command indexes whose events this server never saw.
pub const META_GAPS: &[u8] = b"journal-gaps";
/// The first index whose events the journal still keeps, where it has dropped some.
pub const META_OLDEST: &[u8] = b"journal-oldest";
/// The lease whose Raft timers this server starts with, in milliseconds, big-endian.
pub const META_LEASE: &[u8] = b"lease-ms";

/// What a block of the journal is called before its first index.
const META_BLOCK: &[u8] = b"journal-block:";

/// Key of what is known of a block of events, by its first index.
#[must_use]
pub fn block_key(first: u64) -> Vec<u8> {
    [META_BLOCK, &first.to_be_bytes()].concat()
}

/// The first index of a block's key; none for other keys.
#[must_use]
pub fn block_first(key: &[u8]) -> Option<u64> {
    let bytes: [u8; 8] = key.strip_prefix(META_BLOCK)?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// Key of a log entry.
#[must_use]
pub fn log_key(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index of a log key.
pub fn log_index(key: &[u8]) -> Result<u64, DecodeError> {
    let bytes: [u8; 8] = key.try_into().map_err(|_| DecodeError::Length {
        what: "log key",
        found: key.len(),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// Key of an event.
#[must_use]
pub fn journal_key(index: u64, sequence: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&index.to_be_bytes());
    key[8..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The command index and sequence of a journal key.
pub fn journal_id(key: &[u8]) -> Result<(u64, u32), DecodeError> {
    let wrong = || DecodeError::Length {
        what: "journal key",
        found: key.len(),
    };
    let (index, sequence) = key.split_at_checked(8).ok_or_else(wrong)?;
    let index: [u8; 8] = index.try_into().map_err(|_| wrong())?;
    let sequence: [u8; 4] = sequence.try_into().map_err(|_| wrong())?;
    Ok((u64::from_be_bytes(index), u32::from_be_bytes(sequence)))
}
