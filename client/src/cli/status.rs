//! The cluster at a glance: status, nodes, packages, members.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::failure::Failure;
use super::matrix;
use super::screen::{Screen, Tone};
use super::table::{lines, plain};
use crate::Client;
use crate::wire::node::Node;
use crate::wire::package::{Group, Package};
use crate::wire::status::Status;

/// Said above everything that no quorum confirmed.
pub(crate) const STALE: &str = "NO QUORUM: this is one server's own copy, and may be old";

/// `status`.
pub(crate) async fn status(screen: &Screen, client: &Client) -> Result<(), Failure> {
    let answer = client.status().await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    let status = &answer.body;
    for line in describe(screen, status) {
        screen.line(line);
    }
    let mut hints = Vec::new();
    if status.packages.is_empty() {
        hints.push("paceline apply FILE    define packages".to_owned());
    } else {
        let troubled = status
            .packages
            .iter()
            .find(|package| is_troubled(package))
            .or(status.packages.first());
        hints.extend(troubled.map(|package| format!("paceline explain {}    why it is where it is", package.name)));
        hints.push("paceline events --follow    what happens".to_owned());
    }
    screen.next(&hints);
    Ok(())
}

/// The head, the matrix, and what needs somebody's attention.
pub(crate) fn describe(screen: &Screen, status: &Status) -> Vec<String> {
    let mut out = Vec::new();
    if status.stale {
        out.push(screen.paint(Tone::Bad, STALE));
    }
    let up = status.nodes.iter().filter(|node| node.state == "up").count();
    let voters = status.members.iter().filter(|member| member.role == "voter").count();
    let quorate = if status.quorate {
        screen.paint(Tone::Good, "quorate")
    } else {
        screen.paint(Tone::Bad, "NO QUORUM")
    };
    let leader = status.leader.as_deref().unwrap_or("none");
    out.push(format!(
        "cluster {}   {quorate}   voters {voters}   leader {leader}   nodes {up}/{} up   index {}",
        screen.paint(Tone::Strong, &status.cluster),
        status.nodes.len(),
        status.index
    ));
    out.push(String::new());
    out.extend(matrix::lines(screen, &status.nodes, &status.packages));
    let troubled: Vec<&Package> = status.packages.iter().filter(|package| is_troubled(package)).collect();
    if !troubled.is_empty() {
        out.push(String::new());
        for package in troubled {
            let head = screen.paint(Tone::Bad, &format!("{} {}", package.name, package.state));
            out.push(format!("{head}: {}", package.reason));
        }
    }
    for warning in &status.warnings {
        out.push(format!("{} {warning}", screen.paint(Tone::Busy, "warning:")));
    }
    out
}

fn is_troubled(package: &Package) -> bool {
    matches!(package.state.as_str(), "failed" | "waiting")
}

/// `nodes [NODE]`.
pub(crate) async fn nodes(screen: &Screen, client: &Client, node: Option<&str>) -> Result<(), Failure> {
    if let Some(node) = node {
        let answer = client.node(node).await?;
        if screen.json {
            screen.json(&answer.text);
            return Ok(());
        }
        let packages = client.packages().await?.body.packages;
        for line in describe_node(screen, &answer.body, &packages) {
            screen.line(line);
        }
        screen.next(&[
            format!("paceline drain {node} --dry-run    what a drain would do"),
            format!("paceline plan --fail {node}        what its failure would do"),
        ]);
        return Ok(());
    }
    let answer = client.nodes().await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    if answer.body.stale {
        screen.line(screen.paint(Tone::Bad, STALE));
    }
    let rows: Vec<_> = answer
        .body
        .nodes
        .iter()
        .map(|node| {
            let (state, tone) = node_state(node);
            vec![
                plain(&node.name),
                (state, tone),
                plain(usage(node, "cpu")),
                plain(usage(node, "memory")),
                plain(&node.since),
                plain(pairs(&node.labels)),
            ]
        })
        .collect();
    for line in lines(screen, &["NODE", "STATE", "CPU", "MEMORY", "SINCE", "LABELS"], &rows) {
        screen.line(line);
    }
    screen.next(&["paceline nodes NODE    one of them, with what runs there".to_owned()]);
    Ok(())
}

fn describe_node(screen: &Screen, node: &Node, packages: &[Package]) -> Vec<String> {
    let (state, tone) = node_state(node);
    let mut out = vec![
        format!(
            "{}  {} since {}",
            screen.paint(Tone::Strong, &node.name),
            screen.paint(tone, &state),
            node.since
        ),
        format!("  api       {}", node.api),
        format!("  labels    {}", pairs(&node.labels)),
    ];
    if let Some(containment) = &node.containment {
        let words = match containment.as_str() {
            "namespace" => "a process namespace for each package: the kernel ends all of it at the deadline",
            "user_namespace" => "a process namespace in a user namespace for each package: the kernel ends all of it",
            _ => "process groups only: what leaves its group is killed by the daemon, not by the kernel",
        };
        out.push(format!("  contained {words}"));
    }
    for (dimension, capacity) in &node.capacity {
        let planned = node.planned.get(dimension).copied().unwrap_or(0);
        out.push(format!("  {dimension:<9} {planned} of {capacity} planned"));
    }
    for (key, value) in &node.attributes {
        out.push(format!("  attribute {key}={value}"));
    }
    let rows: Vec<_> = packages
        .iter()
        .flat_map(|package| package.instances.iter().map(move |instance| (package, instance)))
        .filter(|(_, instance)| instance.node == node.name)
        .map(|(package, instance)| {
            let (word, tone) = matrix::word(instance, node.state != "up");
            vec![
                plain(format!("  {}", package.name)),
                (word, tone),
                plain(instance.epoch.to_string()),
                plain(&instance.detail),
            ]
        })
        .collect();
    if rows.is_empty() {
        out.push("  nothing runs here".to_owned());
    } else {
        out.extend(lines(screen, &["  PACKAGE", "MODE", "EPOCH", "DETAIL"], &rows));
    }
    out
}

fn node_state(node: &Node) -> (String, Tone) {
    match (node.state.as_str(), node.drain) {
        ("up", false) => ("up".to_owned(), Tone::Good),
        ("up", true) => ("up, drained".to_owned(), Tone::Busy),
        ("lost", _) => ("LOST".to_owned(), Tone::Bad),
        (other, _) => (other.to_owned(), Tone::Faint),
    }
}

fn usage(node: &Node, dimension: &str) -> String {
    match node.capacity.get(dimension) {
        None => "-".to_owned(),
        Some(capacity) => format!("{}/{capacity}", node.planned.get(dimension).copied().unwrap_or(0)),
    }
}

fn pairs(map: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() {
        "-".to_owned()
    } else {
        pairs.join(",")
    }
}

/// `packages [PACKAGE]`.
pub(crate) async fn packages(screen: &Screen, client: &Client, package: Option<&str>) -> Result<(), Failure> {
    if let Some(package) = package {
        let answer = client.package(package).await?;
        if screen.json {
            screen.json(&answer.text);
            return Ok(());
        }
        for line in describe_package(screen, &answer.body) {
            screen.line(line);
        }
        screen.next(&[format!("paceline explain {package}    why it is where it is")]);
        return Ok(());
    }
    let answer = client.packages().await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    if answer.body.stale {
        screen.line(screen.paint(Tone::Bad, STALE));
    }
    let rows: Vec<_> = answer
        .body
        .packages
        .iter()
        .map(|package| {
            let tone = if is_troubled(package) { Tone::Bad } else { Tone::Plain };
            vec![
                plain(&package.name),
                plain(package.group.as_deref().unwrap_or("-")),
                plain(
                    package
                        .priority
                        .map_or_else(|| "-".to_owned(), |priority| priority.to_string()),
                ),
                (package.state.clone(), tone),
                plain(places(package)),
                plain(&package.reason),
            ]
        })
        .collect();
    for line in lines(screen, &["PACKAGE", "GROUP", "PRIO", "STATE", "WHERE", "WHY"], &rows) {
        screen.line(line);
    }
    screen.next(&["paceline explain PACKAGE    why it is where it is".to_owned()]);
    Ok(())
}

fn places(package: &Package) -> String {
    let places: Vec<String> = package
        .instances
        .iter()
        .map(|instance| format!("{} {}", instance.node, matrix::word(instance, false).0))
        .collect();
    if places.is_empty() {
        "·".to_owned()
    } else {
        places.join(", ")
    }
}

fn describe_package(screen: &Screen, package: &Package) -> Vec<String> {
    let group = package
        .group
        .as_ref()
        .map_or_else(String::new, |group| format!(" of group {group}"));
    let tone = if is_troubled(package) { Tone::Bad } else { Tone::Good };
    let mut out = vec![
        format!(
            "{}{group}  {}: {}",
            screen.paint(Tone::Strong, &package.name),
            screen.paint(tone, &package.state),
            package.reason
        ),
        format!("  wish {}", package.wish),
    ];
    for instance in &package.instances {
        let (word, tone) = matrix::word(instance, false);
        out.push(format!(
            "  on {}  {}  output {}  epoch {}  since {}  {}",
            instance.node,
            screen.paint(tone, &word),
            instance.output,
            instance.epoch,
            instance.since,
            instance.detail
        ));
    }
    if let Some(definition) = &package.definition {
        out.push(format!("  run {}", definition.run.command.join(" ")));
        if !definition.nodes.is_empty() {
            out.push(format!("  nodes {}", definition.nodes.join(", ")));
        }
        if !definition.load.is_empty() {
            let load: Vec<String> = definition
                .load
                .iter()
                .map(|(key, value)| format!("{key} {value}"))
                .collect();
            out.push(format!("  load {}", load.join(", ")));
        }
    }
    out.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// `members`.
pub(crate) async fn members(screen: &Screen, client: &Client) -> Result<(), Failure> {
    let answer = client.members().await?;
    if screen.json {
        screen.json(&answer.text);
        return Ok(());
    }
    let rows: Vec<_> = answer
        .body
        .members
        .iter()
        .map(|member| {
            vec![
                plain(member.id.to_string()),
                plain(&member.name),
                plain(if member.witness {
                    format!("{}, witness", member.role)
                } else {
                    member.role.clone()
                }),
                plain(member.peer.join(",")),
                plain(&member.api),
                plain(member.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string())),
            ]
        })
        .collect();
    for line in lines(screen, &["ID", "NAME", "ROLE", "PEER", "API", "BEHIND"], &rows) {
        screen.line(line);
    }
    Ok(())
}

/// `status --check`: one line and 0, 1 or 2, as monitoring plugins end. No quorum and no server are critical.
pub(crate) async fn check(screen: &Screen, client: &Client) -> ExitCode {
    let (code, line) = match client.status().await {
        Err(error) => (2, format!("CRITICAL - {error}")),
        Ok(answer) => {
            // Groups tell whether a standby is wanted; without a quorum they are not asked.
            let groups = client
                .groups()
                .await
                .map(|answer| answer.body.groups)
                .unwrap_or_default();
            let (code, line) = judge(&answer.body, &groups);
            if screen.json {
                screen.json(&answer.text);
            }
            (code, line)
        }
    };
    screen.say(line);
    ExitCode::from(code)
}

/// Ok, warning or critical, with everything that is wrong.
fn judge(status: &Status, groups: &[Group]) -> (u8, String) {
    let mut critical = Vec::new();
    let mut warning = Vec::new();
    if !status.quorate {
        critical.push("no quorum".to_owned());
    }
    for package in &status.packages {
        match package.state.as_str() {
            "failed" => critical.push(format!("{} failed: {}", package.name, package.reason)),
            "waiting" if package.group.is_none() => {
                critical.push(format!("{} runs nowhere: {}", package.name, package.reason))
            }
            "waiting" => warning.push(format!("{} runs nowhere: {}", package.name, package.reason)),
            _ => {}
        }
    }
    for group in groups {
        let wanted = status
            .packages
            .iter()
            .any(|package| package.group.as_deref() == Some(&group.name) && package.wish == "start");
        match group.state.as_str() {
            "lost" if wanted => critical.push(format!("group {}: nobody is active", group.name)),
            "degraded" if wanted => warning.push(format!("group {}: too few stand by", group.name)),
            _ => {}
        }
    }
    warning.extend(
        status
            .nodes
            .iter()
            .filter(|node| node.state == "lost")
            .map(|node| format!("node {} lost", node.name)),
    );
    warning.extend(status.warnings.iter().cloned());
    let up = status.nodes.iter().filter(|node| node.state == "up").count();
    let facts = format!(
        "{} nodes up, {} packages, leader {}",
        up,
        status.packages.len(),
        status.leader.as_deref().unwrap_or("none")
    );
    let (code, word) = match (critical.is_empty(), warning.is_empty()) {
        (false, _) => (2, "CRITICAL"),
        (true, false) => (1, "WARNING"),
        (true, true) => (0, "OK"),
    };
    critical.extend(warning);
    critical.push(facts);
    (code, format!("{word} - {}", critical.join("; ")))
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
