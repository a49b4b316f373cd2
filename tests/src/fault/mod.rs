//! Faults that need more than a signal: of disks, of fsync, and of the wall clock.

pub mod damage;
mod loop_disk;
mod shim;
mod small_disk;
mod throttle;

use std::io::Write;

pub use loop_disk::{LoopDisk, sweep};
pub use shim::{Shim, Sync};
pub use small_disk::SmallDisk;
pub use throttle::Throttle;

/// Says that a part of a test was left out, and why, also where the test's other words are captured: what was not
/// tested must be seen.
pub fn skipped(what: &str, why: &str) {
    // The test harness captures the print macros only.
    let _ = writeln!(std::io::stderr(), "skipped: {what}: {why}");
}
