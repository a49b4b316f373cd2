//! Copy-on-write containers: a clone costs a few pointers, and a write after it copies only the path to its row.
//!
//! Readers and the snapshot builder hold an old [`State`](crate::State) while `apply` goes on with the new one.

pub(crate) mod queue;
pub(crate) mod shards;
pub(crate) mod table;

pub(crate) use queue::Queue;
pub(crate) use shards::Shards;
pub(crate) use table::Table;
