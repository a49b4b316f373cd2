//! Raft: commands into one order on all servers, and back out as the applied state.
//!
//! Everything of openraft stays in this folder; others hold a [`RaftNode`]. A proposal goes `propose` (gathered,
//! stamped, or forwarded) -> openraft -> `log_store` (disk) and `network` (followers) -> `machine` (applied) -> its
//! answer. A read that claims to be current waits for a quorum round in `read`. All of it runs on one thread, that of
//! the runtime on which [`RaftNode::open`] is called; the handle may be used from any other.

mod answer;
mod backfill;
mod clock;
mod codec;
mod core;
mod environment;
mod join;
mod leadership;
mod log_store;
mod machine;
mod member;
pub mod messages;
mod network;
mod node;
mod options;
mod propose;
mod read;
mod relinquish;
mod retime;
mod routes;
mod timer;
mod transport;
mod type_config;

pub use answer::{Answer, Fact, ProposeError, ReadError, Refusal};
pub use clock::{BootTime, ClusterClock, wall_ms};
pub use codec::{CodecError, commands};
pub use environment::{BlockingThreads, Environment, Work, Workers};
pub use leadership::Leadership;
pub use member::MemberError;
pub use node::{RaftNode, RaftStatus};
pub use options::{RaftOptions, RaftTuning, SNAPSHOT_ENTRIES, StartError};
pub use transport::{CallError, HEADER_CLUSTER, HEADER_MEMBER, HEADER_VOTE, Lane, PeerTransport, Target};

#[cfg(test)]
mod tests;
