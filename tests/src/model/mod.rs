//! A model of the lease and takeover protocol, small enough that *every* order of events is tried.
//!
//! The simulation and the tests with real processes try many histories of the real code; this tries all histories of an
//! abstraction of it. [`state`] is what the abstraction knows, [`action`] what can happen, [`steps`] what follows, and
//! [`rules`] holds one switch for each rule of `docs/SAFETY.md`: with all of them on, no reachable state has two active
//! instances, and with any one of them off, some state has ([`checks`] lists them). What is left out, and what the
//! searches found, is in `docs/MODEL.md`.

pub mod action;
pub mod checks;
pub mod lease_model;
pub mod rules;
pub mod run;
pub mod scope;
pub mod state;
pub mod steps;
