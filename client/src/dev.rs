//! How the command line finds the throw-away cluster of `paceline dev`, and what it asks of it.
//!
//! `dev` writes a runtime file; any other terminal of the same user reads it. A file that somebody else owns is not
//! believed: on a shared machine `/tmp` is everybody's.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A runtime file is small; anything larger is another file.
const RUNTIME_BYTES_MAX: u64 = 1 << 20;

/// A throw-away cluster that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// The API of each node, like `http://127.0.0.1:7400`.
    pub servers: Vec<String>,
    /// By name.
    pub nodes: BTreeMap<String, RuntimeNode>,
    /// The Unix socket on which `dev` takes [`Ask`]s.
    pub control: PathBuf,
    /// The process id of `dev`.
    pub pid: u32,
    /// The folder that holds everything.
    pub folder: PathBuf,
}

/// One node of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeNode {
    /// Its data: every process of the node has it in its environment as `PACELINE_NODE_ROOT`.
    pub data_dir: PathBuf,
    /// Its node file.
    pub config: PathBuf,
    /// Where its API is.
    pub api: String,
    /// Where its peers reach it.
    pub peer: String,
}

/// What `dev` is asked to do: one JSON object a line, answered by one [`Told`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Ask {
    /// SIGKILL to every process of a node at once.
    KillNode {
        /// Which.
        node: String,
    },
    /// Starts a node that was killed.
    StartNode {
        /// Which.
        node: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whether it was done.
    pub ok: bool,
    /// In words.
    pub detail: String,
    /// Wall time in milliseconds since 1970 just before it was done.
    pub wall_ms: u64,
    /// How many processes were killed.
    #[serde(default)]
    pub killed: usize,
}

/// Why the runtime file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// There is none.
    #[error("no throw-away cluster runs here: start one with `paceline dev`")]
    None,
    /// It belongs to another user.
    #[error("{} belongs to another user: remove it, or set XDG_RUNTIME_DIR to a folder of your own", .0.display())]
    Foreign(PathBuf),
    /// It can't be read or written.
    #[error("{}", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no runtime file.
    #[error("{} is not a runtime file of this version: remove it", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Where the runtime file of this user is: in `XDG_RUNTIME_DIR`, else in `/tmp`.
#[must_use]
pub fn runtime_path() -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    folder.join(format!("paceline-dev-{}.json", user_id()))
}

impl Runtime {
    /// The cluster that runs now.
    ///
    /// # Errors
    /// [`RuntimeError::None`] where there is no file, or its `dev` is gone.
    pub fn load() -> Result<Self, RuntimeError> {
        let runtime = Self::read(&runtime_path())?;
        if runtime.is_alive() {
            Ok(runtime)
        } else {
            Err(RuntimeError::None)
        }
    }

    /// Reads a runtime file, whether or not its `dev` is alive.
    ///
    /// # Errors
    /// [`RuntimeError`].
    pub fn read(path: &Path) -> Result<Self, RuntimeError> {
        let io = |source| RuntimeError::Io {
            file: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(RuntimeError::None),
            Err(error) => return Err(io(error)),
        };
        if file.metadata().map_err(io)?.uid() != user_id() {
            return Err(RuntimeError::Foreign(path.to_owned()));
        }
        let mut text = String::new();
        file.take(RUNTIME_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
        serde_json::from_str(&text).map_err(|source| RuntimeError::Content {
            file: path.to_owned(),
            source,
        })
    }

    /// Writes the runtime file, which must not be there yet.
    ///
    /// # Errors
    /// [`RuntimeError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), RuntimeError> {
        let io = |source| RuntimeError::Io {
            file: path.to_owned(),
            source,
        };
        let text = serde_json::to_vec_pretty(self).map_err(|source| RuntimeError::Content {
            file: path.to_owned(),
            source,
        })?;
        // Written aside and renamed, so that a reader sees all of it or nothing.
        let aside = path.with_extension(format!("{}.new", self.pid));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .map_err(io)?;
        file.write_all(&text).map_err(io)?;
        std::fs::rename(&aside, path).map_err(io)
    }

    /// Whether the process that wrote it still runs `dev`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        std::fs::read(format!("/proc/{}/cmdline", self.pid))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"dev"))
    }
}

/// The user that this process runs as.
fn user_id() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |metadata| metadata.uid())
}
