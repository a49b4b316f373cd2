//! Who this server is, kept twice: readable in `identity.json`, and beside the log in the database.
//!
//! The pair tells a restart from a wiped disk: a server that finds its name but not its log must not vote, because it
//! no longer knows what it has promised. It leaves and joins anew as another member.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::backend::{Backend, Batch, Family};
use super::keys::META_IDENTITY;
use super::writer::{Durability, Writer};

/// The one format of the identity that this version knows.
const FORMAT: u32 = 1;
const FILE: &str = "identity.json";

/// How far this server has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It asks to be let in; the nonce makes asking twice count once.
    Joining {
        /// Random, drawn once for this data directory.
        nonce: String,
    },
    /// It creates the cluster, and is done once that is in the log.
    Bootstrapping,
    /// It is a member.
    Member,
}

impl Phase {
    fn rank(&self) -> u8 {
        match self {
            Self::Joining { .. } => 0,
            Self::Bootstrapping => 1,
            Self::Member => 2,
        }
    }
}

/// Who this server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Version of this record.
    pub format: u32,
    /// The node's name.
    pub name: String,
    /// Which cluster; empty while joining.
    pub cluster_id: String,
    /// Which member of the Raft group; 0 while joining.
    pub member: u64,
    /// How far it has come.
    pub phase: Phase,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It belongs to another node.
    #[error(
        "{path} belongs to the node {found:?}, this node is {expected:?}: nothing was changed; use a data_dir of its own"
    )]
    Name {
        /// Where.
        path: PathBuf,
        /// The name in it.
        found: String,
        /// The name of this node.
        expected: String,
    },
    /// The identity is there, the log is not.
    #[error(
        "{path} says that this is member {member} of cluster {cluster}, but its log is gone: a server without its log must not \
         vote. Remove it (`paceline members remove {name}`), delete {path}, and let it join anew"
    )]
    LogMissing {
        /// Where.
        path: PathBuf,
        /// Which member it was.
        member: u64,
        /// Of which cluster.
        cluster: String,
        /// Its name.
        name: String,
    },
    /// There is a log that belongs to nobody, or to somebody else than the file says.
    #[error("{path} does not fit together: identity.json says {file}, the log says {log}; nothing was changed")]
    Mixed {
        /// Where.
        path: PathBuf,
        /// What the file says.
        file: String,
        /// What the database says.
        log: String,
    },
    /// Something else lies there.
    #[error(
        "{path} holds something that is not paceline's (found {found}); nothing was changed; point data_dir at another place"
    )]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What lies there.
        found: String,
    },
    /// It can't be read as an identity.
    #[error("{path} can't be understood ({reason}); nothing was changed")]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The disk refuses.
    #[error("{path} can't be read or written")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Identity {
    /// A server that has not been let in yet.
    #[must_use]
    pub fn joining(name: &str, nonce: String) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            cluster_id: String::new(),
            member: 0,
            phase: Phase::Joining { nonce },
        }
    }

    /// The first server of a new cluster.
    #[must_use]
    pub fn bootstrapping(name: &str, cluster_id: String) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            cluster_id,
            member: 1,
            phase: Phase::Bootstrapping,
        }
    }

    /// The same server once it is a member.
    #[must_use]
    pub fn into_member(self, cluster_id: String, member: u64) -> Self {
        Self {
            cluster_id,
            member,
            phase: Phase::Member,
            ..self
        }
    }

    /// Refuses a directory that has content and is not ours, before anything is written to it.
    ///
    /// # Errors
    /// [`IdentityError::Foreign`] with what was found.
    pub fn check_directory(directory: &Path) -> Result<(), IdentityError> {
        let io = |source| IdentityError::Io {
            path: directory.to_owned(),
            source,
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io(error)),
        };
        for entry in entries {
            let name = entry.map_err(io)?.file_name();
            let name = name.to_string_lossy();
            if !matches!(name.as_ref(), "db" | "snapshots" | FILE) && !name.starts_with("identity.") {
                return Err(IdentityError::Foreign {
                    path: directory.to_owned(),
                    found: name.into_owned(),
                });
            }
        }
        Ok(())
    }

    /// Refuses another node's directory before its database is opened: opening one already writes to it.
    ///
    /// # Errors
    /// [`IdentityError::Name`], or why the file can't be read.
    pub fn check_owner(directory: &Path, name: &str) -> Result<(), IdentityError> {
        let path = directory.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let found = parse(&path, &bytes)?.name;
                if found == name {
                    return Ok(());
                }
                Err(IdentityError::Name {
                    path: directory.to_owned(),
                    found,
                    expected: name.to_owned(),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(IdentityError::Io { path, source }),
        }
    }

    /// Reads both copies and decides what this directory is; none for an empty one.
    ///
    /// # Errors
    /// [`IdentityError`] says what does not fit.
    pub fn load(directory: &Path, backend: &dyn Backend, name: &str) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(FILE);
        let io = |source| IdentityError::Io {
            path: path.clone(),
            source,
        };
        let file = match fs::read(&path) {
            Ok(bytes) => Some(parse(&path, &bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        let log = match backend.get(Family::Meta, META_IDENTITY).map_err(io)? {
            Some(bytes) => Some(parse(&path, &bytes)?),
            None => None,
        };
        let found = match (file, log) {
            (None, None) => {
                let mut used = false;
                backend
                    .scan(Family::Log, &[], &mut |_, _| {
                        used = true;
                        false
                    })
                    .map_err(io)?;
                if used {
                    return Err(mixed(directory, "nothing", "entries of an unknown server"));
                }
                return Ok(None);
            }
            (Some(file), None) if file.phase.rank() == 0 => file,
            (Some(file), None) => {
                return Err(IdentityError::LogMissing {
                    path: directory.to_owned(),
                    member: file.member,
                    cluster: file.cluster_id,
                    name: file.name,
                });
            }
            (None, Some(log)) => log,
            // The database is written first, so the file may be one step behind.
            (Some(file), Some(log))
                if file == log || (file.name == log.name && file.phase.rank() < log.phase.rank()) =>
            {
                log
            }
            (Some(file), Some(log)) => return Err(mixed(directory, &file.describe(), &log.describe())),
        };
        if found.name != name {
            return Err(IdentityError::Name {
                path: directory.to_owned(),
                found: found.name,
                expected: name.to_owned(),
            });
        }
        Ok(Some(found))
    }

    /// Writes the database's copy, which comes first, and returns once it is on disk.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub async fn save_in_log(&self, directory: &Path, writer: &Writer) -> Result<(), IdentityError> {
        let io = |source| IdentityError::Io {
            path: directory.join("db"),
            source,
        };
        let mut batch = Batch::default();
        batch.put(Family::Meta, META_IDENTITY, self.text().map_err(io)?);
        writer.written(batch, Durability::Now).await.map_err(io)
    }

    /// Writes the readable copy and returns once it is on disk.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn save_in_file(&self, directory: &Path) -> Result<(), IdentityError> {
        let path = directory.join(FILE);
        let written = self.text().and_then(|text| write_whole(&path, &text));
        written.map_err(|source| IdentityError::Io { path, source })
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(io::Error::other)
    }

    fn describe(&self) -> String {
        format!(
            "member {} ({}) of cluster {:?}",
            self.member, self.name, self.cluster_id
        )
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Identity, IdentityError> {
    let unreadable = |reason: String| IdentityError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let identity: Identity = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    if identity.format != FORMAT {
        return Err(unreadable(format!(
            "it has format {}, this version of paceline reads format {FORMAT}",
            identity.format
        )));
    }
    Ok(identity)
}

fn mixed(directory: &Path, file: &str, log: &str) -> IdentityError {
    IdentityError::Mixed {
        path: directory.to_owned(),
        file: file.to_owned(),
        log: log.to_owned(),
    }
}

/// Writes a file so that after a crash there is the old one or the new one: beside it, synced, renamed, directory synced.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}
