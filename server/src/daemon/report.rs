//! What this daemon saw, on its way to the manager: numbered, in order, sent again until answered. Pure.

use std::collections::BTreeMap;

use client::wire::daemon::{InstanceObservation, InstanceReload, InstanceSaid, ResourceObservation};

/// What fits well below the servers' limit for one report.
const OBSERVATIONS_PER_REPORT: usize = 1_000;

/// A report to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Grows by one with each report of the session.
    pub sequence: u64,
    /// In order.
    pub observations: Vec<InstanceObservation>,
    /// What packages say of themselves.
    pub said: Vec<InstanceSaid>,
    /// Reload commands that have ended.
    pub reloads: Vec<InstanceReload>,
    /// Links, disks and services of the node.
    pub resources: Vec<ResourceObservation>,
    /// The node's measured load, where the manager is to know of it.
    pub load: Option<BTreeMap<String, u64>>,
}

/// The queue. One report is under way at a time, so order is kept and at most one is ever in doubt.
///
/// It is bounded by coalescing: of one instance it holds at most one observation of each state, its last words and its last reload; of
/// one resource its last state; of the load the last measurement.
#[derive(Debug, Default)]
pub struct Reports {
    waiting: Vec<InstanceObservation>,
    said: BTreeMap<(String, u64), InstanceSaid>,
    reloads: BTreeMap<(String, u64), InstanceReload>,
    resources: BTreeMap<String, ResourceObservation>,
    load: Option<BTreeMap<String, u64>>,
    under_way: Option<Numbered>,
    last: u64,
}

impl Reports {
    /// Goes on in a session after a restart of the daemon. The report `last` was recorded before it was sent, so the
    /// manager has seen it or not; an empty one of the same number makes sure, without effect where it was seen.
    #[must_use]
    pub fn resume(last: u64) -> Self {
        let under_way = (last > 0).then(|| Numbered {
            sequence: last,
            observations: Vec::new(),
            said: Vec::new(),
            reloads: Vec::new(),
            resources: Vec::new(),
            load: None,
        });
        Self {
            waiting: Vec::new(),
            said: BTreeMap::new(),
            reloads: BTreeMap::new(),
            resources: BTreeMap::new(),
            load: None,
            under_way,
            last,
        }
    }

    /// Adds an observation; an earlier one of the same instance and state that was not sent yet is replaced.
    pub fn push(&mut self, observation: InstanceObservation) {
        let same = |other: &InstanceObservation| {
            other.package == observation.package && other.start == observation.start && other.state == observation.state
        };
        match self.waiting.iter().position(same) {
            Some(place) => {
                self.waiting.remove(place);
                self.waiting.push(observation);
            }
            None => self.waiting.push(observation),
        }
    }

    /// Adds what a package says of itself: it replaces what it said before, where that was not sent yet.
    pub fn push_said(&mut self, said: InstanceSaid) {
        self.said.insert((said.package.clone(), said.start), said);
    }

    /// Adds how a reload ended: it replaces how an earlier one did, where that was not sent yet.
    pub fn push_reload(&mut self, ended: InstanceReload) {
        self.reloads.insert((ended.package.clone(), ended.start), ended);
    }

    /// Adds a resource's state: it replaces what was not sent yet.
    pub fn push_resource(&mut self, seen: ResourceObservation) {
        self.resources.insert(seen.resource.clone(), seen);
    }

    /// Adds what was measured of the node's load: it replaces what was not sent yet.
    pub fn push_load(&mut self, load: BTreeMap<String, u64>) {
        self.load = Some(load);
    }

    /// The report to send now: the one in doubt, or the next. Its number must be recorded before it is sent.
    pub fn next_report(&mut self) -> Option<&Numbered> {
        if self.under_way.is_none() && !self.nothing_waits() {
            let rest = self.waiting.split_off(self.waiting.len().min(OBSERVATIONS_PER_REPORT));
            let observations = std::mem::replace(&mut self.waiting, rest);
            let rest = match self.said.keys().nth(OBSERVATIONS_PER_REPORT).cloned() {
                Some(first) => self.said.split_off(&first),
                None => BTreeMap::new(),
            };
            let said = std::mem::replace(&mut self.said, rest).into_values().collect();
            self.last += 1;
            self.under_way = Some(Numbered {
                sequence: self.last,
                observations,
                said,
                // One of an instance at most, as with the words.
                reloads: std::mem::take(&mut self.reloads).into_values().collect(),
                // As many as there are needs in a cluster, which has its own limit.
                resources: std::mem::take(&mut self.resources).into_values().collect(),
                load: self.load.take(),
            });
        }
        self.under_way.as_ref()
    }

    /// Takes the manager's answer; returns what it has thereby seen.
    pub fn answered(&mut self, sequence: u64) -> Vec<InstanceObservation> {
        match self.under_way.take_if(|report| report.sequence == sequence) {
            Some(report) => report.observations,
            None => Vec::new(),
        }
    }

    /// The number of the last report made.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Nothing is left to be sent or answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nothing_waits() && self.under_way.is_none()
    }

    fn nothing_waits(&self) -> bool {
        self.waiting.is_empty()
            && self.said.is_empty()
            && self.reloads.is_empty()
            && self.resources.is_empty()
            && self.load.is_none()
    }

    /// Whether the end of this instance is still on its way.
    #[must_use]
    pub fn holds_end(&self, package: &str, start: u64) -> bool {
        let under_way = self.under_way.iter().flat_map(|report| &report.observations);
        self.waiting.iter().chain(under_way).any(|observation| {
            observation.package == package && observation.start == start && observation.state == "ended"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saw(package: &str, state: &str, epoch: u64) -> InstanceObservation {
        InstanceObservation {
            package: package.to_owned(),
            start: 1,
            epoch,
            state: state.to_owned(),
            mode: None,
            cause: None,
            code: None,
            detail: String::new(),
        }
    }

    #[test]
    fn one_at_a_time_in_order_and_again_until_answered() {
        let mut reports = Reports::default();
        reports.push(saw("a", "running", 1));
        assert_eq!(reports.next_report().map(|report| report.sequence), Some(1));
        reports.push(saw("a", "failing", 1));
        reports.push(saw("a", "ended", 1));
        assert_eq!(
            reports.next_report().map(|report| report.sequence),
            Some(1),
            "sent again under its number"
        );
        assert_eq!(reports.answered(1).len(), 1);
        assert_eq!(reports.answered(1).len(), 0, "an answer counts once");
        let next = reports.next_report().unwrap().clone();
        assert_eq!(next.sequence, 2);
        assert_eq!(
            next.observations
                .iter()
                .map(|seen| seen.state.as_str())
                .collect::<Vec<_>>(),
            ["failing", "ended"]
        );
        reports.answered(2);
        assert!(reports.is_empty());
    }

    #[test]
    fn coalesced_while_nobody_answers() {
        let mut reports = Reports::default();
        for epoch in 1..1_000 {
            reports.push(saw("a", "running", epoch));
        }
        assert_eq!(reports.next_report().unwrap().observations, [saw("a", "running", 999)]);
    }

    #[test]
    fn last_words_replace_those_that_were_not_sent() {
        let mut reports = Reports::default();
        let says = |score| InstanceSaid {
            package: "a".to_owned(),
            start: 1,
            score: Some(score),
            busy: false,
        };
        for score in 0..1_000 {
            reports.push_said(says(score));
        }
        assert_eq!(reports.next_report().unwrap().said, [says(999)]);
        reports.push_said(says(7));
        assert_eq!(reports.next_report().unwrap().said, [says(999)], "sent again as it was");
        reports.answered(1);
        assert_eq!(reports.next_report().unwrap().said, [says(7)]);
        reports.answered(2);
        assert!(reports.is_empty());
    }

    #[test]
    fn a_restart_settles_the_one_in_doubt_first() {
        let mut reports = Reports::resume(5);
        reports.push(saw("a", "running", 1));
        assert_eq!(
            reports.next_report(),
            Some(&Numbered {
                sequence: 5,
                observations: Vec::new(),
                said: Vec::new(),
                reloads: Vec::new(),
                resources: Vec::new(),
                load: None,
            })
        );
        reports.answered(5);
        assert_eq!(reports.next_report().map(|report| report.sequence), Some(6));
    }
}
