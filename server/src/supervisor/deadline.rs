//! The kernel timer that kills this very process.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

/// `timer_create(CLOCK_BOOTTIME)` with SIGKILL on itself. It fires in the kernel, whether this process runs, is stopped,
/// or gets no processor; a deadline that is already past fires at once.
pub struct Deadline {
    timer: Timer,
    armed_ns: u64,
}

impl Deadline {
    /// Makes the timer, not armed. To be called after the last exec: timers do not survive one.
    ///
    /// # Errors
    /// Where the kernel has no such timer; the package must then not be started.
    pub fn new() -> Result<Self, Errno> {
        let event = SigEvent::new(SigevNotify::SigevSignal {
            signal: Signal::SIGKILL,
            si_value: 0,
        });
        Ok(Self {
            timer: Timer::new(ClockId::CLOCK_BOOTTIME, event)?,
            armed_ns: 0,
        })
    }

    /// Arms it for an absolute time. An earlier time than the armed one is ignored: leases only grow.
    ///
    /// # Errors
    /// Where the kernel refuses; the former time then stays armed.
    pub fn arm(&mut self, deadline_ns: u64) -> Result<(), Errno> {
        if deadline_ns <= self.armed_ns {
            return Ok(());
        }
        let at = Duration::from_nanos(deadline_ns.max(1));
        self.timer
            .set(Expiration::OneShot(at.into()), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        self.armed_ns = deadline_ns;
        Ok(())
    }

    /// When it fires; 0: not armed.
    #[must_use]
    pub const fn armed_ns(&self) -> u64 {
        self.armed_ns
    }
}
