//! Time: the boot clock that goes on through a suspend, and the cluster time that the leader makes of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use statemachine::id::Term;
use statemachine::time::Timestamp;

/// A moment on this machine's CLOCK_BOOTTIME: never set, counts suspends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub Duration);

impl BootTime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        match clock_gettime(ClockId::CLOCK_BOOTTIME) {
            Ok(time) => Self(Duration::from(time)),
            // The kernel refuses this clock to nobody; without it no promise about leases can be kept.
            Err(error) => panic!("CLOCK_BOOTTIME can't be read: {error}"),
        }
    }

    /// This moment plus a length.
    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }

    /// How long after `earlier` this is; zero where it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The wall clock in milliseconds since 1970, for people only.
#[must_use]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Cluster time of a leader: what the log had when it took over, plus its own boot clock since then.
#[derive(Clone, Debug, Default)]
pub struct ClusterClock {
    inner: Arc<Mutex<Option<Reign>>>,
}

#[derive(Clone, Copy, Debug)]
struct Reign {
    term: Term,
    base: Timestamp,
    since: BootTime,
}

impl ClusterClock {
    /// Starts the clock of a term with the last committed time; a second call for the same term changes nothing.
    pub fn take_over(&self, term: Term, base: Timestamp, now: BootTime) {
        let mut reign = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if reign.is_none_or(|reign| reign.term != term) {
            *reign = Some(Reign { term, base, since: now });
        }
    }

    /// Cluster time; none where this server does not lead in that term.
    #[must_use]
    pub fn now(&self, term: Term, now: BootTime) -> Option<Timestamp> {
        let reign = (*self.inner.lock().unwrap_or_else(PoisonError::into_inner))?;
        let passed = u64::try_from(now.since(reign.since).as_millis()).unwrap_or(u64::MAX);
        (reign.term == term).then(|| Timestamp(reign.base.0.saturating_add(passed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_time_goes_on_from_the_log_and_belongs_to_one_term() {
        let clock = ClusterClock::default();
        let start = BootTime(Duration::from_secs(100));
        assert_eq!(clock.now(Term(3), start), None);
        clock.take_over(Term(3), Timestamp(5000), start);
        clock.take_over(Term(3), Timestamp(9000), start.plus(Duration::from_secs(9)));
        assert_eq!(
            clock.now(Term(3), start.plus(Duration::from_millis(20))),
            Some(Timestamp(5020))
        );
        assert_eq!(clock.now(Term(4), start), None);
    }
}
