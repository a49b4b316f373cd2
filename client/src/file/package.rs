//! `[[package]]`.

use std::collections::{BTreeMap, BTreeSet};

use statemachine::id::{GroupName, NodeName, PackageName};
use toml::de::DeValue;

use super::cluster::{DAY_MS, read_restart};
use super::reader::{Keys, Reader, Table, Value};
use crate::wire::definition::{
    CommandDefinition, PackageDefinition, ProbeDefinition, RunDefinition, default_restart, default_start_timeout,
    default_stop_timeout,
};
use crate::wire::duration::DurationText;

const PACKAGE: Keys = Keys {
    place: "[[package]]",
    known: &[
        "name",
        "group",
        "copies",
        "priority",
        "load",
        "nodes",
        "enabled",
        "safety",
        "on_quorum_loss",
        "run",
        "promote",
        "demote",
        "reload",
        "probe",
        "restart",
        "start_timeout",
        "stop_timeout",
        "after",
        "needs",
        "condition",
        "exclusive",
        "preemptible",
    ],
    later: &["limits", "gate"],
};
const RUN: Keys = Keys {
    place: "run",
    known: &["command", "env", "directory"],
    later: &["systemd", "ocf", "params"],
};
const COMMAND: Keys = Keys {
    place: "a command",
    known: &["command"],
    later: &[],
};
const PROBE: Keys = Keys {
    place: "probe",
    known: &["exec", "tcp", "http", "interval", "timeout", "failures"],
    later: &["https"],
};

/// Most copies of one definition: each is a row of the plan.
const COPIES_MAX: u32 = 10_000;
/// `cpu`, `memory` and two more.
pub(super) const DIMENSIONS_MAX: usize = 4;
const ARGV: &str = "a list like [\"/usr/bin/program\", \"--argument\"]: program and arguments, no shell";

/// A package and where in the file its parts stand.
pub(super) struct ReadPackage {
    pub(super) definition: PackageDefinition,
    pub(super) name_at: usize,
    pub(super) group_at: usize,
    pub(super) load_at: Vec<(String, usize)>,
    pub(super) after_at: Vec<usize>,
    pub(super) condition_at: usize,
}

/// One `[[package]]`.
pub(super) fn read_package(reader: &mut Reader<'_>, table: &Table<'_, '_>) -> ReadPackage {
    reader.check_keys(table, &PACKAGE);
    let mut read = ReadPackage {
        definition: empty(),
        name_at: table.at,
        group_at: table.at,
        load_at: Vec::new(),
        after_at: Vec::new(),
        condition_at: table.at,
    };
    read_names(reader, table, &mut read);
    read_placement(reader, table, &mut read);
    super::relations::read(reader, table, &mut read);
    super::condition::read(reader, table, &mut read);
    let package = &mut read.definition;
    match table.get("run") {
        None => {
            let expected = "a package needs a command, like run.command = [\"/usr/bin/program\", \"--argument\"]";
            reader.missing(table, "[[package]]", expected);
        }
        Some(value) => {
            if let Some(run) = read_run(reader, value) {
                package.run = run;
            }
        }
    }
    package.promote = table
        .get("promote")
        .and_then(|value| read_command(reader, value, "promote"));
    package.demote = table
        .get("demote")
        .and_then(|value| read_command(reader, value, "demote"));
    package.reload = table
        .get("reload")
        .and_then(|value| read_command(reader, value, "reload"));
    package.probe = table.get("probe").and_then(|value| read_probe(reader, value));
    if let Some(value) = table.get("restart")
        && let Some(restart) = read_restart(reader, value, "restart")
    {
        package.restart = restart;
    }
    if let Some(value) = table.get("start_timeout")
        && let Some(timeout) = reader.duration(value, "start_timeout", 1..=DAY_MS)
    {
        package.start_timeout = timeout;
    }
    if let Some(value) = table.get("stop_timeout")
        && let Some(timeout) = reader.duration(value, "stop_timeout", 1..=DAY_MS)
    {
        package.stop_timeout = timeout;
    }
    read
}

fn empty() -> PackageDefinition {
    PackageDefinition {
        name: String::new(),
        group: None,
        copies: 1,
        priority: None,
        load: BTreeMap::new(),
        nodes: Vec::new(),
        enabled: true,
        safety: "lease".to_owned(),
        on_quorum_loss: "stop".to_owned(),
        run: RunDefinition {
            command: Vec::new(),
            env: BTreeMap::new(),
            directory: None,
        },
        promote: None,
        demote: None,
        reload: None,
        probe: None,
        restart: default_restart(),
        start_timeout: default_start_timeout(),
        stop_timeout: default_stop_timeout(),
        after: Vec::new(),
        needs: Vec::new(),
        condition: None,
        exclusive: false,
        preemptible: true,
    }
}

fn read_names(reader: &mut Reader<'_>, table: &Table<'_, '_>, read: &mut ReadPackage) {
    let package = &mut read.definition;
    match table.get("name") {
        None => reader.missing(table, "[[package]]", "a package needs a name, like name = \"orders-a\""),
        Some(value) => {
            read.name_at = value.span().start;
            if let Some(name) = reader.text(value, "name", "a name in quotes") {
                match PackageName::new(name) {
                    Err(error) => reader.fault(read.name_at, format!("name: {error}"), None),
                    Ok(_) => name.clone_into(&mut package.name),
                }
            }
        }
    }
    if let Some(value) = table.get("group")
        && let Some(group) = reader.text(value, "group", "a group's name in quotes")
    {
        read.group_at = value.span().start;
        match GroupName::new(group) {
            Err(error) => reader.fault(read.group_at, format!("group: {error}"), None),
            Ok(_) => package.group = Some(group.to_owned()),
        }
    }
    if let Some(value) = table.get("copies")
        && let Some(copies) = reader.count(value, "copies", 1..=COPIES_MAX)
    {
        package.copies = copies;
    }
}

fn read_placement(reader: &mut Reader<'_>, table: &Table<'_, '_>, read: &mut ReadPackage) {
    if let Some(value) = table.get("load") {
        read_load(reader, value, read);
    }
    let package = &mut read.definition;
    if let Some(value) = table.get("priority") {
        package.priority = reader.count(value, "priority", 1..=u32::MAX);
    }
    if let Some(value) = table.get("nodes")
        && let Some(nodes) = reader.texts(value, "nodes", "node names, like [\"n1\", \"n2\"]")
    {
        let mut seen = BTreeSet::new();
        for (node, at) in nodes {
            if let Err(error) = NodeName::new(&node) {
                reader.fault(at, format!("nodes: {error}"), None);
            } else if !seen.insert(node.clone()) {
                reader.fault(
                    at,
                    format!("nodes: {node:?} stands there twice: expected each node once"),
                    None,
                );
            } else {
                package.nodes.push(node);
            }
        }
    }
    if let Some(value) = table.get("enabled")
        && let Some(enabled) = reader.truth(value, "enabled")
    {
        package.enabled = enabled;
    }
    if let Some(value) = table.get("exclusive")
        && let Some(exclusive) = reader.truth(value, "exclusive")
    {
        package.exclusive = exclusive;
    }
    if let Some(value) = table.get("preemptible")
        && let Some(preemptible) = reader.truth(value, "preemptible")
    {
        package.preemptible = preemptible;
    }
    if let Some(value) = table.get("safety")
        && let Some(safety) = reader.word(value, "safety", &["lease", "fenced", "token"], &[])
    {
        package.safety = safety;
    }
    if let Some(value) = table.get("on_quorum_loss")
        && let Some(word) = reader.word(value, "on_quorum_loss", &["stop", "freeze", "reset"], &[])
    {
        package.on_quorum_loss = word;
    }
}

fn read_load(reader: &mut Reader<'_>, value: &Value<'_>, read: &mut ReadPackage) {
    let Some(load) = reader.table(value, "load: expected { cpu = 500, memory = 256 }") else {
        return;
    };
    for (key, value) in load.table {
        let (dimension, at) = (key.get_ref().to_string(), key.span().start);
        if let Err(error) = PackageName::new(&dimension) {
            reader.fault(at, format!("load: {error}"), None);
            continue;
        }
        if let Some(number) = reader.number(value, &format!("load.{dimension}"), 0..=u64::from(u32::MAX)) {
            read.definition.load.insert(dimension.clone(), number);
            read.load_at.push((dimension, at));
        }
    }
}

fn read_run(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<RunDefinition> {
    let table = reader.table(value, "run: expected run.command = [\"/usr/bin/program\"]")?;
    reader.check_keys(&table, &RUN);
    let command = match table.get("command") {
        Some(value) => read_argv(reader, value, "run.command"),
        None => {
            // What a later version can run instead was already refused by its own key.
            if !RUN.later.iter().any(|key| table.get(key).is_some()) {
                reader.missing(&table, "run", &format!("command is missing: expected {ARGV}"));
            }
            None
        }
    };
    let env = table
        .get("env")
        .map(|value| read_environment(reader, value))
        .unwrap_or_default();
    let mut directory = None;
    if let Some(value) = table.get("directory")
        && let Some(path) = reader.text(value, "run.directory", "an absolute path in quotes")
    {
        if path.starts_with('/') {
            directory = Some(path.to_owned());
        } else {
            let message =
                format!("run.directory: {path:?} is relative: expected an absolute path, it is the same on each node");
            reader.fault(value.span().start, message, None);
        }
    }
    Some(RunDefinition {
        command: command?,
        env,
        directory,
    })
}

fn read_environment(reader: &mut Reader<'_>, value: &Value<'_>) -> BTreeMap<String, String> {
    let mut environment = BTreeMap::new();
    let Some(table) = reader.table(value, "run.env: expected { KEY = \"value\" }") else {
        return environment;
    };
    for (key, value) in table.table {
        let (name, at) = (key.get_ref().to_string(), key.span().start);
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.fault(
                at,
                format!("run.env: {name:?} can't be a variable: expected a name without \"=\""),
                None,
            );
        } else if name.starts_with("PACELINE_") {
            let message = format!("run.env: {name:?}: variables that begin with PACELINE_ are set by paceline itself");
            reader.fault(at, message, None);
        } else if let Some(text) = reader.text(value, &format!("run.env.{name}"), "a text in quotes") {
            environment.insert(name, text.to_owned());
        }
    }
    environment
}

/// A program and its arguments. The program is an absolute path, or a bare name that the daemon looks up in its PATH: a
/// relative path would mean another file on each node.
fn read_argv(reader: &mut Reader<'_>, value: &Value<'_>, what: &str) -> Option<Vec<String>> {
    if let DeValue::String(text) = value.get_ref() {
        let words: Vec<&str> = text.split_whitespace().collect();
        let message = format!("{what}: expected a list, as nothing here is read by a shell: {words:?}");
        reader.fault(value.span().start, message, None);
        return None;
    }
    let texts = reader.texts(value, what, ARGV)?;
    match texts.first() {
        None => {
            reader.fault(value.span().start, format!("{what} is empty: expected {ARGV}"), None);
            return None;
        }
        Some((program, at)) if program.is_empty() => {
            reader.fault(*at, format!("{what}: the program is empty: expected {ARGV}"), None);
            return None;
        }
        Some((program, at)) if program.contains('/') && !program.starts_with('/') => {
            let message = format!(
                "{what}: {program:?} is a relative path: expected an absolute path, or a bare name that is found in the daemon's PATH"
            );
            reader.fault(*at, message, None);
            return None;
        }
        Some(_) => {}
    }
    Some(texts.into_iter().map(|(text, _)| text).collect())
}

fn read_command(reader: &mut Reader<'_>, value: &Value<'_>, what: &str) -> Option<CommandDefinition> {
    let table = reader.table(
        value,
        &format!("{what}: expected {what}.command = [\"/usr/bin/program\"]"),
    )?;
    reader.check_keys(&table, &COMMAND);
    match table.get("command") {
        Some(value) => {
            read_argv(reader, value, &format!("{what}.command")).map(|command| CommandDefinition { command })
        }
        None => {
            reader.missing(&table, what, &format!("command is missing: expected {ARGV}"));
            None
        }
    }
}

fn read_probe(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<ProbeDefinition> {
    let table = reader.table(value, "probe: expected { tcp = \"127.0.0.1:7000\" }")?;
    reader.check_keys(&table, &PROBE);
    let kinds = ["exec", "tcp", "http"];
    let given: Vec<&str> = kinds.into_iter().filter(|kind| table.get(kind).is_some()).collect();
    if given.len() != 1 {
        let found = if given.is_empty() {
            "none".to_owned()
        } else {
            given.join(" and ")
        };
        let message = format!("probe: expected exactly one of exec, tcp and http, found {found}");
        if given.is_empty() {
            reader.fault_of_absence(table.at, message, None);
        } else {
            reader.fault(table.at, message, None);
        }
    }
    let mut probe = ProbeDefinition {
        exec: table
            .get("exec")
            .and_then(|value| read_argv(reader, value, "probe.exec")),
        tcp: None,
        http: None,
        interval: DurationText::from_ms(1_000),
        timeout: DurationText::from_ms(2_000),
        failures: 2,
    };
    if let Some(value) = table.get("tcp")
        && let Some(address) = reader.text(value, "probe.tcp", "HOST:PORT in quotes, like \"127.0.0.1:7000\"")
    {
        if is_host_and_port(address) {
            probe.tcp = Some(address.to_owned());
        } else {
            let message = format!("probe.tcp: {address:?}: expected HOST:PORT, like \"127.0.0.1:7000\"");
            reader.fault(value.span().start, message, None);
        }
    }
    if let Some(value) = table.get("http")
        && let Some(url) = reader.text(
            value,
            "probe.http",
            "a URL in quotes, like \"http://127.0.0.1:7000/health\"",
        )
    {
        if url
            .strip_prefix("http://")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        {
            probe.http = Some(url.to_owned());
        } else {
            let message =
                format!("probe.http: {url:?}: expected a URL like \"http://127.0.0.1:7000/health\" (http only)");
            reader.fault(value.span().start, message, None);
        }
    }
    if let Some(value) = table.get("interval")
        && let Some(interval) = reader.duration(value, "probe.interval", 10..=DAY_MS)
    {
        probe.interval = interval;
    }
    if let Some(value) = table.get("timeout")
        && let Some(timeout) = reader.duration(value, "probe.timeout", 1..=DAY_MS)
    {
        probe.timeout = timeout;
    }
    if let Some(value) = table.get("failures")
        && let Some(failures) = reader.count(value, "probe.failures", 1..=10_000)
    {
        probe.failures = failures;
    }
    Some(probe)
}

fn is_host_and_port(address: &str) -> bool {
    address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0))
}
