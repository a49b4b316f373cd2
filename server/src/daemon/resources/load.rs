//! The node's load, measured again and again: as the kernel counts it, or as a program of the operator says.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::config::{Measure, MeasureWord};
use crate::daemon::event::DaemonEvent;

/// How often the kernel is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// A program that takes longer is ended.
const PROGRAM_LIMIT: Duration = Duration::from_secs(10);
/// More is no load.
const OUTPUT_BYTES_MAX: usize = 64 * 1_024;

/// Measures for ever; where the node file says so not at all.
pub(super) async fn measure(how: Measure, capacity: BTreeMap<String, u64>, events: mpsc::Sender<DaemonEvent>) {
    let mut last = None;
    let mut failed = false;
    loop {
        let (found, interval) = match &how {
            Measure::Word(MeasureWord::None) => return,
            Measure::Program { exec, interval } => (run(exec).await, Duration::from_millis(interval.ms)),
            Measure::Word(MeasureWord::Machine) | Measure::Machine => (of_machine(&mut last, &capacity), INTERVAL),
        };
        match found {
            Ok(load) => {
                failed = false;
                if !load.is_empty() && events.send(DaemonEvent::Measured(load)).await.is_err() {
                    return;
                }
            }
            Err(error) if !failed => {
                failed = true;
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the node's load can't be measured; it is tried again"
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(interval).await;
    }
}

/// Ticks of all processors: busy, and all.
type Ticks = (u64, u64);

/// Since the last look. Of the processors what is neither idle nor waits for a disk; of the memory what is not available.
fn of_machine(last: &mut Option<Ticks>, capacity: &BTreeMap<String, u64>) -> anyhow::Result<BTreeMap<String, u64>> {
    let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let now = ticks(&stat).context("/proc/stat has no line of all processors")?;
    let meminfo = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let before = last.replace(now);
    let mut load = BTreeMap::new();
    if let (Some(before), Some(capacity)) = (before, capacity.get("cpu")) {
        let (busy, all) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        load.extend(part(*capacity, busy, all).map(|cpu| ("cpu".to_owned(), cpu)));
    }
    if let (Some((used, all)), Some(capacity)) = (memory(&meminfo), capacity.get("memory")) {
        load.extend(part(*capacity, used, all).map(|memory| ("memory".to_owned(), memory)));
    }
    Ok(load)
}

/// So much of the capacity, rounded down: a node that is idle for a moment is not at its limit.
fn part(capacity: u64, used: u64, all: u64) -> Option<u64> {
    let amount = (u128::from(capacity) * u128::from(used)).checked_div(u128::from(all))?;
    u64::try_from(amount).ok()
}

fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal: proc(5). What guests use is in user already.
    let fields: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let all: u64 = fields.iter().sum();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    (fields.len() == 8).then_some((all.saturating_sub(idle), all))
}

fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let kib = |key: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let (all, available) = (kib("MemTotal:")?, kib("MemAvailable:")?);
    Some((all.saturating_sub(available), all))
}

async fn run(command: &[String]) -> anyhow::Result<BTreeMap<String, u64>> {
    let (program, arguments) = command.split_first().context("load.exec names no program")?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| program.clone())?;
    let output = tokio::time::timeout(PROGRAM_LIMIT, child.wait_with_output())
        .await
        .with_context(|| format!("{program} did not end within {} s", PROGRAM_LIMIT.as_secs()))?
        .with_context(|| program.clone())?;
    anyhow::ensure!(output.status.success(), "{program}: {}", output.status);
    anyhow::ensure!(
        output.stdout.len() <= OUTPUT_BYTES_MAX,
        "{program} printed more than {OUTPUT_BYTES_MAX} bytes"
    );
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{program}: expected one JSON object of integers, like {{\"cpu\": 900}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counters_become_parts_of_the_capacity() {
        let stat = "cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(ticks(stat), Some((20, 100)));
        assert_eq!(ticks("cpu  10 0\n"), None);
        assert_eq!(
            memory("MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\n"),
            Some((60, 100))
        );
        assert_eq!(part(2_000, 99, 100), Some(1_980));
        assert_eq!(part(2_000, 0, 0), None);
    }

    #[test]
    fn this_machine_has_a_load() {
        let capacity = BTreeMap::from([("cpu".to_owned(), 1_000), ("memory".to_owned(), 1_000)]);
        let mut last = None;
        let first = of_machine(&mut last, &capacity).unwrap();
        assert!(!first.contains_key("cpu") && first["memory"] <= 1_000, "{first:?}");
        // Since the machine began.
        let mut last = Some((0, 0));
        let second = of_machine(&mut last, &capacity).unwrap();
        assert!(second["cpu"] <= 1_000, "{second:?}");
    }
}
