//! Whole clusters under virtual time, by a seed: the fast tier.
//!
//! The code that decides is the product's own: `statemachine::apply` on every server, the daemon's core and lease, the
//! leader's table of leases, the timers, and the conversions between the protocol and the core. Simulated are what it
//! stands on: clocks that run wrong, a network that loses, doubles and reorders, disks that forget what was not synced,
//! kernels with processes and their deadlines, and a small model of Raft. One thread and one queue of events, so that a
//! seed is one story, for ever.
//!
//! A run breaks things for a while and checks the invariants of `docs/SAFETY.md` at every step; then everything is mended,
//! and the cluster must become well and stay so.

mod breaking;
pub mod check;
mod client;
pub mod clock;
pub mod consensus;
pub mod disk;
pub mod fault;
mod health;
mod host;
mod message;
mod network;
pub mod planted;
mod program;
pub mod random;
pub mod report;
mod server;
pub mod shrink;
mod supervisor;
mod witness;
mod world;

use std::collections::BTreeMap;

pub use check::Violation;
pub use fault::Plan;
pub use planted::Planted;
use world::World;

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The first invariant that was broken.
    pub violation: Option<Violation>,
    /// A hash of all that happened.
    pub hash: u64,
    /// True time that passed.
    pub simulated_ns: u64,
    /// From the end of the faults until all was well.
    pub healed_ns: Option<u64>,
    /// Events.
    pub events: u64,
    /// Commands in the log.
    pub commands: u64,
    /// Commands whose outcome clients were told.
    pub acknowledged: u64,
    /// Elections that were won.
    pub leader_changes: u64,
    /// Standbys that were promoted.
    pub failovers: u64,
    /// Sessions that were lost.
    pub sessions_lost: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The last lines of the trace, where one was kept.
    pub trace: Vec<String>,
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, planted: Option<Planted>) -> Outcome {
    run_plan(Plan::draw(seed), planted, false)
}

/// Runs a plan.
#[must_use]
pub fn run_plan(plan: Plan, planted: Option<Planted>, tracing: bool) -> Outcome {
    let seed = plan.seed;
    let mut world = World::new(seed, plan, planted, tracing);
    world.run();
    let healed = world.health.well.as_ref().zip(world.health.since_ns);
    Outcome {
        seed,
        hash: world.hash,
        simulated_ns: world.now,
        healed_ns: healed.map(|(well, since)| well.since_ns - since),
        events: world.events,
        commands: world.checks.state.applied().0,
        acknowledged: world.acknowledged,
        leader_changes: world.leader_changes,
        failovers: world.checks.failovers,
        sessions_lost: world.checks.lost,
        faults: world.faults,
        trace: world.trace.into(),
        violation: world.checks.violation,
    }
}
