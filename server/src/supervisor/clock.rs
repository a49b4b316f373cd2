//! The one clock of leases: CLOCK_BOOTTIME, which counts on through a suspend and is never stepped.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds on CLOCK_BOOTTIME: the same clock for daemon, supervisor and kernel timer of one machine.
#[must_use]
pub fn boottime_ns() -> u64 {
    // A kernel that supports namespaces has this clock; a zero would only make every deadline look far away to the
    // daemon, never to the kernel timer, which compares by itself.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        u64::try_from(time.tv_sec())
            .unwrap_or(0)
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::try_from(time.tv_nsec()).unwrap_or(0))
    })
}

/// Milliseconds as nanoseconds.
#[must_use]
pub const fn ms(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}
