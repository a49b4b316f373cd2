//! The only function that changes the state.

use alloc::vec::Vec;

use crate::entry::Entry;
use crate::outcome::{Applied, Rejection};
use crate::state::State;

/// Applies one committed entry.
pub fn apply(state: &mut State, entry: &Entry) -> Applied {
    state.settle();
    Applied { index: entry.index, outcome: Err(Rejection::NoCluster), events: Vec::new(), effects: Vec::new() }
}
