//! Time and chance as the simulated process sees them.
//!
//! The command `simulate_raft` defines `clock_gettime`, `epoll_wait` and `getrandom` itself, and the linker prefers them
//! to libc's: everything in the process asks here, the standard library and tokio among them. So servers run unchanged,
//! without a feature of tokio's and without a clock behind a trait, each under a clock of its own that may be slow, fast
//! or set, and time passes only where the simulation says so. Where the simulation is off, the kernel is asked as usual.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::Duration;

use super::random::Random;

/// The clocks of the host that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Since some moment, without suspends.
    pub monotonic: Duration,
    /// The same with suspends.
    pub boot: Duration,
    /// Since 1970.
    pub wall: Duration,
}

/// Until when a host has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// So long, by its monotonic clock.
    For(Duration),
    /// Until something comes from outside.
    Ever,
}

thread_local! {
    static CLOCKS: Cell<Option<Clocks>> = const { Cell::new(None) };
    static IDLE: Cell<Option<Idle>> = const { Cell::new(None) };
    static WAKER: RefCell<Option<Waker>> = const { RefCell::new(None) };
    static CHANCE: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// From now on everything random in this thread follows from the seed.
pub fn seed(seed: u64) {
    CHANCE.set(Some(Random::new(seed)));
}

/// From now on these are the clocks; none: the kernel's.
pub fn set(clocks: Option<Clocks>) {
    CLOCKS.set(clocks);
}

/// What a clock says; none where the kernel is to be asked.
#[must_use]
pub fn read(clock: i32) -> Option<Duration> {
    let clocks = CLOCKS.get()?;
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => Some(clocks.wall),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE => Some(clocks.monotonic),
        CLOCK_BOOTTIME => Some(clocks.boot),
        _ => None,
    }
}

const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
const CLOCK_MONOTONIC_RAW: i32 = 4;
const CLOCK_REALTIME_COARSE: i32 = 5;
const CLOCK_MONOTONIC_COARSE: i32 = 6;
const CLOCK_BOOTTIME: i32 = 7;

/// Fills a buffer from the seed; answers whether it did.
pub fn fill(buffer: &mut [u8]) -> bool {
    CHANCE.with_borrow_mut(|chance| {
        let Some(chance) = chance else { return false };
        for chunk in buffer.chunks_mut(8) {
            let word = chance.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        true
    })
}

/// Whether time is simulated at the moment.
#[must_use]
pub fn is_simulated() -> bool {
    CLOCKS.get().is_some()
}

/// Called where a runtime would sleep: notes for how long, and ends its turn instead.
pub fn would_sleep(timeout_ms: i32) {
    let idle = match u64::try_from(timeout_ms) {
        Ok(length) => Idle::For(Duration::from_millis(length)),
        Err(_) => Idle::Ever,
    };
    IDLE.set(Some(idle));
    if let Some(waker) = WAKER.take() {
        waker.wake();
    }
}

/// Whoever waits for the runtime to have nothing to do is woken then.
pub(super) fn wake_when_idle(waker: &Waker) {
    WAKER.set(Some(waker.clone()));
}

/// Takes what the last [`would_sleep`] has noted.
pub(super) fn take_idle() -> Option<Idle> {
    IDLE.take()
}

/// Whether the linker has really put this module behind the clocks and the random numbers: without it a run proves
/// nothing.
///
/// # Errors
/// In words, which one it has not.
pub fn check() -> Result<(), String> {
    let probe = Clocks {
        monotonic: Duration::from_secs(11),
        boot: Duration::from_secs(22),
        wall: Duration::from_secs(33),
    };
    set(Some(probe));
    let boot = server::raft::BootTime::now().0;
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
    let first = std::time::Instant::now();
    set(Some(Clocks {
        monotonic: Duration::from_secs(12),
        ..probe
    }));
    let passed = first.elapsed();
    set(None);
    if boot != probe.boot || wall != Some(probe.wall) || passed != Duration::from_secs(1) {
        return Err(format!("the clocks are not simulated: {boot:?}, {wall:?}, {passed:?}"));
    }
    let drawn = || {
        seed(1);
        let mut bytes = [0; 8];
        let filled = fill(&mut bytes);
        (filled, bytes)
    };
    if drawn() != drawn() {
        return Err("the random numbers do not follow from the seed".to_owned());
    }
    Ok(())
}
