//! Snapshot files: the whole state at one log entry, so that the log before it can go.
//!
//! `snapshots/INDEX-TERM.snapshot` is written beside, synced, renamed, and its directory synced before anybody is told
//! of it; so there is always a whole one. Layout: magic, format byte, length and bytes of the header, the body, and a
//! checksum of all before it.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::entry::LogId;
use super::identity::sync_directory;

const MAGIC: &[u8; 8] = b"PACELINE";
/// The format of snapshot files.
const FORMAT: u8 = 1;
/// Magic, format and the header's length.
const PREFIX_BYTES: usize = 8 + 1 + 4;
const CHECKSUM_BYTES: usize = 8;
const SUFFIX: &str = "snapshot";

/// Why a snapshot can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// It is not one of ours, or of another version.
    #[error("{path} is not a snapshot that this version of paceline reads ({reason})")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its checksum is wrong.
    #[error("{path} is damaged: its checksum is {found:016x}, its content's is {expected:016x}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u64,
        /// What it should be.
        expected: u64,
    },
    /// The disk refuses.
    #[error("{path} can't be read or written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a snapshot covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotHeader {
    /// Term and index of the last log entry in it; none for the state before the first.
    pub last: Option<(u64, u64)>,
    /// The last command in it.
    pub command: u64,
    /// Term and index of the log entry that set the membership.
    pub membership_at: Option<(u64, u64)>,
    /// The encoded membership.
    pub membership: Vec<u8>,
}

impl SnapshotHeader {
    /// The last log entry in it, by its name.
    #[must_use]
    pub fn last(&self) -> Option<LogId> {
        self.last.map(|(term, index)| LogId { term, index })
    }
}

/// A whole snapshot on disk. The open file stays readable after a newer one has taken its place.
#[derive(Clone, Debug)]
pub struct StoredSnapshot {
    /// What it covers.
    pub header: SnapshotHeader,
    /// How many bytes the file has.
    pub length: u64,
    file: Arc<File>,
    path: PathBuf,
    body_at: u64,
}

impl StoredSnapshot {
    /// Reads at an offset of the file, for sending it; fewer bytes than asked for at its end.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    /// Reads the body and checks the checksum.
    ///
    /// # Errors
    /// [`SnapshotFileError`].
    pub fn body(&self) -> Result<Vec<u8>, SnapshotFileError> {
        let io = |source| SnapshotFileError::Io {
            path: self.path.clone(),
            source,
        };
        let mut all = vec![0; usize::try_from(self.length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut all, 0).map_err(io)?;
        let checksum_at = all.len() - CHECKSUM_BYTES;
        let found = u64::from_be_bytes(all[checksum_at..].try_into().unwrap_or_default());
        let expected = checksum(&all[..checksum_at]);
        if found != expected {
            return Err(SnapshotFileError::Damaged {
                path: self.path.clone(),
                found,
                expected,
            });
        }
        all.truncate(checksum_at);
        all.drain(..usize::try_from(self.body_at).unwrap_or(usize::MAX));
        Ok(all)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(path: &Path) -> Result<Self, SnapshotFileError> {
        let io = |source| SnapshotFileError::Io {
            path: path.to_owned(),
            source,
        };
        let unreadable = |reason: String| SnapshotFileError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        let mut file = File::open(path).map_err(io)?;
        let length = file.seek(SeekFrom::End(0)).map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut prefix = [0; PREFIX_BYTES];
        file.read_exact(&mut prefix)
            .map_err(|_| unreadable(format!("it has only {length} bytes")))?;
        if &prefix[..8] != MAGIC {
            return Err(unreadable("it does not begin as one".to_owned()));
        }
        if prefix[8] != FORMAT {
            return Err(unreadable(format!(
                "it has format {}, known is format {FORMAT}",
                prefix[8]
            )));
        }
        let header_length = u64::from(u32::from_be_bytes(prefix[9..].try_into().unwrap_or_default()));
        let body_at = PREFIX_BYTES as u64 + header_length;
        if body_at + CHECKSUM_BYTES as u64 > length {
            return Err(unreadable(format!("it ends after {length} bytes, within its header")));
        }
        let mut header = vec![0; usize::try_from(header_length).unwrap_or(usize::MAX)];
        file.read_exact(&mut header).map_err(io)?;
        let header = rmp_serde::from_slice(&header).map_err(|error| unreadable(format!("its header: {error}")))?;
        Ok(Self {
            header,
            length,
            file: Arc::new(file),
            path: path.to_owned(),
            body_at,
        })
    }
}

/// The folder of snapshots; keeps the newest.
#[derive(Clone, Debug)]
pub struct SnapshotDirectory {
    path: PathBuf,
    sequence: Arc<AtomicU64>,
}

impl SnapshotDirectory {
    /// Opens the folder, makes it where it isn't there, and clears what a crash left half-written.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn open(path: &Path) -> Result<Self, SnapshotFileError> {
        let io = |source| SnapshotFileError::Io {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(io)?;
        for entry in fs::read_dir(path).map_err(io)? {
            let found = entry.map_err(io)?.path();
            if found.extension().is_some_and(|extension| extension == "part") {
                fs::remove_file(&found).map_err(io)?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            sequence: Arc::new(AtomicU64::new(0)),
        })
    }

    /// The newest whole snapshot.
    ///
    /// # Errors
    /// [`SnapshotFileError`] where the newest can't be used: an older one would be followed by a log with a hole.
    pub fn newest(&self) -> Result<Option<StoredSnapshot>, SnapshotFileError> {
        match self.list()?.last() {
            Some((_, path)) => StoredSnapshot::open(path).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a snapshot; it is durable and the newest when this returns.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn save(&self, header: &SnapshotHeader, body: &[u8]) -> Result<StoredSnapshot, SnapshotFileError> {
        let part = self.part();
        let io = |source| SnapshotFileError::Io {
            path: part.clone(),
            source,
        };
        let encoded = rmp_serde::to_vec_named(header).map_err(|error| io(io::Error::other(error)))?;
        let mut head = Vec::with_capacity(PREFIX_BYTES + encoded.len());
        head.extend_from_slice(MAGIC);
        head.push(FORMAT);
        head.extend_from_slice(&u32::try_from(encoded.len()).unwrap_or(u32::MAX).to_be_bytes());
        head.extend_from_slice(&encoded);
        let mut sum = Checksum::new();
        sum.update(&head);
        sum.update(body);
        let mut file = File::create(&part).map_err(io)?;
        file.write_all(&head).map_err(io)?;
        file.write_all(body).map_err(io)?;
        file.write_all(&sum.finish().to_be_bytes()).map_err(io)?;
        drop(file);
        self.adopt(&part)
    }

    /// A file to receive a snapshot into; [`SnapshotDirectory::adopt`] makes it one.
    #[must_use]
    pub fn part(&self) -> PathBuf {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        self.path.join(format!("{}-{number}.part", std::process::id()))
    }

    /// Opens a received file without making it the newest.
    ///
    /// # Errors
    /// [`SnapshotFileError`] where it isn't a snapshot.
    pub fn open_part(&self, part: &Path) -> Result<StoredSnapshot, SnapshotFileError> {
        StoredSnapshot::open(part)
    }

    /// Whether a snapshot is one of this folder's own whole ones, as after a restart.
    #[must_use]
    pub fn holds(&self, snapshot: &StoredSnapshot) -> bool {
        snapshot.path.parent() == Some(&self.path)
            && snapshot.path.extension().is_some_and(|extension| extension == SUFFIX)
    }

    /// Makes a snapshot this folder's newest, durably: a received one by its name, one of elsewhere by a copy.
    ///
    /// # Errors
    /// [`SnapshotFileError`]; the former newest is then still in place.
    pub fn take(&self, snapshot: &StoredSnapshot) -> Result<(), SnapshotFileError> {
        if self.holds(snapshot) {
            return Ok(());
        }
        if snapshot.path.parent() == Some(&self.path) {
            return self.adopt(&snapshot.path).map(drop);
        }
        let part = self.part();
        fs::copy(&snapshot.path, &part).map_err(|source| SnapshotFileError::Io {
            path: part.clone(),
            source,
        })?;
        self.adopt(&part).map(drop)
    }

    /// Makes a complete file the newest snapshot, durably, and removes older ones.
    ///
    /// # Errors
    /// [`SnapshotFileError`]; the former newest is then still in place.
    pub fn adopt(&self, part: &Path) -> Result<StoredSnapshot, SnapshotFileError> {
        let io = |source| SnapshotFileError::Io {
            path: part.to_owned(),
            source,
        };
        let header = StoredSnapshot::open(part)?.header;
        File::open(part).and_then(|file| file.sync_all()).map_err(io)?;
        let (term, index) = header.last.unwrap_or_default();
        let path = self.path.join(format!("{index:020}-{term:020}.{SUFFIX}"));
        fs::rename(part, &path).map_err(io)?;
        sync_directory(&self.path).map_err(io)?;
        let stored = StoredSnapshot::open(&path)?;
        for (_, older) in self.list()?.into_iter().filter(|(_, other)| *other < path) {
            fs::remove_file(&older).map_err(io)?;
        }
        Ok(stored)
    }

    fn list(&self) -> Result<Vec<(String, PathBuf)>, SnapshotFileError> {
        let io = |source| SnapshotFileError::Io {
            path: self.path.clone(),
            source,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == SUFFIX)
                && let Some(name) = path.file_name()
            {
                found.push((name.to_string_lossy().into_owned(), path.clone()));
            }
        }
        found.sort();
        Ok(found)
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut sum = Checksum::new();
    sum.update(bytes);
    sum.finish()
}

/// FNV-1a over eight bytes at a time: finds damage, not intent.
struct Checksum {
    sum: u64,
    rest: [u8; 8],
    held: usize,
}

impl Checksum {
    fn new() -> Self {
        Self {
            sum: 0xcbf2_9ce4_8422_2325,
            rest: [0; 8],
            held: 0,
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        if self.held > 0 {
            let take = bytes.len().min(8 - self.held);
            self.rest[self.held..self.held + take].copy_from_slice(&bytes[..take]);
            self.held += take;
            bytes = &bytes[take..];
            if self.held < 8 {
                return;
            }
            self.mix(u64::from_le_bytes(self.rest));
            self.held = 0;
        }
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().unwrap_or_default()));
        }
        let rest = words.remainder();
        self.rest[..rest.len()].copy_from_slice(rest);
        self.held = rest.len();
    }

    fn mix(&mut self, word: u64) {
        self.sum = (self.sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    fn finish(mut self) -> u64 {
        let held = self.held;
        self.rest[held..].fill(0);
        self.mix(u64::from_le_bytes(self.rest));
        self.mix(held as u64);
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(index: u64) -> SnapshotHeader {
        SnapshotHeader {
            last: Some((2, index)),
            command: 7,
            membership_at: Some((1, 0)),
            membership: vec![1, 2],
        }
    }

    #[test]
    fn the_newest_whole_snapshot_is_found_and_older_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SnapshotDirectory::open(folder.path()).unwrap();
        assert!(directory.newest().unwrap().is_none());
        let old = directory.save(&header(5), b"old").unwrap();
        directory.save(&header(9), b"the body of it").unwrap();
        fs::write(directory.part(), b"half a snap").unwrap();
        let again = SnapshotDirectory::open(folder.path()).unwrap();
        let newest = again.newest().unwrap().unwrap();
        assert_eq!(newest.header, header(9));
        assert_eq!(newest.body().unwrap(), b"the body of it");
        assert_eq!(old.body().unwrap(), b"old", "an open one stays readable");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let directory = SnapshotDirectory::open(folder.path()).unwrap();
        let stored = directory.save(&header(5), &[7; 100]).unwrap();
        let mut bytes = fs::read(stored.path()).unwrap();
        let middle = bytes.len() - 50;
        bytes[middle] ^= 1;
        fs::write(stored.path(), bytes).unwrap();
        let error = directory.newest().unwrap().unwrap().body().unwrap_err();
        assert!(matches!(error, SnapshotFileError::Damaged { .. }), "{error}");
    }

    #[test]
    fn a_checksum_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut pieces = Checksum::new();
        for piece in bytes.chunks(7) {
            pieces.update(piece);
        }
        assert_eq!(pieces.finish(), checksum(&bytes));
    }
}
