//! The node's measured load: when the manager is told of it. At a threshold's crossing that lasts, and again while it
//! stays above the upper one; never as a stream. Pure.

use std::collections::BTreeMap;

use client::wire::daemon::Thresholds;

use super::Daemon;
use crate::supervisor::clock::ms;

/// A crossing counts once so many measurements in a row say so: a peak is no load.
const MEASUREMENTS_MIN: u32 = 3;
/// While the node stays overloaded the manager is told again after this: what it stopped needs time to end.
const AGAIN_MS: u64 = 5_000;

type Amounts = BTreeMap<String, u64>;

/// What is known of the load.
#[derive(Debug)]
pub(in crate::daemon) struct Measuring {
    thresholds: Option<Thresholds>,
    /// Measurements in a row at or above the upper threshold.
    above: u32,
    /// Measurements in a row below the lower one.
    below: u32,
    /// The manager was told that it is overloaded, and when last.
    told_ns: Option<u64>,
    /// An earlier daemon of this session may have told it so: it is told once that it is not.
    in_doubt: bool,
}

impl Default for Measuring {
    fn default() -> Self {
        Self {
            thresholds: None,
            above: 0,
            below: 0,
            told_ns: None,
            in_doubt: true,
        }
    }
}

impl Measuring {
    /// A new session knows nothing of it.
    pub(in crate::daemon) fn forget_told(&mut self) {
        self.told_ns = None;
        self.in_doubt = false;
    }

    /// Takes a measurement; gives whether the manager is to know of it.
    fn take(&mut self, load: &Amounts, capacity: &Amounts, now_ns: u64) -> bool {
        let Some(Thresholds { overload, resume }) = self.thresholds else {
            return false;
        };
        let reaches = |per_cent: u32| {
            load.iter().any(|(name, amount)| {
                let capacity = capacity.get(name).copied().filter(|capacity| *capacity > 0);
                capacity
                    .is_some_and(|capacity| u128::from(*amount) * 100 >= u128::from(capacity) * u128::from(per_cent))
            })
        };
        let (above, below) = (reaches(overload), !reaches(resume));
        self.above = if above { self.above.saturating_add(1) } else { 0 };
        self.below = if below { self.below.saturating_add(1) } else { 0 };
        let due = self
            .told_ns
            .is_none_or(|told| now_ns >= told.saturating_add(ms(AGAIN_MS)));
        if self.above >= MEASUREMENTS_MIN && due {
            self.told_ns = Some(now_ns);
            return true;
        }
        if self.below < MEASUREMENTS_MIN {
            return false;
        }
        let was_told = self.told_ns.take().is_some();
        core::mem::take(&mut self.in_doubt) || was_told
    }
}

impl Daemon {
    /// The cluster's thresholds.
    pub(in crate::daemon) fn take_thresholds(&mut self, thresholds: Option<Thresholds>) {
        self.measuring.thresholds = thresholds.or(self.measuring.thresholds);
    }

    /// Takes a measurement.
    pub(in crate::daemon) fn measured(&mut self, load: Amounts, now_ns: u64) {
        if self.measuring.take(&load, &self.facts.capacity, now_ns) {
            self.reports.push_load(load);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(amount: u64) -> Amounts {
        BTreeMap::from([("cpu".to_owned(), amount)])
    }

    #[test]
    fn a_load_is_told_at_its_crossings() {
        let mut measuring = Measuring::default();
        let capacity = cpu(1_000);
        assert!(
            (0..5).all(|_| !measuring.take(&cpu(5_000), &capacity, 0)),
            "nobody said what is too much"
        );
        measuring = Measuring {
            thresholds: Some(Thresholds {
                overload: 100,
                resume: 85,
            }),
            in_doubt: false,
            ..Measuring::default()
        };
        let mut told = |amounts: &[u64], now_ms: u64| -> Vec<bool> {
            let take = |amount: &u64| measuring.take(&cpu(*amount), &capacity, ms(now_ms));
            amounts.iter().map(take).collect()
        };
        assert_eq!(told(&[1_000, 1_000, 0], 0), [false; 3], "a peak is no load");
        assert_eq!(told(&[1_000, 1_000, 1_000, 1_000], 1), [false, false, true, false]);
        assert_eq!(told(&[1_000, 1_000], 5_000), [false, false], "no stream");
        assert_eq!(told(&[1_001, 1_001], 5_001), [true, false], "it stays so");
        assert_eq!(
            told(&[900; 5], 5_002),
            [false; 5],
            "between the thresholds nothing is new"
        );
        assert_eq!(told(&[849; 5], 5_003), [false, false, true, false, false]);
        assert_eq!(told(&[1_000; 3], 5_004), [false, false, true]);
    }

    #[test]
    fn a_daemon_that_continues_a_session_says_that_it_is_not_overloaded() {
        let mut measuring = Measuring {
            thresholds: Some(Thresholds {
                overload: 100,
                resume: 85,
            }),
            ..Measuring::default()
        };
        let told: Vec<bool> = (0..5).map(|_| measuring.take(&cpu(1), &cpu(1_000), 0)).collect();
        assert_eq!(
            told,
            [false, false, true, false, false],
            "an earlier daemon may have said that it is"
        );
        measuring.forget_told();
        assert!(
            (0..5).all(|_| !measuring.take(&cpu(1), &cpu(1_000), 0)),
            "a new session knows nothing"
        );
    }

    #[test]
    fn of_what_a_node_does_not_have_nothing_is_too_much() {
        let thresholds = Some(Thresholds { overload: 1, resume: 1 });
        let mut measuring = Measuring {
            thresholds,
            in_doubt: false,
            ..Measuring::default()
        };
        let capacity = BTreeMap::from([("cpu".to_owned(), 0)]);
        assert!((0..5).all(|_| !measuring.take(&cpu(u64::MAX), &capacity, 0)));
    }
}
