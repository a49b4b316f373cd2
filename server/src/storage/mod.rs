//! What a server keeps on disk: the Raft log with its vote, the event journal, snapshots, and who it is.
//!
//! Log, vote, markers and journal live in one RocksDB with one write-ahead log, and **everything is written by one
//! thread** (`writer`): it drains its queue, writes one batch, calls `flush_wal(true)` once, and only then completes
//! the callbacks of all that it drained. So a vote and an append keep their order, and one fsync serves many.
//! Snapshots are files beside it. Nothing in here knows openraft's types: `raft/log_store.rs` adapts.
//!
//! **Invariant.** No callback runs before what it stands for is on disk, and after the first failed write or fsync
//! nothing is written any more: the process ends with a reason ([`Fatal`]), because after a failed fsync nobody knows
//! what the disk holds.

mod backend;
mod entry;
mod fatal;
mod identity;
pub mod journal;
mod keys;
mod lease_note;
mod log;
mod pace;
mod snapshot;
mod synced;
mod writer;

pub use backend::{Backend, Batch, Change, Database, Family, OpenError, Visit};
pub use entry::{DecodeError, LogEntry, LogId, Payload, Vote};
pub use fatal::{Fatal, FatalAction};
pub use identity::{Identity, IdentityError, Phase};
pub use journal::{EventFilter, EventPage, EventRecord, Facts, Gap, Journal, Retention, Tail};
pub use lease_note::LeaseNote;
pub use log::{Done, Log};
pub use pace::DiskPace;
pub use snapshot::{SnapshotDirectory, SnapshotFileError, SnapshotHeader, StoredSnapshot};
pub use writer::{Completion, Job, WriteQueue, Writer};
