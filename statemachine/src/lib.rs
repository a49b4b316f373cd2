//! What paceline's manager knows and decides.
//!
//! The whole manager is one function, [`apply()`]: it takes the replicated [`State`] and one committed [`Entry`], and
//! returns what came of it. Every server applies the same entries in the same order and so holds the same state.
//!
//! ```text
//! daemon or person -> proposal -> Raft log -> Entry { index, at, command }
//!     apply(&mut State, &Entry):
//!         1  was this request applied before? then its first answer   (apply/mod.rs, requests.rs)
//!         2  check everything the command claims                      (apply/*.rs, one family of commands a file)
//!         3  change the facts: nodes, sessions, definitions, what was observed
//!         4  plan: who runs where, in which mode, under which epoch   (plan/)
//!         5  give every touched node's desired set its next generation
//!     -> Applied { outcome, events, effects }
//! a daemon reads its node's desired set, executes it or refuses, and observes again
//! ```
//!
//! **Invariants.** No I/O, no clock, no randomness, no floats, no threads, no logging; nothing in here panics on any
//! entry that decodes; every choice ends in a total order. Names stand at the edge only: inside, nodes, packages and
//! groups are dense numbers into copy-on-write tables, so that a clone of the state costs a few pointers.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::string_slice,
        clippy::wildcard_enum_match_arm,
        missing_docs
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod apply;
pub mod cluster;
pub mod command;
pub mod desired;
pub mod digest;
mod draft;
pub mod effect;
pub mod entry;
pub mod event;
pub mod explain;
pub mod group;
pub mod id;
pub mod invariant;
pub mod load;
pub mod log;
mod nearest;
pub mod node;
mod occupants;
pub mod outcome;
pub mod package;
mod plan;
pub mod preview;
pub mod reason;
pub mod reload;
mod requests;
pub mod resource;
mod room;
pub mod rules;
pub mod snapshot;
pub mod state;
mod store;
mod subject;
pub mod time;
mod waiting;
mod yielding;

pub use apply::{apply, check_rules};
pub use desired::{DesiredInstance, DesiredReload, DesiredSet, desired, shares};
pub use digest::{Digest, digest};
pub use effect::Effect;
pub use entry::Entry;
pub use event::{Event, EventId, EventKind, Severity};
pub use explain::{Explanation, NodeVerdict, Verdict, explain, held_back_words};
pub use outcome::{Accepted, Applied, Outcome, Rejection};
pub use plan::maintenance::is_maintained_package as is_maintained;
pub use preview::{Action, Preview, Step, Unplaced, loss, preview, preview_loss};
pub use reason::Reason;
pub use state::State;
