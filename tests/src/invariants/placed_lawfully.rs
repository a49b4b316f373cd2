//! I13 from outside: in every committed state that a server showed, every instance is on a node that its package allows,
//! members of a group are apart, one of them at most is active, and no node holds more than it has.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::definition::{Config, PackageDefinition};

use super::findings::Findings;
use super::sight::StateSight;

/// Checks each state against what is defined. What is not defined any more, or was defined otherwise before, is checked for
/// its group alone.
pub fn check(states: &[StateSight], config: Option<&Config>, redefined: &BTreeSet<String>) -> Findings {
    let mut findings = Findings::default();
    let defined = config.map(definitions).unwrap_or_default();
    for state in states {
        findings.look();
        let mut complain = |text: String| findings.wrong(format!("index {} at {}: {text}", state.index, state.node));
        let mut nodes: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut active: BTreeMap<&str, &str> = BTreeMap::new();
        let mut epochs: BTreeMap<u64, &str> = BTreeMap::new();
        for package in &state.packages {
            for instance in &package.instances {
                if let Some(definition) = defined.get(package.name.as_str())
                    && !redefined.contains(&package.name)
                    && !definition.nodes.is_empty()
                    && !definition.nodes.contains(&instance.node)
                    && instance.state != "stopping"
                {
                    complain(format!(
                        "{} is on {}, allowed are {:?}: {instance:?}",
                        package.name, instance.node, definition.nodes
                    ));
                }
                if let Some(other) = epochs.insert(instance.epoch, &package.name) {
                    complain(format!(
                        "epoch {} is that of {other} and of {}",
                        instance.epoch, package.name
                    ));
                }
                // Of a group whose members all run each is a unit of its own.
                let group = package.group.as_deref().filter(|group| *group == package.unit);
                let Some(group) = group else {
                    continue;
                };
                if !nodes.insert((group, &instance.node)) {
                    complain(format!("two members of group {group} are on {}", instance.node));
                }
                if instance.mode == "active"
                    && instance.output == "released"
                    && let Some(other) = active.insert(group, &package.name)
                {
                    complain(format!("{other} and {} of group {group} are both active", package.name));
                }
            }
        }
        for node in &state.nodes {
            for (name, planned) in &node.planned {
                let has = node.capacity.get(name).copied().unwrap_or(0);
                if *planned > has {
                    complain(format!("{} holds {planned} of {name} and has {has}", node.name));
                }
            }
        }
    }
    findings
}

/// Every package by the name that it runs under: of copies each has its number.
fn definitions(config: &Config) -> BTreeMap<String, &PackageDefinition> {
    let mut found = BTreeMap::new();
    for package in &config.packages {
        found.insert(package.name.clone(), package);
        for copy in 1..=package.copies {
            found.entry(format!("{}-{copy}", package.name)).or_insert(package);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use client::wire::node::Node;
    use client::wire::package::{Instance, Package};

    use super::*;

    fn package(name: &str, node: &str, mode: &str, epoch: u64) -> Package {
        Package {
            name: name.to_owned(),
            group: Some("g".to_owned()),
            unit: "g".to_owned(),
            priority: None,
            wish: "start".to_owned(),
            state: "running".to_owned(),
            reason: String::new(),
            maintenance: None,
            instances: vec![Instance {
                node: node.to_owned(),
                mode: mode.to_owned(),
                wanted: mode.to_owned(),
                output: "released".to_owned(),
                state: "running".to_owned(),
                epoch,
                since: String::new(),
                detail: String::new(),
                score: None,
                busy: false,
            }],
            definition: None,
        }
    }

    fn state(packages: Vec<Package>, planned: u64) -> StateSight {
        StateSight {
            node: "n1".to_owned(),
            index: 7,
            nodes: vec![Node {
                name: "n1".to_owned(),
                id: 1,
                state: "up".to_owned(),
                drain: false,
                maintenance: None,
                overload: false,
                session: None,
                since: String::new(),
                capacity: BTreeMap::from([("cpu".to_owned(), 10)]),
                planned: BTreeMap::from([("cpu".to_owned(), planned)]),
                shares: BTreeMap::new(),
                labels: BTreeMap::new(),
                attributes: BTreeMap::new(),
                api: String::new(),
                generation: 1,
                containment: None,
            }],
            packages,
        }
    }

    fn config() -> Config {
        serde_json::from_str(
            r#"{"cluster": {}, "packages": [{"name": "a", "group": "g", "nodes": ["n1", "n2"], "run": {"command": ["x"]}}]}"#,
        )
        .expect("a config")
    }

    fn wrong(states: &[StateSight]) -> usize {
        check(states, Some(&config()), &BTreeSet::new()).wrong.len()
    }

    #[test]
    fn a_lawful_state_is_fine() {
        let sound = state(
            vec![package("a", "n1", "active", 1), package("b", "n2", "standby", 2)],
            10,
        );
        assert_eq!(
            check(&[sound], Some(&config()), &BTreeSet::new()),
            Findings {
                looked_at: 1,
                wrong: vec![]
            }
        );
    }

    #[test]
    fn planted_places_are_found() {
        assert_eq!(
            wrong(&[state(vec![package("a", "n3", "active", 1)], 0)]),
            1,
            "not allowed there"
        );
        let together = vec![package("a", "n1", "active", 1), package("b", "n1", "standby", 2)];
        assert_eq!(wrong(&[state(together, 0)]), 1, "members of a group on one node");
        let both = vec![package("a", "n1", "active", 1), package("b", "n2", "active", 2)];
        assert_eq!(wrong(&[state(both, 0)]), 1, "two active");
        let same = vec![package("a", "n1", "active", 1), package("b", "n2", "standby", 1)];
        assert_eq!(wrong(&[state(same, 0)]), 1, "one epoch twice");
        assert_eq!(wrong(&[state(vec![], 11)]), 1, "beyond what the node has");
    }
}
