//! `[monitor]` of the node file: what the daemon looks at beside what packages need, and how services are asked.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::definition::ProbeDefinition;
use serde::Deserialize;
use statemachine::resource::Need;

/// What a daemon looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Monitor {
    /// Network interfaces.
    pub lan: Vec<String>,
    /// Mount points.
    pub disk: Vec<String>,
    /// Services by name, each with the probe that asks it: what packages mean by `service:NAME`.
    pub service: BTreeMap<String, ProbeDefinition>,
}

impl Monitor {
    /// What is looked at, as packages name it.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let lan = self.lan.iter().map(|name| format!("lan:{name}"));
        let disk = self.disk.iter().map(|path| format!("disk:{path}"));
        let service = self.service.keys().map(|name| format!("service:{name}"));
        lan.chain(disk).chain(service).collect()
    }

    /// Whether each is a name that such a resource can have, and each probe asks one thing.
    ///
    /// # Errors
    /// What is wrong, and what was expected.
    pub(super) fn check(&self) -> Result<(), String> {
        for name in self.names() {
            Need::parse(&name)?;
        }
        for (name, probe) in &self.service {
            let kinds = [probe.exec.is_some(), probe.tcp.is_some(), probe.http.is_some()];
            if kinds.into_iter().filter(|given| *given).count() != 1 {
                return Err(format!(
                    "service.{name}: expected exactly one of exec, tcp and http, like {{ tcp = \"127.0.0.1:5432\" }}"
                ));
            }
            if probe.interval.ms == 0 || probe.timeout.ms == 0 || probe.failures == 0 {
                return Err(format!("service.{name}: interval, timeout and failures are at least 1"));
            }
        }
        Ok(())
    }
}
