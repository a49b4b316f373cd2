//! `[monitor]` of the node file: what the daemon looks at beside what packages need, and how services are asked.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::definition::ProbeDefinition;
use client::wire::duration::DurationText;
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
    /// How the node's load is measured.
    pub load: Measure,
}

/// How a node's load is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "load: expected \"machine\", \"none\", or a program, like { exec = [\"/usr/bin/load\"] }"
)]
pub enum Measure {
    /// By a word.
    Word(MeasureWord),
    /// By a program.
    Program {
        /// It prints one JSON object, like `{\"cpu\": 900}`, in the units of the capacity.
        exec: Vec<String>,
        /// How often it is run.
        #[serde(default = "second")]
        interval: DurationText,
    },
    /// Not said: as the kernel counts it.
    #[default]
    Machine,
}

/// Words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureWord {
    /// As the kernel counts it: busy processors and memory in use, as a part of the capacity.
    Machine,
    /// It is not.
    None,
}

fn second() -> DurationText {
    DurationText::from_ms(1_000)
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
        if let Measure::Program { exec, interval } = &self.load
            && (exec.is_empty() || interval.ms == 0)
        {
            return Err(
                "load: expected a program and an interval above 0, like { exec = [\"/usr/bin/load\"] }".to_owned(),
            );
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
