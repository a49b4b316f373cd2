//! I5: a takeover starts later than T + K after the old holder's last answered renewal, unless a rule released the unit
//! before: a proven stop, the node's clean start, its orderly end, or an operator's word.

use std::collections::BTreeMap;

use client::wire::event::Event;
use server::daemon::recording::{Line, What};
use server::timers::KILL_MS;

use super::activation_logged::epoch_in;
use super::findings::Findings;
use super::lease_covers::MS;
use crate::witness::Interval;

/// How the journal says that the old holder's hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// The lease ran out: time is the only proof.
    Lease,
    /// Its end was proven, or somebody answered for it.
    Proven,
}

/// Checks every change of the node that a unit is active on.
pub fn check(intervals: &[Interval], events: &[Event], lines: &[Line]) -> Findings {
    let journal = Journal::read(events);
    let renewals = Renewals::read(lines);
    let mut findings = Findings::default();
    let mut last: BTreeMap<&str, &Interval> = BTreeMap::new();
    for next in intervals {
        let Some(before) = last.insert(&next.unit, next).filter(|before| before.node != next.node) else {
            continue;
        };
        let (Some(held), Some(taken)) = (journal.activation(before), journal.activation(next)) else {
            continue;
        };
        findings.look();
        match journal.release(before, held, taken) {
            Some(Release::Proven) => {}
            None => findings.wrong(format!(
                "the journal says between {held:?} and {taken:?} nothing that released the unit: {before:?}, then {next:?}"
            )),
            Some(Release::Lease) => {
                if let Some((sent_ns, lease_ms)) = renewals.last_before(&before.node, before.from_ns, next.from_ns)
                    && next.from_ns <= sent_ns + (lease_ms + KILL_MS) * MS
                {
                    findings.wrong(format!(
                        "taken over {:.1} ms after the old holder's last answered renewal was sent, with a lease of {lease_ms} ms: \
                         {before:?}, then {next:?}",
                        next.from_ns.saturating_sub(sent_ns) as f64 / 1e6
                    ));
                }
            }
        }
    }
    findings
}

/// When a command took effect: index, and place among its events.
type Place = (u64, u32);

struct Journal<'a> {
    activations: BTreeMap<(&'a str, &'a str, u64), Place>,
    ends: BTreeMap<(&'a str, &'a str), Vec<(Place, Release)>>,
}

impl<'a> Journal<'a> {
    fn read(events: &'a [Event]) -> Self {
        let mut journal = Self {
            activations: BTreeMap::new(),
            ends: BTreeMap::new(),
        };
        for event in events {
            let (Some(package), Some(node)) = (event.resource.strip_prefix("package:"), event.node.as_deref()) else {
                continue;
            };
            let place = (event.index, event.sequence);
            if event.kind == "package-ended" {
                let release = if event.text.contains("lease ran out") {
                    Release::Lease
                } else {
                    Release::Proven
                };
                journal.ends.entry((package, node)).or_default().push((place, release));
            } else if let Some(epoch) = epoch_in(&event.text) {
                // The first one: later events of the epoch say that it was done.
                journal.activations.entry((package, node, epoch)).or_insert(place);
            }
        }
        journal
    }

    fn activation(&self, interval: &Interval) -> Option<Place> {
        let key = (interval.package.as_str(), interval.node.as_str(), interval.epoch);
        self.activations.get(&key).copied()
    }

    /// The first end of the old holder's package on its node after it had the unit and before the next one got it.
    fn release(&self, before: &Interval, held: Place, taken: Place) -> Option<Release> {
        let ends = self.ends.get(&(before.package.as_str(), before.node.as_str()))?;
        let first = ends.partition_point(|(place, _)| *place <= held);
        let (_, release) = ends.get(first).filter(|(place, _)| *place < taken)?;
        Some(*release)
    }
}

/// The renewals of each node that were answered.
pub struct Renewals<'a>(BTreeMap<&'a str, Vec<Answered>>);

#[derive(Clone, Copy, Debug)]
struct Answered {
    heard_ns: u64,
    sent_ns: u64,
    lease_ms: u64,
    /// Counts the node's registrations: what a later session was granted says nothing about an earlier one.
    session: u64,
}

impl<'a> Renewals<'a> {
    /// Gathers them from what the daemons recorded.
    #[must_use]
    pub fn read(lines: &'a [Line]) -> Self {
        let mut renewals: BTreeMap<&str, Vec<Answered>> = BTreeMap::new();
        let mut sessions: BTreeMap<&str, u64> = BTreeMap::new();
        for line in lines {
            let session = sessions.entry(&line.node).or_default();
            match line.what {
                What::Registered { .. } => *session += 1,
                What::Answered { sent_ns, lease_ms } => renewals.entry(&line.node).or_default().push(Answered {
                    heard_ns: line.at_ns,
                    sent_ns,
                    lease_ms,
                    session: *session,
                }),
                _ => {}
            }
        }
        Self(renewals)
    }

    /// Sending and lease of the last renewal that was answered before `taken_ns`, of the session in which a node held
    /// something since `held_ns`.
    #[must_use]
    pub fn last_before(&self, node: &str, held_ns: u64, taken_ns: u64) -> Option<(u64, u64)> {
        let of_node = self.0.get(node)?;
        let heard_before = |at_ns| of_node.partition_point(|answered| answered.heard_ns < at_ns);
        let session = of_node.get(heard_before(held_ns).saturating_sub(1))?.session;
        let earlier = of_node.get(..heard_before(taken_ns))?;
        let last = earlier.iter().rev().find(|answered| answered.session == session)?;
        Some((last.sent_ns, last.lease_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::planted::{answered, event, interval, line};

    fn story(end: Option<&str>) -> Vec<Event> {
        let mut events = vec![event(1, "placed", "a", "n1", "a starts on n1 as active under epoch 1")];
        events.extend(end.map(|text| event(2, "package-ended", "a", "n1", text)));
        events.push(event(
            3,
            "promoted",
            "b",
            "n2",
            "b on n2 takes over from n1 under epoch 2",
        ));
        events
    }

    fn checked(end: Option<&str>, taken_ms: u64) -> Findings {
        let intervals = [
            interval("u", "a", "n1", 1, 500, 1_000),
            interval("u", "b", "n2", 2, taken_ms, 9_000),
        ];
        check(&intervals, &story(end), &[answered("n1", 900, 905, 1_000)])
    }

    const LEASE: Option<&str> = Some("a has ended on n1: the node's lease ran out");

    #[test]
    fn a_takeover_after_the_lease_is_fine() {
        let findings = checked(LEASE, 2_001);
        assert_eq!((findings.looked_at, findings.wrong), (1, vec![]));
    }

    #[test]
    fn a_planted_takeover_within_the_lease_is_found() {
        assert_eq!(checked(LEASE, 2_000).wrong.len(), 1);
    }

    #[test]
    fn what_a_later_session_was_granted_does_not_count() {
        let intervals = [
            interval("u", "a", "n1", 1, 500, 1_000),
            interval("u", "b", "n2", 2, 3_000, 9_000),
        ];
        let registered = What::Registered { session: 7 };
        let mut lines = vec![answered("n1", 900, 905, 1_000), line("n1", 2_900, registered)];
        lines.push(answered("n1", 2_950, 2_955, 1_000));
        assert!(check(&intervals, &story(LEASE), &lines).wrong.is_empty());
        lines.remove(1);
        assert_eq!(check(&intervals, &story(LEASE), &lines).wrong.len(), 1);
    }

    #[test]
    fn a_proven_stop_releases_at_once() {
        assert!(checked(Some("a has ended on n1"), 1_001).wrong.is_empty());
    }

    #[test]
    fn a_planted_takeover_without_a_release_is_found() {
        assert_eq!(checked(None, 9_000).wrong.len(), 1);
    }
}
