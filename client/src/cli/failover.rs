//! One failover as a line of phases: killed, lost, promoted, active.

use std::collections::BTreeMap;

use super::devnodes::seconds;
use crate::wire::event::Event;
use crate::wire::status::Status;

/// What a node's death does to the units that were active there.
pub(crate) struct Failover {
    node: String,
    /// When the node was found lost, in milliseconds since the kill.
    lost: Option<u64>,
    units: BTreeMap<String, Unit>,
    /// The unit of each package.
    unit_of: BTreeMap<String, String>,
}

#[derive(Default)]
struct Unit {
    /// By which package on which node it was taken over, and when.
    chosen: Option<(String, u64)>,
    active: Option<u64>,
    /// Why it runs nowhere.
    nowhere: Option<String>,
}

impl Failover {
    /// The failover of a node, seen from just before its death.
    pub(crate) fn of(node: &str, before: &Status) -> Self {
        let unit = |name: &str, group: &Option<String>| group.clone().unwrap_or_else(|| name.to_owned());
        let units = before
            .packages
            .iter()
            .filter(|package| {
                package
                    .instances
                    .iter()
                    .any(|it| it.node == node && it.wanted == "active")
            })
            .map(|package| (unit(&package.name, &package.group), Unit::default()))
            .collect();
        let unit_of = before
            .packages
            .iter()
            .map(|package| (package.name.clone(), unit(&package.name, &package.group)))
            .collect();
        Self {
            node: node.to_owned(),
            lost: None,
            units,
            unit_of,
        }
    }

    /// Takes note of an event.
    pub(crate) fn see(&mut self, event: &Event, ms: u64) {
        let here = event.node.as_deref() == Some(&self.node);
        if event.kind == "node-lost" && (here || event.resource == format!("node:{}", self.node)) {
            self.lost.get_or_insert(ms);
            return;
        }
        let Some(package) = event.resource.strip_prefix("package:") else {
            return;
        };
        let Some(unit) = self.unit_of.get(package).and_then(|unit| self.units.get_mut(unit)) else {
            return;
        };
        match event.kind.as_str() {
            "promoted" | "released" | "placed" | "moved" | "restarted" if !here => {
                let on = event.node.as_deref().unwrap_or("another node");
                let word = match event.kind.as_str() {
                    "promoted" => "promoted",
                    "released" => "released",
                    _ => "started",
                };
                // A standby that is started beside the new active one is another story.
                if unit.active.is_none() && (unit.chosen.is_none() || word != "started") {
                    unit.chosen = Some((format!("{package} {word} on {on}"), ms));
                }
            }
            "became-active" if !here => {
                unit.active.get_or_insert(ms);
                unit.nowhere = None;
            }
            "waiting" | "gave-up" | "package-stranded" if unit.active.is_none() && unit.chosen.is_none() => {
                unit.nowhere = Some(event.text.clone());
            }
            _ => {}
        }
    }

    /// Whether the node is known to be lost and every unit that was active there is active again, or can't be.
    pub(crate) fn is_over(&self) -> bool {
        self.lost.is_some()
            && self
                .units
                .values()
                .all(|unit| unit.active.is_some() || unit.nowhere.is_some())
    }

    /// A line of phases for each unit.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut head = format!("{} killed 0", self.node);
        if let Some(lost) = self.lost {
            head.push_str(&format!(" → lost {} s", seconds(lost)));
        }
        if self.units.is_empty() {
            return vec![format!("{head}   (nothing was active there)")];
        }
        self.units
            .iter()
            .map(|(name, unit)| {
                let mut line = format!("{name}: {head}");
                if let Some((chosen, ms)) = &unit.chosen {
                    line.push_str(&format!(" → {chosen} {} s", seconds(*ms)));
                }
                match (unit.active, &unit.nowhere) {
                    (Some(ms), _) => line.push_str(&format!(" → active {} s", seconds(ms))),
                    (None, Some(why)) => line.push_str(&format!(" → runs nowhere: {why}")),
                    (None, None) => line.push_str(" → not active yet"),
                }
                line
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, resource: &str, node: &str) -> Event {
        Event {
            index: 1,
            sequence: 0,
            time: String::new(),
            at_ms: 0,
            resource: resource.to_owned(),
            kind: kind.to_owned(),
            node: Some(node.to_owned()),
            severity: "info".to_owned(),
            cause: None,
            text: format!("{resource} {kind}"),
        }
    }

    fn before() -> Status {
        let package = |name: &str, group: Option<&str>, node: &str, mode: &str| {
            serde_json::json!({"name": name, "group": group, "wish": "start", "state": "running", "reason": "", "instances": [
                {"node": node, "mode": mode, "wanted": mode, "output": "released", "state": "running", "epoch": 4, "since": ""}]})
        };
        serde_json::from_value(serde_json::json!({
            "cluster": "demo", "cluster_id": "x", "node": "n1", "term": 2, "quorate": true, "stale": false, "index": 17,
            "raft_committed": 1, "raft_applied": 1, "digest": "0", "lease_ms": 1000, "members": [], "nodes": [],
            "packages": [
                package("web-1", Some("web"), "n2", "active"), package("web-2", Some("web"), "n1", "standby"),
                package("clock", None, "n2", "active"), package("other", None, "n3", "active"),
            ],
        }))
        .unwrap()
    }

    #[test]
    fn each_unit_that_was_active_there_has_its_phases() {
        let mut failover = Failover::of("n2", &before());
        failover.see(&event("became-active", "package:other", "n3"), 5);
        assert!(!failover.is_over());
        failover.see(&event("node-lost", "node:n2", "n2"), 1_352);
        failover.see(&event("package-ended", "package:web-1", "n2"), 1_352);
        failover.see(&event("promoted", "package:web-2", "n1"), 1_353);
        failover.see(&event("moved", "package:web-1", "n3"), 1_353);
        failover.see(&event("moved", "package:clock", "n3"), 1_353);
        failover.see(&event("became-active", "package:web-2", "n1"), 1_358);
        assert!(!failover.is_over());
        failover.see(&event("became-active", "package:clock", "n3"), 1_400);
        assert!(failover.is_over());
        assert_eq!(
            failover.lines(),
            [
                "clock: n2 killed 0 → lost 1.35 s → clock started on n3 1.35 s → active 1.40 s",
                "web: n2 killed 0 → lost 1.35 s → web-2 promoted on n1 1.35 s → active 1.35 s",
            ]
        );
    }

    #[test]
    fn what_can_not_run_anywhere_ends_the_story_too() {
        let mut before = before();
        before.packages.truncate(1);
        let mut failover = Failover::of("n2", &before);
        failover.see(&event("node-lost", "node:n2", "n2"), 1_352);
        failover.see(&event("waiting", "package:web-1", "n2"), 1_352);
        assert!(failover.is_over());
        assert_eq!(
            failover.lines(),
            ["web: n2 killed 0 → lost 1.35 s → runs nowhere: package:web-1 waiting"]
        );
        assert_eq!(
            Failover::of("n3", &before).lines(),
            ["n3 killed 0   (nothing was active there)"]
        );
    }
}
