//! One record for each takeover (B4), told from the events of the journal: the same on every server, after a restart, and
//! for as long as the events are kept.
//!
//! Nothing is stored beside the events. A record begins with the event by which a unit lost the one that was active,
//! `package-ended` or `package-stranded`, whose id is the record's; [`Fold`] follows the events from there until another one is active, and
//! looks back along their causes for how it came to that. `docs/decisions/0007-failovers-are-told-from-events.md` says why.

mod fold;
mod page;
mod story;
#[cfg(test)]
mod tests;

pub use fold::{Fold, Lookup};
pub use page::{FailoverFilter, FailoverPage, one, read};
pub use story::Cause;

use crate::storage::EventRecord;

/// The place of an event in the order: its index, and its place among those of the index.
pub type EventPlace = (u64, u32);

/// One takeover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The event with which it begins.
    pub id: EventPlace,
    /// What may be active only once: `group:NAME` or `package:NAME`.
    pub unit: String,
    /// The group that the package is of.
    pub group: Option<String>,
    /// How it came to it.
    pub cause: Cause,
    /// The event that says so, in words.
    pub because: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Who was active.
    pub from: Place,
    /// Who is told to be, as soon as that is decided.
    pub to: Option<Place>,
    /// What happened when, in order; never empty.
    pub stages: Vec<Stage>,
    /// What was stopped to make room.
    pub displaced: Vec<Displaced>,
}

/// An instance that was active, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub package: String,
    /// Where.
    pub node: String,
    /// Under which epoch.
    pub epoch: u64,
}

/// What came of a takeover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Another one is active.
    Done,
    /// Not yet; and what it waits for, where that was said.
    UnderWay(Option<String>),
    /// Nobody will be active by it, and why.
    Failed(String),
}

/// Something that was stopped to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// The package.
    pub package: String,
    /// Where it ran.
    pub node: String,
}

/// One step of a takeover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which.
    pub name: StageName,
    /// Cluster time, for lengths.
    pub at_ms: u64,
    /// The leader's wall clock, for people.
    pub wall_ms: u64,
    /// The event that tells of it.
    pub event: EventPlace,
    /// What happened, in words.
    pub text: String,
}

/// The steps of a takeover, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageName {
    /// It became known where it happened, or somebody asked for it.
    Detected,
    /// The manager decided: a log entry.
    Decided,
    /// It may still run on a lost node, and nobody may take over before that is disproved.
    Stranded,
    /// Nothing of the one that was active is left: proven, fenced, or its lease is over.
    Ended,
    /// Another one is told to be active.
    Told,
    /// It is.
    Active,
}

impl StageName {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Decided => "decided",
            Self::Stranded => "stranded",
            Self::Ended => "ended",
            Self::Told => "told",
            Self::Active => "active",
        }
    }
}

impl Failover {
    /// Milliseconds from its first stage to a time in the log.
    #[must_use]
    pub fn since_begin(&self, at_ms: u64) -> u64 {
        at_ms.saturating_sub(self.stages.first().map_or(at_ms, |first| first.at_ms))
    }

    /// How long nobody was active by it, from its first stage on, once another one is.
    #[must_use]
    pub fn total_ms(&self) -> Option<u64> {
        let active = self.stages.iter().find(|stage| stage.name == StageName::Active)?;
        Some(self.since_begin(active.at_ms))
    }

    fn reached(&mut self, name: StageName, record: &EventRecord) {
        // What a daemon saw before it was told cannot be: the clocks of two machines differ by a little.
        let before = self.stages.last().map_or(0, |stage| stage.at_ms);
        self.stages.push(Stage::of(name, record, before));
    }
}

impl Stage {
    fn of(name: StageName, record: &EventRecord, not_before: u64) -> Self {
        Self {
            name,
            at_ms: record.at_ms.max(not_before),
            wall_ms: record.wall_ms,
            event: (record.index, record.sequence),
            text: record.text.clone(),
        }
    }
}
