//! The simulation's own random numbers: everything that a seed decides is drawn from here.

use std::time::Duration;

use crate::splitmix::SplitMix64;

/// Good enough to choose faults, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(SplitMix64);

impl Random {
    /// Of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    #[allow(
        clippy::should_implement_trait,
        reason = "it never ends, and nothing iterates over it"
    )]
    pub fn next(&mut self) -> u64 {
        self.0.draw()
    }

    /// A number from `low` to `high`, both of which may come.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// An index of something with `length` parts.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length.max(1) as u64).unwrap_or(0)
    }

    /// True in so many of ten thousand cases.
    pub fn chance(&mut self, of_ten_thousand: u64) -> bool {
        self.next() % 10_000 < of_ten_thousand
    }

    /// A length of time between two.
    pub fn time(&mut self, low: Duration, high: Duration) -> Duration {
        let nanos = |length: Duration| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.between(nanos(low), nanos(high)))
    }
}
