//! What people write down for the manager to keep or to do: conditions (M6) and rules (M5).
//!
//! Everything in here is a pure function of a text and of a view of the facts. Nothing in here sees the state.

pub mod condition;
