//! I3 and a part of I20: every active interval that a program saw is in the committed log as an activation of exactly
//! that package, node and epoch.

use std::collections::BTreeSet;

use anyhow::bail;
use client::wire::event::Event;

use crate::witness::Interval;

/// Looks for the activation of each interval among the journal's events.
///
/// # Errors
/// The interval that no event announces.
pub fn check(intervals: &[Interval], events: &[Event]) -> anyhow::Result<()> {
    let announced: BTreeSet<(&str, &str, u64)> = events
        .iter()
        .filter_map(|event| {
            let package = event.resource.strip_prefix("package:")?;
            Some((package, event.node.as_deref()?, epoch_in(&event.text)?))
        })
        .collect();
    for interval in intervals {
        if !announced.contains(&(interval.package.as_str(), interval.node.as_str(), interval.epoch)) {
            bail!("I3: no event of the journal announces {interval:?}");
        }
    }
    Ok(())
}

/// The number after the word `epoch`: events say it for people, and people compare it with what a program logged.
pub(super) fn epoch_in(text: &str) -> Option<u64> {
    let mut words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.find(|word| *word == "epoch")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::{intervals, parse};

    fn event(text: &str) -> Event {
        Event {
            index: 1,
            sequence: 0,
            time: String::new(),
            at_ms: 0,
            resource: "package:a".to_owned(),
            kind: "activated".to_owned(),
            node: Some("n1".to_owned()),
            severity: "info".to_owned(),
            cause: None,
            text: text.to_owned(),
        }
    }

    #[test]
    fn an_announced_activation_is_fine_and_a_planted_one_is_found() {
        let seen = intervals(&parse("1 active u a n1 5 17\n").expect("records"));
        check(&seen, &[event("a is to become active on n1 (epoch 17)")]).expect("announced");
        assert!(check(&seen, &[event("a is to become active on n1 (epoch 16)")]).is_err());
        assert!(check(&seen, &[]).is_err());
    }
}
