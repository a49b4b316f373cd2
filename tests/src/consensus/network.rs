//! The network between servers: who can't reach whom, and how long messages take.

use std::collections::BTreeSet;
use std::time::Duration;

use super::random::Random;

/// Sent again after so long, where a message was slow: a long tail beside the usual delay.
const TAIL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(120));
/// Messages in the tail, of ten thousand.
const TAIL_SHARE: u64 = 20;

/// See the module.
#[derive(Clone, Debug)]
pub struct Network {
    /// From whom to whom nothing goes.
    cut: BTreeSet<(usize, usize)>,
    usual: (Duration, Duration),
    delay: (Duration, Duration),
    usual_loss: u64,
    loss: u64,
    doubled: u64,
}

impl Network {
    /// A whole network.
    #[must_use]
    pub fn new(delay: (Duration, Duration), loss: u64, doubled: u64) -> Self {
        Self {
            cut: BTreeSet::new(),
            usual: delay,
            delay,
            usual_loss: loss,
            loss,
            doubled,
        }
    }

    /// Whether nothing goes from one to the other.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Whether anything is cut, slow or lossy beyond the usual.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.cut.is_empty() && self.delay == self.usual && self.loss == self.usual_loss
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Nothing goes to or from the group any more, but within it.
    pub fn separate(&mut self, group: &BTreeSet<usize>, all: usize) {
        for inside in group {
            for outside in (0..all).filter(|other| !group.contains(other)) {
                self.cut(*inside, outside);
                self.cut(outside, *inside);
            }
        }
    }

    /// From now on messages take this long, and so many of ten thousand are lost.
    pub fn disturb(&mut self, delay: (Duration, Duration), loss: u64) {
        self.delay = delay;
        self.loss = loss;
    }

    /// All is as it was at the start.
    pub fn mend(&mut self) {
        self.cut.clear();
        self.delay = self.usual;
        self.loss = self.usual_loss;
    }

    /// No more of what is usual in this run either: nothing is lost, nothing comes twice.
    pub fn calm(&mut self) {
        self.usual_loss = 0;
        self.doubled = 0;
        self.mend();
    }

    /// How long a message takes.
    pub fn delay(&self, random: &mut Random) -> Duration {
        if self.loss > 0 && random.chance(TAIL_SHARE) {
            return random.time(TAIL.0, TAIL.1);
        }
        random.time(self.delay.0, self.delay.1)
    }

    /// Whether a message is lost.
    pub fn loses(&self, random: &mut Random) -> bool {
        self.loss > 0 && random.chance(self.loss)
    }

    /// Whether a message comes twice.
    pub fn doubles(&self, random: &mut Random) -> bool {
        self.doubled > 0 && random.chance(self.doubled)
    }
}
