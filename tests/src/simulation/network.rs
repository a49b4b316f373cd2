//! The network between hosts: who can't reach whom, and what becomes of a message.

use super::random::Random;

/// Hosts at most, clients included.
pub const HOSTS_MAX: usize = 16;

/// What becomes of one message: the times after which it arrives, none where it is lost.
pub type Arrivals = [Option<u64>; 2];

/// Links and their faults.
pub struct Network {
    /// So many faults cut this link, in this direction.
    cut: [[u16; HOSTS_MAX]; HOSTS_MAX],
    /// So many faults cut what the daemon of this host asks servers of other hosts, and their answers.
    daemon_cut: [u16; HOSTS_MAX],
    /// Messages in a thousand that are lost.
    pub loss: u64,
    /// Messages in a thousand that come twice.
    pub twice: u64,
    /// Some messages take up to this long.
    pub slow_ns: u64,
    /// So many in a thousand do.
    pub slow: u64,
    random: Random,
}

impl Network {
    /// A network without faults.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self {
            cut: [[0; HOSTS_MAX]; HOSTS_MAX],
            daemon_cut: [0; HOSTS_MAX],
            loss: 0,
            twice: 0,
            slow_ns: 0,
            slow: 0,
            random,
        }
    }

    /// Cuts or mends a link in one direction.
    pub fn cut(&mut self, from: usize, to: usize, cut: bool) {
        let count = &mut self.cut[from][to];
        *count = if cut { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Cuts or mends all links between a daemon and servers elsewhere.
    pub fn cut_daemon(&mut self, host: usize, cut: bool) {
        let count = &mut self.daemon_cut[host];
        *count = if cut { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Whether a message may pass now.
    #[must_use]
    pub fn passes(&self, from: usize, to: usize, daemon: Option<usize>) -> bool {
        from == to || (self.cut[from][to] == 0 && daemon.is_none_or(|daemon| self.daemon_cut[daemon] == 0))
    }

    /// What becomes of a message that is sent now.
    pub fn send(&mut self, from: usize, to: usize, daemon: Option<usize>) -> Arrivals {
        if from == to {
            return [Some(self.random.between(20_000, 80_000)), None];
        }
        if !self.passes(from, to, daemon) || (self.loss > 0 && self.random.chance(self.loss)) {
            return [None, None];
        }
        let first = self.delay();
        let second = (self.twice > 0 && self.random.chance(self.twice)).then(|| self.delay());
        [Some(first), second]
    }

    fn delay(&mut self) -> u64 {
        let usual = self.random.between(100_000, 900_000);
        if self.slow > 0 && self.random.chance(self.slow) {
            usual + self.random.below(self.slow_ns)
        } else {
            usual
        }
    }
}
