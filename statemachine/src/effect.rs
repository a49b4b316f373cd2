//! Hints from `apply` to the runtime: lost in a crash without harm, because what they hint at is in the state.

use crate::id::{Generation, NodeId};

/// Something that somebody may be waiting for has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A node's desired set is newer: wake whoever waits for it.
    NodeGeneration {
        /// Which node.
        node: NodeId,
        /// The version that it has now.
        generation: Generation,
    },
    /// What is defined has changed.
    ConfigChanged,
    /// The servers have changed.
    MembersChanged,
    /// A session began or ended, or a lease has another length: the lease timers look again.
    LeaseChanged,
    /// [`State::next_deadline`](crate::State::next_deadline) has changed: the timer looks again.
    DeadlineChanged,
}
