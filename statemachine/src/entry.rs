//! What `apply` consumes.

use crate::command::Command;
use crate::id::{Index, Term};
use crate::log::v1::RequestId;
use crate::time::Timestamp;

/// One committed command, with all that deciding may depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the order: always [`State::applied`](crate::state::State) plus one.
    pub index: Index,
    /// The Raft term of the log entry that carried it.
    pub term: Term,
    /// Cluster time, stamped by the leader.
    pub at: Timestamp,
    /// The leader's wall clock in milliseconds since 1970, for people only: nothing is decided by it.
    pub wall_ms: u64,
    /// The idempotency key it was proposed with.
    pub request: Option<RequestId>,
    /// What to do.
    pub command: Command,
}
