//! The database under everything, behind a narrow door: batches, one sync, point reads, scans.
//!
//! [`Database`] is RocksDB; a simulation or a test of faults puts another [`Backend`] in its place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode};

use super::keys::{FAMILY_JOURNAL, FAMILY_LOG, FAMILY_META};
use super::synced::SyncedNote;

/// A part of the database with keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The Raft log.
    Log,
    /// Single values.
    Meta,
    /// The event journal.
    Journal,
}

impl Family {
    /// Every family that a database of ours has.
    pub const ALL: [Self; 3] = [Self::Log, Self::Meta, Self::Journal];

    fn name(self) -> &'static str {
        match self {
            Self::Log => FAMILY_LOG,
            Self::Meta => FAMILY_META,
            Self::Journal => FAMILY_JOURNAL,
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// Sets a key.
    Put {
        /// Where.
        family: Family,
        /// Which.
        key: Vec<u8>,
        /// To what.
        value: Bytes,
    },
    /// Deletes the keys from `from` up to but not including `to`.
    DeleteRange {
        /// Where.
        family: Family,
        /// The first.
        from: Vec<u8>,
        /// The first that stays.
        to: Vec<u8>,
    },
}

/// Changes that become true together, in this order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, family: Family, key: &[u8], value: impl Into<Bytes>) {
        self.changes.push(Change::Put {
            family,
            key: key.to_vec(),
            value: value.into(),
        });
    }

    /// Deletes the keys from `from` up to but not including `to`.
    pub fn delete_range(&mut self, family: Family, from: &[u8], to: &[u8]) {
        self.changes.push(Change::DeleteRange {
            family,
            from: from.to_vec(),
            to: to.to_vec(),
        });
    }

    /// Puts the changes of `later` after these.
    pub fn append(&mut self, later: Self) {
        self.changes.extend(later.changes);
    }

    /// The changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Roughly how many bytes it writes.
    #[must_use]
    pub fn size(&self) -> usize {
        let size = |change: &Change| match change {
            Change::Put { key, value, .. } => key.len() + value.len(),
            Change::DeleteRange { from, to, .. } => from.len() + to.len(),
        };
        self.changes.iter().map(size).sum()
    }
}

/// What a scan calls for each key and value; answers whether it wants more.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// A store of keys with one write-ahead log.
pub trait Backend: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Bytes>>;
    /// Visits keys from `from` upwards.
    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> io::Result<()>;
    /// Visits keys from the last one downwards.
    fn scan_back(&self, family: Family, visit: Visit<'_>) -> io::Result<()>;
    /// Makes the changes visible; they are durable after the next [`Backend::sync`] only.
    fn write(&self, batch: Batch) -> io::Result<()>;
    /// Makes all that was written durable.
    fn sync(&self) -> io::Result<()>;
    /// Ends all use of the files, so that another process may open them.
    fn close(&self);
}

/// Why a database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is a RocksDB of somebody else.
    #[error(
        "{path} holds a database that is not paceline's: found the column families {found:?}, expected {expected:?}; \
         nothing was changed; point data_dir at another place"
    )]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Its column families.
        found: Vec<String>,
        /// Those of ours.
        expected: Vec<String>,
    },
    /// RocksDB refuses it: damaged, in use, or not readable.
    #[error("{path} can't be opened, nothing was changed{hint}")]
    Refused {
        /// Where.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// What RocksDB found.
        #[source]
        source: rocksdb::Error,
    },
    /// It lacks writes that were on disk.
    #[error("{path} is damaged: it ends at write {found}, and {synced} writes were on disk{HINT_DAMAGED}")]
    Shortened {
        /// Where.
        path: PathBuf,
        /// Its last write.
        found: u64,
        /// The last write that was synced.
        synced: u64,
    },
    /// What stands beside it can't be read.
    #[error("{path} can't be read: {source}")]
    Note {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

const HINT_DAMAGED: &str = "; a server whose log is damaged must not vote: remove this member with \
                            `paceline members remove NAME`, empty its data directory, and let it join anew";
const HINT_IN_USE: &str = "; does another paceline use this data directory?";

/// The name of the note in the database's directory; RocksDB leaves alone what it does not know.
const NOTE: &str = "SYNCED";

/// RocksDB with the settings that durability hangs on, asserted at the start.
pub struct Database {
    path: PathBuf,
    db: RwLock<Option<DB>>,
    synced: SyncedNote,
}

impl Database {
    /// Opens the database, or creates it where there is none.
    ///
    /// # Errors
    /// [`OpenError`]; what is there is then as it was.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let exists = path.join("CURRENT").exists();
        let mut options = database_options();
        options.create_if_missing(!exists);
        options.create_missing_column_families(!exists);
        if exists {
            check_families(&options, path)?;
        }
        let families = Family::ALL.map(|family| ColumnFamilyDescriptor::new(family.name(), family_options(family)));
        let db = DB::open_cf_descriptors(&options, path, families).map_err(|source| refused(path, source))?;
        let note = path.join(NOTE);
        let (synced, noted) = SyncedNote::open(&note).map_err(|source| OpenError::Note { path: note, source })?;
        let found = db.latest_sequence_number();
        if let Some(noted) = noted.filter(|noted| *noted > found) {
            return Err(OpenError::Shortened {
                path: path.to_owned(),
                found,
                synced: noted,
            });
        }
        let database = Self {
            path: path.to_owned(),
            db: RwLock::new(Some(db)),
            synced,
        };
        assert_durable_options(&database);
        Ok(database)
    }

    fn with<T>(&self, work: impl FnOnce(&DB) -> io::Result<T>) -> io::Result<T> {
        let guard = self.db.read().unwrap_or_else(PoisonError::into_inner);
        match guard.as_ref() {
            Some(db) => work(db),
            None => Err(io::Error::other(format!(
                "the database at {} is closed",
                self.path.display()
            ))),
        }
    }
}

impl Backend for Database {
    fn get(&self, family: Family, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.with(|db| {
            let value = db.get_pinned_cf(handle(db, family)?, key).map_err(io::Error::other)?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        })
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> io::Result<()> {
        self.with(|db| iterate(db, family, IteratorMode::From(from, Direction::Forward), visit))
    }

    fn scan_back(&self, family: Family, visit: Visit<'_>) -> io::Result<()> {
        self.with(|db| iterate(db, family, IteratorMode::End, visit))
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.with(|db| {
            let mut out = rocksdb::WriteBatch::with_capacity_bytes(batch.size());
            for change in &batch.changes {
                match change {
                    Change::Put { family, key, value } => out.put_cf(handle(db, *family)?, key, value),
                    Change::DeleteRange { family, from, to } => out.delete_range_cf(handle(db, *family)?, from, to),
                }
            }
            // Not `sync` here: the write-ahead log is flushed by hand, once for all that the writer drained.
            db.write(out).map_err(io::Error::other)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|db| {
            let sequence = db.latest_sequence_number();
            db.flush_wal(true).map_err(io::Error::other)?;
            self.synced.write(sequence);
            Ok(())
        })
    }

    fn close(&self) {
        self.synced.sync();
        self.db.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn iterate(db: &DB, family: Family, mode: IteratorMode<'_>, visit: Visit<'_>) -> io::Result<()> {
    for item in db.iterator_cf(handle(db, family)?, mode) {
        let (key, value) = item.map_err(io::Error::other)?;
        if !visit(&key, &value) {
            break;
        }
    }
    Ok(())
}

fn handle(db: &DB, family: Family) -> io::Result<&ColumnFamily> {
    db.cf_handle(family.name())
        .ok_or_else(|| io::Error::other(format!("the database has no column family {:?}", family.name())))
}

fn check_families(options: &rocksdb::Options, path: &Path) -> Result<(), OpenError> {
    let mut found = DB::list_cf(options, path).map_err(|source| refused(path, source))?;
    found.retain(|name| name != "default");
    found.sort();
    let mut expected = Family::ALL.map(|family| family.name().to_owned()).to_vec();
    expected.sort();
    if found != expected {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            found,
            expected,
        });
    }
    Ok(())
}

fn refused(path: &Path, source: rocksdb::Error) -> OpenError {
    let hint = match source.kind() {
        rocksdb::ErrorKind::Corruption => HINT_DAMAGED,
        _ if source.to_string().contains("lock") => HINT_IN_USE,
        _ => "",
    };
    OpenError::Refused {
        path: path.to_owned(),
        hint,
        source,
    }
}

fn database_options() -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.set_manual_wal_flush(true);
    options.set_paranoid_checks(true);
    // A torn tail was never acknowledged and may go; damage before it may have been: then the open is refused.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // Bounds what a restart replays, however little one family is written.
    options.set_max_total_wal_size(128 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(256);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}

fn family_options(family: Family) -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    match family {
        Family::Log => {
            options.set_write_buffer_size(64 << 20);
            options.set_compression_type(DBCompressionType::None);
        }
        Family::Meta => options.set_write_buffer_size(1 << 20),
        Family::Journal => {
            options.set_write_buffer_size(16 << 20);
            options.set_compression_type(DBCompressionType::Lz4);
        }
    }
    options
}

/// Proves by use that a write survives only through [`Backend::sync`]: the write-ahead log is on and is flushed by hand.
fn assert_durable_options(database: &Database) {
    let proof = database.with(|db| {
        let before = db.latest_sequence_number();
        let mut batch = rocksdb::WriteBatch::default();
        batch.put_cf(handle(db, Family::Meta)?, b"opened", b"1");
        db.write(batch).map_err(io::Error::other)?;
        db.flush_wal(true).map_err(io::Error::other)?;
        let logged = db.get_updates_since(before).map_err(io::Error::other)?.next().is_some();
        Ok(logged)
    });
    assert!(
        matches!(proof, Ok(true)),
        "the database at {} does not write its log ahead ({proof:?}): refusing to acknowledge anything with it",
        database.path.display()
    );
}
