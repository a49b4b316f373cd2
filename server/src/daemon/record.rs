//! The session's record: what a later daemon must know to continue, or to prove that everything is gone.
//!
//! Written as a whole (a new file, then renamed) *before* anything is forked or told. It is not synced: it must survive
//! the death of a process, not of the machine, because with the machine everything that it names is gone too.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use serde::{Deserialize, Serialize};

use crate::supervisor::protocol::ProcessId;

/// The name of the record in the run directory.
const RECORD_FILE: &str = "session.json";
/// The name of the lock in the run directory.
const LOCK_FILE: &str = "daemon.lock";
/// Format of the record.
const FORMAT: u32 = 1;
/// Packages whose highest epoch is kept one by one; of more, the lowest make way for a common floor.
const MARKS_MAX: usize = 16_384;

/// Where this daemon lives: processes of another place can't be seen or killed from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The kernel's boot id.
    pub boot: String,
    /// The process namespace.
    pub pid_namespace: u64,
    /// The control group namespace.
    pub cgroup_namespace: u64,
}

impl Place {
    /// Of the calling process.
    ///
    /// # Errors
    /// Where `/proc` can't be read.
    pub fn here() -> io::Result<Self> {
        Ok(Self {
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            pid_namespace: fs::metadata("/proc/self/ns/pid")?.ino(),
            cgroup_namespace: fs::metadata("/proc/self/ns/cgroup")?.ino(),
        })
    }
}

/// An instance that has or may have processes, or whose end is not yet reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedInstance {
    /// Which package.
    pub package: String,
    /// Its identity towards the manager.
    pub start: u64,
    /// The epoch under which its present process was started: names its directory.
    pub process: u64,
    /// The highest epoch that it was or may have been told.
    pub epoch: u64,
    /// The mode of that epoch.
    pub mode: String,
    /// Whether it is under the lease's deadline.
    pub deadline: bool,
    /// Whether its node is reset once it was stopped because the lease ended.
    #[serde(default)]
    pub reset: bool,
    /// Its supervisor; none until that is known, and until then nothing of the package is forked.
    pub supervisor: Option<ProcessId>,
    /// Its control group.
    pub cgroup: Option<PathBuf>,
}

/// A session: the daemon's stay with the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSession {
    /// Which cluster.
    pub cluster_id: String,
    /// The node's id.
    pub node: u64,
    /// The session's id.
    pub session: u64,
    /// The number of the last report that may have been sent.
    pub reported: u64,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of this shape.
    pub format: u32,
    /// Where its processes are.
    pub place: Place,
    /// The present session.
    pub session: Option<RecordedSession>,
    /// A registration that may have been sent: sent again it registers once.
    pub registering: Option<String>,
    /// Sessions that are proven to be over and not yet named in an accepted registration.
    pub ended: Vec<u64>,
    /// Per package the highest epoch that anything was forked or told for.
    pub marks: BTreeMap<String, u64>,
    /// Epochs up to this one are never used again, whatever the package.
    pub floor: u64,
    /// Instances with or perhaps with processes.
    pub instances: Vec<RecordedInstance>,
}

impl Record {
    /// Of a node that has never run here.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            format: FORMAT,
            place,
            session: None,
            registering: None,
            ended: Vec::new(),
            marks: BTreeMap::new(),
            floor: 0,
            instances: Vec::new(),
        }
    }

    /// Whether nothing was ever forked or told for this package under this epoch or a later one.
    #[must_use]
    pub fn is_fresh(&self, package: &str, epoch: u64) -> bool {
        epoch > self.floor && self.marks.get(package).is_none_or(|mark| epoch > *mark)
    }

    /// Marks an epoch as used.
    pub fn mark(&mut self, package: &str, epoch: u64) {
        let mark = self.marks.entry(package.to_owned()).or_default();
        *mark = epoch.max(*mark);
        while self.marks.len() > MARKS_MAX {
            let lowest = self
                .marks
                .iter()
                .min_by_key(|(_, mark)| **mark)
                .map(|(name, mark)| (name.clone(), *mark));
            let Some((name, mark)) = lowest else { return };
            self.marks.remove(&name);
            self.floor = self.floor.max(mark);
        }
    }

    /// Reads what a file holds; none where it is empty, as after a power cut.
    ///
    /// # Errors
    /// [`RecordError::Foreign`] says what was found.
    pub fn decode(file: &Path, bytes: &[u8]) -> Result<Option<Self>, RecordError> {
        // Written as a whole and renamed, so only a power cut can leave this: what it named is gone with that.
        if bytes.iter().all(|byte| *byte == 0) {
            tracing::warn!(file = %file.display(), "the session record is empty, as after a power cut: starting clean");
            return Ok(None);
        }
        let record: Record = match serde_json::from_slice(bytes) {
            Ok(record) => record,
            Err(error) => {
                return Err(RecordError::Foreign {
                    file: file.to_owned(),
                    problem: error.to_string(),
                });
            }
        };
        if record.format != FORMAT {
            let problem = format!("format {}, expected {FORMAT}", record.format);
            return Err(RecordError::Foreign {
                file: file.to_owned(),
                problem,
            });
        }
        Ok(Some(record))
    }
}

/// Why a record can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Another daemon runs on this directory.
    #[error("another daemon (process {pid}) runs with {}: a node has one", directory.display())]
    Locked {
        /// The run directory.
        directory: PathBuf,
        /// The other daemon.
        pid: i32,
    },
    /// It can't be read or written.
    #[error("can't use {}", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} is not a session record of this version ({problem}): if nothing of this node runs any more, remove it", file.display())]
    Foreign {
        /// Which file.
        file: PathBuf,
        /// What was found.
        problem: String,
    },
}

/// The record's file, locked for this process.
#[derive(Debug)]
pub struct RecordFile {
    directory: PathBuf,
    /// A record lock belongs to the process and not to the descriptor, so no child inherits it. It is lost when *any*
    /// descriptor of the file is closed: nothing else here may open it.
    _lock: fs::File,
}

impl RecordFile {
    /// Locks the run directory, making it where needed.
    ///
    /// # Errors
    /// [`RecordError::Locked`] names the other daemon.
    pub fn lock(directory: &Path) -> Result<Self, RecordError> {
        let file = directory.join(LOCK_FILE);
        let failed = |source| RecordError::Io {
            file: file.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = fs::File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&file)
            .map_err(failed)?;
        let whole = |kind: i32| libc::flock {
            l_type: kind as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        if let Err(errno) = fcntl(&lock, FcntlArg::F_SETLK(&whole(libc::F_WRLCK))) {
            let mut holder = whole(libc::F_WRLCK);
            return match fcntl(&lock, FcntlArg::F_GETLK(&mut holder)) {
                Ok(_) if holder.l_pid > 0 => Err(RecordError::Locked {
                    directory: directory.to_owned(),
                    pid: holder.l_pid,
                }),
                _ => Err(failed(errno.into())),
            };
        }
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// Reads the record of an earlier daemon.
    ///
    /// # Errors
    /// A record that can't be read is refused, never overwritten: it may name processes that still run.
    pub fn read(&self) -> Result<Option<Record>, RecordError> {
        let file = self.directory.join(RECORD_FILE);
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RecordError::Io { file, source }),
        };
        Record::decode(&file, &bytes)
    }

    /// Replaces the record as a whole.
    ///
    /// # Errors
    /// The daemon must then end: what it can't record it may not do.
    pub fn write(&self, record: &Record) -> Result<(), RecordError> {
        let file = self.directory.join(RECORD_FILE);
        let new = self.directory.join("session.json.new");
        serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|bytes| fs::write(&new, bytes))
            .and_then(|()| fs::rename(&new, &file))
            .map_err(|source| RecordError::Io { file, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            boot: "b".to_owned(),
            pid_namespace: 1,
            cgroup_namespace: 2,
        }
    }

    #[test]
    fn an_epoch_is_used_once_per_package() {
        let mut record = Record::new(place());
        assert!(record.is_fresh("a", 5));
        record.mark("a", 5);
        assert!(!record.is_fresh("a", 5));
        assert!(!record.is_fresh("a", 4));
        assert!(record.is_fresh("a", 6));
        assert!(
            record.is_fresh("b", 4),
            "another package of the same desired set may have a lower one"
        );
    }

    #[test]
    fn written_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::lock(directory.path()).unwrap();
        assert_eq!(file.read().unwrap(), None);
        let mut record = Record::new(place());
        record.mark("a", 7);
        file.write(&record).unwrap();
        assert_eq!(file.read().unwrap(), Some(record));
    }

    #[test]
    fn an_empty_record_is_what_a_power_cut_leaves() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::lock(directory.path()).unwrap();
        for left in [&b""[..], &[0; 512]] {
            fs::write(directory.path().join(RECORD_FILE), left).unwrap();
            assert_eq!(file.read().unwrap(), None);
        }
    }

    #[test]
    fn a_foreign_record_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordFile::lock(directory.path()).unwrap();
        fs::write(directory.path().join(RECORD_FILE), "{\"format\":9}").unwrap();
        assert!(matches!(file.read(), Err(RecordError::Foreign { .. })));
        assert_eq!(fs::read(directory.path().join(RECORD_FILE)).unwrap(), b"{\"format\":9}");
    }
}
