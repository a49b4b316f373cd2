//! The daemon's side of the lease: from which moment time is counted, and whether it is enough to act on. Pure.

use std::collections::VecDeque;

use crate::supervisor::clock::ms;

/// Renewals that may be under way at once: when servers hang, one is sent to each in turn.
const UNDER_WAY_MAX: usize = 16;

/// What was granted to this process, and what it has asked for.
///
/// # Invariants
/// The deadline only ever comes from an answer to a renewal that *this process* sent (its nonce is in `under_way`), and is
/// counted from just before that renewal was sent, on CLOCK_BOOTTIME. So it is never later than what the manager waits
/// for, however long the answer was on its way, and a predecessor's answer counts for nothing.
#[derive(Debug, Default)]
pub struct Lease {
    under_way: VecDeque<(u64, u64)>,
    deadline_ns: u64,
    soft_ns: u64,
    granted_ms: u64,
    heard_ns: Option<u64>,
}

impl Lease {
    /// Notes a renewal just before it is sent.
    pub fn sent(&mut self, nonce: u64, now_ns: u64) {
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back((nonce, now_ns));
    }

    /// Takes an answer; returns when its renewal was sent, or nothing where this process sent none of that nonce.
    pub fn answered(&mut self, nonce: u64, lease_ms: u64, soft_ms: u64) -> Option<u64> {
        let place = self.under_way.iter().position(|(sent, _)| *sent == nonce)?;
        // Older ones may still be answered, but could only say less.
        let (_, sent_ns) = self.under_way.drain(..=place).next_back()?;
        let deadline_ns = sent_ns.saturating_add(ms(lease_ms));
        if deadline_ns > self.deadline_ns {
            self.deadline_ns = deadline_ns;
            self.soft_ns = deadline_ns.saturating_sub(ms(soft_ms));
        }
        self.granted_ms = lease_ms;
        self.heard_ns = Some(sent_ns);
        Some(sent_ns)
    }

    /// Whether anything may be started or promoted now: not so late that it would be stopped again at once.
    #[must_use]
    pub const fn allows(&self, now_ns: u64) -> bool {
        now_ns < self.soft_ns
    }

    /// When the kernel kills what runs under it.
    #[must_use]
    pub const fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// When soft stops begin.
    #[must_use]
    pub const fn soft_ns(&self) -> u64 {
        self.soft_ns
    }

    /// The length that was granted last.
    #[must_use]
    pub const fn granted_ms(&self) -> u64 {
        self.granted_ms
    }

    /// When the last renewal that was answered was sent; none: none was.
    #[must_use]
    pub const fn heard_ns(&self) -> Option<u64> {
        self.heard_ns
    }

    /// Renewals without an answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.under_way.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn time_counts_from_before_the_send_not_from_the_answer() {
        let mut lease = Lease::default();
        lease.sent(7, 10 * S);
        assert_eq!(lease.answered(7, 1_000, 200), Some(10 * S));
        assert_eq!(lease.deadline_ns(), 11 * S);
        assert!(lease.allows(10 * S + 799_999_999));
        assert!(!lease.allows(10 * S + 800_000_000));
    }

    #[test]
    fn only_own_nonces_count_and_each_once() {
        let mut lease = Lease::default();
        assert_eq!(lease.answered(1, 1_000, 200), None);
        lease.sent(1, S);
        lease.sent(2, 2 * S);
        assert_eq!(lease.answered(2, 1_000, 200), Some(2 * S));
        assert_eq!(
            lease.answered(1, 60_000, 200),
            None,
            "older ones are forgotten with a newer answer"
        );
        assert_eq!(lease.answered(2, 60_000, 200), None);
        assert_eq!(lease.deadline_ns(), 3 * S);
    }

    #[test]
    fn a_deadline_never_goes_back() {
        let mut lease = Lease::default();
        lease.sent(1, S);
        lease.answered(1, 20_000, 200);
        lease.sent(2, 2 * S);
        lease.answered(2, 1_000, 200);
        assert_eq!(lease.deadline_ns(), 21 * S);
    }

    #[test]
    fn nothing_is_allowed_before_the_first_answer() {
        assert!(!Lease::default().allows(0));
    }
}
