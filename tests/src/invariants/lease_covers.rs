//! I4 and half of I22: at every instant of an active interval its node had time that a leader gave it. The interval ends by
//! the sending of the last answered renewal + T/(1−rho) + K.

use std::collections::{BTreeMap, BTreeSet};

use server::daemon::recording::{Line, What};
use server::timers::{CLOCK_ERROR_PERCENT, KILL_MS};

use super::findings::Findings;
use crate::witness::Interval;

/// Nanoseconds of a millisecond.
pub const MS: u64 = 1_000_000;

/// A time that answered renewals cover without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first answer's receipt.
    pub from_ns: u64,
    /// The end of the last answered renewal's lease, with `rho` and `K`.
    pub until_ns: u64,
    /// When that renewal was sent.
    pub sent_ns: u64,
}

/// Per node the times that its answered renewals cover, in order.
#[must_use]
pub fn spans(lines: &[Line]) -> BTreeMap<String, Vec<Span>> {
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for line in lines {
        let What::Answered { sent_ns, lease_ms } = line.what else {
            continue;
        };
        let lease_ns = lease_ms * MS * 100 / (100 - CLOCK_ERROR_PERCENT);
        let until_ns = sent_ns + lease_ns + KILL_MS * MS;
        let of_node = spans.entry(line.node.clone()).or_default();
        match of_node.last_mut() {
            Some(last) if line.at_ns <= last.until_ns => {
                if until_ns > last.until_ns {
                    (last.until_ns, last.sent_ns) = (until_ns, sent_ns);
                }
            }
            _ => of_node.push(Span {
                from_ns: line.at_ns,
                until_ns,
                sent_ns,
            }),
        }
    }
    spans
}

/// Checks the intervals on nodes whose daemons recorded anything. `free` packages have no deadline (`freeze`).
pub fn check(intervals: &[Interval], lines: &[Line], free: &BTreeSet<String>) -> Findings {
    let spans = spans(lines);
    let mut findings = Findings::default();
    for interval in intervals {
        let Some(of_node) = spans.get(&interval.node) else {
            continue;
        };
        if free.contains(&interval.package) {
            continue;
        }
        findings.look();
        let place = of_node.partition_point(|span| span.from_ns <= interval.from_ns);
        let span = place.checked_sub(1).and_then(|place| of_node.get(place));
        match span.filter(|span| interval.from_ns <= span.until_ns) {
            None => findings.wrong(format!("it became active while no renewal gave it time: {interval:?}")),
            Some(span) if interval.until_ns > span.until_ns => findings.wrong(format!(
                "it was active {:.1} ms after the lease of the last answered renewal (sent at {}) had surely ended: {interval:?}",
                (interval.until_ns - span.until_ns) as f64 / 1e6,
                span.sent_ns
            )),
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::planted::{answered, interval};

    fn checked(from_ms: u64, until_ms: u64, lines: &[Line]) -> Findings {
        check(
            &[interval("u", "a", "n1", 7, from_ms, until_ms)],
            lines,
            &BTreeSet::new(),
        )
    }

    #[test]
    fn an_interval_under_renewals_is_fine() {
        let lines = [answered("n1", 1_000, 1_005, 1_000), answered("n1", 1_900, 1_905, 1_000)];
        let findings = checked(1_010, 3_000, &lines);
        assert_eq!((findings.looked_at, findings.wrong), (1, vec![]));
    }

    #[test]
    fn a_planted_end_that_is_too_late_is_found() {
        // 1,000 + 1,000 / 0.9 + 100 ms.
        let lines = [answered("n1", 1_000, 1_005, 1_000)];
        assert!(checked(1_010, 2_211, &lines).wrong.is_empty());
        assert_eq!(checked(1_010, 2_212, &lines).wrong.len(), 1);
    }

    #[test]
    fn a_planted_gap_between_two_leases_is_found() {
        let lines = [answered("n1", 1_000, 1_005, 1_000), answered("n1", 2_500, 2_505, 1_000)];
        assert_eq!(checked(1_010, 2_600, &lines).wrong.len(), 1);
    }

    #[test]
    fn a_planted_start_without_time_is_found() {
        let lines = [answered("n1", 1_000, 1_005, 1_000)];
        assert_eq!(checked(900, 1_100, &lines).wrong.len(), 1);
        assert_eq!(checked(2_300, 2_400, &lines).wrong.len(), 1);
    }

    #[test]
    fn what_has_no_deadline_and_what_nobody_recorded_is_left_out() {
        let lines = [answered("n1", 1_000, 1_005, 1_000)];
        let free = BTreeSet::from(["a".to_owned()]);
        let late = [interval("u", "a", "n1", 7, 1_010, 9_000)];
        assert_eq!(check(&late, &lines, &free), Findings::default());
        assert_eq!(check(&late, &[], &BTreeSet::new()), Findings::default());
    }
}
