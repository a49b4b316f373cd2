//! The clock of one computer: runs at a rate of its own against true time, which nobody in the cluster knows.

/// Parts per million of the true rate.
const TRUE_RATE: u64 = 1_000_000;
/// Beyond this much ahead a time is never reached in any run.
const FAR_NS: u64 = 10_000_000_000_000;

/// CLOCK_BOOTTIME of one computer, a straight line until its rate changes.
#[derive(Clone, Debug)]
pub struct Clock {
    true_ns: u64,
    local_ns: u64,
    rate: u64,
}

impl Clock {
    /// A clock that shows `local_ns` at `true_ns`.
    #[must_use]
    pub fn new(true_ns: u64, local_ns: u64, rate: u64) -> Self {
        Self {
            true_ns,
            local_ns,
            rate,
        }
    }

    /// What it shows.
    #[must_use]
    pub fn local(&self, true_ns: u64) -> u64 {
        self.local_ns + (true_ns.saturating_sub(self.true_ns)) * self.rate / TRUE_RATE
    }

    /// The first true time at which it shows at least this, at its present rate.
    #[must_use]
    pub fn when(&self, local_ns: u64) -> u64 {
        let ahead = local_ns.saturating_sub(self.local_ns);
        if ahead > FAR_NS {
            return u64::MAX;
        }
        self.true_ns + (ahead * TRUE_RATE).div_ceil(self.rate)
    }

    /// Goes on from what it shows now at another rate.
    pub fn set_rate(&mut self, true_ns: u64, rate: u64) {
        self.local_ns = self.local(true_ns);
        self.true_ns = true_ns;
        self.rate = rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_early_and_never_back() {
        let mut clock = Clock::new(1_000, 5_000_000_000, 900_000);
        for local in [5_000_000_001, 5_000_000_999, 6_000_000_000] {
            let when = clock.when(local);
            assert!(clock.local(when) >= local && clock.local(when - 1) < local);
        }
        let before = clock.local(7_777_777);
        clock.set_rate(7_777_777, 1_100_000);
        assert_eq!(clock.local(7_777_777), before);
        assert_eq!(clock.when(0), 7_777_777);
    }
}
