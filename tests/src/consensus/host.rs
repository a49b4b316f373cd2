//! A machine: a runtime of its own, under clocks of its own. It runs only for as long as something is to be done at the
//! present moment; to drop its runtime is to cut its power.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::virtual_time::{self, Clocks, Idle};

/// A moment of the simulation, in nanoseconds since it began: true time, that no host sees.
pub type Moment = u64;

/// Machines have been up for so long when a simulation begins, each a little longer than the one before.
const UP_BEFORE: Duration = Duration::from_secs(1000);
/// And it begins at this second since 1970.
const WALL_BEGIN: Duration = Duration::from_secs(1_800_000_000);

/// A host's clocks: they run at a rate of their own.
#[derive(Clone, Debug)]
pub struct HostClock {
    /// The clocks at `since`.
    at_since: Clocks,
    since: Moment,
    /// Parts in a million of true time that pass here.
    rate: u64,
}

impl HostClock {
    /// The clocks of the host with this number, right in their rate.
    #[must_use]
    pub fn new(number: usize) -> Self {
        let up = UP_BEFORE * u32::try_from(number + 1).unwrap_or(1);
        let at_since = Clocks {
            monotonic: up,
            boot: up,
            wall: WALL_BEGIN,
        };
        Self {
            at_since,
            since: 0,
            rate: 1_000_000,
        }
    }

    /// What they say at a moment.
    #[must_use]
    pub fn at(&self, now: Moment) -> Clocks {
        let passed = Duration::from_nanos(scaled(now.saturating_sub(self.since), self.rate, 1_000_000));
        Clocks {
            monotonic: self.at_since.monotonic + passed,
            boot: self.at_since.boot + passed,
            wall: self.at_since.wall + passed,
        }
    }

    /// The moment at which so much will have passed here.
    #[must_use]
    pub fn after(&self, now: Moment, length: Duration) -> Moment {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        now.saturating_add(scaled(nanos, 1_000_000, self.rate).saturating_add(1))
    }

    /// From now on so many parts in a million of true time pass here.
    pub fn set_rate(&mut self, now: Moment, rate: u64) {
        self.at_since = self.at(now);
        self.since = now;
        self.rate = rate;
    }

    /// Sets the wall clock forward or back.
    pub fn set_wall(&mut self, now: Moment, seconds: i64) {
        self.at_since = self.at(now);
        self.since = now;
        let by = Duration::from_secs(seconds.unsigned_abs());
        self.at_since.wall = if seconds < 0 {
            self.at_since.wall.saturating_sub(by)
        } else {
            self.at_since.wall + by
        };
    }

    /// The machine was suspended until now: only the boot clock and the wall clock went on.
    pub fn resume(&mut self, suspended: Moment, now: Moment) {
        let monotonic = self.at(suspended).monotonic;
        self.at_since = Clocks {
            monotonic,
            ..self.at(now)
        };
        self.since = now;
    }
}

fn scaled(value: u64, by: u64, over: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(by) / u128::from(over)).unwrap_or(u64::MAX)
}

/// A host that has power.
pub struct Host {
    runtime: Runtime,
}

impl Host {
    /// Powers a host on.
    ///
    /// # Panics
    /// Where the system gives no runtime: nothing could be simulated then.
    #[must_use]
    pub fn start(clock: &HostClock, now: Moment) -> Self {
        virtual_time::set(Some(clock.at(now)));
        let runtime = Builder::new_current_thread().enable_all().build();
        virtual_time::set(None);
        Self {
            runtime: runtime.expect("the system gives no runtime"),
        }
    }

    /// Lets the host do all that is to be done at this moment, beginning with `work`; answers when it wants to go on by
    /// itself.
    pub fn run(&self, clock: &HostClock, now: Moment, work: impl FnOnce()) -> Option<Moment> {
        virtual_time::set(Some(clock.at(now)));
        let mut work = Some(work);
        let mut begun = false;
        let until_idle = poll_fn(|context| {
            if let Some(work) = work.take() {
                work();
            }
            // The first poll comes before anything has run; a later one only once there was nothing to do.
            if begun && let Some(idle) = virtual_time::take_idle() {
                return Poll::Ready(idle);
            }
            begun = true;
            let _ = virtual_time::take_idle();
            virtual_time::wake_when_idle(context.waker());
            Poll::Pending
        });
        let idle = self.runtime.block_on(until_idle);
        virtual_time::set(None);
        match idle {
            Idle::For(length) => Some(clock.after(now, length)),
            Idle::Ever => None,
        }
    }

    /// Cuts the power: nothing that ran here does another step.
    pub fn cut(self, clock: &HostClock, now: Moment) {
        virtual_time::set(Some(clock.at(now)));
        drop(self.runtime);
        virtual_time::set(None);
    }
}
