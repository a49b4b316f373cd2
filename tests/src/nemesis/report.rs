//! What a run did and what came of it, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::fault::{Fault, Outcome};

/// How often a kind of fault came out in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    installed: u64,
    skipped: u64,
    indeterminate: u64,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    faults: BTreeMap<String, Count>,
    /// Rounds that ended healed.
    pub rounds: u64,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Active intervals that programs saw.
    pub activations: usize,
    /// Nodes that were declared lost.
    pub takeovers: usize,
    /// The last term less the first.
    pub terms: u64,
    /// What is wrong.
    pub violations: Vec<String>,
}

impl Report {
    /// Counts a fault.
    pub fn note(&mut self, fault: &Fault, outcome: &Outcome) {
        let count = self.faults.entry(fault.kind()).or_default();
        match outcome {
            Outcome::Installed => count.installed += 1,
            Outcome::Skipped(_) => count.skipped += 1,
            Outcome::Indeterminate(_) => count.indeterminate += 1,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18}{:>10}{:>10}{:>15}",
            "fault", "installed", "skipped", "indeterminate"
        )?;
        let mut all = Count::default();
        for (kind, count) in &self.faults {
            writeln!(
                f,
                "{kind:<18}{:>10}{:>10}{:>15}",
                count.installed, count.skipped, count.indeterminate
            )?;
            all.installed += count.installed;
            all.skipped += count.skipped;
            all.indeterminate += count.indeterminate;
        }
        writeln!(
            f,
            "{:<18}{:>10}{:>10}{:>15}",
            "all", all.installed, all.skipped, all.indeterminate
        )?;
        writeln!(
            f,
            "{} rounds, {} activations, {} nodes declared lost, {} terms, {} acknowledged writes, {} violations",
            self.rounds,
            self.activations,
            self.takeovers,
            self.terms,
            self.acknowledged,
            self.violations.len()
        )?;
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_by_outcome() {
        let mut report = Report::default();
        report.note(&Fault::KillNode("n1"), &Outcome::Installed);
        report.note(
            &Fault::KillNode("n2"),
            &Outcome::Skipped("nothing of it runs".to_owned()),
        );
        let text = report.to_string();
        let line: Vec<&str> = text
            .lines()
            .find(|l| l.starts_with("KillNode"))
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(line, ["KillNode", "1", "1", "0"]);
    }
}
