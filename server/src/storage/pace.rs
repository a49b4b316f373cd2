//! How fast the disk is: what the writer's last syncs took.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::Latency;

/// Syncs that are looked at: more than half of them must be slow before the disk is called so.
const SYNCS: usize = 7;
/// A sync that is under way for longer than this hangs. A shorter stall, which any disk that is shared has now and then, is
/// judged once it is over, with the others.
const HANGS: Duration = Duration::from_millis(500);

/// Written by the writer's thread, read by whoever decides whether this server may lead. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DiskPace {
    inner: Arc<Mutex<Syncs>>,
    latency: Latency,
}

#[derive(Debug, Default)]
struct Syncs {
    begun: Option<Instant>,
    took: VecDeque<Duration>,
}

impl DiskPace {
    /// A write that must be on disk begins.
    pub(crate) fn begin(&self, now: Instant) {
        self.lock().begun = Some(now);
    }

    /// It is on disk, or has failed.
    pub(crate) fn end(&self, now: Instant) {
        let mut syncs = self.lock();
        if let Some(begun) = syncs.begun.take() {
            let took = now.saturating_duration_since(begun);
            self.latency.took(took);
            syncs.took.push_back(took);
            if syncs.took.len() > SYNCS {
                syncs.took.pop_front();
            }
        }
    }

    /// What a write takes at present: the median of the last ones, or the age of the one under way where that hangs.
    #[must_use]
    pub fn now(&self) -> Duration {
        let syncs = self.lock();
        let mut took: Vec<Duration> = syncs.took.iter().copied().collect();
        took.sort_unstable();
        let median = took.get(took.len() / 2).copied().unwrap_or_default();
        let waiting = syncs.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        if waiting < HANGS {
            return median;
        }
        median.max(waiting)
    }

    /// How long all of them took.
    #[must_use]
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    fn lock(&self) -> MutexGuard<'_, Syncs> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_sync_is_no_slow_disk_but_one_that_hangs_is() {
        let pace = DiskPace::default();
        assert_eq!(pace.now(), Duration::ZERO);
        let begin = Instant::now();
        let mut sync = |ms| {
            pace.begin(begin);
            pace.end(begin + Duration::from_millis(ms));
        };
        [1, 2, 900, 1, 2, 3, 1].into_iter().for_each(&mut sync);
        assert_eq!(pace.now(), Duration::from_millis(2));
        [400, 300, 500, 350].into_iter().for_each(&mut sync);
        assert_eq!(pace.now(), Duration::from_millis(300));
        let Some(before) = begin.checked_sub(Duration::from_millis(250)) else {
            return;
        };
        [1, 1, 1, 1].into_iter().for_each(&mut sync);
        pace.begin(before);
        assert_eq!(pace.now(), Duration::from_millis(1), "a stall that is not over yet");
        let Some(long_ago) = begin.checked_sub(Duration::from_secs(5)) else {
            return;
        };
        pace.begin(long_ago);
        assert!(pace.now() >= Duration::from_secs(5));
    }
}
