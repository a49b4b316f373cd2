//! How far the database was synced, noted in its directory: so a start finds out when synced writes are gone.
//!
//! RocksDB takes a torn end of its write-ahead log for a write that a crash interrupted, which nobody was told of. Damage
//! there looks the same, and takes with it what was acknowledged: a server that came up with the shorter log would vote
//! for leaders that lack it. The note is written after each sync and never synced for itself, so it is never ahead of the
//! database; after a loss of power it may be some seconds behind, and then finds less.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A number and its complement: a torn note is none.
const LENGTH: usize = 16;

/// The note.
#[derive(Debug)]
pub struct SyncedNote {
    file: File,
}

impl SyncedNote {
    /// Opens the note, or makes an empty one, and answers what it says; none where it says nothing that can be read.
    ///
    /// # Errors
    /// Where the file can't be opened or read.
    pub fn open(path: &Path) -> io::Result<(Self, Option<u64>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = [0; LENGTH];
        let noted = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Self { file }, noted))
    }

    /// Notes that all writes up to this number are on disk.
    ///
    /// A note that can't be written stays as it is: an older one says less, and nothing wrong. What is wrong with the disk
    /// shows with the next sync.
    pub fn write(&self, sequence: u64) {
        let _ = self.file.write_all_at(&encode(sequence), 0);
    }

    /// Puts the note itself on disk.
    pub fn sync(&self) {
        let _ = self.file.sync_data();
    }
}

fn encode(sequence: u64) -> [u8; LENGTH] {
    ((u128::from(sequence) << 64) | u128::from(!sequence)).to_be_bytes()
}

fn decode(bytes: [u8; LENGTH]) -> Option<u64> {
    let word = u128::from_be_bytes(bytes);
    let sequence = u64::try_from(word >> 64).ok()?;
    (encode(sequence) == bytes).then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("synced");
        let (note, noted) = SyncedNote::open(&path).unwrap();
        assert_eq!(noted, None);
        note.write(7);
        note.write(1 << 40);
        assert_eq!(SyncedNote::open(&path).unwrap().1, Some(1 << 40));
        note.file.write_all_at(&[1], 0).unwrap();
        assert_eq!(SyncedNote::open(&path).unwrap().1, None);
        note.file.set_len(9).unwrap();
        assert_eq!(SyncedNote::open(&path).unwrap().1, None);
    }
}
