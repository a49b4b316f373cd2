//! Real processes, faults and benches of paceline, and the checks that every run must pass.
//!
//! [`cluster::Cluster`] starts `paceline serve` nodes exactly as an operator would, each in a directory of its own.
//! [`witness`] is what the test program writes down while it runs, [`oracle`] is what clients were told, and
//! [`invariants`] compares both with what the cluster says about itself. A scenario in `tests/scenarios/` is one story:
//! it breaks something, waits for a value with a limit, and ends with [`cluster::Cluster::finish`], which runs all
//! invariants. Where a story fails, the directory with every log stays and its path is printed.

#![allow(
    clippy::too_many_arguments,
    reason = "as in the other crates: a struct for one call says no more"
)]

pub mod bench;
pub mod cluster;
pub mod command_line;
pub mod consensus;
pub mod fault;
pub mod fuzz;
pub mod history;
pub mod http;
pub mod invariants;
pub mod linearizability;
pub mod metronome;
pub mod model;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod oracle;
pub mod processes;
pub mod resource;
pub mod simulation;
pub mod splitmix;
pub mod subscriber;
pub mod wait;
pub mod witness;
