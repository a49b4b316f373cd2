//! What must hold in every run, a file per property; names and numbers are those of `docs/SAFETY.md`.
//!
//! Each property is a function over plain data, so that a planted violation can be given to it: every file ends with
//! a test in which it must find one. [`check_all`] runs every check for which the [`Evidence`] is there, and its
//! [`Verdict`] says on how much each looked, since a check without evidence shows nothing. All are O(n log n).

pub mod acked_survives;
pub mod activation_logged;
pub mod applied_once;
pub mod bounded;
pub mod deadline_armed;
pub mod epoch_grows;
pub mod evidence;
pub mod findings;
pub mod heals;
pub mod journal_is_true;
pub mod lease_covers;
pub mod linearizable;
pub mod nothing_orphaned;
pub mod old_session_gone;
pub mod one_leader;
pub mod placed_lawfully;
#[cfg(test)]
pub(crate) mod planted;
pub mod quorum_loss;
pub mod reason_left;
pub mod replicas_agree;
pub mod seen_once;
pub mod sight;
pub mod single_active;
pub mod takeover_waits;
pub mod target;
pub mod test_stays_inactive;
pub mod tokens_grow;
pub mod verdict;
pub mod watcher;

use std::collections::BTreeSet;
use std::path::Path;

use client::wire::event::Event;

pub use evidence::Evidence;
pub use findings::Findings;
pub use seen_once::Told;
pub use sight::{Cut, Ended, ProcessSight, Quiet, Sight, StateSight};
pub use target::Target;
pub use verdict::{Checked, Verdict, Violation};
pub use watcher::{Seen, Watcher};

use crate::witness::{Record, intervals};

/// The lease of a cluster that sets none.
const LEASE_DEFAULT_MS: u64 = 1_000;

/// Runs every check for which there is evidence.
pub fn check_all(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let seen = intervals(&evidence.records);
    let free = without_deadline(evidence);
    check_programs(evidence, &mut verdict);
    let events = evidence.events();
    if !events.is_empty() {
        let logged = activation_logged::check(&seen, events);
        verdict.note("I3", "active intervals", Findings::of(seen.len(), logged));
    }
    let lines = &evidence.recordings;
    verdict.note("I4", "active intervals", lease_covers::check(&seen, lines, &free));
    verdict.note("I5", "takeovers", takeover_waits::check(&seen, events, lines));
    let sessions = old_session_gone::check(&evidence.records, &evidence.processes, events, lines);
    verdict.note("I6", "records and processes", sessions);
    verdict.note("I7", "starts", quorum_loss::check_starts(&evidence.records, lines));
    let cuts = quorum_loss::check_cuts(&evidence.cuts, lease_ms(evidence), &seen, &evidence.processes, &free);
    verdict.note("I7", "intervals and processes in cuts", cuts);
    for (writes, now) in &evidence.writes {
        for attributes in now {
            let survived = acked_survives::check(writes, attributes, acked_survives::NOTHING_LATER);
            verdict.note("I10", "writes", Findings::of(writes.len(), survived));
        }
    }
    let agreed = replicas_agree::check(&evidence.sights);
    verdict.note("I11", "answers of servers", Findings::of(evidence.sights.len(), agreed));
    verdict.note("I12", "answers of servers", one_leader::check(&evidence.sights));
    let placed = placed_lawfully::check(&evidence.states, evidence.config.as_ref(), &redefined(events));
    verdict.note("I13", "committed states", placed);
    let tests = test_stays_inactive::check(&evidence.records, &evidence.states);
    verdict.note("I14", "instances in test", tests);
    let quiet = one_leader::check_quiet(&evidence.quiet, &evidence.sights);
    verdict.note("I15", "answers while nothing was broken", quiet);
    verdict.note("I16", "sights of processes", bounded::check(&evidence.processes));
    verdict.note("I18", "ends of processes", reason_left::check(&evidence.ended));
    let told_until = events.partition_point(|event| event.index <= evidence.told_until);
    let told = journal_is_true::check(&evidence.records, &seen, &events[..told_until], events);
    let subscribed = seen_once::check(&evidence.told, events);
    verdict.note("I19", "events told to subscribers", subscribed);
    verdict.note("I20", "activations in the journal", told);
    let tested = journal_is_true::check_tests(&evidence.records, &events[..told_until]);
    verdict.note("I20", "tests in the journal", tested);
    let same = journal_is_true::check_servers(&evidence.journals);
    verdict.note("I20", "events of every server", same);
    let orphans = nothing_orphaned::check(&evidence.processes);
    verdict.note("I21", "sights of processes", orphans);
    verdict.note("I22", "active intervals", deadline_armed::check(&seen, lines));
    check_histories(evidence, &mut verdict);
    verdict
}

/// Runs every check, and where something is wrong keeps the evidence in the run's directory.
///
/// # Errors
/// Every violation.
pub fn judge(evidence: &Evidence, directory: &Path) -> anyhow::Result<Verdict> {
    let verdict = check_all(evidence);
    if !verdict.violations.is_empty() {
        evidence.keep(directory)?;
    }
    verdict.sound()
}

fn check_histories(evidence: &Evidence, verdict: &mut Verdict) {
    for history in &evidence.histories {
        match history.operations() {
            Err(error) => verdict.note("I9", "operations", Findings::of(0, Err(error))),
            Ok(operations) => {
                let ordered = linearizable::by_index(&operations);
                verdict.note("I9", "operations by index", ordered);
                verdict.note("I9", "operations by search", linearizable::by_search(&operations));
                verdict.note("I10", "repeated requests", applied_once::check(&operations));
            }
        }
    }
}

/// Packages whose definition has changed on the way: earlier states can't be held to the last one.
fn redefined(events: &[Event]) -> BTreeSet<String> {
    let changed = events.iter().filter(|event| event.kind == "package-changed");
    changed
        .filter_map(|event| Some(event.resource.strip_prefix("package:")?.to_owned()))
        .collect()
}

/// Checks what can be checked on the programs' own words alone.
///
/// # Errors
/// Every violation.
pub fn check_witnessed(records: &[Record]) -> anyhow::Result<Verdict> {
    let evidence = Evidence {
        records: records.to_vec(),
        ..Evidence::default()
    };
    let mut verdict = Verdict::default();
    check_programs(&evidence, &mut verdict);
    verdict.sound()
}

fn check_programs(evidence: &Evidence, verdict: &mut Verdict) {
    let seen = intervals(&evidence.records);
    let single = single_active::check(&evidence.records);
    verdict.note("I1", "active intervals", Findings::of(seen.len(), single));
    verdict.note(
        "I2",
        "active intervals",
        Findings::of(seen.len(), epoch_grows::check(&seen)),
    );
    verdict.note("I8", "writes with a token", tokens_grow::check(&evidence.tokens));
}

/// Packages that have no deadline: for them I4 and I7 do not hold, and the documentation says so.
fn without_deadline(evidence: &Evidence) -> BTreeSet<String> {
    let packages = evidence.config.iter().flat_map(|config| &config.packages);
    packages
        .filter(|package| package.on_quorum_loss == "freeze")
        .map(|package| package.name.clone())
        .collect()
}

fn lease_ms(evidence: &Evidence) -> u64 {
    evidence
        .config
        .as_ref()
        .map_or(LEASE_DEFAULT_MS, |config| config.cluster.lease.ms)
}
