//! Every timer that safety hangs on, derived from the lease `T` alone, and the two inequalities that they must keep.
//!
//! `docs/SAFETY.md` has the table; the names here are its symbols. Users set `T`; whoever sets more is held to the same
//! inequalities and refused with the numbers.

use statemachine::time::Millis;

/// `K`: from the deadline until every process of the package is gone.
pub const KILL_MS: u64 = 100;
/// `rho` in per cent: the largest error of a clock's rate. CLOCK_BOOTTIME is slewed by up to 10 % (`adjtimex`).
pub const CLOCK_ERROR_PERCENT: u64 = 10;
/// The lease of a cluster that sets none.
pub const LEASE_DEFAULT: Millis = Millis(1000);
/// The longest lease that a planned restart gets.
pub const LEASE_EXTENDED_MAX: Millis = Millis(60_000);
/// From this lease on a stop of packages must not follow even from a split vote; below it is a choice for quiet machines.
const SPLIT_VOTE_COVERED_FROM_MS: u64 = 1000;
/// Longest lease: beyond it a takeover takes longer than any user would wait.
const LEASE_MS_MAX: u64 = 600_000;
/// Raft's heartbeat never grows beyond this, however long the lease is: elections should stay quick.
const HEARTBEAT_MS_MAX: u64 = 100;

/// Timers in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// `T`: how long a node may stay active unheard.
    pub lease_ms: u64,
    /// `W`: what the manager waits before it takes over.
    pub wait_ms: u64,
    /// `R`: a daemon renews so often.
    pub renew_ms: u64,
    /// `G`: the budget for a soft stop before the deadline.
    pub soft_ms: u64,
    /// `Q`: a renewal that was not answered is tried again after this.
    pub retry_ms: u64,
    /// Raft's heartbeat.
    pub heartbeat_ms: u64,
    /// The shortest wait before an election.
    pub election_min_ms: u64,
    /// The longest wait before an election, and how long a leader's followers stay with it.
    pub election_max_ms: u64,
}

/// Why timers are refused, with the numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimerError {
    /// The manager could take over while the old holder still runs.
    #[error(
        "lease {lease_ms} ms: the manager would wait W = {wait_ms} ms, which must be more than \
         (1 + {CLOCK_ERROR_PERCENT} %) × (T / (1 − {CLOCK_ERROR_PERCENT} %) + {KILL_MS} ms) = {bound_ms} ms"
    )]
    Unsafe {
        /// `T`.
        lease_ms: u64,
        /// `W`.
        wait_ms: u64,
        /// What `W` must exceed.
        bound_ms: u64,
    },
    /// A change of leader would stop packages.
    #[error(
        "lease {lease_ms} ms: between a missed renewal and a soft stop there are T − G − R = {room_ms} ms, but a change of leader \
         takes up to {needed_ms} ms{}; take a longer lease ({} ms is the default)",
        if *split_vote { " (with one split vote)" } else { "" },
        LEASE_DEFAULT.0
    )]
    StopsAtLeaderChange {
        /// `T`.
        lease_ms: u64,
        /// `T − G − R`.
        room_ms: u64,
        /// `E + Q` + round trip + apply.
        needed_ms: u64,
        /// Whether a split vote is counted in.
        split_vote: bool,
    },
    /// No cluster would want it.
    #[error("lease {lease_ms} ms: the longest is {LEASE_MS_MAX} ms")]
    TooLong {
        /// `T`.
        lease_ms: u64,
    },
}

impl Timers {
    /// All timers of a lease.
    ///
    /// # Errors
    /// [`TimerError`] with the numbers where the lease is too short or too long.
    pub fn derive(lease: Millis) -> Result<Self, TimerError> {
        if lease.0 > LEASE_MS_MAX {
            return Err(TimerError::TooLong { lease_ms: lease.0 });
        }
        let timers = Self::of(lease);
        timers.check()?;
        Ok(timers)
    }

    /// The timers of a lease that is in force already, without holding them to anything.
    #[must_use]
    pub fn of(lease: Millis) -> Self {
        let lease_ms = lease.0.min(LEASE_MS_MAX);
        let heartbeat_ms = between(lease_ms, 10, 30).clamp(1, HEARTBEAT_MS_MAX);
        Self {
            lease_ms,
            wait_ms: wait_of(lease).0,
            renew_ms: (lease_ms / 10).max(1),
            soft_ms: between(lease_ms, 20, 200),
            retry_ms: between(lease_ms, 10, 25).min(100),
            heartbeat_ms,
            election_min_ms: heartbeat_ms * 3,
            election_max_ms: heartbeat_ms * 5,
        }
    }

    /// Holds the timers to both inequalities.
    ///
    /// # Errors
    /// [`TimerError`] with the numbers of the first that breaks.
    pub fn check(&self) -> Result<(), TimerError> {
        let bound_ms = wait_bound_ms(self.lease_ms);
        if self.wait_ms <= bound_ms {
            return Err(TimerError::Unsafe {
                lease_ms: self.lease_ms,
                wait_ms: self.wait_ms,
                bound_ms,
            });
        }
        let room_ms = self.room_ms();
        let split_vote = self.lease_ms >= SPLIT_VOTE_COVERED_FROM_MS;
        let needed_ms = if split_vote {
            self.needed_split_vote_ms()
        } else {
            self.needed_ms()
        };
        if room_ms <= needed_ms {
            return Err(TimerError::StopsAtLeaderChange {
                lease_ms: self.lease_ms,
                room_ms,
                needed_ms,
                split_vote,
            });
        }
        Ok(())
    }

    /// `T − G − R`: how long a change of leader may take.
    #[must_use]
    pub fn room_ms(&self) -> u64 {
        self.lease_ms.saturating_sub(self.soft_ms).saturating_sub(self.renew_ms)
    }

    /// `E` of one election: the leader's own lease, the longest wait, a tick, and the votes themselves.
    #[must_use]
    pub fn election_ms(&self) -> u64 {
        2 * self.election_max_ms + self.tick_ms() + self.round_trip_ms()
    }

    /// `E` with one split vote.
    #[must_use]
    pub fn election_split_vote_ms(&self) -> u64 {
        self.election_ms() + self.election_max_ms + self.tick_ms()
    }

    /// `E + Q` + round trip + apply.
    #[must_use]
    pub fn needed_ms(&self) -> u64 {
        self.election_ms() + self.retry_ms + self.round_trip_ms()
    }

    /// The same with one split vote.
    #[must_use]
    pub fn needed_split_vote_ms(&self) -> u64 {
        self.election_split_vote_ms() + self.retry_ms + self.round_trip_ms()
    }

    /// openraft looks at its timers so often: 13/64 of a heartbeat.
    fn tick_ms(&self) -> u64 {
        (self.heartbeat_ms * 13).div_ceil(64).saturating_sub(1).max(1)
    }

    /// A round of messages with its fsync and apply: 15 ms on a quiet machine, 20 ms on others.
    fn round_trip_ms(&self) -> u64 {
        between(self.lease_ms, 15, 20).min(20)
    }
}

/// `W` of a lease: what a manager waits after the last answer before it takes over.
#[must_use]
pub fn wait_of(lease: Millis) -> Millis {
    // 15 ms above the bound, rounded up to tens: strictly more, and a number that people can remember.
    Millis((wait_bound_ms(lease.0) + 15).div_ceil(10) * 10)
}

/// `(1 + rho) × (T / (1 − rho) + K)`, rounded up.
fn wait_bound_ms(lease_ms: u64) -> u64 {
    let (slow, fast) = (100 - CLOCK_ERROR_PERCENT, 100 + CLOCK_ERROR_PERCENT);
    // fast/100 × (lease × 100/slow + K), in one division.
    (fast * (lease_ms * 100 + KILL_MS * slow)).div_ceil(100 * slow)
}

/// The straight line through `quiet` at a lease of 200 ms and `usual` at 1 s, and never below `quiet`.
fn between(lease_ms: u64, quiet: u64, usual: u64) -> u64 {
    if lease_ms > 1000 {
        return usual * lease_ms / 1000;
    }
    quiet + (usual - quiet) * lease_ms.saturating_sub(200) / 800
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_rows_of_the_table() {
        let usual = Timers::derive(Millis(1000)).unwrap();
        assert_eq!(
            usual,
            Timers {
                lease_ms: 1000,
                wait_ms: 1350,
                renew_ms: 100,
                soft_ms: 200,
                retry_ms: 25,
                heartbeat_ms: 30,
                election_min_ms: 90,
                election_max_ms: 150,
            }
        );
        assert_eq!((usual.election_ms(), usual.election_split_vote_ms()), (326, 482));
        assert_eq!(
            (usual.room_ms(), usual.needed_ms(), usual.needed_split_vote_ms()),
            (700, 371, 527)
        );
        let quiet = Timers::derive(Millis(200)).unwrap();
        assert_eq!(
            quiet,
            Timers {
                lease_ms: 200,
                wait_ms: 370,
                renew_ms: 20,
                soft_ms: 20,
                retry_ms: 10,
                heartbeat_ms: 10,
                election_min_ms: 30,
                election_max_ms: 50,
            }
        );
        assert_eq!((quiet.election_ms(), quiet.election_split_vote_ms()), (117, 169));
        assert_eq!(
            (quiet.room_ms(), quiet.needed_ms(), quiet.needed_split_vote_ms()),
            (160, 142, 194)
        );
    }

    #[test]
    fn every_lease_between_and_above_keeps_both_inequalities() {
        for lease_ms in (200..=2000).chain([5000, 10_000, 60_000, LEASE_MS_MAX]) {
            let timers = Timers::derive(Millis(lease_ms)).unwrap_or_else(|error| panic!("{error}"));
            assert!(timers.election_min_ms > 2 * timers.heartbeat_ms);
            // In integers times 100: W × 90 × 100 > 110 × (T × 100 + K × 90), strictly.
            assert!(
                timers.wait_ms * 9000 > 110 * (lease_ms * 100 + KILL_MS * 90),
                "{lease_ms}"
            );
        }
    }

    #[test]
    fn what_breaks_an_inequality_is_refused_with_the_numbers() {
        let short = Timers::derive(Millis(150)).unwrap_err();
        assert!(
            matches!(
                short,
                TimerError::StopsAtLeaderChange {
                    room_ms: 115,
                    split_vote: false,
                    ..
                }
            ),
            "{short}"
        );
        assert!(short.to_string().contains("115 ms"));
        let good = Timers::derive(Millis(1000)).unwrap();
        let unsafe_wait = Timers { wait_ms: 1333, ..good }.check().unwrap_err();
        assert_eq!(
            unsafe_wait,
            TimerError::Unsafe {
                lease_ms: 1000,
                wait_ms: 1333,
                bound_ms: 1333
            }
        );
        let slow = Timers {
            election_max_ms: 300,
            ..good
        }
        .check()
        .unwrap_err();
        assert!(
            matches!(slow, TimerError::StopsAtLeaderChange { split_vote: true, .. }),
            "{slow}"
        );
        assert!(Timers::derive(Millis(0)).is_err());
        assert!(matches!(
            Timers::derive(Millis(u64::MAX)),
            Err(TimerError::TooLong { .. })
        ));
    }
}
