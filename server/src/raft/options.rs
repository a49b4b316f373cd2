//! What a server is started with, and why it may not start.

use std::path::PathBuf;

use crate::storage::{FatalAction, IdentityError, OpenError, Retention, SnapshotFileError};
use crate::timers::{LEASE_DEFAULT, TimerError, Timers};

/// Log entries between two snapshots, where the node file does not say.
pub const SNAPSHOT_ENTRIES: u64 = 20_000;
/// This part of the entries between two snapshots is kept behind one, for followers that were away for a while.
const KEPT_PART: u64 = 4;

/// What a server needs to know of itself.
#[derive(Clone, Debug)]
pub struct RaftOptions {
    /// Where everything is kept; the servers' part is in `server/`.
    pub data_dir: PathBuf,
    /// The node's name.
    pub name: String,
    /// Where peers reach this server, tried in turn.
    pub peer: Vec<String>,
    /// Where its API is.
    pub api: String,
    /// Members to ask for admission; empty only where the cluster is first bootstrapped.
    pub join: Vec<String>,
    /// It only votes and stores: it runs no package, and gives the lead away.
    pub witness: bool,
}

/// What tests and simulations set freely; a server takes [`RaftTuning::usual`].
#[derive(Clone, Copy, Debug)]
pub struct RaftTuning {
    /// Raft's timers.
    pub timers: Timers,
    /// What stopping for good means.
    pub on_fatal: FatalAction,
    /// A snapshot is made after so many log entries: a restart replays no more than these.
    pub snapshot_entries: u64,
    /// So many entries are kept behind a snapshot.
    pub kept_entries: u64,
    /// How much of the journal is kept.
    pub journal: Retention,
}

impl RaftTuning {
    /// The timers of the default lease.
    ///
    /// # Errors
    /// Never with the default lease; the type is that of [`Timers::derive`].
    pub fn usual() -> Result<Self, TimerError> {
        Ok(Self {
            timers: Timers::derive(LEASE_DEFAULT)?,
            on_fatal: FatalAction::Exit,
            snapshot_entries: SNAPSHOT_ENTRIES,
            kept_entries: SNAPSHOT_ENTRIES / KEPT_PART,
            journal: Retention::default(),
        })
    }

    /// The same with another part of the journal kept.
    #[must_use]
    pub fn with_journal(self, journal: Retention) -> Self {
        Self { journal, ..self }
    }

    /// The same with a snapshot after so many entries, of which a part is kept behind it.
    #[must_use]
    pub fn with_snapshot_every(self, entries: u64) -> Self {
        Self {
            snapshot_entries: entries,
            kept_entries: entries / KEPT_PART,
            ..self
        }
    }
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory belongs to somebody else or is incomplete.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database refuses.
    #[error("{error}{}", source_text(error))]
    Database {
        /// What it says.
        #[from]
        error: OpenError,
    },
    /// The snapshots refuse.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// The log can't be read.
    #[error("the log in {path} can't be used: {source}")]
    Log {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Raft does not start on what is stored.
    #[error("Raft does not start on what is stored: {0}")]
    Raft(String),
    /// The timers break an inequality.
    #[error(transparent)]
    Timers(#[from] TimerError),
    /// The cluster does not let this server in.
    #[error("the cluster does not let {name} in: {reason}")]
    Refused {
        /// The node's name.
        name: String,
        /// In its words.
        reason: String,
    },
    /// The options don't fit together.
    #[error("{0}")]
    Options(String),
}

fn source_text(error: &OpenError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}

impl StartError {
    /// Whether another try with the same files and the same node file must end the same way.
    ///
    /// A full disk, a cluster that does not let this server in yet, and a store that an operator is to replace while the
    /// packages of this node run on are tried again; a directory that is somebody else's is not.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Identity(error) => !matches!(error, IdentityError::Io { .. }),
            Self::Database { error } => matches!(error, OpenError::Foreign { .. }),
            Self::Timers(_) | Self::Options(_) => true,
            Self::Snapshot(_) | Self::Log { .. } | Self::Raft(_) | Self::Refused { .. } => false,
        }
    }
}
