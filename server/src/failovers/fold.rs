//! Looking forward: who takes over after one that was active has ended.

use std::collections::BTreeMap;
use std::io;

use super::story::Story;
use super::{Displaced, EventPlace, Failover, Outcome, Place, StageName};
use crate::storage::{EventRecord, Facts};

/// Finds an earlier event by its place; none where it is not kept any more.
pub type Lookup<'a> = &'a dyn Fn(EventPlace) -> io::Result<Option<EventRecord>>;

/// Events with which a takeover may begin.
pub(super) const ANCHORS: [&str; 2] = ["package-ended", "package-stranded"];

/// Events that a takeover is told from, once it has begun.
pub(super) const RELEVANT: [&str; 15] = [
    "package-ended",
    "package-stranded",
    "placed",
    "restarted",
    "moved",
    "promoted",
    "released",
    "became-active",
    "stopping",
    "waiting",
    "gave-up",
    "failovers-exhausted",
    "stop-wished",
    "package-removed",
    "cluster-stopping",
];

/// Packages that room is made for at once: one entry can't make it for more.
const ROOM_MAX: usize = 4096;

/// Takeovers that are under way. It is given the events in their order, all of the kinds that matter.
#[derive(Debug, Default)]
pub struct Fold {
    /// By unit: one takeover of a unit at a time.
    open: BTreeMap<String, Failover>,
    /// Units of which the present command may say more.
    fresh: Vec<String>,
    /// Units whose member was given up by the present command.
    given_up: BTreeMap<String, String>,
    /// What was stopped for a package that has not been told yet, and by which commands.
    room: BTreeMap<String, Vec<(u64, Displaced)>>,
    index: u64,
}

impl Fold {
    /// Takes the next event; gives the takeovers that ended by it, or by the command before.
    ///
    /// # Errors
    /// Where an earlier event can't be read.
    pub fn take(&mut self, record: &EventRecord, lookup: Lookup<'_>) -> io::Result<Vec<Failover>> {
        let mut closed = Vec::new();
        if record.index != self.index {
            self.index = record.index;
            self.settle(&mut closed);
        }
        let facts = record.facts.clone().unwrap_or_default();
        match record.kind.as_str() {
            "package-stranded" if facts.holds => self.begin(record, &facts, lookup, &mut closed)?,
            "package-ended" if facts.holds => self.ended(record, &facts, lookup, &mut closed)?,
            "placed" | "restarted" | "moved" | "promoted" | "released" if facts.holds => self.told(record, &facts),
            "became-active" => closed.extend(self.active(record, &facts)),
            "stopping" => self.make_room(record, facts),
            "waiting" | "failovers-exhausted" => {
                if let Some(open) = self.open.get_mut(&unit_of(record, &facts))
                    && open.to.is_none()
                {
                    open.outcome = Outcome::UnderWay(Some(record.text.clone()));
                }
            }
            "gave-up" => {
                let unit = unit_of(record, &facts);
                if self.open.get(&unit).is_some_and(|open| open.to.is_none()) {
                    self.given_up.insert(unit, record.text.clone());
                }
            }
            "stop-wished" | "package-removed" => {
                let is_own = self.open.get(&record.resource).is_some_and(|open| open.to.is_none());
                if is_own {
                    closed.extend(self.fail(&record.resource, record.text.clone()));
                }
            }
            "cluster-stopping" => {
                let units: Vec<String> = self.open.keys().cloned().collect();
                for unit in units {
                    closed.extend(self.fail(&unit, record.text.clone()));
                }
            }
            _ => {}
        }
        Ok(closed)
    }

    /// The takeovers that have not ended, once all events of the last command are taken.
    pub fn under_way(mut self) -> Vec<Failover> {
        let mut closed = Vec::new();
        self.settle(&mut closed);
        closed.extend(self.open.into_values());
        closed
    }

    /// Whether a takeover that began at this index or before is still under way.
    #[must_use]
    pub fn waits(&self, upto: u64) -> bool {
        self.open.values().any(|open| open.id.0 <= upto)
    }

    /// A command has been taken whole: what it wanted only to be stopped, or started again where it was, is no takeover.
    fn settle(&mut self, closed: &mut Vec<Failover>) {
        for unit in std::mem::take(&mut self.fresh) {
            let Some(open) = self.open.get(&unit) else { continue };
            let in_place = open
                .to
                .as_ref()
                .is_some_and(|to| (&to.package, &to.node) == (&open.from.package, &open.from.node));
            let unwanted = open.to.is_none() && !open.cause.wants_successor();
            if in_place || unwanted {
                self.open.remove(&unit);
            }
        }
        for (unit, text) in std::mem::take(&mut self.given_up) {
            if self.open.get(&unit).is_some_and(|open| open.to.is_none()) {
                closed.extend(self.fail(&unit, text));
            }
        }
    }

    fn begin(
        &mut self,
        record: &EventRecord,
        facts: &Facts,
        lookup: Lookup<'_>,
        closed: &mut Vec<Failover>,
    ) -> io::Result<()> {
        let unit = unit_of(record, facts);
        let Some(from) = place_of(record, facts) else {
            return Ok(());
        };
        if let Some(open) = self.open.get(&unit) {
            // The one that was to take over has ended first.
            let is_heir = open.to.as_ref() == Some(&from);
            let text = format!("{} had ended on {} before it was active", from.package, from.node);
            let before = self.fail(&unit, text);
            closed.extend(before.filter(|_| is_heir));
        }
        let story = Story::of(record, lookup)?;
        let mut failover = Failover {
            id: (record.index, record.sequence),
            unit: unit.clone(),
            group: facts.group.clone(),
            cause: story.cause,
            because: story.because,
            outcome: Outcome::UnderWay(None),
            from,
            to: None,
            stages: story.stages,
            displaced: Vec::new(),
        };
        let name = if record.kind == "package-stranded" {
            StageName::Stranded
        } else {
            StageName::Ended
        };
        failover.reached(name, record);
        self.fresh.push(unit.clone());
        self.open.insert(unit, failover);
        Ok(())
    }

    fn ended(
        &mut self,
        record: &EventRecord,
        facts: &Facts,
        lookup: Lookup<'_>,
        closed: &mut Vec<Failover>,
    ) -> io::Result<()> {
        if !facts.stranded {
            return self.begin(record, facts, lookup, closed);
        }
        // The takeover began when it was stranded: at an event that may be before all that is read now.
        let from = place_of(record, facts);
        if let Some(open) = self.open.get_mut(&unit_of(record, facts))
            && Some(&open.from) == from.as_ref()
        {
            open.reached(StageName::Ended, record);
        }
        Ok(())
    }

    fn told(&mut self, record: &EventRecord, facts: &Facts) {
        let unit = unit_of(record, facts);
        let Some(to) = place_of(record, facts) else { return };
        let room = self.room.remove(&to.package).unwrap_or_default();
        let Some(open) = self.open.get_mut(&unit) else { return };
        let since = open.stages.first().map_or(open.id, |stage| stage.event);
        let made = room.into_iter().filter(|(index, _)| *index >= since.0);
        open.displaced.extend(made.map(|(_, displaced)| displaced));
        open.to = Some(to);
        open.outcome = Outcome::UnderWay(None);
        open.reached(StageName::Told, record);
    }

    fn active(&mut self, record: &EventRecord, facts: &Facts) -> Option<Failover> {
        let unit = unit_of(record, facts);
        let is = place_of(record, facts)?;
        if self.open.get(&unit)?.to.as_ref() != Some(&is) {
            return None;
        }
        let mut done = self.open.remove(&unit)?;
        done.reached(StageName::Active, record);
        done.outcome = Outcome::Done;
        Some(done)
    }

    fn make_room(&mut self, record: &EventRecord, facts: Facts) {
        let (Some(whom), Some(node)) = (facts.room_for, &record.node) else {
            return;
        };
        if self.room.len() >= ROOM_MAX {
            self.room.pop_first();
        }
        let displaced = Displaced {
            package: package_of(record).to_owned(),
            node: node.clone(),
        };
        self.room.entry(whom).or_default().push((record.index, displaced));
    }

    fn fail(&mut self, unit: &str, why: String) -> Option<Failover> {
        let mut failed = self.open.remove(unit)?;
        failed.outcome = Outcome::Failed(why);
        Some(failed)
    }
}

/// What may be active only once, and that an event is about.
fn unit_of(record: &EventRecord, facts: &Facts) -> String {
    match &facts.group {
        Some(group) if !facts.alone => format!("group:{group}"),
        Some(_) | None => record.resource.clone(),
    }
}

fn package_of(record: &EventRecord) -> &str {
    record.resource.strip_prefix("package:").unwrap_or(&record.resource)
}

fn place_of(record: &EventRecord, facts: &Facts) -> Option<Place> {
    Some(Place {
        package: package_of(record).to_owned(),
        node: record.node.clone()?,
        epoch: facts.epoch?,
    })
}
