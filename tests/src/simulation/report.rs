//! Sums over many runs, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::Outcome;

/// Below this a run has not tried what it is for, per simulated hour.
const FAULTS_PER_HOUR_MIN: f64 = 20.0;
/// The same for standbys that took over.
const FAILOVERS_PER_HOUR_MIN: f64 = 5.0;
/// So short runs say nothing about rates.
const HOURS_MIN: f64 = 0.5;

/// Sums.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Runs.
    pub seeds: u64,
    /// Runs that broke an invariant.
    pub failed: u64,
    /// True hours of simulated clusters.
    pub cluster_hours: f64,
    /// Seconds of processor that this took.
    pub core_seconds: f64,
    /// Seconds that passed.
    pub wall_seconds: f64,
    /// Simulated hours in an hour of one core.
    pub cluster_hours_per_core_hour: f64,
    /// Events.
    pub events: u64,
    /// Commands in logs.
    pub commands: u64,
    /// Commands whose outcome clients were told.
    pub acknowledged: u64,
    /// Elections that were won.
    pub leader_changes: u64,
    /// Standbys that took over.
    pub failovers: u64,
    /// Sessions that were lost.
    pub sessions_lost: u64,
    /// The longest healing, in leases' own milliseconds.
    pub healing_ms_max: u64,
    /// Faults, by kind.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, outcome: &Outcome, took: Duration) {
        self.seeds += 1;
        self.failed += u64::from(outcome.violation.is_some());
        self.cluster_hours += outcome.simulated_ns as f64 / 3.6e12;
        self.core_seconds += took.as_secs_f64();
        self.events += outcome.events;
        self.commands += outcome.commands;
        self.acknowledged += outcome.acknowledged;
        self.leader_changes += outcome.leader_changes;
        self.failovers += outcome.failovers;
        self.sessions_lost += outcome.sessions_lost;
        self.healing_ms_max = self.healing_ms_max.max(outcome.healed_ns.unwrap_or(0) / 1_000_000);
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }

    /// Adds what another worker did.
    pub fn merge(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.failed += other.failed;
        self.cluster_hours += other.cluster_hours;
        self.core_seconds += other.core_seconds;
        self.events += other.events;
        self.commands += other.commands;
        self.acknowledged += other.acknowledged;
        self.leader_changes += other.leader_changes;
        self.failovers += other.failovers;
        self.sessions_lost += other.sessions_lost;
        self.healing_ms_max = self.healing_ms_max.max(other.healing_ms_max);
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
    }

    /// To be called before it is printed.
    pub fn finish(&mut self, wall: Duration) {
        self.wall_seconds = wall.as_secs_f64();
        if self.core_seconds > 0.0 {
            self.cluster_hours_per_core_hour = self.cluster_hours / (self.core_seconds / 3600.0);
        }
    }

    /// Why the run proves too little, where it does.
    #[must_use]
    pub fn too_few(&self) -> Option<String> {
        if self.cluster_hours < HOURS_MIN {
            return None;
        }
        let faults: u64 = self.faults.values().sum();
        let per_hour = |count: u64| count as f64 / self.cluster_hours;
        let (faults, failovers) = (per_hour(faults), per_hour(self.failovers));
        (faults < FAULTS_PER_HOUR_MIN || failovers < FAILOVERS_PER_HOUR_MIN).then(|| {
            format!(
                "only {faults:.1} faults and {failovers:.1} failovers in a simulated hour; at least \
                 {FAULTS_PER_HOUR_MIN} and {FAILOVERS_PER_HOUR_MIN} are wanted"
            )
        })
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<32} {value:>14}");
        };
        row("seeds", self.seeds.to_string());
        row("failed", self.failed.to_string());
        row("cluster-hours", format!("{:.2}", self.cluster_hours));
        row("wall seconds", format!("{:.1}", self.wall_seconds));
        row("core seconds", format!("{:.1}", self.core_seconds));
        row(
            "cluster-hours per core hour",
            format!("{:.0}", self.cluster_hours_per_core_hour),
        );
        row("events", self.events.to_string());
        row("commands", self.commands.to_string());
        row("acknowledged to clients", self.acknowledged.to_string());
        row("leader changes", self.leader_changes.to_string());
        row("failovers", self.failovers.to_string());
        row("sessions lost", self.sessions_lost.to_string());
        row("longest healing, ms", self.healing_ms_max.to_string());
        let faults: u64 = self.faults.values().sum();
        row("faults", faults.to_string());
        for (kind, count) in &self.faults {
            row(&format!("  {kind}"), count.to_string());
        }
        text
    }
}
