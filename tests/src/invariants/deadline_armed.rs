//! I22: every instant of an active interval lies under a recorded epoch and an armed deadline.
//!
//! The epoch is in the session's record before the program is started or told; the supervisor's kernel timer is armed
//! with the start and moved on in time. Both as the daemon wrote down before it did it.

use std::collections::BTreeMap;

use server::daemon::recording::{Line, What};
use server::timers::KILL_MS;

use super::findings::Findings;
use super::lease_covers::MS;
use crate::witness::Interval;

/// What a daemon did about one package on one node, in order of time, CLOCK_MONOTONIC throughout.
#[derive(Debug, Default)]
struct Instance {
    /// The highest epoch in the record from then on.
    recorded: Vec<(u64, u64)>,
    /// When a process was started or told, under which epoch.
    told: Vec<(u64, u64)>,
    /// When a deadline was armed, and which; none: it has none. A start begins a new row of deadlines.
    armed: Vec<(u64, bool, Option<u64>)>,
}

/// Checks the intervals of instances that the daemons' recordings tell of.
pub fn check(intervals: &[Interval], lines: &[Line]) -> Findings {
    let instances = read(lines);
    let mut findings = Findings::default();
    for interval in intervals {
        let Some(instance) = instances.get(&(interval.node.as_str(), interval.package.as_str())) else {
            continue;
        };
        findings.look();
        if let Err(text) = instance.covers(interval) {
            findings.wrong(format!("{text}: {interval:?}"));
        }
    }
    findings
}

fn read(lines: &[Line]) -> BTreeMap<(&str, &str), Instance> {
    let mut instances: BTreeMap<(&str, &str), Instance> = BTreeMap::new();
    for line in lines {
        let node = line.node.as_str();
        // A deadline is on CLOCK_BOOTTIME, which runs beside CLOCK_MONOTONIC but for times of suspension.
        let on_monotonic = |deadline_ns: u64| (deadline_ns + line.at_ns).saturating_sub(line.boot_ns);
        match &line.what {
            What::Recorded { epochs } => {
                for (package, epoch) in epochs {
                    let instance = instances.entry((node, package)).or_default();
                    instance.recorded.push((line.at_ns, *epoch));
                }
            }
            What::Spawning {
                package,
                epoch,
                deadline_ns,
                ..
            } => {
                let instance = instances.entry((node, package)).or_default();
                instance.told.push((line.at_ns, *epoch));
                instance.armed.push((line.at_ns, true, deadline_ns.map(on_monotonic)));
            }
            What::Telling { package, epoch, .. } => {
                let instance = instances.entry((node, package)).or_default();
                instance.told.push((line.at_ns, *epoch));
            }
            What::Arming { package, deadline_ns } => {
                let instance = instances.entry((node, package)).or_default();
                instance
                    .armed
                    .push((line.at_ns, false, Some(on_monotonic(*deadline_ns))));
            }
            _ => {}
        }
    }
    instances
}

impl Instance {
    fn covers(&self, interval: &Interval) -> Result<(), String> {
        let before = |list: &[(u64, u64)]| {
            let end = list.partition_point(|(at, _)| *at <= interval.from_ns);
            list[..end].iter().any(|(_, epoch)| *epoch >= interval.epoch)
        };
        if !before(&self.recorded) {
            return Err("its epoch was not in the record before it became active".to_owned());
        }
        if !before(&self.told) {
            return Err("nobody was told of its epoch before it became active".to_owned());
        }
        let end = self.armed.partition_point(|(at, _, _)| *at <= interval.from_ns);
        let Some(start) = self.armed[..end].iter().rposition(|(_, is_start, _)| *is_start) else {
            return Err("no start of its process was recorded".to_owned());
        };
        let slack = KILL_MS * MS;
        let Some(mut covered) = self.armed[start].2 else {
            return Ok(());
        };
        for (at, is_start, deadline) in &self.armed[start + 1..] {
            if *at > interval.until_ns || *is_start {
                break;
            }
            if *at > covered + slack && *at > interval.from_ns {
                return Err(format!("no deadline was armed from {covered} to {at}"));
            }
            covered = covered.max(deadline.unwrap_or(u64::MAX));
        }
        if interval.until_ns > covered + slack {
            return Err(format!(
                "it was active {:.1} ms after the last deadline that was armed",
                (interval.until_ns - covered) as f64 / 1e6
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::planted::{interval, line};

    fn story(epoch: u64, armed_ms: &[(u64, u64)]) -> Vec<Line> {
        let package = || "a".to_owned();
        let epochs = BTreeMap::from([(package(), epoch)]);
        let mut lines = vec![
            line("n1", 1, What::Recorded { epochs }),
            line(
                "n1",
                2,
                What::Spawning {
                    package: package(),
                    epoch: 7,
                    mode: "active".to_owned(),
                    deadline_ns: Some(1_000 * MS),
                },
            ),
        ];
        lines.extend(armed_ms.iter().map(|(at, deadline)| {
            let deadline_ns = *deadline * MS;
            line(
                "n1",
                *at,
                What::Arming {
                    package: package(),
                    deadline_ns,
                },
            )
        }));
        lines
    }

    fn wrong(until_ms: u64, lines: &[Line]) -> usize {
        check(&[interval("u", "a", "n1", 7, 10, until_ms)], lines).wrong.len()
    }

    #[test]
    fn an_interval_under_armed_deadlines_is_fine() {
        assert_eq!(wrong(1_900, &story(7, &[(500, 1_500), (1_400, 2_400)])), 0);
    }

    #[test]
    fn a_planted_end_after_the_deadline_is_found() {
        assert_eq!(wrong(1_100, &story(7, &[])), 0);
        assert_eq!(wrong(1_101, &story(7, &[])), 1);
    }

    #[test]
    fn a_planted_gap_between_deadlines_is_found() {
        assert_eq!(wrong(1_900, &story(7, &[(1_200, 2_200)])), 1);
    }

    #[test]
    fn a_planted_epoch_that_was_not_recorded_is_found() {
        assert_eq!(wrong(900, &story(6, &[])), 1);
    }
}
