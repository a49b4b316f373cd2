//! Figures: percentiles, tables for people, and a JSON file for programs.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

/// Some figures of one kind, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    sorted: Vec<u64>,
}

impl Sample {
    /// Takes figures in any order.
    #[must_use]
    pub fn new(mut figures: Vec<u64>) -> Self {
        figures.sort_unstable();
        Self { sorted: figures }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The smallest figure that at least so many per mille of all do not exceed; 0 where there is none.
    #[must_use]
    pub fn per_mille(&self, per_mille: usize) -> u64 {
        let rank = (self.sorted.len() * per_mille).div_ceil(1000).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or(0)
    }

    /// The largest.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.sorted.last().copied().unwrap_or(0)
    }

    /// The smallest.
    #[must_use]
    pub fn min(&self) -> u64 {
        self.sorted.first().copied().unwrap_or(0)
    }
}

/// Prints a table with right-aligned columns under a heading.
pub fn print_table(title: &str, columns: &[&str], rows: &[Vec<String>]) {
    let width = |n: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(n))
            .map(|cell| cell.chars().count());
        cells
            .chain(columns.get(n).map(|c| c.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(n, cell)| format!("{cell:>width$}", width = width(n)))
            .collect();
        println!("{}", padded.join("  ").trim_end());
    };
    println!("\n{title}");
    line(&columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
}

/// Measures something so many times, in microseconds, and says each figure as it comes.
///
/// # Errors
/// Of what is measured.
pub fn repeat(name: &str, runs: usize, mut once: impl FnMut() -> anyhow::Result<u64>) -> anyhow::Result<Vec<u64>> {
    let mut figures = Vec::new();
    for run in 1..=runs {
        let us = once()?;
        eprintln!("{name}, {run} of {runs}: {} ms", milliseconds(us));
        figures.push(us);
    }
    Ok(figures)
}

/// Microseconds as milliseconds, for a table.
#[must_use]
pub fn milliseconds(us: u64) -> String {
    format!("{:.1}", us as f64 / 1000.0)
}

/// How busy the machine was before and is now.
pub fn print_load(before: &Value) {
    println!(
        "machine load before {}, after {}",
        before["load_average"],
        machine()["load_average"]
    );
}

/// The machine and how busy it is, for the head of every report.
#[must_use]
pub fn machine() -> Value {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({ "cores": cores, "load_average": load.trim(), "kernel": kernel.trim() })
}

/// Writes a report beside the build and says where.
///
/// # Errors
/// Where it can't be written.
pub fn save(name: &str, report: &Value) -> anyhow::Result<()> {
    let mut path = std::env::current_exe()?;
    path.pop();
    let directory = std::env::var_os("PACELINE_BENCH_DIR").map_or_else(|| path.join("bench-results"), PathBuf::from);
    fs::create_dir_all(&directory)?;
    let file = directory.join(format!("{name}.json"));
    fs::write(&file, serde_json::to_string_pretty(report)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    println!("\nas JSON: {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_figures_that_were_measured() {
        let sample = Sample::new((1..=100).rev().collect());
        assert_eq!(
            (sample.per_mille(500), sample.per_mille(990), sample.max(), sample.min()),
            (50, 99, 100, 1)
        );
        assert_eq!(Sample::new(Vec::new()).per_mille(500), 0);
    }
}
