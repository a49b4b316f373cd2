//! Whole clusters with the real openraft, simulated by seed: the slower tier of the simulation.
//!
//! Each server is the product's own: Raft, log store, machine, network codec, routes, batching, reads, membership, leases.
//! Only what lies below is put in its place (`raft::Environment` of the server): the network, the disk with a *written* and a
//! *durable* image, and the threads for slow work. Each server runs on a host with a runtime and clocks of its own
//! ([`virtual_time`], [`host`]), all in one thread, in one queue of events; so power cuts, pauses, suspends and wrong
//! clocks are exact, and the same seed gives the same run to the last byte. `reference` and `watch` hold every
//! server to the invariants of `docs/SAFETY.md` after each of its steps; [`plan::Plant`] lists the faults that are built in
//! on purpose to show that they would be found.
//!
//! It runs only in the command `simulate_raft`, which puts [`virtual_time`] behind the clocks of the process.

pub mod client;
pub mod daemon;
pub mod delivery;
pub mod disk;
pub mod faults;
pub mod host;
pub mod network;
pub mod plan;
pub mod random;
pub mod reference;
pub mod report;
pub mod run;
pub mod server;
pub mod simulation;
pub mod virtual_time;
pub mod watch;

pub use plan::{Plant, Scope, Settings};
pub use report::Report;
pub use run::run;
