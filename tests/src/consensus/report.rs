//! What came of a run.

use std::collections::BTreeMap;
use std::fmt;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The first thing that must not be.
    pub violation: Option<String>,
    /// A hash of all that happened.
    pub trace: u64,
    /// Simulated seconds.
    pub seconds: f64,
    /// Events.
    pub events: u64,
    /// Messages among servers.
    pub messages: u64,
    /// Commands applied.
    pub commands: u64,
    /// Log entries applied.
    pub entries: u64,
    /// Commands of clients that were acknowledged.
    pub acknowledged: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Renewals that were granted.
    pub renewals: u64,
    /// Sessions declared lost.
    pub lost: u64,
    /// Leaders, one a term.
    pub leaders: u64,
    /// Snapshots sent to another server.
    pub snapshots_sent: u64,
    /// How long it took to heal, in milliseconds.
    pub healed_ms: u64,
    /// Faults and what else is counted, by kind.
    pub counts: BTreeMap<String, u64>,
}

impl Report {
    /// Counts how close a lease came to its end before it was renewed.
    pub fn count_lease(&mut self, left: u64, soft: u64) {
        if left == 0 {
            self.count("lease ended");
        } else if left < soft {
            self.count("soft stop begun");
        }
    }

    /// Counts something.
    pub fn count(&mut self, kind: &str) {
        if let Some(count) = self.counts.get_mut(kind) {
            *count += 1;
        } else {
            self.counts.insert(kind.to_owned(), 1);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "trace={:016x} seconds={:.1} events={} messages={} commands={} entries={} acknowledged={} reads={} renewals={} lost={} \
             leaders={} snapshots_sent={} healed_ms={}",
            self.trace,
            self.seconds,
            self.events,
            self.messages,
            self.commands,
            self.entries,
            self.acknowledged,
            self.reads,
            self.renewals,
            self.lost,
            self.leaders,
            self.snapshots_sent,
            self.healed_ms
        )?;
        for (kind, count) in &self.counts {
            write!(f, " {}={count}", kind.replace(' ', "_"))?;
        }
        Ok(())
    }
}
