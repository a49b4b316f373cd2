//! I7: nothing starts on a node that has had no quorum for T, and after the loss of the quorum every `stop` package is gone
//! within T + K.

use std::collections::{BTreeMap, BTreeSet};

use server::daemon::recording::{Line, What};
use server::timers::KILL_MS;

use super::findings::Findings;
use super::lease_covers::MS;
use super::sight::{Cut, ProcessSight, Role};
use crate::witness::{Interval, Kind, Record};

/// No process begins on a node whose last answered renewal was sent more than its lease ago.
pub fn check_starts(records: &[Record], lines: &[Line]) -> Findings {
    let mut grants: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for line in lines {
        if let What::Answered { sent_ns, lease_ms } = line.what {
            let of_node = grants.entry(&line.node).or_default();
            // The latest end that any answer so far has brought.
            let until = of_node
                .last()
                .map_or(0, |(_, until)| *until)
                .max(sent_ns + lease_ms * MS);
            of_node.push((line.at_ns, until));
        }
    }
    let mut findings = Findings::default();
    for record in records.iter().filter(|r| r.kind == Kind::Start) {
        let Some(of_node) = grants.get(record.node.as_str()) else {
            continue;
        };
        findings.look();
        let place = of_node.partition_point(|(answered, _)| *answered <= record.at_ns);
        let until = place
            .checked_sub(1)
            .and_then(|p| of_node.get(p))
            .map_or(0, |(_, until)| *until);
        // It was told to begin before the lease ended, and is killed with it: that takes K at most.
        if record.at_ns > until + KILL_MS * MS {
            findings.wrong(format!(
                "it began {:.1} ms after the node's lease had ended: {record}",
                (record.at_ns - until) as f64 / 1e6
            ));
        }
    }
    findings
}

/// Within T + K of a cut everything of the `stop` packages is gone, and nothing of them begins. `free` ones are left out.
pub fn check_cuts(
    cuts: &[Cut],
    lease_ms: u64,
    intervals: &[Interval],
    processes: &[ProcessSight],
    free: &BTreeSet<String>,
) -> Findings {
    let mut findings = Findings::default();
    for cut in cuts {
        let gone_ns = cut.from_ns + (lease_ms + KILL_MS) * MS;
        for interval in intervals
            .iter()
            .filter(|i| i.node == cut.node && !free.contains(&i.package))
        {
            if interval.from_ns >= cut.until_ns || interval.until_ns <= cut.from_ns {
                continue;
            }
            findings.look();
            let last = interval.until_ns.min(cut.until_ns);
            if last > gone_ns {
                findings.wrong(format!(
                    "it was active {:.1} ms after the quorum was lost, {lease_ms} + {KILL_MS} are allowed: {interval:?}",
                    (last - cut.from_ns) as f64 / 1e6
                ));
            }
        }
        for process in processes
            .iter()
            .filter(|p| p.role == Role::Package && p.node == cut.node)
        {
            if free.contains(&process.package) || process.at_ns <= cut.from_ns || process.at_ns >= cut.until_ns {
                continue;
            }
            findings.look();
            if process.at_ns > gone_ns {
                findings.wrong(format!(
                    "process {} of {} on {} was alive {:.1} ms after the quorum was lost",
                    process.pid,
                    process.package,
                    cut.node,
                    (process.at_ns - cut.from_ns) as f64 / 1e6
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::planted::{answered, interval};
    use crate::witness::parse;

    fn started(at_ms: u64) -> Findings {
        let records = parse(&format!("{} start u a n1 5 7\n", at_ms * MS)).expect("records");
        check_starts(&records, &[answered("n1", 1_000, 1_005, 1_000)])
    }

    #[test]
    fn a_start_under_a_lease_is_fine_and_a_planted_late_one_is_found() {
        assert_eq!(started(1_500).wrong, Vec::<String>::new());
        assert_eq!(started(2_101).wrong.len(), 1);
        assert_eq!(started(900).wrong.len(), 1);
    }

    fn cut(until_ms: u64) -> Findings {
        let cuts = [Cut {
            node: "n1".to_owned(),
            from_ns: 1_000 * MS,
            until_ns: 9_000 * MS,
        }];
        let intervals = [interval("u", "a", "n1", 7, 500, until_ms)];
        check_cuts(&cuts, 1_000, &intervals, &[], &BTreeSet::new())
    }

    #[test]
    fn an_end_in_time_is_fine_and_a_planted_survivor_is_found() {
        assert_eq!((cut(2_100).looked_at, cut(2_100).wrong.len()), (1, 0));
        assert_eq!(cut(2_101).wrong.len(), 1);
    }
}
