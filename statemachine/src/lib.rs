//! What paceline's manager knows and decides.
//!
//! The whole manager is one function, [`apply`]: it takes the replicated [`State`] and one committed [`Entry`], and
//! returns what came of it. Every server applies the same entries in the same order and so holds the same state.
//!
//! ```text
//! daemon or person -> proposal -> Raft log -> Entry { index, at, command }
//!     apply(&mut State, &Entry):
//!         1  forget what has expired by entry.at            (apply/mod.rs)
//!         2  check everything the command claims            (apply/{admin,member,observe,tick}.rs)
//!         3  change the facts: nodes, sessions, definitions, what was observed
//!         4  plan: who runs where, in which mode, under which epoch   (plan/)
//!         5  give every touched node's desired set its next generation
//!     -> Applied { outcome, events, effects }
//! a daemon reads its node's desired set, executes it or refuses, and observes again
//! ```
//!
//! **Invariants.** No I/O, no clock, no randomness, no floats, no threads, no logging; nothing in here panics on any
//! entry that decodes; every choice ends in a total order.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod id;
pub mod time;
pub mod command;
pub mod entry;
pub mod log;
