//! Writing a definition as a cluster file. What has its default value is left out, as people write files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use statemachine::cluster::{OVERLOAD_DEFAULT, RESUME_DEFAULT};

use crate::wire::definition::{
    Config, GroupDefinition, PackageDefinition, ProbeDefinition, RestartDefinition, default_failovers, default_restart,
    default_shares, default_start_timeout, default_start_wait, default_stop_timeout,
};
use crate::wire::duration::DurationText;

/// Writes a cluster file that [`parse`](super::parse) reads as the same definition.
#[must_use]
pub fn render(config: &Config) -> String {
    let mut text = String::new();
    let cluster = &config.cluster;
    line(&mut text, "[cluster]");
    pair(&mut text, "name", &quoted(&cluster.name));
    pair(&mut text, "lease", &duration(cluster.lease));
    if cluster.min_nodes != 1 {
        pair(&mut text, "min_nodes", &cluster.min_nodes.to_string());
    }
    if cluster.start_wait != default_start_wait() {
        pair(&mut text, "start_wait", &duration(cluster.start_wait));
    }
    if cluster.shares != default_shares() {
        pair(&mut text, "shares", &quoted(&cluster.shares));
    }
    if cluster.overload != OVERLOAD_DEFAULT {
        pair(&mut text, "overload", &cluster.overload.to_string());
    }
    if cluster.resume != RESUME_DEFAULT.min(cluster.overload) {
        pair(&mut text, "resume", &cluster.resume.to_string());
    }
    if !cluster.rules.is_empty() {
        pair(&mut text, "rules", &quoted_lines(&cluster.rules));
    }
    for mode in &config.modes {
        line(&mut text, "\n[[mode]]");
        pair(&mut text, "name", &quoted(&mode.name));
        for (key, words) in [("from", &mode.from), ("to", &mode.to)] {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            pair(&mut text, key, &format!("[{}]", words.join(", ")));
        }
    }
    for group in &config.groups {
        render_group(&mut text, group);
    }
    for package in &config.packages {
        render_package(&mut text, package);
    }
    text
}

fn render_group(text: &mut String, group: &GroupDefinition) {
    line(text, "\n[[group]]");
    pair(text, "name", &quoted(&group.name));
    pair(text, "kind", &quoted(&group.kind));
    if group.standbys != 1 {
        pair(text, "standbys", &group.standbys.to_string());
    }
    if group.failovers != default_failovers() {
        pair(text, "failovers", &restart(&group.failovers));
    }
}

fn render_package(text: &mut String, package: &PackageDefinition) {
    line(text, "\n[[package]]");
    pair(text, "name", &quoted(&package.name));
    if let Some(group) = &package.group {
        pair(text, "group", &quoted(group));
    }
    if package.copies != 1 {
        pair(text, "copies", &package.copies.to_string());
    }
    if let Some(priority) = package.priority {
        pair(text, "priority", &priority.to_string());
    }
    if !package.load.is_empty() {
        let load: Vec<String> = package
            .load
            .iter()
            .map(|(key, value)| format!("{} = {value}", quoted_key(key)))
            .collect();
        pair(text, "load", &format!("{{ {} }}", load.join(", ")));
    }
    if !package.nodes.is_empty() {
        pair(text, "nodes", &list(&package.nodes));
    }
    if !package.after.is_empty() {
        pair(text, "after", &list(&package.after));
    }
    if !package.needs.is_empty() {
        pair(text, "needs", &list(&package.needs));
    }
    if let Some(condition) = &package.condition {
        pair(text, "condition", &quoted(condition));
    }
    if package.exclusive {
        pair(text, "exclusive", "true");
    }
    if !package.preemptible {
        pair(text, "preemptible", "false");
    }
    if !package.enabled {
        pair(text, "enabled", "false");
    }
    if package.safety != "lease" {
        pair(text, "safety", &quoted(&package.safety));
    }
    if package.on_quorum_loss != "stop" {
        pair(text, "on_quorum_loss", &quoted(&package.on_quorum_loss));
    }
    pair(text, "run.command", &list(&package.run.command));
    if !package.run.env.is_empty() {
        pair(text, "run.env", &texts(&package.run.env));
    }
    if let Some(directory) = &package.run.directory {
        pair(text, "run.directory", &quoted(directory));
    }
    if let Some(promote) = &package.promote {
        pair(text, "promote.command", &list(&promote.command));
    }
    if let Some(demote) = &package.demote {
        pair(text, "demote.command", &list(&demote.command));
    }
    if let Some(reload) = &package.reload {
        pair(text, "reload.command", &list(&reload.command));
    }
    if let Some(probe) = &package.probe {
        pair(text, "probe", &render_probe(probe));
    }
    if package.restart != default_restart() {
        pair(text, "restart", &restart(&package.restart));
    }
    if package.start_timeout != default_start_timeout() {
        pair(text, "start_timeout", &duration(package.start_timeout));
    }
    if package.stop_timeout != default_stop_timeout() {
        pair(text, "stop_timeout", &duration(package.stop_timeout));
    }
}

fn render_probe(probe: &ProbeDefinition) -> String {
    let mut parts = Vec::new();
    if let Some(exec) = &probe.exec {
        parts.push(format!("exec = {}", list(exec)));
    }
    if let Some(tcp) = &probe.tcp {
        parts.push(format!("tcp = {}", quoted(tcp)));
    }
    if let Some(http) = &probe.http {
        parts.push(format!("http = {}", quoted(http)));
    }
    parts.push(format!("interval = {}", duration(probe.interval)));
    parts.push(format!("timeout = {}", duration(probe.timeout)));
    parts.push(format!("failures = {}", probe.failures));
    format!("{{ {} }}", parts.join(", "))
}

fn restart(restart: &RestartDefinition) -> String {
    format!(
        "{{ attempts = {}, within = {} }}",
        restart.attempts,
        duration(restart.within)
    )
}

fn duration(duration: DurationText) -> String {
    format!("\"{duration}\"")
}

fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

fn texts(map: &BTreeMap<String, String>) -> String {
    let items: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{} = {}", quoted_key(key), quoted(value)))
        .collect();
    format!("{{ {} }}", items.join(", "))
}

fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { key.to_owned() } else { quoted(key) }
}

/// A TOML basic string on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\n' => quoted.push_str("\\n"),
            other => escaped(&mut quoted, other),
        }
    }
    quoted.push('"');
    quoted
}

/// A TOML basic string with the lines of the text: people read it.
fn quoted_lines(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    quoted.push_str("\"\"\"\n");
    for letter in text.chars() {
        match letter {
            // Three in a row would end the string, and so would two before its end.
            '"' if quoted.ends_with('"') || quoted.len() <= 4 => quoted.push_str("\\\""),
            '"' | '\n' => quoted.push(letter),
            other => escaped(&mut quoted, other),
        }
    }
    if quoted.ends_with('"') && quoted.len() > 4 {
        quoted.pop();
        quoted.push_str("\\\"");
    }
    quoted.push_str("\"\"\"");
    quoted
}

/// A letter as it stands in a TOML basic string.
fn escaped(quoted: &mut String, letter: char) {
    match letter {
        '\\' => quoted.push_str("\\\\"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        control if control.is_control() => {
            let _ = write!(quoted, "\\u{:04X}", u32::from(control));
        }
        other => quoted.push(other),
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn pair(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}
