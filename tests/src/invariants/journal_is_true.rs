//! I20: what the journal says happened is what the programs saw; and all servers have the same journal.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::event::Event;

use super::activation_logged::epoch_in;
use super::findings::Findings;
use crate::witness::{Interval, Kind, Record};

/// A program that was executed and killed before it could write anything has ended in the journal within this, cluster
/// time: the wait for a lost node, and then some.
const UNSEEN_MS: u64 = 3_000;

/// Every package of the test program that the journal calls active has written so itself, in the journal's order. `told` is
/// what was in the journal before the records were read, `events` what is in it now.
pub fn check(records: &[Record], intervals: &[Interval], told: &[Event], events: &[Event]) -> Findings {
    let mut findings = Findings::default();
    let witnessed: BTreeSet<&str> = records.iter().map(|r| r.package.as_str()).collect();
    let began: BTreeMap<(&str, &str, u64), &Interval> = intervals
        .iter()
        .map(|i| ((i.package.as_str(), i.node.as_str(), i.epoch), i))
        .collect();
    let mut last: BTreeMap<&str, &Interval> = BTreeMap::new();
    let wrote: BTreeSet<(&str, &str, u64)> = records
        .iter()
        .map(|r| (r.package.as_str(), r.node.as_str(), r.epoch))
        .collect();
    for event in told.iter().filter(|e| e.kind == "became-active") {
        let (Some(package), Some(node), Some(epoch)) = (
            event.resource.strip_prefix("package:"),
            event.node.as_deref(),
            epoch_in(&event.text),
        ) else {
            continue;
        };
        if !witnessed.contains(package) {
            continue;
        }
        findings.look();
        let Some(interval) = began.get(&(package, node, epoch)) else {
            if !wrote.contains(&(package, node, epoch)) && has_ended_soon(event, events) {
                continue;
            }
            findings.wrong(format!("no program saw what the journal says: {event:?}"));
            continue;
        };
        if let Some(before) = last.insert(&interval.unit, interval)
            && before.from_ns > interval.from_ns
        {
            findings.wrong(format!(
                "the journal has it the other way round: {before:?}, {interval:?}"
            ));
        }
    }
    findings
}

fn has_ended_soon(active: &Event, events: &[Event]) -> bool {
    let after = events.partition_point(|e| (e.index, e.sequence) <= (active.index, active.sequence));
    let soon = events[after..]
        .iter()
        .take_while(|e| e.at_ms <= active.at_ms + UNSEEN_MS);
    soon.filter(|e| e.kind == "package-ended")
        .any(|e| (&e.resource, &e.node) == (&active.resource, &active.node))
}

/// Processes that ended by themselves had said so; one that is in the journal as started in test wrote that it is in test.
pub fn check_tests(records: &[Record], events: &[Event]) -> Findings {
    let mut findings = Findings::default();
    let seen: BTreeSet<(&str, &str, u64)> = records
        .iter()
        .filter(|r| r.kind == Kind::Test)
        .map(|r| (r.package.as_str(), r.node.as_str(), r.epoch))
        .collect();
    let in_test = |e: &&Event| e.kind == "started" && e.text.ends_with(" as test");
    for event in events.iter().filter(in_test) {
        let (Some(package), Some(node)) = (event.resource.strip_prefix("package:"), event.node.as_deref()) else {
            continue;
        };
        if records.iter().all(|r| r.package != package) {
            continue;
        }
        findings.look();
        if !seen.iter().any(|(p, n, _)| (*p, *n) == (package, node)) {
            findings.wrong(format!("no program saw what the journal says: {event:?}"));
        }
    }
    findings
}

/// Events of one index and place are the same on every server.
pub fn check_servers(journals: &BTreeMap<String, Vec<Event>>) -> Findings {
    let mut findings = Findings::default();
    let mut known: BTreeMap<(u64, u32), (&str, &Event)> = BTreeMap::new();
    for (server, journal) in journals {
        let mut before = None;
        for event in journal {
            findings.look();
            let place = (event.index, event.sequence);
            if before.replace(place).is_some_and(|before| before >= place) {
                findings.wrong(format!("the journal of {server} is not in order at {place:?}"));
            }
            let (other, first) = *known.entry(place).or_insert((server, event));
            if first != event {
                findings.wrong(format!("{other} and {server} differ: {first:?}, {event:?}"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::planted::event;
    use crate::witness::{intervals, parse};

    fn checked(text: &str, events: &[Event]) -> Findings {
        let records = parse(text).expect("records");
        check(&records, &intervals(&records), events, events)
    }

    fn active(index: u64, package: &str, epoch: u64) -> Event {
        let text = format!("{package} is active on n1 under epoch {epoch}");
        event(index, "became-active", package, "n1", &text)
    }

    #[test]
    fn what_was_seen_is_true_and_a_planted_word_is_found() {
        let text = "1 active u a n1 5 7\n2 inactive u a n1 5 7\n";
        assert_eq!(
            (
                checked(text, &[active(1, "a", 7)]).looked_at,
                checked(text, &[active(1, "a", 7)]).wrong.len()
            ),
            (1, 0)
        );
        assert_eq!(checked(text, &[active(1, "a", 8)]).wrong.len(), 1);
        assert_eq!(checked(text, &[active(1, "unwatched", 8)]), Findings::default());
    }

    #[test]
    fn what_was_killed_before_it_could_write_is_excused_only_if_it_ended_soon() {
        let text = "1 active u a n1 5 7\n";
        let mut ended = event(3, "package-ended", "a", "n1", "a has ended on n1");
        ended.at_ms = 3_000;
        assert!(checked(text, &[active(2, "a", 8), ended.clone()]).wrong.is_empty());
        ended.at_ms = 3_001;
        assert_eq!(checked(text, &[active(2, "a", 8), ended]).wrong.len(), 1);
    }

    #[test]
    fn a_planted_order_is_found() {
        let text = "1 active u a n1 5 7\n2 inactive u a n1 5 7\n3 active u b n1 6 8\n";
        assert!(checked(text, &[active(1, "a", 7), active(2, "b", 8)]).wrong.is_empty());
        assert_eq!(checked(text, &[active(1, "b", 8), active(2, "a", 7)]).wrong.len(), 1);
    }

    #[test]
    fn a_planted_test_that_nobody_saw_is_found() {
        let events = [event(1, "started", "a", "n1", "a runs on n1 as test")];
        let seen = parse("1 start u a n1 5 7\n1 test u a n1 5 7\n").expect("records");
        assert_eq!(
            (
                check_tests(&seen, &events).looked_at,
                check_tests(&seen, &events).wrong.len()
            ),
            (1, 0)
        );
        let other = parse("1 start u a n1 5 7\n1 standby u a n1 5 7\n").expect("records");
        assert_eq!(check_tests(&other, &events).wrong.len(), 1);
    }

    #[test]
    fn planted_differences_between_servers_are_found() {
        let journals = |second: Event| {
            BTreeMap::from([
                ("n1".to_owned(), vec![active(1, "a", 7)]),
                ("n2".to_owned(), vec![second]),
            ])
        };
        assert!(check_servers(&journals(active(1, "a", 7))).wrong.is_empty());
        assert_eq!(check_servers(&journals(active(1, "a", 8))).wrong.len(), 1);
        let twice = BTreeMap::from([("n1".to_owned(), vec![active(1, "a", 7), active(1, "a", 7)])]);
        assert_eq!(check_servers(&twice).wrong.len(), 1);
    }
}
