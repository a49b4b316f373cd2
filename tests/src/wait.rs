//! Waiting for a value, always with a limit and always with a name for what was waited for.

use std::time::{Duration, Instant};

/// Between two looks: short beside everything that is measured in tests, long enough to cost no processor.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {limit:?} for {what}; last seen: {last}")]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub limit: Duration,
    /// What the last look saw instead.
    pub last: String,
}

/// Looks until the value is there. `look` answers the value, or what it saw instead.
///
/// # Errors
/// [`TimedOut`] after `limit`, with what was seen last.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> Result<T, TimedOut> {
    let begin = Instant::now();
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(last) if begin.elapsed() >= limit => {
                return Err(TimedOut {
                    what: what.to_owned(),
                    limit,
                    last,
                });
            }
            Err(_) => pause(LOOK_EVERY, "between two looks"),
        }
    }
}

/// Watches that something stays true for a time: the one honest reason for a test to let time pass.
///
/// # Errors
/// What `look` found to be otherwise.
pub fn holds_for(span: Duration, mut look: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let begin = Instant::now();
    while begin.elapsed() < span {
        look()?;
        pause(LOOK_EVERY, "between two looks");
    }
    Ok(())
}

/// Lets time pass. `_why` is for the reader of the call.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place in the tests where time is allowed to pass by itself"
)]
pub fn pause(span: Duration, _why: &str) {
    std::thread::sleep(span);
}

/// The host's CLOCK_MONOTONIC in nanoseconds: the clock that the witness program stamps its records with.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC is always there on Linux");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds * 1_000_000_000 + nanoseconds
}
