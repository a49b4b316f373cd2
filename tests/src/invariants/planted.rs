//! Small pieces of evidence for the tests of the checks, in milliseconds.

use client::wire::event::Event;
use server::daemon::recording::{Line, What};

use super::lease_covers::MS;
use crate::witness::Interval;

/// An active interval.
pub fn interval(unit: &str, package: &str, node: &str, epoch: u64, from_ms: u64, until_ms: u64) -> Interval {
    Interval {
        unit: unit.to_owned(),
        package: package.to_owned(),
        node: node.to_owned(),
        pid: 1,
        epoch,
        from_ns: from_ms * MS,
        until_ns: until_ms * MS,
        ended: false,
    }
}

/// A line of a daemon's recording.
pub fn line(node: &str, at_ms: u64, what: What) -> Line {
    Line {
        at_ns: at_ms * MS,
        boot_ns: at_ms * MS,
        node: node.to_owned(),
        pid: 1,
        what,
    }
}

/// An answered renewal.
pub fn answered(node: &str, sent_ms: u64, at_ms: u64, lease_ms: u64) -> Line {
    let sent_ns = sent_ms * MS;
    line(node, at_ms, What::Answered { sent_ns, lease_ms })
}

/// An event of the journal about a package.
pub fn event(index: u64, kind: &str, package: &str, node: &str, text: &str) -> Event {
    Event {
        index,
        sequence: 0,
        time: String::new(),
        at_ms: 0,
        resource: format!("package:{package}"),
        kind: kind.to_owned(),
        node: Some(node.to_owned()),
        severity: "info".to_owned(),
        cause: None,
        text: text.to_owned(),
    }
}
