//! I19: a subscriber sees every event once, in order, across leader changes and its own reconnections.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::event::Event;

use super::findings::Findings;

/// What one subscriber was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Who it is.
    pub name: String,
    /// Every event after this index is its due.
    pub after: u64,
    /// Up to this one: the last index that was told whole.
    pub upto: u64,
    /// The events in the order in which they came.
    pub events: Vec<Event>,
}

/// Compares what subscribers were told with the journal, whose events are in order.
pub fn check(told: &[Told], journal: &[Event]) -> Findings {
    let mut findings = Findings::default();
    let known: BTreeMap<(u64, u32), &Event> = journal.iter().map(|event| (place(event), event)).collect();
    if !known.is_empty() {
        told.iter().for_each(|it| one(it, &known, &mut findings));
    }
    findings
}

fn place(event: &Event) -> (u64, u32) {
    (event.index, event.sequence)
}

fn one(told: &Told, known: &BTreeMap<(u64, u32), &Event>, findings: &mut Findings) {
    let who = &told.name;
    let mut last = (told.after, u32::MAX);
    let mut seen = BTreeSet::new();
    // What a journal no longer keeps can't be compared.
    let oldest = known.keys().next().map_or(0, |(index, _)| *index);
    for event in &told.events {
        findings.look();
        let at = place(event);
        if !seen.insert(at) {
            findings.wrong(format!("{who} was told of {at:?} twice: {}", event.text));
        } else if at <= last {
            findings.wrong(format!("{who} was told of {at:?} after {last:?}: {}", event.text));
        }
        last = last.max(at);
        match known.get(&at) {
            Some(kept) if *kept == event => {}
            Some(kept) => findings.wrong(format!("{who} was told {event:?}, and the journal has {kept:?}")),
            None if at.0 < oldest => {}
            None => findings.wrong(format!(
                "{who} was told of {at:?}, which no journal has: {}",
                event.text
            )),
        }
    }
    let due = known.range((told.after.saturating_add(1), 0)..=(told.upto.max(told.after), u32::MAX));
    for (at, event) in due.filter(|(at, _)| **at > (told.after, u32::MAX)) {
        if !seen.contains(at) {
            findings.wrong(format!("{who} was never told of {at:?}: {}", event.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::planted::event;

    fn at(index: u64, sequence: u32) -> Event {
        Event {
            sequence,
            ..event(index, "placed", "a", "n1", "a was placed on n1")
        }
    }

    fn told(events: &[Event]) -> Vec<Told> {
        vec![Told {
            name: "s".to_owned(),
            after: 2,
            upto: 5,
            events: events.to_vec(),
        }]
    }

    #[test]
    fn all_of_it_once_in_order_is_fine() {
        let journal = [at(2, 0), at(3, 0), at(3, 1), at(5, 0), at(9, 0)];
        let findings = check(&told(&journal[1..4]), &journal);
        assert_eq!((findings.looked_at, findings.wrong), (3, Vec::new()));
    }

    #[test]
    fn planted_violations_are_found() {
        let journal = [at(2, 0), at(3, 0), at(3, 1), at(5, 0), at(9, 0)];
        let other = Event {
            text: "something else".to_owned(),
            ..at(5, 0)
        };
        for (events, part) in [
            (vec![at(3, 0), at(3, 1), at(3, 1), at(5, 0)], "twice"),
            (vec![at(3, 1), at(3, 0), at(5, 0)], "after (3, 1)"),
            (vec![at(3, 0), at(5, 0)], "never told of (3, 1)"),
            (vec![at(3, 0), at(3, 1)], "never told of (5, 0)"),
            (vec![at(3, 0), at(3, 1), at(4, 0), at(5, 0)], "no journal has"),
            (vec![at(3, 0), at(3, 1), other], "the journal has"),
            (vec![at(2, 0), at(3, 0), at(3, 1), at(5, 0)], "after (2,"),
        ] {
            let wrong = check(&told(&events), &journal).wrong;
            assert!(wrong.len() == 1 && wrong[0].contains(part), "{part}: {wrong:?}");
        }
    }
}
