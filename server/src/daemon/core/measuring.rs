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

/// What is known of the load.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Measuring {
    thresholds: Option<Thresholds>,
    /// Measurements in a row at or above the upper threshold.
    above: u32,
    /// Measurements in a row below the lower one.
    below: u32,
    /// The manager was told that it is overloaded, and when last.
    told_ns: Option<u64>,
}

impl Measuring {
    /// A new session knows nothing of it.
    pub(in crate::daemon) fn forget_told(&mut self) {
        self.told_ns = None;
    }
}

impl Daemon {
    /// The cluster's thresholds.
    pub(in crate::daemon) fn take_thresholds(&mut self, thresholds: Option<Thresholds>) {
        self.measuring.thresholds = thresholds.or(self.measuring.thresholds);
    }

    /// Takes a measurement.
    pub(in crate::daemon) fn measured(&mut self, load: BTreeMap<String, u64>, now_ns: u64) {
        let Some(Thresholds { overload, resume }) = self.measuring.thresholds else {
            return;
        };
        let reaches = |per_cent: u32| {
            load.iter().any(|(name, amount)| {
                let capacity = self.facts.capacity.get(name).copied().filter(|capacity| *capacity > 0);
                capacity
                    .is_some_and(|capacity| u128::from(*amount) * 100 >= u128::from(capacity) * u128::from(per_cent))
            })
        };
        let (above, below) = (reaches(overload), !reaches(resume));
        let measuring = &mut self.measuring;
        measuring.above = if above { measuring.above.saturating_add(1) } else { 0 };
        measuring.below = if below { measuring.below.saturating_add(1) } else { 0 };
        let due = measuring
            .told_ns
            .is_none_or(|told| now_ns >= told.saturating_add(ms(AGAIN_MS)));
        if measuring.above >= MEASUREMENTS_MIN && due {
            measuring.told_ns = Some(now_ns);
            self.reports.push_load(load);
        } else if measuring.below >= MEASUREMENTS_MIN && measuring.told_ns.is_some() {
            measuring.told_ns = None;
            self.reports.push_load(load);
        }
    }
}
