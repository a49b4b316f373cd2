//! Whether the machine itself went on: a virtual machine can stand still as a whole for longer than a lease.
//!
//! Nothing that a cluster on such a machine does in that time says anything about the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::wait::pause;

/// How often it beats.
const BEAT: Duration = Duration::from_millis(10);

/// A thread that does nothing but wake up again and again, and knows the longest time in which it could not.
#[derive(Debug)]
pub struct Metronome {
    longest_us: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Metronome {
    /// Begins to beat.
    #[must_use]
    pub fn start() -> Self {
        let (longest_us, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (longest, stopped) = (Arc::clone(&longest_us), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut last = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                pause(BEAT, "between two beats");
                let gap = u64::try_from(last.elapsed().as_micros()).unwrap_or(u64::MAX);
                longest.fetch_max(gap, Ordering::Relaxed);
                last = Instant::now();
            }
        });
        Self {
            longest_us,
            stop,
            thread: Some(thread),
        }
    }

    /// The longest time between two beats so far.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.load(Ordering::Relaxed))
    }
}

impl Drop for Metronome {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_for;

    #[test]
    fn it_beats() {
        let metronome = Metronome::start();
        wait_for("a beat", Duration::from_secs(5), || {
            (metronome.longest() >= BEAT)
                .then_some(())
                .ok_or_else(|| "none yet".to_owned())
        })
        .unwrap();
    }
}
