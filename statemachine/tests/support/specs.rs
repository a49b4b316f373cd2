//! Definitions with everything that a test does not care about filled in.

use std::collections::BTreeMap;

use statemachine::command::{Capacity, Fencing, GroupKind, GroupSpec, OnQuorumLoss, PackageSpec, RestartSpec, RunSpec};
use statemachine::id::{GroupName, PackageName};
use statemachine::time::Millis;

pub fn amounts(amounts: &[(&str, u64)]) -> Capacity {
    Capacity(
        amounts
            .iter()
            .map(|(name, amount)| (name.to_string(), *amount))
            .collect(),
    )
}

pub fn group(name: &str, standbys: u32) -> GroupSpec {
    GroupSpec {
        name: GroupName::new(name).unwrap(),
        kind: GroupKind::Duplex,
        standbys,
        failovers: RestartSpec {
            attempts: 5,
            within: Millis(600_000),
        },
    }
}

pub fn package(name: &str, group: Option<&str>) -> PackageSpec {
    PackageSpec {
        name: PackageName::new(name).unwrap(),
        copy_of: None,
        group: group.map(|group| GroupName::new(group).unwrap()),
        priority: None,
        load: Capacity::default(),
        nodes: Vec::new(),
        enabled: true,
        safety: Fencing::Lease,
        on_quorum_loss: OnQuorumLoss::Stop,
        restart: RestartSpec {
            attempts: 3,
            within: Millis(600_000),
        },
        run: RunSpec {
            command: vec![format!("/usr/bin/{name}")],
            environment: BTreeMap::new(),
            directory: None,
            promote: None,
            demote: None,
            probe: None,
            start_timeout: Millis(60_000),
            stop_timeout: Millis(10_000),
            reload: None,
        },
        preemptible: true,
        exclusive: false,
        condition: None,
        after: Vec::new(),
        needs: Vec::new(),
    }
}
