//! What is counted while the server works. What can be looked up when somebody asks is not here: `api/metrics.rs` puts both
//! together.
//!
//! **Invariant:** to count is a few atomic additions, never a wait. Every label has few values, all known beforehand: what a
//! client sends never becomes one.

mod latency;

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

pub use latency::Latency;

/// One label and its value.
pub type Label = [(&'static str, &'static str); 1];

/// Things that end in one of a few ways, each of which has its counter from the start.
#[derive(Clone, Debug)]
pub struct Outcomes {
    family: Family<Label, Counter>,
    counters: Vec<(&'static str, Counter)>,
}

impl Outcomes {
    fn new(names: &[&'static str]) -> Self {
        let family = Family::<Label, Counter>::default();
        let counter = |name: &&'static str| (*name, family.get_or_create_owned(&[("outcome", *name)]));
        let counters = names.iter().map(counter).collect();
        Self { family, counters }
    }

    /// Counts one that ended so.
    pub fn count(&self, name: &str) {
        if let Some((_, counter)) = self.counters.iter().find(|(it, _)| *it == name) {
            counter.inc();
        }
    }
}

/// The counters of a server. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Metrics {
    proposals: Outcomes,
    proposal: Latency,
    renewals: Outcomes,
    renewal: Latency,
    unanswered: Latency,
}

impl Metrics {
    /// A server's, at nought.
    #[must_use]
    pub fn new() -> Self {
        Self {
            proposals: Outcomes::new(&["accepted", "refused", "no-leader", "overloaded", "unknown", "failed"]),
            proposal: Latency::quick(),
            renewals: Outcomes::new(&[
                "granted",
                "not-leader",
                "session-ended",
                "no-quorum",
                "unheard",
                "overloaded",
            ]),
            renewal: Latency::quick(),
            unanswered: Latency::quick(),
        }
    }

    /// A proposal of this server has its answer.
    pub fn proposed(&self, outcome: &str, time: Duration) {
        self.proposals.count(outcome);
        self.proposal.took(time);
    }

    /// A renewal has its answer, as leader.
    pub fn renewed(&self, outcome: &str, time: Duration) {
        self.renewals.count(outcome);
        self.renewal.took(time);
    }

    /// For so long a daemon had asked in vain, by its own clock, before its renewal was granted.
    pub fn unanswered(&self, time: Duration) {
        self.unanswered.took(time);
    }

    /// Adds all of them to what is answered.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "proposals",
            "Commands that this server proposed, by what came of it",
            self.proposals.family.clone(),
        );
        registry.register_with_unit(
            "proposal",
            "Time from a proposal to its answer",
            Unit::Seconds,
            self.proposal.clone(),
        );
        registry.register(
            "renewals",
            "Renewals of leases that asked this server as leader, by what came of it",
            self.renewals.family.clone(),
        );
        registry.register_with_unit(
            "renewal",
            "Time from a renewal's arrival at the leader to its answer",
            Unit::Seconds,
            self.renewal.clone(),
        );
        registry.register_with_unit(
            "renewal_unanswered",
            "For how long a daemon had asked in vain, by its own clock, before its renewal was granted",
            Unit::Seconds,
            self.unanswered.clone(),
        );
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
